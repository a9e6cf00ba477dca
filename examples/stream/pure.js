// pure.js: the floor. The same logic over the same lines in a plain loop: no C, no threads, no handles.
import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { streamCommand } from './options.js';
import { Problem, prepare, runMain, writeReport } from './prepare.js';
import { printReport } from './print.js';

/** Records between two readings of the clock, as in the host. */
const WINDOW = 64;

/** The lines as the host sees them: LF or CRLF ends one, blank ones are counted and left out. */
function readLines(path) {
  const bytes = readFileSync(path);
  const lines = [];
  let at = bytes.subarray(0, 3).equals(Buffer.from([0xef, 0xbb, 0xbf])) ? 3 : 0;
  for (let number = 1; at < bytes.length; number++) {
    const newline = bytes.indexOf(10, at);
    const next = newline < 0 ? bytes.length + 1 : newline + 1;
    const end = bytes[next - 2] === 13 ? next - 2 : next - 1;
    const text = bytes.subarray(at, Math.max(at, end));
    if (text.length > 0) lines.push({ text: isUtf8(text) ? text.toString() : null, number });
    at = next;
  }
  if (lines.length === 0) throw new Problem(`${path} holds no records`);
  return lines;
}

/** All of a record's way; what any step throws refuses it. */
function take(logic, states, { text, number }) {
  if (text === null) throw new TypeError('a string is not valid UTF-8');
  const record = logic.decode(text, number);
  const key = logic.partition(record);
  if (typeof key !== 'string') throw new TypeError('partition returned no string');
  let state = states.get(key);
  if (state === undefined) {
    state = { value: logic.state(key) };
    states.set(key, state);
  }
  logic.compute(state.value, record);
}

function run(logic, lines, repeat) {
  const states = new Map();
  const windows = [];
  let refused = 0;
  const begin = performance.now();
  for (let round = 0; round < repeat; round++) {
    for (let from = 0; from < lines.length; from += WINDOW) {
      const started = performance.now();
      const to = Math.min(from + WINDOW, lines.length);
      for (let i = from; i < to; i++) {
        try {
          take(logic, states, lines[i]);
        } catch {
          refused++;
        }
      }
      windows.push(performance.now() - started);
    }
  }
  return { seconds: (performance.now() - begin) / 1000, refused, states, windows };
}

function quantiles(windows) {
  const sorted = Float64Array.from(windows).sort();
  const at = (quantile) => sorted[Math.max(0, Math.ceil(sorted.length * quantile) - 1)] * 1000;
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1) };
}

await runMain(async () => {
  const options = streamCommand('pure', 'The logic alone, in a loop.').parse(process.argv).opts();
  const { logic, input } = await prepare(options);
  const lines = readLines(input);
  const { seconds, refused, states, windows } = run(logic, lines, options.repeat);
  const read = lines.length * options.repeat;
  const keys = [...states.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const report = {
    table: 'pure-js',
    threads: 1,
    read,
    counted: read - refused,
    refused,
    seconds,
    perSecond: (read - refused) / seconds,
    latencyMicroseconds: quantiles(windows),
    handles: { created: 0, live: 0 },
    results: Object.fromEntries(keys.map((key) => [key, logic.encode(key, states.get(key).value)])),
  };
  printReport(report);
  if (options.json !== undefined) writeReport(options.json, report);
});
