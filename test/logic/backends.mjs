// A program of its own: what a registry does on the backend that HAFT_BACKEND names. The argument is the case.
import assert from 'node:assert/strict';
import { EVENT, HaftError, kind, Registry } from 'haft';
import koffi from 'koffi';

const name = process.argv[2];
const onKoffi = process.env.HAFT_BACKEND === 'koffi';
const statusOf = (code) => new HaftError(code).status;
const BACKEND = statusOf('HAFT_E_BACKEND');
const LONG = 20_000;

// `koffi first`: koffi was used before the registry opened.
if (process.argv[3] === 'koffi first') koffi.register(() => {}, koffi.pointer(koffi.proto('void()')));
const registry = new Registry();
const messages = koffi.load('build/Release/messages.so');
const host = koffi.load('build/Release/backends.so');
for (const library of [messages, host]) {
  assert.equal(library.func('int32_t use_api(void *api)')(registry.apiAddress), 0);
}
registry.useKoffi(koffi);
const post = messages.func('int32_t post_number(uint64_t h, uint32_t op, double n)');
const call = messages.func('int32_t call_number(uint64_t h, uint32_t op, double n, _Out_ double *result)');
const beginCall = messages.func(
  'int32_t begin_call(uint64_t h, uint32_t op, double n, int32_t milliseconds)',
);
const callStatus = messages.func('int32_t call_status(int32_t call)');
const callResult = messages.func('double call_result(int32_t call)');
const check = messages.func('int32_t check(uint64_t h)');
const beginPosts = host.func('int32_t begin_posts(uint64_t h, uint32_t op, int32_t count)');
const beginFind = host.func('int32_t begin_find(uint64_t realm, str name, double milliseconds)');
const beginWait = host.func('int32_t begin_wait(uint64_t realm, uint32_t events, double milliseconds)');
const beginNext = host.func('int32_t begin_next()');
const beginAsync = host.func('int32_t begin_async(uint64_t h, uint32_t op, double n)');
const beginStorm = host.func('int32_t begin_storm(uint64_t h, uint32_t op, int32_t threads)');
const threadStatus = host.func('int32_t status_of(int32_t thread)');
const stormCalls = host.func('int32_t storm_calls()');
const stormThreads = host.func('int32_t storm_threads()');
const serve = host.func('int32_t serve(uint64_t realm, double milliseconds)');
const checkWide = host.func('int32_t check_wide(uint64_t low, uint32_t shift)');
const asyncResult = host.func('double async_result()');

const turn = () => new Promise((resolve) => setTimeout(resolve, 1));
const until = async (holds) => {
  while (!holds()) await turn();
};
const ended = async (thread) => {
  await until(() => threadStatus(thread) !== 1);
  return threadStatus(thread);
};
const callFromThread = async (op, n, milliseconds = LONG) => {
  const number = beginCall(h, op, n, milliseconds);
  await until(() => callStatus(number) !== 1);
  return [callStatus(number), callResult(number)];
};
const callHere = (op, n) => {
  const result = [0];
  return [call(h, op, n, result), result[0]];
};

class Sample {
  log = [];
  double(n) {
    return n * 2;
  }
  note(n) {
    this.log.push(n);
  }
  fail(n) {
    throw new RangeError(`failed ${n}`);
  }
  async later(n) {
    await turn();
    return n + 1;
  }
  nested(n) {
    return n === 0 ? 0 : callHere(ops.nested, n - 1)[1] + 1;
  }
  nestedPromise(n) {
    return callHere(ops.later, n)[0];
  }
}
const number = { args: ['f64'], returns: 'f64' };
const signatures = {
  double: number,
  note: { args: ['f64'] },
  fail: number,
  later: number,
  nested: number,
  nestedPromise: number,
};
const SampleKind = kind(Sample, signatures);
const sample = new Sample();
const h = registry.create(sample, SampleKind);
const ops = Object.fromEntries(
  Object.keys(signatures).map((op, position) => [op, SampleKind.number * 0x10000 + position]),
);

