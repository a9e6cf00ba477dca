// Delivery: runs the handler of a message, and what follows from it: counts, errors, promises, answers. Messages that
// are held, and those of kinds with options, take the detour of detour.ts.
import { DIRECT_REPLY, RING_DECLINED, RING_DELIVERED, SHARDS, STATUSES } from '../constants.js';
import { trace } from '../debugging/trace.js';
import { HaftError } from '../errors.js';
import { INDEX_MASK, SLOT_MASK } from '../handle.js';
import type { Op } from '../kind.js';
import type { Mirror } from '../mirror.js';
import type { Replies } from './replies.js';
import { describe, type Wire } from './wire.js';

/** Who hears of what posts come to. */
export interface Listener {
  /** The handler of a post threw, or rejected. */
  reportError(error: unknown, handle: number, op: Op): void;
  /** A post found its object gone. */
  reportGone(handle: number, op: Op): void;
  /** The object of a weak handle, unless it was collected. */
  weakTarget(handle: number): object | undefined;
  /** Why a handle without an object has none: a status. */
  statusOfGone(handle: number): number;
  /** Whether the object of a handle that is gone lives in another realm now. */
  hasMoved(handle: number): boolean;
  /** Sends a post on to it. */
  sendOn(handle: number, op: Op, args: readonly unknown[]): void;
  /** The closure of a trampoline threw in a call of C on this very thread, or its result is none: C cannot be told. */
  threw(error: unknown, handle: number, op: Op): void;
}

/** How long handlers run, one after the other, before timers and I/O have their turn. */
export const BUDGET_MILLISECONDS = 2;

const DEADLOCK = STATUSES.HAFT_E_DEADLOCK.status;
const SHARD_MASK = SHARDS - 1;

export class Delivery {
  readonly #listener: Listener;
  readonly #mirror: Mirror;
  readonly #wire: Wire;
  readonly #replies: Replies;
  #closed = false;
  /** Calls whose handler has run, and the shard of the latest. */
  calls = 0;
  lastShard = 0;
  /** A handler returned a thenable. */
  thenable = false;
  /** Messages that found their object gone. */
  gone = 0;

  constructor(listener: Listener, mirror: Mirror, wire: Wire, replies: Replies) {
    this.#listener = listener;
    this.#mirror = mirror;
    this.#wire = wire;
    this.#replies = replies;
  }

  close(): void {
    this.#closed = true;
  }

  /**
   * The object of a handle that messages may be sent to; `undefined` if it is gone. `post`, `call` and `direct` have it written
   * out: by way of this a call on one thread takes a third longer.
   */
  targetOf(handle: number): unknown {
    const block = this.#mirror.blockOf(handle & INDEX_MASK);
    if (block !== undefined && block.handles[handle & SLOT_MASK] === handle)
      return block.values[handle & SLOT_MASK];
    return this.#listener.weakTarget(handle);
  }

  /** Whether a handle names an object of this realm, with a kind or without. */
  isThere(handle: number): boolean {
    const block = this.#mirror.blockOf(handle & INDEX_MASK);
    if (block !== undefined && block.handles[handle & SLOT_MASK] === handle) return true;
    return this.#listener.weakTarget(handle) !== undefined;
  }

  /** Why a handle without an object has none: a status. */
  statusOfGone(handle: number): number {
    return this.#listener.statusOfGone(handle);
  }

  /** The number of the kind of a handle whose object is there. */
  kindOf(handle: number): number {
    return this.#mirror.blockOf(handle & INDEX_MASK)!.kinds[handle & SLOT_MASK]!;
  }

  post(handle: number, op: Op, args: unknown): void {
    const block = this.#mirror.blockOf(handle & INDEX_MASK);
    const slot = handle & SLOT_MASK;
    let target: unknown;
    if (block !== undefined && block.handles[slot] === handle) {
      target = block.values[slot];
    } else {
      target = this.#listener.weakTarget(handle);
      if (target === undefined) {
        this.postGone(handle, op, args);
        return;
      }
    }
    this.#wire.count(handle, args instanceof Misfit ? RING_DECLINED : RING_DELIVERED);
    try {
      const result = invoke(target, op, args, handle);
      if (isThenable(result)) this.#watch(result, handle, op);
      else this.dropResult(op, result);
    } catch (error) {
      this.#listener.reportError(error, handle, op);
    }
  }

