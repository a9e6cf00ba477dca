// A program of its own: trampolines that are called with what they were not given, and closures that do what they
// should not. Argument: the case.
import assert from 'node:assert/strict';
import { Worker } from 'node:worker_threads';
import { HandleTable, kind, Registry } from 'haft';
import {
  ADD,
  ANSWERED,
  call,
  callU64,
  count,
  destroyElsewhere,
  each,
  joined,
  LIBRARY,
  ON_ERROR,
  open,
  REFUSED,
  result,
  run,
  start,
  sum,
  told,
  turn,
  until,
  WRONG,
} from './callbacks.mjs';

const [name, way = 'koffi'] = process.argv.slice(2);

const addon = () => {
  const module = { exports: {} };
  process.dlopen(module, LIBRARY);
  return (pointer, userData, n) => module.exports.act(0, userData, n, Number(pointer));
};

/** One call from another thread; what C got is in the counts. */
async function callElsewhere(pointer, userData) {
  start(pointer, BigInt.asUintN(64, BigInt(userData)), 1, 1);
  await joined();
  return count(REFUSED) === 1 ? ON_ERROR : 'answered';
}

async function refusedEverywhere(errors, pointer, userData, code, handle = userData) {
  const expected = { code, handle, op: 'call' };
  for (const way of [callU64, callElsewhere]) {
    const got = await way(pointer, userData, 1);
    assert.equal(got, ON_ERROR, `${way.name} with ${userData}`);
    if (code === undefined) continue;
    const [{ error, handle: where, kind, op }] = await told(errors);
    assert.deepEqual({ code: error.code, handle: error.handle, op }, expected, String(userData));
    assert.equal(error.kind, kind);
    assert.ok(Number.isNaN(where) || where === Number(error.handle));
    assert.match(kind, /^trampoline int\(int, /);
    assert.equal(error.name, 'HaftError');
    assert.match(error.message, /no closure could be reached by its user data/);
    assert.ok(error.next.length > 20);
  }
}

const cases = {
  async 'forged user data'() {
    const { registry, errors } = open();
    const { registry: another } = open();
    const trampoline = registry.trampoline(ADD);
    const { pointer } = trampoline;
    let calls = 0;
    const bound = trampoline.bind((n) => {
      calls++;
      return n + 1;
    });
    const h = BigInt(bound.userData);
    const number = (x) => (x >= 2n ** 52n && x < 2n ** 53n ? Number(x) : x);
    for (const x of [
      ...[0n, 1n, 2n, 255n, 4096n],
      ...[2n ** 64n - 1n, 2n ** 63n, 2n ** 53n, 2n ** 52n - 1n],
      ...[pointer, pointer + 1n, 0x7fff_ffff_f000n],
      ...[h & 0xffff_ffffn, h & 0xff_ffffn, BigInt.asUintN(64, BigInt.asIntN(32, h))],
      ...[h + 2n ** 53n, h + 2n ** 63n, h ^ (2n ** 52n), BigInt.asUintN(64, -h)],
      BigInt(new BigUint64Array(new Float64Array([Number(h)]).buffer)[0]),
    ]) {
      await refusedEverywhere(errors, pointer, x, 'HAFT_E_FORGED', number(x));
    }
    // Off by one: the slot beside it is free, or another's.
    for (const x of [h + 1n, h - 1n, h + 2n ** 26n, h + 2n ** 40n]) {
      assert.equal(callU64(pointer, x, 1), ON_ERROR);
      const [{ error }] = await told(errors);
      assert.match(error.code, /HAFT_E_(FORGED|STALE|KIND|CLOSED)/);
    }
    // Handles of other sorts.
    class Plain {
      call() {
        calls += 1000;
      }
    }
    const PlainKind = kind(Plain, { call: {} });
    const longs = registry.trampoline({ ...ADD, args: ['long', 'void *'] });
    const posts = registry.trampoline({ ...ADD, mode: 'post', onPosted: 1 });
    for (const other of [
      registry.create({}),
      registry.create(new Plain(), PlainKind),
      registry.fn({ args: ['i32'], returns: 'i32' }, (n) => n + 1000),
      longs.bind(() => 1000).userData,
      posts.bind(() => 1000).userData,
      registry.trampolines({ call: ADD }).bind({ call: () => 1000 }).userData,
      another.create({}),
      another.trampoline({ ...ADD, args: ['long', 'void *'] }).bind(() => 1000).userData,
    ]) {
      await refusedEverywhere(errors, pointer, other, 'HAFT_E_KIND');
    }
    const table = new HandleTable();
    assert.equal(
      callU64(
        pointer,
        table.create((n) => n + 1000),
        1,
      ),
      ON_ERROR,
    );
    const [{ error }] = await told(errors);
    assert.match(error.code, /HAFT_E_(FORGED|STALE|KIND|CLOSED)/);
    assert.equal(calls, 0);
    assert.equal(callU64(pointer, h, 1), 2);
    registry.close();
    another.close();
  },

  async 'stale user data'() {
    const { registry, errors } = open();
    const trampoline = registry.trampoline(ADD);
    const { pointer } = trampoline;
    const scope = registry.scope();
    const bind = (options) => trampoline.bind((n) => n + 1, options);
    const ended = {
      unbind: bind(),
      dispose: bind(),
      scope: bind({ scope }),
      delete: bind(),
      release: bind(),
      notify: bind(),
      once: bind({ once: true }),
    };
    ended.unbind.unbind();
    ended.dispose[Symbol.dispose]();
    scope[Symbol.dispose]();
    registry.delete(ended.delete.userData);
    registry.release(ended.release.userData);
    destroyElsewhere(registry.destroyNotify, ended.notify.userData);
    assert.equal(call(pointer, ended.once.userData, 1), 2);
    for (const { userData } of Object.values(ended))
      await refusedEverywhere(errors, pointer, userData, 'HAFT_E_STALE');
    // Their slots are others' now.
    const next = Object.values(ended).map((_, i) => trampoline.bind((n) => n + 100 * i));
    for (const { userData } of Object.values(ended))
      await refusedEverywhere(errors, pointer, userData, 'HAFT_E_STALE');
    for (const [i, { userData }] of next.entries()) assert.equal(call(pointer, userData, 1), 1 + 100 * i);
    // After close nobody is told: there is no realm that could be.
    registry.close();
    next[0].unbind(); // does nothing
    next[0][Symbol.dispose]();
    assert.throws(() => trampoline.bind((n) => n), { code: 'HAFT_E_CLOSED' });
    assert.throws(() => registry.invoke(call, pointer, 0, 1), { code: 'HAFT_E_CLOSED' });
    for (const { userData } of next) await refusedEverywhere(errors, pointer, userData, undefined);
    // Unless another registry has the same signature.
    const { registry: another, errors: others } = open();
    assert.equal(another.trampoline(ADD).pointer, pointer);
    assert.equal(call(pointer, next[0].userData, 1), ON_ERROR);
    assert.match((await told(others))[0].error.code, /HAFT_E_(CLOSED|STALE)/);
    const again = another.trampoline(ADD).bind((n) => n + 7);
    assert.equal(call(pointer, again.userData, 1), 8);
    assert.equal(call(pointer, next[0].userData, 1), ON_ERROR);
    another.close();
  },

  async 'after a worker has ended'() {
    const { registry, errors } = open();
    const own = registry.trampoline(ADD).bind((n) => n + 1);
    for (const how of ['terminate', 'exit', 'natural']) {
      const worker = new Worker(new URL('./trampoline-worker.mjs', import.meta.url), {
        argv: ['serve', how],
      });
      const { pointer, userData } = await new Promise((resolve) => worker.once('message', resolve));
      assert.equal(pointer, own.pointer);
      const ended = new Promise((resolve) => worker.on('exit', resolve));
      // From this thread, which is a foreign one to the worker's realm.
      assert.equal(call(pointer, userData, 41), 42);
      if (how === 'terminate') await worker.terminate();
      else worker.postMessage(how);
      await ended;
      assert.equal(call(pointer, userData, 41), ON_ERROR);
      assert.equal(await callElsewhere(pointer, userData), ON_ERROR);
      for (const { error } of await told(errors, 2)) assert.match(error.code, /HAFT_E_(CLOSED|STALE)/);
      assert.equal(call(pointer, own.userData, 1), 2);
    }
    registry.close();
  },

  async 'onError of every type'() {
    const { registry, errors } = open();
    const f = (x) => BigInt(new Uint32Array(new Float32Array([x]).buffer)[0]);
    const d = (x) => new BigUint64Array(new Float64Array([x]).buffer)[0];
    for (const [returns, onError, bits] of [
      ['void', undefined, 0n],
      ['bool', true, 1n],
      ['bool', false, 0n],
      ['int8_t', -128, 0x80n],
      ['uint8_t', 255, 0xffn],
      ['int16_t', -2, 0xfffen],
      ['uint16_t', 65535, 0xffffn],
      ['int', -77, 0xffff_ffb3n],
      ['uint32_t', 2 ** 32 - 1, 0xffff_ffffn],
      ['int64_t', -5, 2n ** 64n - 5n],
      ['int64_t', -(2n ** 63n), 2n ** 63n],
      ['uint64_t', 2n ** 64n - 1n, 2n ** 64n - 1n],
      ['uint64_t', 2 ** 53 - 1, 2n ** 53n - 1n],
      ['void *', null, 0n],
      ['void *', 2n ** 53n + 1n, 2n ** 53n + 1n],
      ['float', -1.5, f(-1.5)],
      ['float', 0.1, f(0.1)],
      ['double', 0.1, d(0.1)],
      ['double', -0, 2n ** 63n],
    ]) {
      const trampoline = registry.trampoline({ args: ['void *'], returns, userData: 0, onError });
      const ask = (userData) => BigInt(result(returns, trampoline.pointer, userData));
      assert.equal(ask(0), bits, `${returns} forged`);
      const bound = trampoline.bind(() => {
        throw new Error('mine');
      });
      assert.throws(() => ask(bound.userData), /mine/);
      assert.throws(() => registry.invoke(ask, bound.userData), /mine/);
      bound.unbind();
      assert.equal(ask(bound.userData), bits, `${returns} stale`);
      // A result of another type is none.
      if (returns !== 'void') {
        const wrong = trampoline.bind(() => ({}));
        assert.throws(() => ask(wrong.userData), /HAFT_E_RESULT|returned object/);
        wrong.unbind();
      }
      const codes = (await told(errors, 2)).map(({ error }) => error.code);
      assert.deepEqual(codes, ['HAFT_E_FORGED', 'HAFT_E_STALE']);
    }
    registry.close();
  },

  async 'what a closure throws'() {
    const { registry, errors } = open();
    const trampoline = registry.trampoline(ADD);
    const { pointer } = trampoline;
    const thrown = [
      new RangeError('mine'),
      'text',
      5,
      null,
      undefined,
      Symbol('s'),
      { toString: null },
      Object.create(null),
    ];
    for (const one of thrown) {
      const bound = trampoline.bind(() => {
        throw one;
      });
      const isIt = (f) => {
        try {
          f();
        } catch (error) {
          assert.ok(Object.is(error, one));
          return;
        }
        assert.fail('nothing was thrown');
      };
      // At the call of koffi, and nothing is left of it.
      isIt(() => call(pointer, bound.userData, 1));
      isIt(() => registry.invoke(call, pointer, bound.userData, 1));
      assert.deepEqual(errors, []);
      // From another thread: the event, with the same value.
      assert.equal(await callElsewhere(pointer, bound.userData), ON_ERROR);
      const [{ error, handle, op }] = await told(errors);
      assert.ok(Object.is(error, one));
      assert.deepEqual([handle, op], [bound.userData, 'call']);
      bound.unbind();
    }
    // C that goes on calling after one threw: none of its closures runs, unless `invoke` made the call.
    let calls = 0;
    const bound = trampoline.bind((n) => {
      calls++;
      if (n === 5) throw new Error('five');
      return 0;
    });
    for (const [f, ran] of [
      [sum, 6],
      [(...args) => registry.invoke(sum, ...args), 100],
    ]) {
      calls = 0;
      assert.throws(() => f(pointer, bound.userData, 100), /five/);
      assert.equal(calls, ran);
    }
    assert.equal(call(pointer, bound.userData, 1), 0);
    registry.close();
  },

  async 'exceptions through C -> JavaScript -> C -> JavaScript'() {
    const one = open();
    const two = open();
    const trampolines = [one, two].map(({ registry }) => registry.trampoline(ADD));
    const { pointer } = trampolines[0];
    assert.equal(trampolines[1].pointer, pointer);
    const byAddon = way === 'addon' ? addon() : call;
    const log = [];
    const bounds = trampolines.map((trampoline, i) =>
      trampoline.bind((n) => {
        log.push(`${i}:${n}`);
        if (n === 0) throw new RangeError('at the bottom');
        if (n < 0) return -n;
        const next = bounds[1 - i];
        const ask = n % 2 ? call : byAddon;
        const down = () =>
          way === 'addon'
            ? one.registry.invoke(ask, pointer, next.userData, n - 1)
            : ask(pointer, next.userData, n - 1);
        if (n !== 3) return down() + 1;
        try {
          return down() + 1;
        } catch (error) {
          log.push(error.message);
          // It was caught here: closures run again at once.
          return ask(pointer, next.userData, -20) + 1;
        }
      }),
    );
    // Caught in the midst: the outer ones return as if nothing had been.
    const outer = (n) => one.registry.invoke(byAddon, pointer, bounds[0].userData, n);
    assert.equal(outer(5), 23);
    assert.deepEqual(log, ['0:5', '1:4', '0:3', '1:2', '0:1', '1:0', 'at the bottom', '1:-20']);
    // Not caught: it comes out where JavaScript called first.
    for (let i = 0; i < 20; i++) assert.throws(() => outer(2), /at the bottom/);
    if (way === 'koffi') {
      for (let i = 0; i < 20; i++)
        assert.throws(() => call(pointer, bounds[i % 2].userData, 2), /at the bottom/);
    }
    assert.equal(byAddon(pointer, bounds[0].userData, -3), 3);
    assert.equal(byAddon(pointer, bounds[1].userData, -3), 3);
    await turn();
    assert.deepEqual(
      [...one.errors, ...two.errors].map(({ error }) => error),
      [],
    );
    one.registry.close();
    assert.equal(call(pointer, bounds[0].userData, -3), ON_ERROR);
    assert.equal(call(pointer, bounds[1].userData, -3), 3);
    two.registry.close();
  },

  async 'results of another type, and promises'() {
    const { registry, errors } = open();
    const trampoline = registry.trampoline(ADD);
    const { pointer } = trampoline;
    const answers = [
      undefined,
      null,
      'text',
      1.5,
      2 ** 31,
      1n,
      Number.NaN,
      {},
      [],
      true,
      Symbol('s'),
      () => 1,
    ];
    for (const answer of answers) {
      const bound = trampoline.bind(() => answer);
      assert.throws(
        () => call(pointer, bound.userData, 1),
        ({ code, message }) => (code ?? 'HAFT_E_RESULT') === 'HAFT_E_RESULT' && /returned/.test(message),
      );
      assert.equal(await callElsewhere(pointer, bound.userData), ON_ERROR);
      const [{ error, handle }] = await told(errors);
      assert.equal(error.code, 'HAFT_E_RESULT');
      assert.equal(handle, bound.userData);
      bound.unbind();
    }
    // On its own thread a promise can never settle while C waits.
    for (const promise of [
      Promise.resolve(1),
      new Promise(() => {}),
      // biome-ignore lint/suspicious/noThenProperty: what is tested
      { then: (resolve) => resolve(1) },
      Promise.reject(new Error('nobody hears this')),
    ]) {
      const bound = trampoline.bind(() => promise);
      assert.throws(() => call(pointer, bound.userData, 1), { code: 'HAFT_E_DEADLOCK' });
      assert.throws(() => registry.invoke(call, pointer, bound.userData, 1), { code: 'HAFT_E_DEADLOCK' });
      bound.unbind();
    }
    await turn();
    assert.deepEqual(errors, []);
    // A getter of the result's that throws, or ends things.
    const trap = trampoline.bind(() => ({
      // biome-ignore lint/suspicious/noThenProperty: what is tested
      get then() {
        trap.unbind();
        throw new Error('in then');
      },
    }));
    assert.throws(() => call(pointer, trap.userData, 1), /in then/);
    assert.equal(call(pointer, trap.userData, 1), ON_ERROR);
    registry.close();
  },

  async 'a closure that ends things while it runs'() {
    const { registry, errors } = open();
    const trampoline = registry.trampoline(ADD);
    const { pointer } = trampoline;
    for (const elsewhere of [false, true]) {
      const ask = async (bound) => {
        if (!elsewhere) return call(pointer, bound.userData, 1);
        start(pointer, bound.userData, 1, 1);
        await joined();
        return count(ANSWERED) === 1 ? 2 : ON_ERROR;
      };
      const own = trampoline.bind((n) => {
        own.unbind();
        return n + 1;
      });
      assert.equal(await ask(own), 2);
      assert.equal(await ask(own), ON_ERROR);
      assert.equal((await told(errors))[0].error.code, 'HAFT_E_STALE');
      // 10,000 more, of which half stay: its own slot must stay its own.
      const more = [];
      const grower = trampoline.bind((n) => {
        grower.unbind();
        for (let i = 0; i < 10_000; i++) more.push(trampoline.bind((m) => m + i));
        for (let i = 0; i < 10_000; i += 2) more[i].unbind();
        globalThis.gc();
        return n + 1;
      });
      assert.equal(await ask(grower), 2);
      assert.equal(call(pointer, more[9_999].userData, 1), 10_000);
      assert.equal(call(pointer, more[9_998].userData, 1), ON_ERROR);
      assert.equal((await told(errors))[0].error.code, 'HAFT_E_STALE');
      for (const bound of more) bound.unbind();
    }
    // The registry, in its closure, in a nested one, and under C that goes on calling.
    for (const depth of [0, 1, 3]) {
      const { registry: closing, errors: heard } = open();
      let calls = 0;
      const bound = closing.trampoline(ADD).bind((n) => {
        calls++;
        if (n > 0) return call(pointer, bound.userData, n - 1) + 1;
        closing.close();
        return 5;
      });
      assert.equal(call(pointer, bound.userData, depth) < 5, true);
      assert.equal(calls, depth + 1);
      assert.equal(sum(pointer, bound.userData, 10), 10 * ON_ERROR);
      assert.equal(calls, depth + 1);
      assert.deepEqual(heard, []);
    }
    // And from another thread.
    const { registry: last } = open();
    const bound = last.trampoline(ADD).bind((n) => {
      last.close();
      return n + 1;
    });
    start(pointer, bound.userData, 3, 20);
    await joined();
    assert.deepEqual([count(ANSWERED), count(REFUSED), count(WRONG)], [0, 60, 0]);
    errors.length = 0;
    // It closes, and throws too.
    const { registry: both } = open();
    const thrower = both.trampoline(ADD).bind(() => {
      both.close();
      throw new Error('closed and thrown');
    });
    try {
      assert.equal(call(pointer, thrower.userData, 1), ON_ERROR);
    } catch (error) {
      assert.match(error.message, /closed and thrown/);
    }
    const still = trampoline.bind((n) => n + 1);
    assert.equal(call(pointer, still.userData, 1), 2);
    registry.close();
  },

  async 'a stack that is full'() {
    const { registry, errors } = open();
    const trampoline = registry.trampoline(ADD);
    let deepest = 0;
    const bound = trampoline.bind((n) => {
      deepest = Math.max(deepest, n);
      return call(trampoline.pointer, bound.userData, n + 1) + 1;
    });
    assert.throws(() => call(trampoline.pointer, bound.userData, 0));
    assert.ok(deepest > 5, String(deepest));
    await turn();
    errors.length = 0;
    const small = trampoline.bind((n) => n + 1);
    assert.equal(call(trampoline.pointer, small.userData, 1), 2);
    registry.close();
  },

  async 'without a listener misuse is silent, and what is thrown elsewhere is an unhandled rejection'() {
    const registry = new Registry();
    const trampoline = registry.trampoline(ADD);
    assert.equal(call(trampoline.pointer, 0, 1), ON_ERROR);
    assert.equal(await callElsewhere(trampoline.pointer, 1), ON_ERROR);
    await turn();
    const heard = [];
    process.on('unhandledRejection', (error) => heard.push(error.message));
    const bound = trampoline.bind(() => {
      throw new Error('unheard');
    });
    assert.equal(await callElsewhere(trampoline.pointer, bound.userData), ON_ERROR);
    await until(() => heard.length > 0);
    assert.deepEqual(heard, ['unheard']);
    registry.close();
  },

  async 'an exception on its way halts the closures of all registries'() {
    const one = open();
    const two = open();
    const first = one.registry.trampoline(ADD);
    let ran = 0;
    const thrower = first.bind(() => {
      throw new Error('of one');
    });
    const [own, other] = [one, two].map(({ registry }) =>
      registry.trampoline(ADD).bind((n) => {
        ran++;
        return n;
      }),
    );
    const handles = new Float64Array([other, thrower, own, other, thrower].map(({ userData }) => userData));
    const ask = () => each(first.pointer, handles, 5);
    const ways = [ask, () => one.registry.invoke(ask), () => two.registry.invoke(ask)];
    for (const [i, way] of ways.entries()) {
      ran = 0;
      assert.throws(way, /of one/);
      assert.equal(ran, i === 0 ? 1 : 3);
      await turn();
      // That they did not run is no misuse; where all ran, what the second one threw is told.
      const messages = [...one.errors.splice(0), ...two.errors.splice(0)].map(({ error }) => error.message);
      assert.deepEqual(messages, i === 0 ? [] : ['of one']);
      assert.equal(call(first.pointer, own.userData, 1), 1);
      assert.equal(call(first.pointer, other.userData, 1), 1);
    }
    one.registry.close();
    two.registry.close();
  },

  async 'errors of two registries reach their own'() {
    const one = open();
    const two = open();
    const first = one.registry.trampoline(ADD);
    two.registry.trampoline(ADD);
    const thrower = first.bind(() => {
      throw new Error('of one');
    });
    assert.equal(await callElsewhere(first.pointer, thrower.userData), ON_ERROR);
    assert.equal((await told(one.errors))[0].error.message, 'of one');
    assert.deepEqual(two.errors, []);
    // Whose forged user data is, nobody knows: both are told.
    assert.equal(callU64(first.pointer, 3, 1), ON_ERROR);
    await told(one.errors);
    await told(two.errors);
    one.registry.close();
    assert.equal(callU64(first.pointer, 3, 1), ON_ERROR);
    await told(two.errors);
    assert.deepEqual(one.errors, []);
    two.registry.close();
  },

  // A million wrong calls must not fill anything up that others need.
  async 'misuse without end'() {
    const { registry, errors } = open();
    const trampoline = registry.trampoline(ADD);
    const bound = trampoline.bind((n) => n + 1);
    for (let i = 0; i < 100; i++) assert.equal(sum(trampoline.pointer, 5, 1000), 1000 * ON_ERROR);
    start(trampoline.pointer, 5, 2, 50_000);
    await joined();
    assert.equal(count(REFUSED), 100_000);
    await turn();
    assert.ok(errors.length > 100);
    assert.equal(call(trampoline.pointer, bound.userData, 1), 2);
    start(trampoline.pointer, bound.userData, 2, 100);
    await joined();
    assert.equal(count(ANSWERED), 200);
    registry.close();
  },
};

await run(cases, name);
