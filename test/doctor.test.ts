// `haft doctor`: what it finds right, what it finds wrong, and what it says to do about it.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { distance, KNOWN } from '../src/doctor/environment.js';
import { built, type ChildOptions, expectExit, haft, root } from './support/child.js';

interface Finding {
  id: string;
  title: string;
  state: 'ok' | 'warning' | 'failure' | 'skipped';
  value: string;
  next?: string;
}

interface Diagnosis {
  haft: string;
  ok: boolean;
  failures: number;
  warnings: number;
  backend: string | null;
  figures: Record<string, number> | null;
  sections: { title: string; findings: Finding[] }[];
}

const CLEAN = Object.fromEntries(KNOWN.map((name) => [name, '']));
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'haft-doctor-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function doctor(env: Record<string, string>, code: number, options: ChildOptions = {}) {
  const ended = expectExit(await haft(['doctor', '--json'], { ...options, env: { ...CLEAN, ...env } }), code);
  return checked(ended.stdout);
}

/** The diagnosis, when it agrees with itself. */
function checked(json: string) {
  const diagnosis = JSON.parse(json) as Diagnosis;
  const findings = diagnosis.sections.flatMap((section) => section.findings);
  const count = (state: string) => findings.filter((finding) => finding.state === state).length;
  expect(diagnosis.failures).toBe(count('failure'));
  expect(diagnosis.warnings).toBe(count('warning'));
  expect(diagnosis.ok).toBe(diagnosis.failures === 0);
  for (const { id, state, value, next } of findings) {
    expect(value, id).not.toBe('');
    if (state === 'warning' || state === 'failure') expect(next, id).toMatch(/\w/);
    else expect(next, id).toBeUndefined();
  }
  expect(new Set(findings.map(({ id }) => id)).size).toBe(findings.length);
  return {
    ...diagnosis,
    find: (id: string) => findings.find((finding) => finding.id === id),
    states: (state: string) => findings.filter((finding) => finding.state === state).map(({ id }) => id),
  };
}

describe('a healthy machine', () => {
  it('--json: stable fields, no failure, figures of the self-test', async () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    const found = await doctor({}, 0);
    expect(found).toMatchObject({ haft: version, ok: true, failures: 0, backend: 'addon' });
    expect(found.sections.map(({ title }) => title)).toEqual([
      'versions',
      'environment',
      'backend',
      'building',
      'limits',
      'self-test',
    ]);
    const { createGetDelete, post, call, posts, calls } = found.figures!;
    for (const figure of [createGetDelete, post, call, posts, calls]) expect(figure).toBeGreaterThan(0);
    expect(found.find('version.node')).toMatchObject({ state: 'ok', value: process.versions.node });
    expect(found.find('version.koffi')!.value).toMatch(/^\d+\.\d+/);
    expect(found.find('platform')!.value).toContain(`${process.platform}-${process.arch}`);
    expect(found.find('addon')!.value).toContain(built('haft.node'));
    expect(found.find('self-test.delivered')!.value).toMatch(/^all [\d,]+ of them/);
    expect(found.find('self-test.misuse')!.state).toBe('ok');
    expect(found.find('compiler.cxx')).toMatchObject({ state: 'ok' });
    expect(found.find('environment.HAFTCHECK')!.value).toContain('level 1');
  });

  it('as text: at most 100 columns, no escape sequences, every finding on a line of its own', async () => {
    const { stdout, stderr } = expectExit(await haft(['doctor'], { env: CLEAN }));
    expect(stderr).toBe('');
    const lines = stdout.split('\n');
    for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(100);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be there
    expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
    for (const word of ['versions', 'backend', 'limits', 'self-test']) expect(lines).toContain(word);
    expect(stdout).toMatch(/^ {2}ok {4}node +20|^ {2}ok {4}node +\d/m);
    expect(stdout).toMatch(/all is well\n$|\d+ failures?, \d+ warnings?\n$/);
  });
});

