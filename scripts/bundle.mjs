// Joins the modules of src into a few files in dist: a program starts in half the time, since Node takes most of a
// millisecond for each file that it imports.
//
// Whatever several entries need stands in one file, dist/shared.js: there is one copy of each module in a process,
// whichever entries it imports. tsc makes the same entries from one file a module: what it leaves in dist runs as well.
import fs from 'node:fs';
import path from 'node:path';
import { rolldown } from 'rolldown';
import { files, root } from './tools.mjs';

const entries = [
  'index',
  'cli',
  'testing/index',
  'embed/child',
  // For tests of what is inside.
  'backend',
  'constants',
  'debugging/invariants',
  'mirror',
];

const { dependencies } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));
const bundle = await rolldown({
  cwd: root,
  input: Object.fromEntries(entries.map((name) => [name, `src/${name}.ts`])),
  platform: 'node',
  external: [/^node:/, ...Object.keys(dependencies)],
  tsconfig: false,
});
const { output } = await bundle.write({
  dir: 'dist',
  sourcemap: true,
  sourcemapExcludeSources: true, // they are in src
  minifyInternalExports: false,
  chunkFileNames: '[name].js',
  codeSplitting: {
    groups: [
      { name: 'shared', test: /src.(?!koffi-backend)/, minShareCount: 2 },
      { name: 'koffi-backend', test: /src.koffi-backend/ }, // what is not for all who import shared.js
    ],
  },
});

// What was here before must not be imported any more.
const made = new Set(output.map(({ fileName }) => `dist/${fileName}`));
for (const file of files('dist', ['.js', '.js.map'], true)) {
  if (!made.has(file)) fs.rmSync(path.join(root, file));
}
fs.chmodSync(path.join(root, 'dist/cli.js'), 0o755);
