// The detour: the way of messages that are held, delayed or refused. A message takes it when some handle has messages
// that are held, or when its op asks for one of the options of its kind: batches, retries, the breaker, views.
import { performance } from 'node:perf_hooks';
import type { NativeRealm } from '../binding.js';
import { DIRECT_REPLY, RING_DECLINED, RING_DELIVERED, STATUSES } from '../constants.js';
import { trace } from '../debugging/trace.js';
import type { ErrorCode } from '../errors.js';
import type { Op } from '../kind.js';
import { OPTION } from '../options.js';
import { Breaker } from './breaker.js';
import { BUDGET_MILLISECONDS, type Delivery, invoke, isThenable, Misfit, tupleOf } from './delivery.js';
import { Held, type HeldMessage, Keeper, Queue, Unit } from './held.js';
import type { Replies } from './replies.js';
import { describe, Views, type Wire } from './wire.js';

// P12: as they were when this was loaded, whatever tests put in their place.
const { clearImmediate, clearTimeout, setImmediate, setTimeout } = globalThis;

/** Most messages that are held for one handle: those that come above are refused. */
const HELD_MOST = 65_536;
const BREAKER = STATUSES.HAFT_E_BREAKER.status;
const DEADLOCK = STATUSES.HAFT_E_DEADLOCK.status;
const FULL = STATUSES.HAFT_E_FULL.status;

/** What the detour needs of the mailboxes and the registry. */
export interface Road {
  reportError(error: unknown, handle: number, op: Op): void;
  /** A post was refused: told where somebody listens. */
  reportDeclined(code: ErrorCode, message: string, handle: number, op: Op): void;
  /** Runs handlers outside of a drain, unless the realm is closed. */
  outside(work: () => void): void;
}

/** Arguments with views among them. */
export class Viewed {
  /** @param values As `invoke` takes them. */
  constructor(
    readonly values: unknown,
    readonly views: Views,
  ) {}
}

export class Detour {
  readonly #native: NativeRealm;
  readonly #wire: Wire;
  readonly #road: Road;
  readonly #delivery: Delivery;
  readonly #replies: Replies;
  readonly #keeper: Keeper;
  readonly #queues = new Map<number, Queue>();
  /** Batches that wait for the end of the drain. */
  readonly #atEnd = new Set<Queue>();
  /** By the number of the kind. */
  readonly #breakers = new Map<number, Breaker>();
  readonly #views = new Set<Views>();
  /** Those with retries whose handler has run, or runs, and that have not come to their end. */
  readonly #begun = new Set<Unit>();
  #order = 0;
  #closed = false;
  /** Handles that are looked up: while there are none, a message without options does not come here. */
  count = 0;

  constructor(native: NativeRealm, wire: Wire, delivery: Delivery, replies: Replies, road: Road) {
    this.#native = native;
    this.#wire = wire;
    this.#delivery = delivery;
    this.#replies = replies;
    this.#road = road;
    this.#keeper = new Keeper(native, wire, (handle) => delivery.isThere(handle));
  }

  /** Messages are held whose objects nothing keeps but that no slot is freed. */
  get blocking(): boolean {
    return this.#keeper.blocking > 0;
  }

