// The drain: takes messages out of the mailboxes, runs their handlers, answers calls, and drops objects whose last
// reference is gone. One consumer, the realm's JavaScript thread; the producers are native/core/mailbox.cc.
import { performance } from 'node:perf_hooks';
import type { NativeRealm } from './binding.js';
import {
  ARMED,
  CELL_ARGS,
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
  EXCHANGE_STATUS,
  EXCHANGE_WAKE,
  EXCHANGE_WORDS,
  EVENT_WAITERS,
  INLINE_ARGS,
  REQUEST_SERVE,
  REPLIES,
  REPLY_BYTES,
  REPLY_DONE,
  REPLY_NUMBER_BITS,
  REPLY_SEQUENCE_MASK,
  REPLY_SEQUENCE_SHIFT,
  REPLY_SLEEPER,
  REPLY_STARTED,
  REPLY_TYPE,
  REPLY_VALUE,
  RING_BYTES,
  RING_CELLS,
  RING_DECLINED,
  RING_DELIVERED,
  RING_FILL,
  RING_FIRST_CELL,
  RING_HEAD,
  RING_SPACE_WANTED,
  RING_TAIL,
  RINGS,
  SCRIPT_WAITS,
  SHAPE_COUNT_SHIFT,
  SHAPE_HEAP_BIT,
  SHARDS,
  STATUSES,
} from './constants.js';
import { EVENT } from './events.js';
import { INDEX_MASK, SLOT_MASK } from './handle.js';
import { type Op, TYPES } from './kind.js';
import type { Mirror } from './mirror.js';
import { cellsOf, describe, SHAPE_TYPES_MASK, Wire } from './wire.js';

/** What the drain needs of the registry. */
export interface Receiver {
  /** Where the objects are. */
  readonly mirror: Mirror;
  /** The op of a number; the sender has checked that there is one. */
  opOf(number: number): Op;
  /** A handler of a post threw. */
  reportError(error: unknown, handle: number, op: Op): void;
  /** A message found its object gone. */
  reportGone(handle: number, op: Op): void;
  /** The slots that native code released, and that no message needs any more, may be freed. */
  freeReleased(): void;
  /** A drain ended, somebody waits for events, and these happened: `EVENT.drained`, `EVENT.reclaimed`. */
  happened(events: number): void;
  /** Calls that wait for a promise: while there are any, the event loop stays alive. */
  promisesWaiting(count: number): void;
}

const BUDGET_MESSAGES = 4096;
const BUDGET_MILLISECONDS = 2;
const CLOCK_EVERY = 64;
const HEAD_EVERY = 16;
const DEPTH_MOST = 16;
const LINGER_MOST = 0.05; // milliseconds
const LINGER_LEAST = 0.002;
const LINGER_LOOKS = 64; // between two looks at the clock
const OTHER_WORK = 0.2;
const WAKE_MOST = EXCHANGE_WORDS - EXCHANGE_WAKE;
/** The part of a shape that equals the op's for a message with exactly its types, inside the ring. */
const EXACT_MASK = SHAPE_TYPES_MASK | SHAPE_HEAP_BIT;
const ONE_NUMBER = (1 << SHAPE_COUNT_SHIFT) | TYPES.f64;
const SHARD_BITS = (1 << SHARDS) - 1;
const NUMBER_MASK = (1 << REPLY_NUMBER_BITS) - 1;
const ARMED_WORD = ARMED >> 2;
const DIRTY_WORD = DIRTY >> 2;
const STATUS_WORD = (EXCHANGE >> 2) + EXCHANGE_STATUS;
const FLAG_WORD = (EXCHANGE >> 2) + EXCHANGE_FLAG;
const WAKE_WORD = (EXCHANGE >> 2) + EXCHANGE_WAKE;
const SCRIPT_WAITS_WORD = SCRIPT_WAITS >> 2;
const EVENT_WAITERS_WORD = EVENT_WAITERS >> 2;
const SHARD_MASK = SHARDS - 1;

