// The one file that knows the addon: finds it, loads it, checks that it was built for the same layout, and says what
// it has.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import * as constants from './constants.js';
import type { HandleHistory } from './debugging/history.js';
import { HaftError } from './errors.js';
import { PACKAGE } from './place.js';

declare const tag: unique symbol;
/** `const haft_api *` for the addons of others: a Node-API external, tagged `{0x68616674, 0x61706900}`. */
export type NativeApi = { readonly [tag]: never };

/**
 * One open realm. Functions without arguments have them in the exchange: a typed array costs less than a Node-API
 * value. All are for the realm's own thread.
 */
export interface NativeRealm {
  /** The realm's structures, up to the names. */
  readonly buffer: ArrayBuffer;
  /** `haft_realm` in C. */
  readonly id: number;
  /** The generations that a slot has, less one. */
  readonly generationMask: number;
  /** Number of the process's first block. */
  readonly blockBase: number;
  /** Handle in, status out, flag out: 1 if the slot retired. */
  remove(): void;
  /** Handle in, status out. So too `release` and `check`. */
  retain(): void;
  release(): void;
  check(): void;
  /** Flag out: 1 if there was something. */
  takeReleased(): void;
  /** Flag out: how many indexes stand in the list. A retired one is `-1 - index`. */
  freeReleased(): void;
  /** Flag in: how many numbers of replies stand in the wake list. */
  wakeCallers(): void;
  /** Flag in: the shard. */
  wakeProducers(): void;
  /** Flag in: the number of the reply. */
  discardReply(): void;
  /** Rings the own doorbell: the event loop comes back. */
  ring(): void;
  /** The slots of a block; its number in the flag, negative when there is none left. */
  takeBlock(): ArrayBuffer | undefined;
  /** Handle in, 0 to take the name back; status out. */
  publish(name: string): void;
  /** From a chunk of the heap, and gives back `given`, a chunk or 0. */
  readText(offset: number, length: number, ascii: boolean, given: number): string | undefined;
  readBytes(offset: number, length: number): Uint8Array | undefined;
  giveChunk(offset: number): void;
  /** Into a chunk, whose offset stands in place of the handle; flag out: bytes, -1: no room, -2: too large. */
  writePayload(payload: string | Uint8Array): void;
  /** The address of a C function that runs `direct` from koffi's own stack. */
  useKoffi(address: bigint): void;
  /** Flag in: events that native threads may wait for. */
  happened(): void;
  /** Counters of every shard, as src/messages/counters.ts reads them. */
  counters(): Float64Array;
  /** Handle in, number in: the handle that its object has now, with one reference; status out. */
  move(): void;
  /** Handle in; status out, number out: where it moved. */
  moved(): void;
  /** Handle in, a moved one; status out, flag out: 1 if the slot retired. */
  forget(): void;
  /** Handle in, a moved one: no message to it is on its way any more. */
  letGo(): void;
  /** Flag in: a block; flag out: how often any one of its slots may be freed until one has come round. */
  livesLeft(): void;
  /** Flag in: a block; flag out: 1 if it was given back. */
  giveBlock(): void;
  /** Handle in: the object that accepts moved ones; 0: none. */
  setAcceptor(): void;
  /** The handle of another realm's; 0: it is closed, or accepts none. */
  acceptorOf(realm: number): number;
  /** Refuses the kind's posts and calls until a time of `process.hrtime.bigint()`; 0n: no longer. */
  refuseKind(kind: number, until: bigint): void;
  /** Posts to an object of any realm, without waiting. The status; a failure is not counted. */
  offer(handle: number, op: number, types: readonly number[], values: readonly unknown[]): number;
  /** Calls it. If the status is 0, the answer arrives as that request's, and the doorbell rings. */
  call(
    handle: number,
    op: number,
    types: readonly number[],
    values: readonly unknown[],
    milliseconds: number,
    request: number,
  ): number;
  /** The oldest answer: request, status, and the result if it is a number or a string. */
  takeArrival(): [request: number, status: number, result: number | string] | undefined;
  /** The bytes of a chunk where they lie. Detach it before the chunk is given back. */
  viewBytes(offset: number, length: number): ArrayBuffer | undefined;
  detach(buffer: ArrayBuffer): void;
  /**
   * The C function pointer of a trampoline; a status where there is none. `types` and `returns` are numbers of
   * `WIRE_TYPES`; `through` is a C function that finds the user data from that argument, or 0n.
   */
  trampoline(
    types: Uint8Array,
    returns: number,
    userData: number,
    mode: number,
    op: number,
    through: bigint,
    milliseconds: number,
    onError: bigint,
    onPosted: bigint,
  ): bigint | number;
  /** Misuse of trampolines is posted to this object: the status, the op, and the user data. */
  reportMisuse(handle: number, op: number): void;
  /** Handle in, status out: the object of a weak handle was collected. */
  collect(): void;
  /** Handle in, of haft.memory: where it lies, and its bytes. The address. */
  pin(start: Uint8Array, byteLength: number): bigint;
  /** Handle in: it has ended. */
  unpin(): void;
  /** Handle in, status out. So too `releaseAs`. The stack is for level 2. */
  retainAs(label: string, stack: string): void;
  releaseAs(label: string, stack: string): void;
  /** Forgets the labels of handles that have ended. */
  sweepLabels(): void;
  /**
   * Level 2. Handle in, status out: keeps what JavaScript does to it, a `DEED` of src/debugging/history.ts, and does what is a retain
   * or a release: `HAFT_E_OWNER` where JavaScript has no reference to give back. `stack`: a frame a line.
   */
  note(deed: number, stack: string): void;
  /** Handle in, status out: a reference of JavaScript's becomes native code's. Below level 2 only the handle is checked. */
  transfer(stack?: string): void;
  /** Handle in, status out: whether a handler may return it, with a reference. */
  checkGiven(): void;
  /** Level 2. Handle in. `origin`: milliseconds of the monotonic clock at which the caller's time begins. */
  history(origin: number): HandleHistory | undefined;
  /** Overwrites bytes of a chunk. */
  poison(offset: number, length: number): void;
  /** What is wrong with the realm's part of the table, in words; `undefined` while all holds. */
  walk(): string | undefined;
  /** Tells on standard error that the table is broken; with HAFTCHECK=2,abort the process ends here. */
  tellBroken(text: string): void;
  /** `undefined`: koffi serves, and there are no calls of functions of the host. */
  readonly host: NativeHost | undefined;
  /** Returns the counters as they are at the end. */
  close(): Float64Array;
  ref(): void;
  unref(): void;
}

