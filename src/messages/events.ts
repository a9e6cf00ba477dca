// Waiting for what happens to a realm, in JavaScript: `haft_wait` in C is the same for native threads.
import type { NativeRealm } from '../binding.js';
import { EVENT_COUNTS, EVENT_WAITERS, EXCHANGE, EXCHANGE_FLAG, SCRIPT_WAITS } from '../constants.js';
import { HaftError } from '../errors.js';

/**
 * What may be waited for, the same bits as `HAFT_EVENT_*` in C. `drained`, `reclaimed`, `collected` and the user's are
 * counted while somebody waits: the wait ends when one comes after it began. The others are levels: the wait ends at
 * once where they hold already.
 */
export const EVENT = {
  /** The mailboxes were drained until nothing was left. */
  drained: 0x01,
  /** Objects were dropped whose last reference was released. */
  reclaimed: 0x02,
  /** A run of `registry.collect()` came to its end. */
  collected: 0x04,
  /** No message waits in a mailbox. */
  empty: 0x08,
  /** Some mailbox has no room for one more message. */
  full: 0x10,
  /** The registry takes no new work. */
  closing: 0x20,
  /** Eight of your own, 0 to 7: `haft_signal` causes them. */
  user: (number: number): number => {
    if (!(number >= 0 && number <= 7 && Number.isInteger(number))) {
      const message = `there is no event ${String(number)} of your own`;
      throw new HaftError('HAFT_E_ARGUMENT', { message, next: 'they are 0 to 7' });
    }
    return 0x10000 << number;
  },
} as const;

const COUNTED = EVENT.drained | EVENT.reclaimed | EVENT.collected;
const USERS = 0xff0000;
const ALL = COUNTED | EVENT.empty | EVENT.full | EVENT.closing | USERS;
const EVENT_BITS = 24;
/** Those that native code causes: it counts them. Of a level too: a mailbox may be full for a long message only. */
const FROM_NATIVE = EVENT.full | USERS;
const WAITERS_WORD = EVENT_WAITERS >> 2;
const SCRIPT_WAITS_WORD = SCRIPT_WAITS >> 2;
const COUNTS_WORD = EVENT_COUNTS >> 2;
const FLAG_WORD = (EXCHANGE >> 2) + EXCHANGE_FLAG;

interface Waiter {
  readonly events: number;
  /** How often each event had happened in native code when the wait began. */
  readonly counts: Int32Array;
  readonly end: (happened: number) => void;
  readonly fail: (error: unknown) => void;
}

export class Events {
  readonly #native: NativeRealm;
  readonly #i32: Int32Array;
  readonly #levels: () => number;
  readonly #changed: () => void;
  readonly #waiters = new Set<Waiter>();
  #closed = false;

  /**
   * @param levels The bits of `EVENT.empty` and `EVENT.full` that hold now.
   * @param changed Called when the number of those who wait has changed.
   */
  constructor(native: NativeRealm, levels: () => number, changed: () => void) {
    this.#changed = changed;
    this.#native = native;
    this.#i32 = new Int32Array(native.buffer);
    this.#levels = levels;
  }

  get waiting(): number {
    return this.#waiters.size;
  }

  wait(events: number, signal?: AbortSignal): Promise<number> {
    if (!Number.isInteger(events) || events <= 0 || events > ALL || (events & ~ALL) !== 0) {
      const message = `${String(events)} is no mask of events`;
      return Promise.reject(
        new HaftError('HAFT_E_ARGUMENT', { message, next: 'combine those of EVENT with |' }),
      );
    }
    if (signal?.aborted) return Promise.reject(signal.reason);
    const now = this.#levels() & events;
    if (now !== 0) return Promise.resolve(now);
    return new Promise((resolve, reject) => {
      this.#tell(1);
      const abort = () => {
        leave();
        reject(signal?.reason);
      };
      const leave = () => {
        this.#waiters.delete(waiter);
        signal?.removeEventListener('abort', abort);
        this.#tell(0);
        this.#changed();
      };
      const waiter: Waiter = {
        events,
        counts: this.#counts(), // after native code was told that we wait: it misses neither
        end: (happened) => {
          leave();
          resolve(happened);
        },
        fail: (error) => {
          leave();
          reject(error);
        },
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiters.add(waiter);
      this.#changed();
    });
  }

  /** Tells those who wait, in C and here, that these events happened; looks at the levels too. */
  happened(events: number): void {
    if (events !== 0 && this.#i32[WAITERS_WORD] !== 0) {
      this.#i32[FLAG_WORD] = events;
      this.#native.happened();
    }
    if (this.#waiters.size === 0) return;
    const levels = this.#levels();
    for (const waiter of [...this.#waiters]) {
      const happened = (events | levels | this.#nativeEventsSince(waiter.counts)) & waiter.events;
      if (happened !== 0) waiter.end(happened);
    }
  }

  /** Ends every wait: `EVENT.closing` to those who asked for it, an error to the others. */
  close(): void {
    this.#closed = true;
    for (const waiter of [...this.#waiters]) {
      if ((waiter.events & EVENT.closing) !== 0) waiter.end(EVENT.closing);
      else waiter.fail(new HaftError('HAFT_E_CLOSED'));
    }
  }

  // Native code rings for events that it causes only while somebody waits here.
  #tell(more: number): void {
    if (!this.#closed) Atomics.store(this.#i32, SCRIPT_WAITS_WORD, this.#waiters.size + more);
  }

  #counts(): Int32Array {
    return this.#i32.slice(COUNTS_WORD, COUNTS_WORD + EVENT_BITS);
  }

  #nativeEventsSince(counts: Int32Array): number {
    let events = 0;
    for (let bit = 0; bit < EVENT_BITS; bit++) {
      if (Atomics.load(this.#i32, COUNTS_WORD + bit) !== counts[bit]) events |= 1 << bit;
    }
    return events & FROM_NATIVE;
  }
}
