// Posts to objects that moved away: sent on to where they live now, in order, as the mailbox there has room.
import type { NativeRealm } from './binding.js';
import { STATUSES } from './constants.js';
import type { Op } from './kind.js';

// Captured at load: tests replace timers by fakes (P12).
const { setTimeout, clearTimeout } = globalThis;
const AGAIN_MILLISECONDS = 1;
const OK = STATUSES.HAFT_OK.status;
const NO_ROOM: ReadonlySet<number> = new Set([STATUSES.HAFT_E_FULL.status, STATUSES.HAFT_E_NO_MEMORY.status]);

interface Post {
  /** The old handle. */
  readonly handle: number;
  readonly now: number;
  readonly number: number;
  readonly op: Op;
  readonly args: readonly unknown[];
}

export class Forwarder {
  readonly #native: NativeRealm;
  readonly #refused: (status: number, post: Post) => void;
  #waiting: Post[] = [];
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** @param refused Told of a post that could not be sent on, and why. */
  constructor(native: NativeRealm, refused: (status: number, post: Post) => void) {
    this.#native = native;
    this.#refused = refused;
  }

  /** @param number The op's number in C. */
  send(handle: number, now: number, number: number, op: Op, args: readonly unknown[]): void {
    this.#waiting.push({ handle, now, number, op, args });
    if (this.#timer === undefined) this.#flush();
  }

  /** What waits was not delivered. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    const left = this.#waiting;
    this.#waiting = [];
    for (const post of left) this.#refused(STATUSES.HAFT_E_CLOSED.status, post);
  }

  #flush(): void {
    this.#timer = undefined;
    const full = new Set<number>(); // by handle: those behind must not overtake
    const left: Post[] = [];
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const post of waiting) {
      const { now, number, op, args } = post;
      if (this.#closed) {
        this.#refused(STATUSES.HAFT_E_CLOSED.status, post); // a listener closed the registry
        continue;
      }
      const status = full.has(now)
        ? STATUSES.HAFT_E_FULL.status
        : this.#native.post(now, number, op.args, args);
      if (NO_ROOM.has(status)) {
        full.add(now);
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
}
