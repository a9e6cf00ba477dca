// A program of its own: trampolines as they are meant to be used. Argument: the case.
import assert from 'node:assert/strict';
import { Worker } from 'node:worker_threads';
import { HaftError, Registry } from 'haft';
import koffi from 'koffi';
import {
  ADD,
  ANSWERED,
  call,
  callU64,
  context,
  count,
  destroy,
  destroyElsewhere,
  each,
  give,
  joined,
  LIBRARY,
  leave,
  ON_ERROR,
  open,
  REFUSED,
  run,
  start,
  sum,
  text,
  textTooLong,
  told,
  turn,
  until,
  userDataOf,
  WRONG,
} from './callbacks.mjs';

const [name, ...more] = process.argv.slice(2);

const addon = () => {
  const module = { exports: {} };
  process.dlopen(module, LIBRARY);
  return (pointer, userData, n) => module.exports.act(0, userData, n, Number(pointer));
};

// ---- Signatures: what C passed and got is told by C itself, as text ----

const signatures = () => {
  const library = koffi.load('build/Release/signatures.so');
  const c = (definition) => library.func(definition);
  const arguments_ = '(uint32_t i, void *function, uint64_t userData, uint64_t seed, bool dirty)';
  return {
    count: c('uint32_t signature_count()')(),
    text: c('const char *signature_text(uint32_t i)'),
    call: c(`const char *signature_call${arguments_}`),
    start: c(`void signature_start${arguments_}`),
    end: c('const char *signature_end()'),
  };
};

const bits = new DataView(new ArrayBuffer(8));
const shownDouble = (x) => {
  bits.setFloat64(0, x);
  return Number.isNaN(x) ? 'nan' : String(bits.getBigUint64(0));
};
const isFloat = (type) => type === 'float' || type === 'double';
const shown = (type, x) => {
  if (type === 'const char *') return x === null ? 'null' : `'${x}'`;
  return isFloat(type) ? shownDouble(x) : String(x);
};

// Results of each type, the last in another form that may be given too.
const RESULTS = {
  void: [undefined],
  bool: [true, false],
  'signed char': [0, 1, -1, 127, -128],
  uint8_t: [0, 1, 255],
  short: [0, -1, 32767, -32768],
  uint16_t: [0, 65535],
  int: [0, -1, 2 ** 31 - 1, -(2 ** 31)],
  'unsigned int': [0, 2 ** 32 - 1],
  long: [0n, -1n, 2n ** 53n + 1n, -(2n ** 53n) - 1n, 2n ** 63n - 1n, -(2n ** 63n), -5],
  uint64_t: [0n, 2n ** 53n + 1n, 2n ** 64n - 1n, 7],
  uintptr_t: [0n, 2n ** 63n, 2n ** 64n - 1n, 2 ** 53 - 1],
  'void *': [0n, 2n ** 64n - 1n, 4096, null],
  'struct thing *': [2n ** 63n, null],
  float: [0, -0, 1.5, -(2 ** -149), 3.4028234663852886e38, Number.POSITIVE_INFINITY, Number.NaN],
  double: [0, -0, 0.1, 5e-324, Number.MAX_VALUE, Number.NEGATIVE_INFINITY, Number.NaN],
};

async function allSignatures(serve) {
  const { registry, errors } = open();
  const c = signatures();
  const seen = new Set();
  for (let i = 0; i < c.count; i++) {
    const [returns, place, types] = c.text(i).split(';');
    const args = types.split(',');
    const userData = Number(place);
    const passed = args.filter((_, position) => position !== userData);
    const results = RESULTS[returns];
    const onError = results.at(-1);
    const trampoline = registry.trampoline({ args, returns, userData, onError });
    assert.equal(trampoline.native, registry.backend === 'addon', types);
    let got;
    let turnOf = 0;
    const bound = trampoline.bind((...values) => {
      assert.equal(values.length, passed.length);
      got = values.map((value, position) => shown(passed[position], value)).join('|');
      return results[turnOf];
    });
    for (let round = 0; round < 2 * results.length; round++) {
      turnOf = round % results.length;
      const seed = BigInt(i * 1000 + round);
      const said = await serve(c, i, bound.pointer, bound.userData, seed, round % 2 === 1);
      const value = results[turnOf];
      const back = returns === 'void' ? 'undefined' : shown(returns, value ?? 0);
      assert.equal(said, `${got}=${back}`, `${returns} (${types}), user data ${place}, seed ${seed}`);
    }
    // A stale one is told what onError says, in the form of the type.
    bound.unbind();
    got = undefined;
    const said = await serve(c, i, bound.pointer, bound.userData, 1n, false);
    const back = returns === 'void' ? 'undefined' : shown(returns, onError ?? 0);
    assert.ok(said.endsWith(`=${back}`), said);
    assert.equal(got, undefined);
    for (const { error } of await told(errors)) {
      assert.equal(error.code, 'HAFT_E_STALE');
      assert.equal(error.handle, bound.userData);
    }
    seen.add(userData);
  }
  for (let position = 0; position < 16; position++) assert.ok(seen.has(position), `user data at ${position}`);
  registry.close();
}

