// Programs of test/workers.test.ts: realms in worker threads. `node test/ends/workers.mjs CASE` is the main thread;
// the workers run this file too, and what they do is in `inWorker`.
import assert from 'node:assert/strict';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import koffi from 'koffi';
import {
  CLOSED,
  Counter,
  CounterKind,
  callForEver,
  callInTime,
  checkHandle,
  doneBy,
  OK,
  postForEver,
  RUNNING,
  startThread,
  statusOf,
  useApi,
} from './threads.mjs';
import { pause, until } from './wait.mjs';

const DEADLOCK = -15;

/** Starts a worker; its first message is what it has to tell, `ended` its exit code, and `error` what ended it. */
function start(what, data) {
  const worker = new Worker(new URL(import.meta.url), { workerData: { what, ...data } });
  const started = { worker, error: undefined };
  worker.on('error', (error) => {
    started.error = error;
  });
  started.ended = new Promise((resolve) => worker.once('exit', resolve));
  started.told = new Promise((resolve, reject) => {
    worker.once('message', resolve);
    started.ended.then((code) => reject(started.error ?? new Error(`the worker ended with ${code}`)));
  });
  started.told.catch(() => {});
  return started;
}

// ---- The threads of hosts/ends.c, at work while their worker ends in some way ----

const ends = koffi.load('build/Release/ends.so');
const left = ends.func('int32_t ends_left()');
const steps = ends.func('double ends_steps()');
const endedWith = ends.func('int32_t ends_status(int32_t number)');

async function endWorker(how) {
  const stuck = new Int32Array(new SharedArrayBuffer(4));
  const started = start('ends', { how, stuck, before: steps() });
  if (how.startsWith('terminate')) {
    await until(() => Atomics.load(stuck, 0) === 1, 'the moment has come');
    await started.worker.terminate();
  }
  const code = await started.ended;
  await until(() => left() === 0, 'every thread has ended');
  for (let i = 0; i < 4; i++) assert.equal(endedWith(i), CLOSED, `thread ${i}, ${how}`);
  return { code, error: started.error };
}

/** [what the worker does, its exit code, the message of its error] */
const WAYS = [
  ['comes to its natural end', 0],
  ['closes its registry', 0],
  ['closes its registry in a handler', 0],
  ['process.exit', 6],
  ['process.exit in a handler', 6],
  ['an uncaught exception', 1, 'uncaught'],
  ['an unhandled rejection', 1, 'unhandled'],
  ['an exception of a listener', 1, 'of a listener'],
  ['terminate', 1],
  ['terminate while every handler throws', 1],
  ['terminate while a handler throws and catches for ever', 1],
  ['terminate in a listener of errors', 1],
  ['terminate while handlers wait for promises', 1],
];

async function endsIn(how, before) {
  const { openRealm } = await import('./realm.mjs');
  const inside = {};
  const { registry, host } = openRealm(inside, how === 'comes to its natural end' ? ['leave'] : []);
  const ready = () => Atomics.store(workerData.stuck, 0, 1);
  const onError = (listener) => {
    registry.on('error', listener);
    inside.act = () => {
      throw new Error('wanted');
    };
  };
  await until(() => steps() > before + 200, 'the threads work');
  switch (how) {
    case 'comes to its natural end':
      return;
    case 'closes its registry':
      registry.close();
      return host;
    case 'closes its registry in a handler':
      inside.act = () => registry.close();
      return host;
    case 'process.exit':
      return process.exit(6);
    case 'process.exit in a handler':
      inside.act = () => process.exit(6);
      return host;
    case 'an uncaught exception':
      setTimeout(() => {
        throw new Error('uncaught');
      });
      return host;
    case 'an unhandled rejection':
      Promise.reject(new Error('unhandled'));
      return host;
    case 'an exception of a listener':
      onError(() => {
        throw new Error('of a listener');
      });
      return host;
    case 'terminate':
      return ready();
    case 'terminate while every handler throws':
      onError(() => {});
      return ready();
    case 'terminate while a handler throws and catches for ever':
      inside.act = () => {
        ready();
        for (;;) {
          try {
            throw new Error('wanted');
          } catch {
            // and again
          } finally {
            ready();
          }
        }
      };
      return;
    case 'terminate in a listener of errors':
      onError(() => {
        ready();
        for (;;);
      });
      return;
    case 'terminate while handlers wait for promises':
      inside.promise = () => new Promise(() => {});
      return setTimeout(ready, 20);
    default:
      throw new Error(`no such end: ${how}`);
  }
}