describe('the backend', () => {
  it('HAFT_BACKEND=koffi: says why, looks at the addon all the same, and tests koffi', async () => {
    const found = await doctor({ HAFT_BACKEND: 'koffi' }, 0);
    expect(found.backend).toBe('koffi');
    expect(found.find('backend')!.value).toBe('koffi, since HAFT_BACKEND says so');
    expect(found.find('addon')!.state).toBe('ok');
    expect(found.find('self-test.post')!.value).toContain('through koffi');
    expect(found.find('self-test.delivered')!.state).toBe('ok');
    expect(found.figures!.calls).toBeGreaterThan(0);
  });

  it('HAFT_BACKEND is neither', async () => {
    const found = await doctor({ HAFT_BACKEND: 'zebra' }, 1);
    expect(found.states('failure')).toEqual(['backend']);
    expect(found.find('backend')).toMatchObject({ next: 'set it to addon or koffi, or leave it out' });
    expect(found.states('skipped')).toEqual(['self-test']);
    expect(found.figures).toBeNull();
  });

  it('HAFT_ADDON names no file', async () => {
    const found = await doctor({ HAFT_ADDON: join(folder, 'nothing.node') }, 1);
    expect(found.backend).toBeNull();
    expect(found.states('failure')).toEqual(['addon']);
    expect(found.find('addon')!.value).toContain('nothing.node: no such file');
    expect(found.find('addon')!.next).toContain('unset HAFT_ADDON');
  });

  it('HAFT_ADDON names an addon of somebody else', async () => {
    const found = await doctor({ HAFT_ADDON: built('baselines.node') }, 1);
    expect(found.states('failure')).toEqual(['addon']);
    expect(found.find('addon')!.value).toContain('an addon, but not that of haft');
  });

  it('the same with koffi: only a warning', async () => {
    const found = await doctor({ HAFT_ADDON: built('baselines.node'), HAFT_BACKEND: 'koffi' }, 0);
    expect(found.states('failure')).toEqual([]);
    expect(found.find('addon')!.state).toBe('warning');
  });

  it('a failure of the self-test itself', async () => {
    // Two generations a slot: the table is used up in no time.
    const found = await doctor({ HAFT_ADDON: built('haft_small.node') }, 1);
    expect(found.states('failure')).toEqual(['self-test']);
    expect(found.find('self-test')!.value).toContain('HAFT_E_SLOTS');
  });
});

describe('the machine', () => {
  it('no compiler in the path: warnings, since all runs without', async () => {
    const found = await doctor({ PATH: folder, CC: '', CXX: '', MAKE: '', PYTHON: '' }, 0);
    expect(found.states('warning')).toEqual(['compiler.c', 'compiler.cxx', 'make', 'python']);
    expect(found.find('compiler.cxx')!.next).toContain('apt-get install g++');
  });

  it('CXX names what does not run', async () => {
    const found = await doctor({ CXX: 'no-such-compiler' }, 0);
    expect(found.states('warning')).toEqual(['compiler.cxx']);
    expect(found.find('compiler.cxx')!.value).toBe('CXX="no-such-compiler" does not run');
  });

  it.runIf(process.platform === 'linux')('a low ulimit -v', () => {
    const line = `ulimit -v 6000000; exec "$0" dist/cli.js doctor --json`;
    const env = { ...process.env, ...CLEAN };
    const run = spawnSync('sh', ['-c', line, process.execPath], { cwd: root, env, encoding: 'utf8' });
    expect(run).toMatchObject({ status: 1, signal: null });
    const found = checked(run.stdout);
    expect(found.states('failure')).toEqual(['limit.addresses', 'self-test.open']);
    expect(found.find('limit.addresses')!.next).toContain('ulimit -v unlimited');
    const koffi = spawnSync('sh', ['-c', line, process.execPath], {
      cwd: root,
      env: { ...env, HAFT_BACKEND: 'koffi' },
      encoding: 'utf8',
    });
    expect(checked(koffi.stdout).states('failure')).toEqual([]); // which reserves nothing
    expect(koffi.status).toBe(0);
  });
});

