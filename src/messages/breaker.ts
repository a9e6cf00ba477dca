// The breaker of a kind in a registry: handlers that fail in a row open it, and while it is open nothing is sent to the
// kind's objects.
import type { BreakerOptions } from '../options.js';

// P12: as they were when this was loaded, whatever tests put in their place.
const now = process.hrtime.bigint;
const NANOSECONDS = 1_000_000n;
const CLOSED = 0n;

export class Breaker {
  readonly #failures: number;
  readonly #retryAfter: bigint;
  readonly #refuse: (until: bigint) => void;
  /** Failures since the last success. */
  #row = 0;
  /** What a handler came to counts only if the breaker has not opened, or let another trial through, since it began. */
  #turn = 0;
  #until = CLOSED;

  /** @param refuse Tells the senders until when they are refused; 0: no longer. */
  constructor({ failures, retryAfterMilliseconds }: BreakerOptions, refuse: (until: bigint) => void) {
    this.#failures = failures;
    this.#retryAfter = BigInt(retryAfterMilliseconds) * NANOSECONDS;
    this.#refuse = refuse;
  }

  /** Whether a message would be refused now. */
  refuses(): boolean {
    return this.#until !== CLOSED && now() < this.#until;
  }

  /**
   * Lets a handler run, and tells its turn, which goes with what it came to; -1: refused. While open, the first after
   * the time is the trial; a trial that never ends is followed by another when the time has passed once more.
   */
  enter(): number {
    if (this.#until === CLOSED) return this.#turn;
    if (this.refuses()) return -1;
    this.#open();
    return this.#turn;
  }

  succeeded(turn: number): void {
    if (turn !== this.#turn) return;
    this.#row = 0;
    if (this.#until === CLOSED) return;
    this.#until = CLOSED;
    this.#refuse(CLOSED);
  }

  failed(turn: number): void {
    if (turn !== this.#turn) return;
    if (this.#until !== CLOSED || ++this.#row >= this.#failures) this.#open();
  }

  #open(): void {
    this.#turn++;
    this.#row = 0;
    this.#until = now() + this.#retryAfter;
    this.#refuse(this.#until);
  }
}
