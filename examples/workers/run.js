// Builds the pool of threads, starts two workers, and lets the pool send to their objects.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { Registry, runHost } from 'haft';

const include = join(
  dirname(createRequire(import.meta.url).resolve('haft/package.json')),
  'native',
  'include',
);
const source = fileURLToPath(new URL('pool.c', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'haft-workers-'));
const pool = join(folder, 'pool.so');
const [cc, ...flags] = (process.env.CC ?? 'cc').split(' ');

try {
  execFileSync(cc, [...flags, '-shared', '-fPIC', '-pthread', `-I${include}`, source, '-o', pool]);
  const workers = [
    { name: 'first', owner: 'Ada' },
    { name: 'second', owner: 'Grace' },
  ].map((workerData) => new Worker(new URL('worker.js', import.meta.url), { workerData }));
  const realms = (await Promise.all(workers.map((worker) => once(worker, 'message')))).flat();

  const registry = new Registry(); // of this thread; the pool needs one to run with
  process.exitCode = await runHost(pool, registry, realms.map(String));
  registry.close();
  for (const worker of workers) worker.postMessage('close');
} finally {
  rmSync(folder, { recursive: true });
}
