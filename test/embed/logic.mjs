// What the programs of this folder call. It is well unless it is told otherwise. Its arguments do something while it loads.
import { writeFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { kind, Registry } from 'haft';
import { offer } from '../logic/objects.mjs';

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Keeps JavaScript busy. */
function spin(milliseconds) {
  const until = performance.now() + milliseconds;
  while (performance.now() < until);
}

class Count {
  #total = 0;
  add(number) {
    this.#total += number;
  }
  total() {
    return this.#total;
  }
}
const CountKind = kind(Count, { add: { args: ['f64'] }, total: { returns: 'f64' } });

const numbers = { args: ['f64', 'f64'], returns: 'f64' };
const text = { args: ['str'] };

export default async (registry, [first, ...more]) => {
  registry.publish('count', registry.create(new Count(), CountKind));
  offer(registry, 'make', { args: ['str'], returns: 'handle' }, () =>
    registry.create(new Count(), CountKind),
  );
  offer(registry, 'add', numbers, (one, other) => one + other);
  offer(registry, 'later', numbers, (number, milliseconds) => sleep(milliseconds).then(() => number));
  offer(registry, 'length', { args: ['str'], returns: 'f64' }, (given) => given.length);
  offer(registry, 'twice', { args: ['str'], returns: 'str' }, (given) => given + given);
  offer(registry, 'args', { returns: 'str' }, () => JSON.stringify([first, ...more]));
  offer(registry, 'run', { args: ['str'], returns: 'str' }, (source) =>
    String(new Function(`return ${source}`)()),
  );

  // Ends of all sorts.
  offer(registry, 'never', {}, () => new Promise(() => {}));
  offer(registry, 'exit', { args: ['f64'] }, (code) => process.exit(code));
  offer(registry, 'crash', {}, () => process.kill(process.pid, 'SIGKILL'));
  offer(registry, 'abort', {}, () => process.abort());
  offer(registry, 'close', {}, () => registry.close());
  offer(registry, 'busy', { args: ['f64'] }, spin);
  offer(registry, 'fail', text, (message) => {
    throw new TypeError(message);
  });
  offer(registry, 'failLater', text, (message) => {
    setImmediate(() => {
      throw new Error(message);
    });
  });
  offer(registry, 'memory', {}, () => {
    for (const kept = []; ; ) kept.push(new Array(10_000).fill({}));
  });

  // What it writes, and what it does at its end.
  offer(registry, 'say', text, (line) => void process.stdout.write(line));
  offer(registry, 'complain', text, (line) => void process.stderr.write(line));
  offer(registry, 'atExit', text, (file) => {
    process.on('exit', (code) => writeFileSync(file, `exit ${code}`));
  });
  offer(registry, 'publishLater', { args: ['str', 'f64'] }, (name, milliseconds) => {
    setTimeout(() => offer(registry, name, { returns: 'f64' }, () => 1), milliseconds);
  });

  // Realms of its own: each tells its number, and how to end it.
  const others = [];
  offer(registry, 'open', { returns: 'i64' }, () => {
    const other = new Registry().ref();
    offer(other, 'add', numbers, (one, another) => one + another);
    others.push(() => other.close());
    return BigInt(other.id);
  });
  offer(registry, 'openWorker', { returns: 'i64' }, async () => {
    const worker = new Worker(new URL('worker.mjs', import.meta.url));
    others.push(() => worker.terminate());
    return new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  });
  offer(registry, 'endOther', { args: ['f64'] }, async (number) => {
    await others[number]();
  });

  if (first === 'throw') throw new RangeError(more[0]);
  if (first === 'exit') process.exit(Number(more[0]));
  if (first === 'hang') await new Promise((resolve) => setTimeout(resolve, 1_000_000));
  if (first === 'unsettled') await new Promise(() => {});
  if (first === 'close') registry.close();
  if (first === 'lookup') await registry.host({ lookup: { returns: 'f64' } }).lookup();
};