const cases = {
  'every signature on this thread': () =>
    allSignatures((c, i, pointer, userData, seed, dirty) => c.call(i, pointer, userData, seed, dirty)),

  'every signature on another thread': () =>
    allSignatures(async (c, i, pointer, userData, seed, dirty) => {
      c.start(i, pointer, userData, seed, dirty);
      for (;;) {
        const said = c.end();
        if (said !== null) return said;
        await new Promise((resolve) => setImmediate(resolve));
      }
    }),

  async 'texts of all sorts'() {
    const { registry, errors } = open();
    const trampoline = registry.trampoline({
      args: ['const char *', 'void *', 'const char *'],
      returns: 'int',
      userData: 1,
      onError: ON_ERROR,
    });
    const got = [];
    const bound = trampoline.bind((a, b) => got.push([a, b]));
    for (let which = 0; which < 6; which++)
      assert.equal(text(bound.pointer, bound.userData, which), which + 1);
    assert.deepEqual(got.slice(0, 4), [
      [null, null],
      ['', ''],
      ['ab\ufffd\ufffd\ufffd(', '\ufffd\ufffd\ufffd'],
      ['ä€🚀', 'second'],
    ]);
    const big = 'b'.repeat(2 ** 21);
    assert.ok(got[4][0] === big && got[4][1] === null);
    assert.ok(got[5][0] === big && got[5][1] === big);
    got.length = 0;
    assert.equal(textTooLong(bound.pointer, bound.userData), ON_ERROR);
    assert.deepEqual(got, []);
    const [{ error }] = await told(errors);
    assert.equal(error.code, 'HAFT_E_TOO_LARGE');
    assert.equal(text(bound.pointer, bound.userData, 0), 1);
    registry.close();
  },

  async 'uint64_t, uintptr_t and void * alike'() {
    const { registry } = open();
    for (const type of ['uint64_t', 'uintptr_t', 'void *', 'const void *', 'int64_t', 'struct anything*']) {
      const trampoline = registry.trampoline({ ...ADD, args: ['int', type] });
      const bound = trampoline.bind((n) => n + 1);
      assert.equal(call(bound.pointer, bound.userData, 1), 2);
      assert.equal(callU64(bound.pointer, bound.userData, 2), 3);
      assert.equal(callU64(bound.pointer, BigInt(bound.userData), 3), 4);
      assert.equal(call(bound.pointer, BigInt(bound.userData), 3), 4);
    }
    registry.close();
  },

  async 'user data that is found from an argument'() {
    const { registry, errors } = open();
    const trampoline = registry.trampoline({
      args: ['void *', 'int'],
      returns: 'int',
      userData: { argument: 0, through: userDataOf },
      onError: ON_ERROR,
    });
    let pointer;
    const bound = trampoline.bind((where, n) => {
      pointer = where;
      return n + 1;
    });
    assert.equal(context(bound.pointer, bound.userData, 4), 5);
    assert.equal(typeof pointer, 'bigint');
    assert.equal(context(bound.pointer, 5, 4), ON_ERROR);
    bound.unbind();
    assert.equal(context(bound.pointer, bound.userData, 4), ON_ERROR);
    const [forged, stale] = await told(errors, 2);
    assert.deepEqual([forged.error.code, stale.error.code], ['HAFT_E_FORGED', 'HAFT_E_STALE']);
    registry.close();
  },

  async 'a group shares one user data'() {
    const { registry, errors } = open();
    const group = registry.trampolines({
      up: ADD,
      down: { ...ADD, onError: -78 },
      quiet: { args: ['int', 'void *'], userData: 1 },
    });
    const log = [];
    const one = {
      step: 1,
      up(n) {
        return n + this.step;
      },
      down(n) {
        return n - this.step;
      },
      quiet(n) {
        log.push(n);
      },
    };
    const bound = group.bind(one);
    const other = group.bind({ ...one, step: 10 });
    assert.equal(call(bound.pointer.up, bound.userData, 5), 6);
    assert.equal(call(bound.pointer.down, bound.userData, 5), 4);
    assert.equal(call(other.pointer.up, other.userData, 5), 15);
    call(bound.pointer.quiet, bound.userData, 9);
    assert.deepEqual(log, [9]);
    // What belongs to another kind is refused, in either direction.
    const single = registry.trampoline(ADD).bind((n) => n);
    assert.equal(call(bound.pointer.up, single.userData, 5), ON_ERROR);
    assert.equal(call(single.pointer, bound.userData, 5), ON_ERROR);
    for (const { error } of await told(errors, 2)) assert.equal(error.code, 'HAFT_E_KIND');
    bound.unbind();
    assert.equal(call(bound.pointer.up, bound.userData, 5), ON_ERROR);
    assert.equal(call(bound.pointer.down, bound.userData, 5), -78);
    const [up, down] = await told(errors, 2);
    assert.deepEqual([up.op, down.op], ['up', 'down']);
    assert.throws(() => group.bind(null), { code: 'HAFT_E_KIND' });
    assert.throws(() => registry.trampolines({}), { code: 'HAFT_E_ARGUMENT' });
    registry.close();
  },

  async once() {
    const { registry, errors } = open();
    const trampoline = registry.trampoline(ADD);
    let calls = 0;
    const bound = trampoline.bind(
      (n) => {
        calls++;
        assert.equal(registry.has(bound.userData), false);
        return n + 1;
      },
      { once: true },
    );
    assert.equal(call(bound.pointer, bound.userData, 1), 2);
    assert.equal(call(bound.pointer, bound.userData, 1), ON_ERROR);
    bound.unbind(); // does nothing
    const [{ error }] = await told(errors);
    assert.equal(error.code, 'HAFT_E_STALE');
    assert.equal(calls, 1);
    // From four threads at once: one of them.
    calls = 0;
    const again = trampoline.bind(
      (n) => {
        calls++;
        return n + 1;
      },
      { once: true },
    );
    start(again.pointer, again.userData, 4, 1);
    await joined();
    assert.deepEqual([calls, count(ANSWERED), count(REFUSED), count(WRONG)], [1, 1, 3, 0]);
    // It threw: it has ended all the same.
    const thrower = trampoline.bind(
      () => {
        throw new Error('once');
      },
      { once: true },
    );
    assert.throws(() => registry.invoke(call, thrower.pointer, thrower.userData, 1), /once/);
    assert.equal(registry.has(thrower.userData), false);
    registry.close();
  },

  async 'scopes, using, and unbind'() {
    const { registry } = open();
    const trampoline = registry.trampoline(ADD);
    const bindings = [];
    const scope = registry.scope();
    for (let i = 0; i < 3; i++) bindings.push(trampoline.bind((n) => n + i, { scope }));
    bindings[1].unbind(); // before its scope
    assert.equal(call(trampoline.pointer, bindings[2].userData, 1), 3);
    scope.end();
    for (const { userData } of bindings) {
      assert.equal(registry.has(userData), false);
      assert.equal(call(trampoline.pointer, userData, 1), ON_ERROR);
    }
    const bound = trampoline.bind((n) => n);
    bound.unbind();
    const next = trampoline.bind((n) => n + 50); // in the same slot, most likely
    bound.unbind();
    bound[Symbol.dispose]();
    assert.equal(call(trampoline.pointer, next.userData, 1), 51);
    assert.equal(call(trampoline.pointer, bound.userData, 1), ON_ERROR);
    registry.close();
  },

  async destroyNotify() {
    const { registry } = open();
    const trampoline = registry.trampoline(ADD);
    const notify = registry.destroyNotify;
    assert.equal(typeof notify, 'bigint');
    assert.equal(new Registry().destroyNotify, notify);
    for (const way of [destroy, destroyElsewhere]) {
      const bound = trampoline.bind((n) => n + 1);
      const { live } = registry.stats();
      way(notify, bound.userData);
      assert.equal(call(bound.pointer, bound.userData, 1), ON_ERROR);
      await until(() => registry.stats().live < live);
      bound.unbind(); // does nothing
      way(notify, bound.userData);
      way(notify, 0);
      way(notify, 12345);
      // A handle with two references lives on after one.
      const kept = trampoline.bind((n) => n + 2);
      registry.retain(kept.userData);
      destroy(notify, kept.userData);
      assert.equal(call(kept.pointer, kept.userData, 1), 3);
      kept.unbind();
      assert.equal(call(kept.pointer, kept.userData, 1), ON_ERROR);
    }
    // The closure itself has C destroy it.
    const own = trampoline.bind((n) => {
      destroy(notify, own.userData);
      destroyElsewhere(notify, own.userData);
      return n + 1;
    });
    assert.equal(call(own.pointer, own.userData, 1), 2);
    assert.equal(call(own.pointer, own.userData, 1), ON_ERROR);
    registry.close();
    destroy(notify, own.userData);
    destroyElsewhere(notify, own.userData);
  },

  async 'a million closures, each with its own number'() {
    const { registry } = open();
    const trampoline = registry.trampoline({ ...ADD, args: ['int', 'uint64_t'], ref: false });
    const live = 1_000_000;
    const number = (i) => (n) => n + i;
    const closures = Array.from({ length: live }, (_, i) => number(i));
    // So many `Bound` are the caller's; what haft keeps of each is the slot and its mirror.
    const handles = new Float64Array(live);
    globalThis.gc();
    const before = process.memoryUsage();
    const rss = before.rss;
    for (let i = 0; i < live; i++) handles[i] = trampoline.bind(closures[i]).userData;
    globalThis.gc();
    globalThis.gc();
    const after = process.memoryUsage();
    const bytes = (after.rss - rss) / live;
    const own = (after.heapUsed + after.external - before.heapUsed - before.external) / live;
    console.log(`rss ${bytes.toFixed(1)}, heap and external ${own.toFixed(1)} bytes a bound closure`);
    assert.ok(own < 200, `${own} bytes of heap and external memory a bound closure`);
    assert.ok(bytes < 400, `${bytes} bytes of rss a bound closure`); // garbage of the loop among them
    assert.equal(registry.stats().live, live);
    for (let i = 0; i < live; i += 97) assert.equal(callU64(trampoline.pointer, handles[i], 1), i + 1);
    assert.equal(Number(each(trampoline.pointer, handles, live)), ((live * (live - 1)) / 2) * 2);
    start(trampoline.pointer, handles[0], 2, 200);
    for (let i = 0; i < 100; i++) {
      give(handles[(i * 7919) % live]);
      await turn();
    }
    await joined();
    for (const handle of handles) registry.delete(handle);
    assert.equal(callU64(trampoline.pointer, handles[live - 1], 1), ON_ERROR);
    registry.close();
  },

  async 'one signature is one pointer'() {
    const { pointer } = new Registry().trampoline(ADD);
    assert.equal(new Registry().trampoline({ ...ADD }).pointer, pointer);
    assert.equal(new Registry().trampoline({ ...ADD, args: ['int32_t', 'void*'] }).pointer, pointer);
    assert.notEqual(new Registry().trampoline({ ...ADD, onError: -78 }).pointer, pointer);
    assert.notEqual(new Registry().trampoline({ ...ADD, timeoutMilliseconds: 5 }).pointer, pointer);
    assert.notEqual(new Registry().trampoline({ ...ADD, returns: 'unsigned', onError: 0 }).pointer, pointer);
  },

  // The pool has 1,024 thunks: what comes and goes must not use it up.
  async 'two thousand registries and workers'() {
    const { registry } = open();
    const { pointer } = registry.trampoline(ADD);
    for (let i = 0; i < 1940; i++) {
      const short = new Registry();
      const trampoline = short.trampoline(ADD);
      assert.equal(trampoline.pointer, pointer);
      assert.ok(trampoline.native);
      if (i % 100 === 0) {
        const bound = trampoline.bind((n) => n + i);
        assert.equal(call(bound.pointer, bound.userData, 1), i + 1);
      }
      short.close();
      if (i % 100 === 0) await turn();
    }
    const file = new URL('./trampoline-worker.mjs', import.meta.url);
    for (let i = 0; i < 60; i += 4) {
      const workers = [0, 1, 2, 3].map(() => new Worker(file, { argv: ['short'] }));
      const heard = (event) =>
        Promise.all(workers.map((worker) => new Promise((resolve) => worker.on(event, resolve))));
      const [said] = await Promise.all([heard('message'), heard('exit')]);
      for (const one of said) assert.deepEqual(one, { pointer, native: true, answer: 42 });
    }
    const bound = registry.trampoline(ADD).bind((n) => n + 7);
    assert.equal(call(bound.pointer, bound.userData, 1), 8);
    registry.close();
  },

  async 'a pool that is used up'() {
    const { registry, errors } = open();
    const early = registry.trampoline(ADD);
    let native = 0;
    let fallback;
    for (let i = 0; i < 1025; i++) {
      const trampoline = registry.trampoline({ ...ADD, onError: -1000 - i });
      if (trampoline.native) native++;
      else fallback ??= { trampoline, onError: -1000 - i };
      if (i % 200 > 0 && trampoline.native) continue;
      const bound = trampoline.bind((n) => n + i);
      assert.equal(call(bound.pointer, bound.userData, 1), i + 1);
    }
    assert.equal(native, 1023);
    assert.ok(registry.trampoline(ADD).native, 'one that was there before');
    assert.equal(registry.trampoline(ADD).pointer, early.pointer);
    const { trampoline, onError } = fallback;
    assert.equal(registry.trampoline({ ...ADD, onError }).pointer, trampoline.pointer);
    // The same behaviour.
    const bound = trampoline.bind((n) => {
      if (n < 0) throw new RangeError(`closure ${n}`);
      return n + 1;
    });
    assert.equal(call(bound.pointer, bound.userData, 1), 2);
    start(bound.pointer, bound.userData, 2, 50);
    await joined();
    assert.deepEqual([count(ANSWERED), count(REFUSED), count(WRONG)], [100, 0, 0]);
    registry.on('error', () => {});
    assert.equal(call(bound.pointer, bound.userData, -5), onError);
    const [thrown] = await told(errors);
    assert.equal(thrown.error.message, 'closure -5');
    assert.equal(thrown.handle, bound.userData);
    assert.throws(() => registry.invoke(call, bound.pointer, bound.userData, -6), /closure -6/);
    // Where `invoke` made the call, all closures run.
    let calls = 0;
    const thrower = trampoline.bind((n) => {
      calls++;
      if (n === 5) throw new Error('five');
      return 0;
    });
    assert.throws(() => registry.invoke(sum, thrower.pointer, thrower.userData, 100), /five/);
    assert.equal(calls, 100);
    thrower.unbind();
    // With onError 0, which is what koffi gives C then, it is thrown at the call.
    const zero = registry.trampoline({ ...ADD, args: ['int', 'void *'], onError: 0, timeoutMilliseconds: 7 });
    assert.equal(zero.native, false);
    const throwing = zero.bind((n) => {
      if (n === 5) throw new Error('five');
      return n;
    });
    assert.throws(() => sum(throwing.pointer, throwing.userData, 100), /five/);
    assert.equal(call(throwing.pointer, throwing.userData, 1), 1);
    throwing.unbind();
    await turn();
    assert.deepEqual(errors, []);
    const other = registry.trampoline({ ...ADD, args: ['long', 'uint64_t'] }).bind(() => 1);
    for (const [userData, code] of [
      [0, 'HAFT_E_FORGED'],
      [12345, 'HAFT_E_FORGED'],
      [2n ** 64n - 1n, 'HAFT_E_FORGED'],
      [other.userData, 'HAFT_E_KIND'],
      [BigInt(bound.userData) + (1n << 53n), 'HAFT_E_FORGED'],
    ]) {
      assert.equal(callU64(bound.pointer, userData, 1), onError, String(userData));
      const [{ error, op }] = await told(errors);
      assert.deepEqual([error.code, op], [code, 'call']);
    }
    destroyElsewhere(registry.destroyNotify, bound.userData);
    await until(() => !registry.has(bound.userData));
    assert.equal(call(bound.pointer, bound.userData, 1), onError);
    assert.equal((await told(errors))[0].error.code, 'HAFT_E_STALE');
    registry.close();
    assert.equal(call(bound.pointer, bound.userData, 1), onError);
  },

  async 'posts: order, a full mailbox, and what becomes of errors'() {
    const { registry, errors } = open();
    const post = { ...ADD, mode: 'post', onPosted: 55 };
    const trampoline = registry.trampoline(post);
    const got = [];
    const bound = trampoline.bind((n) => {
      got.push(n);
      if (n === 3) throw new Error('three');
      if (n === 4) return Promise.reject(new Error('four'));
      return 'dropped, of whatever type';
    });
    for (let i = 0; i < 6; i++) assert.equal(call(bound.pointer, bound.userData, i), 55);
    assert.deepEqual(got, []);
    const [three, four] = await told(errors, 2);
    assert.deepEqual([three.error.message, four.error.message], ['three', 'four']);
    assert.equal(three.handle, bound.userData);
    assert.deepEqual(got, [0, 1, 2, 3, 4, 5]);
    // C is told onError when there is no room: at once, as timeoutMilliseconds is 0.
    got.length = 0;
    let sent = 0;
    while (call(bound.pointer, bound.userData, 100 + sent) === 55) sent++;
    assert.equal(sent, 1024);
    await until(() => got.length === sent);
    assert.deepEqual(
      got,
      Array.from({ length: sent }, (_, i) => 100 + i),
    );
    assert.equal((await told(errors))[0].error.code, 'HAFT_E_FULL');
    // From another thread, which waits for room.
    const patient = registry.trampoline({ ...post, timeoutMilliseconds: -1 });
    got.length = 0;
    const slow = patient.bind((n) => void got.push(n));
    start(slow.pointer, slow.userData, 1, 5000);
    await until(() => got.length === 5000);
    await joined();
    assert.equal(count(WRONG), 5000 - count(ANSWERED) - count(REFUSED)); // C was told 55
    assert.ok(got.every((n, i) => n === i));
    // What waits when it is unbound does not run.
    got.length = 0;
    call(bound.pointer, bound.userData, 1);
    bound.unbind();
    await turn();
    assert.deepEqual(got, []);
    const [gone] = await told(errors);
    assert.equal(gone.error.code, 'HAFT_E_STALE');
    registry.close();
  },

  async 'a call that takes too long'() {
    const { registry, errors } = open();
    const trampoline = registry.trampoline({ ...ADD, timeoutMilliseconds: 20 });
    let settle;
    const bound = trampoline.bind(
      () =>
        new Promise((resolve) => {
          settle = resolve;
        }),
    );
    start(bound.pointer, bound.userData, 1, 1);
    await joined();
    assert.equal(count(REFUSED), 1);
    settle(1);
    const [{ error, handle }] = await told(errors);
    assert.equal(error.code, 'HAFT_E_TIMEOUT');
    assert.doesNotMatch(error.message, /could be reached by/); // which is no fault of the user data
    assert.equal(handle, bound.userData);
    registry.close();
  },

  async 'a promise: awaited from another thread'() {
    const { registry, errors } = open();
    const trampoline = registry.trampoline(ADD);
    const bound = trampoline.bind(async (n) => {
      await turn();
      return n + 1;
    });
    start(bound.pointer, bound.userData, 3, 5);
    await joined();
    assert.deepEqual([count(ANSWERED), count(REFUSED), count(WRONG)], [15, 0, 0]);
    bound.unbind();
    const wrong = trampoline.bind(async () => 'text');
    start(wrong.pointer, wrong.userData, 1, 1);
    await joined();
    assert.equal(count(REFUSED), 1);
    const [{ error }] = await told(errors);
    assert.equal(error.code, 'HAFT_E_RESULT');
    const rejecting = trampoline.bind(async () => {
      throw new RangeError('rejected');
    });
    start(rejecting.pointer, rejecting.userData, 1, 1);
    await joined();
    assert.equal(count(REFUSED), 1);
    assert.equal((await told(errors))[0].error.message, 'rejected');
    registry.close();
  },

  // The event loop ends by itself: what is checked is that this program does, and when.
  async 'the event loop lives while something is bound'() {
    const { registry } = open();
    const trampoline = registry.trampoline(ADD);
    let calls = 0;
    const bound = trampoline.bind((n) => {
      if (++calls === 300) {
        bound.unbind();
        console.log('unbound');
      }
      return n + 1;
    });
    start(bound.pointer, bound.userData, 1, 300);
    leave();
  },

  async 'ref: false does not keep the event loop alive'() {
    const { registry } = open();
    registry.trampoline({ ...ADD, ref: false }).bind((n) => n);
    const never = registry.trampoline(ADD).bind((n) => n);
    never.unbind();
    console.log('bound');
    process.on('exit', (code) => console.log('exit', code));
  },

  async 'a join: what cannot be answered is not waited for for ever'() {
    const { registry } = open();
    const trampoline = registry.trampoline({ ...ADD, timeoutMilliseconds: 50 });
    const bound = trampoline.bind((n) => n + 1);
    const { callAndJoin } = await import('./callbacks.mjs');
    assert.equal(callAndJoin(bound.pointer, bound.userData), ON_ERROR);
    registry.close();
  },

  'a struct by value, through koffi': () => struct(more),
  'what cannot be': wrongOptions,
  'through an addon': throughAddon,
};