/** How a call of a function of the host ended; the value is a text where the status is no HAFT_OK. */
export type HostAnswer = [token: number, status: number, type: number, value: unknown];

/** Calls of functions of the host. */
export interface NativeHost {
  /** Sends one, whose caller waits in the way of `mode` (`HOST_PROMISE`, ...): its token, above 0; or a status. */
  begin(name: string, mode: number, types: readonly number[], values: readonly unknown[]): number;
  /** Handles messages until one of a sync mode has ended: its answer; or the status of one that was given up. */
  wait(token: number, milliseconds: number): HostAnswer | number;
  /** Gives one up. False: its answer is there, or on its way. */
  withdraw(token: number): boolean;
  /** Those of `HOST_PROMISE` that have ended since. */
  answers(): HostAnswer[];
}

/** A plugin whose library is in the process. */
export interface NativePlugin {
  /** The address of its haft_plugin_init: the same for every path to one library. */
  readonly init: bigint;
  /** Its haft_plugin_version, major << 16 | minor; none in a library that was built with a header before 1.2. */
  readonly version?: number;
}

/** Where the events of HAFT_TRACE go. */
export interface NativeTrace {
  /** Why there is no file. */
  readonly problem?: string | undefined;
  /** Names the calling thread in the trace; its number there. */
  thread(name: string): number;
  /** Whole lines, an event each with a comma behind it. Native threads' events that wait are written too. */
  write(lines: string): void;
}

/** What the self-test of `haft doctor` counted; the statuses are of the first post and call that failed. */
export type SelfTestFigures = readonly [
  posts: number,
  postSeconds: number,
  postStatus: number,
  calls: number,
  callSeconds: number,
  callStatus: number,
  forgedStatus: number,
  staleStatus: number,
];

