// The drain: takes messages out of the mailboxes, knows when to stop and when to come back, and drops objects whose
// last reference is gone. What becomes of a message is delivery.ts. One consumer, the realm's JavaScript thread; the
// producers are native/core/mailbox.cc.
import { performance } from 'node:perf_hooks';
import type { NativeRealm } from '../binding.js';
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
  EVENT_WAITERS,
  EXCHANGE,
  EXCHANGE_FLAG,
  HOST_DONE,
  INLINE_ARGS,
  REPLY_TYPE,
  REPLY_VALUE,
  REQUEST_SERVE,
  RING_BYTES,
  RING_CELLS,
  RING_DECLINED,
  RING_FILL,
  RING_FIRST_CELL,
  RING_HEAD,
  RING_SPACE_WANTED,
  RING_TAIL,
  RING_WAITING,
  RINGS,
  SCRIPT_WAITS,
  SHAPE_COUNT_SHIFT,
  SHAPE_HEAP_BIT,
  SHARDS,
  STATUSES,
} from '../constants.js';
import { trace } from '../debugging/trace.js';
import type { ErrorCode } from '../errors.js';
import { type Op, TYPES } from '../kind.js';
import type { Mirror } from '../mirror.js';
import { OPTION } from '../options.js';
import { BUDGET_MILLISECONDS, Delivery, type Listener, Misfit } from './delivery.js';
import { Detour, Viewed } from './detour.js';
import { EVENT } from './events.js';
import type { HeldMessage } from './held.js';
import { Replies, replyOffset } from './replies.js';
import { cellsOf, SHAPE_TYPES_MASK, Views, Wire } from './wire.js';

/** What the drain needs of the registry. */
export interface Receiver extends Listener {
  /** Where the objects are. */
  readonly mirror: Mirror;
  /** The op of a number; the sender has checked that there is one. */
  opOf(number: number): Op;
  /** A post was refused: told where somebody listens. */
  reportDeclined(code: ErrorCode, message: string, handle: number, op: Op): void;
  /** The slots that native code released, and that no message needs any more, may be freed. */
  freeReleased(): void;
  /** A drain found this mailbox full; its messages from `head` on are still there. */
  mailboxFull(shard: number, head: number): void;
  /** Level 2: a drain ended, the outermost one. */
  readonly drained: (() => void) | undefined;
  /** A drain ended, somebody waits for events, and these happened: `EVENT.drained`, `EVENT.reclaimed`. */
  happened(events: number): void;
  /** Calls that wait for a promise: while there are any, the event loop stays alive. */
  promisesWaiting(count: number): void;
  /** Calls of functions of the host have ended. */
  hostAnswered(): void;
}

const BUDGET_MESSAGES = 4096;
const CLOCK_EVERY = 64;
const HEAD_EVERY = 16;
/** With so many cells in use a long message finds no room. */
const NO_ROOM = RING_CELLS - 32;
const DEPTH_MOST = 16;
/** Drains that a wait in C may stand in: more than functions of the host run one inside the other on a thread. */
const SERVE_DEPTH_MOST = 96;
/** As many arguments as a drain and what it calls need words on the stack, with some to spare. */
const SPARE_STACK: readonly undefined[] = Array.from({ length: 2048 }, () => undefined);
const nothing = () => {};
const LINGER_MOST = 0.05; // milliseconds
const LINGER_LEAST = 0.002;
const LINGER_LOOKS = 64; // between two looks at the clock
const OTHER_WORK = 0.2;
/** The part of a shape that equals the op's for a message with exactly its types, inside the ring. */
const EXACT_MASK = SHAPE_TYPES_MASK | SHAPE_HEAP_BIT;
const ONE_NUMBER = (1 << SHAPE_COUNT_SHIFT) | TYPES.f64;
const ONE_INTEGER = (1 << SHAPE_COUNT_SHIFT) | TYPES.i32;
const ONE_TEXT = (1 << SHAPE_COUNT_SHIFT) | TYPES.str;
const LONG_TEXT = ONE_TEXT | SHAPE_HEAP_BIT;
const SHARD_BITS = (1 << SHARDS) - 1;
const RECLAIM_BIT = 1 << SHARDS;
const SHARD_MASK = SHARDS - 1;
const ARMED_WORD = ARMED >> 2;
const DIRTY_WORD = DIRTY >> 2;
const FLAG_WORD = (EXCHANGE >> 2) + EXCHANGE_FLAG;
const HOST_DONE_WORD = HOST_DONE >> 2;
const SCRIPT_WAITS_WORD = SCRIPT_WAITS >> 2;
const EVENT_WAITERS_WORD = EVENT_WAITERS >> 2;

