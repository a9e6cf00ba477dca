// A program of its own: JavaScript -> C -> JavaScript on one thread. Arguments: `koffi` or `addon`, and the case.
import assert from 'node:assert/strict';
import { kind, Registry } from 'haft';
import koffi from 'koffi';

const [way, name] = process.argv.slice(2);
const LIBRARY = 'build/Release/same_thread.so';
const [
  CALL,
  POST,
  POST_BLOCK,
  CALL_MANY,
  RETAIN,
  RELEASE,
  CHECK,
  FIND,
  CALL_BIG,
  CALL_HANDLE,
  LAST_ERROR,
  DROPPED,
  CALLS,
] = Array(13).keys();
const STALE = -2;
const KIND = -3;
const REALM = -4;
const CLOSED = -5;
const FULL = -9;
const EXCEPTION = -13;
const RESULT = -14;
const DEADLOCK = -15;
const OP = -16;
const ARGUMENT = -17;
const NOT_FOUND = -19;
const UNSUPPORTED = -21;

const registry = new Registry();
let act;
if (way === 'koffi') {
  const library = koffi.load(LIBRARY);
  assert.equal(library.func('int32_t use_api(void *api)')(registry.apiAddress), 0);
  act = library.func('double act(int32_t what, uint64_t h, uint32_t op, double n)');
  if (name !== 'without useKoffi') registry.useKoffi(koffi);
} else {
  const module = { exports: {} };
  process.dlopen(module, LIBRARY);
  assert.equal(module.exports.use(registry.api), 0);
  act = module.exports.act;
}
// The event loop looks at the doorbell between two immediates, also where a timer is long due on a busy machine.
const turn = async () => {
  await new Promise((resolve) => setTimeout(resolve, 5));
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
};

class Sample {
  log = [];
  add(n) {
    this.log.push(n);
    return this.log.length;
  }
  down(n) {
    if (n === 0) return 0;
    const under = act(CALL, this.handle, this.ops.down, n - 1);
    this.log.push(n);
    return under + 1;
  }
  fail(n) {
    throw new RangeError(`failed ${n}`);
  }
  wrong() {
    return 'text';
  }
  promise() {
    return Promise.reject(new Error('nobody hears this'));
  }
  close() {
    registry.close();
    return 1;
  }
  end(n) {
    registry.delete(this.handle);
    return n;
  }
  text(text) {
    return text;
  }
  take(handle) {
    this.log.push(registry.get(handle) === this);
  }
  deeper(n) {
    return act(CALL, this.handle, this.ops.fail, n);
  }
  overflow(n) {
    return this.overflow(n) + 1;
  }
  fall(n) {
    return act(CALL, this.handle, this.ops.fall, n);
  }
  made() {
    return registry.create(new Sample(), SampleKind);
  }
  drain() {
    registry.drain();
    return this.log.length;
  }
}
const number = { args: ['f64'], returns: 'f64' };
const SampleKind = kind(Sample, {
  add: number,
  down: number,
  fail: number,
  wrong: number,
  promise: number,
  close: number,
  end: number,
  text: { args: ['str'], returns: 'str' },
  take: { args: ['handle'] },
  deeper: number,
  overflow: number,
  fall: number,
  made: { args: ['f64'], returns: 'handle' },
  drain: number,
});

function make(of = registry) {
  const object = new Sample();
  object.handle = of.create(object, SampleKind);
  return object;
}
const sample = make();
const h = sample.handle;
// The op's number is the kind's and the position; the kind's stands in the slot, and C looks it up by name.
const library = koffi.load('build/Release/op_of.so');
library.func('int32_t use_api(void *api)')(registry.apiAddress);
const opOf = library.func('uint32_t op_of(uint64_t h, const char *name)');
const ops = Object.fromEntries(Object.keys(SampleKind.signatures).map((op) => [op, opOf(h, op)]));
Sample.prototype.ops = ops;

