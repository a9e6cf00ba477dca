// The conformance suite over the backends that are here; and that it finds what is broken.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { built, child, expectExit, root, script } from './support/child.js';

interface Run {
  case: string;
  thread: string;
  promise: string;
  result: string;
  text?: string;
}
interface Outcome {
  backend: string;
  trouble?: string;
  runs: Run[];
}

const LONG = 280_000;
let folder: string;
let files = 0;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'haft-conformance-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs the suite; tells what became of the first backend, and how it all ended. */
async function conformance(args: string[], env: Record<string, string> = {}) {
  const json = join(folder, `${files++}.json`);
  const program = join(root, 'scripts', 'conformance.mjs');
  const ended = await child([program, '--json', json, ...args], { env, timeout: LONG });
  const text = readFileSync(json, 'utf8');
  return { ended, outcome: JSON.parse(text.split('\n')[0] || '{"runs":[]}') as Outcome };
}
const told = ({ runs }: Outcome, result: string) =>
  runs.filter((run) => run.result === result).map((run) => `${run.case} ${run.thread}: ${run.text}`);

/** The sections and cases that there are. */
async function list() {
  const { stdout } = expectExit(
    await child([join(root, 'test', 'conformance', 'run.mjs'), built('conformance.so'), '--list']),
  );
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  return {
    sections: lines.filter((line) => line.section) as { section: number; title: string }[],
    runs: lines.filter((line) => line.case) as Run[],
  };
}

async function opens(backend: string): Promise<boolean> {
  const source = "import { Registry } from 'haft'; console.log(new Registry().backend);";
  const { code, stdout } = await script(source, [], { env: { HAFT_BACKEND: backend } });
  return code === 0 && stdout.trim() === backend;
}

describe('the promises of haft.h', () => {
  it('are kept by the addon', { timeout: LONG }, async () => {
    const { ended, outcome } = await conformance(['--backend', 'addon']);
    expect(outcome.trouble).toBeUndefined();
    expect(told(outcome, 'failed')).toEqual([]);
    expect(told(outcome, 'refused')).toEqual([]); // it lacks nothing
    expectExit(ended);
    expect(ended.stdout).toMatch(/^\d{3} passed, 0 failed\n$/m);
  });

  it('are kept or refused by koffi alone', { timeout: LONG }, async ({ skip }) => {
    if (!(await opens('koffi'))) skip('there is no such backend here');
    const { ended, outcome } = await conformance(['--backend', 'koffi']);
    expect(outcome.trouble).toBeUndefined();
    expect(told(outcome, 'failed')).toEqual([]);
    expectExit(ended);
  });
});

describe.runIf(process.platform === 'linux')('a program that embeds', () => {
  it('has the promises kept, as far as they apply', { timeout: LONG }, async () => {
    const { ended, outcome } = await conformance(['--backend', 'embed']);
    expect(outcome.trouble).toBeUndefined();
    expect(told(outcome, 'failed')).toEqual([]);
    expect(told(outcome, 'refused')).toEqual([]);
    expectExit(ended);
    expect(ended.stdout).toMatch(/^\d{3} passed, 0 failed\n$/m);
  });

  it('has the cases of foreign threads, and says how many do not apply', async () => {
    const { ended, outcome } = await conformance(['--backend', 'embed', '--only', '2.1,8.1,11.5,11.11']);
    expectExit(ended);
    expect(outcome.runs.map((run) => `${run.case} ${run.thread}`)).toEqual(['2.1 foreign', '11.11 foreign']);
    // The own thread's of three cases, and haft_memory's foreign one.
    expect(ended.stdout).toContain("4 of the other backends' cases do not apply\n");
    expect(ended.stdout).toContain('2 passed, 0 failed\n');
  });
});

