// Posts and calls of C. On JavaScript's own thread a call runs its handler at once. For another thread, which waits
// until the callback returns, the mailbox is drained until the answer is there: its messages stay in order, and nothing
// is waited for that only the event loop could bring.
import { Buffer } from 'node:buffer';
import { performance } from 'node:perf_hooks';
import { checkSetting } from '../checks.js';
import { SHARDS, STATUSES } from '../constants.js';
import { TYPES } from '../kind.js';
import { koffi } from '../koffi.js';
import { tellBreach } from './breach.js';
import type { Failure } from './last-error.js';
import { libc, load, type MaybePointer, type Pointer, pointerIn, scratch, store } from './memory.js';
import { type Answer, freeValue, handleOf, Message, storeBits, storeText, storeVoid } from './message.js';
import type { Process } from './process.js';
import { bare, type Pending, type Realm } from './realm.js';
import type { Target } from './slots.js';

const { setTimeout } = globalThis;
const nanoseconds = process.hrtime.bigint;

const OK = STATUSES.HAFT_OK.status;
const ARGUMENT = STATUSES.HAFT_E_ARGUMENT.status;
const BACKEND = STATUSES.HAFT_E_BACKEND.status;
const BREAKER = STATUSES.HAFT_E_BREAKER.status;
const BUSY = STATUSES.HAFT_E_BUSY.status;
const CLOSED = STATUSES.HAFT_E_CLOSED.status;
const DEADLOCK = STATUSES.HAFT_E_DEADLOCK.status;
const EXCEPTION = STATUSES.HAFT_E_EXCEPTION.status;
const FORGED = STATUSES.HAFT_E_FORGED.status;
const FULL = STATUSES.HAFT_E_FULL.status;
const KIND = STATUSES.HAFT_E_KIND.status;
const NO_MEMORY = STATUSES.HAFT_E_NO_MEMORY.status;
const OP = STATUSES.HAFT_E_OP.status;
const OWNER = STATUSES.HAFT_E_OWNER.status;
const REALM = STATUSES.HAFT_E_REALM.status;
const RESULT = STATUSES.HAFT_E_RESULT.status;
const TIMEOUT = STATUSES.HAFT_E_TIMEOUT.status;

/** Pointer rules that an error names itself. */
const RULE_RESULTS = 4;
const RULE_ARGUMENTS = 7;

const TOLD: ReadonlySet<number> = new Set([EXCEPTION, RESULT, ARGUMENT]);
const NO_ROOM: ReadonlySet<number> = new Set([FULL, NO_MEMORY]);

const REQUEST_BYTES = 48; // haft_request
const REQUEST_ARGS = 8;
const REQUEST_COUNT = 16;
const REQUEST_OP = 20;
const REQUEST_STATUS = 24;
const REQUEST_RESULT = 32;
const VALUE_BYTES = 16;
const COMPLETER_BYTES = 32;
const AT_ONCE = 256;
const MOST_MILLISECONDS = 2 ** 31 - 1;
const DROP_NEWEST = -(2n ** 63n);

/** A call that was sent and not yet answered. */
interface Sent {
  readonly target: Target<Realm>;
  readonly token: number;
  /** Where its mailbox ended when it was sent: once that has been drained, a drain cannot bring the answer. */
  readonly end: number;
}

type Complete = Pending['complete'];

export class Calls {
  readonly #process: Process;
  readonly #message = new Message();
  readonly #level = checkSetting().level;
  #done: ReturnType<ReturnType<typeof koffi>['proto']> | undefined;

  constructor(process: Process) {
    this.#process = process;
  }

  // ---- Posts ----

