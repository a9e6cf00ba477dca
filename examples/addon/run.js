// Builds both addons, lets one program run over either, and prints what each needs and does.
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { scanned, textOf } from './program.js';

const here = dirname(fileURLToPath(import.meta.url));
const SIDES = ['before', 'after'];

function build() {
  // The headers of the running Node, where they are beside it; else node-gyp fetches them.
  const prefix = dirname(dirname(realpathSync(process.execPath)));
  const headers = existsSync(join(prefix, 'include/node/node_api.h')) ? [`--nodedir=${prefix}`] : [];
  const gyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');
  const args = [gyp, 'configure', 'build', '--release', '--jobs=2', ...headers];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: here, encoding: 'utf8' });
  if (status !== 0) throw new Error(`node-gyp failed:\n${stdout}${stderr}`);
}

/** Lines that are neither empty nor a comment. */
function linesOfCode(...files) {
  const lines = files.flatMap((file) => readFileSync(join(here, file), 'utf8').split('\n'));
  return lines.filter((line) => !/^\s*(\/\/|\/\*\*.*\*\/$|$)/.test(line)).length;
}

/** The fastest of five, in messages a second. */
async function rate(addon, lines, heading) {
  const text = textOf(lines, heading);
  let best = Infinity;
  for (let i = 0; i < 5; i++) {
    const start = performance.now();
    await scanned(addon, text);
    best = Math.min(best, performance.now() - start);
  }
  return Math.round((lines / best) * 1000).toLocaleString('en');
}

async function oneScan(addon) {
  const { lines, letters, sum, kept } = await scanned(addon, textOf(10_000, 100));
  return `${lines} lines, ${letters} letters, sum ${sum}, ${kept} kept`;
}

async function throwingLines(addon) {
  const { lines, failures } = await scanned(addon, textOf(10_000, 100), {
    atLine: ({ lines }) => {
      if (lines % 1000 === 0) throw new RangeError(`no line ${lines}`);
    },
  });
  return `${lines} lines, ${failures} failures`;
}

async function throwingAnswers(addon) {
  const { lines, kept, problem } = await scanned(addon, textOf(1000, 10), {
    keep: () => {
      throw new RangeError('no rule');
    },
  });
  return `${lines} lines, ${kept} kept, ${problem}`;
}

async function terminatedWorker({ running }, side) {
  const worker = new Worker(new URL('program.js', import.meta.url), { workerData: side });
  await once(worker, 'message');
  await worker.terminate();
  for (let i = 0; i < 500 && running() > 0; i++) await sleep(10);
  return running() === 0 ? 'threads have ended' : `${running()} threads are left`;
}

function exitInTheMidst(side) {
  const program = fileURLToPath(new URL('program.js', import.meta.url));
  const { status, signal } = spawnSync(process.execPath, [program, 'exit', side], { timeout: 20_000 });
  return signal ?? `exit code ${status}`;
}

build();
const rows = [
  ['lines of C++', (_, side) => linesOfCode(`${side}.cc`)],
  ['lines of JavaScript', (_, side) => linesOfCode(`${side}.js`)],
  ['lines a second, sent', (addon) => rate(addon, 200_000, Infinity)],
  ['headings a second, sent and asked', (addon) => rate(addon, 10_000, 1)],
  ['a scan', oneScan],
  ['a visitor that throws', throwingLines],
  ['an answer that throws', throwingAnswers],
  ['a worker is terminated', terminatedWorker],
  ['process.exit(7)', (_, side) => exitInTheMidst(side)],
];

console.log(`${''.padEnd(34)} ${SIDES.map((side) => side.padStart(10)).join(' ')}`);
const addons = await Promise.all(SIDES.map((side) => import(`./${side}.js`)));
for (const [what, measure] of rows) {
  const cells = [];
  for (const [i, side] of SIDES.entries()) cells.push(String(await measure(addons[i], side)));
  // What differs stands side by side, what is the same once.
  const shown =
    cells[0] === cells[1] ? `both: ${cells[0]}` : `${cells[0].padStart(10)} ${cells[1].padStart(10)}`;
  console.log(`${what.padEnd(34)} ${shown}`);
}
