// One round of scripts/rounds.mjs, in a process of its own: four native threads work with a realm, and it ends.
//
//     node test/ends/round.mjs terminate | exit | close NUMBER
//
// An odd number ends it inside a handler, an even one from a timer; the last two of each ten at once, when the threads
// have hardly begun. The threads say at exit how each of them ended (hosts/ends.c); this only sees to it that they have
// ended before the process does, except where it is the process that ends.
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import koffi from 'koffi';
import { openRealm } from './realm.mjs';
import { pause, until } from './wait.mjs';

const EXIT_CODE = 7;
const AT_WORK = 300; // steps of the threads together

const library = koffi.load('build/Release/ends.so');
const left = library.func('int32_t ends_left()');
const steps = library.func('double ends_steps()');

/** Resolves at the moment at which this round ends its realm. */
async function moment(round) {
  const atOnce = round % 10 >= 8;
  await until(() => steps() > (atOnce ? 0 : AT_WORK), 'the threads work');
  if (!atOnce) await pause((round * 7) % 23);
}

/** Ends the realm of this thread by `act`. */
async function endBy(act, round) {
  const inside = {};
  const { host } = openRealm(inside);
  await moment(round);
  if (round % 2) inside.act = act;
  else act();
  await host;
}

const rounds = {
  async close(round) {
    const inside = {};
    const { registry, host } = openRealm(inside);
    const close = () => {
      inside.act = undefined;
      registry.close();
    };
    await moment(round);
    if (round % 2) inside.act = close;
    else close();
    if ((await host) !== 0) throw new Error('the host failed');
    await until(() => left() === 0, 'every thread has ended');
  },

  exit: (round) => endBy(() => process.exit(EXIT_CODE), round),

  async terminate(round) {
    const stuck = new Int32Array(new SharedArrayBuffer(4));
    const worker = new Worker(new URL(import.meta.url), { workerData: { round, stuck } });
    worker.on('error', (error) => {
      throw error;
    });
    await new Promise((resolve) => worker.once('online', resolve));
    await moment(round);
    if (round % 2) await until(() => Atomics.load(stuck, 0) === 1, 'a handler runs');
    await worker.terminate();
    await until(() => left() === 0, 'every thread has ended');
  },
};

/** The worker of `terminate`: with an odd number it is terminated in a handler that does not end. */
async function worker({ round, stuck }) {
  const inside = {};
  const { registry } = openRealm(inside);
  registry.ref();
  if (round % 2 === 0) return;
  await moment(round);
  inside.act = () => {
    Atomics.store(stuck, 0, 1);
    for (;;);
  };
}

if (isMainThread) {
  library.func('void ends_say_at_exit()')();
  await rounds[process.argv[2]](Number(process.argv[3]));
} else {
  await worker(workerData);
}
