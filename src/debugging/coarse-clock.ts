// The time to within a hundredth of a second, for what asks as often as handles are made. It is read once a turn of
// JavaScript, and in a long turn once in so many looks; nobody's timer wakes an idle process for it.
import { performance } from 'node:perf_hooks';

// As it was when this was loaded, whatever tests put in its place.
const milliseconds = performance.now.bind(performance);
const STEP = 10; // milliseconds
const LOOKS = 1024;
const settled = Promise.resolve();

export class CoarseClock {
  /** Steps of 10 ms since the clock was made, as it was read last. */
  now = 0;
  /** So many more looks have that for an answer. Whoever looks counts it down, and calls `read` below 0. */
  looks = 0;
  readonly #start = milliseconds();
  #turns = false;
  readonly #turnEnds = (): void => {
    this.#turns = false;
    this.looks = 0;
  };

  read(): number {
    this.now = Math.min(Math.floor((milliseconds() - this.#start) / STEP), 0xffffffff); // 497 days
    this.looks = LOOKS;
    if (!this.#turns) {
      this.#turns = true;
      settled.then(this.#turnEnds);
    }
    return this.now;
  }

  /** How many milliseconds ago it was so late, when it was last read. */
  since(then: number): number {
    return Math.max(0, this.now - then) * STEP;
  }
}
