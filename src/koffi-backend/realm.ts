// A realm without the addon: the same layout in memory of V8's, and what src/ asks of it. Mailboxes and replies are
// those of native/core/mailbox.cc and replies.cc with one thread: it sends, and it drains.
import { AsyncResource } from 'node:async_hooks';
import { Buffer } from 'node:buffer';
import type { NativeRealm } from '../binding.js';
import {
  ARMED,
  CELL_BYTES,
  CELL_OP,
  CELL_REPLY,
  CELL_SHAPE,
  DIRECT,
  DIRECT_REPLY,
  DIRTY,
  EVENT_COUNTS,
  EXCHANGE,
  EXCHANGE_FLAG,
  EXCHANGE_HANDLE,
  EXCHANGE_LIST,
  EXCHANGE_NUMBER,
  EXCHANGE_STATUS,
  EXCHANGE_WAKE,
  GIVEN_UP,
  NAME_BYTES,
  NAMES,
  PAYLOAD_MAX,
  REALM_BYTES,
  REPLIES,
  REPLY_BYTES,
  REPLY_DONE,
  REPLY_IN_HEAP,
  REPLY_LATER,
  REPLY_LENGTH,
  REPLY_NUMBER_BITS,
  REPLY_SEQUENCE_MASK,
  REPLY_SEQUENCE_SHIFT,
  REPLY_SLEEPER,
  REPLY_STARTED,
  REPLY_STATUS,
  REPLY_TYPE,
  REPLY_VALUE,
  REQUEST_SERVE,
  RING_BYTES,
  RING_CELLS,
  RING_DECLINED,
  RING_DELIVERED,
  RING_FILL,
  RING_FIRST_CELL,
  RING_HEAD,
  RING_TAIL,
  RING_WAITING,
  RINGS,
  SCRIPT_WAITS,
  SHAPE_CELLS_SHIFT,
  SHARDS,
  STATUSES,
} from '../constants.js';
import type { HandleHistory } from '../debugging/history.js';
import { TYPES } from '../kind.js';
import { koffi } from '../koffi.js';
import { EVENT } from '../messages/events.js';
import { cellsOf } from '../messages/wire.js';
import { tellBroken } from './breach.js';
import { Chunks } from './chunks.js';
import { type Answer, type Message, type Place, readReply } from './message.js';
import type { Process } from './process.js';
import type { Owner, Target } from './slots.js';

// As they were when this was loaded, whatever tests put in their place.
const { clearInterval, clearTimeout, setImmediate, setInterval } = globalThis;
const nanoseconds = process.hrtime.bigint;

const OK = STATUSES.HAFT_OK.status;
const CLOSED = STATUSES.HAFT_E_CLOSED.status;
const COLLECTED = STATUSES.HAFT_E_COLLECTED.status;
const EXCEPTION = STATUSES.HAFT_E_EXCEPTION.status;
const FULL = STATUSES.HAFT_E_FULL.status;
const MOVED = STATUSES.HAFT_E_MOVED.status;
const OWNER = STATUSES.HAFT_E_OWNER.status;
const NO_MEMORY = STATUSES.HAFT_E_NO_MEMORY.status;
const REALM = STATUSES.HAFT_E_REALM.status;
const STALE = STATUSES.HAFT_E_STALE.status;
const TIMEOUT = STATUSES.HAFT_E_TIMEOUT.status;

