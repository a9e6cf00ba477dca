// A program of its own: realms in workers. Arguments: `koffi` or `addon`, and the case. The workers run this file too,
// and do what their main thread asks of them. What the numbers of `act` do is in hosts/realms.c.
import assert from 'node:assert/strict';
import { isMainThread, workerData } from 'node:worker_threads';
import {
  actThrough,
  BLOCKING,
  CALL,
  CALL_THERE,
  CLOSED,
  callElsewhere,
  DEADLOCK,
  gate,
  HANG,
  hanging,
  hangResult,
  JOIN_THERE,
  nameRealm,
  openRealm,
  POST,
  POST_FULL,
  QUEUED,
  REALM_OF,
  standAtGate,
  startWorker,
  threadsSend,
  until,
} from './realm-workers.mjs';

const [way, name] = isMainThread ? process.argv.slice(2) : [workerData.way];
const act = actThrough(way);

const cases = {
  'two realms': async () => {
    const worker = await startWorker(import.meta.url, { way });
    const mine = openRealm(way);
    const [a, b] = [mine.tell(), worker.told];
    assert.equal(act(REALM_OF, a.handle, 0, 0), mine.registry.id);
    assert.equal(act(REALM_OF, b.handle, 0, 0), b.realm);
    mine.registry.ref();
    const THREADS = 6;
    const COUNT = 300;
    const failed = await threadsSend(a, b, THREADS, COUNT);
    assert.equal(failed, 0);
    const theirs = await worker.ask('log');
    const logs = [mine.sample.log, theirs.log];
    const notes = logs.flat();
    assert.equal(notes.length, THREADS * COUNT);
    assert.equal(new Set(notes).size, THREADS * COUNT);
    for (const log of logs) {
      const last = new Map();
      for (const note of log) {
        const thread = Math.floor(note / 100_000);
        assert.equal(last.get(thread) === undefined || last.get(thread) < note, true); // each thread's in its order
        last.set(thread, note);
      }
    }
    assert.equal(mine.sample.total + theirs.total, THREADS * (COUNT + 4 * (COUNT / 10)));
    await worker.end();
    assert.equal(act(CALL, b.handle, b.add, 1), CLOSED);
    mine.registry.close();
  },

  'from the main thread': async () => {
    const worker = await startWorker(import.meta.url, { way });
    const { told } = worker;
    for (let i = 1; i <= 50; i++) assert.equal(act(CALL, told.handle, told.add, 1), i);
    assert.equal(act(POST, told.handle, told.add, 1), 0);
    assert.equal(act(CALL, told.handle, told.later, 7), 7); // a promise settles there, while we wait here
    // With a realm of our own, which nobody calls meanwhile.
    const mine = openRealm(way);
    assert.equal(act(CALL, told.handle, told.add, 1), 52);
    // Its handler calls back: we wait for it, so that call cannot be answered.
    const { handle, ask } = mine.tell();
    await worker.ask('next', { handle, op: ask });
    assert.equal(act(CALL, told.handle, told.ask, 1), DEADLOCK);
    // It may post, and what it posts is handled when we are done.
    await worker.ask('next', { handle, op: mine.tell().add, what: POST });
    assert.equal(act(CALL, told.handle, told.ask, 5), 0);
    mine.registry.drain();
    assert.equal(mine.sample.total, 5);
    mine.registry.close();
    await worker.end();
  },

  'a circle': async () => {
    const workers = await Promise.all([1, 2, 3].map(() => startWorker(import.meta.url, { way })));
    for (const [i, worker] of workers.entries()) {
      const { handle, ask } = workers[(i + 1) % 3].told;
      await worker.ask('next', { handle, op: ask });
    }
    // Once round: whoever closes the circle is told, and the others are answered.
    const [first] = workers;
    assert.equal(act(CALL, first.told.handle, first.told.ask, 2), 0); // not round
    assert.equal(act(CALL, first.told.handle, first.told.ask, 3), DEADLOCK);
    assert.equal(act(CALL, first.told.handle, first.told.ask, 50), DEADLOCK);
    for (const { told } of workers) assert.equal(act(CALL, told.handle, told.ask, 2), 0);
    // All at one time. Each hears that it is a circle, or an answer; nobody waits until the end of its time.
    for (let round = 0; round < 30; round++) {
      const results = await Promise.all(workers.map((worker) => worker.ask('ask', 1 + (round % 4))));
      for (const result of results) assert.equal(result === 0 || result === DEADLOCK, true, `${results}`);
      if (round % 4 === 0) continue;
    }
    for (const { told } of workers) assert.equal(act(CALL, told.handle, told.add, 1), 1);
    for (const worker of workers) await worker.end();
  },

  // Whoever waits for a completion waits for the realm that is to answer.
  'a circle of completions': async () => {
    const worker = await startWorker(import.meta.url, { way });
    const mine = openRealm(way);
    const { handle, ask, add } = mine.tell();
    const { told } = worker;
    assert.equal(act(QUEUED, told.handle, told.add, 5), 5);
    for (const what of [CALL, QUEUED]) {
      await worker.ask('next', { handle, op: ask, what });
      for (const mineToo of [CALL, QUEUED]) assert.equal(act(mineToo, told.handle, told.ask, 1), DEADLOCK);
    }
    mine.registry.drain(); // a call that nobody waits for any more
    assert.equal(act(CALL, told.handle, told.add, 1), 6);
    assert.equal(await callElsewhere(handle, add, 1), 1);
    mine.registry.close();
    await worker.end();
  },

  // P20: what was said before a wait for another realm still holds after it.
  'blocking across a wait': async () => {
    const worker = await startWorker(import.meta.url, { way });
    const mine = openRealm(way);
    const { handle, add } = mine.tell();
    nameRealm(mine.registry.id);
    assert.equal(act(BLOCKING, 0, 0, 1), 0);
    assert.equal(act(CALL, worker.told.handle, worker.told.add, 1), 1);
    assert.equal(act(CALL_THERE, handle, add, 1), 0);
    assert.equal(act(JOIN_THERE, 0, 0, 0), DEADLOCK);
    assert.equal(act(BLOCKING, 0, 0, 0), 0);
    mine.registry.close();
    await worker.end();
  },
};

