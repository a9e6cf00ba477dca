// datasets.js: the real data that the shipped logic modules read, from the npm package vega-datasets.
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The path of one of the package's data files. */
export function dataset(name) {
  let entry;
  try {
    entry = createRequire(import.meta.url).resolve('vega-datasets'); // its only export; the data lies beside it
  } catch {
    throw new Error(
      'the data is in the npm package vega-datasets, which is not installed: npm install vega-datasets',
    );
  }
  return join(dirname(entry), '..', 'data', name);
}

/** A JSON array of records, as a file of one record a line. Made once, and kept in build/ (or the temporary folder). */
export function datasetLines(name) {
  const source = dataset(name);
  const made = name.replace(/\.json$/, '.jsonl');
  const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
  const folders = [join(root, 'build', 'stream'), join(tmpdir(), 'haft-stream')];
  const cached = folders.map((folder) => join(folder, made)).find((path) => isNewer(path, source));
  if (cached) return cached;
  const lines = JSON.parse(readFileSync(source, 'utf8')).map((record) => `${JSON.stringify(record)}\n`);
  return writeToFirst(folders, made, lines.join(''));
}

function isNewer(path, source) {
  const made = statSync(path, { throwIfNoEntry: false });
  return made !== undefined && made.mtimeMs > statSync(source).mtimeMs;
}

/** Through a name of its own, so that another process never meets half a file. */
function writeToFirst([folder, ...others], name, text) {
  const path = join(folder, name);
  const unfinished = `${path}.${process.pid}`;
  try {
    mkdirSync(folder, { recursive: true });
    writeFileSync(unfinished, text);
    renameSync(unfinished, path);
    return path;
  } catch (error) {
    if (others.length === 0) throw new Error(`cannot keep the data in ${folder}: ${error.message}`);
    return writeToFirst(others, name, text);
  }
}