export class Mailboxes {
  readonly #native: NativeRealm;
  readonly #receiver: Receiver;
  readonly #wire: Wire;
  readonly #replies: Replies;
  readonly #delivery: Delivery;
  readonly #detour: Detour;
  readonly #i32: Int32Array;
  readonly #f64: Float64Array;
  /** Position of the next message a shard; ours alone, and the shared head follows it (P11, P13). */
  readonly #heads = new Int32Array(SHARDS);
  /** Where each tail stood when the released slots were taken. */
  readonly #tails = new Int32Array(SHARDS);
  /** Shards that are known to have messages: a drain inside a handler takes them over (P11). */
  #shards = 0;
  /** Where a drain begins. */
  #firstShard = 0;
  /** Replies and handles of calls that no answer could be written to. */
  #unanswered: number[] = [];
  #reclaiming = false;
  /** What is to be done when a mailbox is drained to where its tail stood. */
  #whenDrained: { readonly tails: Int32Array; readonly done: () => void }[] = [];
  #reclaimDirty = false;
  #left = 0;
  #clockAt = 0;
  #deadline = 0;
  #lingers = false;
  #linger = 0;
  #endedAt = 0;
  #rangAt = 0;
  #closed = false;
  /** Handlers that run now, one inside the other. */
  #running = 0;
  /** Drains that run now, one inside the other. */
  #draining = 0;
  #reclaimed = false;
  /** The op of the latest direct message: C mostly calls the same one again. */
  #directNumber = 0;
  #directOp: Op | undefined;

