// What the scripts share: finding the compilers, running a program with its output in a log, and hashing files.
// Plain Node, no dependency: these run before anything is installed.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
export const cores = Math.max(1, os.cpus().length);

/** An error whose message is all that the user needs; no stack is printed. */
export class Plain extends Error {}

/** Runs `main` and ends the process: with one plain sentence on a `Plain` error. */
export async function run(main) {
  try {
    process.exitCode = (await main()) ?? 0;
  } catch (error) {
    if (!(error instanceof Plain)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}

/** The full path of a program, as the shell would find it, or undefined. */
export function which(name) {
  const folders = name.includes('/') ? [''] : (process.env.PATH ?? '').split(path.delimiter);
  for (const folder of folders) {
    const file = path.join(folder, name);
    try {
      fs.accessSync(file, fs.constants.X_OK);
      if (fs.statSync(file).isFile()) return file;
    } catch {}
  }
  return undefined;
}

/** One tool: what its variable names, or the first of `names` that is there and answers `--version`. */
function tool(what, variable, names, debian) {
  const named = variable && process.env[variable]?.trim();
  for (const candidate of named ? [named] : names) {
    const [program, ...before] = candidate.split(/\s+/);
    if (!which(program)) continue;
    const version = spawnSync(program, [...before, '--version'], { encoding: 'utf8' });
    if (version.status === 0) return { command: candidate, program, before, version: version.stdout };
  }
  if (named)
    throw new Plain(`haft needs ${what} to build: ${variable} is set to "${named}", which does not run.`);
  const or = variable ? ` or set ${variable}` : '';
  throw new Plain(`haft needs ${what} to build: install ${debian} (Debian: apt-get install ${debian})${or}.`);
}

export function compilers() {
  return {
    cxx: tool('a C++ compiler', 'CXX', ['c++', 'g++', 'clang++'], 'g++'),
    cc: tool('a C compiler', 'CC', ['cc', 'gcc', 'clang'], 'gcc'),
  };
}

export function buildTools() {
  const found = compilers();
  const make = tool('make', 'MAKE', ['make', 'gmake'], 'make');
  const python = tool('Python 3', 'PYTHON', ['python3', 'python'], 'python3');
  const version = /^Python (\d+)/.exec(python.version)?.[1];
  if (version !== '3') {
    throw new Plain(
      'haft needs Python 3 to build: install python3 (Debian: apt-get install python3) or set PYTHON.',
    );
  }
  return { ...found, make, python };
}

/**
 * Runs a program to its end. Its output goes to the file `log` where one is given, else into the answer.
 * Resolves with { status, signal, timedOut, output }; does not throw.
 */
export function execute(program, args, { log, cwd = root, env = process.env, timeout } = {}) {
  return new Promise((resolve) => {
    const file = log === undefined ? undefined : fs.openSync(log, 'a');
    const pipe = file ?? 'pipe';
    // A group of its own where there is a timeout, so that what the program started ends with it.
    const child = spawn(program, args, {
      cwd,
      env,
      stdio: ['ignore', pipe, pipe],
      detached: timeout !== undefined,
    });
    const chunks = [];
    child.stdout?.on('data', (chunk) => chunks.push(chunk));
    child.stderr?.on('data', (chunk) => chunks.push(chunk));
    let timedOut = false;
    const timer =
      timeout === undefined
        ? undefined
        : setTimeout(() => {
            timedOut = true;
            kill(child);
          }, timeout);
    const stop = () => {
      kill(child);
      process.exit(130);
    };
    if (timeout !== undefined) process.on('SIGINT', stop).on('SIGTERM', stop);
    const done = (status, signal, text = '') => {
      clearTimeout(timer);
      if (timeout !== undefined) process.off('SIGINT', stop).off('SIGTERM', stop);
      if (file !== undefined) {
        if (text) fs.writeSync(file, text);
        fs.closeSync(file);
      }
      resolve({ status, signal, timedOut, output: Buffer.concat(chunks).toString('utf8') + text });
    };
    child.once('error', (error) => done(127, null, `${error.message}\n`));
    child.once('close', (status, signal) => done(status, signal));
  });
}

function kill(child) {
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    child.kill('SIGKILL');
  }
}

/** Calls `work` for every item, `width` at a time; answers in the order of the items. */
export async function pool(items, work, width = cores) {
  const results = new Array(items.length);
  let next = 0;
  const lane = async () => {
    while (next < items.length) {
      const at = next++;
      results[at] = await work(items[at]);
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, lane));
  return results;
}

/** All files under a folder of the project that end in one of `ends`, sorted; none if the folder is not there. */
export function files(folder, ends, deep = false) {
  const found = [];
  let entries = [];
  try {
    entries = fs.readdirSync(path.join(root, folder), { withFileTypes: true });
  } catch {}
  for (const entry of entries) {
    const name = `${folder}/${entry.name}`;
    if (entry.isDirectory()) {
      if (deep) found.push(...files(name, ends, true));
    } else if (ends.some((end) => entry.name.endsWith(end))) {
      found.push(name);
    }
  }
  return found.sort();
}

export function hash(...parts) {
  const sum = createHash('sha1');
  for (const part of parts) sum.update(part).update('\0');
  return sum.digest('hex');
}

/** The content hash of one file of the project; '' if it is not there. */
export function hashFile(name) {
  try {
    return hash(fs.readFileSync(path.join(root, name)));
  } catch {
    return '';
  }
}
