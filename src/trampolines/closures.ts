// What a registry does for its trampolines: binds closures, hears of misuse, and brings what closures throw to where
// JavaScript called C.
import type { NativeRealm } from '../binding.js';
import { EXCHANGE, EXCHANGE_MISUSES, EXCHANGE_THROWN, KINDS } from '../constants.js';
import { type ErrorCode, HaftError, statusName } from '../errors.js';
import { type Handle, normalize } from '../handle.js';
import { type Kind, kind, type Op } from '../kind.js';
import type { Mailboxes } from '../messages/mailbox.js';
import { KoffiTrampoline } from './koffi-trampoline.js';
import type { KoffiUser } from './koffi-way.js';
import type { TrampolineHost } from './trampoline.js';

const THROWN_WORD = (EXCHANGE >> 2) + EXCHANGE_THROWN;
const MISUSES_WORD = (EXCHANGE >> 2) + EXCHANGE_MISUSES;
const NOT_ENTERED = {
  message:
    'JavaScript could not run: its stack was full, or C was called by a copy of koffi that haft does not know',
  next: 'call registry.useKoffi(koffi) with the copy that calls C; look for a closure that calls itself through C',
};
const MISUSED = 'C called a trampoline, and no closure could be reached by its user data';
const MISUSED_NEXT =
  'unbind a closure only when C calls it no more, and pass C the userData of this trampoline unchanged';

/** What user data that names no closure comes to; anything else has its own text. */
const WRONG_HANDLE: ReadonlySet<ErrorCode> = new Set([
  'HAFT_E_FORGED',
  'HAFT_E_STALE',
  'HAFT_E_MOVED',
  'HAFT_E_COLLECTED',
  'HAFT_E_KIND',
  'HAFT_E_CLOSED',
]);

/** Where something went wrong: an op, or what stands for one. */
export type Place = Pick<Op, 'kindName' | 'name'>;

/** What they need of the registry. */
export interface ClosureTable {
  readonly native: NativeRealm;
  numberOf(kind: Kind): number;
  kindOfNumber(number: number): Kind | undefined;
  issue(value: unknown, kindNumber: number): number;
  /** Ends a handle; nothing if it has ended. */
  end(handle: number): void;
  has(handle: number): boolean;
  get(handle: number | bigint, kind: Kind): unknown;
  /** Issues a handle of haft's own, which the registry does not count. */
  createOwn(object: MisuseListener, kind: typeof MisuseKind): number;
  /** Also where native code has released it, and the drain has not seen it yet. */
  isLive(handle: number): boolean;
  isClosed(): boolean;
  readonly mailboxes: Mailboxes;
  /** Whether somebody listens to errors. */
  isHeard(): boolean;
  report(error: unknown, handle: number, place: Place): void;
  /** The number of closures that keep the event loop alive has changed to or from 0. */
  changed(): void;
}

/** What a closure threw, and which. */
interface Thrown {
  readonly error: unknown;
  readonly handle: number;
  readonly place: Place;
}

/** One `invoke`. */
interface Frame {
  /** Messages that were under way when it was called. */
  readonly depth: number;
  thrown: Thrown | undefined;
}

/** Hears of C that calls trampolines with the wrong user data. */
class MisuseListener {
  constructor(readonly misused: (status: number, op: number, userData: bigint) => void) {}
}

const MisuseKind = kind(
  MisuseListener,
  { misused: { args: ['i32', 'u32', 'i64'] } },
  { name: 'haft.misuse' },
);

export class Closures implements TrampolineHost, KoffiUser {
  readonly native: NativeRealm;
  readonly #table: ClosureTable;
  readonly #mailboxes: Mailboxes;
  readonly i32: Int32Array;
  /** By the kind's number: its handles keep the event loop alive. */
  readonly #keepsAlive = new Uint8Array(KINDS);
  /** So many closures keep the event loop alive. */
  count = 0;
  #misuseHandle = 0;
  /** What a closure threw in the call of C that ends next. */
  #thrown: Thrown | undefined;

  constructor(table: ClosureTable) {
    this.native = table.native;
    this.#table = table;
    this.#mailboxes = table.mailboxes;
    this.i32 = new Int32Array(table.native.buffer);
    all.add(this);
  }

  close(): void {
    KoffiTrampoline.forget(this);
    all.delete(this);
  }

  // ---- For trampolines ----

  numberOf(of: Kind): number {
    return this.#table.numberOf(of);
  }