  call(reply: number, handle: number, op: Op, args: unknown): void {
    if (!this.start(reply, handle)) return;
    const block = this.#mirror.blockOf(handle & INDEX_MASK);
    const slot = handle & SLOT_MASK;
    let target: unknown;
    if (block !== undefined && block.handles[slot] === handle) {
      target = block.values[slot];
    } else {
      target = this.#listener.weakTarget(handle);
      if (target === undefined) {
        this.callGone(reply, handle);
        return;
      }
    }
    if (args instanceof Misfit) {
      this.#replies.answerError(reply, handle, args.error, RING_DECLINED);
      return;
    }
    try {
      const result = invoke(target, op, args, handle);
      if (this.#closed) return; // P22: the handler closed the realm, and its memory may be another's by now
      const later = isThenable(result); // may run a getter of the user's
      if (this.#closed) return;
      if (later) {
        this.thenable = true;
        this.#replies.answerLater(reply, handle, op, result as PromiseLike<unknown>);
      } else {
        this.#replies.answer(reply, handle, op, result);
      }
    } catch (error) {
      this.#replies.answerError(reply, handle, error);
      this.failed(error, handle, op);
    }
  }

  /** A call failed. Its caller is told, unless it is C that knows of no exceptions. */
  failed(error: unknown, handle: number, op: Op): void {
    if (op.isTrampoline) this.#listener.reportError(error, handle, op);
  }

  /** C on this very thread calls: the answer stands in a place of its own. */
  direct(handle: number, op: Op, args: unknown): void {
    const block = this.#mirror.blockOf(handle & INDEX_MASK);
    const slot = handle & SLOT_MASK;
    let target: unknown;
    if (block !== undefined && block.handles[slot] === handle) {
      target = block.values[slot];
    } else {
      target = this.#listener.weakTarget(handle);
      if (target === undefined) {
        // Native code found the slot live: its last reference was released in between, or its object collected.
        this.#wire.count(handle, RING_DECLINED);
        this.#wire.writeStatus(DIRECT_REPLY, this.#listener.statusOfGone(handle));
        return;
      }
    }
    try {
      this.#wire.count(handle, args instanceof Misfit ? RING_DECLINED : RING_DELIVERED);
      const result = invoke(target, op, args, handle);
      if (this.#closed) return;
      const later = isThenable(result);
      if (this.#closed) return;
      if (later) {
        Promise.resolve(result).then(
          (value) => this.dropResult(op, value),
          () => {}, // nobody will hear its failure
        );
        this.#wire.writeStatus(DIRECT_REPLY, DEADLOCK);
        return;
      }
      this.#wire.writeResult(DIRECT_REPLY, op, result);
    } catch (error) {
      const description = describe(error);
      if (!this.#closed) this.#wire.writeError(DIRECT_REPLY, description);
    }
  }

  /** As `direct`, of a trampoline. Most results are numbers: there is little between them and C. */
  closure(handle: number, op: Op, args: unknown): void {
    // Native code has just found the handle live, on this thread: so it is ours.
    const block = this.#mirror.blockOf(handle & INDEX_MASK)!;
    const target = block.values[handle & SLOT_MASK];
    this.#wire.count(handle, RING_DELIVERED);
    let result: unknown;
    try {
      // The most frequent case once more, small enough to be compiled into this one.
      result =
        op.isPlain && !(args instanceof Misfit) ? (target as Target)(args) : invoke(target, op, args, handle);
      if (this.#closed) return;
      if (typeof result === 'number' && this.#wire.writeDirectInteger(op.returns, result)) return;
      if (!isThenable(result)) {
        if (!this.#closed) this.#wire.writeResult(DIRECT_REPLY, op, result);
        return;
      }
    } catch (error) {
      const description = describe(error);
      if (!this.#closed) this.#wire.writeError(DIRECT_REPLY, description);
      this.#listener.threw(error, handle, op);
      return;
    }
    Promise.resolve(result).catch(() => {}); // nobody will hear its failure
    if (!this.#closed) this.#wire.writeStatus(DIRECT_REPLY, DEADLOCK);
    this.#listener.threw(promiseOnThread(op), handle, op);
  }

  /** Whether the caller still waits for the call. */
  start(reply: number, handle: number): boolean {
    if (!this.#replies.start(reply)) return false;
    this.calls++;
    this.lastShard = handle & SHARD_MASK;
    return true;
  }

  postGone(handle: number, op: Op, args: unknown): void {
    if (!(args instanceof Misfit) && this.#listener.hasMoved(handle)) {
      this.#listener.sendOn(handle, op, tupleOf(op, args));
      return;
    }
    this.gone++;
    this.#wire.count(handle, RING_DECLINED);
    this.#listener.reportGone(handle, op);
  }

  callGone(reply: number, handle: number): void {
    this.gone++;
    this.#replies.decline(reply, handle, this.#listener.statusOfGone(handle));
  }

  #watch(result: PromiseLike<unknown>, handle: number, op: Op): void {
    this.thenable = true;
    Promise.resolve(result).then(
      (value) => this.dropResult(op, value),
      (error) => this.#listener.reportError(error, handle, op),
    );
  }

  /** What a handler gave to nobody. */
  dropResult(op: Op, result: unknown): void {
    if (result !== undefined && !this.#closed) this.#wire.dropResult(op, result);
  }
}

function promiseOnThread(op: Op): HaftError {
  const message = 'the closure returned a promise, which cannot settle while C waits on this thread';
  return new HaftError('HAFT_E_DEADLOCK', { kind: op.kindName, message });
}

/** What the arguments of a message were instead of what the op declares. */
export class Misfit {
  constructor(readonly error: unknown) {}
}

type Target = Record<string, (...args: unknown[]) => unknown> & ((...args: unknown[]) => unknown);

/** Calls the method, or the function. `args`: nothing, the one argument, an array of more, or a `Misfit`. */
function run(target: unknown, op: Op, args: unknown): unknown {
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

/** As `run`; the handle is for the trace. */
export const invoke: (target: unknown, op: Op, args: unknown, handle: number) => unknown =
  trace === undefined
    ? run
    : (target, op, args, handle) => trace!.handler(op.text, handle, () => run(target, op, args));

/** Arguments as they are read: nothing, the one, an array of more. As a tuple they are always an array. */
export function tupleOf(op: Op, args: unknown): readonly unknown[] {
  if (op.args.length === 0) return [];
  return op.args.length === 1 ? [args] : (args as unknown[]);
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (typeof value !== 'object' && typeof value !== 'function') return false;
  return value !== null && typeof (value as { then?: unknown }).then === 'function';
}
