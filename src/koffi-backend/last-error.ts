// What haft_last_error tells: the latest failure of JavaScript's own thread, and that of all other threads together,
// which koffi does not tell apart. So the latter is told to whoever asks before another function is called; after that it is
// HAFT_E_BACKEND, with the text. Failures are kept here and written for C when it asks.
import { Buffer } from 'node:buffer';
import { STATUSES } from '../constants.js';
import { ruleOf, type StatusName, statusName } from '../errors.js';
import { Lasting, type Pointer } from './memory.js';

const STRUCT_BYTES = 56; // haft_error
const TEXT_BYTES = 4096;
const ANSWERS = 64;
const STATUS = 4;
const HANDLE = 8;
const NAME = 16;
const RULE = 48;

export interface Failure {
  readonly status: number;
  readonly handle: unknown;
  readonly name: string;
  readonly message: string;
  readonly stack: string;
  /** The pointer rule that was broken, or 0. */
  readonly rule: number;
}

/** The descriptions, by number. */
const DESCRIPTIONS = new Map<number, { readonly message: string; readonly next: string }>(
  Object.values(STATUSES).map(({ status, message, next }) => [status, { message, next }]),
);

export function messageOf(status: number): string {
  return DESCRIPTIONS.get(status)?.message ?? 'unknown status';
}

function defaultRule(status: number): number {
  return ruleOf(nameOf(status) as StatusName) ?? 0;
}

export function nameOf(status: number): string {
  return DESCRIPTIONS.has(status) ? statusName(status) : 'HAFT_E_UNKNOWN';
}

const NONE: Failure = { status: 0, handle: 0, name: 'HAFT_OK', message: messageOf(0), stack: '', rule: 0 };
const BACKEND = STATUSES.HAFT_E_BACKEND.status;

function ofSomeThread({ name, message, stack }: Failure): Failure {
  const text = `koffi does not tell threads apart; the latest failure of any but JavaScript's own: ${name}: ${message}`;
  return { status: BACKEND, handle: 0, name: nameOf(BACKEND), message: text, stack, rule: 0 };
}

export class LastError {
  /** The latest one, which may be put back after others. */
  failure: Failure = NONE;
  /** How many functions had been called. */
  at = 0;
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Each answer stands until as many others were asked for: threads may read theirs at the same time. */
  readonly #memories: Lasting[] = [];
  #asked = 0;

  get status(): number {
    return this.failure.status;
  }

  clear(): void {
    this.fail(STATUSES.HAFT_OK.status);
  }

  get message(): string {
    return this.failure.message;
  }

  /** As results of requests tell it. */
  get text(): string {
    return `${this.failure.name}: ${this.failure.message}`;
  }

  /** Returns the status. */
  fail(status: number, handle: unknown = 0, message = messageOf(status), rule = defaultRule(status)): number {
    this.at = this.#now();
    this.failure = { status, handle, name: nameOf(status), message, stack: '', rule };
    return status;
  }

  /** @param text Name, message and stack, with NUL between them. */
  failText(status: number, handle: unknown, text: string): number {
    const [name = '', message = '', stack = ''] = text.split('\0');
    this.at = this.#now();
    // Arguments that do not fit are found when the message is delivered: pointer rule 7.
    const rule = status === STATUSES.HAFT_E_ARGUMENT.status ? 7 : defaultRule(status);
    this.failure = { status, handle, name, message, stack, rule };
    return status;
  }

  /**
   * Writes it where C may read it until the next time.
   * @param isAnybodys It may well be another thread's than the one that asks.
   */
  write(isAnybodys: boolean): Pointer {
    const turn = this.#asked++ % ANSWERS;
    this.#memories[turn] ??= new Lasting(STRUCT_BYTES + TEXT_BYTES);
    const { at, bytes, view } = this.#memories[turn];
    const { status, handle, name, message, stack, rule } = isAnybodys
      ? ofSomeThread(this.failure)
      : this.failure;
    const isHandle = typeof handle === 'number' && Number.isInteger(handle);
    view.setUint32(0, STRUCT_BYTES, true);
    view.setInt32(STATUS, status, true);
    view.setBigUint64(HANDLE, BigInt.asUintN(64, isHandle ? BigInt(handle) : asBigInt(handle)), true);
    view.setUint32(RULE, rule, true);
    let end = STRUCT_BYTES;
    // What is to be done comes before the stack, which may be cut.
    const put = (place: number, text: string, most: number) => {
      view.setBigUint64(place, at + BigInt(end), true);
      end += bytes.write(text, end, most, 'utf8');
      bytes[end++] = 0;
    };
    const broken = rule === 0 ? '' : ` (pointer rule ${rule})`;
    const next = (DESCRIPTIONS.get(status)?.next ?? '') + broken;
    const left = () => STRUCT_BYTES + TEXT_BYTES - end - 1;
    put(NAME + 24, next, Math.min(left() - 3, Buffer.byteLength(next)));
    put(NAME, name, left() - 2);
    put(NAME + 8, message, left() - 1);
    put(NAME + 16, stack, left());
    return at;
  }
}

function asBigInt(value: unknown): bigint {
  return typeof value === 'bigint' ? value : 0n;
}