const cases = {
  'without useKoffi': () => {
    assert.equal(act(CALL, h, ops.add, 1), UNSUPPORTED);
    assert.equal(act(POST, h, ops.add, 1), 0);
    assert.deepEqual(sample.log, []);
  },
  call: () => {
    assert.equal(act(CALL, h, ops.add, 5), 1);
    assert.equal(act(CALL, h, ops.add, 6), 2);
    assert.deepEqual(sample.log, [5, 6]);
    assert.equal(act(CALL_MANY, h, ops.add, 7), 3 + 400 + 50000);
    assert.equal(act(CALL, h, ops.wrong, 1), RESULT);
    assert.equal(act(CALL, h, ops.text, 1), ARGUMENT);
    assert.equal(act(CALL, h, ops.made + 100, 1), OP);
    assert.equal(act(CALL_MANY, h, ops.fail, 7), EXCEPTION);
    for (const length of [0, 1, 100, 959, 960, 961, 5000, 1 << 20]) {
      assert.equal(act(CALL_BIG, h, ops.text, length), length);
    }
    assert.equal(act(FIND, 0, 0, registry.id), NOT_FOUND); // never waits here
    assert.equal(act(CALL_HANDLE, h, ops.take, h), 0);
    assert.equal(sample.log.at(-1), true);
    const before = registry.stats().live;
    assert.equal(act(DROPPED, h, ops.made, 0), 0);
    registry.drain();
    assert.equal(registry.stats().live, before);
  },
  nested: () => {
    assert.equal(act(CALL, h, ops.down, 30), 30);
    assert.deepEqual(
      sample.log,
      Array.from({ length: 30 }, (_, i) => i + 1),
    );
    assert.equal(sample.down(3), 3);
    assert.equal(act(CALL, h, ops.deeper, 1), EXCEPTION); // a status is no result, and nothing stays pending
    assert.equal(act(CALL, h, ops.add, 1) > 0, true);
  },
  exceptions: () => {
    for (let i = 0; i < 100; i++) {
      assert.equal(act(CALL, h, ops.fail, i), EXCEPTION);
      assert.equal(act(LAST_ERROR, 0, 0, 0), EXCEPTION);
    }
    assert.equal(act(CALL, h, ops.overflow, 1), EXCEPTION);
    assert.equal(act(CALL, h, ops.add, 1), 1);
  },
  'a promise': async () => {
    assert.equal(act(CALL, h, ops.promise, 1), DEADLOCK);
    await turn(); // an unhandled rejection would end this process
    assert.equal(act(CALL, h, ops.add, 1), 1);
  },
  'bad handles': () => {
    const other = new Registry();
    const foreign = make(other);
    const before = registry.stats();
    const stale = make().handle;
    registry.delete(stale);
    for (const what of [CALL, POST, POST_BLOCK, CALL_MANY]) {
      assert.equal(act(what, stale, ops.add, 1), STALE);
      assert.equal(act(what, registry.create({}), ops.add, 1), KIND);
    }
    assert.equal(act(CALL_HANDLE, h, ops.take, foreign.handle), REALM);
    assert.equal(act(CALL_HANDLE, h, ops.take, stale), STALE);
    assert.equal(registry.stats().delivered, before.delivered);
    other.close();
    assert.equal(act(CALL, foreign.handle, ops.add, 1), CLOSED);
  },
  P17: async () => {
    for (const n of [1, 2, 3]) assert.equal(act(POST, h, ops.add, n), 0);
    assert.equal(act(CALL, h, ops.add, 99), 1);
    assert.deepEqual(sample.log, [99]);
    await turn();
    assert.deepEqual(sample.log, [99, 1, 2, 3]);
  },
  'a full mailbox': async () => {
    let posted = 0;
    while (act(POST, h, ops.add, posted) === 0) posted++;
    assert.equal(act(POST, h, ops.add, -1), FULL);
    assert.equal(act(POST_BLOCK, h, ops.add, -1), DEADLOCK);
    assert.equal(act(CALL, h, ops.add, -1), 1); // a direct call needs no room
    while (sample.log.length < posted + 1) registry.drain(); // each within its budget
    assert.equal(act(POST_BLOCK, h, ops.add, -2), 0);
    while (sample.log.length < posted + 2) await turn();
    assert.deepEqual(sample.log, [-1, ...Array(posted).keys(), -2]);
  },
  'a drain inside': () => {
    for (const n of [1, 2, 3]) act(POST, h, ops.add, n);
    assert.equal(act(CALL, h, ops.drain, 0), 3);
    assert.deepEqual(sample.log, [1, 2, 3]);
  },
  // The handler leaves a batch behind whose object has lost its last reference, and which calls back when it is delivered.
  'a batch behind it': async () => {
    class Log {
      batches = [];
      add(batch) {
        this.batches.push(batch.flat());
        assert.equal(act(CALL, h, ops.add, 777), 1);
      }
    }
    const log = new Log();
    const LogKind = kind(
      Log,
      { add: { args: ['f64'] } },
      { batch: { max: 100, withinMilliseconds: 60_000 } },
    );
    sample.down = () => {
      const handle = registry.create(log, LogKind);
      act(POST, handle, opOf(handle, 'add'), 5);
      act(RELEASE, handle, 0, 0);
      registry.drain();
      return 42;
    };
    assert.equal(act(CALL, h, ops.down, 0), 42);
    while (log.batches.length === 0) await turn();
    assert.deepEqual(log.batches, [[5]]);
  },
  'a full stack': () => {
    assert.equal(act(CALL, h, ops.fall, 0), EXCEPTION);
    const { sent, delivered, refused } = registry.stats();
    assert.equal(sent, act(CALLS, 0, 0, 0));
    assert.equal(delivered + refused, sent);
    assert.equal(act(CALL, h, ops.add, 1), 1);
  },
  'P22: closed by its handler': async () => {
    const spare = make();
    act(POST, spare.handle, ops.add, 1);
    assert.equal(act(CALL, h, ops.close, 1), CLOSED);
    assert.equal(act(CALL, h, ops.add, 1), CLOSED);
    assert.equal(act(RETAIN, h, 0, 0), CLOSED);
    assert.equal(act(RELEASE, spare.handle, 0, 0), CLOSED);
    assert.equal(act(FIND, 0, 0, registry.id), CLOSED);
    await turn();
    assert.deepEqual(spare.log, []);
    const next = new Registry();
    if (way === 'koffi') next.useKoffi(koffi);
    const again = make(next);
    assert.equal(act(CALL, again.handle, ops.add, 1), 1);
    next.close();
  },
  'P22: closed by a handler of the drain': async () => {
    const spare = make();
    act(POST, h, ops.close, 1);
    act(POST, h, ops.add, 2);
    act(POST, spare.handle, ops.add, 3);
    await turn();
    assert.throws(() => registry.get(h), { code: 'HAFT_E_CLOSED' });
    assert.deepEqual(
      [...sample.log, ...spare.log].filter((n) => n === 2),
      [],
    );
    assert.equal(act(CALL, h, ops.add, 1), CLOSED);
  },
  'P22: closed by a handler of a drain inside a call': () => {
    act(POST, h, ops.close, 1);
    assert.equal(act(CALL, make().handle, ops.drain, 0), CLOSED);
  },
  'deleted in its own handler': async () => {
    assert.equal(act(CALL, h, ops.end, 42), 42);
    assert.equal(act(CALL, h, ops.end, 43), STALE);
    const posted = make();
    for (let i = 0; i < 5; i++) act(POST, posted.handle, ops.end, i);
    await turn();
    assert.equal(registry.has(posted.handle), false);
    assert.equal(registry.stats().gone, 4);
    const nested = make();
    nested.down = function () {
      assert.equal(act(CALL, this.handle, ops.end, 7), 7);
      assert.equal(act(CALL, this.handle, ops.add, 7), STALE);
      return 8;
    };
    assert.equal(act(CALL, nested.handle, ops.down, 1), 8);
  },
  references: async () => {
    const object = make();
    assert.equal(act(RETAIN, object.handle, 0, 0), 0);
    registry.release(object.handle);
    assert.equal(registry.has(object.handle), true);
    act(POST, object.handle, ops.add, 5);
    assert.equal(act(RELEASE, object.handle, 0, 0), 0);
    assert.equal(act(CHECK, object.handle, 0, 0), STALE);
    assert.equal(act(RELEASE, object.handle, 0, 0), STALE);
    assert.equal(act(CALL, object.handle, ops.add, 6), STALE);
    await turn();
    assert.deepEqual(object.log, [5]); // P5
    assert.equal(registry.has(object.handle), false);
    assert.equal(registry.stats().live, 1);
  },
};

await cases[name]();
registry.close();
