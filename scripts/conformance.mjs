// npm run conformance: each promise of haft.h, over each backend.
//
//     npm run conformance -- [--backend NAME] [--optional NAME] [--only 3.7] [--json FILE] [--verbose]
//
//   --backend   what HAFT_BACKEND is set to, or embed; more than one may be named. Without it: addon, koffi and embed
//   --optional  this one need not open: then it is skipped, else it counts as one failure
//   --only      these cases, by number; more than one may be named
//   --json      for each backend a line with what became of each case, in a file
//   --verbose   lists every case, not only those that failed or were refused
//   --patience  seconds in which a process may be silent, 90 without this, 400 with HAFTCHECK=2, which takes stacks
//   --wrap      a library whose wrap_api makes another table of the backend's, to see the suite find its faults
//
// Every case runs on each of its threads: "own" is the realm's, "foreign" another. The cases of a backend run in a process
// of their own (test/conformance/run.mjs). That of embed is a program in C, and JavaScript its child
// (test/embed/conformance.c): it has the cases that apply there, and how many do not is said below the table. Where that crashes or is silent for too long, the case that was running has
// failed, and another process goes on with the next. docs/conformance.md says more.
//
// The closing line is "N passed, N failed", and ", N skipped" if there were any: cases that the backend refused with
// HAFT_E_BACKEND where it may, and optional backends that did not open. The exit code is 0 if none failed.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { SingleBar } from 'cli-progress';
import Table from 'cli-table3';
import { jsonLines, numberOf, readArguments } from './command-line.mjs';
import { execute, Plain, root, run } from './tools.mjs';

const EMBED = 'embed';
const BACKENDS = ['addon', 'koffi', ...(process.platform === 'linux' ? [EMBED] : [])];
const INSIDE_NODE = [process.execPath, path.join(root, 'test/conformance/run.mjs')];
const EMBEDDING = [path.join(root, 'build/programs/conformance')];
const PLUGIN = path.join(root, 'build/Release/conformance.so');
const MOST_PROCESSES = 20; // a backend

function readCommandLine() {
  const options = {
    backend: { type: 'string', multiple: true, default: BACKENDS },
    optional: { type: 'string', multiple: true, default: [] },
    only: { type: 'string', multiple: true },
    json: { type: 'string' },
    verbose: { type: 'boolean', default: false },
    patience: { type: 'string', default: process.env.HAFTCHECK?.startsWith('2') ? '400' : '90' },
    wrap: { type: 'string' },
  };
  const { values } = readArguments(options);
  const patience = numberOf(values, 'patience', { least: 1, most: 3600 });
  const only = values.only?.flatMap((numbers) => numbers.split(','));
  return { ...values, only, patience, writeJson: jsonLines(values.json) };
}

const programOf = (backend) => (backend === EMBED ? EMBEDDING : INSIDE_NODE);

/** { sections: [title], runs: [{ run, case, thread, promise }] } of the cases that were asked for and apply. */
async function list([program, ...before], args) {
  const { status, output } = await execute(program, [...before, PLUGIN, '--list', ...args]);
  if (status !== 0) throw new Plain(`The cases cannot be listed.\n${output.trimEnd()}`);
  const lines = output.trim().split('\n').map(JSON.parse);
  return {
    sections: lines.filter((line) => line.section).map(({ title }) => title),
    runs: lines.filter((line) => line.case),
  };
}

/** One process: tells each line that it writes to `hear`; resolves with why it ended otherwise than done. */
function processOf({ backend, args, patience, hear }) {
  return new Promise((resolve) => {
    const [program, ...before] = programOf(backend);
    const way = backend === EMBED ? { HAFT_NODE: process.execPath } : { HAFT_BACKEND: backend };
    const child = spawn(program, [...before, PLUGIN, ...args], {
      cwd: root,
      env: { ...process.env, ...way },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let errors = '';
    let silent = false;
    let done = false;
    const watch = () =>
      setTimeout(() => {
        silent = true;
        child.kill('SIGKILL');
      }, patience * 1000);
    let timer = watch();
    const stop = () => {
      child.kill('SIGKILL');
      process.exit(130);
    };
    process.once('SIGINT', stop).once('SIGTERM', stop);
    child.once('error', (error) => resolve(error.message));
    child.stderr.setEncoding('utf8').on('data', (text) => {
      errors = (errors + text).slice(-4000);
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      clearTimeout(timer);
      timer = watch();
      const said = JSON.parse(line);
      if (said.done) done = true;
      else hear(said);
    });
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      process.off('SIGINT', stop).off('SIGTERM', stop);
      if (done && code === 0) return resolve(undefined);
      const end = signal ? `ended by ${signal}` : `exit code ${code}`;
      const why = silent ? `no end after ${patience} s` : end;
      resolve(`${why}${errors ? `\n${errors.trim()}` : ''}`);
    });
  });
}

