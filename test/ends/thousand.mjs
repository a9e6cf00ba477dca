// A program of test/workers.test.ts: workers one after the other, each with a registry of its own and handles that
// nobody releases. `node test/ends/thousand.mjs WORKERS HANDLES`.
import assert from 'node:assert/strict';
import { Worker } from 'node:worker_threads';
import { Registry } from 'haft';
import { CLOSED, checkHandle, OK, STALE, useApi } from './threads.mjs';

const [workers, count] = process.argv.slice(2).map(Number);

// Few modules, since a thousand of them load: it gets ready, opens at the first message, and ends at the second.
const SOURCE = `
  const { parentPort, workerData } = require('node:worker_threads');
  const message = () => new Promise((resolve) => parentPort.once('message', resolve));
  import('haft').then(async ({ Registry }) => {
    await message();
    const registry = new Registry();
    parentPort.postMessage(Array.from({ length: workerData }, (_, i) => registry.create(i)));
    if ((await message()) === 'exit') process.exit();
  });
`;
const start = () => new Worker(SOURCE, { eval: true, workerData: count });

/** Opens the registry of a worker, ends the worker, and answers with the handles that were left in it. */
async function openAndEnd(worker, way) {
  const ended = new Promise((resolve) => worker.once('exit', resolve));
  const told = new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  worker.postMessage('open');
  const handles = await told;
  for (const handle of handles) assert.equal(checkHandle(handle), OK);
  if (way === 'terminate') await worker.terminate();
  else worker.postMessage(way);
  await ended;
  for (const handle of handles) assert.equal(checkHandle(handle), CLOSED);
  return handles;
}

const watch = new Registry(); // without handles of its own
assert.equal(useApi(watch.apiAddress), OK);
const old = new Set();
let next = start();
for (let i = 0; i < workers; i++) {
  const worker = next;
  next = start(); // which takes most of the time; its registry opens when this one's is gone
  for (const handle of await openAndEnd(worker, ['end', 'exit', 'terminate'][i % 3])) {
    assert(!old.has(handle), `${handle} came twice`);
    old.add(handle);
  }
}
await next.terminate();

assert.equal(old.size, workers * count);
for (const handle of old) {
  const status = checkHandle(handle);
  assert(status === CLOSED || status === STALE, `${handle} answers ${status}`);
  assert.throws(() => watch.get(handle), { code: status === CLOSED ? 'HAFT_E_CLOSED' : 'HAFT_E_STALE' });
}