  post(
    handle: number | bigint,
    op: number,
    args: MaybePointer,
    count: number,
    whenFull: number | bigint,
  ): number {
    const target = this.#address(handle, op);
    if (typeof target === 'number') return target;
    const status = this.#read(target, op, args, count);
    if (status !== OK) return status;
    const { realm, index } = target;
    const shard = index & (SHARDS - 1);
    const tried = realm.send(target, op, this.#message, 0);
    if (tried === OK) return OK;
    if (whenFull === DROP_NEWEST) {
      if (tried === FULL) {
        realm.countDropped(shard);
        return OK;
      }
    } else if (whenFull !== 0 && NO_ROOM.has(tried)) {
      return this.#sendWhenRoom(target, op, 0, tried, FULL, args, count, deadlineOf(Number(whenFull)));
    }
    realm.count(shard, tried);
    return this.#process.error.fail(tried, handle);
  }

  // There was no room. A drain makes some; what it cannot make, nobody else does meanwhile.
  #sendWhenRoom(
    target: Target<Realm>,
    op: number,
    reply: number,
    tried: number,
    whenFull: number,
    args: MaybePointer,
    count: number,
    deadline: number,
  ): number {
    const { realm, index, handle } = target;
    const shard = index & (SHARDS - 1);
    const began = nanoseconds();
    let status = this.#process.relayed ? tried : DEADLOCK;
    while (NO_ROOM.has(status)) {
      const handled = realm.serve();
      if (handled <= 0 || performance.now() >= deadline) {
        if (handled < 0) status = CLOSED;
        else if (status === FULL) status = whenFull;
        break;
      }
      // Handlers may have sent others meanwhile: the message is read once more.
      status = this.#read(target, op, args, count);
      if (status === OK) status = realm.send(target, op, this.#message, reply);
    }
    realm.noteWait(shard, Number(nanoseconds() - began));
    if (status === OK) return OK;
    realm.count(shard, status);
    return this.#process.error.fail(status, handle);
  }

  /** A post of JavaScript's. A failure is not counted. */
  offer(handle: number, op: number, types: readonly number[], values: readonly unknown[]): number {
    const target = this.#address(handle, op, false);
    if (typeof target === 'number') return target;
    const status = this.#readScript(target, types, values);
    return status === OK ? target.realm.send(target, op, this.#message, 0) : status;
  }

  // ---- Calls ----

  call(
    handle: number | bigint,
    op: number,
    args: MaybePointer,
    count: number,
    timeout: number,
    result: MaybePointer,
  ): number {
    const deadline = deadlineOf(timeout);
    const begun = this.#begin(handle, op, args, count, timeout, deadline);
    if (typeof begun === 'number') {
      if (result !== null) storeVoid(result);
      return begun;
    }
    const answer = 'token' in begun ? this.#await(begun, timeout, deadline) : begun;
    return this.#tell(answer, handle, result);
  }

  callMany(requests: MaybePointer, count: number, timeout: number): number {
    if (count !== 0 && requests === null) return this.#process.error.fail(ARGUMENT);
    const deadline = deadlineOf(timeout);
    let first = Number.POSITIVE_INFINITY;
    let failure: Failure | undefined;
    const settle = (i: number, at: Pointer, answer: Answer | number, handle: number | bigint) => {
      if (this.#settle(at, answer, handle) === OK || i >= first) return;
      first = i;
      failure = this.#process.error.failure;
    };
    for (let from = 0; from < count; from += AT_ONCE) {
      const n = Math.min(AT_ONCE, count - from);
      const sent: {
        readonly i: number;
        readonly at: Pointer;
        readonly handle: number | bigint;
        readonly begun: Sent;
      }[] = [];
      for (let i = 0; i < n; i++) {
        const at = requests! + BigInt((from + i) * REQUEST_BYTES);
        const view = load(at, REQUEST_BYTES);
        const handle = handleOf(view.getBigUint64(0, true));
        const args = pointerIn(view, REQUEST_ARGS);
        const argCount = view.getUint32(REQUEST_COUNT, true);
        const op = view.getUint32(REQUEST_OP, true);
        const begun = this.#begin(handle, op, args === 0n ? null : args, argCount, timeout, deadline);
        if (typeof begun === 'number' || !('token' in begun)) settle(from + i, at, begun, handle);
        else sent.push({ i: from + i, at, handle, begun });
      }
      for (const { i, at, handle, begun } of sent)
        settle(i, at, this.#await(begun, timeout, deadline), handle);
    }
    if (failure === undefined) return OK;
    this.#process.error.failure = failure; // the latest one is to be that of the status
    return failure.status;
  }

  // Writes what a request came to; tells the status.
  #settle(at: Pointer, answer: Answer | number, handle: number | bigint): number {
    const result = at + BigInt(REQUEST_RESULT);
    storeVoid(result);
    let status = typeof answer === 'number' ? answer : this.#tell(answer, handle, result);
    if (TOLD.has(status) && !storeText(result, TYPES.str, Buffer.from(this.#process.error.text)))
      status = NO_MEMORY;
    scratch().view.setInt32(0, status, true);
    store(at + BigInt(REQUEST_STATUS), 4);
    return status;
  }

  // The first half of a call: sent with a reply, or on the own thread all of it. A status: it was not sent.
  #begin(
    handle: number | bigint,
    op: number,
    args: MaybePointer,
    count: number,
    timeout: number,
    deadline: number,
  ): Sent | Answer | number {
    const target = this.#address(handle, op);
    if (typeof target === 'number') return target;
    const read = this.#read(target, op, args, count);
    if (read !== OK) return read;
    const { realm, index } = target;
    if (!this.#process.relayed) return realm.callDirect(target, op, this.#message);
    const token = realm.takeReply();
    let status = token === 0 ? BUSY : realm.send(target, op, this.#message, token);
    if (status === OK) return this.#sent(target, token);
    if (timeout !== 0 && NO_ROOM.has(status)) {
      status = this.#sendWhenRoom(target, op, token, status, TIMEOUT, args, count, deadline);
      if (status === OK) return this.#sent(target, token);
    } else {
      if (status === FULL) status = TIMEOUT;
      realm.count(index & (SHARDS - 1), status);
      this.#process.error.fail(status, handle);
    }
    if (token !== 0 && realm.isOpen) realm.giveReply(token);
    return status;
  }

  #sent(target: Target<Realm>, token: number): Sent {
    return { target, token, end: target.realm.tailOf(target.index & (SHARDS - 1)) };
  }

  // Drains until the answer is there, or a drain cannot bring it.
  #await({ target, token, end }: Sent, timeout: number, deadline: number): Answer {
    const { realm, index } = target;
    const shard = index & (SHARDS - 1);
    let inTime = timeout !== 0;
    while (realm.isOpen && inTime && realm.replyWaits(token) && !realm.isDrainedTo(shard, end)) {
      if (realm.serve() <= 0) break;
      inTime = performance.now() < deadline;
    }
    if (!realm.isOpen) return bare(CLOSED);
    if (!realm.abandon(token)) return realm.takeAnswer(token);
    // A promise, or a message that is held: for both the event loop has to go on.
    realm.count(shard, TIMEOUT);
    return bare(inTime ? BACKEND : TIMEOUT);
  }

  // Writes a result, or keeps what went wrong.
  #tell(answer: Answer, handle: unknown, result: MaybePointer): number {
    const { error, slots } = this.#process;
    const { status, type, bits, text } = answer;
    if (status !== OK) {
      if (result !== null) storeVoid(result);
      if (text !== undefined && text.length > 0) return error.failText(status, handle, text.toString('utf8'));
      return error.fail(status, handle);
    }
    if (result === null) {
      if (type === TYPES.handle) slots.release(numberOf(bits));
    } else if (text === undefined) {
      storeBits(result, type, bits, NUMBER, BITS);
    } else if (!storeText(result, type, text)) {
      return error.fail(NO_MEMORY, handle);
    }
    return OK;
  }

  // ---- Calls without a waiting thread ----

  callAsync(
    handle: number | bigint,
    op: number,
    args: MaybePointer,
    count: number,
    timeout: number,
    completer: MaybePointer,
  ): number {
    const { error } = this.#process;
    if (completer === null || timeout === 0) return error.fail(ARGUMENT, handle);
    const view = load(completer, COMPLETER_BYTES);
    const size = view.getUint32(0, true);
    const done = pointerIn(view, 8);
    const queue = handleOf(view.getBigUint64(16, true));
    const user = pointerIn(view, 24);
    if (size < COMPLETER_BYTES) return error.fail(ARGUMENT, handle);
    if (done === 0n && !this.#process.queues.isOpen(queue))
      return error.fail(FORGED, handle, 'the queue of completions is not open');
    const target = this.#address(handle, op);
    if (typeof target === 'number') return target;
    const read = this.#read(target, op, args, count);
    if (read !== OK) return read;
    const complete: Complete =
      done === 0n
        ? (status, answer) =>
            this.#process.queues.put(queue as number, user, status, (to) =>
              this.#storeCompletion(to, status, answer),
            )
        : (status, answer) => this.#callDone(done, user, status, answer);
    const status = this.#sendPending(target, op, timeout, complete);
    if (status === OK && done === 0n) this.#process.queues.expect(queue as number);
    return status === OK ? OK : error.fail(status, handle);
  }

  /** A call of JavaScript's. */
  callScript(
    handle: number,
    op: number,
    types: readonly number[],
    values: readonly unknown[],
    timeout: number,
    complete: Complete,
  ): number {
    const target = this.#address(handle, op);
    if (typeof target === 'number') return target;
    const status = this.#readScript(target, types, values);
    return status === OK ? this.#sendPending(target, op, timeout, complete) : status;
  }

  #sendPending(target: Target<Realm>, op: number, timeout: number, complete: Complete): number {
    const { realm, index } = target;
    const shard = index & (SHARDS - 1);
    const token = realm.takeReply();
    if (token === 0) {
      realm.count(shard, BUSY);
      return BUSY;
    }
    const pending: Pending = { token, shard, complete };
    realm.keepPending(pending);
    const status = realm.send(target, op, this.#message, token);
    if (status !== OK) {
      realm.forgetPending(pending);
      realm.giveReply(token);
      realm.count(shard, status);
      return status;
    }
    // Only what keeps the event loop alive by itself is waited for.
    if (timeout > 0)
      pending.timer = setTimeout(() => realm.expire(pending), Math.min(timeout, MOST_MILLISECONDS)).unref();
    return OK;
  }

  // haft_done: C's function, on this thread.
  #callDone(done: Pointer, user: Pointer, status: number, answer: Answer | undefined): void {
    const result = libc().malloc(VALUE_BYTES);
    if (result === null) return;
    this.#storeCompletion(result, status, answer);
    const { ledger } = this.#process;
    if (ledger !== undefined && status === OK && answer?.type === TYPES.handle)
      ledger.receive(numberOf(answer.bits), ledger.use('haft_call_async'));
    this.#done ??= koffi().proto('void(void *, int32_t, void *)');
    koffi().call(done, this.#done, user, status, result);
    libc().free(result);
  }

  #storeCompletion(to: Pointer, status: number, answer: Answer | undefined): void {
    storeVoid(to);
    if (answer === undefined) return;
    if (status === OK) {
      if (answer.text === undefined) storeBits(to, answer.type, answer.bits, NUMBER, BITS);
      else storeText(to, answer.type, answer.text);
    } else if (TOLD.has(status)) {
      const [name = '', message = ''] = (answer.text?.toString('utf8') ?? '').split('\0');
      storeText(to, TYPES.str, Buffer.from(`${name}: ${message}`));
    }
  }

  /** Frees a value of C's. */
  free(value: MaybePointer): void {
    if (value === null || freeValue(value)) return;
    const { error } = this.#process;
    error.fail(OWNER, 0, 'the memory is no result, or was freed before', RULE_RESULTS);
    tellBreach('haft_value_free', error.failure);
  }

  // ---- Both ----

  // Checks the handle and the op; the status is told as the latest error.
  #address(handle: number | bigint, op: number, counts = true): Target<Realm> | number {
    const { slots, kinds, error } = this.#process;
    const target = slots.live(handle);
    if (typeof target === 'number') return error.fail(target, handle);
    const kind = op >>> 16;
    if (kind !== 0 && slots.kindOf(target) !== kind) return error.fail(KIND, handle);
    if (kind === 0 || (op & 0xffff) >= kinds.opsOf(kind)) return error.fail(OP, handle);
    if (!target.realm.isRefused(kind)) return target;
    if (counts) target.realm.count(target.index & (SHARDS - 1), BREAKER);
    return error.fail(BREAKER, handle);
  }

  #read(target: Target<Realm>, op: number, args: MaybePointer, count: number): number {
    const { error, kinds } = this.#process;
    const status = this.#message.readC(args, count, (handle) => this.#checkArgument(target, handle));
    if (status !== OK) return error.fail(status, this.#message.refused);
    const types = this.#level === 0 ? undefined : kinds.typesOf(op);
    const misfit = types && this.#message.misfit(types, this.#level === 2);
    return misfit === undefined ? OK : error.fail(ARGUMENT, 0, misfit, RULE_ARGUMENTS);
  }

  #readScript(target: Target<Realm>, types: readonly number[], values: readonly unknown[]): number {
    return this.#message.readScript(types, values, (handle) => this.#checkArgument(target, handle));
  }

  #checkArgument(target: Target<Realm>, handle: number | bigint): number {
    const argument = this.#process.slots.live(handle);
    if (typeof argument === 'number') return argument;
    return argument.realm === target.realm || this.#level === 0 ? OK : REALM;
  }
}

const BITS = new BigInt64Array(1);
const NUMBER = new Float64Array(BITS.buffer);

function numberOf(bits: bigint): number {
  BITS[0] = bits;
  return NUMBER[0]!;
}

// On the clock of `performance`.
function deadlineOf(milliseconds: number): number {
  return milliseconds < 0 ? Number.POSITIVE_INFINITY : performance.now() + milliseconds;
}