  constructor(native: NativeRealm, receiver: Receiver) {
    this.#native = native;
    this.#receiver = receiver;
    this.#wire = new Wire(native);
    this.#replies = new Replies(
      native,
      this.#wire,
      (count) => receiver.promisesWaiting(count),
      (error, handle, op) => this.#delivery.failed(error, handle, op),
    );
    this.#delivery = new Delivery(receiver, receiver.mirror, this.#wire, this.#replies);
    this.#detour = new Detour(native, this.#wire, this.#delivery, this.#replies, {
      reportError: (error, handle, op) => receiver.reportError(error, handle, op),
      reportDeclined: (code, message, handle, op) => receiver.reportDeclined(code, message, handle, op),
      outside: (work) => this.#outside(work),
    });
    this.#i32 = this.#wire.i32;
    this.#f64 = this.#wire.f64;
    // Positions go on from where an earlier realm left them.
    for (let shard = 0; shard < SHARDS; shard++) {
      this.#heads[shard] = Atomics.load(this.#i32, (RINGS + shard * RING_BYTES + RING_HEAD) >> 2);
    }
    // The realm sleeps until something comes.
    Atomics.store(this.#i32, ARMED_WORD, 1);
  }

  /** Messages that found their object gone. */
  get gone(): number {
    return this.#delivery.gone;
  }

  /** Before the realm's memory goes. What waits to be delivered stays counted as that. */
  close(): void {
    this.publishHeads();
    for (const { done } of this.#whenDrained.splice(0)) done();
    this.#closed = true;
    this.#replies.close();
    this.#delivery.close();
    this.#detour.close();
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
  drainNow(most = BUDGET_MESSAGES, depthMost = DEPTH_MOST): number {
    // At some depth the rest is the outer drains': a handler that drains is served by the next drain, and that one's
    // handler by the next.
    if (this.#draining >= depthMost) return 0;
    // A stack that is all but full has to end this here, before anything is taken out that could not be delivered.
    Reflect.apply(nothing, undefined, SPARE_STACK);
    const lingers = this.#lingers;
    this.#lingers = false;
    const outer = { left: this.#left, deadline: this.#deadline, clockAt: this.#clockAt };
    this.#left = most;
    this.#deadline = Number.POSITIVE_INFINITY;
    this.#clockAt = 0;
    this.#drainAll();
    const handled = most - this.#left;
    this.#left = outer.left;
    this.#deadline = outer.deadline;
    this.#clockAt = outer.clockAt;
    this.#lingers = lingers;
    return handled;
  }

  /** Whether a wait in C that began now could handle messages. */
  get canServe(): boolean {
    return this.#draining < SERVE_DEPTH_MOST;
  }

  /** Cells that are in use in all mailboxes. */
  get cells(): number {
    let cells = 0;
    for (let shard = 0; shard < SHARDS; shard++) cells += this.#fill(shard);
    return cells;
  }

  /** As `drainNow`, beginning with one shard: while that has as many, none of another. Cells without a message count. */
  drainFrom(shard: number, most: number): number {
    Atomics.or(this.#i32, DIRTY_WORD, 1 << shard);
    this.#firstShard = shard;
    return this.drainNow(most);
  }

  /** Where in its ring the next message of a shard stands. */
  positionOf(shard: number): number {
    return this.#heads[shard]!;
  }

  /** Answers the doorbell: handles what waits, within a budget of messages and time; rings for the rest. Tells how many. */
  drain(): number {
    const now = performance.now();
    this.#replies.forgetGivenUp();
    if (this.#unanswered.length > 0) this.#answerUnanswered();
    if (this.#i32[SCRIPT_WAITS_WORD] !== 0) this.#receiver.happened(0); // a mailbox may be full now
    this.#left = BUDGET_MESSAGES;
    this.#deadline = now + BUDGET_MILLISECONDS;
    this.#clockAt = this.#left - 1;
    this.#delivery.calls = 0;
    this.#delivery.thenable = false;
    this.#replies.woke = false;
    // Coming back late from our own ring means that the event loop has other work, and no time for lingering.
    const busy = this.#rangAt !== 0 && now - this.#rangAt > OTHER_WORK;
    this.#rangAt = 0;
    if (busy) this.#linger = 0;
    else if (now - this.#endedAt < 2 * LINGER_MOST) this.#linger = Math.max(this.#linger, LINGER_MOST / 2);

    this.#lingers = true;
    this.#drainAll();
    this.#lingers = false;
    if (this.#delivery.calls > 0 && !this.#closed) this.#endedAt = performance.now();
    return BUDGET_MESSAGES - this.#left;
  }

  #answerUnanswered(): void {
    const unanswered = this.#unanswered.splice(0);
    for (let i = 0; i < unanswered.length; i += 2) {
      const [reply, handle] = [unanswered[i]!, unanswered[i + 1]!];
      if (reply !== 0) this.#replies.answerFailed(reply, handle);
    }
  }

  #drainAll(): void {
    if (trace === undefined) {
      this.#drainEverything();
      return;
    }
    const [began, left] = [trace.now(), this.#left];
    this.#traceFill();
    try {
      this.#drainEverything();
    } finally {
      trace.span('drain', 'drain', began, { realm: this.#native.id, messages: left - this.#left });
      if (!this.#closed) this.#traceFill();
    }
  }

  #drainEverything(): void {
    this.#draining++;
    let empty = false;
    let done = false;
    try {
      empty = this.#drainUntilEmpty();
      if (this.#detour.waitsForEnd) this.#outside(() => this.#detour.drainEnds());
      done = true;
    } finally {
      this.#draining--;
      if (!done && !this.#closed) this.#native.ring(); // for the rest, with an empty stack
    }
    if (this.#closed) return;
    this.#replies.flushWakes();
    if (this.#receiver.drained !== undefined && this.#running === 0 && this.#draining === 0)
      this.#receiver.drained();
    if (this.#closed) return; // by a listener
    const reclaimed = this.#reclaimed; // forgotten where nobody waits: an event of before is none
    this.#reclaimed = false;
    if (this.#i32[EVENT_WAITERS_WORD] === 0 && this.#i32[SCRIPT_WAITS_WORD] === 0) return;
    const events = (empty ? EVENT.drained : 0) | (reclaimed ? EVENT.reclaimed : 0);
    this.#receiver.happened(events);
  }

  // False if the budget ended it, or the realm is closed.
  #drainUntilEmpty(): boolean {
    while (!this.#closed) {
      if (this.#i32[HOST_DONE_WORD] !== 0) this.#receiver.hostAnswered();
      const rest = this.#drainMask(Atomics.exchange(this.#i32, DIRTY_WORD, 0));
      if (this.#closed) return false;
      if (rest !== 0) {
        this.#comeBack(rest);
        return false;
      }
      if (Atomics.load(this.#i32, DIRTY_WORD) !== 0) continue;
      this.#replies.flushWakes();
      if (
        this.#lingers &&
        this.#delivery.calls > 0 &&
        this.#linger >= LINGER_LEAST &&
        !this.#delivery.thenable &&
        !this.#replies.woke
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
      // P10: armed, a full fence (Atomics are), then the mask and the host's answers once more.
      Atomics.store(this.#i32, ARMED_WORD, 1);
      if (Atomics.load(this.#i32, DIRTY_WORD) === 0 && Atomics.load(this.#i32, HOST_DONE_WORD) === 0)
        return true;
      if (Atomics.exchange(this.#i32, ARMED_WORD, 0) === 0) return true; // a producer rings: we come back
    }
    return false;
  }

  /** A message of C on this very thread: its handler runs at once. */
  direct(): void {
    const number = this.#i32[(DIRECT + CELL_OP) >> 2]!;
    if (number === 0) {
      this.#answerRequest(this.#i32[(DIRECT + CELL_ARGS) >> 2]!);
      return;
    }
    if (number !== this.#directNumber) {
      this.#directOp = this.#receiver.opOf(number);
      this.#directNumber = number;
    }
    const op = this.#directOp!;
    this.#running++;
    try {
      this.#runDirect(op);
    } finally {
      this.#running--;
      if (this.#reclaiming) this.#freeAfterDirect();
    }
  }

  // The answer stands in its place until C reads it: no handler may run before, and have another put there.
  #freeAfterDirect(): void {
    if (this.#detour.blocking) this.#reclaimLater();
    else this.#freeIfDrained();
  }

  #reclaimLater(): void {
    if (this.#closed) return;
    Atomics.or(this.#i32, DIRTY_WORD, RECLAIM_BIT);
    this.#native.ring();
  }

  // What C asks of us while it waits on our thread: to serve, or only whether we still run (P19).
  #answerRequest(request: number): void {
    const handled = request === REQUEST_SERVE ? this.drainNow(BUDGET_MESSAGES, SERVE_DEPTH_MOST) : 0;
    if (this.#closed) return;
    this.#f64[(DIRECT_REPLY + REPLY_VALUE) >> 3] = handled;
    this.#wire.writeStatus(DIRECT_REPLY, STATUSES.HAFT_OK.status);
  }

  #runDirect(op: Op): void {
    const handle = this.#f64[(DIRECT + CELL_HANDLE) >> 3]!;
    const shape = this.#i32[(DIRECT + CELL_SHAPE) >> 2]!;
    const args =
      op.shape === ONE_INTEGER && (shape & EXACT_MASK) === ONE_INTEGER
        ? this.#i32[(DIRECT + CELL_ARGS) >> 2]
        : this.#argsOf(DIRECT, shape, op);
    if (op.isTrampoline) this.#delivery.closure(handle, op, args);
    else if ((this.#detour.count | op.options) !== 0) this.#detour.direct(handle, op, args);
    else this.#delivery.direct(handle, op, args);
  }

  // Handlers that run outside of a drain: their time has come, or a promise has settled.
  #outside(work: () => void): void {
    if (this.#closed) return;
    this.#running++;
    try {
      work();
    } finally {
      this.#running--;
    }
    if (this.#closed) return;
    this.#replies.flushWakes();
    this.#freeIfDrained();
  }

  // ---- Held messages, for moves ----

  /** From now on messages of this handle are held. Idempotent. */
  hold(handle: number): void {
    if (!this.#closed) this.#detour.hold(handle);
  }

  /** Delivers what was held, in order; then goes on as usual. */
  unhold(handle: number): void {
    this.#detour.unhold(handle);
  }

  /**
   * Takes all messages out that are held for a handle, gives their references back, and holds no more. Posts stay counted
   * as waiting until `declinePost`.
   */
  takeHeld(handle: number): HeldMessage[] {
    const messages = this.#detour.takeHeld(handle);
    this.#freeIfDrained();
    return messages;
  }

  /** Answers a call that `takeHeld` gave. */
  declineCall(message: HeldMessage, status: number): void {
    this.#detour.declineCall(message, status);
  }

  /** Ends a post that `takeHeld` gave: it is refused, or was sent on to where it is counted anew. */
  declinePost(message: HeldMessage, sentOn = false): void {
    this.#detour.declinePost(message, sentOn);
  }

  /** A post that was taken out and sent on could not be delivered there. */
  countDeclined(handle: number): void {
    if (!this.#closed) this.#wire.count(handle, RING_DECLINED);
  }

  /** Takes the slots that native code released. They are freed when no message can need them: at once if none waits. */
  reclaim(): void {
    this.#takeReleased();
    this.#freeIfDrained();
  }

  /** Calls `done` when all messages have been taken out that are in the mailboxes now, or never will be. */
  whenDrained(done: () => void): void {
    this.#whenDrained.push({ tails: this.#readTails(new Int32Array(SHARDS)), done });
    this.#callDrained();
  }

  /**
   * Of the messages that are in the mailboxes now: whether one of them is still to be taken out, or answered by a promise,
   * whenever it is asked. Later ones do not count.
   */
  underWay(): () => boolean {
    let waiting: (() => boolean) | undefined;
    this.whenDrained(() => {
      waiting = this.#replies.stillWaiting();
    });
    return () => waiting === undefined || waiting();
  }

  /** Whether posts wait outside of the mailboxes: for a batch, a retry or a move. */
  get holding(): boolean {
    for (let shard = 0; shard < SHARDS; shard++) {
      if (this.#f64[(RINGS + shard * RING_BYTES + RING_WAITING) >> 3] !== 0) return true;
    }
    return false;
  }

  #callDrained(): void {
    while (this.#whenDrained.length > 0 && this.#shardsBefore(this.#whenDrained[0]!.tails) === 0)
      this.#whenDrained.shift()!.done();
  }

  // Drains the shards of a mask; tells what it left, as a mask.
  #drainMask(mask: number): number {
    // P5: take the reclaim lists first and read every tail after that; free the slots only when each mailbox has been
    // drained to its tail.
    if (mask >>> SHARDS !== 0 || this.#reclaimDirty) this.#takeReleased();
    this.#shards |= mask & SHARD_BITS;
    if (this.#reclaiming) this.#shards |= this.#shardsBefore(this.#tails);
    let rest = 0;
    while (this.#shards !== 0) {
      const behind = this.#shards & (-1 << this.#firstShard);
      const from = behind === 0 ? this.#shards : behind;
      const shard = 31 - Math.clz32(from & -from);
      const before = this.#left;
      if (!this.#drainShard(shard)) {
        // Whoever comes behind has its turn first next time, or a shard that is never empty would starve the others.
        if (rest === 0) this.#firstShard = (this.#left === before ? shard : shard + 1) & SHARD_MASK;
        rest |= 1 << shard;
      }
      if (this.#closed) return 0;
      this.#shards &= ~(1 << shard);
    }
    if (this.#reclaiming) this.#freeIfDrained();
    if (this.#whenDrained.length > 0) this.#callDrained();
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
        if (this.#replies.wakes > 0) this.#replies.flushWakes(); // P16: a handler may wait for a thread that sleeps on its answer
        this.#running++;
        try {
          // What a trampoline calls is never held.
          if ((this.#detour.count | op.options) !== 0 && !op.isTrampoline)
            this.#detour.take(reply, handle, op, args);
          else if (reply === 0) this.#delivery.post(handle, op, args);
          else this.#delivery.call(reply, handle, op, args);
        } catch (error) {
          this.#unanswered.push(reply, handle); // not the handler's: the stack is full
          throw error;
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
    if (!done && first) this.#noteFill(shard); // slow handlers: the mailbox is full because of them
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
    // A direct call's chunk belongs to its caller.
    if (op.shape === ONE_TEXT && (shape & EXACT_MASK) === LONG_TEXT && cell !== DIRECT)
      return this.#wire.takeText(cell);
    const views = (op.options & OPTION.views) === 0 ? undefined : new Views(this.#native);
    try {
      const values = this.#wire.readArgs(cell, op, views);
      const args = count === 1 ? values[0] : values;
      return views ? new Viewed(args, views) : args;
    } catch (error) {
      views?.end();
      return new Misfit(error);
    }
  }

  #wakeProducers(shard: number): void {
    this.#i32[FLAG_WORD] = shard;
    this.#native.wakeProducers();
  }

  // ---- Counters and events ----

  #fill(shard: number): number {
    const ring = RINGS + shard * RING_BYTES;
    return (Atomics.load(this.#i32, (ring + RING_TAIL) >> 2) - this.#i32[(ring + RING_HEAD) >> 2]!) | 0;
  }

  #traceFill(): void {
    trace!.counter(`mailboxes of realm ${this.#native.id}`, { cells: this.cells });
  }

  // Once in a run of messages, and only in one that is not short, or was cut short: the tail's line is the producers'.
  #noteFill(shard: number): void {
    const place = (RINGS + shard * RING_BYTES + RING_FILL) >> 3;
    const fill = this.#fill(shard);
    this.#f64[place] = Math.max(this.#f64[place]!, fill);
    if (fill > NO_ROOM) this.#receiver.mailboxFull(shard, this.#heads[shard]!);
  }

  // ---- Released slots (P5) ----

  #takeReleased(): void {
    this.#reclaimDirty = this.#reclaiming;
    if (this.#reclaiming) return; // one batch after the other
    this.#native.takeReleased();
    if (this.#i32[FLAG_WORD] === 0) return;
    this.#reclaiming = true;
    this.#readTails(this.#tails);
  }

  #readTails(tails: Int32Array): Int32Array {
    for (let shard = 0; shard < SHARDS; shard++) {
      tails[shard] = Atomics.load(this.#i32, (RINGS + shard * RING_BYTES + RING_TAIL) >> 2);
    }
    return tails;
  }

  // The shards that have not been drained to these tails.
  #shardsBefore(tails: Int32Array): number {
    let shards = 0;
    for (let shard = 0; shard < SHARDS; shard++) {
      if (((tails[shard]! - this.#heads[shard]!) | 0) > 0) shards |= 1 << shard;
    }
    return shards;
  }

  // Only where no handler is under way that could have borrowed one of the slots' handles as an argument.
  #freeIfDrained(): void {
    while (
      this.#reclaiming &&
      this.#running === 0 &&
      !this.#closed &&
      this.#shardsBefore(this.#tails) === 0
    ) {
      if (this.#detour.blocking && !this.#unblocked()) return;
      this.#receiver.freeReleased();
      this.#reclaiming = false;
      this.#reclaimed = true;
      if (this.#reclaimDirty) this.#takeReleased();
    }
  }

  // P32: held messages need objects that nothing else keeps any more. Batches of theirs need not wait for more.
  #unblocked(): boolean {
    this.#running++;
    try {
      this.#detour.deliverBlocking();
    } finally {
      this.#running--;
    }
    return !this.#closed && !this.#detour.blocking;
  }

  // ---- When to stop ----

  // Looks at the clock after every message while handlers are slow, after 64 while they are quick.
  #timeIsUp(): boolean {
    const now = performance.now();
    if (this.#left <= 0 || now >= this.#deadline) return true;
    const spent = BUDGET_MILLISECONDS - (this.#deadline - now);
    const timed = BUDGET_MESSAGES - this.#left;
    const quick = Math.floor(((this.#deadline - now) / 4 / spent) * timed);
    // Never further ahead than has been timed: the next ones may be slow.
    this.#clockAt = Math.max(0, this.#left - Math.max(1, Math.min(CLOCK_EVERY, quick, timed)));
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
    const shard = this.#delivery.lastShard;
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
          if (!this.#drainShard(shard) || this.#closed || this.#delivery.thenable || this.#reclaiming)
            return true;
          this.#replies.flushWakes();
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