const HANDLE_PLACE = (EXCHANGE >> 3) + (EXCHANGE_HANDLE >> 1);
const NUMBER_PLACE = (EXCHANGE >> 3) + (EXCHANGE_NUMBER >> 1);
const STATUS_WORD = (EXCHANGE >> 2) + EXCHANGE_STATUS;
const FLAG_WORD = (EXCHANGE >> 2) + EXCHANGE_FLAG;
const LIST_WORD = (EXCHANGE >> 2) + EXCHANGE_LIST;
const LIST_MOST = EXCHANGE_WAKE - EXCHANGE_LIST;
const WAKE_WORD = (EXCHANGE >> 2) + EXCHANGE_WAKE;
const ARMED_WORD = ARMED >> 2;
const DIRTY_WORD = DIRTY >> 2;
const REPLY_NUMBERS = (1 << REPLY_NUMBER_BITS) - 1;
/** Above what JavaScript knows of a reply's state: its caller has gone. */
const ABANDONED = 2;
/** Nobody waits for the reply: it is completed when it is there. */
const NOBODY_WAITS = 2;
const EVENT_BITS = 32;
const POISON = 0xdb;
/** The longest time that a timer can have: it only keeps the event loop alive. */
const LONGEST = 2 ** 31 - 1;

/** What producers count on a shard; the drain's counters are in the ring. */
class Producers {
  refused = 0;
  dropped = 0;
  expired = 0;
  longestWait = 0;
  highestFill = 0;
}

/** The counters of a shard, as src/messages/counters.ts orders them. */
export type Fields = readonly [
  sent: number,
  delivered: number,
  refused: number,
  dropped: number,
  expired: number,
  longestWait: number,
  highestFill: number,
];

/** A call whose answer goes to a completer. */
export interface Pending {
  readonly token: number;
  readonly shard: number;
  /** Told once: the answer, or a bare status. */
  readonly complete: (status: number, answer: Answer | undefined) => void;
  timer?: NodeJS.Timeout;
}

export class Realm implements NativeRealm, Owner, Place {
  readonly buffer = new ArrayBuffer(REALM_BYTES);
  readonly host = undefined;
  readonly i32 = new Int32Array(this.buffer);
  readonly f64 = new Float64Array(this.buffer);
  readonly i64 = new BigInt64Array(this.buffer);
  readonly u8 = Buffer.from(this.buffer);
  readonly chunks = new Chunks();
  readonly released: number[][] = Array.from({ length: SHARDS }, () => []);
  readonly pending = new Map<number, Pending>();
  /** haft_signal was called since haft_serve last looked. */
  signalled = false;
  /** The handle of the object that accepts moved ones, or 0. */
  acceptor = 0;
  isOpen = true;
  readonly #process: Process;
  readonly #drain: () => void;
  readonly #direct: () => void;
  readonly #producers = Array.from({ length: SHARDS }, () => new Producers());
  readonly #names = new Map<string, number>();
  readonly #breakers = new Map<number, bigint>();
  readonly #freeReplies: number[] = [];
  readonly #arrivals: [request: number, status: number, result: number | string][] = [];
  #repliesIssued = 0;
  /** Those of the released that the drain has taken. */
  #taken: number[] = [];
  #rung = false;
  #alive: NodeJS.Timeout | undefined;

  constructor(
    process: Process,
    readonly id: number,
    drain: () => void,
    direct: () => void,
  ) {
    this.#process = process;
    this.#drain = AsyncResource.bind(drain);
    this.#direct = direct;
  }

  get blockBase(): number {
    return this.#process.slots.base;
  }

  get generationMask(): number {
    return this.#process.slots.generationMask;
  }

  // ---- What src/ asks: arguments and results in the exchange ----

