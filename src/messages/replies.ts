// Replies: answers calls, and wakes the callers that sleep. A reply goes PENDING -> STARTED -> DONE, each step by
// compare-and-swap against a caller that gives up (P15).
import type { NativeRealm } from '../binding.js';
import {
  EXCHANGE,
  EXCHANGE_FLAG,
  EXCHANGE_STATUS,
  EXCHANGE_WAKE,
  EXCHANGE_WORDS,
  GIVEN_UP,
  REPLIES,
  REPLY_BYTES,
  REPLY_DONE,
  REPLY_LATER,
  REPLY_NUMBER_BITS,
  REPLY_SEQUENCE_MASK,
  REPLY_SEQUENCE_SHIFT,
  REPLY_SLEEPER,
  REPLY_STARTED,
  RING_DECLINED,
  RING_DELIVERED,
} from '../constants.js';
import type { Op } from '../kind.js';
import { describe, type Wire } from './wire.js';

const WAKE_MOST = EXCHANGE_WORDS - EXCHANGE_WAKE;
const NUMBER_MASK = (1 << REPLY_NUMBER_BITS) - 1;
const STATUS_WORD = (EXCHANGE >> 2) + EXCHANGE_STATUS;
const FLAG_WORD = (EXCHANGE >> 2) + EXCHANGE_FLAG;
const GIVEN_UP_WORD = GIVEN_UP >> 2;
const WAKE_WORD = (EXCHANGE >> 2) + EXCHANGE_WAKE;

/** A call that a promise is to answer. */
interface Later {
  readonly reply: number;
  readonly ended: Ended | undefined;
}

/** Told once what a call came to; false: an error, a result of another type, or its caller had left. */
type Ended = (well: boolean) => void;

export class Replies {
  readonly #native: NativeRealm;
  readonly #wire: Wire;
  readonly #i32: Int32Array;
  readonly #promisesWaiting: (count: number) => void;
  readonly #failed: (error: unknown, handle: number, op: Op) => void;
  /** Replies that promises are to give, by their numbers. */
  readonly #later = new Map<number, Later>();
  #givenUp = 0;
  #closed = false;
  /** Callers to be woken. */
  wakes = 0;
  /** A caller that sleeps was answered. */
  woke = false;

  /**
   * @param promisesWaiting Told how many calls wait for a promise, when that changes.
   * @param failed Told what a promise rejected with, or why its value is no answer.
   */
  constructor(
    native: NativeRealm,
    wire: Wire,
    promisesWaiting: (count: number) => void,
    failed: (error: unknown, handle: number, op: Op) => void,
  ) {
    this.#native = native;
    this.#wire = wire;
    this.#i32 = wire.i32;
    this.#givenUp = this.#i32[GIVEN_UP_WORD]!;
    this.#promisesWaiting = promisesWaiting;
    this.#failed = failed;
  }

  close(): void {
    this.#closed = true;
  }

