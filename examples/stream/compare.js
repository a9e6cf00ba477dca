// compare.js: all tables side by side, each run in a process of its own.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SingleBar } from 'cli-progress';
import { TABLES } from './options.js';
import { Problem } from './prepare.js';

const MAIN = fileURLToPath(new URL('./main.js', import.meta.url));

/** Odd, so that the median is a run. */
const ROUNDS = 3;

function runChild(table, { logic, threads, repeat }, input, file) {
  const options = { table, logic, input, threads, repeat, json: file };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
    const end = () => child.kill('SIGTERM'); // Ctrl-C reaches it from the terminal, this does not
    process.once('SIGTERM', end);
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text) => {
      said += text;
    });
    child.on('error', reject);
    child.on('close', (code) => {
      process.off('SIGTERM', end);
      if (code === 0) {
        resolve({ report: JSON.parse(readFileSync(file, 'utf8')), said });
      } else {
        process.stderr.write(said);
        reject(new Problem(said ? '' : `the run over ${table} did not end in order`, code || 1));
      }
    });
  });
}

/** Rounds go through all tables in turn, so that a noisy moment meets each alike. Returns each table's median run. */
export async function compareTables(options, input) {
  const folder = mkdtempSync(join(tmpdir(), 'haft-compare-'));
  const reports = TABLES.map(() => []);
  const bar = new SingleBar({
    format: '{bar} {value} of {total} runs',
    stream: process.stderr,
    clearOnComplete: true,
  });
  const ignore = () => {}; // the child gets Ctrl-C too, and ends in order; so do we
  process.on('SIGINT', ignore);
  let warnings = '';
  bar.start(ROUNDS * TABLES.length, 0);
  try {
    for (let round = 0; round < ROUNDS; round++) {
      for (const [i, table] of TABLES.entries()) {
        const { report, said } = await runChild(table, options, input, join(folder, 'report.json'));
        reports[i].push(report);
        warnings ||= said; // each run refuses the same lines
        bar.increment();
      }
    }
  } finally {
    bar.stop();
    process.off('SIGINT', ignore);
    rmSync(folder, { recursive: true, force: true });
  }
  process.stderr.write(warnings);
  return reports.map((runs) => runs.sort((a, b) => a.perSecond - b.perSecond)[(ROUNDS - 1) / 2]);
}
