// npm run soak: everything at once, for as long as you like, and every message accounted for.
//
//     npm run soak -- [--seconds N] [--seed N] [--json FILE]
//
//   --seconds  how long the producers work, 60 without this
//   --seed     of their random choices, printed; what the threads do to each other is not repeated by it
//   --json     the closing line, in a file as well
//
// Eight native threads post and call at random in three realms: the main thread's and those of two workers. Handlers
// throw, reject, are slow or never answer; calls run out of time; mailboxes are full and wait, drop or refuse; objects
// are deleted under their messages. Then all of it ends in order, and two countings are compared for each realm: the
// registry's, and that of the senders and handlers (test/soak/realm.mjs). The closing line is JSON:
// {"sent","delivered","refused","dropped","expired","seconds","rssStart","rssEnd"}. The exit code is 0 if both countings
// are the same, each message ended in exactly one way, and the memory did not grow by more than a tenth after the
// warm-up (which a run of less than 20 s does not tell).
import path from 'node:path';
import v8 from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { SingleBar } from 'cli-progress';
import Table from 'cli-table3';
import { pause, until } from '../test/ends/wait.mjs';
import { jsonLines, numberOf, readArguments } from './command-line.mjs';
import { root, run } from './tools.mjs';

const WAYS = ['delivered', 'refused', 'dropped', 'expired'];
const TELLS_MEMORY = 20; // seconds
const MOST_GROWTH = 1.1;
const SEEDS = 2 ** 32;

function readCommandLine() {
  const options = {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * SEEDS)) },
    json: { type: 'string' },
  };
  const { values } = readArguments(options);
  const seconds = numberOf(values, 'seconds', { least: 1, most: 1_000_000, whole: false });
  const seed = numberOf(values, 'seed', { least: 0, most: SEEDS - 1 });
  return { seconds, seed, writeJson: jsonLines(values.json) };
}

/** A realm in a worker, with the same functions as one of the main thread. */
class WorkerRealm {
  #worker;
  #waiting = new Map();

  constructor(number) {
    this.#worker = new Worker(path.join(root, 'test/soak/worker.mjs'), { workerData: number });
    this.opened = this.#answer('open');
    this.ended = new Promise((resolve) => this.#worker.once('exit', resolve));
    this.#worker.on('message', ({ act, answer }) => this.#waiting.get(act)(answer));
    this.#worker.on('error', (error) => {
      throw error;
    });
  }

  #answer(act) {
    return new Promise((resolve) => this.#waiting.set(act, resolve));
  }

  #ask(act) {
    const answer = this.#answer(act);
    this.#worker.postMessage(act);
    return answer;
  }

  collect = () => this.#ask('collect');
  drained = () => this.#ask('drained');
  ask = () => this.#ask('ask');
  close = () => this.#ask('close');
}

/** The memory of the process, without what the next collection takes away. */
async function memory(workers) {
  gc();
  await Promise.all(workers.map((worker) => worker.collect()));
  return process.memoryUsage.rss();
}

/** What is wrong with a realm's two countings: [counter, the registry's, the other]. */
function differences({ registry, own }) {
  const sum = WAYS.reduce((total, way) => total + registry[way], 0);
  const wrong = ['sent', ...WAYS].filter((name) => registry[name] !== own[name] || !(own[name] >= 0));
  const rows = wrong.map((name) => [name, registry[name], own[name]]);
  return registry.sent === sum ? rows : [...rows, ['sum of the ways', sum, registry.sent]];
}

async function soak(seconds, seed) {
  const { native, SoakRealm } = await import('../test/soak/realm.mjs');
  const main = new SoakRealm(0);
  const workers = [new WorkerRealm(1), new WorkerRealm(2)];
  await Promise.all(workers.map(({ opened }) => opened));

  const bar = new SingleBar({
    format: 'soak {bar} {value} of {total} s',
    stream: process.stderr,
    clearOnComplete: true,
  });
  bar.start(Math.ceil(seconds), 0);
  const began = performance.now();
  const elapsed = () => (performance.now() - began) / 1000;
  const workUntil = async (end) => {
    while (elapsed() < end) {
      await pause(Math.min(1000, Math.max(1, (end - elapsed()) * 1000)));
      bar.update(Math.round(elapsed()));
    }
  };
  if (native.start(seed) !== 0) throw new Error('the operating system refused a thread');
  await workUntil(seconds / 3);
  const rssStart = await memory(workers);
  await workUntil(seconds);
  const rssEnd = await memory(workers);
  const worked = Number(elapsed().toFixed(1));
  bar.stop();

  native.stop();
  await until(() => native.left() === 0, 'the producers stop');
  const all = [main, ...workers];
  await Promise.all(all.map((realm) => realm.drained()));
  const asked = await Promise.all(all.map((realm) => realm.ask()));
  const countings = await Promise.all(workers.map((worker) => worker.close()));
  await Promise.all(workers.map(({ ended }) => ended));
  countings.unshift(main.close());
  return { countings, asked, seconds: worked, rssStart, rssEnd, unexpected: native.unexpected() };
}

function complain({ countings, asked, seconds, rssStart, rssEnd, unexpected }) {
  const complaints = [];
  for (const [realm, both] of countings.entries()) {
    const rows = differences(both);
    if (rows.length === 0) continue;
    const table = new Table({
      head: [`realm ${realm}`, 'the registry', 'senders and handlers'],
      style: { head: [], border: [] },
    });
    table.push(...rows);
    complaints.push(`The countings differ.\n${table}`);
  }
  for (const [realm, status] of asked.entries()) {
    if (status !== 0) complaints.push(`In the end calls of realm ${realm} were not answered: ${status}.`);
  }
  if (unexpected !== 0)
    complaints.push(`A sender met the status ${unexpected}, which nothing here can cause.`);
  if (seconds >= TELLS_MEMORY && rssEnd > rssStart * MOST_GROWTH) {
    complaints.push(`The memory grew from ${rssStart} to ${rssEnd} bytes after the warm-up.`);
  }
  return complaints;
}

await run(async () => {
  const { seconds, seed, writeJson } = readCommandLine();
  v8.setFlagsFromString('--expose-gc'); // for the workers as well
  globalThis.gc = runInNewContext('gc');
  console.log(`Seed: ${seed}`);
  const result = await soak(seconds, seed);
  const totals = Object.fromEntries(
    ['sent', ...WAYS].map((name) => [
      name,
      result.countings.reduce((sum, { registry }) => sum + registry[name], 0),
    ]),
  );
  const { seconds: worked, rssStart, rssEnd } = result;
  const closing = { ...totals, seconds: worked, rssStart, rssEnd };
  const complaints = complain(result);
  for (const complaint of complaints) console.error(complaint);
  console.log(JSON.stringify(closing));
  writeJson(closing);
  return complaints.length === 0 ? 0 : 1;
});