/** All runs of a backend: { opened, trouble, runs: [{ run, case, thread, promise, result, text }] }. */
async function conform(backend, runs, args, patience) {
  const outcome = { backend, opened: undefined, trouble: undefined, runs: [] };
  const bar = new SingleBar({
    format: `${backend} {bar} {value} of {total} cases`,
    stream: process.stderr,
    clearOnComplete: true,
  });
  bar.start(runs.length, 0);
  for (let next = 0, processes = 0; next < runs.length; processes++) {
    let running;
    const hear = (said) => {
      if (said.opened) outcome.opened = said.opened;
      else if (said.began) running = said;
      else {
        const { promise } = runs[said.run];
        const known = said.result === 'failed' ? KNOWN[backend]?.[said.case] : undefined;
        outcome.runs.push({ ...said, promise, ...(known && { result: 'refused', text: `known: ${known}` }) });
        next = said.run + 1;
        running = undefined;
        bar.update(next);
      }
    };
    const why = await processOf({ backend, args: ['--from', String(next), ...args], patience, hear });
    if (outcome.opened !== backend) {
      outcome.trouble = outcome.opened
        ? `HAFT_BACKEND=${backend} opened the backend ${outcome.opened}`
        : (why ?? 'the process did nothing');
      outcome.runs = [];
      break;
    }
    if (why === undefined) continue;
    // What fails where no case runs is the next one's, so that it goes on.
    const failed = runs[running?.run ?? Math.min(next, runs.length - 1)];
    if (running === undefined && next >= runs.length) outcome.runs.pop();
    outcome.runs.push({ ...failed, result: 'failed', text: why });
    next = failed.run + 1;
    if (processes === MOST_PROCESSES) {
      for (const left of runs.slice(next)) outcome.runs.push({ ...left, result: 'failed', text: 'not run' });
      break;
    }
  }
  bar.stop();
  return outcome;
}

// Promises that a backend cannot keep, and cannot refuse either; shown as such, and counted as refused.
const KNOWN = {
  koffi: { 9.9: 'koffi does not tell threads apart: docs/backends.md' },
};

const counted = (runs, result) => runs.filter((run) => run.result === result).length;
const numbers = (...of) => of.map((content) => ({ content, hAlign: 'right' }));
const plain = { head: [], border: [], compact: true };

function show({ backend, trouble, runs, inapplicable }, sections, verbose) {
  if (trouble !== undefined) {
    console.log(`${backend}: cannot be opened: ${trouble}\n`);
    return;
  }
  const table = new Table({ head: [backend, 'cases', 'passed', 'failed', 'refused'], style: plain });
  for (const [index, title] of sections.entries()) {
    const own = runs.filter((run) => run.case.startsWith(`${index + 1}.`));
    if (own.length === 0) continue;
    const results = ['passed', 'failed', 'refused'].map((result) => counted(own, result) || '');
    table.push([`${index + 1}. ${title}`, ...numbers(own.length, ...results)]);
  }
  console.log(table.toString());
  if (inapplicable > 0) console.log(`${inapplicable} of the other backends' cases do not apply`);
  const listed = runs.filter(({ result }) => verbose || result !== 'passed');
  if (listed.length > 0) {
    const cases = new Table({
      head: ['case', 'thread', 'result', 'promise'],
      style: plain,
      colWidths: [null, null, null, 96],
      wordWrap: true,
    });
    for (const { case: number, thread, result, promise, text } of listed)
      cases.push([number, thread, result, text ? `${promise}\n${text}` : promise]);
    console.log(cases.toString());
  }
  console.log();
}

await run(async () => {
  const { backend: backends, optional, only, verbose, wrap, patience, writeJson } = readCommandLine();
  const args = [...(only ? ['--only', only.join()] : []), ...(wrap ? ['--wrap', path.resolve(wrap)] : [])];
  const { sections, runs: all } = await list(INSIDE_NODE, args);
  const embedded = backends.includes(EMBED) ? (await list(EMBEDDING, args)).runs : [];
  const unknown = only?.find((number) => ![...all, ...embedded].some((line) => line.case === number));
  if (unknown !== undefined) throw new Plain(`There is no case '${unknown}'.`);
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const backend of backends) {
    const runs = backend === EMBED ? embedded : all;
    const key = (run) => `${run.case} ${run.thread}`;
    const applied = new Set(runs.map(key));
    const inapplicable = all.filter((run) => !applied.has(key(run))).length;
    const outcome = { ...(await conform(backend, runs, args, patience)), inapplicable };
    show(outcome, sections, verbose);
    const counts = {
      passed: counted(outcome.runs, 'passed'),
      failed: counted(outcome.runs, 'failed'),
      refused: counted(outcome.runs, 'refused'),
    };
    writeJson({ ...counts, ...outcome });
    total.passed += counts.passed;
    total.failed += counts.failed;
    total.skipped += counts.refused;
    if (outcome.trouble !== undefined) total[optional.includes(backend) ? 'skipped' : 'failed']++;
  }
  const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : '';
  console.log(`${total.passed} passed, ${total.failed} failed${skipped}`);
  return total.failed === 0 ? 0 : 1;
});