  get #handle(): number {
    return this.f64[HANDLE_PLACE]!;
  }

  set #status(status: number) {
    this.i32[STATUS_WORD] = status;
  }

  get #flag(): number {
    return this.i32[FLAG_WORD]!;
  }

  set #flag(flag: number) {
    this.i32[FLAG_WORD] = flag;
  }

  // A status, or whether a slot has retired.
  set #ended(ended: number | boolean) {
    this.#status = typeof ended === 'number' ? ended : OK;
    this.#flag = ended === true ? 1 : 0;
  }

  remove(): void {
    this.#ended = this.#process.slots.delete(this.#handle, this);
  }

  retain(): void {
    this.#status = this.#process.slots.retain(this.#handle);
  }

  release(): void {
    this.#status = this.#process.slots.release(this.#handle);
  }

  check(): void {
    const target = this.#process.slots.live(this.#handle);
    this.#status = typeof target === 'number' ? target : target.realm === this ? OK : REALM;
  }

  takeReleased(): void {
    for (const list of this.released) this.#taken.push(...list.splice(0));
    this.#flag = this.#taken.length > 0 ? 1 : 0;
  }

  freeReleased(): void {
    const indexes = this.#taken.splice(0, LIST_MOST);
    for (const [i, index] of indexes.entries())
      this.i32[LIST_WORD + i] = this.#process.slots.free(index) ? -1 - index : index;
    this.#flag = indexes.length;
  }

  wakeCallers(): void {
    // All is read before: a completion may call JavaScript, which writes the next list over this one.
    const numbers = this.i32.slice(WAKE_WORD, WAKE_WORD + this.#flag);
    for (const number of numbers) this.#answered(number);
  }

  wakeProducers(): void {} // nobody sleeps

  discardReply(): void {
    const token = this.#flag;
    const reply = replyAt(token);
    const status = this.i32[(reply + REPLY_STATUS) >> 2];
    if (this.i32[STATUS_WORD] !== 0) {
      const type = this.i32[(reply + REPLY_TYPE) >> 2];
      const isText = status !== OK || type === TYPES.str || type === TYPES.bytes;
      if (isText && this.i32[(reply + REPLY_IN_HEAP) >> 2] !== 0)
        this.chunks.give(Number(this.i64[(reply + REPLY_VALUE) >> 3]!));
      if (status === OK && type === TYPES.handle)
        this.#process.slots.release(this.f64[(reply + REPLY_VALUE) >> 3]!);
    }
    this.giveReply(token);
  }

  ring(): void {
    if (this.#rung || !this.isOpen) return;
    this.#rung = true;
    setImmediate(() => {
      this.#rung = false;
      if (this.isOpen) this.#drain();
    });
  }

  takeBlock(): ArrayBuffer | undefined {
    const block = this.#process.slots.takeBlock(this);
    this.#flag = block?.number ?? -1;
    return block?.buffer;
  }

  publish(name: string): void {
    const handle = this.#handle;
    this.#status = OK;
    if (handle === 0) this.#names.delete(name);
    else if (this.#names.size >= NAMES && !this.#names.has(name)) this.#status = STATUSES.HAFT_E_SLOTS.status;
    else this.#names.set(name, handle);
  }

  readText(offset: number, length: number, ascii: boolean, given: number): string | undefined {
    const text = this.chunks.read(offset, length)?.toString(ascii ? 'latin1' : 'utf8');
    if (given !== 0) this.chunks.give(given);
    return text;
  }

  readBytes(offset: number, length: number): Uint8Array | undefined {
    const bytes = this.chunks.read(offset, length);
    return bytes === undefined ? undefined : new Uint8Array(bytes);
  }

  giveChunk(offset: number): void {
    this.chunks.give(offset);
  }

  writePayload(payload: string | Uint8Array): void {
    const bytes = typeof payload === 'string' ? Buffer.byteLength(payload) : payload.length;
    if (bytes > PAYLOAD_MAX) {
      this.#flag = -2;
      return;
    }
    const copy = Buffer.allocUnsafeSlow(bytes);
    if (typeof payload === 'string') copy.write(payload, 'utf8');
    else copy.set(payload);
    const chunk = this.chunks.keep(copy);
    this.f64[HANDLE_PLACE] = chunk;
    this.#flag = chunk === 0 ? -1 : bytes;
  }

  useKoffi(): void {} // it is koffi that calls

  happened(): void {
    this.tell(this.#flag);
  }

  counters(): Float64Array {
    const numbers = new Float64Array(SHARDS * 7);
    for (let shard = 0; shard < SHARDS; shard++) numbers.set(this.countersOf(shard), shard * 7);
    return numbers;
  }

  move(): void {
    const handle = this.#handle;
    const now = this.f64[NUMBER_PLACE]!;
    const status = this.#process.slots.move(handle, this, now);
    if (status === OK) this.#process.ledger?.move(handle, now);
    this.#status = status;
  }

  moved(): void {
    const now = this.#process.slots.moved(this.#handle);
    this.#status = Math.min(now, OK);
    this.f64[NUMBER_PLACE] = Math.max(now, 0);
  }

  forget(): void {
    this.#ended = this.#process.slots.forget(this.#handle, this);
  }

  letGo(): void {
    this.#process.slots.letGo(this.#handle, this);
  }

  collect(): void {
    this.#status = this.#process.slots.collect(this.#handle, this);
  }

  pin(start: Uint8Array, byteLength: number): bigint {
    const address = start.length > 0 ? koffi().address(start) : 0n;
    this.#process.pins.set(this.#handle, { data: address, size: byteLength });
    return address;
  }

  unpin(): void {
    this.#process.pins.delete(this.#handle);
  }

  retainAs(label: string, stack: string): void {
    const { labels, ledger } = this.#process;
    const handle = this.#handle;
    const act = () => labels.retain(handle, label);
    this.#status =
      ledger === undefined ? act() : ledger.change(handle, 'script', 1, ledger.use('retainAs', stack), act);
  }

  releaseAs(label: string, stack: string): void {
    const { labels, ledger } = this.#process;
    const handle = this.#handle;
    const act = () => labels.release(handle, label);
    this.#status =
      ledger === undefined ? act() : ledger.change(handle, 'script', -1, ledger.use('releaseAs', stack), act);
  }

  sweepLabels(): void {
    this.#process.labels.sweep();
  }

  livesLeft(): void {
    this.#flag = this.#process.slots.livesLeft(this.#flag);
  }

  giveBlock(): void {
    this.#flag = this.#process.slots.giveBlock(this.#flag, this) ? 1 : 0;
  }

  /** There are no thunks: koffi's callbacks serve, and report misuse themselves. */
  trampoline(): number {
    return STATUSES.HAFT_E_UNSUPPORTED.status;
  }

  reportMisuse(): void {}

  setAcceptor(): void {
    this.acceptor = this.#handle;
  }

  acceptorOf(realm: number): number {
    return this.#process.realmOf(realm)?.acceptor ?? 0;
  }

  refuseKind(kind: number, until: bigint): void {
    if (until === 0n) this.#breakers.delete(kind);
    else this.#breakers.set(kind, until);
  }

  offer(handle: number, op: number, types: readonly number[], values: readonly unknown[]): number {
    return this.#process.calls.offer(handle, op, types, values);
  }

  call(
    handle: number,
    op: number,
    types: readonly number[],
    values: readonly unknown[],
    milliseconds: number,
    request: number,
  ): number {
    const arrive = (status: number, answer: Answer | undefined) => {
      if (this.isOpen) {
        this.#arrivals.push([request, status, resultOf(answer)]);
        this.ring();
      } else if (status === OK && answer?.type === TYPES.handle) {
        this.#process.slots.release(resultOf(answer));
      }
    };
    return this.#process.calls.callScript(handle, op, types, values, milliseconds, arrive);
  }

  takeArrival(): [request: number, status: number, result: number | string] | undefined {
    return this.#arrivals.shift();
  }

  viewBytes(offset: number, length: number): ArrayBuffer | undefined {
    return this.readBytes(offset, length)?.buffer as ArrayBuffer | undefined;
  }

  detach(buffer: ArrayBuffer): void {
    structuredClone(undefined, { transfer: [buffer] });
  }

  // ---- Level 2 ----

  note(deed: number, stack: string): void {
    this.#status = this.#process.ledger!.note(this, this.#handle, deed, stack);
  }

  transfer(stack = ''): void {
    const handle = this.#handle;
    const { slots, ledger } = this.#process;
    const target = slots.live(handle);
    if (typeof target === 'number') this.#status = target;
    else this.#status = ledger === undefined ? OK : ledger.transfer(handle, stack);
  }

  checkGiven(): void {
    const handle = this.#handle;
    const { slots, ledger } = this.#process;
    const target = slots.live(handle);
    let status = typeof target === 'number' ? target : OK;
    // Who receives these learns it from them, and gives their reference back.
    if (status === MOVED || status === COLLECTED) status = OK;
    this.#status = status === OK && ledger?.mayGive(handle) === false ? OWNER : status;
  }

  history(): HandleHistory | undefined {
    return this.#process.ledger?.of(this.#handle);
  }

  poison(offset: number, length: number): void {
    this.chunks.read(offset, length)?.fill(POISON);
  }

  /** What the addon walks over is not shared with anybody here: the mirror's side says it all. */
  walk(): string | undefined {
    return undefined;
  }

  tellBroken(text: string): void {
    tellBroken(text);
  }

  close(): Float64Array {
    // Nobody is in flight: those whose calls run below us are told when they come back (P22).
    this.isOpen = false;
    for (const pending of [...this.pending.values()]) {
      this.#endPending(pending);
      if (this.abandon(pending.token)) {
        this.count(pending.shard, CLOSED);
        pending.complete(CLOSED, undefined);
      } else {
        this.#finish(pending); // the answer was there
      }
    }
    for (const [, status, result] of this.#arrivals.splice(0)) {
      if (status === OK && typeof result === 'number') this.#process.slots.release(result);
    }
    const final = new Float64Array(SHARDS * 7);
    for (let shard = 0; shard < SHARDS; shard++) final.set(this.#finalOf(shard), shard * 7);
    this.unref();
    this.#process.forgetRealm(this);
    return final;
  }

  ref(): void {
    if (this.isOpen) this.#alive ??= setInterval(() => {}, LONGEST);
  }

  unref(): void {
    clearInterval(this.#alive);
    this.#alive = undefined;
  }

  // ---- Names ----

  named(name: Buffer): number | undefined {
    return this.#names.get(name.toString('utf8'));
  }

  static isName(bytes: number): boolean {
    return bytes > 0 && bytes <= NAME_BYTES;
  }

  // ---- Sending ----

  /** P4: an idle realm would hold the object for ever. */
  releasedFirst(shard: number): void {
    this.#notify(SHARDS + shard);
  }

  isRefused(kind: number): boolean {
    const until = this.#breakers.get(kind);
    return until !== undefined && until > nanoseconds();
  }

  /** One try. `HAFT_E_FULL` or `HAFT_E_NO_MEMORY`: there is no room now. */
  send({ handle, index, block, slot }: Target<Realm>, op: number, message: Message, reply: number): number {
    const status = this.#process.slots.grade({ handle, index, block, slot, realm: this });
    if (status !== OK) return status === MOVED ? MOVED : STALE;
    const shard = index & (SHARDS - 1);
    const { i32 } = this;
    const ring = RINGS + shard * RING_BYTES;
    const tailWord = (ring + RING_TAIL) >> 2;
    let tail = i32[tailWord]!;
    const { cells } = message;
    const toEnd = RING_CELLS - (tail & (RING_CELLS - 1));
    const skipped = cells > toEnd ? toEnd : 0;
    const used = (tail - i32[(ring + RING_HEAD) >> 2]!) | 0;
    const hasRoom = used <= RING_CELLS - skipped - cells;
    if (!message.isLong && !hasRoom) return this.#foundFull(shard);
    let chunk = 0;
    if (message.isLong) {
      const kept = this.chunks.keep(message.takeTail());
      if (kept === 0) return NO_MEMORY;
      if (!hasRoom) {
        this.chunks.give(kept);
        return this.#foundFull(shard);
      }
      chunk = kept;
    }
    if (skipped > 0) {
      const rest = cellAt(shard, tail);
      i32[(rest + CELL_OP) >> 2] = 0;
      i32[(rest + CELL_SHAPE) >> 2] = skipped << SHAPE_CELLS_SHIFT;
      i32[rest >> 2] = (tail + 1) | 0;
      tail = (tail + skipped) | 0;
    }
    const cell = cellAt(shard, tail);
    message.write(this, cell, handle, op, reply, chunk);
    i32[cell >> 2] = (tail + 1) | 0;
    i32[tailWord] = (tail + cells) | 0;
    this.#notify(shard);
    return OK;
  }

  #foundFull(shard: number): number {
    this.#producers[shard]!.highestFill = RING_CELLS;
    if (this.i32[SCRIPT_WAITS >> 2] !== 0) {
      this.tell(EVENT.full);
      this.ring();
    }
    return FULL;
  }

  // P10, where nobody else writes the mask: who finds the realm asleep rings.
  #notify(bit: number): void {
    const { i32 } = this;
    i32[DIRTY_WORD]! |= 1 << bit;
    if (i32[ARMED_WORD] === 0) return;
    i32[ARMED_WORD] = 0;
    this.ring();
  }

  /** Counts that native code sees; wakes who waits for such an event in JavaScript, if it rings. */
  tell(events: number): void {
    for (let bit = 0; bit < EVENT_BITS; bit++) {
      if (((events >>> bit) & 1) !== 0) this.i32[(EVENT_COUNTS >> 2) + bit]!++;
    }
  }

  /** haft_signal. */
  signal(events: number): void {
    this.tell(events);
    this.signalled = true;
    if (this.i32[SCRIPT_WAITS >> 2] !== 0) this.ring();
  }

  /** Those of `EVENT.empty` and `EVENT.full` that hold. */
  levels(): number {
    let levels: number = EVENT.empty;
    for (let shard = 0; shard < SHARDS; shard++) {
      const used = this.#used(shard);
      if (used > 0) levels &= ~EVENT.empty;
      if (used >= RING_CELLS) levels |= EVENT.full;
    }
    return levels;
  }

  // ---- Requests and calls on this thread ----

  /** Handles what waits; tells how many messages, -1 when the realm was closed. */
  serve(): number {
    this.i32[(DIRECT + CELL_OP) >> 2] = 0;
    this.i32[(DIRECT + 16) >> 2] = REQUEST_SERVE;
    this.i32[(DIRECT_REPLY + REPLY_STATUS) >> 2] = CLOSED;
    this.#direct();
    return this.isOpen ? this.f64[(DIRECT_REPLY + REPLY_VALUE) >> 3]! : -1;
  }

  /** C on this very thread calls: the handler runs at once (P17). */
  callDirect({ handle, index }: Target<Realm>, op: number, message: Message): Answer {
    const shard = index & (SHARDS - 1);
    const chunk = message.isLong ? this.chunks.keep(message.takeTail()) : 0;
    if (message.isLong && chunk === 0) {
      this.count(shard, NO_MEMORY);
      return bare(NO_MEMORY);
    }
    message.write(this, DIRECT, handle, op, 0, chunk);
    this.i32[(DIRECT_REPLY + REPLY_STATUS) >> 2] = CLOSED;
    this.i32[(DIRECT_REPLY + REPLY_LENGTH) >> 2] = 0;
    const counted = this.#scriptCounts(shard);
    try {
      this.#direct();
    } catch {
      this.i32[(DIRECT_REPLY + REPLY_STATUS) >> 2] = EXCEPTION; // the stack was full
    }
    if (this.i32[(DIRECT_REPLY + REPLY_STATUS) >> 2] !== OK && this.#scriptCounts(shard) === counted)
      this.count(shard, EXCEPTION);
    if (!this.isOpen) return bare(CLOSED); // P22
    if (chunk !== 0) this.chunks.give(chunk);
    return readReply(this, DIRECT_REPLY);
  }

  #scriptCounts(shard: number): number {
    const ring = RINGS + shard * RING_BYTES;
    return this.f64[(ring + RING_DELIVERED) >> 3]! + this.f64[(ring + RING_DECLINED) >> 3]!;
  }

  // ---- Replies ----

  /** A reply's slot and sequence; 0 when all are taken. */
  takeReply(): number {
    const number =
      this.#freeReplies.pop() ?? (this.#repliesIssued < REPLY_NUMBERS ? this.#repliesIssued++ : -1);
    if (number < 0) return 0;
    const word = this.i32[(REPLIES + number * REPLY_BYTES) >> 2]!;
    const sequence = ((word >>> REPLY_SEQUENCE_SHIFT) + 1) & REPLY_SEQUENCE_MASK;
    return (number + 1) | (sequence << REPLY_NUMBER_BITS);
  }

  /** Whether the call has no answer yet. */
  replyWaits(token: number): boolean {
    const word = this.i32[replyAt(token) >> 2]!;
    return (
      word === done(token, -1) ||
      word === stateOf(token, REPLY_STARTED) ||
      word === stateOf(token, REPLY_LATER)
    );
  }

  /** The caller gives up (P15). False: the answer is there. */
  abandon(token: number): boolean {
    if (!this.replyWaits(token)) return false;
    const at = replyAt(token) >> 2;
    const later = this.i32[at] === stateOf(token, REPLY_LATER);
    this.i32[at] = stateOf(token, ABANDONED);
    if (later) {
      this.giveReply(token);
      this.i32[GIVEN_UP >> 2]!++;
      this.ring(); // JavaScript need not wait for the promise any longer
    }
    return true;
  }

  giveReply(token: number): void {
    const at = replyAt(token);
    this.i32[at >> 2] = done(token, 0);
    this.i32[(at + REPLY_SLEEPER) >> 2] = 0;
    this.#freeReplies.push((token & REPLY_NUMBERS) - 1);
  }

  /** Copies an answer out and gives its slot back. */
  takeAnswer(token: number): Answer {
    const answer = readReply(this, replyAt(token));
    this.giveReply(token);
    return answer;
  }

  /** Marks a call as one that is completed, before it is sent. */
  keepPending(pending: Pending): void {
    this.i32[(replyAt(pending.token) + REPLY_SLEEPER) >> 2] = NOBODY_WAITS;
    this.pending.set(pending.token & REPLY_NUMBERS, pending);
  }

  /** False: it has been completed. */
  forgetPending(pending: Pending): boolean {
    if (this.pending.get(pending.token & REPLY_NUMBERS) !== pending) return false;
    this.#endPending(pending);
    return true;
  }

  /** Its time is over. */
  expire(pending: Pending): void {
    if (!this.forgetPending(pending)) return;
    if (!this.abandon(pending.token)) {
      this.#finish(pending);
      return;
    }
    this.count(pending.shard, TIMEOUT);
    pending.complete(TIMEOUT, undefined);
  }

  #answered(number: number): void {
    const pending = this.pending.get(number + 1);
    // An answer that was woken for late may belong to a call that has ended, and the slot to another.
    if (pending === undefined || this.i32[replyAt(pending.token) >> 2] !== done(pending.token, 0)) return;
    this.#endPending(pending);
    this.#finish(pending);
  }

  #endPending(pending: Pending): void {
    this.pending.delete(pending.token & REPLY_NUMBERS);
    clearTimeout(pending.timer);
  }

  #finish(pending: Pending): void {
    const answer = this.takeAnswer(pending.token);
    pending.complete(answer.status, answer);
  }

  // ---- Counters ----

  /** Counts how a message ended that the drain did not see. */
  count(shard: number, status: number): void {
    // The handle was not valid any more when it was looked at again: nothing was sent, here.
    if (status === MOVED || status === STALE) return;
    if (status === TIMEOUT) this.#producers[shard]!.expired++;
    else this.#producers[shard]!.refused++;
  }

  countDropped(shard: number): void {
    this.#producers[shard]!.dropped++;
  }

  noteWait(shard: number, nanoseconds: number): void {
    const producers = this.#producers[shard]!;
    producers.longestWait = Math.max(producers.longestWait, nanoseconds);
  }

  countersOf(shard: number): Fields {
    return this.#fieldsOf(shard, 0);
  }

  // What waits is never delivered.
  #finalOf(shard: number): Fields {
    return this.#fieldsOf(shard, 1);
  }

  #fieldsOf(shard: number, ended: 0 | 1): Fields {
    const ring = RINGS + shard * RING_BYTES;
    const { refused, dropped, expired, longestWait, highestFill } = this.#producers[shard]!;
    const delivered = this.f64[(ring + RING_DELIVERED) >> 3]!;
    const waiting = this.#postsIn(shard) + this.f64[(ring + RING_WAITING) >> 3]!;
    const declined = refused + this.f64[(ring + RING_DECLINED) >> 3]! + ended * waiting;
    const sent = delivered + declined + dropped + expired + (1 - ended) * waiting;
    const fill = Math.max(highestFill, this.f64[(ring + RING_FILL) >> 3]!);
    return [sent, delivered, declined, dropped, expired, longestWait, fill];
  }

  /** Where a mailbox ends. */
  tailOf(shard: number): number {
    return this.i32[(RINGS + shard * RING_BYTES + RING_TAIL) >> 2]!;
  }

  /** Whether what stood before this end of the mailbox has been taken out. */
  isDrainedTo(shard: number, end: number): boolean {
    return ((this.i32[(RINGS + shard * RING_BYTES + RING_HEAD) >> 2]! - end) | 0) >= 0;
  }

  #used(shard: number): number {
    const ring = RINGS + shard * RING_BYTES;
    return (this.i32[(ring + RING_TAIL) >> 2]! - this.i32[(ring + RING_HEAD) >> 2]!) | 0;
  }

  #postsIn(shard: number): number {
    const ring = RINGS + shard * RING_BYTES;
    const tail = this.i32[(ring + RING_TAIL) >> 2]!;
    let posts = 0;
    for (let at = this.i32[(ring + RING_HEAD) >> 2]!; at !== tail; ) {
      const cell = cellAt(shard, at);
      if (this.i32[cell >> 2] !== ((at + 1) | 0)) break;
      if (this.i32[(cell + CELL_OP) >> 2] !== 0 && this.i32[(cell + CELL_REPLY) >> 2] === 0) posts++;
      const cells = cellsOf(this.i32[(cell + CELL_SHAPE) >> 2]!);
      if (cells === 0) break;
      at = (at + cells) | 0;
    }
    return posts;
  }
}