const cases = {
  async statuses() {
    assert.equal(registry.backend, process.env.HAFT_BACKEND);
    assert.deepEqual(callHere(ops.double, 4), [0, 8]);
    assert.deepEqual(callHere(ops.fail, 4), [statusOf('HAFT_E_EXCEPTION'), 0]);
    assert.deepEqual(callHere(ops.later, 4), [statusOf('HAFT_E_DEADLOCK'), 0]);
    assert.deepEqual(callHere(ops.nestedPromise + 1, 4), [statusOf('HAFT_E_OP'), 0]);
    assert.deepEqual(callHere(ops.nested, 5), [0, 5]);
    assert.equal(check(h), 0);
    assert.equal(post(h, ops.note, 1), 0);
    assert.deepEqual(sample.log, []);
    await until(() => sample.log.length === 1);
    assert.deepEqual(await callFromThread(ops.double, 5), [0, 10]);
    assert.deepEqual(await callFromThread(ops.fail, 5), [statusOf('HAFT_E_EXCEPTION'), 0]);
    assert.deepEqual(await callFromThread(ops.nested, 5), [0, 5]);
    assert.deepEqual(await callFromThread(ops.nestedPromise, 5), [0, statusOf('HAFT_E_DEADLOCK')]);
    registry.delete(h);
    assert.deepEqual(callHere(ops.double, 4), [statusOf('HAFT_E_STALE'), 0]);
    const { sent, delivered, refused, expired, dropped } = registry.stats();
    assert.equal(sent, delivered + refused + expired + dropped);
  },

  async 'wide integers'() {
    const FORGED = statusOf('HAFT_E_FORGED');
    for (const value of [0, 1, -1, 2 ** 53, 2n ** 63n, 2n ** 64n - 1n, -(2n ** 63n)])
      assert.equal(check(value), FORGED);
    for (const bit of [53, 54, 62, 63]) assert.equal(checkWide(h, bit), FORGED, `bit ${bit}`);
    assert.equal(check(h), 0);
    assert.equal(check(BigInt(h)), 0);
    // koffi cuts it before C has it: nobody can see that.
    assert.equal(check(2n ** 64n + BigInt(h)), 0);
  },

  // Another callback of koffi's, which another thread began: C that it calls is on JavaScript's thread.
  async 'inside another callback'() {
    const memory = koffi.alloc('uint8_t', 2);
    const statuses = [];
    const compare = koffi.register(
      () => {
        statuses.push(callHere(ops.later, 1)[0], callHere(ops.double, 1)[0]);
        return 0;
      },
      koffi.pointer(koffi.proto('int(void *, void *)')),
    );
    const sort = koffi.load(null).func('void qsort(void *at, size_t count, size_t size, void *compare)');
    await new Promise((resolve) => sort.async(memory, 2, 1, compare, resolve));
    assert.deepEqual(statuses, [statusOf('HAFT_E_DEADLOCK'), 0]);
  },

  async 'posts of a thread'() {
    const thread = beginPosts(h, ops.note, 5000);
    assert.equal(await ended(thread), 0);
    await until(() => sample.log.length === 5000);
    assert.deepEqual(
      sample.log,
      Array.from({ length: 5000 }, (_, i) => i + 1),
    );
    const { sent, delivered } = registry.stats();
    assert.deepEqual([sent, delivered], [5000, 5000]);
  },

  async 'a call behind posts'() {
    for (let n = 1; n <= 10; n++) assert.equal(post(h, ops.note, n), 0);
    let seen = 0;
    sample.double = () => {
      seen = sample.log.length;
      return 0;
    };
    await callFromThread(ops.double, 1);
    assert.equal(seen, 10);
  },

  async waits() {
    assert.deepEqual(await callFromThread(ops.later, 5), onKoffi ? [BACKEND, 0] : [0, 6]);
    const thread = beginAsync(h, ops.later, 7);
    assert.equal(await ended(thread), 0);
    assert.equal(asyncResult(), 8);
    registry.publish('here', h);
    assert.equal(await ended(beginFind(registry.id, 'here', LONG)), 0);
    assert.equal(await ended(beginFind(registry.id, 'nobody', 0)), statusOf('HAFT_E_NOT_FOUND'));
    assert.equal(
      await ended(beginFind(registry.id, 'nobody', 20)),
      onKoffi ? BACKEND : statusOf('HAFT_E_NOT_FOUND'),
    );
    assert.equal(await ended(beginWait(registry.id, EVENT.empty, LONG)), 0);
    assert.equal(await ended(beginWait(registry.id, EVENT.full, 0)), statusOf('HAFT_E_TIMEOUT'));
    assert.equal(
      await ended(beginWait(registry.id, EVENT.full, 20)),
      onKoffi ? BACKEND : statusOf('HAFT_E_TIMEOUT'),
    );
    assert.equal(await ended(beginNext()), onKoffi ? BACKEND : statusOf('HAFT_E_TIMEOUT'));
    assert.equal(serve(registry.id, 0), statusOf('HAFT_E_TIMEOUT'));
    assert.equal(serve(registry.id, 10), onKoffi ? BACKEND : statusOf('HAFT_E_TIMEOUT'));
    assert.equal(post(h, ops.note, 1), 0);
    assert.equal(serve(registry.id, LONG), 0);
    assert.equal(sample.log.length, 1);
    const { sent, delivered, refused, expired } = registry.stats();
    assert.equal(sent, delivered + refused + expired);
  },

  async move() {
    const text = {
      serialize: (o) => JSON.stringify(o.log),
      deserialize: (s) => Object.assign(new Sample(), { log: JSON.parse(s) }),
    };
    const MovableKind = kind(Sample, { note: { args: ['f64'] } }, { name: 'Movable', ...text });
    const other = new Registry();
    other.accept(MovableKind);
    const object = new Sample();
    object.log.push(3);
    const old = registry.create(object, MovableKind);
    const now = await registry.moveTo(old, other.id);
    assert.deepEqual(other.get(now).log, [3]);
    assert.equal(check(old), statusOf('HAFT_E_MOVED'));
    assert.equal(check(now), 0);
    assert.equal(registry.moved(old), now);
    other.close();
  },

  async 'a table for C alone'() {
    if (onKoffi) assert.throws(() => registry.api, { code: 'HAFT_E_BACKEND' });
    else assert.ok(registry.api);
    const at = registry.apiAddress;
    console.log(
      [koffi.decode(at, 'uint32_t'), koffi.decode(at, 4, 'uint16_t'), koffi.decode(at, 6, 'uint16_t')].join(
        ' ',
      ),
    );
  },

  async close() {
    const CALLERS = 300; // koffi has places for 256, unless it is asked for more
    const first = beginStorm(h, ops.double, CALLERS);
    await until(() => stormCalls() > 2 * CALLERS);
    registry.close();
    for (let i = 0; i < CALLERS; i++) assert.equal(await ended(first + i), statusOf('HAFT_E_CLOSED'));
    assert.equal(stormThreads(), 0);
    const { sent, delivered, refused, expired, dropped } = registry.stats();
    assert.equal(sent, delivered + refused + expired + dropped);
  },

  async 'a natural end'() {
    beginStorm(h, ops.double, 16);
    process.on('exit', () => console.log('before'));
    await until(() => stormCalls() > 200);
    process.on('exit', () => console.log('behind'));
  },
  async 'process.exit'() {
    beginStorm(h, ops.double, 16);
    process.on('exit', () => console.log('heard'));
    await until(() => stormCalls() > 200);
    process.exit(5);
  },
  async 'process.exit without listeners'() {
    beginStorm(h, ops.double, 16);
    process.removeAllListeners('exit');
    await until(() => stormCalls() > 200);
    process.exit(6);
  },
  async 'an exception'() {
    beginStorm(h, ops.double, 16);
    await until(() => stormCalls() > 200);
    throw new RangeError('nobody catches this');
  },
};
await cases[name]();