describe('the suite', () => {
  it('gives each number once, in order, and a promise with each', async () => {
    const { sections, runs } = await list();
    const keys = runs.map((run) => `${run.case} ${run.thread}`);
    expect(new Set(keys).size).toBe(keys.length);
    const promises = new Map<string, Set<string>>();
    for (const run of runs) promises.set(run.case, (promises.get(run.case) ?? new Set()).add(run.promise));
    expect(promises.size).toBeGreaterThan(120);
    for (const [number, texts] of promises) {
      expect(texts.size, number).toBe(1); // a number that two cases share
      expect([...texts][0], number).toMatch(/^.{12,}\.$/s);
      expect(sections.some(({ section }) => number.startsWith(`${section}.`))).toBe(true);
    }
    const order = [...promises.keys()].map((number) => number.split('.').map(Number) as [number, number]);
    expect(order).toEqual([...order].sort((a, b) => a[0] - b[0] || a[1] - b[1]));
  });

  it('has its sections in the docs', async () => {
    const page = readFileSync(join(root, 'docs', 'conformance.md'), 'utf8');
    const rows = [...page.matchAll(/^\| (\d+\. .*?) \|/gm)].map((match) => match[1]);
    expect(rows).toEqual((await list()).sections.map(({ section, title }) => `${section}. ${title}`));
  });

  const WRAP = ['--backend', 'addon', '--wrap', built('broken_api.so')];

  it.each([
    ['release_is_ok', '2.10', 'expected HAFT_E_STALE'],
    ['retain_is_lost', '2.14', 'HAFT_E_STALE'],
    ['check_ignores_kind', '2.15', 'expected HAFT_E_KIND'],
    ['post_twice', '5.8', 'expected -1'],
    ['call_keeps_result', '5.11', 'expected 0'],
    ['value_free_does_nothing', '6.22', 'expected 0'],
    ['last_error_of_nobody', '9.2', 'haft_last_error()'],
    ['realm_check_lacks', '3.24', 'got HAFT_E_BACKEND'], // no backend may lack it
  ])('finds a backend broken: %s', async (broken, number, text) => {
    const { ended, outcome } = await conformance([...WRAP, '--only', number], { HAFT_BROKEN: broken });
    const failed = told(outcome, 'failed');
    expect(failed, ended.stderr).not.toEqual([]);
    expect(failed.join('\n')).toContain(text);
    expect(ended.code).toBe(1);
  });

  it('passes over the same table with nothing broken', async () => {
    const { ended } = await conformance([...WRAP, '--only', '2.10,2.14', '--only', '3.24']);
    expectExit(ended);
    expect(ended.stdout).toContain('6 passed, 0 failed\n');
  });

  it.each([
    ['retain_crashes', 'ended by SIGABRT'],
    ['retain_hangs', 'no end after 3 s'],
  ])('names the case under which its process ended, and goes on: %s', async (broken, why) => {
    const args = [...WRAP, '--only', '2.3,2.8,6.1', '--patience', '3'];
    const { ended, outcome } = await conformance(args, { HAFT_BROKEN: broken });
    const results = outcome.runs.map((run) => `${run.case} ${run.thread} ${run.result}`);
    expect(results).toEqual([
      '2.3 own failed',
      '2.3 foreign failed',
      ...['own', 'foreign'].map((thread) => `2.8 ${thread} failed`),
      ...['own', 'foreign'].map((thread) => `6.1 ${thread} passed`),
    ]);
    for (const run of outcome.runs.slice(0, 4)) expect(run.text).toContain(why);
    expect(ended.stdout).toContain('2 passed, 4 failed\n');
  });

  it('counts a backend that does not open as a failure, unless it is optional', async () => {
    const args = ['--backend', 'none-of-that-name', '--only', '2.1'];
    const { ended } = await conformance(args);
    expectExit(ended, 1);
    expect(ended.stdout).toContain('none-of-that-name: cannot be opened');
    expect(ended.stdout).toMatch(/^0 passed, 1 failed$/m);
    const optional = await conformance([...args, '--optional', 'none-of-that-name']);
    expectExit(optional.ended);
    expect(optional.ended.stdout).toMatch(/^0 passed, 0 failed, 1 skipped$/m);
  });

  it('says in one sentence what is wrong with its arguments', async () => {
    const { ended } = await conformance(['--only', '2.1,99.1']);
    expectExit(ended, 1);
    expect(ended.stderr).toBe("There is no case '99.1'.\n");
  });
});
