// What is published: all that the package's own package.json, its pages and a build from its folder need.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { root } from './support/child.js';

const own = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
/** A program that embeds is not built from a checkout. `gate` is what it is built to. */
const EXAMPLE = 'examples/embed';
let packed: Set<string>;
beforeAll(() => {
  const told = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [{ files }] = JSON.parse(told) as [{ files: { path: string }[] }];
  packed = new Set(files.map(({ path }) => path));
});

it('what exports and bin name is there', () => {
  const targets = Object.values(own.exports).flatMap((one) =>
    typeof one === 'string' ? [one] : Object.values(one as Record<string, string>),
  );
  for (const target of [...targets, ...Object.values<string>(own.bin)]) {
    expect(packed).toContain(posix.normalize(target));
  }
});

it('the headers, the sources of the addon and of the embedding library, its example, and all pages are there', () => {
  const needed = ['native/include', 'native/core', 'native/embed', 'native', 'docs', EXAMPLE].flatMap(
    (folder) =>
      readdirSync(join(root, folder), { withFileTypes: true })
        .filter((entry) => entry.isFile() && entry.name !== 'gate')
        .map(({ name }) => `${folder}/${name}`),
  );
  for (const path of [...needed, 'binding.gyp', 'README.md']) expect(packed).toContain(path);
  expect(packed).not.toContain(`${EXAMPLE}/gate`);
});

it('nothing else of the tree is there', () => {
  const folders = new Set([...packed].map((path) => path.split('/')[0]));
  for (const folder of ['test', 'build', 'build-native', 'scripts', 'bench', 'node_modules']) {
    expect(folders).not.toContain(folder);
  }
});

describe('what a program that embeds waits for when it starts a child', () => {
  const imports = (file: string) =>
    [...readFileSync(join(root, 'dist', file), 'utf8').matchAll(/^import .*?"([^"]+)";$/gm)].map(
      ([, name]) => name!,
    );
  const [child, shared] = [imports('embed/child.js'), imports('shared.js')];

  it('is two files of haft', () => {
    expect(child.filter((name) => !name.startsWith('node:'))).toEqual(['../shared.js']);
    expect(shared.filter((name) => !name.startsWith('node:'))).toEqual([]);
  });

  it('is no module of Node that takes long to load', () => {
    const loaded = [...child, ...shared];
    expect(loaded).toContain('node:fs');
    // The last one opens the standard streams when it is imported.
    for (const slow of ['node:child_process', 'node:crypto', 'node:net', 'node:os', 'node:process'])
      expect(loaded).not.toContain(slow);
  });
});
