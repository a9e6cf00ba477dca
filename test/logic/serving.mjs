// A program of its own: C on JavaScript's own thread waits for threads that call JavaScript. Arguments: `koffi` or
// `addon`, and the case. What the numbers of `act` do is in hosts/serving.c.
import assert from 'node:assert/strict';
import { EVENT, kind, Registry } from 'haft';
import koffi from 'koffi';

const [way, name] = process.argv.slice(2);
const LIBRARY = 'build/Release/serving.so';
const [
  SERVE,
  JOIN,
  SERVE_UNTIL_SIGNAL,
  ON_OTHER_THREAD,
  BLOCKING,
  LEAVE_BLOCKED,
  STOP,
  WAIT_HERE,
  START_CALL,
  CALL_ENDED,
  SIGNAL,
  USE_REALM,
  CALL,
  POST,
  QUEUE_CALL,
  QUEUE_NEXT,
] = Array(16).keys();
const [OK, REALM, CLOSED, TIMEOUT, DEADLOCK, UNSUPPORTED] = [0, -4, -5, -12, -15, -21];
/** What another thread does, for ON_OTHER_THREAD and LEAVE_BLOCKED. */
const [SERVE_THERE, BLOCKING_THERE, CALL_THERE, WAIT_THERE, FILL_THERE, CALL_MANY_THERE] = Array(6).keys();

const registry = new Registry();
let act;
if (way === 'koffi') {
  const library = koffi.load(LIBRARY);
  assert.equal(library.func('int32_t use_api(void *api)')(registry.apiAddress), OK);
  act = library.func('double act(int32_t what, uint64_t h, uint32_t op, double n)');
  if (name !== 'without useKoffi') registry.useKoffi(koffi);
} else {
  const module = { exports: {} };
  process.dlopen(module, LIBRARY);
  assert.equal(module.exports.use(registry.api), OK);
  act = module.exports.act;
}
act(USE_REALM, 0, 0, registry.id);
const ops = koffi.load('build/Release/op_of.so');
ops.func('int32_t use_api(void *api)')(registry.apiAddress);
const opOf = ops.func('uint32_t op_of(uint64_t h, const char *name)');

class Sample {
  total = 0;
  add(n) {
    this.total += n;
    return this.total;
  }
  async later(n) {
    await undefined;
    return n;
  }
  serve() {
    return act(SERVE, 0, 0, 1);
  }
  join() {
    return act(JOIN, handle, opOf(handle, 'add'), 2);
  }
  close() {
    registry.close();
    return 1;
  }
}
const number = { args: ['f64'], returns: 'f64' };
const SampleKind = kind(Sample, { add: number, later: number, serve: number, join: number, close: number });
const sample = new Sample();
const handle = registry.create(sample, SampleKind);
const op = (of) => opOf(handle, of);
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const callEnds = async () => {
  let status = act(CALL_ENDED, 0, 0, 0);
  for (let i = 0; i < 5000 && status === 1; i++) {
    await pause(2);
    status = act(CALL_ENDED, 0, 0, 0);
  }
  return status;
};

