// The backend that needs no addon: what src/binding.ts says of the addon, over koffi. It serves the main thread alone:
// where an environment ends while a thread is in one of its callbacks, koffi crashes, and a worker ends at any time.
import { isMainThread } from 'node:worker_threads';
import { offerKoffi } from '../backend.js';
import type {
  Addon,
  NativeApi,
  NativePlugin,
  NativeRealm,
  NativeTrace,
  SelfTestFigures,
} from '../binding.js';
import { checkSetting } from '../checks.js';
import { STATUSES } from '../constants.js';
import { HaftError } from '../errors.js';
import { normalize } from '../handle.js';
import { type Koffi, koffi, raiseLimits } from '../koffi.js';
import { unsigned } from '../trampolines/c-types.js';
import { guardExit } from './exit.js';
import { Lasting, lastingText, type Pointer } from './memory.js';
import { resultsOut } from './message.js';
import { Process } from './process.js';
import { selfTest } from './self-test.js';
import { makeTable } from './table.js';
import { watchRelay } from './thread.js';
import { TraceFile } from './trace-file.js';

const POINTER_BYTES = 8;
const SIGINT = 2;
const SIGTERM = 15;
// As glibc and musl have them on Linux, x64 and arm64.
const SIGACTION_BYTES = 152;
const SIGACTION_FLAGS = 136;
const SA_RESETHAND = 0x80000000;

class KoffiBackend implements Omit<Addon, 'layout' | 'checks'> {
  readonly name = 'koffi';
  readonly checkLevel = checkSetting().level;
  readonly trace: NativeTrace | undefined = process.env.HAFT_TRACE
    ? new TraceFile(process.env.HAFT_TRACE)
    : undefined;
  readonly #process = new Process();
  #table: Pointer | undefined;
  #init: ReturnType<Koffi['proto']> | undefined;
  #destroyNotify: Pointer | undefined;
  /** Never unloaded: threads of theirs may outlive everything that is known here. */
  readonly #hosts: unknown[] = [];
  #leaks = 0;
  #guards = false;
  /** Hosts that run now. */
  #running = 0;

  /**
   * @param reason Why the addon does not serve, where nobody asked for koffi.
   * @throws HaftError in a worker, or when koffi cannot be loaded.
   */
  constructor(readonly reason?: string) {
    if (!isMainThread) {
      throw new HaftError('HAFT_E_BACKEND', {
        message: 'a worker cannot have a registry without the addon',
        next: 'build the addon ("npm run build"), or keep the registry on the main thread; see docs/backends.md',
      });
    }
    if (!raiseLimits()) {
      process.emitWarning('koffi had loaded a library before haft was imported, so its limits stand', {
        code: 'HAFT_KOFFI_LIMITS',
        detail: 'More than 256 threads at one time in functions of haft end the process. Import haft first.',
      });
    }
    watchRelay();
  }

  get api(): NativeApi {
    throw new HaftError('HAFT_E_BACKEND', {
      message: `there is no external value without the addon${this.reason === undefined ? '' : ` (${this.reason})`}`,
      next: 'pass registry.apiAddress, the same table as an integer',
    });
  }

  apiAddress(): bigint {
    this.#table ??= makeTable(this.#process);
    return this.#table;
  }

  defineKind(name: string, fingerprint: bigint, ops: string, signatures: string): number {
    return this.#process.kinds.define(name, fingerprint, ops, signatures);
  }

  open(drain: () => void, direct: () => void): NativeRealm | number {
    // Before the first callback: by the table, a trampoline, or a destructor.
    if (!this.#guards) {
      this.#guards = true;
      guardExit(
        () => this.closeAll(),
        () => this.#running > 0,
      );
    }
    return this.#process.open(drain, direct);
  }

  labels(): (number | string)[] {
    return this.#process.labels.all();
  }

  resultsOut(): number {
    return resultsOut();
  }

  noteLeaks(more: number): number {
    this.#leaks += more;
    return this.#leaks;
  }