async function struct() {
  const { registry, errors } = open();
  const Point = koffi.struct('Point', { x: 'double', y: 'double' });
  const point = koffi
    .load(LIBRARY)
    .func('double cb_point(void *function, uint64_t userData, double x, double y)');
  const options = { args: [Point, 'void *'], returns: 'double', userData: 1, onError: -1 };
  const trampoline = registry.trampoline(options);
  assert.equal(trampoline.native, false);
  assert.equal(registry.trampoline({ ...options }).pointer, trampoline.pointer);
  assert.equal(new Registry().trampoline(options).pointer, trampoline.pointer);
  const bound = trampoline.bind(({ x, y }) => x * 10 + y);
  assert.equal(point(bound.pointer, bound.userData, 1, 2), 12);
  const { point: elsewhere } = { point: point.async };
  assert.equal(
    await new Promise((resolve, reject) =>
      elsewhere(bound.pointer, bound.userData, 3, 4, (error, got) => (error ? reject(error) : resolve(got))),
    ),
    34,
  );
  for (const [userData, code] of [
    [0, 'HAFT_E_FORGED'],
    [registry.create({}), 'HAFT_E_KIND'],
    [BigInt(bound.userData) + 2n ** 53n, 'HAFT_E_FORGED'],
  ]) {
    assert.equal(point(bound.pointer, userData, 1, 2), -1);
    for (const { error } of await told(errors)) assert.equal(error.code, code);
  }
  // Released by C: stale at once, though JavaScript has not dropped it yet.
  let ran = 0;
  const released = trampoline.bind(() => ++ran);
  koffi.call(registry.destroyNotify, koffi.proto('void cb_destroy_notify(uintptr_t)'), released.userData);
  assert.equal(point(released.pointer, released.userData, 1, 2), -1);
  assert.equal(ran, 0);
  assert.equal((await told(errors))[0].error.code, 'HAFT_E_STALE');
  const thrower = trampoline.bind(() => {
    throw new Error('in a struct');
  });
  assert.equal(point(thrower.pointer, thrower.userData, 1, 2), -1);
  assert.equal((await told(errors))[0].error.message, 'in a struct');
  assert.throws(() => registry.invoke(point, thrower.pointer, thrower.userData, 1, 2), /in a struct/);
  const promising = trampoline.bind(async () => 1);
  assert.equal(point(promising.pointer, promising.userData, 1, 2), -1);
  assert.equal((await told(errors))[0].error.code, 'HAFT_E_DEADLOCK');
  bound.unbind();
  const next = trampoline.bind(() => 5);
  assert.equal(point(bound.pointer, bound.userData, 1, 2), -1);
  assert.equal((await told(errors))[0].error.code, 'HAFT_E_STALE');
  assert.equal(point(next.pointer, next.userData, 1, 2), 5);
  // Two structs without a name are two types.
  const pairs = [koffi.struct({ x: 'double', y: 'double' }), koffi.struct({ x: 'double', y: 'float' })].map(
    (type) => registry.trampoline({ ...options, args: [type, 'void *'] }).pointer,
  );
  assert.notEqual(pairs[0], pairs[1]);
  // A worker's callback of koffi would crash when the worker has ended.
  const worker = new Worker(new URL('./trampoline-worker.mjs', import.meta.url), { argv: ['struct'] });
  const said = await new Promise((resolve) => worker.on('message', resolve));
  assert.deepEqual(said, { code: 'HAFT_E_BACKEND' });
  registry.close();
  assert.equal(point(next.pointer, next.userData, 1, 2), -1);
}