  /** What is held stays counted as waiting. The realm is still open. */
  close(): void {
    for (const unit of this.#begun) this.#countDelivered(unit);
    this.#closed = true;
    for (const queue of this.#queues.values()) queue.clearTimers();
    for (const views of this.#views) views.end();
    this.#views.clear();
    this.#queues.clear();
    this.#atEnd.clear();
    this.count = 0;
    for (const unit of this.#begun) {
      if (unit.failures === 0 || unit.running) continue;
      unit.told = true;
      this.#road.reportError(unit.error, unit.handle, unit.op);
    }
    this.#begun.clear();
  }

  // ---- For moves ----

  hold(handle: number): void {
    this.#open(handle).paused = true;
  }

  unhold(handle: number): void {
    const queue = this.#queues.get(handle);
    if (queue === undefined || !queue.paused) return;
    queue.paused = false;
    this.#road.outside(() => this.#deliver(queue));
  }

  takeHeld(handle: number): HeldMessage[] {
    const queue = this.#queues.get(handle);
    if (queue === undefined) return [];
    const messages: Held[] = [];
    for (const unit of queue.failed) {
      this.#keeper.giveBackObject(unit);
      this.#begun.delete(unit);
    }
    for (const message of queue.takeAll()) {
      this.#keeper.giveBackArguments(message);
      messages.push(message);
    }
    queue.paused = false;
    this.#remove(queue);
    return messages;
  }

  declineCall(message: HeldMessage, status: number): void {
    if (this.#closed || !this.#replies.start(message.reply)) return;
    this.#replies.decline(message.reply, message.handle, status);
    this.#replies.flushWakes();
  }

  declinePost(message: HeldMessage, sentOn: boolean): void {
    if (this.#closed) return;
    this.#keeper.setWaiting(message as Held, false);
    if (!sentOn) this.#wire.count(message.handle, RING_DECLINED);
  }

  // ---- Messages that come out of the mailbox ----

  take(reply: number, handle: number, op: Op, args: unknown): void {
    if (args instanceof Viewed) this.#withViews(args.views, () => this.#take(reply, handle, op, args.values));
    else this.#take(reply, handle, op, args);
  }

  #take(reply: number, handle: number, op: Op, args: unknown): void {
    if (args instanceof Misfit || !this.#delivery.isThere(handle)) {
      if (reply === 0) this.#delivery.post(handle, op, args);
      else this.#delivery.call(reply, handle, op, args);
      return;
    }
    if ((op.options & OPTION.batch) !== 0) {
      if (reply === 0) this.#takeBatched(handle, op, args);
      else this.#takeCallOfBatched(reply, handle, op, args);
      return;
    }
    const queue = this.#queues.get(handle);
    if (queue !== undefined) this.#append(queue, this.#heldOf(reply, handle, op, args));
    else if (reply !== 0) this.#runCall(reply, handle, op, args);
    else if ((op.options & OPTION.retries) === 0) this.#runPost(handle, op, args);
    else this.#run(new Unit([this.#heldOf(0, handle, op, args)]));
  }

  /** C on this very thread calls: it goes ahead of what is held (P17), but cannot wait for a move. */
  direct(handle: number, op: Op, args: unknown): void {
    if (args instanceof Viewed) this.#withViews(args.views, () => this.#direct(handle, op, args.values));
    else this.#direct(handle, op, args);
  }

  #direct(handle: number, op: Op, args: unknown): void {
    const isBatched = (op.options & OPTION.batch) !== 0;
    const queue = this.#queues.get(handle);
    if (queue?.paused) {
      this.#declineDirect(handle, DEADLOCK);
      return;
    }
    if (queue !== undefined && isBatched && !(args instanceof Misfit)) this.#deliver(queue);
    if (this.#closed) return;
    const target = this.#delivery.targetOf(handle);
    if (target === undefined || args instanceof Misfit) {
      this.#delivery.direct(handle, op, args);
      return;
    }
    const breaker = this.#breakerOf(handle, op);
    const turn = breaker === undefined ? 0 : breaker.enter();
    if (turn < 0) {
      this.#declineDirect(handle, BREAKER);
      return;
    }
    this.#wire.count(handle, RING_DELIVERED);
    let result: unknown;
    try {
      result = call(target, op, isBatched ? [tupleOf(op, args)] : args, isBatched, handle);
      if (isThenable(result)) {
        Promise.resolve(result).then(
          (value) => {
            breaker?.succeeded(turn);
            this.#delivery.dropResult(op, value);
          },
          () => breaker?.failed(turn), // nobody else will hear of it
        );
        if (!this.#closed) this.#wire.writeStatus(DIRECT_REPLY, DEADLOCK);
        return;
      }
    } catch (error) {
      breaker?.failed(turn);
      this.#answerDirect(error);
      return;
    }
    if (this.#closed) return;
    try {
      this.#wire.writeResult(DIRECT_REPLY, op, result);
      breaker?.succeeded(turn);
    } catch (error) {
      breaker?.failed(turn);
      this.#answerDirect(error);
    }
  }

  #answerDirect(error: unknown): void {
    const description = describe(error);
    if (!this.#closed) this.#wire.writeError(DIRECT_REPLY, description);
  }

  #declineDirect(handle: number, status: number): void {
    this.#wire.count(handle, RING_DECLINED);
    this.#wire.writeStatus(
      DIRECT_REPLY,
      this.#delivery.isThere(handle) ? status : this.#delivery.statusOfGone(handle),
    );
  }

  // ---- Batches ----

  #takeBatched(handle: number, op: Op, args: unknown): void {
    if (this.#breakerOf(handle, op)?.refuses()) {
      this.#refusePost(handle, op);
      return;
    }
    let queue = this.#open(handle);
    if (!queue.blocked && queue.first !== undefined && queue.first.op !== op) {
      this.#deliver(queue);
      if (this.#closed) return;
      queue = this.#open(handle);
    }
    if (!this.#append(queue, this.#heldOf(0, handle, op, args)) || queue.blocked) return;
    const { max, withinMilliseconds } = op.batch!;
    if (queue.length >= max) {
      this.#deliver(queue);
    } else if (queue.batchTimer === undefined) {
      queue.batchTimer = this.#later(queue, withinMilliseconds);
    }
  }

  // Delivers what is held, then is a batch of one.
  #takeCallOfBatched(reply: number, handle: number, op: Op, args: unknown): void {
    const before = this.#queues.get(handle);
    if (before !== undefined) this.#deliver(before);
    if (this.#closed) return;
    const queue = this.#queues.get(handle);
    if (queue !== undefined && !queue.idle) this.#append(queue, this.#heldOf(reply, handle, op, args));
    else this.#runCall(reply, handle, op, args);
  }

  // Delivers the batch in time; tells how to cancel that.
  #later(queue: Queue, milliseconds: number): () => void {
    if (milliseconds === 0) {
      this.#atEnd.add(queue);
      return () => this.#atEnd.delete(queue);
    }
    const timer = setTimeout(() => this.#road.outside(() => this.#deliver(queue)), milliseconds);
    return () => clearTimeout(timer);
  }

  /** Whether batches wait for the end of the drain. */
  get waitsForEnd(): boolean {
    return this.#atEnd.size > 0;
  }

  /** The drain ends: delivers the batches that waited for it. */
  drainEnds(): void {
    for (const queue of [...this.#atEnd]) {
      this.#deliver(queue);
      if (this.#closed) return;
    }
  }

  /** Delivers the batches whose objects nothing keeps: nobody can add to them, and no slot is freed before. */
  deliverBlocking(): void {
    for (const queue of [...this.#queues.values()]) {
      if (queue.blocking) this.#deliver(queue);
      if (this.#closed) return;
    }
  }

  // ---- Queues ----

  #open(handle: number): Queue {
    let queue = this.#queues.get(handle);
    if (queue === undefined) {
      queue = new Queue(handle);
      this.#queues.set(handle, queue);
      this.count++;
    }
    return queue;
  }

  #remove(queue: Queue): void {
    queue.clearTimers();
    this.#keeper.giveBackObject(queue);
    if (this.#queues.get(queue.handle) !== queue) return;
    this.#queues.delete(queue.handle);
    this.count--;
  }

  #heldOf(reply: number, handle: number, op: Op, args: unknown): Held {
    return new Held(++this.#order, handle, op, tupleOf(op, args), reply);
  }

  // False if there is no room for more.
  #append(queue: Queue, message: Held): boolean {
    const { handle, op, reply } = message;
    if (queue.length >= HELD_MOST) {
      if (reply !== 0) {
        if (this.#delivery.start(reply, handle)) this.#replies.decline(reply, handle, FULL);
      } else {
        this.#wire.count(handle, RING_DECLINED);
        this.#road.reportDeclined('HAFT_E_FULL', `${HELD_MOST} messages wait already`, handle, op);
      }
      return false;
    }
    const before = this.#keeper.blocking;
    this.#keeper.keepObject(queue);
    this.#keeper.keepArguments(message);
    this.#keeper.setWaiting(message, true);
    if (this.#keeper.blocking > before) queue.blocking = true;
    queue.add((op.options & OPTION.views) === 0 ? message : this.#withCopies(message));
    return true;
  }

  // Delivers what may be delivered now, in order; what takes too long in another turn of the event loop.
  #deliver(queue: Queue): void {
    const until = this.#order; // of the posts that come meanwhile another batch is made
    queue.batchTimer?.();
    queue.batchTimer = undefined;
    queue.rest?.();
    queue.rest = undefined;
    queue.delivering++;
    const deadline = performance.now() + BUDGET_MILLISECONDS;
    for (let ran = false; this.#mayDeliver(queue, until); ran = true) {
      if (ran && performance.now() >= deadline) {
        const turn = setImmediate(() => this.#road.outside(() => this.#deliver(queue)));
        queue.rest = () => clearImmediate(turn);
        break;
      }
      if (queue.failed.length > 0) {
        queue.retrying = queue.failed.shift()!;
        this.#run(queue.retrying);
      } else if (isOfBatch(queue.first!)) {
        this.#run(new Unit(queue.takeBatch(queue.first!.op.batch!.max)));
      } else {
        this.#runHeld(queue.take());
      }
    }
    queue.delivering--;
    if (!this.#closed && queue.idle) this.#remove(queue);
  }

  #mayDeliver(queue: Queue, until: number): boolean {
    if (this.#closed || queue.paused || queue.retrying !== undefined || queue.rest !== undefined)
      return false;
    if (queue.failed.length > 0) return queue.retryDue;
    return queue.first !== undefined && !(isOfBatch(queue.first) && queue.first.order > until);
  }

  #runHeld(message: Held): void {
    const { reply, handle, op, args } = message;
    const run = () => {
      if (reply === 0) {
        this.#run(new Unit([message]));
        return;
      }
      this.#runCall(reply, handle, op, packed(op, args));
      if (!this.#closed) this.#keeper.giveBackArguments(message);
    };
    if ((op.options & OPTION.views) === 0) {
      run();
      return;
    }
    const views = new Views(this.#native);
    for (const value of args)
      if (value instanceof Uint8Array) views.buffers.push(value.buffer as ArrayBuffer);
    this.#withViews(views, run);
  }

  // ---- Handlers ----

  // A post without retries and batches.
  #runPost(handle: number, op: Op, args: unknown): void {
    const breaker = this.#breakerOf(handle, op);
    const turn = breaker === undefined ? 0 : breaker.enter();
    if (turn < 0) {
      this.#refusePost(handle, op);
      return;
    }
    const target = this.#delivery.targetOf(handle);
    this.#wire.count(handle, RING_DELIVERED);
    const failed = (error: unknown) => {
      breaker?.failed(turn);
      this.#road.reportError(error, handle, op);
    };
    try {
      const result = invoke(target, op, args, handle);
      if (isThenable(result)) {
        this.#delivery.thenable = true;
        Promise.resolve(result).then((value) => {
          breaker?.succeeded(turn);
          this.#delivery.dropResult(op, value);
        }, failed);
        return;
      }
      this.#delivery.dropResult(op, result);
    } catch (error) {
      failed(error);
      return;
    }
    breaker?.succeeded(turn);
  }

  #runCall(reply: number, handle: number, op: Op, args: unknown): void {
    if (!this.#delivery.start(reply, handle)) return;
    const target = this.#delivery.targetOf(handle);
    if (target === undefined) {
      this.#delivery.callGone(reply, handle);
      return;
    }
    const breaker = this.#breakerOf(handle, op);
    const turn = breaker === undefined ? 0 : breaker.enter();
    if (turn < 0) {
      this.#replies.decline(reply, handle, BREAKER);
      return;
    }
    this.#replies.flushWakes(); // P16
    const isBatched = (op.options & OPTION.batch) !== 0;
    const ended = (well: boolean) => (well ? breaker?.succeeded(turn) : breaker?.failed(turn));
    let result: unknown;
    let later = false;
    try {
      result = call(target, op, isBatched ? [tupleOf(op, args)] : args, isBatched, handle);
      if (this.#closed) return;
      later = isThenable(result);
      if (this.#closed) return;
    } catch (error) {
      ended(false);
      this.#replies.answerError(reply, handle, error);
      return;
    }
    if (later) {
      this.#delivery.thenable = true;
      const promise = Promise.resolve(result);
      this.#replies.answerLater(reply, handle, op, promise, ended);
      return;
    }
    try {
      ended(this.#replies.answer(reply, handle, op, result));
    } catch (error) {
      ended(false);
      this.#replies.answerError(reply, handle, error);
    }
  }

  // Posts with retries, or of a batch, or that were held: the first time, and again.
  #run(unit: Unit): void {
    const { handle, op, messages } = unit;
    const target = this.#delivery.targetOf(handle);
    if (target === undefined) {
      this.#drop(unit, ({ handle, op, args }) => this.#delivery.postGone(handle, op, packed(op, args)));
      return;
    }
    const breaker = this.#breakerOf(handle, op);
    const turn = breaker === undefined ? 0 : breaker.enter();
    if (turn < 0) {
      this.#drop(unit, (message) => this.#refusePost(message.handle, message.op));
      return;
    }
    const isBatched = (op.options & OPTION.batch) !== 0;
    const isRetried = (op.options & OPTION.retries) !== 0;
    if (isRetried) this.#begun.add(unit);
    else this.#countDelivered(unit);
    this.#replies.flushWakes(); // P16
    const failed = (error: unknown) => {
      breaker?.failed(turn);
      this.#failed(unit, error);
    };
    const succeeded = (result: unknown) => {
      breaker?.succeeded(turn);
      this.#ended(unit);
      this.#delivery.dropResult(op, result);
    };
    let result: unknown;
    unit.running = true;
    try {
      const args = isBatched ? messages.map((message) => message.args) : packed(op, messages[0]!.args);
      result = call(target, op, args, isBatched, handle);
      unit.running = false;
      if (isThenable(result)) {
        this.#delivery.thenable = true;
        const settle = (work: () => void) => {
          this.#road.outside(() => {
            work();
            const queue = this.#queues.get(handle);
            if (queue !== undefined) this.#deliver(queue);
          });
        };
        if (isRetried && !this.#closed) this.#keepPending(unit);
        else this.#letGo(unit);
        Promise.resolve(result).then(
          (value) => settle(() => succeeded(value)),
          (error) => (this.#closed ? failed(error) : settle(() => failed(error))),
        );
        return;
      }
    } catch (error) {
      unit.running = false;
      failed(error);
      return;
    }
    succeeded(result);
  }

  // The promise of a post that may be tried again is under way. An object that nothing keeps may go meanwhile, and then
  // it is not tried again: a promise that never settles must not keep all other slots from being freed.
  #keepPending(unit: Unit): void {
    for (const message of unit.messages) {
      this.#keeper.keepArguments(message);
      this.#keeper.setWaiting(message, true);
    }
    this.#keeper.keepObject(unit);
    this.#keeper.unblock(unit);
  }

  #failed(unit: Unit, error: unknown): void {
    const { handle, op } = unit;
    const { retries } = op;
    unit.failures++;
    unit.error = error;
    if (this.#closed || retries === undefined || unit.failures > retries.times) {
      this.#giveUp(unit);
      return;
    }
    if (!this.#delivery.isThere(handle)) {
      this.#giveUp(unit);
      return;
    }
    const queue = this.#open(handle);
    if (queue.retrying === unit) queue.retrying = undefined;
    this.#keeper.keepObject(unit);
    for (const message of unit.messages) {
      this.#keeper.keepArguments(message);
      this.#keeper.setWaiting(message, true);
    }
    queue.putBack(unit);
    queue.retryDue = false;
    queue.retryTimer ??= this.#tryLater(queue, retries.afterMilliseconds!);
  }

  #tryLater(queue: Queue, milliseconds: number): () => void {
    const due = () => {
      queue.retryTimer = undefined;
      queue.retryDue = true;
      this.#road.outside(() => this.#deliver(queue));
    };
    if (milliseconds === 0) {
      const turn = setImmediate(due);
      return () => clearImmediate(turn);
    }
    const timer = setTimeout(due, milliseconds);
    return () => clearTimeout(timer);
  }

  #giveUp(unit: Unit): void {
    this.#ended(unit);
    if (!unit.told) this.#road.reportError(unit.error, unit.handle, unit.op);
  }

  // A handler has run for the last time.
  #ended(unit: Unit): void {
    if (this.#closed) return;
    if (this.#begun.delete(unit)) this.#countDelivered(unit);
    this.#letGo(unit);
  }

  // No handler can run any more; whether one ever did decides what becomes of the unit.
  #drop(unit: Unit, decline: (message: Held) => void): void {
    if (unit.failures > 0) {
      this.#giveUp(unit);
      return;
    }
    for (const message of unit.messages) {
      if (this.#closed) return; // a listener may close
      this.#keeper.setWaiting(message, false);
      decline(message);
    }
    if (!this.#closed) this.#letGo(unit);
  }

  #letGo(unit: Unit): void {
    if (this.#closed) return;
    const queue = this.#queues.get(unit.handle);
    if (queue?.retrying === unit) queue.retrying = undefined;
    this.#keeper.giveBackObject(unit);
    for (const message of unit.messages) this.#keeper.giveBackArguments(message);
  }

  #countDelivered(unit: Unit): void {
    for (const message of unit.messages) {
      this.#keeper.setWaiting(message, false);
      this.#wire.count(message.handle, RING_DELIVERED);
    }
  }

  // ---- The breaker ----

  #breakerOf(handle: number, op: Op): Breaker | undefined {
    if (op.breaker === undefined) return undefined;
    if (!this.#delivery.isThere(handle)) return undefined;
    const kind = this.#delivery.kindOf(handle);
    let breaker = this.#breakers.get(kind);
    if (breaker === undefined) {
      breaker = new Breaker(op.breaker, (until) => {
        if (!this.#closed) this.#native.refuseKind(kind, until);
      });
      this.#breakers.set(kind, breaker);
    }
    return breaker;
  }

  #refusePost(handle: number, op: Op): void {
    this.#wire.count(handle, RING_DECLINED);
    this.#road.reportDeclined('HAFT_E_BREAKER', `a post of ${op.text} found the breaker open`, handle, op);
  }

  // ---- Views ----

  #withViews(views: Views, run: () => void): void {
    this.#views.add(views);
    try {
      run();
    } finally {
      if (this.#views.delete(views)) views.end(); // else the realm was closed, which ended them
    }
  }

  // What is held outlives its views.
  #withCopies({ order, handle, op, args, reply, kept, waiting }: Held): Held {
    const copies = args.map((value) => (value instanceof Uint8Array ? value.slice() : value));
    const message = new Held(order, handle, op, copies, reply);
    message.kept = kept;
    message.waiting = waiting;
    return message;
  }
}

// A call of a kind with batches is none of one.
function isOfBatch({ op, reply }: HeldMessage): boolean {
  return (op.options & OPTION.batch) !== 0 && reply === 0;
}

// The reverse of tupleOf.
function packed(op: Op, args: readonly unknown[]): unknown {
  return op.args.length === 1 ? args[0] : args;
}

function call(target: unknown, op: Op, args: unknown, isBatch: boolean, handle: number): unknown {
  if (!isBatch) return invoke(target, op, args, handle);
  const object = target as Record<string, (batch: unknown) => unknown>;
  return trace === undefined
    ? object[op.name]!(args)
    : trace.handler(op.text, handle, () => object[op.name]!(args));
}
