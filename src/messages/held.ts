// Held messages: they have left the mailbox and have not yet reached their handlers. By handle, in order; what keeps
// their objects alive meanwhile (P32), and what counts them as waiting.
import type { NativeRealm } from '../binding.js';
import {
  EXCHANGE,
  EXCHANGE_HANDLE,
  EXCHANGE_NUMBER,
  EXCHANGE_STATUS,
  RING_WAITING,
  STATUSES,
} from '../constants.js';
import { type Op, TYPES } from '../kind.js';
import type { Wire } from './wire.js';

const HANDLE_PLACE = (EXCHANGE >> 3) + (EXCHANGE_HANDLE >> 1);
const NUMBER_PLACE = (EXCHANGE >> 3) + (EXCHANGE_NUMBER >> 1);
const STATUS_WORD = (EXCHANGE >> 2) + EXCHANGE_STATUS;
const OK = STATUSES.HAFT_OK.status;
const MOVED = STATUSES.HAFT_E_MOVED.status;

/** A reference that was taken is the handle itself. */
type Kept = number;
const NOTHING: Kept = 0;
/** No reference could be had: until this is given back, no slot is freed. */
const BLOCKS: Kept = -1;

export interface HeldMessage {
  readonly handle: number;
  readonly op: Op;
  /** The values as they were read. */
  readonly args: readonly unknown[];
  /** 0 for a post. */
  readonly reply: number;
}

export class Held implements HeldMessage {
  /** What keeps the handles among the arguments. */
  kept: Kept[] | undefined;
  /** It is a post that is counted as waiting. */
  waiting = false;

  /** @param order Counts all messages that could be held. */
  constructor(
    readonly order: number,
    readonly handle: number,
    readonly op: Op,
    readonly args: readonly unknown[],
    readonly reply: number,
  ) {}
}

/** What one run of a handler delivers: one message, or the posts of a batch. */
export class Unit {
  failures = 0;
  error: unknown;
  /** Its handler runs now: what it comes to is yet to be told. */
  running = false;
  /** The registry closed, and its latest error has been told. */
  told = false;
  kept: Kept = NOTHING;
  readonly handle: number;
  readonly op: Op;
  readonly order: number;

  constructor(readonly messages: readonly Held[]) {
    const [first] = messages as [Held];
    this.handle = first.handle;
    this.op = first.op;
    this.order = first.order;
  }
}

/** The held messages of one handle. */
export class Queue {
  /** A move is under way: nothing is delivered. */
  paused = false;
  /** Units that wait for another try, in their order; they stand before all others. */
  readonly failed: Unit[] = [];
  /** The unit that is being tried again. */
  retrying: Unit | undefined;
  retryDue = false;
  retryTimer: (() => void) | undefined;
  batchTimer: (() => void) | undefined;
  /** The rest is to be delivered in another turn of the event loop. */
  rest: (() => void) | undefined;
  /** Deliveries of this queue that run now, one inside the other. */
  delivering = 0;
  kept: Kept = NOTHING;
  /** It holds messages with objects that nothing keeps. */
  blocking = false;
  #messages: (Held | undefined)[] = [];
  #head = 0;

  constructor(readonly handle: number) {}

  /** Nothing may be delivered now, and whatever comes stands behind. */
  get blocked(): boolean {
    return this.paused || this.failed.length > 0 || this.retrying !== undefined || this.rest !== undefined;
  }

  get idle(): boolean {
    return !this.blocked && this.length === 0 && this.delivering === 0;
  }

  /** Messages behind those that failed. */
  get length(): number {
    return this.#messages.length - this.#head;
  }

  get first(): Held | undefined {
    return this.#messages[this.#head];
  }

  add(message: Held): void {
    this.#messages.push(message);
  }

  take(): Held {
    const message = this.#messages[this.#head]!;
    this.#messages[this.#head++] = undefined;
    if (this.#head === this.#messages.length) {
      this.#messages = [];
      this.#head = 0;
    }
    return message;
  }

  /** The posts of one op that stand in front, so many at most. */
  takeBatch(most: number): Held[] {
    const { op } = this.first!;
    const batch: Held[] = [];
    while (batch.length < most && this.first?.op === op && this.first.reply === 0) batch.push(this.take());
    return batch;
  }

  putBack(unit: Unit): void {
    let place = 0;
    while (place < this.failed.length && this.failed[place]!.order < unit.order) place++;
    this.failed.splice(place, 0, unit);
  }

  takeAll(): Held[] {
    const all = this.failed.splice(0).flatMap(({ messages }) => messages);
    while (this.length > 0) all.push(this.take());
    return all;
  }

  clearTimers(): void {
    this.retryTimer?.();
    this.batchTimer?.();
    this.rest?.();
    this.retryTimer = undefined;
    this.batchTimer = undefined;
    this.rest = undefined;
  }
}

/** The references of held messages. The realm is open. */
export class Keeper {
  readonly #native: NativeRealm;
  readonly #wire: Wire;
  readonly #exists: (handle: number) => boolean;
  /** While there are objects that only we know are still needed, no slot may be freed. */
  blocking = 0;

  /** @param exists Whether the handle names an object of this realm that has not been dropped. */
  constructor(native: NativeRealm, wire: Wire, exists: (handle: number) => boolean) {
    this.#native = native;
    this.#wire = wire;
    this.#exists = exists;
  }

  keepObject(held: Queue | Unit): void {
    if (held.kept === NOTHING) held.kept = this.#keep(held.handle);
  }

  keepArguments(message: Held): void {
    if (message.kept !== undefined) return;
    const { op, args } = message;
    message.kept = [];
    for (let i = 0; i < args.length; i++) {
      if (op.args[i] === TYPES.handle) message.kept.push(this.#keep(args[i] as number));
    }
  }

  giveBackObject(held: Queue | Unit): void {
    this.#giveBack(held.kept);
    held.kept = NOTHING;
  }

  giveBackArguments(message: Held): void {
    for (const kept of message.kept ?? []) this.#giveBack(kept);
    message.kept = undefined;
  }

  /** Gives up what blocks: for who can wait without. */
  unblock(unit: Unit): void {
    if (unit.kept === BLOCKS) this.giveBackObject(unit);
    for (const message of unit.messages) if (message.kept?.includes(BLOCKS)) this.giveBackArguments(message);
  }

  /** Counts a post as waiting to be delivered, or no longer. */
  setWaiting(message: Held, waiting: boolean): void {
    if (message.waiting === waiting || message.reply !== 0) return;
    message.waiting = waiting;
    this.#wire.count(message.handle, RING_WAITING, waiting ? 1 : -1);
  }

  #keep(handle: number): Kept {
    if (!this.#exists(handle)) return NOTHING;
    this.#wire.f64[HANDLE_PLACE] = handle;
    this.#native.retain();
    if (this.#wire.i32[STATUS_WORD] === OK) return handle;
    this.blocking++;
    return BLOCKS;
  }

  // The reference went along with the object.
  #releaseMoved(): void {
    const { f64, i32 } = this.#wire;
    this.#native.moved();
    if (i32[STATUS_WORD] !== OK) return;
    f64[HANDLE_PLACE] = f64[NUMBER_PLACE]!;
    this.#native.release();
  }

  #giveBack(kept: Kept): void {
    if (kept === NOTHING) return;
    if (kept === BLOCKS) {
      this.blocking--;
      return;
    }
    const { f64, i32 } = this.#wire;
    f64[HANDLE_PLACE] = kept;
    this.#native.release();
    if (i32[STATUS_WORD] === MOVED) this.#releaseMoved();
  }
}
