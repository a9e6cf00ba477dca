// One realm of the soak: objects of all sorts, and a count of what reaches their handlers, apart from the registry's.
import { HaftError, kind, Registry } from 'haft';
import koffi from 'koffi';
import { pause, until } from '../ends/wait.mjs';

const library = koffi.load('build/Release/soak.so');
export const native = {
  object: library.func('void soak_object(int32_t realm, int32_t number, uint64_t handle)'),
  mortal: library.func('void soak_mortal(int32_t realm, int32_t number, uint64_t handle)'),
  ready: library.func('int32_t soak_ready(void *api, int32_t realm)'),
  start: library.func('int32_t soak_start(uint32_t seed)'),
  stop: library.func('void soak_stop()'),
  left: library.func('int32_t soak_left()'),
  unexpected: library.func('int32_t soak_unexpected()'),
  count: library.func('double soak_count(int32_t realm, int32_t what)'),
  ask: library.func('int32_t soak_ask(int32_t realm)'),
  postLast: library.func('int32_t soak_post_last(int32_t realm, int32_t most)'),
};

const OBJECTS = 40;
const MORTALS = 8;
const SLOW_MILLISECONDS = 0.3;
const STALL_MILLISECONDS = 30;
const LAST_POSTS = 500;
const [POSTED, ANSWERED, EXPIRED, REFUSED] = Array(4).keys();

function spin(milliseconds) {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}

/** Opens a realm, the `number`th, and gives its objects to the producers. */
export class SoakRealm {
  /** Posts whose handlers ran, and posts that found their object gone. */
  #seen = { posts: 0, gone: 0 };
  #registry = new Registry();
  #number;
  #timers;

  constructor(number) {
    this.#number = number;
    const { Soaked, SoakedKind } = kindThatCounts(this.#seen);
    const make = () => this.#registry.create(new Soaked(), SoakedKind);
    for (let i = 0; i < OBJECTS; i++) native.object(number, i, make());
    const mortals = Array.from({ length: MORTALS }, make);
    for (const [i, handle] of mortals.entries()) native.mortal(number, i, handle);
    this.#registry.on('error', (error) => {
      if (error instanceof HaftError && error.code === 'HAFT_E_STALE') this.#seen.gone++;
    });
    let next = 0;
    const replace = () => {
      const i = next++ % MORTALS;
      const old = mortals[i];
      mortals[i] = make();
      native.mortal(number, i, mortals[i]);
      // Deleted, its messages find it gone; released, those that were posted before still find it.
      if (next % 2) this.#registry.delete(old);
      else this.#registry.release(old);
    };
    this.#timers = [setInterval(replace, 2), setInterval(() => spin(STALL_MILLISECONDS), 200)];
    const status = native.ready(this.#registry.apiAddress, number);
    if (status !== 0) throw new Error(`realm ${number} did not become ready: ${status}`);
  }

  /** Resolves when no message waits any more; nobody sends. */
  async drained() {
    for (const timer of this.#timers) clearInterval(timer);
    await until(
      () => {
        const { sent, delivered, refused, dropped, expired } = this.#registry.stats();
        return sent === delivered + refused + dropped + expired;
      },
      `messages wait in realm ${this.#number}: ${JSON.stringify(this.#registry.stats())}`,
    );
  }

  /** A status: whether calls are answered as ever, after all that. On a thread of koffi's, since this one answers. */
  ask() {
    return new Promise((resolve, reject) =>
      native.ask.async(this.#number, (error, status) => (error ? reject(error) : resolve(status))),
    );
  }

  /** Closes it under some last posts. Answers with both countings. */
  close() {
    const last = native.postLast(this.#number, LAST_POSTS);
    this.#registry.close();
    const { sent, delivered, refused, dropped, expired } = this.#registry.stats();
    return { registry: { sent, delivered, refused, dropped, expired }, own: this.#ownCount(last) };
  }

  // What the senders and the handlers know. Nobody sees a post being dropped: it is what is missing.
  #ownCount(last) {
    const [posted, answered, expired, refused] = [POSTED, ANSWERED, EXPIRED, REFUSED].map((what) =>
      native.count(this.#number, what),
    );
    const { posts, gone } = this.#seen;
    return {
      sent: posted + answered + expired + refused,
      delivered: posts + answered,
      refused: refused + gone + last,
      dropped: posted - posts - gone - last,
      expired,
    };
  }
}

/** A kind whose handlers count posts: these say so in their first argument. */
function kindThatCounts(seen) {
  const begin = (isPost) => {
    if (isPost) seen.posts++;
  };
  class Soaked {
    total = 0;
    add(isPost, n) {
      begin(isPost);
      this.total += n;
      return this.total;
    }
    fail(isPost) {
      begin(isPost);
      throw this.total++ % 2 ? new Error('wanted') : undefined;
    }
    slow(isPost, n) {
      begin(isPost);
      spin(SLOW_MILLISECONDS);
      return n;
    }
    text(isPost, text) {
      begin(isPost);
      this.total += text.length;
    }
    async later() {
      await pause(1);
      return 1;
    }
    never() {
      return new Promise(() => {});
    }
    wrong() {
      return 'no number';
    }
  }
  const number = { args: ['bool', 'f64'], returns: 'f64' };
  const alone = { args: ['bool'], returns: 'f64' };
  const SoakedKind = kind(Soaked, {
    add: number,
    slow: number,
    text: { args: ['bool', 'str'] },
    fail: alone,
    later: alone,
    never: alone,
    wrong: alone,
  });
  return { Soaked, SoakedKind };
}