  runHost(
    path: string,
    realm: number,
    args: readonly string[],
    done: (exitCode: number) => void,
  ): string | undefined {
    let host: ReturnType<ReturnType<ReturnType<typeof koffi>['load']>['func']>;
    try {
      const library = koffi().load(path);
      this.#hosts.push(library);
      host = library.func('haft_host_main', 'int', ['void *', 'uint64_t', 'int', 'void *']);
    } catch (error) {
      const { message } = error as Error;
      return message.includes('haft_host_main') ? 'it does not export haft_host_main' : message;
    }
    const words = [path, ...args];
    const argv = new Lasting((words.length + 1) * POINTER_BYTES);
    for (const [i, word] of words.entries())
      argv.view.setBigUint64(i * POINTER_BYTES, lastingText(word), true);
    const api = this.apiAddress();
    this.#running++;
    host.async(api, realm, words.length, argv.at, (error: unknown, code: number) => {
      this.#running--;
      if (error) throw error;
      done(code);
    });
    return undefined;
  }

  pluginOpen(path: string): NativePlugin | string {
    try {
      const library = koffi().load(path);
      this.#hosts.push(library);
      const init = symbolOf(library, 'haft_plugin_init');
      if (init === undefined) return 'it does not export haft_plugin_init';
      const version = symbolOf(library, 'haft_plugin_version');
      return version === undefined ? { init } : { init, version: koffi().decode.uint32(version) };
    } catch (error) {
      return (error as Error).message;
    }
  }

  pluginInit(init: bigint, realm: number): [status: number, text: string] {
    this.#init ??= koffi().proto('int32_t haft_plugin_init(void *api, uint64_t realm)');
    const { error } = this.#process;
    error.clear();
    const status = koffi().call(init, this.#init, this.apiAddress(), realm) as number;
    if (error.status !== status) return [status, ''];
    return [status, status === STATUSES.HAFT_E_EXCEPTION.status ? error.text : error.message];
  }

  destroyNotify(): bigint {
    if (this.#destroyNotify === undefined) {
      const type = koffi().pointer(koffi().proto('void(uintptr_t user_data)'));
      const { slots, ledger } = this.#process;
      const release = (given: number | bigint) => {
        const handle = normalize(unsigned(given));
        if (ledger === undefined) void slots.release(handle);
        else ledger.change(handle, 'haft', -1, ledger.use('destroyNotify'), () => slots.release(handle));
      };
      this.#destroyNotify = koffi().register(release, type);
    }
    return this.#destroyNotify;
  }

  exitAtSecondSignal(): void {
    for (const number of [SIGINT, SIGTERM]) oneSignal(number);
  }

  closeAll(): void {
    for (const realm of this.#process.realms) realm.close();
  }

  selfTest(
    handle: number,
    toPost: number,
    toCall: number,
    ended: number,
    milliseconds: number,
    done: (figures: SelfTestFigures) => void,
  ): undefined {
    done(selfTest(this.apiAddress(), handle, toPost, toCall, ended, milliseconds));
  }
}

function symbolOf(library: ReturnType<Koffi['load']>, name: string): Pointer | undefined {
  try {
    return library.symbol(name) as Pointer;
  } catch {
    return undefined;
  }
}

// Lets the handler that a signal has now have it once: the system then puts its own in its place, which ends the process.
function oneSignal(number: number): void {
  if (process.platform !== 'linux') return;
  const set = koffi().load(null).func('sigaction', 'int', ['int', 'void *', 'void *']);
  const action = new Lasting(SIGACTION_BYTES);
  if (set(number, null, action.at) !== 0) return;
  const flags = action.view.getUint32(SIGACTION_FLAGS, true);
  action.view.setUint32(SIGACTION_FLAGS, (flags | SA_RESETHAND) >>> 0, true);
  set(number, action.at, null);
}

offerKoffi((reason) => new KoffiBackend(reason));
