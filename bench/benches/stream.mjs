// Bench `stream`: the example host, records from a file through C and JavaScript to a sink in C, over each table; and
// the floor, its logic alone in a loop. Each is the example's own program, which measures at its sink.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { lastWords } from '../last-words.mjs';

export const subjects = ['haft', 'big-old-map', 'sharded-map', 'pure-js'];

export const cases = ({ quick }) => [{ threads: 8, repeat: quick ? 1 : 5 }];

const example = fileURLToPath(new URL('../../examples/stream', import.meta.url));

export async function measure(subject, { threads, repeat }) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'haft-bench-'));
  const out = path.join(folder, 'out.json');
  const program =
    subject === 'pure-js'
      ? ['pure.js', '--repeat', repeat]
      : ['main.js', '--table', subject, '--threads', threads, '--repeat', repeat];
  try {
    const [script, ...args] = [...program.map(String), '--json', out];
    const ended = spawnSync(process.execPath, [path.join(example, script), ...args], { encoding: 'utf8' });
    if (ended.status !== 0) {
      throw new Error(`examples/stream/${script} failed: ${lastWords(ended.stderr) || ended.signal}`);
    }
    const { perSecond, latencyMicroseconds } = JSON.parse(fs.readFileSync(out, 'utf8'));
    const row = { params: { threads, repeat }, ns: 1e9 / perSecond, perSecond };
    if (latencyMicroseconds) row.p99Microseconds = latencyMicroseconds.p99;
    return [row];
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}