  /** Whether the caller still waits: only then may the handler run. */
  start(reply: number): boolean {
    const word = replyOffset(reply) >> 2;
    const sequence = reply >>> REPLY_NUMBER_BITS;
    const pending = doneWord(sequence - 1); // nobody writes PENDING: it is the DONE of the sequence before
    if (Atomics.compareExchange(this.#i32, word, pending, startedWord(sequence)) === pending) return true;
    this.#discard(reply, false);
    return false;
  }

  /**
   * Whether the caller still waits.
   * @throws an error with a status for a result that is not of the op's type.
   */
  answer(reply: number, handle: number, op: Op, result: unknown): boolean {
    this.#wire.writeResult(replyOffset(reply), op, result);
    return this.#finish(reply, handle, RING_DELIVERED);
  }

  answerError(reply: number, handle: number, error: unknown, counter = RING_DELIVERED): void {
    const description = describe(error);
    if (this.#closed) return;
    this.#wire.writeError(replyOffset(reply), description);
    this.#finish(reply, handle, counter);
  }

  /** For a call that was begun, and perhaps answered, when the stack was full. */
  answerFailed(reply: number, handle: number): void {
    const word = replyOffset(reply) >> 2;
    const sequence = reply >>> REPLY_NUMBER_BITS;
    const state = Atomics.load(this.#i32, word);
    if (state === doneWord(sequence - 1) && !this.start(reply)) return;
    if (state === doneWord(sequence)) this.#wake(reply);
    else if (state >>> REPLY_SEQUENCE_SHIFT === sequence && state !== laterWord(reply))
      this.answerError(reply, handle, new RangeError('the stack was full'));
  }

  /** The handler did not run. */
  decline(reply: number, handle: number, status: number): void {
    this.#wire.writeStatus(replyOffset(reply), status);
    this.#finish(reply, handle, RING_DECLINED);
  }

  /** Answers when the promise settles. */
  answerLater(reply: number, handle: number, op: Op, result: PromiseLike<unknown>, ended?: Ended): void {
    const later = this.#begin({ reply, ended });
    const settle = (answer: () => boolean, value?: unknown) => {
      if (this.#closed) return;
      if (!this.#takeBack(later)) {
        this.#wire.dropResult(op, value); // its caller has left
        return;
      }
      let well = false;
      try {
        well = answer();
      } catch (error) {
        this.answerError(reply, handle, error);
        this.#failed(error, handle, op);
      }
      ended?.(well);
      this.flushWakes();
    };
    // A promise of our own: a thenable need keep to no rule.
    Promise.resolve(result).then(
      (value) => settle(() => this.answer(reply, handle, op, value), value),
      (error) =>
        settle(() => {
          throw error;
        }),
    );
  }

  flushWakes(): void {
    if (this.wakes === 0 || this.#closed) return;
    this.#i32[FLAG_WORD] = this.wakes;
    this.wakes = 0;
    this.#native.wakeCallers();
  }

  #finish(reply: number, handle: number, counter: number): boolean {
    if (this.#closed) return false;
    const word = replyOffset(reply) >> 2;
    const sequence = reply >>> REPLY_NUMBER_BITS;
    const started = startedWord(sequence);
    if (Atomics.compareExchange(this.#i32, word, started, doneWord(sequence)) !== started) {
      this.#discard(reply, true); // its caller has counted it as expired
      return false;
    }
    this.#wire.count(handle, counter);
    if (Atomics.load(this.#i32, word + (REPLY_SLEEPER >> 2)) !== 0) this.#wake(reply);
    return true;
  }

  #wake(reply: number): void {
    this.woke = true;
    if (this.wakes === WAKE_MOST) this.flushWakes();
    this.#i32[WAKE_WORD + this.wakes++] = (reply & NUMBER_MASK) - 1;
  }

  #discard(reply: number, answered: boolean): void {
    this.#i32[FLAG_WORD] = reply;
    this.#i32[STATUS_WORD] = answered ? 1 : 0;
    this.#native.discardReply();
  }

  /** Of the calls that wait for a promise now: whether one of them still does, whenever it is asked. */
  stillWaiting(): () => boolean {
    const now = [...this.#later.values()];
    return () => now.some((later) => this.#later.get(later.reply & NUMBER_MASK) === later);
  }

  /** Forgets the promises whose callers have left, after the doorbell: they may never settle. */
  forgetGivenUp(): void {
    if (this.#later.size === 0) return;
    const givenUp = Atomics.load(this.#i32, GIVEN_UP_WORD);
    if (givenUp === this.#givenUp) return;
    this.#givenUp = givenUp;
    for (const [number, later] of this.#later) {
      if (Atomics.load(this.#i32, replyOffset(later.reply) >> 2) === laterWord(later.reply)) continue;
      this.#later.delete(number);
      later.ended?.(false);
    }
    this.#promisesWaiting(this.#later.size);
  }

  // STARTED -> LATER, unless the caller has given up meanwhile: then the slot is ours to free.
  #begin(later: Later): Later {
    const { reply } = later;
    const word = replyOffset(reply) >> 2;
    const started = startedWord(reply >>> REPLY_NUMBER_BITS);
    if (Atomics.compareExchange(this.#i32, word, started, laterWord(reply)) === started) {
      this.#later.set(reply & NUMBER_MASK, later);
      this.#promisesWaiting(this.#later.size);
    } else {
      this.#discard(reply, false);
      later.ended?.(false);
    }
    return later;
  }

  // LATER -> STARTED, unless the caller has left. Sequences come round: the entry tells one promise of a slot from
  // another.
  #takeBack(later: Later): boolean {
    const { reply } = later;
    if (this.#later.get(reply & NUMBER_MASK) !== later) return false;
    this.#later.delete(reply & NUMBER_MASK);
    this.#promisesWaiting(this.#later.size);
    const word = replyOffset(reply) >> 2;
    const started = startedWord(reply >>> REPLY_NUMBER_BITS);
    if (Atomics.compareExchange(this.#i32, word, laterWord(reply), started) === laterWord(reply)) return true;
    later.ended?.(false);
    return false;
  }
}

export function replyOffset(reply: number): number {
  return REPLIES + ((reply & NUMBER_MASK) - 1) * REPLY_BYTES;
}

function doneWord(sequence: number): number {
  return ((sequence & REPLY_SEQUENCE_MASK) << REPLY_SEQUENCE_SHIFT) | REPLY_DONE;
}

function laterWord(reply: number): number {
  return ((reply >>> REPLY_NUMBER_BITS) << REPLY_SEQUENCE_SHIFT) | REPLY_LATER;
}

function startedWord(sequence: number): number {
  return (sequence << REPLY_SEQUENCE_SHIFT) | REPLY_STARTED;
}
