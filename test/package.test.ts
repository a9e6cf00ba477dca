// What is published: all that the package's own package.json, its pages and a build from its folder need.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { root } from './support/child.js';

const own = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
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

it('the headers, the sources of the addon, and all pages are there', () => {
  const needed = ['native/include', 'native/core', 'native', 'docs'].flatMap((folder) =>
    readdirSync(join(root, folder), { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => `${folder}/${name}`),
  );
  for (const path of [...needed, 'binding.gyp', 'README.md']) expect(packed).toContain(path);
});

it('nothing else of the tree is there', () => {
  const folders = new Set([...packed].map((path) => path.split('/')[0]));
  for (const folder of ['test', 'build', 'build-native', 'scripts', 'bench', 'node_modules']) {
    expect(folders).not.toContain(folder);
  }
});
