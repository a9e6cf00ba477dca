// Takes each rule of the shared state out of the sources, and requires that its test sees it: a test that never fails
// tests nothing. Takes some minutes, and is no part of npm test.
//
//     node scripts/test-breaks.mjs [P10...]
//
// The list is test/breaks/rules.json; an entry is one way to break a rule:
//   rule, breaks   which, and how, in words
//   file           a source, with `find`, the exact text that is replaced by `replace` (or `changes`: a list of both)
//   program        a program of test/native that must fail then (`build`: under this build; else any of them)
//   vitest, name   or a test file, and the part of the tests' names: one of them must fail
//   model, define  or, where only a model can fail (arm64, or the order of steps in JavaScript): it must find an error
//                  when the name is defined; no source is changed
// The change is made in a copy of the sources. A test must pass in the copy before the change.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { execute, files, Plain, root, run, which } from './tools.mjs';

const SECONDS = 60; // a broken program may hang: that is a failure too

/** A copy of what the tests are made from; what is big and does not change is linked. */
function copy() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'haft-breaks-'));
  const skipped = new Set(['node_modules', 'build', 'build-native', 'dist', '.git']);
  for (const name of fs.readdirSync(root)) {
    if (skipped.has(name) || name.endsWith('.log')) continue;
    fs.cpSync(path.join(root, name), path.join(folder, name), { recursive: true });
  }
  fs.mkdirSync(path.join(root, 'build-native'), { recursive: true });
  for (const name of ['node_modules', 'build-native', 'build']) {
    fs.symlinkSync(path.join(root, name), path.join(folder, name));
  }
  return folder;
}

class Copy {
  #folder = copy();
  #compiled = false;

  /** Makes the change; answers with a function that takes it back. */
  change({ file, find, replace, changes = [[find, replace]] }) {
    if (file === undefined) return () => {};
    const name = path.join(this.#folder, file);
    const before = fs.readFileSync(name, 'utf8');
    let after = before;
    for (const [from, to] of changes) {
      const parts = after.split(from);
      if (parts.length !== 2)
        throw new Plain(`the text to replace stands ${parts.length - 1} times in ${file}: ${from}`);
      after = parts.join(to);
    }
    fs.writeFileSync(name, after);
    this.#compiled &&= !file.startsWith('src/');
    return () => {
      fs.writeFileSync(name, before);
      this.#compiled &&= !file.startsWith('src/');
    };
  }

  /** Runs the test of an entry: undefined if it passes, else what failed. */
  async test({ program, build, vitest, name, model, define }) {
    if (vitest) return this.#vitest(vitest, name);
    if (program)
      return this.#native(program, ['--timeout', String(SECONDS), ...(build ? ['--build', build] : [])]);
    return this.#native(model, [], define ? `${model} with ${define}` : model);
  }

  async #native(name, args, only) {
    const json = path.join(this.#folder, 'result.json');
    fs.rmSync(json, { force: true });
    const command = [path.join(this.#folder, 'scripts/test-native.mjs'), ...args, '--json', json, name];
    const { output } = await execute(process.execPath, command, { cwd: this.#folder });
    const { results } = readJson(json, output);
    const ran = results.filter((result) => only === undefined || result.name === only);
    if (ran.length === 0) throw new Plain(`nothing was run: ${output}`);
    const failed = ran.find(({ error }) => error);
    if (failed && /does not compile/.test(failed.error)) throw new Plain(failed.error);
    // A run of a model with a name defined passes when the model finds an error.
    if (only?.includes(' with ')) return failed ? undefined : only;
    return failed && `${failed.name}: ${failed.error.trim().split('\n').slice(0, 3).join(' | ')}`;
  }

  async #vitest(file, name) {
    if (!this.#compiled) {
      const tsc = path.join(root, 'node_modules/typescript/bin/tsc');
      const { status, output } = await execute(
        process.execPath,
        [tsc, '-p', '.', '--noEmitOnError', 'false'],
        { cwd: this.#folder },
      );
      // Whatever is unused after the change is no matter; tsc writes the files all the same.
      if (status !== 0 && /error TS(?!6133|6192|6196)/.test(output))
        throw new Plain(`it does not compile: ${output}`);
      this.#compiled = true;
    }
    const json = path.join(this.#folder, 'result.json');
    fs.rmSync(json, { force: true });
    const vitest = path.join(root, 'node_modules/vitest/vitest.mjs');
    const args = [
      vitest,
      'run',
      file,
      '-t',
      name,
      '--reporter=json',
      `--outputFile=${json}`,
      '--testTimeout=30000',
    ];
    const { output, timedOut } = await execute(process.execPath, args, {
      cwd: this.#folder,
      timeout: 5 * SECONDS * 1000,
    });
    if (timedOut) return `${file}: no end`;
    const report = readJson(json, output);
    const tests = report.testResults.flatMap((result) => result.assertionResults);
    if (tests.every(({ status }) => status !== 'passed' && status !== 'failed'))
      throw new Plain(
        `no test of ${file} is named "${name}": ${report.testResults.map((r) => r.message).join(' ')}`,
      );
    return tests.find(({ status }) => status === 'failed')?.fullName;
  }

  remove() {
    fs.rmSync(this.#folder, { recursive: true, force: true });
  }
}

function readJson(file, output) {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8'));
  } catch {
    throw new Plain(`the test did not run: ${output.trim().split('\n').slice(-20).join('\n')}`);
  }
}

const testOf = ({ program, vitest, name, model, build }) =>
  vitest ? `${vitest} -t "${name}"` : program ? `${program}${build ? ` (${build})` : ''}` : model;

await run(async () => {
  const only = process.argv.slice(2);
  const list = JSON.parse(fs.readFileSync(path.join(root, 'test/breaks/rules.json'), 'utf8'));
  const entries = list.filter(({ rule }) => only.length === 0 || only.includes(rule));
  if (entries.length === 0) throw new Plain(`no entry of test/breaks/rules.json is of ${only.join(', ')}.`);
  if (files('dist', ['.js']).length === 0) throw new Plain('build first: npm run build.');
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const sound = new Map(); // what failed before any change, by test
  const sources = new Copy();
  try {
    for (const entry of entries) {
      const where = entry.file ?? `test/models/${entry.model}`;
      const title = `${entry.rule} broken in ${where} (${entry.breaks})`;
      if (entry.model && !which('spin')) {
        counts.skipped++;
        console.log(`skip   ${title}: needs spin`);
        continue;
      }
      let problem;
      let caught;
      try {
        const unbroken = { ...entry, define: undefined };
        const test = testOf(entry);
        if (!sound.has(test)) sound.set(test, await sources.test(unbroken));
        if (sound.get(test)) throw new Plain(`its test fails without the change: ${sound.get(test)}`);
        const restore = sources.change(entry);
        try {
          caught = await sources.test(entry);
        } finally {
          restore();
        }
      } catch (error) {
        if (!(error instanceof Plain)) throw error;
        problem = error.message;
      }
      problem ??= caught ? undefined : `${testOf(entry)} still passes: it does not see its rule broken`;
      counts[problem ? 'failed' : 'passed']++;
      console.log(problem ? `FAILED ${title}: ${problem}` : `ok     ${title}: caught by ${testOf(entry)}`);
      if (!problem && process.env.HAFT_BREAKS_VERBOSE) console.log(`       ${caught}`);
    }
  } finally {
    sources.remove();
  }
  const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
  console.log(`${counts.passed} passed, ${counts.failed} failed${skipped}`);
  return counts.failed === 0 ? 0 : 1;
});
