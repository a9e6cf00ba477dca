// A realm: the handle table that native threads share, its mailboxes, and its end.
import { EventEmitter } from 'node:events';
import { performance } from 'node:perf_hooks';
import { backend } from './backend.js';
import type { NativeApi, NativeRealm } from './binding.js';
import { closes, drained, opened } from './channels.js';
import { checkLevel } from './checks.js';
import { Closures, type ClosureTable, type Place } from './closures.js';
import { type Collectable, type Collected, Collector } from './collector.js';
import {
  BLOCK_BITS,
  BLOCK_SLOTS,
  EXCHANGE,
  EXCHANGE_FLAG,
  EXCHANGE_HANDLE,
  EXCHANGE_LIST,
  EXCHANGE_STATUS,
  NAMES,
  STATUSES,
} from './constants.js';
import { type Counters, countersOf, sumOf } from './counters.js';
import { Departed, type DepartedTable } from './departed.js';
import { errorOfStatus, HaftError } from './errors.js';
import { EVENT, Events } from './events.js';
import type { Handle } from './handle.js';
import { INDEX_MASK, isInHandleRange, normalize, SLOT_MASK } from './handle.js';
import { Handles, type Stats } from './handles.js';
import { DEED, type HandleHistory, Histories, stackText } from './history.js';
import { enter, leave } from './insides.js';
import { serveInspection } from './inspect/server.js';
import { brokenMirror } from './invariants.js';
import { type Kind, type Signatures, signatureText } from './kind.js';
import { isKoffiThere, koffi } from './koffi.js';
import { copyOf, joinKoffi, type Koffi, leaveKoffi } from './koffi-way.js';
import { checkLeakSetting, tellLeaks } from './leaks.js';
import { Mailboxes, type Receiver } from './mailbox.js';
import { Block, Mirror } from './mirror.js';
import { type Movable, Mover } from './move.js';
import { registryClosed, registryOpened } from './open-registries.js';
import { signalOf } from './options.js';
import { type Crowded, Overflows } from './overflow.js';
import { type Memory, MemoryKind, type Pin, type Pinnable, Pins } from './pins.js';
import { type Plugin, Plugins } from './plugin.js';
import {
  type KnownHistory,
  makeReport,
  type RegistryReport,
  type Reportable,
  type ReportOptions,
} from './report.js';
import type { Complete, SignatureType, TrampolineOptions, UserDataPlace } from './shape.js';
import { trace } from './trace.js';
import { Trampoline, TrampolineGroup } from './trampoline.js';
import { Weaks } from './weak.js';

const HANDLE_PLACE = (EXCHANGE >> 3) + (EXCHANGE_HANDLE >> 1);
const STATUS_WORD = (EXCHANGE >> 2) + EXCHANGE_STATUS;
const FLAG_WORD = (EXCHANGE >> 2) + EXCHANGE_FLAG;
const LIST_WORD = (EXCHANGE >> 2) + EXCHANGE_LIST;
const LABEL_BYTES = 63;

/** Where an error came from. */
export interface ErrorContext {
  readonly handle: Handle;
  readonly kind: string;
  readonly op: string;
}

export interface RegistryEvents {
  /**
   * The handler of a post threw, or rejected; a buffer was detached while it was pinned (`HAFT_E_DETACHED`); or a post
   * found its object gone (`HAFT_E_STALE`, `HAFT_E_COLLECTED`). Without a listener the former reach the process as an
   * unhandled rejection, and the latter are only counted.
   */
  error: [error: unknown, context: ErrorContext];
}

export interface RegistryStats extends Stats, Counters {
  /** Messages that found their object gone; they are among the refused ones. */
  gone: number;
  /** The same counters of each of the 16 shards. A handle's shard is its lowest four bits. */
  shards: Counters[];
}

/**
 * The objects that native code, on any thread, may hold by handle, call, and release. Each is a realm of its own: its
 * handles are valid in C in the whole process, and in JavaScript with this registry only.
 */
export class Registry extends Handles {
  /** `haft_realm` in C. */
  readonly id: number;
  readonly #mirror: Mirror;
  readonly #native: NativeRealm;
  readonly #i32: Int32Array;
  readonly #f64: Float64Array;
  readonly #mailboxes: Mailboxes;
  readonly #events = new EventEmitter();
  /** By the kind's number in the process. */
  readonly #kinds: (Kind | undefined)[] = [];
  readonly #alike = new Map<Kind, number>();
  /** The copy of koffi in use: see `copyOf`. */
  #koffi: unknown;
  readonly #waits: Events;
  readonly #collector: Collector;
  readonly #mover: Mover;
  readonly #departed: Departed;
  /** Handles of haft's own, which nobody else counts. */
  readonly #own = new Set<number>();
  /** Handles that are meant to live as long as the registry. */
  readonly #kept = new Set<number>();
  readonly #overflows: Overflows;
  /** Its listeners hear that it closes: they may call `close` too. */
  #closes = false;
  readonly #plugins = new Plugins();
  #finalCounters: Float64Array | undefined;
  #retired = 0;
  #reclaimed = 0;
  #references = 0;
  #promises = 0;
  readonly #closures: Closures;
  readonly #weaks: Weaks;
  readonly #pins: Pins;
  /** Weak handles and pins that have not ended: while there are none, nobody looks for them. */
  #special = 0;
  /** How often `collect` was asked for while it is traced. */
  #collects = 0;
  /** Level 2 only. */
  readonly #histories: Histories | undefined;

