// What `haft --cflags --libs` prints: the flags of a compiler for haft's headers and for the embedding library of this
// package, which is built first.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { howToBuild, isAddonThere } from './binding.js';
import { INCLUDE, PACKAGE } from './place.js';
import { Problem } from './problem.js';

const SOURCES = join(PACKAGE, 'native', 'embed');
const BUILD = join(PACKAGE, 'build', 'embed');
const LIBRARIES = join(BUILD, 'lib');
const STATIC = join(LIBRARIES, 'libhaft_embed.a');

export interface FlagsOptions {
  readonly cflags?: boolean;
  readonly libs?: boolean;
  readonly static?: boolean;
}

/** @throws Problem The library cannot be built. */
export function flags({ cflags, libs, static: isStatic }: FlagsOptions): string {
  const words = cflags ? [`-I${INCLUDE}`] : [];
  if (libs) {
    build();
    if (!isAddonThere())
      console.error(`haft: to run logics the package needs its addon, too: ${howToBuild()}`);
    if (isStatic) words.push(STATIC, ...privateLibraries());
    else words.push(`-L${LIBRARIES}`, `-Wl,-rpath,${LIBRARIES}`, '-lhaft_embed');
  }
  return words.map(quoted).join(' ');
}

/** What the static library needs besides, as its build found it. */
const privateLibraries = () =>
  readFileSync(join(BUILD, 'object', 'private'), 'utf8')
    .trim()
    .split(' ');

/** As pkg-config does it, for make and for the shell's `eval`. */
const quoted = (word: string) => word.replaceAll(/[^\w@%+=:,./-]/g, '\\$&');

/** Whether anything has to be done is make's to say. */
function build(): void {
  if (process.platform !== 'linux') throw new Problem('libhaft_embed is for Linux only');
  const there = existsSync(STATIC);
  if (!there) console.error('haft: building libhaft_embed, once');
  const [make, ...before] = (process.env.MAKE?.trim() || 'make').split(/\s+/);
  const { error, status, stderr } = spawnSync(
    make!,
    [...before, '-s', '-C', SOURCES, 'BUILD=../../build/embed'],
    { encoding: 'utf8', env: own(process.env), stdio: ['ignore', 'ignore', 'pipe'] },
  );
  if (status === 0 || (error && there)) return;
  if (error)
    throw new Problem(
      `libhaft_embed has to be built, and ${make} does not run: install make and g++ (Debian: apt-get install make g++)`,
    );
  console.error(stderr.trim());
  throw new Problem(
    `libhaft_embed does not build; if the folder cannot be written to, run make -C ${quoted(SOURCES)} BUILD=FOLDER with one of yours`,
  );
}

/** The environment without what a Makefile that runs this means for itself. */
function own(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const foreign = ['MAKEFLAGS', 'MFLAGS', 'MAKELEVEL', 'CPPFLAGS', 'CXXFLAGS', 'LDFLAGS'];
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !foreign.includes(name)));
}