/** What the package needs of the addon, or of what serves in its place. */
export interface Addon {
  readonly layout: Readonly<Record<string, number>>;
  readonly api: NativeApi;
  /** The same as an integer. */
  apiAddress(): bigint;
  /** The address of a C function that releases the handle in its one argument. */
  destroyNotify(): bigint;
  /** HAFTCHECK as the process had it when the addon was loaded first; '' where it was not set. */
  readonly checks: string;
  /** Its level. */
  readonly checkLevel: number;
  /** Undefined where nothing is traced. */
  readonly trace?: NativeTrace | undefined;
  /** The kind's number, or a negative status. Names of the ops, and their signatures, each ended by NUL. */
  defineKind(name: string, fingerprint: bigint, ops: string, signatures: string): number;
  /** The realm, or a negative status. `drain` and `direct` must not throw. */
  open(drain: () => void, direct: () => void): NativeRealm | number;
  /** Of every handle with labels, of any realm: handle, label, how many references have it, and so on. */
  labels(): (number | string)[];
  /** Results that C has not given back by haft_value_free; 0 at level 0. */
  resultsOut(): number;
  /** Counts handles that leaked, in all threads of the process; tells how many that are now. */
  noteLeaks(more: number): number;
  /** Why the host cannot run, or `undefined` when it does. */
  runHost(
    path: string,
    realm: number,
    args: readonly string[],
    done: (exitCode: number) => void,
  ): string | undefined;
  /** Loads a plugin, for ever, and runs nothing of it; or why it is none, as a sentence: dlerror's, or that
   * haft_plugin_init is missing. */
  pluginOpen(path: string): NativePlugin | string;
  /** Runs haft_plugin_init on this thread: its status, and what haft_last_error() says (`name: message` of an exception)
   * if that came of this run and has the same status, else ''. */
  pluginInit(init: bigint, realm: number): [status: number, text: string];
  /** SIGINT and SIGTERM reach their listeners once; the second one ends the process at once. */
  exitAtSecondSignal(): void;
  closeAll(): void;
  /**
   * As the child of a program that embeds: takes part in its arena, before the first realm opens. `stop` is called when the
   * program wants an end in order, or is gone. The status.
   */
  attach?(stop: (gone: boolean) => void): number;
  /**
   * A native thread posts to an object for so long, then calls it as long; without the addon this thread does. Both ops take
   * an f64; the one that is called answers with the sum of all. Why it cannot, or `undefined`: then `done` hears of it.
   */
  selfTest(
    handle: number,
    toPost: number,
    toCall: number,
    ended: number,
    milliseconds: number,
    done: (figures: SelfTestFigures) => void,
  ): string | undefined;
}

/** Where the addon may be, in the order in which it is tried. */
export function addonCandidates(): string[] {
  // HAFT_ADDON: an addon built otherwise, as the tests of generation wrap use it.
  if (process.env.HAFT_ADDON) return [process.env.HAFT_ADDON];
  return [
    join(PACKAGE, 'build', 'Release', 'haft.node'),
    join(PACKAGE, 'prebuilds', `${process.platform}-${process.arch}`, 'haft.node'),
  ];
}

/** Whether there is a file that could be the addon. */
export function isAddonThere(): boolean {
  return addonCandidates().some((path) => existsSync(path));
}

/** How the addon is built: in a checkout, or from the sources of an installed package. */
export function howToBuild(): string {
  return existsSync(join(PACKAGE, 'scripts', 'prepare.mjs'))
    ? 'run "npm run build" in the folder of haft'
    : `run "npx node-gyp configure build -C ${relative(process.cwd(), PACKAGE) || '.'}"`;
}

function load(): Addon {
  const tried: string[] = [];
  const require = createRequire(import.meta.url);
  for (const path of addonCandidates()) {
    if (!existsSync(path)) {
      tried.push(`${path}: no such file`);
      continue;
    }
    try {
      const addon = require(path) as Addon;
      if (typeof addon.layout !== 'object') throw new Error('an addon, but not that of haft');
      checkLayout(addon, path);
      return addon;
    } catch (error) {
      if (error instanceof HaftError) throw error;
      tried.push(`${path}: ${(error as Error).message}`);
    }
  }
  const message = `the addon could not be loaded. Tried:\n  ${tried.join('\n  ')}\n`;
  throw new HaftError('HAFT_E_UNSUPPORTED', { message, next: howToBuild() });
}

function checkLayout(addon: Addon, path: string): void {
  const expected: Readonly<Record<string, unknown>> = constants;
  for (const [name, value] of Object.entries(addon.layout)) {
    if (expected[name] === value) continue;
    const message = `${path} was built for another version of haft (${name} is ${value}, not ${expected[name]})`;
    throw new HaftError('HAFT_E_ABI', { message });
  }
}

let loaded: Addon | undefined;

/** The addon; loads it at the first call, so that `HandleTable` works without. @throws HaftError */
export function addon(): Addon {
  if (loaded === undefined) {
    loaded = load();
    // P25: process.exit() on the main thread runs no clean-up hook of the environment; a worker's run.
    if (isMainThread) process.on('exit', () => loaded?.closeAll());
  }
  return loaded;
}
