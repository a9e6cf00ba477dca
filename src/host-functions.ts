// Functions of the host, as JavaScript calls them: `registry.host`. Arguments and answers travel by native/calling.cc; here
// they are checked, and promises kept.
import type { HostAnswer, NativeHost } from './binding.js';
import { HOST_PROMISE, HOST_SYNC, HOST_SYNC_DEAF, NAME_BYTES, STATUSES } from './constants.js';
import { type ErrorCode, errorOfStatus, HaftError, statusName } from './errors.js';
import { isInHandleRange, NULL_HANDLE, normalize } from './handle.js';
import {
  type ArgumentsOf,
  checkDefinition,
  type Signature,
  signatureText,
  TYPES,
  type ValueOf,
} from './kind.js';
import { argumentsOf, fits } from './messages/wire.js';

// As they are when haft is imported: tests put fakes in their place (P12).
const { clearTimeout, setTimeout } = globalThis;

/** The types of one function of the host, as C has it under the name. */
export type HostSignature = Omit<Signature, 'views'>;
export type HostSignatures = Readonly<Record<string, HostSignature>>;

/** What `registry.host` gives: a method for each function. */
export type HostFunctions<O extends HostSignatures> = {
  readonly [K in keyof O]: (...args: ArgumentsOf<O[K]>) => Promise<ValueOf<O[K]>>;
} & {
  /** The same methods, which wait: messages are handled meanwhile, promises do not settle. */
  readonly sync: { readonly [K in keyof O]: (...args: ArgumentsOf<O[K]>) => ValueOf<O[K]> };
};

export interface HostOptions {
  /** How long each call may take, from 1; unless given, until the registry closes. */
  readonly timeoutMilliseconds?: number;
}

/** What it needs of the registry. */
export interface Caller {
  /** `undefined`: haft runs without its addon. */
  readonly native: NativeHost | undefined;
  requireOpen(): void;
  /** Whether a wait can handle messages, however many stand around it. */
  canServe(): boolean;
  /** Gives back a reference that nobody takes. */
  drop(handle: number): void;
  /** `waiting` has changed. */
  changed(): void;
}

interface Waiting {
  readonly function: HostFunction;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly timer: ReturnType<typeof setTimeout> | undefined;
}

const TYPE_NAMES = Object.keys(TYPES);
const OK = STATUSES.HAFT_OK.status;
const FOREVER = -1;

/** One function, as it was declared. */
class HostFunction {
  readonly args: readonly number[];
  readonly returns: number;

  constructor(
    readonly name: string,
    readonly signature: HostSignature,
    readonly milliseconds: number,
  ) {
    this.args = (signature.args ?? []).map((type) => TYPES[type]);
    this.returns = TYPES[signature.returns ?? 'void'];
  }

  get text(): string {
    return `${this.name}${signatureText(this.signature)} of the host`;
  }

  /** @throws HaftError `HAFT_E_ARGUMENT` for values that are not what it takes. */
  check(values: readonly unknown[]): readonly unknown[] {
    if (values.length !== this.args.length) {
      this.#refuse(`${this.text} takes ${argumentsOf(this.args.length)}, not ${values.length}`);
    }
    return this.args.map((type, i) => {
      const value = type === TYPES.handle ? normalize(values[i]) : values[i];
      if (!isOfType(type, value)) this.#refuse(`argument ${i + 1} of ${this.text} is no ${TYPE_NAMES[type]}`);
      return value;
    });
  }

  #refuse(message: string): never {
    throw new HaftError('HAFT_E_ARGUMENT', { message, rule: 7, next: 'pass what the function declares' });
  }

  /** What a call came to. @throws HaftError */
  valueOf([, status, type, value]: HostAnswer, drop: (handle: number) => void): unknown {
    if (status !== OK) throw this.errorOf(status, value as string);
    if (type === this.returns) return value;
    if (NUMBERS.has(type) && NUMBERS.has(this.returns) && fits(this.returns, value as number)) return value;
    if (type === TYPES.handle && value !== NULL_HANDLE) drop(value as number);
    if (this.returns === TYPES.void) return undefined;
    throw new HaftError('HAFT_E_RESULT', {
      message: `${this.text} answered ${TYPE_NAMES[type]}, not ${TYPE_NAMES[this.returns]}`,
      next: 'answer by haft_reply_value with what JavaScript declares under `returns`',
    });
  }

  errorOf(status: number, text = ''): HaftError {
    const code = statusName(status) as ErrorCode;
    const details =
      STATUSES[code].status === status
        ? { message: `${this.text}: ${STATUSES[code].message}`, ...NEXT[code] }
        : { message: `${this.text}: it returned ${status}`, next: 'let it return a status of haft.h' };
    return new HaftError(code, text ? { ...details, message: text } : details);
  }
}

const NUMBERS: ReadonlySet<number> = new Set([TYPES.f64, TYPES.i32, TYPES.u32]);

/** Where the next step of a code speaks to C. */
const NEXT: { readonly [C in ErrorCode]?: { readonly next: string } } = {
  HAFT_E_EXCEPTION: { next: 'look at what the function of the host says' },
  HAFT_E_NOT_FOUND: { next: 'give the host a function of that name with haft_expose first' },
  HAFT_E_TIMEOUT: { next: 'allow more time, or have a thread wait in haft_serve or haft_call' },
};