describe('the environment', () => {
  it('HAFTCHECK=7', async () => {
    const found = await doctor({ HAFTCHECK: '7' }, 1);
    expect(found.states('failure')).toEqual(['environment.HAFTCHECK']);
    expect(found.find('environment.HAFTCHECK')!.next).toContain('0, 1, 2 or 2,abort');
  });

  it.each([
    ['0', 'level 0'],
    ['2', 'level 2'],
    ['2,abort', 'level 2, ends at the first breach'],
  ])('HAFTCHECK=%s', async (level, says) => {
    const found = await doctor({ HAFTCHECK: level }, 0);
    expect(found.find('environment.HAFTCHECK')!.value).toBe(`${says} (HAFTCHECK)`);
  });

  it('names that haft does not read, with the nearest that it does', async () => {
    const found = await doctor(
      { HAFT_CHECK: '2', HAFT_TRAC: 'x', HAFT_BEEHIVE_SIZE: '3', HAFT_LEAKS: '1' },
      0,
    );
    expect(found.states('warning').sort()).toEqual([
      'environment.HAFT_BEEHIVE_SIZE',
      'environment.HAFT_CHECK',
      'environment.HAFT_TRAC',
    ]);
    expect(found.find('environment.HAFT_CHECK')!.next).toBe('did you mean HAFTCHECK?');
    expect(found.find('environment.HAFT_TRAC')!.next).toBe('did you mean HAFT_TRACE?');
    expect(found.find('environment.HAFT_BEEHIVE_SIZE')!.next).toContain('haft reads HAFTCHECK, HAFT_ADDON');
    expect(found.find('environment.HAFT_LEAKS')).toMatchObject({ state: 'ok', value: '1' });
  });

  it('HAFT_TRACE is looked at, and the file left alone', async () => {
    const file = join(folder, 'trace.json');
    const found = await doctor({ HAFT_TRACE: file }, 0);
    expect(found.find('environment.HAFT_TRACE')!.state).toBe('ok');
    expect(existsSync(file)).toBe(false);
    const wrong = await doctor({ HAFT_TRACE: join(folder, 'nowhere', 'trace.json') }, 1);
    expect(wrong.states('failure')).toEqual(['environment.HAFT_TRACE']);
    const aFolder = await doctor({ HAFT_TRACE: folder }, 1);
    expect(aFolder.find('environment.HAFT_TRACE')!.value).toBe(`${folder} is a folder`);
  });

  it.each([
    ['HAFT_LEAKS', 'yes', 'a file whose name ends in .json'],
    ['HAFT_INSPECT', 'yes', 'set it to 1'],
  ])('%s=%s: told once, with its next step', async (name, value, next) => {
    const found = await doctor({ [name]: value }, 1);
    expect(found.states('failure')).toEqual([`environment.${name}`]);
    expect(found.find(`environment.${name}`)!.next).toContain(next);
    expect(found.states('skipped')).toEqual(['self-test.open']);
  });

  it('HAFT_LEAKS names a file that cannot be made', async () => {
    const found = await doctor({ HAFT_LEAKS: join(folder, 'nowhere', 'leaks.json') }, 1);
    expect(found.states('failure')).toEqual(['environment.HAFT_LEAKS']);
  });

  it('HAFT_TRACE_MEGABYTES is no number', async () => {
    for (const value of ['lots', '-1']) {
      const found = await doctor({ HAFT_TRACE_MEGABYTES: value }, 1);
      expect(found.states('failure')).toEqual(['environment.HAFT_TRACE_MEGABYTES']);
    }
  });

  it.each([
    ['', '', 0],
    ['abc', 'abc', 0],
    ['abc', '', 3],
    ['kitten', 'sitting', 3],
    ['HAFT_CHECK', 'HAFTCHECK', 1],
  ])('the distance of %j and %j is %i', (a, b, expected) => {
    expect(distance(a, b)).toBe(expected);
    expect(distance(b, a)).toBe(expected);
  });
});
