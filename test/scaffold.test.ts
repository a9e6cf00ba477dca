// The way from a fresh clone to something that runs: scripts/prepare.mjs and what it says when a tool is missing.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = path.dirname(import.meta.dirname);

/** Every tool of the build but those of `without`, each a link in a folder that is the whole PATH. */
function pathWithout(folder: string, without: string[]) {
  fs.mkdirSync(folder);
  for (const name of ['c++', 'cc', 'make', 'python3', 'sh', 'env', 'dirname']) {
    const found = (process.env.PATH ?? '')
      .split(':')
      .map((place) => path.join(place, name))
      // Shims of version managers need more than themselves.
      .find((file) => fs.existsSync(file) && !fs.readFileSync(file).subarray(0, 2).equals(Buffer.from('#!')));
    if (!found || without.includes(name)) continue;
    fs.symlinkSync(found, path.join(folder, name));
  }
  return folder;
}

function prepare(checkout: string, env: Record<string, string> = {}) {
  const inherited = { ...process.env };
  for (const name of ['CC', 'CXX', 'MAKE', 'PYTHON']) delete inherited[name];
  return spawnSync(process.execPath, [path.join(checkout, 'scripts/prepare.mjs')], {
    cwd: checkout,
    encoding: 'utf8',
    env: { ...inherited, ...env },
  });
}

describe('a fresh clone without a tool', () => {
  let folder: string;
  let checkout: string;
  beforeAll(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'haft-scaffold-'));
    checkout = path.join(folder, 'haft');
    fs.mkdirSync(checkout);
    for (const name of ['package.json', 'package-lock.json', 'binding.gyp', 'scripts']) {
      fs.cpSync(path.join(root, name), path.join(checkout, name), { recursive: true });
    }
  });
  afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

  it.each([
    ['c++', 'haft needs a C++ compiler to build: install g++ (Debian: apt-get install g++) or set CXX.\n'],
    ['cc', 'haft needs a C compiler to build: install gcc (Debian: apt-get install gcc) or set CC.\n'],
    ['make', 'haft needs make to build: install make (Debian: apt-get install make) or set MAKE.\n'],
    [
      'python3',
      'haft needs Python 3 to build: install python3 (Debian: apt-get install python3) or set PYTHON.\n',
    ],
  ])('%s: says so in one sentence and installs nothing', (name, sentence) => {
    const result = prepare(checkout, { PATH: pathWithout(path.join(folder, name), [name]) });
    expect(result.stderr).toBe(sentence);
    expect(result.stdout).toBe('');
    expect(result.status).toBe(1);
    expect(fs.existsSync(path.join(checkout, 'node_modules'))).toBe(false);
  });

  it('a compiler that CXX names and that is not there: names it', () => {
    const result = prepare(checkout, { CXX: 'no-such-compiler -x' });
    expect(result.stderr).toBe(
      'haft needs a C++ compiler to build: CXX is set to "no-such-compiler -x", which does not run.\n',
    );
    expect(result.status).toBe(1);
  });
});

it('a second prepare does nothing and prints nothing', () => {
  const stamp = path.join(root, 'build/.prepared.json');
  const before = fs.statSync(stamp).mtimeMs;
  const result = prepare(root);
  expect(result.stderr + result.stdout).toBe('');
  expect(result.status).toBe(0);
  expect(fs.statSync(stamp).mtimeMs).toBe(before);
});
