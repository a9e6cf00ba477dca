// P31, from end to end: a logic that scribbles over the memory that it shares with a program in C, whose threads call it
// meanwhile. The program comes through, and can start another logic. The seed is in a failure's text; HAFT_STRESS_SEED in
// the environment repeats it.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root } from './support/child.js';

const TIMEOUT = 300_000;
const SEEDS = process.env.HAFT_STRESS_SEED ? [process.env.HAFT_STRESS_SEED] : ['1', '2', '3'];
let folder: string;

function run(program: string, args: string[]): string {
  const ended = spawnSync(program, args, { cwd: root, encoding: 'utf8', timeout: TIMEOUT });
  const text = `${program} ${args.join(' ')}\n${ended.stdout}${ended.stderr}`;
  expect(ended, text).toMatchObject({ status: 0, signal: null });
  return ended.stdout;
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'haft-hostile-'));
  run('make', ['-s', '-C', 'native/embed', 'shared']);
  const library = join(root, 'build/embed/lib');
  run('cc', [
    ...['-std=gnu11', '-O1', '-Wall', '-Wextra', '-Werror', '-Inative/include', 'test/embed/hostile.c'],
    ...[`-L${library}`, `-Wl,-rpath,${library}`, '-lhaft_embed', '-pthread', '-o', join(folder, 'hostile')],
  ]);
  run('c++', [
    ...['-std=c++17', '-O1', '-Wall', '-Wextra', '-Werror', '-shared', '-fPIC'],
    ...['-Inative/include', '-Inative/core', 'test/embed/scribble.cc', '-o', join(folder, 'scribble.so')],
  ]);
}, TIMEOUT);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What it came to, by the last line of test/embed/hostile.c. */
function scribbled(seed: string, region: 'own' | 'all', manner: 'instead' | 'beside') {
  const output = run(join(folder, 'hostile'), [join(folder, 'scribble.so'), seed, region, manner]);
  return JSON.parse(output.trim().split('\n').at(-1)!) as Record<string, string | number>;
}

describe.runIf(process.platform === 'linux')('a logic that scribbles over', () => {
  it.each(
    SEEDS.flatMap((seed) => [
      { seed, manner: 'instead' as const },
      { seed, manner: 'beside' as const },
    ]),
  )(
    'all of its own realm harms no one but itself: seed $seed, $manner of JavaScript',
    (given) => {
      const { started, called, answers } = scribbled(given.seed, 'own', given.manner);
      expect({ started, called }).toEqual({ started: 'HAFT_OK', called: 'HAFT_OK' });
      expect(answers).toBeGreaterThan(0);
    },
    TIMEOUT,
  );

  // Where kinds and directory are not what they were, other logics may not start. That is a status, and no more.
  it.each(
    SEEDS.flatMap((seed) => [
      { seed, manner: 'instead' as const },
      { seed, manner: 'beside' as const },
    ]),
  )(
    'the whole arena does not end the program: seed $seed, $manner of JavaScript',
    (given) => {
      const { started, reason, asked } = scribbled(given.seed, 'all', given.manner);
      expect(started).toMatch(/^HAFT_(OK|E_\w+)$/);
      expect(reason).not.toBe('unknown reason');
      expect(asked).toBeGreaterThan(0);
    },
    TIMEOUT,
  );
});