// ---- A realm of one counter, for the threads of hosts/lives.c ----

function tellCounter(registry, counter = new Counter()) {
  assert.equal(useApi(registry.apiAddress), OK);
  const handle = registry.create(counter, CounterKind);
  registry.ref();
  parentPort?.postMessage({ handle, realm: registry.id });
  return handle;
}

const inWorker = {
  async 'opens and closes'() {
    const { kind, Registry } = await import('haft');
    parentPort.postMessage('begins');
    for (let i = 0; ; i++) {
      const registries = [new Registry(), new Registry()];
      for (const registry of registries) {
        const handle = registry.create(new Counter(), kind(Counter, { [`never${i % 50}`]: {} }));
        registry.publish('counter', handle);
        for (let n = 0; n < 20; n++) registry.create(n);
        registry.release(handle);
        registry.drain();
      }
      for (const registry of registries) registry.close();
    }
  },

  ends: ({ how, before }) => endsIn(how, before),

  async counter() {
    const { Registry } = await import('haft');
    tellCounter(new Registry());
  },

  // Asks the other realm, which may be waiting for this one.
  async asks() {
    const { Registry } = await import('haft');
    const counter = new Counter();
    let other;
    parentPort.on('message', (handle) => {
      other = handle;
      parentPort.postMessage('knows');
    });
    counter.add = (n) => (n === 0 ? 0 : callInTime(other, 'add', n - 1, -1)); // a status or the other's answer
    tellCounter(new Registry(), counter);
  },
  // Its handler waits for a promise of another realm, which never settles.
  async waits({ other, stuck }) {
    const { Registry } = await import('haft');
    const counter = new Counter();
    counter.add = () => {
      Atomics.store(stuck, 0, 1);
      return callInTime(other, 'never', 1, -1);
    };
    tellCounter(new Registry().useKoffi(koffi), counter);
  },
};

