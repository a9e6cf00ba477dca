// The drain: takes messages out of the mailboxes, runs their handlers, answers calls, and drops objects whose last
// reference is gone. One consumer, the realm's JavaScript thread; the producers are native/core/mailbox.cc.
import { performance } from 'node:perf_hooks';
import type { NativeRealm } from './binding.js';
import {
  ARMED,
  CELL_BYTES,
  CELL_HANDLE,
  CELL_OP,
  CELL_REPLY,
  CELL_SHAPE,
  DIRECT,
  DIRECT_REPLY,
  DIRTY,
  EXCHANGE,
  EXCHANGE_FLAG,
  EXCHANGE_WAKE,
  EXCHANGE_WORDS,
  REPLIES,
  REPLY_BYTES,
  REPLY_DONE,
  REPLY_IN_HEAP,
  REPLY_LENGTH,
  REPLY_NUMBER_BITS,
  REPLY_PENDING,
  REPLY_SLEEPER,
  REPLY_STARTED,
  REPLY_STATUS,
  RING_BYTES,
  RING_CELLS,
  RING_FIRST_CELL,
  RING_HEAD,
  RING_SPACE_WANTED,
  RING_TAIL,
  RINGS,
  SHARDS,
  SHAPE_HEAP_BIT,
  STATUSES,
} from './constants.js';
import type { Op } from './kind.js';
import { cellsOf, SHAPE_TYPES_MASK, Wire } from './wire.js';

/** What the drain needs of the registry. */
export interface Receiver {
  /** The object of a handle, or `GONE`. */
  resolve(handle: number): unknown;
  /** The op of a number; the sender has checked that there is one. */
  opOf(number: number): Op;
  /** A handler of a post threw. */
  reportError(error: unknown, handle: number, op: Op): void;
  /** A message found its object gone. */
  reportGone(handle: number, op: Op): void;
  /** The slots that native code released, and that no message needs any more, may be freed. */
  freeReleased(): void;
  /** Calls that wait for a promise: while there are any, the event loop stays alive. */
  promisesWaiting(count: number): void;
}

export const GONE = Symbol('gone');

const BUDGET_MESSAGES = 4096;
const BUDGET_MILLISECONDS = 2;
const CLOCK_EVERY = 64;
const LINGER_MOST = 0.05; // milliseconds
const LINGER_LEAST = 0.002;
const OTHER_WORK = 0.2;
const WAKE_MOST = EXCHANGE_WORDS - EXCHANGE_WAKE;
const SHARD_BITS = (1 << SHARDS) - 1;
const NUMBER_MASK = (1 << REPLY_NUMBER_BITS) - 1;
const ARMED_WORD = ARMED >> 2;
const DIRTY_WORD = DIRTY >> 2;
const FLAG_WORD = (EXCHANGE >> 2) + EXCHANGE_FLAG;
const WAKE_WORD = (EXCHANGE >> 2) + EXCHANGE_WAKE;
const NO_ARGS: unknown[] = [];

export class Mailboxes {
  readonly #native: NativeRealm;
  readonly #receiver: Receiver;
  readonly #wire: Wire;
  readonly #i32: Int32Array;
  readonly #f64: Float64Array;
  /** Position of the next message a shard; ours alone, and the shared head follows it (P11, P13). */
  readonly #heads = new Int32Array(SHARDS);
  /** Where each tail stood when the released slots were taken. */
  readonly #tails = new Int32Array(SHARDS);
  #reclaiming = false;
  #reclaimDirty = false;
  #wakes = 0;
  #promises = 0;
  #left = 0;
  #clockAt = 0;
  #deadline = 0;
  #calls = 0;
  #thenable = false;
  #linger = 0;
  #endedAt = 0;
  #rangAt = 0;
  #closed = false;
  /** Handlers that run now, one inside the other. */
  #running = 0;
  delivered = 0;
  gone = 0;