// P19: a worker is terminated while its own thread is in C and waits.
const PLACES = 'call,serve,wait,find,post,queue_next,call_many'.split(',').map((place) => `haft_${place}`);
for (const [where, place] of PLACES.entries()) {
  cases[`terminate in ${place}`] = async () => {
    const mine = openRealm(way);
    const { handle, never, add } = mine.tell();
    const other = place === 'haft_post' ? await startWorker(import.meta.url, { way }) : undefined;
    const worker = await startWorker(import.meta.url, { way });
    const target = {
      handle,
      op: never,
      where,
      realm: place === 'haft_serve' ? worker.told.realm : mine.registry.id,
    };
    if (other) {
      // Its thread stands at a gate, so that nobody makes room.
      gate(0);
      other.send('gate');
      await until(() => gate(0) === 1);
      Object.assign(target, { handle: other.told.handle, op: other.told.add });
      assert.equal(act(POST_FULL, target.handle, target.op, 0), 1024);
    }
    worker.send('hang', target);
    await until(() => hanging() === 1);
    for (let i = 0; i < 10; i++) await new Promise((resolve) => setTimeout(resolve, 2)); // it sleeps, mostly
    assert.equal(await worker.worker.terminate(), 1);
    assert.equal(hanging(), 0);
    assert.equal(hangResult(), CLOSED);
    assert.equal(act(CALL, worker.told.handle, worker.told.add, 1), CLOSED);
    assert.equal(act(CALL, handle, add, 1), 1); // the others go on
    if (other) {
      gate(1);
      assert.equal(act(CALL, other.told.handle, other.told.add, 0), 0);
      await other.end();
    }
    mine.registry.close();
  };
}

/** What a worker does when it is asked. */
const inWorker = ({ sample, registry, tell }) => ({
  log: () => ({ log: sample.log, total: sample.total }),
  next: (next) => {
    sample.next = next;
  },
  ask: (depth) => act(CALL, tell().handle, tell().ask, depth),
  gate: () => standAtGate(),
  hang: ({ handle, op, where, realm }) => {
    nameRealm(realm);
    act(HANG, handle, op, where);
  },
  end: () => registry.close(),
});

if (isMainThread) await cases[name]();
else openRealm(way).serveRequests(inWorker);