async function wrongOptions() {
  const registry = new Registry();
  const refused = (options, says) =>
    assert.throws(
      () => registry.trampoline(options),
      (error) => error instanceof HaftError && error.code === 'HAFT_E_ARGUMENT' && says.test(error.message),
      JSON.stringify(options, (_, x) => (typeof x === 'bigint' ? String(x) : x)),
    );
  refused({ ...ADD, args: [] }, /1 to 16/);
  refused({ ...ADD, args: Array(17).fill('void *') }, /1 to 16/);
  refused({ ...ADD, args: 'int' }, /1 to 16/);
  refused({ ...ADD, args: ['void', 'void *'] }, /void/);
  refused({ ...ADD, args: ['integer', 'void *'] }, /integer/);
  refused({ ...ADD, args: [undefined, 'void *'] }, /argument 1/);
  refused({ ...ADD, userData: 0 }, /cannot hold/);
  for (const userData of [2, -1, 0.5, '1', null, undefined, {}])
    refused({ ...ADD, userData }, /userData|position/);
  for (const through of [0n, 5, undefined, 'f'])
    refused({ ...ADD, userData: { argument: 1, through } }, /through/);
  refused({ ...ADD, returns: 'const char *', onError: null }, /nobody would free/);
  refused({ ...ADD, returns: 'integer' }, /integer|result|returns/);
  refused({ ...ADD, mode: 'send' }, /mode/);
  refused({ ...ADD, ref: 1 }, /ref/);
  refused({ ...ADD, timeoutMilliseconds: 0.5 }, /timeoutMilliseconds/);
  refused({ ...ADD, mode: 'post' }, /onPosted/);
  refused({ args: ADD.args, returns: 'int', userData: 1 }, /onError is not given/);
  for (const [returns, values] of Object.entries({
    int: [1.5, 2 ** 31, -(2 ** 31) - 1, 1n, '1', null, true, Number.NaN],
    uint8_t: [-1, 256, 0.5],
    'signed char': [128, -129],
    bool: [0, 1, null],
    uint64_t: [-1, -1n, 2n ** 64n, 0.5, 2 ** 53, '0'],
    int64_t: [2n ** 63n, -(2n ** 63n) - 1n, null, 2 ** 53],
    'void *': [-1n, 2n ** 64n, {}],
    double: [1n, '1', null],
    float: [1n, null],
  })) {
    for (const onError of values) refused({ ...ADD, returns, onError }, /onError/);
  }
  for (const closure of [undefined, null, {}, 'f', 5]) {
    assert.throws(() => registry.trampoline(ADD).bind(closure), { code: 'HAFT_E_KIND' });
  }
  registry.close();
  assert.throws(() => registry.trampoline(ADD), { code: 'HAFT_E_CLOSED' });
}