  /**
   * @throws HaftError `HAFT_E_UNSUPPORTED` or `HAFT_E_BACKEND` when neither the addon nor koffi can serve, `HAFT_E_SLOTS`
   * when 128 realms are open.
   */
  constructor() {
    checkLeakSetting();
    serveInspection();
    const native = backend().open(
      () => this.#answerDoorbell(),
      () => this.#closures.runFromAddon(),
    );
    if (typeof native === 'number') throw errorOfStatus(native);
    super();
    this.#mirror = new Mirror(native.blockBase, native.generationMask);
    this.#native = native;
    this.id = native.id;
    this.#i32 = new Int32Array(native.buffer);
    this.#f64 = new Float64Array(native.buffer);
    this.#histories = checkLevel === 2 ? new Histories(native) : undefined;
    this.#mailboxes = new Mailboxes(native, this.#receiver());
    this.#waits = new Events(
      native,
      () => this.#mailboxes.levels(),
      () => this.#updateRef(),
    );
    this.#collector = new Collector(this.#collectable());
    this.#mover = new Mover(this.#movable());
    this.#closures = new Closures(this.#closureTable());
    this.#departed = new Departed(this.#departedTable());
    this.#overflows = new Overflows(this.#crowded());
    registryOpened(this, this.#reportable());
    if (opened.isHeard) opened.tell({ registry: this });
    enter(this, {
      native,
      mirror: this.#mirror,
      mailboxes: this.#mailboxes,
      kindName: (number) => this.#kinds[number]?.name ?? '',
      opOf: (number) => this.#kinds[number >>> 16]!.ops[number & 0xffff]!,
      isOwn: (handle) => this.#own.has(handle),
      isClosed: () => this.closed,
    });
    this.#weaks = new Weaks(native, this.#mirror);
    this.#pins = new Pins({
      native,
      owners: this.owners,
      create: (memory) => {
        const handle = this.create(memory, MemoryKind);
        this.#special++;
        return handle;
      },
      end: (handle) => this.endIfAlive(handle),
      report: (error, handle) => this.#report(error, handle, { kindName: MemoryKind.name, name: 'pin' }),
    });
    trace?.instant('open registry', { realm: this.id });
  }

  #answerDoorbell(): void {
    if (this.#mover.moving > 0) this.#mover.arrived();
    if (!this.closed) {
      if (drained.isHeard) this.#tellDrain(() => this.#mailboxes.drain());
      else this.#mailboxes.drain();
    }
    if (checkLevel === 2 && this.#special > 0) this.#pins.check();
    if (!this.closed && this.#collector.active) this.#collector.step();
  }

  #tellDrain(drain: () => number): void {
    const began = performance.now();
    const messages = drain();
    const milliseconds = performance.now() - began;
    drained.tell({ registry: this, messages, milliseconds, left: this.closed ? 0 : this.#mailboxes.cells });
  }

  /** `const haft_api *` as a tagged external, for a set-up function of an addon of yours. */
  get api(): NativeApi {
    return backend().api;
  }

  /** `const haft_api *` as an integer, which koffi takes where C wants a pointer. */
  get apiAddress(): bigint {
    return backend().apiAddress();
  }

  /** Who serves native code: the addon, or koffi where that could not be loaded. See docs/backends.md. */
  get backend(): 'addon' | 'koffi' {
    return backend().name;
  }

  on<E extends keyof RegistryEvents>(event: E, listener: (...args: RegistryEvents[E]) => void): this {
    this.#events.on(event, listener as (...args: unknown[]) => void);
    this.#closures.heard();
    return this;
  }

  once<E extends keyof RegistryEvents>(event: E, listener: (...args: RegistryEvents[E]) => void): this {
    this.#events.once(event, listener as (...args: unknown[]) => void);
    this.#closures.heard();
    return this;
  }

  off<E extends keyof RegistryEvents>(event: E, listener: (...args: RegistryEvents[E]) => void): this {
    this.#events.off(event, listener as (...args: unknown[]) => void);
    this.#closures.heard();
    return this;
  }

  /**
   * Lets C that is called through koffi call this registry's objects from the same thread. koffi runs C on a stack of
   * its own, where V8 cannot run; its callbacks know the way back. Without this such a call is `HAFT_E_UNSUPPORTED`.
   * Trampolines do it by themselves; say it if your copy of koffi is not the one that haft finds.
   *
   * ```ts
   * import koffi from 'koffi';
   * registry.useKoffi(koffi);
   * ```
   */
  useKoffi<T>(koffi: Koffi<T>): this {
    this.requireOpen();
    if (this.backend === 'koffi') {
      requireOwnKoffi(koffi);
      return this;
    }
    const copy = copyOf(koffi);
    if (this.#koffi === copy) return this;
    this.#native.useKoffi(joinKoffi(koffi, this.#closures));
    leaveKoffi(this.#koffi, this.#closures);
    this.#koffi = copy;
    return this;
  }

  /**
   * Calls a C function that may call closures of this thread, and throws what one of them threw, when the C function has
   * returned: that closure's caller was told `onError`, and all others have run. What further ones threw goes to the `error`
   * event. A plain call through koffi throws too, but after the first exception no closure runs until the C function has
   * returned. What a closure throws in a plain call through an addon, or of a trampoline that is not `native`, goes to the
   * `error` event.
   */
  invoke<A extends readonly unknown[], R>(f: (...args: A) => R, ...args: A): R {
    this.requireOpen();
    return this.#closures.invoke(f, args);
  }

  /**
   * One C function pointer for a signature, for ever, behind which there are any number of closures: the user data that C
   * passes along says which. For C libraries that know nothing of haft.
   *
   * ```ts
   * const compare = registry.trampoline({
   *   args: ['const void *', 'const void *', 'void *'], returns: 'int', userData: 2, onError: 0,
   * });
   * using byName = compare.bind((a, b) => nameAt(a).localeCompare(nameAt(b)));
   * qsort_r(rows, count, size, byName.pointer, byName.userData);
   * ```
   *
   * From other threads too. Misuse (user data that is stale or forged, a closed registry) tells C `onError`, runs nobody's
   * closure, and is told to the `error` event. What a closure throws is thrown where JavaScript called C; in a call from
   * another thread it goes to the `error` event.
   *
   * @throws HaftError `HAFT_E_ARGUMENT` for types and values that do not go together, `HAFT_E_CLOSED`.
   */
  trampoline<
    const A extends readonly SignatureType[],
    const P extends UserDataPlace,
    const R extends SignatureType | 'void' = 'void',
    const O extends TrampolineOptions<A, R, P> = TrampolineOptions<A, R, P>,
  >(options: O & TrampolineOptions<A, R, P> & Complete<O>): Trampoline<O> {
    return new Trampoline<O>(this.#trampolines(), options);
  }

  /**
   * C function pointers that share one user data, as SQLite's aggregates or an XML parser's handlers do: `bind` takes an
   * object with a method for each. As `trampoline` otherwise.
   */
  trampolines<const G extends Readonly<Record<string, TrampolineOptions>>>(
    group: G & { readonly [K in keyof G]: Complete<G[K]> },
  ): TrampolineGroup<G> {
    return new TrampolineGroup<G>(this.#trampolines(), group);
  }

  /**
   * A C function `void (*)(void *)` for libraries that want a destructor of their user data: it releases the handle, of
   * any registry, on any thread. What C owns so need not be unbound. JavaScript drops it with the next turn of the event
   * loop, or at `drain()`; `stats` and `has` see it then.
   */
  get destroyNotify(): bigint {
    return backend().destroyNotify();
  }

  #trampolines(): Closures {
    this.requireOpen();
    if (this.#koffi === undefined && isKoffiThere()) this.useKoffi(koffi());
    return this.#closures;
  }

  /**
   * Loads a shared library and runs its `haft_plugin_init(api, realm)`, on this thread and before this returns; handlers
   * that it calls run meanwhile. The library stays for as long as the process. To load it again does nothing, and tells
   * the same `Plugin`; after a failure it tries anew. Another registry runs `haft_plugin_init` again, with its own realm.
   *
   * @throws HaftError `HAFT_E_NOT_FOUND` when there is no such file, `HAFT_E_ARGUMENT` when it does not load or exports no
   * `haft_plugin_init`, `HAFT_E_ABI` when it was built for another major version, `HAFT_E_CLOSED`; or what
   * `haft_plugin_init` returned.
   */
  loadPlugin(path: string): Plugin {
    this.requireOpen();
    return this.#plugins.load(path, this.id);
  }

  /** Handles what waits in the mailboxes now, up to 4,096 messages, instead of in the next turn. A handler may call it. */
  drain(): void {
    this.requireOpen();
    if (drained.isHeard) this.#tellDrain(() => this.#mailboxes.drainNow());
    else this.#mailboxes.drainNow();
  }

  /** Keeps the event loop alive until `unref`; they count. A running host does it by itself. */
  ref(): this {
    this.requireOpen();
    if (this.#references++ === 0) this.#updateRef();
    return this;
  }

  unref(): this {
    if (this.closed || this.#references === 0) return this;
    if (--this.#references === 0) this.#updateRef();
    return this;
  }

  /**
   * Waits until one of `events` happens, a mask of `EVENT`, and tells which did. Any number may wait, each for its own.
   *
   * ```ts
   * await registry.wait(EVENT.empty, { signal: AbortSignal.timeout(1000) });
   * ```
   *
   * @throws HaftError `HAFT_E_CLOSED` when the registry closes, unless `EVENT.closing` is among the events;
   * `HAFT_E_ARGUMENT`; or the signal's reason.
   */
  async wait(events: number, options?: { signal?: AbortSignal }): Promise<number> {
    const signal = signalOf(options);
    if (this.closed && (events & EVENT.closing) !== 0) return EVENT.closing;
    this.requireOpen();
    return this.#waits.wait(events, signal);
  }

  /**
   * Lets objects of these kinds be moved here, each with `serialize` and `deserialize`.
   * @throws HaftError `HAFT_E_KIND` for a kind without.
   */
  accept(...kinds: readonly Kind[]): this {
    this.requireOpen();
    this.#mover.accept(kinds);
    return this;
  }

  /**
   * Moves an object to another realm of the process, such as a worker's registry: its kind's `serialize` makes a string
   * or bytes of it here, `deserialize` an object there. Messages that come meanwhile wait and go after it. Each
   * reference to the old handle becomes one to the new one, which this tells; in C the old handle answers
   * `HAFT_E_MOVED`, and `haft_moved` the new one.
   *
   * @param realm The other registry's `id`. It has said `accept(kind)`.
   * @param options.timeoutMilliseconds How long the other realm may take, 10,000 unless given.
   * @throws HaftError `HAFT_E_KIND`, `HAFT_E_NOT_FOUND` when the realm accepts none, `HAFT_E_TIMEOUT`, `HAFT_E_CLOSED`,
   * `HAFT_E_EXCEPTION` when `deserialize` threw or returned a promise, `HAFT_E_RESULT` when `serialize` returned neither a
   * string nor a Uint8Array, `HAFT_E_BUSY`, `HAFT_E_MOVED`, `HAFT_E_TOO_LARGE` beyond 16 MiB, what `serialize` throws, or as
   * `get`. The object has then stayed where it was.
   */
  async moveTo<T>(
    handle: Handle<T>,
    realm: number,
    { timeoutMilliseconds = 10_000 }: { timeoutMilliseconds?: number } = {},
  ): Promise<Handle<T>> {
    const object = this.get(handle);
    if (realm === this.id) return handle;
    if (this.#special > 0 && this.#weaks.has(handle)) {
      throw new HaftError('HAFT_E_ARGUMENT', {
        handle,
        message: 'a weak handle cannot be moved: nothing would keep the object in the other realm',
        next: 'move by a handle that is not weak',
      });
    }
    if (!Number.isInteger(timeoutMilliseconds) || timeoutMilliseconds <= 0) {
      throw new HaftError('HAFT_E_ARGUMENT', {
        message: `timeoutMilliseconds is ${String(timeoutMilliseconds)}`,
        next: 'give a whole number above 0',
      });
    }
    const kind = this.#kinds[this.kindNumberOf(handle)];
    const now = await this.#mover.move(handle, object as object, kind, realm, timeoutMilliseconds);
    return now as Handle<T>;
  }

  /**
   * Where the object of a handle lives that was moved away; a handle that is valid here gives itself. The answer is kept
   * for the latest 65,536 moves, while there are slots.
   * @throws HaftError as `get`.
   */
  moved<T>(handle: Handle<T>): Handle<T> {
    if (this.has(handle)) return handle;
    this.requireOpen();
    const known = normalize(handle);
    if (!isInHandleRange(known)) throw new HaftError('HAFT_E_FORGED', { handle });
    const { status, now } = this.#departed.whereNow(known);
    if (status !== STATUSES.HAFT_OK.status) throw errorOfStatus(status, { handle });
    return now as Handle<T>;
  }

  /**
   * A handle that keeps nothing alive: for C that may use an object while it is there, and does not own it. Native code
   * uses it as any other, until the object is collected: then every use is `HAFT_E_COLLECTED`, in C and here, but for
   * `release` and `delete`. The last release frees the slot; without one the slot stays taken, and no more than that.
   *
   * It carries one reference, as what `create` issues. The same object may have any number of them, and others that are not
   * weak. It cannot be moved.
   *
   * @throws HaftError as `create`; `HAFT_E_ARGUMENT` for what is neither an object nor a function.
   */
  weak<T extends object>(object: T, kind?: Kind<T, never> | Kind<T, Signatures>): Handle<T> {
    if ((typeof object !== 'object' || object === null) && typeof object !== 'function') {
      throw new HaftError('HAFT_E_ARGUMENT', {
        message: 'the value is neither an object nor a function: it is never collected',
        next: 'use create',
      });
    }
    const handle = this.create(object, kind);
    this.#weaks.add(handle, object);
    this.#special++;
    return handle;
  }

  /**
   * Keeps a buffer, or the part of one that a view shows, where it is, for C that goes on using it: see `Pin`. Each call is
   * a pin of its own.
   *
   * From then on Node refuses to transfer the buffer, also after `unpin`: Node 20 copies it instead, 22 and later throw.
   * What detaches it all the same (`ArrayBuffer.prototype.transfer` in Node 22, a `WebAssembly.Memory` that grows) is told to the
   * `error` event when the pin ends, or by `unpin`, as `HAFT_E_DETACHED`; at level 2 of HAFTCHECK after the next drain.
   *
   * @throws HaftError `HAFT_E_DETACHED` for a buffer that is detached, resizable or growable; `HAFT_E_ARGUMENT` for what is
   * no buffer; `HAFT_E_SLOTS`, `HAFT_E_CLOSED`.
   */
  pin(buffer: Pinnable): Pin {
    this.requireOpen();
    return this.#pins.pin(buffer);
  }

  /**
   * Of a handle: hands one reference of JavaScript's to native code, as in `Handles`.
   *
   * Of a buffer: its memory changes hands, without a copy. JavaScript's buffer is detached, and the handle that comes back
   * carries one reference, which is native code's: `haft_memory` tells where the memory is, and the last `haft_release` frees
   * it, soon after.
   *
   * @throws HaftError for a buffer: `HAFT_E_DETACHED` if it is detached, `HAFT_E_ARGUMENT` for what is shared, pinned,
   * a part of a buffer, or not to be transferred; `HAFT_E_SLOTS`, `HAFT_E_CLOSED`.
   */
  override transfer<H extends Handle | number | bigint>(handle: H): H;
  override transfer(buffer: ArrayBuffer | Uint8Array): Handle<Memory>;
  override transfer(what: Handle | number | bigint | ArrayBuffer | Uint8Array): number | bigint {
    if (typeof what !== 'object' || what === null) return super.transfer(what);
    this.requireOpen();
    const handle = this.#pins.transfer(what);
    this.transferred(handle);
    return handle;
  }

  // Whose reference it is, is native code's to know at level 2 of HAFTCHECK.
  protected override transferred(handle: number): number {
    this.#f64[HANDLE_PLACE] = handle;
    this.#native.transfer(checkLevel === 2 ? stackText() : '');
    return this.#i32[STATUS_WORD]!;
  }

  /**
   * As `retain`, with a label that says what the reference is for: text of 1 to 63 bytes. Reports count by label.
   * @throws HaftError as `retain`; `HAFT_E_ARGUMENT` for what is no label.
   */
  retainAs<H extends Handle | number | bigint>(handle: H, label: string): H {
    const known = this.#labelled(handle, label);
    this.#native.retainAs(label);
    const status = this.#i32[STATUS_WORD]!;
    if (status !== STATUSES.HAFT_OK.status) throw errorOfStatus(status, { handle: known });
    return handle;
  }

  /**
   * Gives back a reference that has this label. @throws HaftError as `release`; `HAFT_E_OWNER` when the handle has none of
   * that label; `HAFT_E_ARGUMENT`.
   */
  releaseAs(handle: Handle | number | bigint, label: string): void {
    const known = this.#labelled(handle, label);
    this.#native.releaseAs(label);
    const status = this.#i32[STATUS_WORD]!;
    if (status === STATUSES.HAFT_OK.status) return;
    const message = `the handle has no reference labelled "${label}"`;
    const isOwners = status === STATUSES.HAFT_E_OWNER.status;
    throw errorOfStatus(status, isOwners ? { handle: known, message } : { handle: known });
  }

  // Puts the handle where native code finds it.
  #labelled(handle: unknown, label: string): number {
    const known = this.knownOf(handle);
    const bytes = typeof label === 'string' ? Buffer.byteLength(label) : 0;
    if (bytes === 0 || bytes > LABEL_BYTES || label.includes('\0')) {
      throw new HaftError('HAFT_E_ARGUMENT', {
        handle: known,
        message: 'the label is none',
        next: `give a string of 1 to ${LABEL_BYTES} bytes in UTF-8, without NUL`,
      });
    }
    if (this.#special > 0) this.#weaks.targetOf(known);
    this.#f64[HANDLE_PLACE] = known;
    return known;
  }

  /**
   * Does in the background what otherwise waits until it is needed: drops objects whose last reference native code has
   * released, gives back blocks of slots that nobody uses, and counts what is there, by kind. A millisecond a turn at
   * most. Who asks while a run is under way has the next one; those who wait for one run share it.
   *
   * @throws HaftError `HAFT_E_CLOSED`; or the signal's reason. A run that nobody waits for any more stops.
   */
  async collect(options?: { signal?: AbortSignal }): Promise<Collected> {
    this.requireOpen();
    const result = this.#collector.collect(signalOf(options));
    if (trace !== undefined) this.#traceCollect(result);
    return result;
  }

  #traceCollect(result: Promise<Collected>): void {
    const id = `${this.id} ${++this.#collects}`;
    trace!.begin('collect', id, { realm: this.id });
    result.then(
      ({ reclaimed, live }) => trace!.end('collect', id, { reclaimed, live }),
      (error) => trace!.end('collect', id, { failed: String(error) }),
    );
  }

  /** The result of the latest run of `collect`. */
  get collected(): Collected | undefined {
    return this.#collector.latest;
  }

  /** Numbers about the table and its messages; after `close` as they were at the end. */
  override stats(): RegistryStats {
    const { slots } = this.#mirror;
    const live = this.closed ? 0 : this.#mirror.live - this.#own.size;
    const created = this.#mirror.created - this.#own.size;
    if (!this.closed) this.#mailboxes.publishHeads();
    const shards = countersOf(this.#finalCounters ?? this.#native.counters());
    const { gone } = this.#mailboxes;
    return { live, created, retired: this.#retired, slots, ...sumOf(shards), gone, shards };
  }

  /**
   * What the registry holds: live handles by kind, the oldest ones singly, what became of messages. It looks at every slot:
   * tens of milliseconds for 100,000 handles.
   * @throws HaftError `HAFT_E_CLOSED`.
   */
  report(options?: ReportOptions): RegistryReport {
    this.requireOpen();
    return makeReport(this.#reportable(), options);
  }

  /** Says that a handle is meant to live until the registry closes: it is no leak. @throws HaftError as `get`. */
  keep<H extends Handle | number | bigint>(handle: H): H {
    this.get(handle as Handle);
    this.#kept.add(Number(handle));
    return handle;
  }

  /**
   * Ends the realm: every handle, every waiting call (`HAFT_E_CLOSED` to its caller), and whatever is asked later. Waits
   * until no native operation is in flight, a second at most. May be called by a handler. Idempotent.
   */
  override close(): void {
    if (this.closed || this.#closes) return;
    this.#closes = true;
    if (closes.isHeard) closes.tell({ registry: this });
    tellLeaks(this, this.#reportable(), 'close');
    registryClosed(this);
    leave(this);
    this.#pins.close();
    this.#departed.close();
    this.#mailboxes.close();
    this.#finalCounters = this.#native.close();
    this.#waits.close();
    this.#collector.close();
    this.#mover.close();
    this.#closures.close();
    leaveKoffi(this.#koffi, this.#closures);
    this.#mirror.clear();
    this.#weaks.close();
    this.#special = 0;
    super.close();
    trace?.instant('close registry', { realm: this.id });
  }

  // ---- What the base class needs ----

  protected holds(handle: number): boolean {
    const block = this.#mirror.blockOf(handle & INDEX_MASK);
    return block !== undefined && block.handles[handle & SLOT_MASK] === handle;
  }

  protected objectOf(handle: number): unknown {
    return this.#mirror.blockOf(handle & INDEX_MASK)!.values[handle & SLOT_MASK];
  }

  protected kindNumberOf(handle: number): number {
    return this.#mirror.blockOf(handle & INDEX_MASK)!.kinds[handle & SLOT_MASK]!;
  }

  protected override isWeak(handle: number): boolean {
    return this.#special > 0 && this.#weaks.has(handle);
  }

  protected override weakTarget(handle: number): object | undefined {
    return this.#special > 0 ? this.#weaks.targetOf(handle) : undefined;
  }

  protected issue(value: unknown, kind: number): number {
    if (this.#mirror.freeCount === 0) this.#grow();
    const handle = this.#mirror.publish(value, kind);
    if (this.#histories !== undefined) this.#histories.note(handle, DEED.create);
    return handle;
  }

  #grow(): void {
    this.requireOpen();
    // P4: slots that were released but not yet freed come first.
    this.#mailboxes.reclaim();
    while (this.#mirror.freeCount === 0) {
      const buffer = this.#native.takeBlock();
      const number = this.#i32[FLAG_WORD]!;
      if (buffer === undefined) {
        this.#departed.forget();
        if (this.#mirror.freeCount === 0) {
          throw new HaftError('HAFT_E_SLOTS', { message: this.#overflows.table() });
        }
        continue;
      }
      this.#mirror.addBlock(number, new Block(new Int32Array(buffer)));
    }
  }

  protected numberOf(kind: Kind): number {
    const { number } = kind;
    return this.#kinds[number] === kind ? number : (this.#alike.get(kind) ?? this.#define(kind));
  }

  #define(kind: Kind): number {
    const ops = kind.ops.map(({ name }) => `${name}\0`).join('');
    const signatures = kind.ops.map(({ signature }) => `${signatureText(signature)}\0`).join('');
    const number = backend().defineKind(kind.name, kind.fingerprint, ops, signatures);
    if (number < 0) throw errorOfStatus(number, { kind: kind.name });
    while (this.#kinds.length <= number) this.#kinds.push(undefined); // no holes: a sparse array is a hash table
    // Two kinds that are alike in name and signatures are one: the first one's ops serve both.
    if (this.#kinds[number] === undefined) {
      this.#kinds[number] = kind;
      kind.number = number;
    } else {
      if (!this.#kinds[number].hasOptionsOf(kind)) {
        const message = 'the registry knows a kind of this name and these signatures, with other options';
        const next = 'define it once, and share the kind';
        throw new HaftError('HAFT_E_ARGUMENT', { kind: kind.name, message, next });
      }
      this.#alike.set(kind, number);
    }
    return number;
  }

  protected kindOfNumber(number: number): Kind | undefined {
    return this.#kinds[number];
  }

  protected end(handle: number): number {
    const index = handle & INDEX_MASK;
    const block = this.#mirror.blockOf(index)!;
    if ((block.lives > 0 || this.#hasLives(block, index)) && this.#mirror.end(block, index & SLOT_MASK)) {
      this.#drop(index, false, DEED.delete);
      return STATUSES.HAFT_OK.status;
    }
    this.#f64[HANDLE_PLACE] = handle;
    this.#native.remove();
    const status = this.#i32[STATUS_WORD]!;
    if (status === STATUSES.HAFT_OK.status) this.#drop(index, this.#i32[FLAG_WORD] !== 0, DEED.delete);
    return status;
  }

  // Whether no slot of the block can have come round by now. Not asked each time while one is about to.
  #hasLives(block: Block, index: number): boolean {
    if (block.lives < 0) {
      block.lives++;
      return false;
    }
    this.#i32[FLAG_WORD] = index >>> BLOCK_BITS;
    this.#native.livesLeft();
    block.lives = this.#i32[FLAG_WORD]! || -BLOCK_SLOTS;
    return block.lives > 0;
  }

  // The slot of a handle that has ended is free again, or retired.
  #drop(index: number, retired: boolean, why: 5 | 6): void {
    const block = this.#mirror.blockOf(index)!;
    const slot = index & SLOT_MASK;
    if (this.#special > 0) this.#endSpecial(block, index);
    if (this.#histories !== undefined) this.#histories.note(block.handles[slot]!, why);
    this.forgotten(block.handles[slot]!, block.values[slot]);
    if (this.#kept.size > 0) this.#kept.delete(block.handles[slot]!);
    this.#closures.ended(block.kinds[slot]!);
    this.#mirror.drop(block, slot);
    if (retired) this.#retired++;
    else this.#mirror.giveBack(index);
  }

  #endSpecial(block: Block, index: number): void {
    const weak = this.#weaks.ended(index);
    if (weak !== undefined) block.handles[index & SLOT_MASK] = weak; // whose end is told
    if (weak !== undefined || this.#pins.ended(index)) this.#special--;
  }

  protected addReference(handle: number, why: 'retain' | 'intern'): number {
    if (this.#special > 0) this.#weaks.targetOf(handle); // to native code it may be live still
    if (this.#histories !== undefined) return this.#histories.note(handle, DEED[why]);
    this.#f64[HANDLE_PLACE] = handle;
    this.#native.retain();
    return this.#i32[STATUS_WORD]!;
  }

  protected dropReference(handle: number): number {
    if (this.#histories !== undefined) return this.#histories.note(handle, DEED.release);
    this.#f64[HANDLE_PLACE] = handle;
    this.#native.release();
    return this.#i32[STATUS_WORD]!;
  }

  protected override withHistory(error: HaftError, handle: number): HaftError {
    if (this.#histories !== undefined && error.rule !== undefined && !this.closed)
      error.stack += this.#histories.lines(handle);
    return error;
  }

  /** @internal What is known of a handle, one that has ended included; `undefined` below level 2. */
  historyOf(handle: Handle | number | bigint): HandleHistory | undefined {
    const known = normalize(handle);
    if (this.closed || !isInHandleRange(known)) return undefined;
    return this.#histories?.of(known);
  }

  // Level 2: the whole table is walked after each drain. Who hears of it is the `error` event, or the process.
  #checkInvariants(): void {
    const broken = this.#native.walk() ?? brokenMirror(this.#mirror, (index) => this.#weaks.at(index));
    if (broken === undefined) return;
    this.#native.tellBroken(broken);
    const next = 'some code has written into memory that is not its own: run it under AddressSanitizer';
    const error = new HaftError('HAFT_E_INTERNAL', { message: broken, next });
    this.#report(error, 0, { kindName: '', name: 'drain' });
  }

  // What native code says of a handle.
  #checked(handle: number): number {
    this.#f64[HANDLE_PLACE] = handle;
    this.#native.check();
    return this.#i32[STATUS_WORD]!;
  }

  protected diagnose(handle: number): number {
    const status = this.#checked(handle);
    return status === STATUSES.HAFT_OK.status ? STATUSES.HAFT_E_STALE.status : status;
  }

  protected override publishName(name: string, handle: number): void {
    this.#f64[HANDLE_PLACE] = handle;
    this.#native.publish(name);
    const status = this.#i32[STATUS_WORD]!;
    if (status === STATUSES.HAFT_E_SLOTS.status) {
      throw new HaftError('HAFT_E_SLOTS', { handle, message: `a realm has at most ${NAMES} names` });
    }
    if (status !== STATUSES.HAFT_OK.status) throw errorOfStatus(status, { handle });
  }

  // ---- What the drain needs ----

  #receiver(): Receiver {
    return {
      mirror: this.#mirror,
      opOf: (number) => this.#kinds[number >>> 16]!.ops[number & 0xffff]!,
      reportError: (error, handle, op) => this.#report(error, handle, op),
      threw: (error, handle, op) => this.#closures.threwHere(error, handle, op),
      reportGone: (handle, op) => {
        if (this.#events.listenerCount('error') === 0) return;
        const isWeak = this.isWeak(handle);
        const message = `a post of ${op.text} found its object ${isWeak ? 'collected' : 'gone'}`;
        const code = isWeak ? 'HAFT_E_COLLECTED' : 'HAFT_E_STALE';
        this.#report(new HaftError(code, { handle, kind: op.kindName, message }), handle, op);
      },
      weakTarget: (handle) => this.weakTarget(handle),
      statusOfGone: (handle) => {
        if (this.#departed.has(handle)) return STATUSES.HAFT_E_MOVED.status;
        return this.isWeak(handle) ? STATUSES.HAFT_E_COLLECTED.status : STATUSES.HAFT_E_STALE.status;
      },
      hasMoved: (handle) => this.#departed.has(handle),
      sendOn: (handle, op, args) => this.#departed.sendOn(handle, op, args),
      reportDeclined: (code, message, handle, op) => {
        if (this.#events.listenerCount('error') === 0) return;
        this.#report(new HaftError(code, { handle, kind: op.kindName, message }), handle, op);
      },
      freeReleased: () => this.#freeReleased(),
      mailboxFull: (shard, head) => this.#overflows.mailbox(shard, head),
      drained: checkLevel === 2 ? () => this.#checkInvariants() : undefined,
      happened: (events) => this.#waits.happened(events),
      promisesWaiting: (count) => {
        const before = this.#promises;
        this.#promises = count;
        if ((before === 0) !== (count === 0)) this.#updateRef();
      },
    };
  }

  #report(error: unknown, handle: number, op: Place): void {
    if (this.#events.listenerCount('error') === 0) {
      Promise.reject(error);
      return;
    }
    try {
      this.#events.emit('error', error, { handle, kind: op.kindName, op: op.name });
    } catch (thrown) {
      Promise.reject(thrown); // a listener that throws must not end the drain
    }
  }

  #freeReleased(): void {
    for (;;) {
      this.#native.freeReleased();
      const count = this.#i32[FLAG_WORD]!;
      if (count === 0) return;
      for (let i = 0; i < count; i++) {
        const freed = this.#i32[LIST_WORD + i]!;
        this.#reclaimed++;
        if (freed < 0) this.#drop(-1 - freed, true, DEED.drop);
        else this.#drop(freed, false, DEED.drop);
      }
    }
  }

  #createOwn<T>(object: T, of: Kind<T, never> | Kind<T, Signatures>): Handle<T> {
    const handle = this.create(object, of);
    this.#own.add(handle);
    this.#histories?.note(handle, DEED.createOwn);
    return handle;
  }

  #closureTable(): ClosureTable {
    return {
      native: this.#native,
      numberOf: (of) => this.numberOf(of),
      kindOfNumber: (number) => this.#kinds[number],
      issue: (value, kindNumber) => {
        const handle = this.issue(value, kindNumber);
        this.#histories?.note(handle, DEED.createOwn); // C releases it by destroyNotify, if at all
        return handle;
      },
      end: (handle) => {
        if (this.holds(handle)) this.end(handle);
      },
      has: (handle) => this.has(handle),
      get: (handle, of) => this.get(handle, of),
      createOwn: (object, of) => this.#createOwn(object, of),
      isClosed: () => this.closed,
      isHeard: () => this.#events.listenerCount('error') > 0,
      isLive: (handle) => this.#checked(handle) === STATUSES.HAFT_OK.status,
      mailboxes: this.#mailboxes,
      report: (error, handle, place) => this.#report(error, handle, place),
      changed: () => this.#updateRef(),
    };
  }

  #movable(): Movable {
    return {
      native: this.#native,
      check: (handle) => void this.get(handle as Handle),
      numberOf: (kind) => this.numberOf(kind),
      create: (object, kind) => this.create(object, kind),
      createOwn: (object, kind) => this.#createOwn(object, kind),
      hold: (handle) => this.#mailboxes.hold(handle),
      unhold: (handle) => {
        if (!this.closed) this.#mailboxes.unhold(handle);
      },
      leave: (handle, now) => this.#departed.leave(handle, now),
      changed: () => this.#updateRef(),
    };
  }

  #departedTable(): DepartedTable {
    return {
      native: this.#native,
      mirror: this.#mirror,
      mailboxes: this.#mailboxes,
      kindOfNumber: (number) => this.#kinds[number]!,
      forgotten: (handle, value) => this.forgotten(handle, value),
      report: (error, handle, op) => this.#report(error, handle, op),
      retired: () => this.#retired++,
    };
  }

  #collectable(): Collectable {
    return {
      mirror: this.#mirror,
      reclaim: () => {
        this.#mailboxes.reclaim();
        this.#native.sweepLabels();
      },
      weakAt: (index) => (this.#special > 0 ? this.#weaks.handleAt(index) : undefined),
      reclaimed: () => this.#reclaimed,
      isOwn: (handle) => this.#own.has(handle),
      kindName: (number) => this.#kinds[number]?.name ?? '',
      giveBlock: (n) => this.#giveBlock(n),
      comeBack: () => this.#native.ring(),
      changed: () => this.#updateRef(),
      collected: () => this.#waits.happened(EVENT.collected),
    };
  }

  #kindName(number: number): string {
    return this.#kinds[number]?.name ?? '';
  }

  #crowded(): Crowded {
    return {
      registry: this,
      mirror: this.#mirror,
      i32: this.#i32,
      f64: this.#f64,
      kindName: (number) => this.#kindName(number),
      opOf: (number) => this.#kinds[number >>> 16]!.ops[number & 0xffff]!,
      counters: () => countersOf(this.#native.counters()),
    };
  }

  #reportable(): Reportable {
    // Level 2 knows more of a handle.
    const { historyOf } = this as { historyOf?: (handle: number) => KnownHistory | undefined };
    return {
      id: this.id,
      backend: this.backend,
      checkLevel: backend().checkLevel,
      mirror: this.#mirror,
      overflows: this.#overflows.latest,
      names: this.named,
      kindName: (number) => this.#kindName(number),
      isOwn: (handle) => this.#own.has(handle),
      isKept: (handle) => this.#kept.has(handle),
      numbers: () => this.stats(),
      labels: () => backend().labels(),
      resultsOut: () => backend().resultsOut(),
      historyOf: (handle) => historyOf?.call(this, handle),
    };
  }

  #giveBlock(n: number): boolean {
    this.#i32[FLAG_WORD] = n + this.#mirror.base;
    this.#native.giveBlock();
    if (this.#i32[FLAG_WORD] === 0) return false;
    this.#mirror.removeBlock(n);
    return true;
  }

  #updateRef(): void {
    if (this.closed) return;
    const held =
      this.#references + this.#promises + this.#waits.waiting + this.#mover.moving + this.#closures.count;
    if (held > 0 || this.#collector.active) this.#native.ref();
    else this.#native.unref();
  }
}

// Without the addon it is koffi that calls JavaScript, and only the copy that haft has.
function requireOwnKoffi(given: { readonly register: unknown }): void {
  if (copyOf(given) === copyOf(koffi())) return;
  throw new HaftError('HAFT_E_BACKEND', {
    message: 'without the addon C has to be called by the copy of koffi that haft itself uses',
    next: 'install one koffi for both, of the version in the package.json of haft',
  });
}