const cases = {
  'joins threads': async () => {
    let fired = 0;
    setTimeout(() => fired++, 0);
    for (const threads of [1, 2, 8]) {
      sample.total = 0;
      assert.equal(act(JOIN, handle, op('add'), threads), 50 * threads);
      assert.equal(sample.total, 50 * threads);
    }
    assert.equal(fired, 0); // messages only: JavaScript's turn has not ended
    await pause(1);
    assert.equal(fired, 1);
  },
  'serves what waits': () => {
    for (let i = 0; i < 5; i++) assert.equal(act(POST, handle, op('add'), 0), OK);
    assert.equal(act(SERVE, 0, 0, -1), OK);
    assert.equal(sample.total, 5);
    assert.equal(act(SERVE, 0, 0, 0), TIMEOUT);
    assert.equal(act(POST, handle, op('add'), 0), OK);
    assert.equal(act(SERVE, 0, 0, 0), OK);
    assert.equal(sample.total, 6);
  },
  'times out': () => {
    for (const milliseconds of [0, 1, 30]) assert.equal(act(SERVE, 0, 0, milliseconds), TIMEOUT);
  },
  'is ended by a signal': async () => {
    assert.equal(act(SERVE_UNTIL_SIGNAL, 0, 0, 0), OK);
    const heard = registry.wait(EVENT.user(2));
    assert.equal(act(SERVE_UNTIL_SIGNAL, 0, 0, 0), OK);
    assert.equal(await heard, EVENT.user(2));
  },
  'is for the own thread': () => {
    assert.equal(act(ON_OTHER_THREAD, handle, op('add'), SERVE_THERE), TIMEOUT); // it is for functions of the host there
    assert.equal(act(ON_OTHER_THREAD, handle, op('add'), BLOCKING_THERE), REALM);
    const second = new Registry(); // of the same thread
    if (way === 'koffi') second.useKoffi(koffi);
    const other = new Sample();
    const there = second.create(other, SampleKind);
    act(USE_REALM, 0, 0, second.id);
    assert.equal(act(POST, there, op('add'), 0), OK);
    assert.equal(act(POST, handle, op('add'), 0), OK);
    assert.equal(act(SERVE, 0, 0, 20), OK);
    assert.deepEqual([other.total, sample.total], [1, 0]); // the realm that was named, and no other
    second.close();
    assert.equal(act(SERVE, 0, 0, -1), CLOSED);
    assert.equal(act(BLOCKING, 0, 0, 1), CLOSED);
    for (const id of [0, 1, registry.id + 1, 2 ** 52]) {
      act(USE_REALM, 0, 0, id);
      assert.equal(act(SERVE, 0, 0, -1), CLOSED);
      assert.equal(act(BLOCKING, 0, 0, 1), CLOSED);
    }
  },
  'inside a handler': () => {
    for (let depth = 0; depth < 3; depth++) assert.equal(act(POST, handle, op('add'), 0), OK);
    assert.equal(act(CALL, handle, op('serve'), 0), OK);
    assert.equal(sample.total, 3);
    // A handler that joins threads, in a handler that a serve runs.
    assert.equal(act(POST, handle, op('join'), 0), OK);
    assert.equal(act(POST, handle, op('serve'), 0), OK);
    assert.equal(act(SERVE, 0, 0, -1), OK);
    assert.equal(sample.total, 103);
  },
  'promises are answered later': async () => {
    assert.equal(act(START_CALL, handle, op('later'), 20_000), 0);
    assert.equal(act(SERVE, 0, 0, 20_000), OK);
    assert.equal(act(SERVE, 0, 0, 5), TIMEOUT);
    assert.equal(act(CALL_ENDED, 0, 0, 0), 1);
    assert.equal(await callEnds(), OK);
  },
  'ends when a handler closes': () => {
    assert.equal(act(POST, handle, op('close'), 0), OK);
    assert.equal(act(SERVE, 0, 0, -1), CLOSED);
    assert.equal(act(SERVE, 0, 0, -1), CLOSED);
  },
  'without useKoffi': () => {
    assert.equal(act(POST, handle, op('add'), 0), OK);
    assert.equal(act(SERVE, 0, 0, -1), UNSUPPORTED);
    assert.equal(sample.total, 0);
    // What runs no JavaScript needs none.
    assert.equal(act(STOP, handle, op('add'), 0), DEADLOCK);
    assert.equal(act(WAIT_HERE, 0, 0, EVENT.drained), DEADLOCK);
    assert.equal(act(SIGNAL, 0, 0, EVENT.user(0)), OK);
    registry.drain();
    registry.useKoffi(koffi);
    assert.equal(act(JOIN, handle, op('add'), 2), 100);
  },
  'a library that joins': async () => {
    assert.equal(act(STOP, handle, op('add'), 0), DEADLOCK); // the call came when it had been said,
    assert.equal(act(STOP, handle, op('add'), 1), DEADLOCK); // or before
    assert.equal(sample.total, 0); // P15: neither ran
    await pause(5);
    assert.equal(sample.total, 0);
    assert.equal(act(LEAVE_BLOCKED, handle, op('add'), CALL_THERE), DEADLOCK);
    assert.equal(act(ON_OTHER_THREAD, handle, op('add'), CALL_MANY_THERE), DEADLOCK);
    assert.equal(act(ON_OTHER_THREAD, handle, op('add'), FILL_THERE), DEADLOCK);
    assert.equal(act(ON_OTHER_THREAD, handle, op('add'), WAIT_THERE), TIMEOUT); // no wait for an answer of ours
    assert.equal(act(BLOCKING, 0, 0, 0), OK);
    await pause(20);
    assert.equal(act(JOIN, handle, op('add'), 2), 100); // as before
  },
  'a queue of its own answers': async () => {
    for (const end of [() => act(SERVE, 0, 0, -1), () => pause(1)]) {
      for (let i = 0; i < 2; i++) assert.equal(act(QUEUE_CALL, handle, op('add'), 0), OK);
      for (const milliseconds of [-1, 20_000]) assert.equal(act(QUEUE_NEXT, 0, 0, milliseconds), DEADLOCK);
      const before = sample.total;
      while (sample.total < before + 2) await end();
      for (let i = 0; i < 2; i++) assert.equal(act(QUEUE_NEXT, 0, 0, -1), OK);
    }
    // Nothing is under way that it could be refused for.
    assert.equal(act(QUEUE_NEXT, 0, 0, 5), TIMEOUT);
  },
  'waits on the own thread': () => {
    for (const event of [EVENT.drained, EVENT.reclaimed, EVENT.collected, EVENT.full, EVENT.user(0)]) {
      assert.equal(act(WAIT_HERE, 0, 0, event), DEADLOCK);
    }
    assert.equal(act(WAIT_HERE, 0, 0, EVENT.empty | EVENT.drained), EVENT.empty); // it holds
    assert.equal(act(POST, handle, op('add'), 0), OK);
    assert.equal(act(WAIT_HERE, 0, 0, EVENT.empty), DEADLOCK);
    while (act(POST, handle, op('add'), 0) === OK);
    assert.equal(act(WAIT_HERE, 0, 0, EVENT.full), EVENT.full);
    registry.close();
    assert.equal(act(WAIT_HERE, 0, 0, EVENT.full), CLOSED);
    assert.equal(act(WAIT_HERE, 0, 0, EVENT.closing), EVENT.closing);
  },
};

await cases[name]();
registry.close();