  bind(value: unknown, of: Kind, kindNumber: number): Handle {
    if (typeof value !== (of.isFunction ? 'function' : 'object') || value === null) {
      const wanted = of.isFunction ? 'a function' : 'an object with a method for each';
      throw new HaftError('HAFT_E_KIND', {
        kind: of.name,
        message: `what is bound is not ${wanted}`,
        next: `bind ${wanted}`,
      });
    }
    const handle = this.#table.issue(value, kindNumber);
    if (this.#keepsAlive[kindNumber] !== 0 && this.count++ === 0) this.#table.changed();
    return handle as Handle;
  }

  unbind(handle: number): void {
    this.#table.end(handle);
  }

  has(handle: number): boolean {
    return this.#table.has(handle);
  }

  isLive(handle: number): boolean {
    return this.#table.isLive(handle);
  }

  get isClosed(): boolean {
    return this.#table.isClosed();
  }

  get(handle: number | bigint, of: Kind): unknown {
    return this.#table.get(handle, of);
  }

  keepAlive(kindNumber: number): void {
    this.#keepsAlive[kindNumber] = 1;
  }

  /** A handle of this kind has ended. */
  ended(kindNumber: number): void {
    if (this.#keepsAlive[kindNumber] !== 0 && --this.count === 0) this.#table.changed();
  }

  // ---- Misuse ----

  listen(): void {
    if (this.#misuseHandle === 0) this.#misuseHandle = this.#createListener();
    this.heard();
  }

  /** Somebody listens to errors from now on, or nobody does any more: then native code tells of none. */
  heard(): void {
    if (this.#misuseHandle === 0 || this.#table.isClosed()) return;
    this.native.reportMisuse(this.#table.isHeard() ? this.#misuseHandle : 0, MisuseKind.ops[0]!.number);
  }

  #createListener(): number {
    const listener = new MisuseListener((status, op, userData) => {
      const of = this.#table.kindOfNumber(op >>> 16);
      const handle = normalize(BigInt.asUintN(64, userData));
      this.i32[MISUSES_WORD]!++;
      const code = statusName(status);
      if (code !== 'HAFT_OK') this.misused(code, handle, of, of?.ops[op & 0xffff]?.name ?? '');
    });
    return this.#table.createOwn(listener, MisuseKind);
  }

  misused(code: ErrorCode, handle: unknown, of: Kind | undefined, name: string): void {
    if (!this.#table.isHeard()) return;
    const wrong = { message: MISUSED, next: MISUSED_NEXT };
    const texts = WRONG_HANDLE.has(code) ? wrong : code === 'HAFT_E_UNSUPPORTED' ? NOT_ENTERED : {};
    const error = new HaftError(code, { handle, kind: of?.name, ...texts });
    this.#table.report(error, Number(handle), { kindName: of?.name ?? '', name });
  }

  // ---- Messages of C on this thread, and exceptions ----

  /** C that koffi called calls a closure, or any object. */
  run(): void {
    if (anyThrown) forgetThrown();
    this.#runDirect(true);
  }

  /** C that an addon called: nothing passes through it to where JavaScript called that. */
  runFromAddon(): void {
    this.#runDirect(false);
  }

  #runDirect(throughKoffi: boolean): void {
    depth++;
    try {
      this.#mailboxes.direct();
    } finally {
      depth--;
    }
    if (this.#thrown !== undefined) this.#tell(this.#thrown, throughKoffi);
  }

  /** Whether C is in the midst of a message on this thread. */
  get isInside(): boolean {
    return depth > 0;
  }

  /** koffi's callback runs a closure itself: before, and after. */
  entered(): void {
    depth++;
  }

  left(): void {
    depth--;
  }

  /** A closure threw that C called on this thread by a message. */
  threwHere(error: unknown, handle: number, place: Place): void {
    this.#thrown = { error, handle, place };
  }

  threw(error: unknown, handle: Handle, of: Kind, name: string, mayThrow: boolean): boolean {
    if (mayThrow && !this.#isFramed()) {
      noteThrown();
      return true;
    }
    this.#keep({ error, handle, place: { kindName: of.name, name } });
    return false;
  }

  #tell(thrown: Thrown, throughKoffi: boolean): void {
    this.#thrown = undefined;
    if (throughKoffi && !this.#isFramed()) {
      noteThrown();
      throw thrown.error;
    }
    this.#keep(thrown);
  }

  // Whether `invoke` made the call of C that this closure was called by, and not another one inside that.
  #isFramed(): boolean {
    return frame !== undefined && frame.depth === depth;
  }

  // For the innermost `invoke` if there is one, and for its first exception; else for whoever listens.
  #keep(thrown: Thrown): void {
    if (frame !== undefined && frame.thrown === undefined) frame.thrown = thrown;
    else this.#table.report(thrown.error, thrown.handle, thrown.place);
  }

  invoke<A extends readonly unknown[], R>(f: (...args: A) => R, args: A): R {
    const outer = frame;
    const mine: Frame = { depth, thrown: undefined };
    frame = mine;
    let result: R;
    try {
      result = f(...args);
    } catch (error) {
      frame = outer;
      if (mine.thrown !== undefined) this.#keep(mine.thrown); // only one can be thrown here
      throw error;
    }
    frame = outer;
    if (mine.thrown !== undefined) throw (mine.thrown as Thrown).error;
    return result;
  }

  /** Native code tells C that an exception is on its way, as long as none of JavaScript can run. */
  mark(isThrown: boolean): void {
    if (!this.#table.isClosed()) this.i32[THROWN_WORD] = isThrown ? 1 : 0;
  }
}

// ---- Of this thread, for all its registries ----

/** Messages of C on this thread that are under way, one inside the other. */
let depth = 0;
let frame: Frame | undefined;
/** An exception passes through koffi: until it has arrived, koffi runs no JavaScript. */
let anyThrown = false;
const all = new Set<Closures>();

function noteThrown(): void {
  anyThrown = true;
  for (const closures of all) closures.mark(true);
  Promise.resolve().then(forgetThrown); // it has arrived by then
}

function forgetThrown(): void {
  anyThrown = false;
  for (const closures of all) closures.mark(false);
}
