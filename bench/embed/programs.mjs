// The C programs of the bench `embed`: builds them when first needed, and runs them.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { lastWords } from '../last-words.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const build = fileURLToPath(new URL('../../build/bench-embed/', import.meta.url));
const haft = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

// What a program is built from and called with, and what it takes that may not be there.
const programs = {
  haft: { target: 'embed', takes: 'a C compiler', command: (file) => [file, `${here}logic.mjs`] },
  'haft-guest': {
    target: 'guest.so',
    takes: 'a C compiler',
    command: (file) => [process.execPath, haft, 'run', file, `${here}logic.mjs`, '--'],
  },
  node: {
    target: 'node',
    takes: 'a C compiler',
    command: (file) => [file, process.execPath, '-e', '0'],
  },
  quickjs: {
    target: 'quickjs',
    takes: 'cargo, clang, and the registry crates.io',
    command: (file) => [file, `${here}rules.mjs`],
  },
  lua: {
    target: 'lua',
    takes: 'the Debian packages liblua5.4-dev, lua-cjson and pkg-config',
    command: (file) => [file, `${here}rules.lua`],
  },
};

// The message is the reason why the subject has no figure.
export class NotBuilt extends Error {}

// The same Node in all of them.
const env = { ...process.env, HAFT_NODE: process.execPath };

const run = (program, args) =>
  execFileSync(program, args, { encoding: 'utf8', env, stdio: ['ignore', 'pipe', 'pipe'] });

// The figure that the subject's program prints.
export function figureOf(subject, args) {
  const { target, takes, command } = programs[subject];
  const file = `${build}${target}`;
  try {
    run('make', ['-s', '-C', here, file]);
  } catch (error) {
    throw new NotBuilt(`could not be built; it takes ${takes}: ${lastWords(error.stderr ?? error.message)}`);
  }
  const [program, ...before] = command(file);
  try {
    return Number(run(program, [...before, ...args.map(String)]));
  } catch (error) {
    throw new Error(`${subject} ${args.join(' ')}: ${lastWords(error.stderr) || error.message}`);
  }
}