/** An answer without a text. */
export function bare(status: number): Answer {
  return { status, type: TYPES.void, bits: 0n, text: undefined };
}

function resultOf(answer: Answer | undefined): number | string {
  if (answer === undefined) return 0;
  if (answer.status !== OK || answer.type === TYPES.str) {
    const [name = '', message = ''] = (answer.text?.toString('utf8') ?? '').split('\0');
    return answer.status === OK ? name : answer.text?.length ? `${name}: ${message}` : '';
  }
  const bits = new BigInt64Array([answer.bits]);
  return new Float64Array(bits.buffer)[0]!;
}

function cellAt(shard: number, position: number): number {
  return RINGS + shard * RING_BYTES + RING_FIRST_CELL + (position & (RING_CELLS - 1)) * CELL_BYTES;
}

function replyAt(token: number): number {
  return REPLIES + ((token & REPLY_NUMBERS) - 1) * REPLY_BYTES;
}

function stateOf(token: number, state: number): number {
  return ((token >>> REPLY_NUMBER_BITS) << REPLY_SEQUENCE_SHIFT) | state;
}

// DONE of the token's sequence, or of the one before: that is what a reply is while nobody has taken it up.
function done(token: number, change: 0 | -1): number {
  const sequence = ((token >>> REPLY_NUMBER_BITS) + change) & REPLY_SEQUENCE_MASK;
  return (sequence << REPLY_SEQUENCE_SHIFT) | REPLY_DONE;
}
