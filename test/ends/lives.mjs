// Programs of test/ends.test.ts: native threads whose lives do not fit the realm's. `node test/ends/lives.mjs CASE`.
import assert from 'node:assert/strict';
import { Registry } from 'haft';
import koffi from 'koffi';
import * as threads from './threads.mjs';
import { CLOSED, Counter, CounterKind, FULL, RUNNING, TIMEOUT } from './threads.mjs';
import { pause, until } from './wait.mjs';

const DEADLOCK = -15;
const PRODUCERS = 40;

/** A realm with one object, ready for the threads. */
function open() {
  const registry = new Registry();
  assert.equal(threads.useApi(registry.apiAddress), 0);
  const counter = new Counter();
  const handle = registry.create(counter, CounterKind);
  return { registry, counter, handle };
}

/** So many threads that are blocked: the mailbox is full, and no handler runs before this turn of the loop ends. */
function blockProducers(handle) {
  assert.equal(threads.fill(handle, 'post'), FULL);
  for (let i = 0; i < PRODUCERS; i++) {
    assert.equal(threads.startThread(i), 0);
    assert(threads.postForEver(i, handle, 'post'));
  }
}
const producers = () => Array.from({ length: PRODUCERS }, (_, i) => threads.statusOf(i));
const producersEnd = () =>
  until(
    () => producers().every((status) => status === CLOSED),
    () => `all are HAFT_E_CLOSED: ${producers()}`,
  );

const cases = {
  async 'a thread older than the realm'() {
    threads.startThread(0); // before there is an addon
    await pause(5);
    const ended = [];
    for (let round = 0; round < 20; round++) {
      const { registry, handle } = open();
      assert(threads.callForEver(0, handle, 'add'));
      await until(() => threads.doneBy(0) > 20, 'it calls');
      for (const old of ended) assert.notEqual(threads.checkHandle(old), 0);
      registry.close();
      await until(() => threads.statusOf(0) !== RUNNING, 'it hears of the end');
      assert.equal(threads.statusOf(0), CLOSED);
      ended.push(handle);
    }
    threads.stopThread(0); // after the last realm
    for (const old of ended) assert.notEqual(threads.checkHandle(old), 0);
  },

  // JavaScript's thread waits in C for a thread that wants an answer and then room: it is told in its time.
  'a join'() {
    const { registry, counter, handle } = open();
    const full = registry.create(new Counter(), CounterKind);
    threads.fill(full, 'post');
    for (let i = 0; i < 3; i++) {
      const statuses = threads.joinOneWhoWants(full, 'add', 30);
      const [called, posted] = [Math.trunc(statuses / 100), statuses % 100];
      assert([TIMEOUT, DEADLOCK].includes(called), `the call is ${called}`);
      assert([FULL, DEADLOCK].includes(posted), `the post is ${posted}`);
      assert.equal(threads.joinOneWhoWants(handle, 'add', 1), TIMEOUT * 100); // room enough
    }
    registry.drain();
    assert.equal(counter.total, 3); // the posts; no handler runs whose caller has gone
  },

  async 'blocked producers at close'() {
    const { registry, handle } = open();
    blockProducers(handle);
    registry.close();
    await producersEnd();
  },
  async 'blocked producers at close, later'() {
    const { registry, handle } = open();
    blockProducers(handle);
    setTimeout(() => registry.close(), 5); // behind drains that let some of them go on
    await producersEnd();
  },
  async 'blocked producers at close in a handler'() {
    const { registry, counter, handle } = open();
    counter.act = () => registry.close();
    blockProducers(handle);
    await producersEnd();
    assert.equal(counter.total, 1);
  },
  async 'blocked producers at process.exit'() {
    const { handle } = open();
    blockProducers(handle);
    process.on('exit', () => {
      // Behind haft's own listener, which has closed the realm; the event loop is gone.
      const end = Date.now() + 20_000;
      while (!producers().every((status) => status === CLOSED)) {
        if (Date.now() > end) process.exitCode = 70;
        if (Date.now() > end) break;
      }
    });
    process.exit(5);
  },

  async 'a forked child'() {
    const { registry, counter, handle } = open();
    for (let i = 0; i < 4; i++) {
      threads.startThread(i);
      threads.callForEver(i, handle, 'add');
    }
    for (let round = 0; round < 20; round++) {
      const before = threads.doneBy(0);
      await until(() => threads.doneBy(0) > before + 20, 'the parent goes on');
      assert.equal(threads.forkAndExit(handle, registry.id), 17);
    }
    assert.equal(registry.get(handle), counter);
  },

  // Says that it is at work, and waits for the signal of the test.
  async 'a signal'(what) {
    const { registry, handle } = open();
    registry.ref();
    for (let i = 0; i < 4; i++) {
      threads.startThread(i);
      if (i % 2) threads.callForEver(i, handle, 'add');
      else threads.postForEver(i, handle, 'post');
    }
    await until(() => threads.doneBy(0) > 20 && threads.doneBy(1) > 20, 'they work');
    const ends = {
      close: async () => {
        registry.close();
        await until(() => [0, 1, 2, 3].every((i) => threads.statusOf(i) === CLOSED), 'they have heard');
        console.log('all heard');
      },
      exit: () => process.exit(12),
    };
    for (const signal of ['SIGINT', 'SIGTERM']) if (ends[what]) process.once(signal, ends[what]);
    console.log('at work');
  },

  // koffi's own threads: they belong to nobody here.
  async 'calls of koffi’s threads in flight at close'() {
    const { registry, handle } = open();
    const library = koffi.load('build/Release/lives.so');
    const call = library.func(
      'double call_in_time(uint64_t handle, const char *op, double n, int32_t milliseconds)',
    );
    const calls = Array.from(
      { length: 4 },
      () => new Promise((resolve) => call.async(handle, 'never', 1, -1, (_, status) => resolve(status))),
    );
    await pause(20);
    registry.close();
    assert.deepEqual(await Promise.all(calls), [CLOSED, CLOSED, CLOSED, CLOSED]);
  },
};

const [name, ...args] = process.argv.slice(2);
await cases[name](...args);