const cases = {
  // P19: it waits in C without a limit, and is terminated there all the same.
  async 'terminated while it waits for another'() {
    const { Registry } = await import('haft');
    const registry = new Registry();
    const other = tellCounter(registry);
    for (let round = 0; round < 5; round++) {
      const stuck = new Int32Array(new SharedArrayBuffer(4));
      const started = start('waits', { other, stuck });
      const { handle } = await started.told;
      if (round === 0) startThread(0);
      assert(callForEver(0, handle, 'add'));
      await until(() => Atomics.load(stuck, 0) === 1, 'its handler runs');
      await pause(round * 5);
      await started.worker.terminate();
      await until(() => statusOf(0) !== RUNNING, 'its caller hears of it');
      assert.equal(statusOf(0), CLOSED);
    }
    assert.equal(registry.get(other).total, 0);
    registry.close();
  },

  // At any moment of the life of a registry, its first and its last included. What is left over serves others.
  async 'terminated while it opens and closes'() {
    for (let round = 0; round < 60; round++) {
      const started = start('opens and closes');
      await started.told;
      await pause(round % 7);
      assert.equal(await started.worker.terminate(), 1);
      assert.equal(started.error, undefined);
    }
    const { Registry } = await import('haft');
    const realms = Array.from({ length: 128 }, () => new Registry()); // all there are
    assert.throws(() => new Registry(), { code: 'HAFT_E_SLOTS' });
    for (const realm of realms) assert.equal(realm.get(realm.create('value')), 'value');
  },

  // The main thread has no addon, before and after.
  async 'loaded only there'(how) {
    const [, code, message] = WAYS.find(([name]) => name === how);
    const ended = await endWorker(how);
    assert.equal(ended.code, code);
    assert.equal(ended.error?.message, message);
  },

  async 'the last one gone, and a new one'() {
    for (const [how, code] of [...WAYS, ...WAYS]) assert.equal((await endWorker(how)).code, code, how);
    const { openRealm } = await import('./realm.mjs');
    const { registry, host } = openRealm({});
    const before = steps();
    await until(() => steps() > before + 200, 'the threads work for the main thread');
    registry.close();
    assert.equal(await host, 0);
  },

  // Of three realms, in three threads, one ends, and later another: the threads of the others notice nothing.
  async 'three at a time'() {
    const { Registry } = await import('haft');
    const registry = new Registry();
    const own = tellCounter(registry);
    const workers = [start('counter'), start('counter')];
    const [first, second] = (await Promise.all(workers.map(({ told }) => told))).map(({ handle }) => handle);
    const all = [own, first, second];
    for (const [i, handle] of all.entries()) {
      startThread(2 * i);
      startThread(2 * i + 1);
      assert(callForEver(2 * i, handle, 'add'));
      assert(postForEver(2 * i + 1, handle, 'post'));
    }
    const codeOf = (handle) => {
      try {
        registry.get(handle);
      } catch (error) {
        return error.code;
      }
      return 'HAFT_OK';
    };
    const goesOn = async (i) => {
      for (const number of [2 * i, 2 * i + 1]) {
        const before = doneBy(number);
        await until(() => doneBy(number) > before + 50, `thread ${number} goes on`);
        assert.equal(statusOf(number), RUNNING);
      }
    };
    const over = async (i) => {
      await until(() => [2 * i, 2 * i + 1].every((n) => statusOf(n) !== RUNNING), `realm ${i} is over`);
      assert.deepEqual([statusOf(2 * i), statusOf(2 * i + 1)], [CLOSED, CLOSED]);
      assert.equal(checkHandle(all[i]), CLOSED);
    };
    for (const i of [0, 1, 2]) await goesOn(i);
    assert.deepEqual(all.map(codeOf), ['HAFT_OK', 'HAFT_E_REALM', 'HAFT_E_REALM']);
    await workers[0].worker.terminate();
    await over(1);
    for (const i of [0, 2]) await goesOn(i);
    assert.deepEqual(all.map(codeOf), ['HAFT_OK', 'HAFT_E_CLOSED', 'HAFT_E_REALM']);
    registry.close();
    await over(0);
    await goesOn(2);
    await workers[1].worker.terminate();
    await over(2);
  },

  // P18: each handler waits in C, without a limit, for a handler of the other. Whoever closes the circle is told, and
  // both serve afterwards.
  async 'two that call each other'() {
    const workers = [start('asks'), start('asks')];
    const [one, other] = (await Promise.all(workers.map(({ told }) => told))).map(({ handle }) => handle);
    for (const [i, handle] of [other, one].entries()) {
      workers[i].worker.postMessage(handle);
      await new Promise((resolve) => workers[i].worker.once('message', resolve));
    }
    assert.equal(callInTime(one, 'add', 0, -1), 0);
    assert.equal(callInTime(one, 'add', 1, -1), 0); // one asks the other, which answers
    for (let round = 0; round < 5; round++) {
      assert.equal(callInTime(one, 'add', 2, -1), DEADLOCK); // and that asks the first again
      assert.equal(callInTime(other, 'add', 1, -1), 0);
    }
    for (const { worker } of workers) await worker.terminate();
    assert.equal(callInTime(one, 'add', 0, -1), CLOSED);
  },
};

if (isMainThread) {
  const [name, ...args] = process.argv.slice(2);
  await cases[name](...args);
} else {
  await inWorker[workerData.what](workerData);
}