export class Mailboxes {
  readonly #native: NativeRealm;
  readonly #receiver: Receiver;
  readonly #mirror: Mirror;
  readonly #wire: Wire;
  readonly #i32: Int32Array;
  readonly #f64: Float64Array;
  /** Position of the next message a shard; ours alone, and the shared head follows it (P11, P13). */
  readonly #heads = new Int32Array(SHARDS);
  /** Where each tail stood when the released slots were taken. */
  readonly #tails = new Int32Array(SHARDS);
  /** Shards that are known to have messages: a drain inside a handler takes them over (P11). */
  #shards = 0;
  #reclaiming = false;
  #reclaimDirty = false;
  #wakes = 0;
  #promises = 0;
  #left = 0;
  #clockAt = 0;
  #deadline = 0;
  #calls = 0;
  #thenable = false;
  #woke = false;
  #lingers = false;
  #linger = 0;
  #lastShard = 0;
  #endedAt = 0;
  #rangAt = 0;
  #closed = false;
  /** Handlers that run now, one inside the other. */
  #running = 0;
  /** Drains that run now, one inside the other. */
  #draining = 0;
  #reclaimed = false;
  gone = 0;

  constructor(native: NativeRealm, receiver: Receiver) {
    this.#native = native;
    this.#receiver = receiver;
    this.#mirror = receiver.mirror;
    this.#wire = new Wire(native);
    this.#i32 = this.#wire.i32;
    this.#f64 = this.#wire.f64;
    // Positions go on from where an earlier realm left them.
    for (let shard = 0; shard < SHARDS; shard++) {
      this.#heads[shard] = Atomics.load(this.#i32, (RINGS + shard * RING_BYTES + RING_HEAD) >> 2);
    }
    // The realm sleeps until something comes.
    Atomics.store(this.#i32, ARMED_WORD, 1);
  }

  close(): void {
    this.publishHeads();
    this.#closed = true;
  }

  /** Lets native code see which messages have been taken out of the rings, to the last one. */
  publishHeads(): void {
    for (let shard = 0; shard < SHARDS; shard++) {
      Atomics.store(this.#i32, (RINGS + shard * RING_BYTES + RING_HEAD) >> 2, this.#heads[shard]!);
    }
  }

  /** Levels: the bits of `EVENT.empty` and `EVENT.full` that hold now. */
  levels(): number {
    let most = 0;
    for (let shard = 0; shard < SHARDS; shard++) most = Math.max(most, this.#fill(shard));
    if (most === 0) return EVENT.empty;
    return most >= RING_CELLS ? EVENT.full : 0;
  }

  /**
   * Handles what waits now, up to a number of messages; tells how many. For handlers and other callers in JavaScript.
   */
  drainNow(): number {
    // At some depth the rest is the outer drains': a handler that drains is served by the next drain, and that one's
    // handler by the next.
    if (this.#draining === DEPTH_MOST) return 0;
    const lingers = this.#lingers;
    this.#lingers = false;
    const outer = { left: this.#left, deadline: this.#deadline, clockAt: this.#clockAt };
    this.#left = BUDGET_MESSAGES;
    this.#deadline = Number.POSITIVE_INFINITY;
    this.#clockAt = 0;
    this.#drainAll();
    const handled = BUDGET_MESSAGES - this.#left;
    this.#left = outer.left;
    this.#deadline = outer.deadline;
    this.#clockAt = outer.clockAt;
    this.#lingers = lingers;
    return handled;
  }

  /** Answers the doorbell: handles what waits, within a budget of messages and time; rings for the rest. */
  drain(): void {
    const now = performance.now();
    if (this.#i32[SCRIPT_WAITS_WORD] !== 0) this.#receiver.happened(0); // a mailbox may be full now
    this.#left = BUDGET_MESSAGES;
    this.#deadline = now + BUDGET_MILLISECONDS;
    this.#clockAt = this.#left - 1;
    this.#calls = 0;
    this.#thenable = false;
    this.#woke = false;
    // Coming back late from our own ring means that the event loop has other work, and no time for lingering.
    const busy = this.#rangAt !== 0 && now - this.#rangAt > OTHER_WORK;
    this.#rangAt = 0;
    if (busy) this.#linger = 0;
    else if (now - this.#endedAt < 2 * LINGER_MOST) this.#linger = Math.max(this.#linger, LINGER_MOST / 2);

    this.#lingers = true;
    this.#drainAll();
    this.#lingers = false;
    if (this.#calls > 0 && !this.#closed) this.#endedAt = performance.now();
  }

  #drainAll(): void {
    this.#draining++;
    let empty = false;
    try {
      empty = this.#drainUntilEmpty();
    } finally {
      this.#draining--;
    }
    if (this.#closed) return;
    this.#flushWakes();
    if (this.#i32[EVENT_WAITERS_WORD] === 0 && this.#i32[SCRIPT_WAITS_WORD] === 0) return;
    const events = (empty ? EVENT.drained : 0) | (this.#reclaimed ? EVENT.reclaimed : 0);
    this.#reclaimed = false;
    this.#receiver.happened(events);
  }

  // False if the budget ended it, or the realm is closed.
  #drainUntilEmpty(): boolean {
    while (!this.#closed) {
      const rest = this.#drainMask(Atomics.exchange(this.#i32, DIRTY_WORD, 0));
      if (this.#closed) return false;
      if (rest !== 0) {
        this.#comeBack(rest);
        return false;
      }
      if (Atomics.load(this.#i32, DIRTY_WORD) !== 0) continue;
      this.#flushWakes();
      if (
        this.#lingers &&
        this.#calls > 0 &&
        this.#linger >= LINGER_LEAST &&
        !this.#thenable &&
        !this.#woke
      ) {
        const more = this.#lingerForCalls();
        if (this.#closed) return false;
        if (more) continue;
        // The bit of the shard that was watched is still set: clear it, and look once more.
        const left = this.#drainMask(Atomics.exchange(this.#i32, DIRTY_WORD, 0));
        if (this.#closed) return false;
        if (left !== 0) {
          this.#comeBack(left);
          return false;
        }
      }
      // P10: armed, a full fence (Atomics are), then the mask once more.
      Atomics.store(this.#i32, ARMED_WORD, 1);
      if (Atomics.load(this.#i32, DIRTY_WORD) === 0) return true;
      if (Atomics.exchange(this.#i32, ARMED_WORD, 0) === 0) return true; // a producer rings: we come back
    }
    return false;
  }

  /** A message of C on this very thread: its handler runs at once. */
  direct(): void {
    if (this.#i32[(DIRECT + CELL_OP) >> 2] === 0) {
      this.#answerRequest(this.#i32[(DIRECT + CELL_ARGS) >> 2]!);
      return;
    }
    this.#running++;
    try {
      this.#runDirect();
    } finally {
      this.#running--;
      this.#freeIfDrained();
    }
  }

  // What C asks of us while it waits on our thread: to serve, or only whether we still run (P19).
  #answerRequest(request: number): void {
    const handled = request === REQUEST_SERVE ? this.drainNow() : 0;
    if (this.#closed) return;
    this.#f64[(DIRECT_REPLY + REPLY_VALUE) >> 3] = handled;
    this.#wire.writeStatus(DIRECT_REPLY, STATUSES.HAFT_OK.status);
  }

  #runDirect(): void {
    const { i32 } = this.#wire;
    const op = this.#receiver.opOf(i32[(DIRECT + CELL_OP) >> 2]!);
    const handle = this.#f64[(DIRECT + CELL_HANDLE) >> 3]!;
    const block = this.#mirror.blockOf(handle & INDEX_MASK);
    const slot = handle & SLOT_MASK;
    if (block === undefined || block.handles[slot] !== handle) {
      // Native code found the slot live: its last reference was released in between.
      this.#count(handle, RING_DECLINED);
      this.#wire.writeStatus(DIRECT_REPLY, STATUSES.HAFT_E_STALE.status);
      return;
    }
    try {
      const args = this.#argsOf(DIRECT, i32[(DIRECT + CELL_SHAPE) >> 2]!, op);
      this.#count(handle, args instanceof Misfit ? RING_DECLINED : RING_DELIVERED);
      const result = invoke(block.values[slot], op, args);
      if (this.#closed) return;
      const later = isThenable(result);
      if (this.#closed) return;
      if (later) {
        Promise.resolve(result).then(undefined, () => {}); // nobody will hear its failure
        this.#wire.writeStatus(DIRECT_REPLY, STATUSES.HAFT_E_DEADLOCK.status);
        return;
      }
      this.#wire.writeResult(DIRECT_REPLY, op, result);
    } catch (error) {
      const description = describe(error);
      if (!this.#closed) this.#wire.writeError(DIRECT_REPLY, description);
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
    if (mask >>> SHARDS !== 0 || this.#reclaimDirty) this.#takeReleased();
    this.#shards |= mask & SHARD_BITS;
    if (this.#reclaiming) this.#shards |= this.#shardsBeforeTails();
    let rest = 0;
    while (this.#shards !== 0) {
      const shard = 31 - Math.clz32(this.#shards & -this.#shards);
      if (!this.#drainShard(shard)) rest |= 1 << shard;
      if (this.#closed) return 0;
      this.#shards &= ~(1 << shard);
    }
    if (this.#reclaiming) this.#freeIfDrained();
    return rest;
  }

  // False if the budget ended it.
  #drainShard(shard: number): boolean {
    const i32 = this.#i32;
    const heads = this.#heads;
    const ring = RINGS + shard * RING_BYTES;
    const headWord = (ring + RING_HEAD) >> 2;
    const cells = ring + RING_FIRST_CELL;
    let unpublished = 0;
    let first = true;
    let done = true;
    let opNumber = 0;
    let op!: Op;
    for (;;) {
      const head = heads[shard]!; // a handler may drain too: look at it afresh (P11)
      const cell = cells + (head & (RING_CELLS - 1)) * CELL_BYTES;
      const word = cell >> 2;
      if (Atomics.load(i32, word) !== ((head + 1) | 0)) break;
      if (this.#left <= this.#clockAt && this.#timeIsUp()) {
        done = false;
        break;
      }
      this.#left--;
      // P11: copy out, free the cell, advance the head, and only then run the handler. Producers may learn of a few
      // messages' room together: the store costs as much as the message.
      const shape = i32[word + (CELL_SHAPE >> 2)]!;
      const number = i32[word + (CELL_OP >> 2)]!;
      const handle = this.#f64[(cell + CELL_HANDLE) >> 3]!;
      const reply = i32[word + (CELL_REPLY >> 2)]!;
      const size = cellsOf(shape);
      if (number === 0) {
        this.#freeCells(shard, cells, head, size);
      } else {
        if (number !== opNumber) {
          op = this.#receiver.opOf(number);
          opNumber = number;
        }
        // The caller has the line of its reply: this asks for it early, while we are busy with the rest.
        if (reply !== 0) i32[(replyOffset(reply) + REPLY_TYPE) >> 2] = op.returns;
        // One number is what most messages carry: reading it here saves a third of the drain.
        const one = op.shape === ONE_NUMBER && (shape & EXACT_MASK) === ONE_NUMBER;
        const args = one ? this.#f64[(cell + CELL_ARGS) >> 3]! : this.#argsOf(cell, shape, op);
        this.#freeCells(shard, cells, head, size);
        if (this.#wakes > 0) this.#flushWakes(); // P16: a handler may wait for a thread that sleeps on its answer
        this.#running++;
        try {
          if (reply === 0) this.#deliverPost(handle, op, args);
          else this.#deliverCall(reply, shard, handle, op, args);
        } finally {
          this.#running--;
        }
        if (this.#closed) return true;
      }
      if (++unpublished === HEAD_EVERY) {
        unpublished = 0;
        if (first) this.#noteFill(shard);
        first = false;
        Atomics.store(i32, headWord, heads[shard]!);
      }
    }
    if (unpublished > 0) Atomics.store(i32, headWord, heads[shard]!);
    if (Atomics.load(i32, (ring + RING_SPACE_WANTED) >> 2) !== 0) this.#wakeProducers(shard);
    return done;
  }

  // Cells behind the first hold what their producer wrote: a sequence number must not be read into that, so they are
  // marked as of this round (their position, which is never a published one).
  #freeCells(shard: number, cells: number, head: number, size: number): void {
    for (let i = 1; i < size; i++) {
      const position = (head + i) | 0;
      this.#i32[(cells + (position & (RING_CELLS - 1)) * CELL_BYTES) >> 2] = position;
    }
    this.#heads[shard] = head + size;
  }

  #deliverPost(handle: number, op: Op, args: unknown): void {
    const block = this.#mirror.blockOf(handle & INDEX_MASK);
    const slot = handle & SLOT_MASK;
    if (block === undefined || block.handles[slot] !== handle) {
      this.gone++;
      this.#count(handle, RING_DECLINED);
      this.#receiver.reportGone(handle, op);
      return;
    }
    this.#count(handle, args instanceof Misfit ? RING_DECLINED : RING_DELIVERED);
    try {
      const result = invoke(block.values[slot], op, args);
      if (isThenable(result)) this.#watch(result, handle, op);
    } catch (error) {
      this.#receiver.reportError(error, handle, op);
    }
  }

  #deliverCall(reply: number, shard: number, handle: number, op: Op, args: unknown): void {
    if (!this.#start(reply)) return;
    this.#calls++;
    this.#lastShard = shard;
    const block = this.#mirror.blockOf(handle & INDEX_MASK);
    const slot = handle & SLOT_MASK;
    if (block === undefined || block.handles[slot] !== handle) {
      this.gone++;
      this.#wire.writeStatus(replyOffset(reply), STATUSES.HAFT_E_STALE.status);
      this.#finish(reply, handle, RING_DECLINED);
      return;
    }
    if (args instanceof Misfit) {
      this.#answerError(reply, handle, args.error, RING_DECLINED);
      return;
    }
    try {
      const result = invoke(block.values[slot], op, args);
      if (this.#closed) return; // P22: the handler closed the realm, and its memory may be another's by now
      const later = isThenable(result); // may run a getter of the user's
      if (this.#closed) return;
      if (later) this.#answerLater(reply, handle, op, result as PromiseLike<unknown>);
      else this.#answer(reply, handle, op, result);
    } catch (error) {
      this.#answerError(reply, handle, error);
    }
  }

  // The one argument of an op with one, an array for more, a `Misfit` for what does not fit. Most ops have few
  // arguments and most messages fit: they need no array and no second look.
  #argsOf(cell: number, shape: number, op: Op): unknown {
    const count = op.args.length;
    if ((shape & EXACT_MASK) === op.shape && count <= INLINE_ARGS) {
      if (count === 0) return undefined;
      if (count === 1) return this.#wire.readInlineArg(cell, 0, op.args[0]!);
      const values: unknown[] = [];
      for (let i = 0; i < count; i++) values.push(this.#wire.readInlineArg(cell, i, op.args[i]!));
      return values;
    }
    try {
      const values = this.#wire.readArgs(cell, op);
      return count === 1 ? values[0] : values;
    } catch (error) {
      return new Misfit(error);
    }
  }

  // ---- Replies: PENDING -> STARTED -> DONE, each by compare-and-swap against a caller that gives up (P15) ----

  #start(reply: number): boolean {
    const word = replyOffset(reply) >> 2;
    const sequence = reply >>> REPLY_NUMBER_BITS;
    const pending = doneWord(sequence - 1); // nobody writes PENDING: it is the DONE of the sequence before
    if (Atomics.compareExchange(this.#i32, word, pending, startedWord(sequence)) === pending) return true;
    this.#discard(reply, false);
    return false;
  }

  #answer(reply: number, handle: number, op: Op, result: unknown): void {
    this.#wire.writeResult(replyOffset(reply), op, result);
    this.#finish(reply, handle, RING_DELIVERED);
  }

  #answerError(reply: number, handle: number, error: unknown, counter = RING_DELIVERED): void {
    const description = describe(error);
    if (this.#closed) return;
    this.#wire.writeError(replyOffset(reply), description);
    this.#finish(reply, handle, counter);
  }

  #finish(reply: number, handle: number, counter: number): void {
    if (this.#closed) return;
    const word = replyOffset(reply) >> 2;
    const sequence = reply >>> REPLY_NUMBER_BITS;
    const started = startedWord(sequence);
    if (Atomics.compareExchange(this.#i32, word, started, doneWord(sequence)) !== started) {
      this.#discard(reply, true); // its caller has counted it as expired
      return;
    }
    this.#count(handle, counter);
    if (Atomics.load(this.#i32, word + (REPLY_SLEEPER >> 2)) === 0) return;
    this.#woke = true;
    if (this.#wakes === WAKE_MOST) this.#flushWakes();
    this.#i32[WAKE_WORD + this.#wakes++] = (reply & NUMBER_MASK) - 1;
  }

  #answerLater(reply: number, handle: number, op: Op, result: PromiseLike<unknown>): void {
    this.#thenable = true;
    this.#countPromise(1);
    const settle = (answer: () => void) => {
      if (this.#closed) return;
      this.#countPromise(-1);
      try {
        answer();
      } catch (error) {
        this.#answerError(reply, handle, error);
      }
      this.#flushWakes();
    };
    // A promise of our own: a thenable need keep to no rule.
    Promise.resolve(result).then(
      (value) => settle(() => this.#answer(reply, handle, op, value)),
      (error) => settle(() => this.#answerError(reply, handle, error)),
    );
  }

  #watch(result: PromiseLike<unknown>, handle: number, op: Op): void {
    this.#thenable = true;
    Promise.resolve(result).then(undefined, (error) => this.#receiver.reportError(error, handle, op));
  }

  #countPromise(change: number): void {
    this.#promises += change;
    this.#receiver.promisesWaiting(this.#promises);
  }

  #discard(reply: number, answered: boolean): void {
    this.#i32[FLAG_WORD] = reply;
    this.#i32[STATUS_WORD] = answered ? 1 : 0;
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

  // ---- Counters and events ----

  #count(handle: number, counter: number): void {
    this.#f64[(RINGS + (handle & SHARD_MASK) * RING_BYTES + counter) >> 3]!++;
  }

  #fill(shard: number): number {
    const ring = RINGS + shard * RING_BYTES;
    return (Atomics.load(this.#i32, (ring + RING_TAIL) >> 2) - this.#i32[(ring + RING_HEAD) >> 2]!) | 0;
  }

  // Once in a run of messages, and only in one that is not short: the tail's line is the producers'.
  #noteFill(shard: number): void {
    const place = (RINGS + shard * RING_BYTES + RING_FILL) >> 3;
    this.#f64[place] = Math.max(this.#f64[place]!, this.#fill(shard));
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
      this.#reclaimed = true;
      if (this.#reclaimDirty) this.#takeReleased();
    }
  }

  // ---- When to stop ----

  // Looks at the clock after every message while handlers are slow, after 64 while they are quick.
  #timeIsUp(): boolean {
    const now = performance.now();
    if (this.#left <= 0 || now >= this.#deadline) return true;
    const spent = BUDGET_MILLISECONDS - (this.#deadline - now);
    const each = spent / (BUDGET_MESSAGES - this.#left);
    const quick = Math.floor((this.#deadline - now) / 4 / each);
    this.#clockAt = Math.max(0, this.#left - Math.max(1, Math.min(CLOCK_EVERY, quick)));
    return false;
  }

  // P12: what is left stands in the mask again, and our own doorbell brings us back after a turn of the event loop.
  #comeBack(rest: number): void {
    Atomics.or(this.#i32, DIRTY_WORD, rest);
    this.#rangAt = performance.now();
    this.#native.ring();
  }

  // Stays for the next call of a burst, for as long as it has lately been worth it; true if there may be other work.
  // Never after a handler that returned a promise: microtasks do not run inside a drain (P14). Nor after a caller that
  // slept: it needs longer to come back than we would stay, and maybe our core. The shard of the last
  // call is watched at its next cell and served from here. Its bit stays set meanwhile, so that its producers find it
  // set and leave the mask's line alone; the bit is cleared by the look at the mask that follows, as P10 has it.
  #lingerForCalls(): boolean {
    const i32 = this.#i32;
    const shard = this.#lastShard;
    const bit = 1 << shard;
    const cells = RINGS + shard * RING_BYTES + RING_FIRST_CELL;
    Atomics.or(i32, DIRTY_WORD, bit);
    let end = 0;
    for (;;) {
      const head = this.#heads[shard]!;
      const word = (cells + (head & (RING_CELLS - 1)) * CELL_BYTES) >> 2;
      const published = (head + 1) | 0;
      for (let look = 0; look < LINGER_LOOKS; look++) {
        if (Atomics.load(i32, word) === published) {
          this.#linger = LINGER_MOST;
          if (!this.#drainShard(shard) || this.#closed || this.#thenable || this.#reclaiming) return true;
          this.#flushWakes();
          end = 0;
          break;
        }
        if (Atomics.load(i32, DIRTY_WORD) !== bit) return true;
      }
      if (this.#heads[shard] !== head) continue; // served: the clock need not be looked at
      const now = performance.now();
      if (end === 0) end = Math.min(now + this.#linger, this.#deadline);
      if (now >= end) break;
    }
    this.#linger /= 2;
    return false;
  }
}

function replyOffset(reply: number): number {
  return REPLIES + ((reply & NUMBER_MASK) - 1) * REPLY_BYTES;
}

function doneWord(sequence: number): number {
  return ((sequence & REPLY_SEQUENCE_MASK) << REPLY_SEQUENCE_SHIFT) | REPLY_DONE;
}

function startedWord(sequence: number): number {
  return (sequence << REPLY_SEQUENCE_SHIFT) | REPLY_STARTED;
}

/** What the arguments of a message were instead of what the op declares. */
class Misfit {
  constructor(readonly error: unknown) {}
}

type Target = Record<string, (...args: unknown[]) => unknown> & ((...args: unknown[]) => unknown);

function invoke(target: unknown, op: Op, args: unknown): unknown {
  if (args instanceof Misfit) throw args.error;
  const object = target as Target;
  switch (op.args.length) {
    case 0:
      return op.isFunction ? object() : object[op.name]!();
    case 1:
      return op.isFunction ? object(args) : object[op.name]!(args);
    case 2: {
      const [a, b] = args as [unknown, unknown];
      return op.isFunction ? object(a, b) : object[op.name]!(a, b);
    }
    default:
      return op.isFunction ? object(...(args as unknown[])) : object[op.name]!(...(args as unknown[]));
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (typeof value !== 'object' && typeof value !== 'function') return false;
  return value !== null && typeof (value as { then?: unknown }).then === 'function';
}
