// A program of its own: haft/testing on the backend that HAFT_BACKEND names. With `worker` as its argument all happens in
// a worker.
import assert from 'node:assert/strict';
import { isMainThread, Worker } from 'node:worker_threads';
import { HaftError, kind, Registry } from 'haft';
import {
  closedRealm,
  closeRealm,
  expectNoLeaks,
  failCreate,
  fillMailbox,
  slowRealm,
  stepMailbox,
} from 'haft/testing';
import koffi from 'koffi';

class Counter {
  seen = [];
  add(n) {
    this.seen.push(n);
    return this.seen.length;
  }
}
const CounterKind = kind(Counter, { add: { args: ['f64'], returns: 'f64' } });
const statusOf = (code) => new HaftError(code).status;
const turn = () => new Promise((resolve) => setImmediate(resolve));
const until = async (holds) => {
  while (!holds()) await turn();
};

// `using` of Node 24.
async function within(fault, body) {
  try {
    await body(fault);
  } finally {
    fault[Symbol.dispose]();
  }
}

async function main() {
  const messages = koffi.load('build/Release/messages.so');
  const post = messages.func('int32_t post_number(uint64_t h, uint32_t op, double n)');
  const check = messages.func('int32_t check(uint64_t h)');
  const retain = messages.func('int32_t retain(uint64_t h)');
  const release = messages.func('int32_t release(uint64_t h)');
  const registry = new Registry();
  assert.equal(registry.backend, process.env.HAFT_BACKEND);
  assert.equal(messages.func('int32_t use_api(void *api)')(registry.apiAddress), 0);
  registry.useKoffi(koffi);
  const counter = new Counter();
  const handle = registry.create(counter, CounterKind);
  const add = CounterKind.number * 0x10000;

  const error = await expectNoLeaks().then(
    () => assert.fail('a leak was not seen'),
    (thrown) => thrown,
  );
  assert.deepEqual(
    error.leaks.map(({ kind, references }) => [kind, references]),
    [['Counter', 1]],
  );
  await expectNoLeaks();
  const kept = registry.create({});
  assert.equal(retain(kept), 0);
  registry.release(kept);
  await assert.rejects(expectNoLeaks(registry), /1 handle leaked/);
  const given = registry.create({});
  assert.equal(release(given), 0);
  assert.equal(release(kept), 0);
  await expectNoLeaks();

  await within(failCreate(registry, { nth: 2 }), () => {
    registry.delete(registry.create({}));
    assert.throws(() => registry.create({}), { code: 'HAFT_E_SLOTS' });
    registry.delete(registry.create({}));
  });

  const before = registry.stats();
  assert.equal(post(handle, add, 1), 0);
  await within(fillMailbox(registry, handle), async () => {
    assert.equal(post(handle, add, 2), statusOf('HAFT_E_FULL'));
    await turn();
    assert.deepEqual(counter.seen, []);
  });
  assert.deepEqual(counter.seen, [1]);
  const after = registry.stats();
  assert.deepEqual(
    [after.delivered - before.delivered, after.refused - before.refused, after.sent - before.sent],
    [1, 1, 2],
  );

  await within(stepMailbox(registry), async (mailbox) => {
    for (const n of [2, 3, 4]) assert.equal(post(handle, add, n), 0);
    await turn();
    assert.equal(mailbox.pending().length, 3);
    assert.deepEqual(mailbox.step(), {
      kind: 'Counter',
      op: 'add',
      handle,
      sort: 'post',
      shard: handle % 16,
    });
    assert.deepEqual(counter.seen, [1, 2]);
  });
  assert.deepEqual(counter.seen, [1, 2, 3, 4]);

  await within(slowRealm(registry, { turns: 5 }), async () => {
    assert.equal(post(handle, add, 5), 0);
    await turn();
    assert.equal(counter.seen.length, 4);
    await until(() => counter.seen.length === 5);
  });

  const { value: dead } = closedRealm((realm) => realm.create({}));
  assert.equal(check(dead), statusOf('HAFT_E_CLOSED'));
  closeRealm(registry, { nth: 2 });
  for (const n of [6, 7]) assert.equal(post(handle, add, n), 0);
  await until(() => check(handle) !== 0);
  assert.equal(check(handle), statusOf('HAFT_E_CLOSED'));
  assert.deepEqual(counter.seen, [1, 2, 3, 4, 5, 6]);
  await expectNoLeaks(); // what was old when the registry closed is none
}

if (isMainThread && process.argv[2] === 'worker') {
  const worker = new Worker(new URL(import.meta.url));
  worker.on('exit', (code) => {
    process.exitCode = code;
  });
} else {
  const alive = setInterval(() => {}, 2 ** 30);
  await main();
  clearInterval(alive);
  console.log('done');
}
