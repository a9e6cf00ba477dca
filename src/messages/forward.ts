// Posts to objects that moved away: sent on to where they live now, in order, as the mailbox there has room.
import { performance } from 'node:perf_hooks';
import type { NativeRealm } from '../binding.js';
import { STATUSES } from '../constants.js';
import type { Op } from '../kind.js';
import { BUDGET_MILLISECONDS } from './delivery.js';

// Captured at load: tests replace timers by fakes (P12).
const { setTimeout, clearTimeout } = globalThis;
const AGAIN_MILLISECONDS = 1;
const OK = STATUSES.HAFT_OK.status;
const MOVED = STATUSES.HAFT_E_MOVED.status;
const NO_ROOM: ReadonlySet<number> = new Set([STATUSES.HAFT_E_FULL.status, STATUSES.HAFT_E_NO_MEMORY.status]);

interface Post {
  /** The old handle. */
  readonly handle: number;
  readonly now: number;
  readonly number: number;
  readonly op: Op;
  readonly args: readonly unknown[];
}

/** Stands behind the posts to an old handle. */
interface Last {
  readonly handle: number;
  readonly sent: () => void;
}

export class Forwarder {
  readonly #native: NativeRealm;
  readonly #whereNow: (handle: number) => number;
  readonly #refused: (status: number, post: Post) => void;
  #waiting: (Post | Last)[] = [];
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /**
   * @param whereNow The handle that an object has after a move; 0 if that is not known any more.
   * @param refused Told of a post that could not be sent on, and why.
   */
  constructor(
    native: NativeRealm,
    whereNow: (handle: number) => number,
    refused: (status: number, post: Post) => void,
  ) {
    this.#native = native;
    this.#whereNow = whereNow;
    this.#refused = refused;
  }

  /**
   * Puts a post behind the others; `flush` sends them.
   * @param number The op's number in C.
   */
  add(handle: number, now: number, number: number, op: Op, args: readonly unknown[]): void {
    this.#waiting.push({ handle, now, number, op, args });
  }

  flush(): void {
    if (this.#timer === undefined) this.#flush();
  }

  /** Calls `sent` when nothing waits any more that was to be sent on for the handle, or never will be. */
  whenSent(handle: number, sent: () => void): void {
    if (this.#waiting.some((waiting) => waiting.handle === handle)) this.#waiting.push({ handle, sent });
    else sent();
  }

  /** What waits was not delivered. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    const left = this.#waiting;
    this.#waiting = [];
    for (const waiting of left) {
      if ('sent' in waiting) waiting.sent();
      else this.#refused(STATUSES.HAFT_E_CLOSED.status, waiting);
    }
  }

  #flush(): void {
    this.#timer = undefined;
    const full = new Set<number>(); // old handles: those behind must not overtake
    const left: (Post | Last)[] = [];
    const waiting = this.#waiting;
    this.#waiting = [];
    const deadline = performance.now() + BUDGET_MILLISECONDS;
    for (const [place, post] of waiting.entries()) {
      if (place > 0 && performance.now() >= deadline) {
        for (const rest of waiting.slice(place)) left.push(rest);
        break;
      }
      if ('sent' in post) {
        if (full.has(post.handle)) left.push(post);
        else post.sent();
        continue;
      }
      if (this.#closed) {
        this.#refused(STATUSES.HAFT_E_CLOSED.status, post); // a listener closed the registry
        continue;
      }
      const status = full.has(post.handle) ? STATUSES.HAFT_E_FULL.status : this.#post(post);
      if (NO_ROOM.has(status)) {
        full.add(post.handle);
        left.push(post);
      } else if (status !== OK) {
        this.#refused(status, post);
      }
    }
    this.#waiting = left.concat(this.#waiting);
    // The timer keeps the event loop alive: the posts were accepted.
    if (this.#waiting.length > 0 && !this.#closed)
      this.#timer = setTimeout(() => this.#flush(), AGAIN_MILLISECONDS);
  }

  // The object may have moved on while the post waited for room.
  #post({ now, number, op, args }: Post): number {
    for (let to = now; ; ) {
      const status = this.#native.offer(to, number, op.args, args);
      if (status !== MOVED) return status;
      to = this.#whereNow(to);
      if (to === 0) return MOVED;
    }
  }
}