// An addon's C runs on the thread's own stack: what a closure throws cannot pass through it.
async function throughAddon() {
  const { registry, errors } = open();
  const byAddon = addon();
  const trampoline = registry.trampoline(ADD);
  const bound = trampoline.bind((n) => {
    if (n < 0) throw new RangeError(`closure ${n}`);
    return n === 0 ? 1 : byAddon(bound.pointer, bound.userData, n - 1) + 1;
  });
  assert.equal(byAddon(bound.pointer, bound.userData, 20), 21);
  assert.equal(byAddon(bound.pointer, bound.userData, -1), ON_ERROR);
  const [{ error, handle, op }] = await told(errors);
  assert.deepEqual([error.message, handle, op], ['closure -1', bound.userData, 'call']);
  assert.throws(() => registry.invoke(byAddon, bound.pointer, bound.userData, -2), /closure -2/);
  assert.deepEqual(errors, []);
  // Addon -> koffi -> addon.
  const mixed = trampoline.bind((n) =>
    (n % 2 ? byAddon : call)(mixed.pointer, n > 0 ? mixed.userData : bound.userData, n - 1),
  );
  assert.throws(() => registry.invoke(byAddon, mixed.pointer, mixed.userData, 6), /closure -2|closure -1/);
  assert.equal(byAddon(mixed.pointer, 5, 5), ON_ERROR);
  assert.equal((await told(errors))[0].error.code, 'HAFT_E_FORGED');
  registry.close();
  assert.equal(byAddon(bound.pointer, bound.userData, 1), ON_ERROR);
}

await run(cases, name);
