// run.js: one run of the stream, over one table, in this process.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { publish } from './application.js';
import { Problem } from './prepare.js';
import { showProgress } from './progress.js';

const HOST = fileURLToPath(new URL('../../build/Release/stream_host.so', import.meta.url));

const SIGNALS = ['SIGINT', 'SIGTERM'];

/** How long the last drops may take until they count as a leak. */
const DRAIN_MS = 2000;

async function openTable(table) {
  try {
    const { Registry, runHost } = await import(table === 'haft' ? 'haft' : './baselines/registry.js');
    return { registry: table === 'haft' ? new Registry() : new Registry(table), runHost };
  } catch (error) {
    throw new Problem(`the table ${table} does not open: ${error.message.split('\n')[0]}`);
  }
}

/** The handles that are live when all that ended before this has been dropped. */
async function drained(registry) {
  for (const end = performance.now() + DRAIN_MS; registry.stats().live > 0 && performance.now() < end; ) {
    await setImmediate();
  }
  const { created, live } = registry.stats();
  return { created, live };
}

/** Runs the host over `table` and returns the report. */
export async function runTable({ table, threads, repeat }, { logic, input }) {
  if (!existsSync(HOST)) throw new Problem('the host is not built: run `npm start`, or `npm run build`');
  const { registry, runHost } = await openTable(table);
  const folder = mkdtempSync(join(tmpdir(), 'haft-stream-'));
  const file = join(folder, 'report.json');
  const progress = showProgress(registry);
  let exitCode = 0; // of the signal that ended it
  const close = (signal) => {
    exitCode = signal === 'SIGINT' ? 130 : 143;
    progress.finish();
    registry.close();
  };
  for (const signal of SIGNALS) process.once(signal, close);
  try {
    const handles = [...publish(registry, logic), ...progress.handles];
    const args = { '--input': input, '--threads': threads, '--repeat': repeat, '--report': file };
    const code = await runHost(HOST, registry, Object.entries(args).flat().map(String)).catch((error) => {
      throw new Problem(error.message);
    });
    if (exitCode !== 0) throw new Problem('', exitCode); // the host has said so
    for (const handle of handles) registry.delete(handle);
    if (code !== 0) throw new Problem('', code);
    const { threads: ran, results, ...figures } = JSON.parse(readFileSync(file, 'utf8'));
    return { table, threads: ran, ...figures, handles: await drained(registry), results };
  } finally {
    for (const signal of SIGNALS) process.off(signal, close);
    progress.finish();
    registry.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
