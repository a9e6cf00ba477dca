// What one may ask of a kind besides its ops, and the checks of it.
import { HaftError } from './errors.js';
import type { Signatures } from './kind.js';

/**
 * Posts of the kind are delivered in batches: the method is called once with an array of their arguments,
 * `add(batch: [number][])`. A batch is of one object and one op, so that a message of another op delivers what is held
 * first. It is delivered when it is full or its time is up, whichever comes first; also as soon as native code has
 * released the last reference to the object. A call is a batch of one, behind what is held. All ops return `void`. A
 * handler that throws fails once for the whole batch.
 */
export interface BatchOptions {
  /** Most posts of a batch, 1 to 65,536. */
  readonly max: number;
  /** The time since its first post, 0 to 60,000; 0: until the end of the drain. */
  readonly withinMilliseconds: number;
}

/**
 * A post whose handler throws, or rejects, is tried again. From its first failure until it succeeded or was given up,
 * later messages of its handle wait behind it; those that came before that failure was known, while an async handler was
 * under way, do not. After the last failure the registry's `error` event tells. Calls are never tried again. A handler
 * whose promise never settles when it is tried again holds its handle's messages for ever.
 */
export interface RetryOptions {
  /** How often it is tried again, 1 to 100. */
  readonly times: number;
  /** The time between two tries, 0 to 60,000; 0 unless given: the next turn of the event loop. */
  readonly afterMilliseconds?: number;
}

/**
 * When so many handlers of the kind in a row have failed, the breaker opens: posts and calls are `HAFT_E_BREAKER` to
 * their senders, and so are those that wait in the mailbox already. A handler fails that throws or rejects, and one that
 * answers a call with a value of another type, or when its caller has left. After the time one message is let through: if
 * its handler succeeds the breaker closes, else it stays open as long again. Each registry has one for the whole kind.
 */
export interface BreakerOptions {
  /** 1 to 65,536. */
  readonly failures: number;
  /** 1 to 86,400,000. */
  readonly retryAfterMilliseconds: number;
}

export interface KindOptions<T = unknown> {
  /** The name under which C finds the kind; the class's own unless given. */
  readonly name?: string;
  readonly batch?: BatchOptions;
  readonly retries?: RetryOptions;
  readonly breaker?: BreakerOptions;
  /** How an object becomes text or bytes. With `deserialize`, or neither. */
  readonly serialize?: (object: T) => string | Uint8Array;
  /** How it becomes an object again. */
  readonly deserialize?: (data: string | Uint8Array) => T;
}

/** Why a message of an op takes the detour. */
export const OPTION = { batch: 1, retries: 2, breaker: 4, views: 8 } as const;

type Range = readonly [least: number, most: number, otherwise?: number];
const RANGES: Readonly<Record<string, Readonly<Record<string, Range>>>> = {
  batch: { max: [1, 65_536], withinMilliseconds: [0, 60_000] },
  retries: { times: [1, 100], afterMilliseconds: [0, 60_000, 0] },
  breaker: { failures: [1, 65_536], retryAfterMilliseconds: [1, 86_400_000] },
};
const FUNCTIONS = ['serialize', 'deserialize'] as const;

/** The signal of what can be cancelled. @throws HaftError `HAFT_E_ARGUMENT` */
export function signalOf(options: { signal?: AbortSignal | undefined } | undefined): AbortSignal | undefined {
  const signal = options?.signal;
  if (signal === undefined || signal instanceof AbortSignal) return signal;
  throw new HaftError('HAFT_E_ARGUMENT', {
    message: 'options.signal is no AbortSignal',
    next: 'pass { signal } of an AbortController, or nothing',
  });
}

/** The options as they are from now on. @throws HaftError `HAFT_E_ARGUMENT` */
export function checkOptions<T>(
  kind: string,
  signatures: Signatures,
  options: KindOptions<T>,
): KindOptions<T> {
  const refuse = (message: string): never => {
    const next = 'see KindOptions, and docs/concepts.md';
    throw new HaftError('HAFT_E_ARGUMENT', { kind, message, next });
  };
  if (!isObject(options)) refuse('the options are not an object');
  const checked: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options) as [string, unknown][]) {
    if (value === undefined || name === 'name') continue;
    const ranges = RANGES[name];
    if (ranges !== undefined) {
      if (!isObject(value)) refuse(`${name} is not an object`);
      checked[name] = checkedNumbers(name, value as Record<string, unknown>, ranges, refuse);
    } else if ((FUNCTIONS as readonly string[]).includes(name)) {
      if (typeof value !== 'function') refuse(`${name} is not a function`);
      checked[name] = value;
    } else {
      refuse(`there is no option ${name}`);
    }
  }
  if ((checked.serialize === undefined) !== (checked.deserialize === undefined)) {
    refuse('serialize and deserialize come together, or neither');
  }
  for (const [op, { returns = 'void', views = false }] of Object.entries(signatures)) {
    if (checked.batch && returns !== 'void')
      refuse(`${op} returns a result, which an op with batches cannot`);
    if (views && (checked.batch || checked.retries)) {
      refuse(`${op} has views, which end with the handler: they go neither with batch nor with retries`);
    }
  }
  return checked;
}

function checkedNumbers(
  option: string,
  given: Record<string, unknown>,
  ranges: Readonly<Record<string, Range>>,
  refuse: (message: string) => never,
): Record<string, number> {
  const numbers: Record<string, number> = {};
  for (const [name, [least, most, otherwise]] of Object.entries(ranges)) {
    const value = given[name] === undefined ? otherwise : given[name];
    if (!Number.isInteger(value) || (value as number) < least || (value as number) > most) {
      const range = `${least.toLocaleString('en')} to ${most.toLocaleString('en')}`;
      const shown = typeof value === 'number' ? String(value) : typeof value;
      refuse(`${option}.${name} is a whole number from ${range}, not ${shown}`);
    }
    numbers[name] = value as number;
  }
  for (const name of Object.keys(given)) if (!(name in ranges)) refuse(`${option} has no ${name}`);
  return numbers;
}

/** Whether two kinds ask the same. */
export function sameOptions(a: KindOptions, b: KindOptions): boolean {
  const numbers = Object.entries(RANGES).every(([option, ranges]) => {
    const [x, y] = [a[option as 'batch'], b[option as 'batch']] as (Record<string, number> | undefined)[];
    return x === undefined || y === undefined
      ? x === y
      : Object.keys(ranges).every((name) => x[name] === y[name]);
  });
  return numbers && FUNCTIONS.every((name) => a[name] === b[name]);
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}