  constructor(native: NativeRealm, receiver: Receiver) {
    this.#native = native;
    this.#receiver = receiver;
    this.#wire = new Wire(native);
    this.#i32 = this.#wire.i32;
    this.#f64 = this.#wire.f64;
    // The realm sleeps until something comes.
    Atomics.store(this.#i32, ARMED_WORD, 1);
  }

  close(): void {
    this.#closed = true;
  }

  /** Handles what waits, within a budget of messages and time; rings for the rest. May be called by a handler. */
  drain(): void {
    const now = performance.now();
    this.#left = BUDGET_MESSAGES;
    this.#deadline = now + BUDGET_MILLISECONDS;
    this.#clockAt = this.#left - 1;
    this.#calls = 0;
    this.#thenable = false;
    // Coming back late from our own ring means that the event loop has other work, and no time for lingering.
    const busy = this.#rangAt !== 0 && now - this.#rangAt > OTHER_WORK;
    this.#rangAt = 0;
    if (busy) this.#linger = 0;
    else if (now - this.#endedAt < 2 * LINGER_MOST) this.#linger = Math.max(this.#linger, LINGER_MOST / 2);

    while (!this.#closed) {
      const mask = Atomics.exchange(this.#i32, DIRTY_WORD, 0);
      const rest = this.#drainMask(mask);
      if (this.#closed) return;
      if (rest !== 0) {
        this.#comeBack(rest);
        break;
      }
      if (Atomics.load(this.#i32, DIRTY_WORD) !== 0) continue;
      this.#flushWakes();
      if (this.#calls > 0 && this.#lingerForWork()) continue;
      // P10: armed, a full fence (Atomics are), then the mask once more.
      Atomics.store(this.#i32, ARMED_WORD, 1);
      if (Atomics.load(this.#i32, DIRTY_WORD) === 0) break;
      if (Atomics.exchange(this.#i32, ARMED_WORD, 0) === 0) break; // a producer rings: we come back
    }
    if (this.#closed) return;
    this.#flushWakes();
    if (this.#calls > 0) this.#endedAt = performance.now();
  }

  /** A message of C on this very thread: its handler runs at once. */
  direct(): void {
    this.#running++;
    try {
      this.#runDirect();
    } finally {
      this.#running--;
      this.#freeIfDrained();
    }
  }

  #runDirect(): void {
    const { i32 } = this.#wire;
    const op = this.#receiver.opOf(i32[(DIRECT + CELL_OP) >> 2]!);
    const target = this.#receiver.resolve(this.#f64[(DIRECT + CELL_HANDLE) >> 3]!);
    try {
      const args = this.#argsOf(DIRECT, op);
      if (target === GONE) return; // the status stays CLOSED: only a closed realm forgets what native code checked
      this.delivered++;
      const result = invoke(target, op, args);
      if (this.#closed) return;
      if (isThenable(result)) {
        result.then(undefined, () => {}); // nobody will hear its failure
        i32[(DIRECT_REPLY + REPLY_STATUS) >> 2] = STATUSES.HAFT_E_DEADLOCK.status;
        return;
      }
      this.#wire.writeResult(DIRECT_REPLY, op, result);
    } catch (error) {
      if (!this.#closed) this.#wire.writeError(DIRECT_REPLY, error);
    }
  }

  /** Takes the slots that native code released. They are freed when no message can need them: at once if none waits. */
  reclaim(): void {
    this.#takeReleased();
    this.#freeIfDrained();
  }

  // Drains the shards of a mask; tells what it left, as a mask.
  #drainMask(mask: number): number {
    // P5: take the reclaim lists first and read every tail after that; free the slots only when each mailbox has been
    // drained to its tail.
    let shards = mask & SHARD_BITS;
    if (mask >>> SHARDS !== 0 || this.#reclaimDirty) this.#takeReleased();
    if (this.#reclaiming) shards |= this.#shardsBeforeTails();
    let rest = 0;
    while (shards !== 0) {
      const shard = 31 - Math.clz32(shards & -shards);
      shards &= shards - 1;
      if (!this.#drainShard(shard)) rest |= 1 << shard;
      if (this.#closed) return 0;
    }
    if (this.#reclaiming) this.#freeIfDrained();
    return rest;
  }

  // False if the budget ended it.
  #drainShard(shard: number): boolean {
    const i32 = this.#i32;
    const f64 = this.#f64;
    const heads = this.#heads;
    const ring = RINGS + shard * RING_BYTES;
    const headWord = (ring + RING_HEAD) >> 2;
    const cells = ring + RING_FIRST_CELL;
    for (;;) {
      const head = heads[shard]!; // a handler may drain too: look at it afresh (P11)
      const cell = cells + (head & (RING_CELLS - 1)) * CELL_BYTES;
      const word = cell >> 2;
      if (Atomics.load(i32, word) !== ((head + 1) | 0)) break;
      if (this.#left <= 0 || (this.#left <= this.#clockAt && this.#timeIsUp())) return false;
      this.#left--;
      const shape = i32[word + (CELL_SHAPE >> 2)]!;
      const next = (head + cellsOf(shape)) | 0;
      const number = i32[word + (CELL_OP >> 2)]!;
      if (number === 0) {
        this.#freeCells(shard, headWord, cells, head, next);
        continue;
      }
      const handle = f64[(cell + CELL_HANDLE) >> 3]!;
      const reply = i32[word + (CELL_REPLY >> 2)]!;
      const op = this.#receiver.opOf(number);
      const target = this.#receiver.resolve(handle);
      // P11: copy out, free the cell, advance the shared head, and only then run the handler.
      let args = NO_ARGS;
      let argument: unknown;
      let failure: unknown;
      let failed = false;
      try {
        // The common shapes need no array: no argument, or one inside the ring.
        const exact = (shape & (SHAPE_TYPES_MASK | SHAPE_HEAP_BIT)) === op.shape;
        if (exact && op.args.length === 1) argument = this.#wire.readInlineArg(cell, 0, op.args[0]!);
        else if (!exact || op.args.length > 1) args = this.#argsOf(cell, op);
      } catch (error) {
        failed = true;
        failure = error;
      }
      this.#freeCells(shard, headWord, cells, head, next);

      if (target === GONE) {
        this.gone++;
        if (reply === 0) this.#receiver.reportGone(handle, op);
        else this.#answerGone(reply);
        continue;
      }
      this.delivered++;
      this.#running++;
      if (this.#wakes > 0) this.#flushWakes(); // P16: a handler may wait for a thread that sleeps on its answer
      if (reply === 0) {
        try {
          if (failed) throw failure;
          const result = op.args.length === 1 && args === NO_ARGS ? invoke1(target, op, argument) : invoke(target, op, args);
          if (isThenable(result)) this.#watch(result, handle, op);
        } catch (error) {
          this.#receiver.reportError(error, handle, op);
        }
      } else if (this.#start(reply)) {
        this.#calls++;
        try {
          if (failed) throw failure;
          const result = op.args.length === 1 && args === NO_ARGS ? invoke1(target, op, argument) : invoke(target, op, args);
          if (isThenable(result)) this.#answerLater(reply, op, result);
          else this.#answer(reply, op, result);
        } catch (error) {
          this.#answerError(reply, error);
        }
      }
      this.#running--;
      if (this.#closed) return true;
    }
    if (Atomics.load(i32, (ring + RING_SPACE_WANTED) >> 2) !== 0) this.#wakeProducers(shard);
    return true;
  }

  // Frees the cells of one message. Those behind the first hold what their producer wrote: a sequence number must not
  // be read into that, so they are marked as of this round (their position, which is never a published one).
  #freeCells(shard: number, headWord: number, cells: number, head: number, next: number): void {
    for (let position = (head + 1) | 0; position !== next; position = (position + 1) | 0) {
      this.#i32[(cells + (position & (RING_CELLS - 1)) * CELL_BYTES) >> 2] = position;
    }
    this.#heads[shard] = next;
    Atomics.store(this.#i32, headWord, next);
  }

  #argsOf(cell: number, op: Op): unknown[] {
    const shape = this.#i32[(cell + CELL_SHAPE) >> 2]!;
    const exact = (shape & SHAPE_TYPES_MASK) === op.shape && (op.args.length <= 5 || this.#wire.extraArgsFit(cell, shape, op));
    return exact ? this.#wire.readArgs(cell, op) : this.#wire.readOtherArgs(cell, op);
  }

  // ---- Replies: PENDING -> STARTED -> DONE, each by compare-and-swap against a caller that gives up (P15) ----

  #start(reply: number): boolean {
    const word = replyWord(reply);
    const sequence = (reply >>> REPLY_NUMBER_BITS) << 3;
    const pending = sequence | REPLY_PENDING;
    if (Atomics.compareExchange(this.#i32, word, pending, sequence | REPLY_STARTED) === pending) return true;
    this.#discard(reply);
    return false;
  }

  #answer(reply: number, op: Op, result: unknown): void {
    this.#wire.writeResult(replyOffset(reply), op, result);
    this.#finish(reply);
  }

  #answerError(reply: number, error: unknown): void {
    if (this.#closed) return;
    this.#wire.writeError(replyOffset(reply), error);
    this.#finish(reply);
  }

  #answerGone(reply: number): void {
    if (!this.#start(reply)) return;
    const { i32 } = this.#wire;
    i32[(replyOffset(reply) + REPLY_STATUS) >> 2] = STATUSES.HAFT_E_STALE.status;
    i32[(replyOffset(reply) + REPLY_LENGTH) >> 2] = 0;
    i32[(replyOffset(reply) + REPLY_IN_HEAP) >> 2] = 0;
    this.#finish(reply);
  }

  #finish(reply: number): void {
    if (this.#closed) return;
    const word = replyWord(reply);
    const sequence = (reply >>> REPLY_NUMBER_BITS) << 3;
    const started = sequence | REPLY_STARTED;
    if (Atomics.compareExchange(this.#i32, word, started, sequence | REPLY_DONE) !== started) {
      this.#discard(reply);
      return;
    }
    if (Atomics.load(this.#i32, word + (REPLY_SLEEPER >> 2)) === 0) return;
    if (this.#wakes === WAKE_MOST) this.#flushWakes();
    this.#i32[WAKE_WORD + this.#wakes++] = (reply & NUMBER_MASK) - 1;
  }

  #answerLater(reply: number, op: Op, result: PromiseLike<unknown>): void {
    this.#thenable = true;
    this.#countPromise(1);
    const settle = (answer: () => void) => {
      if (this.#closed) return;
      this.#countPromise(-1);
      try {
        answer();
      } catch (error) {
        this.#answerError(reply, error);
      }
      this.#flushWakes();
    };
    result.then(
      (value) => settle(() => this.#answer(reply, op, value)),
      (error) => settle(() => this.#answerError(reply, error)),
    );
  }

  #watch(result: PromiseLike<unknown>, handle: number, op: Op): void {
    this.#thenable = true;
    result.then(undefined, (error) => this.#receiver.reportError(error, handle, op));
  }

  #countPromise(change: number): void {
    this.#promises += change;
    this.#receiver.promisesWaiting(this.#promises);
  }

  #discard(reply: number): void {
    this.#i32[FLAG_WORD] = (reply & NUMBER_MASK) - 1;
    this.#native.discardReply();
  }

  #flushWakes(): void {
    if (this.#wakes === 0 || this.#closed) return;
    this.#i32[FLAG_WORD] = this.#wakes;
    this.#wakes = 0;
    this.#native.wakeCallers();
  }

  #wakeProducers(shard: number): void {
    this.#i32[FLAG_WORD] = shard;
    this.#native.wakeProducers();
  }

  // ---- Released slots (P5) ----

  #takeReleased(): void {
    this.#reclaimDirty = this.#reclaiming;
    if (this.#reclaiming) return; // one batch after the other
    this.#native.takeReleased();
    if (this.#i32[FLAG_WORD] === 0) return;
    this.#reclaiming = true;
    for (let shard = 0; shard < SHARDS; shard++) {
      this.#tails[shard] = Atomics.load(this.#i32, (RINGS + shard * RING_BYTES + RING_TAIL) >> 2);
    }
  }

  #shardsBeforeTails(): number {
    let shards = 0;
    for (let shard = 0; shard < SHARDS; shard++) {
      if (((this.#tails[shard]! - this.#heads[shard]!) | 0) > 0) shards |= 1 << shard;
    }
    return shards;
  }

  // Only where no handler is under way that could have borrowed one of the slots' handles as an argument.
  #freeIfDrained(): void {
    while (this.#reclaiming && this.#running === 0 && !this.#closed && this.#shardsBeforeTails() === 0) {
      this.#receiver.freeReleased();
      this.#reclaiming = false;
      if (this.#reclaimDirty) this.#takeReleased();
    }
  }

  // ---- When to stop ----

  // Looks at the clock after every message while handlers are slow, after 64 while they are quick.
  #timeIsUp(): boolean {
    const now = performance.now();
    if (now >= this.#deadline) return true;
    const spent = BUDGET_MILLISECONDS - (this.#deadline - now);
    const each = spent / (BUDGET_MESSAGES - this.#left);
    const quick = Math.floor((this.#deadline - now) / 4 / each);
    this.#clockAt = this.#left - Math.max(1, Math.min(CLOCK_EVERY, quick));
    return false;
  }

  // P12: what is left stands in the mask again, and our own doorbell brings us back after a turn of the event loop.
  #comeBack(rest: number): void {
    Atomics.or(this.#i32, DIRTY_WORD, rest);
    this.#rangAt = performance.now();
    this.#native.ring();
  }

  // Stays for the next call of a burst, for as long as it has lately been worth it. Never after a handler that returned
  // a promise: microtasks do not run inside a drain (P14).
  #lingerForWork(): boolean {
    if (this.#thenable || this.#linger < LINGER_LEAST) return false;
    const start = performance.now();
    if (start >= this.#deadline) return false;
    const end = Math.min(start + this.#linger, this.#deadline);
    do {
      for (let i = 0; i < 32; i++) {
        if (Atomics.load(this.#i32, DIRTY_WORD) !== 0) {
          this.#linger = Math.min(this.#linger * 2, LINGER_MOST);
          return true;
        }
      }
    } while (performance.now() < end);
    this.#linger /= 2;
    return false;
  }
}

function replyOffset(reply: number): number {
  return REPLIES + ((reply & NUMBER_MASK) - 1) * REPLY_BYTES;
}

function replyWord(reply: number): number {
  return replyOffset(reply) >> 2;
}

type Target = Record<string, (...args: unknown[]) => unknown> & ((...args: unknown[]) => unknown);

function invoke(target: unknown, op: Op, args: unknown[]): unknown {
  const object = target as Target;
  switch (args.length) {
    case 0:
      return op.isFunction ? object() : object[op.name]!();
    case 2:
      return op.isFunction ? object(args[0], args[1]) : object[op.name]!(args[0], args[1]);
    default:
      return op.isFunction ? object(...args) : object[op.name]!(...args);
  }
}

function invoke1(target: unknown, op: Op, argument: unknown): unknown {
  const object = target as Target;
  return op.isFunction ? object(argument) : object[op.name]!(argument);
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}
