// A program of its own: where koffi alone fails, or crashes. Arguments: the case, and more that it takes.
import assert from 'node:assert/strict';
import { Worker } from 'node:worker_threads';
import koffi from 'koffi';
import {
  ADD,
  ANSWERED,
  call,
  callU64,
  count,
  destroyElsewhere,
  end,
  give,
  joined,
  leave,
  ON_ERROR,
  open,
  REFUSED,
  run,
  start,
  sum,
  told,
  turn,
  until,
  WRONG,
} from './callbacks.mjs';

const [name, ...more] = process.argv.slice(2);
const koffiAdd = () => koffi.pointer(koffi.proto('int (int, void *)'));

// Numbers from a seed, which stands in what a failure prints.
function random(seed) {
  let state = seed >>> 0;
  return (most) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * most);
  };
}
const seed = Number(process.env.HAFT_STRESS_SEED ?? 20240229);
const noted = (round, act) =>
  act(random(seed + round)).catch((error) => {
    error.message += ` (round ${round}, HAFT_STRESS_SEED=${seed})`;
    throw error;
  });

const ROUNDS = 30;

const cases = {
  // koffi gives the place to the next one that is registered, and C that still has the pointer runs that.
  async 'a stale pointer, of koffi alone'() {
    const type = koffiAdd();
    const first = koffi.register(() => 1, type);
    koffi.unregister(first);
    const second = koffi.register(() => 2, type);
    assert.equal(second, first);
    assert.equal(call(first, 0, 0), 2);
    koffi.unregister(second);
  },
  async 'a stale pointer'() {
    const { registry, errors } = open();
    const trampoline = registry.trampoline(ADD);
    for (let i = 0; i < 1000; i++) {
      const first = trampoline.bind(() => 1);
      first.unbind();
      const second = trampoline.bind(() => 2);
      assert.equal(call(first.pointer, first.userData, 0), ON_ERROR);
      assert.equal(call(second.pointer, second.userData, 0), 2);
      second.unbind();
    }
    // Half a mailbox of them waits to be told; the rest of one turn is not.
    await until(() => errors.length >= 512);
    await turn();
    assert.equal(errors.length, 512);
    for (const { error } of errors) assert.equal(error.code, 'HAFT_E_STALE');
    registry.close();
  },

  // koffi has 8,192 places in the process.
  async 'more than 8,192 closures, of koffi alone'() {
    const type = koffiAdd();
    const most = [];
    assert.throws(() => {
      for (let i = 0; i < 8200; i++) most.push(koffi.register(() => i, type));
    }, /too many|callbacks/i);
    assert.ok(most.length <= 8192);
  },
  async 'more than 8,192 closures'() {
    const { registry } = open();
    const trampoline = registry.trampoline(ADD);
    const bounds = Array.from({ length: 20_000 }, (_, i) => trampoline.bind((n) => n + i));
    for (const [i, { pointer, userData }] of bounds.entries())
      assert.equal(call(pointer, userData, 1), i + 1);
    // koffi's own are all still there for others.
    const type = koffiAdd();
    for (let i = 0; i < 8000; i++) koffi.register(() => i, type);
    const more = trampoline.bind((n) => n + 5);
    assert.equal(call(more.pointer, more.userData, 1), 6);
    registry.close();
  },

  // koffi: SIGSEGV.
  async 'unbind while threads call'() {
    const { registry, errors } = open();
    const trampoline = registry.trampoline(ADD);
    let answered = 0;
    for (let round = 0; round < ROUNDS; round++) {
      await noted(round, async (below) => {
        let bound = trampoline.bind((n) => n + 1);
        start(trampoline.pointer, bound.userData, 2 + below(3), -1);
        const ends = [
          () => bound.unbind(),
          () => registry.delete(bound.userData),
          () => destroyElsewhere(registry.destroyNotify, bound.userData),
        ];
        for (let i = 0; i < 10; i++) {
          const before = count(ANSWERED) + count(REFUSED);
          const wanted = BigInt(below(200));
          await until(() => BigInt(count(ANSWERED) + count(REFUSED)) - BigInt(before) >= wanted);
          ends[below(ends.length)]();
          if (below(2) === 0) {
            // The slot is another's at once: whoever calls with the old one must not run this.
            const other = trampoline.bind(() => -5);
            await turn();
            other.unbind();
          }
          bound = trampoline.bind((n) => n + 1);
          give(bound.userData);
        }
        const before = count(ANSWERED);
        await until(() => count(ANSWERED) > before);
        end();
        await joined();
        bound.unbind();
        assert.equal(Number(count(WRONG)), 0);
        answered += Number(count(ANSWERED));
      });
    }
    assert.ok(answered > 0);
    await turn();
    for (const { error } of errors) assert.equal(error.code, 'HAFT_E_STALE');
    registry.close();
  },

  async 'close while threads call'() {
    for (let round = 0; round < ROUNDS; round++) {
      await noted(round, async (below) => {
        const { registry } = open();
        let calls = 0;
        const inside = below(2) === 0;
        const most = 1 + below(300);
        const bound = registry.trampoline(ADD).bind((n) => {
          if (++calls === most && inside) registry.close();
          return n + 1;
        });
        start(bound.pointer, bound.userData, 1 + below(4), -1);
        await until(() => calls >= most);
        registry.close();
        const after = count(REFUSED) + 10;
        await until(() => count(REFUSED) > after);
        const ran = calls;
        end();
        await joined();
        assert.equal(calls, ran);
        assert.equal(Number(count(WRONG)), 0);
      });
    }
  },

  // koffi: SIGSEGV.
  async 'terminate while threads call'() {
    const file = new URL('./trampoline-worker.mjs', import.meta.url);
    const [from, to] = more.map(Number);
    const { registry } = open();
    const own = registry.trampoline(ADD).bind((n) => n + 1);
    for (let round = from; round < to; round++) {
      await noted(round, async (below) => {
        const worker = new Worker(file, { argv: ['serve'] });
        const { pointer, userData } = await new Promise((resolve, reject) => {
          worker.once('message', resolve);
          worker.once('error', reject);
        });
        start(pointer, userData, 2 + below(3), -1);
        const wanted = below(500);
        await until(() => count(ANSWERED) >= wanted);
        if (below(3) === 0) worker.postMessage('exit');
        else worker.terminate();
        await new Promise((resolve) => worker.on('exit', resolve));
        const after = count(REFUSED) + 10;
        await until(() => count(REFUSED) > after);
        // What was the worker's pointer serves whoever lives.
        give(own.userData);
        const before = count(ANSWERED) + 10;
        await until(() => count(ANSWERED) > before);
        end();
        await joined();
        assert.equal(Number(count(WRONG)), 0);
      });
    }
    registry.close();
  },

  // The worker's own C calls on and on.
  async 'terminate in a call of its own C'() {
    const file = new URL('./trampoline-worker.mjs', import.meta.url);
    for (let round = 0; round < 5; round++) {
      const worker = new Worker(file, { argv: ['loop'] });
      await new Promise((resolve) => worker.once('message', resolve));
      const ended = new Promise((resolve) => worker.on('exit', resolve));
      worker.terminate();
      assert.equal(await ended, 1);
    }
  },

  // koffi rounds above 2^53 where one is not careful, and takes 2^64 + h for h.
  async 'numbers above 2^53'() {
    const { registry, errors } = open();
    for (const type of ['uint64_t', 'uintptr_t', 'size_t', 'void *', 'int64_t', 'long long', 'ptrdiff_t']) {
      const signed = ['int64_t', 'long long', 'ptrdiff_t'].includes(type);
      const trampoline = registry.trampoline({
        args: [type, 'void *'],
        returns: type,
        userData: 1,
        onError: 2n ** 62n + 1n,
      });
      const echo = koffi
        .load('build/Release/callbacks.so')
        .func(
          `${signed ? 'int64_t' : 'uint64_t'} cb_echo(void *function, ${signed ? 'int64_t' : 'uint64_t'} x, uint64_t userData)`,
        );
      let got;
      const bound = trampoline.bind((x) => {
        got = x;
        return x;
      });
      const values = [
        0n,
        1n,
        2n ** 52n,
        2n ** 53n - 1n,
        2n ** 53n,
        2n ** 53n + 1n,
        2n ** 62n + 1n,
        2n ** 63n - 1n,
      ];
      values.push(...(signed ? [-1n, -(2n ** 53n) - 1n, -(2n ** 63n)] : [2n ** 63n + 1n, 2n ** 64n - 1n]));
      for (const x of values) {
        assert.equal(BigInt(echo(bound.pointer, x, bound.userData)), x);
        assert.equal(got, x); // a bigint, always
      }
      assert.equal(BigInt(echo(bound.pointer, 1n, 5)), 2n ** 62n + 1n);
      await told(errors);
      // A number that is not exact is no result: what it stands for has been lost.
      const rounded = trampoline.bind(() => 2 ** 53);
      assert.throws(() => echo(rounded.pointer, 1n, rounded.userData), /returned/);
      const beyond = trampoline.bind(() => (signed ? 2n ** 63n : 2n ** 64n));
      assert.throws(() => echo(beyond.pointer, 1n, beyond.userData), /returned/);
    }
    registry.close();
  },

  async 'numbers of 64 bits, of koffi alone'() {
    const echo = koffi
      .load('build/Release/callbacks.so')
      .func('uint64_t cb_echo(void *function, uint64_t x, uint64_t userData)');
    const got = [];
    const callback = koffi.register(
      (x) => {
        got.push(x);
        return x;
      },
      koffi.pointer(koffi.proto('uint64_t (uint64_t, void *)')),
    );
    const h = 2n ** 52n + 5n;
    for (const x of [5n, 2n ** 53n + 1n, 2n ** 64n + h]) echo(callback, x, 0);
    // Two types for one argument, and a handle out of what is none.
    assert.deepEqual(got, [5, 2n ** 53n + 1n, Number(h)]);
  },

  async '2^64 + h'() {
    const { registry, errors } = open();
    const trampoline = registry.trampoline(ADD);
    const bound = trampoline.bind((n) => n + 1);
    const h = BigInt(bound.userData);
    // In JavaScript haft refuses it, as a handle and as a result.
    for (const x of [2n ** 64n + h, 2n ** 65n + h, -h, h - 2n ** 64n]) {
      assert.throws(() => registry.get(x), { code: 'HAFT_E_FORGED' });
      assert.throws(() => registry.release(x), { code: 'HAFT_E_FORGED' });
      assert.equal(registry.has(x), false);
    }
    // Whatever is left of it in C but h itself is forged.
    for (const x of [2n ** 63n + h, 2n ** 53n + h, 2n ** 52n + h]) {
      assert.equal(callU64(bound.pointer, x, 1), ON_ERROR);
      assert.equal((await told(errors))[0].error.code, 'HAFT_E_FORGED');
    }
    assert.equal(callU64(bound.pointer, h, 1), 2);
    // koffi makes h of it before C or haft sees it.
    assert.equal(callU64(bound.pointer, 2n ** 64n + h, 1), 2);
    registry.close();
  },

  // koffi gives C a zero, and goes on.
  async exceptions() {
    const { registry, errors } = open();
    const trampoline = registry.trampoline(ADD);
    const bound = trampoline.bind((n) => {
      throw new RangeError(`number ${n}`);
    });
    assert.throws(() => call(bound.pointer, bound.userData, 7), /number 7/);
    start(bound.pointer, bound.userData, 3, 10);
    await joined();
    // C can tell: it has onError, thirty times, and the event each error.
    assert.deepEqual([count(ANSWERED), count(REFUSED), count(WRONG)].map(Number), [0, 30, 0]);
    for (const { error, handle } of await told(errors, 30)) {
      assert.ok(error instanceof RangeError);
      assert.equal(handle, bound.userData);
    }
    registry.close();
  },

  // koffi throws through Node-API on the wrong thread.
  async 'more than 256 concurrent foreign callers'() {
    const { registry, errors } = open();
    const trampoline = registry.trampoline(ADD);
    let release;
    const gate = new Promise((resolve) => {
      release = resolve;
    });
    let waiting = 0;
    const bound = trampoline.bind(async (n) => {
      if (++waiting === 600) release();
      await gate; // all are in a call at the same time
      return n + 1;
    });
    start(bound.pointer, bound.userData, 600, 3);
    await joined();
    assert.deepEqual([count(ANSWERED), count(REFUSED), count(WRONG)].map(Number), [1800, 0, 0]);
    assert.deepEqual(errors, []);
    registry.close();
  },

  // Arguments: `how` it ends, and `when`. The threads go on calling in any case.
  async 'the end of the process'() {
    const [how, when] = more;
    const { registry } = open();
    let calls = 0;
    const act = {
      exit: () => process.exit(7),
      natural: () => {
        process.exitCode = 7;
        bound.unbind();
      },
      close: () => {
        process.exitCode = 7;
        registry.close();
      },
      uncaught: () => {
        process.on('uncaughtException', () => process.exit(7));
        setImmediate(() => {
          throw new Error('uncaught');
        });
      },
    }[how];
    const bound = registry.trampoline(ADD).bind((n) => {
      if (++calls === 100 && (when === 'inside' || when === 'own')) act();
      return n + 1;
    });
    if (when === 'own') {
      sum(bound.pointer, bound.userData, 200);
      return;
    }
    if (when === 'after') {
      start(bound.pointer, bound.userData, 4, 50);
      await joined();
      assert.equal(Number(count(ANSWERED)), 200);
      act();
      return;
    }
    start(bound.pointer, bound.userData, 4, -1);
    leave();
    if (when === 'during') {
      await until(() => calls > 100);
      act();
    }
  },
};

await run(cases, name);