function isOfType(type: number, value: unknown): boolean {
  switch (type) {
    case TYPES.f64:
      return typeof value === 'number';
    case TYPES.i32:
      return typeof value === 'number' && (value | 0) === value;
    case TYPES.u32:
      return typeof value === 'number' && value >>> 0 === value;
    case TYPES.i64:
      return typeof value === 'bigint' && BigInt.asIntN(64, value) === value;
    case TYPES.bool:
      return typeof value === 'boolean';
    case TYPES.handle:
      return value === NULL_HANDLE || isInHandleRange(value);
    case TYPES.str:
      return typeof value === 'string';
    default:
      return value instanceof Uint8Array;
  }
}

export class HostCalls {
  readonly #caller: Caller;
  /** The promises that are not settled, by the tokens of their calls. */
  readonly #waiting = new Map<number, Waiting>();

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /** Promises that are not settled: while there are any, the event loop stays alive. */
  get waiting(): number {
    return this.#waiting.size;
  }

  functions<O extends HostSignatures>(ops: O, options: HostOptions = {}): HostFunctions<O> {
    this.#requireNative();
    checkDefinition('host', ops);
    const { timeoutMilliseconds } = options;
    if (
      timeoutMilliseconds !== undefined &&
      !(Number.isInteger(timeoutMilliseconds) && timeoutMilliseconds > 0)
    ) {
      refuse(`timeoutMilliseconds is ${String(timeoutMilliseconds)}`, 'give a whole number above 0');
    }
    const promising: Record<string, unknown> = Object.create(null);
    const sync: Record<string, unknown> = Object.create(null);
    for (const [name, signature] of Object.entries(ops)) {
      checkName(name, signature);
      const of = new HostFunction(name, signature, timeoutMilliseconds ?? FOREVER);
      promising[name] = (...args: unknown[]) => this.#promise(of, args);
      sync[name] = (...args: unknown[]) => this.#wait(of, args);
    }
    promising.sync = Object.freeze(sync);
    return Object.freeze(promising) as HostFunctions<O>;
  }

  #requireNative(): NativeHost {
    const { native } = this.#caller;
    if (native !== undefined) return native;
    throw new HaftError('HAFT_E_BACKEND', { message: 'functions of the host need the addon of haft' });
  }

  #begin(of: HostFunction, mode: number, args: readonly unknown[]): number {
    this.#caller.requireOpen();
    const token = this.#requireNative().begin(of.name, mode, of.args, of.check(args));
    if (token > 0) return token;
    if (token !== STATUSES.HAFT_E_BUSY.status) throw errorOfStatus(token);
    throw errorOfStatus(token, {
      message: `${of.text}: 256 calls of functions of the host wait or run`,
      next: 'wait for some of them, or have more threads wait in haft_serve',
    });
  }

  async #promise(of: HostFunction, args: readonly unknown[]): Promise<unknown> {
    const token = this.#begin(of, HOST_PROMISE, args);
    return new Promise((resolve, reject) => {
      const { milliseconds } = of;
      const timer = milliseconds === FOREVER ? undefined : setTimeout(() => this.#late(token), milliseconds);
      this.#waiting.set(token, { function: of, resolve, reject, timer });
      if (this.#waiting.size === 1) this.#caller.changed();
    });
  }

  // If it cannot be withdrawn, its answer is on its way.
  #late(token: number): void {
    const late = this.#waiting.get(token);
    if (late === undefined || !this.#requireNative().withdraw(token)) return;
    this.#forget(token);
    late.reject(late.function.errorOf(STATUSES.HAFT_E_TIMEOUT.status));
  }

  #forget(token: number): void {
    this.#waiting.delete(token);
    if (this.#waiting.size === 0) this.#caller.changed();
  }

  #wait(of: HostFunction, args: readonly unknown[]): unknown {
    const mode = this.#caller.canServe() ? HOST_SYNC : HOST_SYNC_DEAF;
    const token = this.#begin(of, mode, args);
    const answer = this.#requireNative().wait(token, of.milliseconds);
    if (typeof answer !== 'number') return of.valueOf(answer, this.#caller.drop);
    if (answer === STATUSES.HAFT_E_EXCEPTION.status) throw new RangeError(`the stack is full in ${of.text}`);
    throw of.errorOf(answer);
  }

  /** Settles the promises whose answers have come. */
  answered(): void {
    for (const answer of this.#requireNative().answers()) {
      const waiting = this.#waiting.get(answer[0]);
      if (waiting === undefined) continue;
      clearTimeout(waiting.timer);
      this.#forget(answer[0]);
      try {
        waiting.resolve(waiting.function.valueOf(answer, this.#caller.drop));
      } catch (error) {
        waiting.reject(error);
      }
    }
  }

  /** The registry has closed. */
  close(): void {
    for (const { function: of, reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(of.errorOf(STATUSES.HAFT_E_CLOSED.status));
    }
    this.#waiting.clear();
  }
}

function checkName(name: string, signature: Signature): void {
  const next = 'see docs/concepts.md, "Functions of the host"';
  if (new TextEncoder().encode(name).length > NAME_BYTES) {
    refuse(`the name of a function of the host has at most ${NAME_BYTES} bytes: ${name}`, next);
  }
  // With a method `then` the object would be a promise to `await`, and call C with functions that settle it.
  if (name === 'sync' || name === 'then') refuse(`${name} is no name for a function of the host`, next);
  if (signature.views !== undefined) refuse(`${name} is C's: there are no views of its bytes`, next);
}

function refuse(message: string, next: string): never {
  throw new HaftError('HAFT_E_ARGUMENT', { message, next });
}
