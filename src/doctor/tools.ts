// What building needs: headers, compilers, make, Python. haft runs without them, so nothing here is a failure.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { INCLUDE } from '../place.js';
import { type Finding, failure, ok, warning } from './finding.js';

const TIMEOUT_MILLISECONDS = 10_000;

interface Tool {
  readonly id: string;
  readonly title: string;
  /** Names it in the environment. */
  readonly variable: string;
  readonly names: readonly string[];
  readonly debian: string;
}

const TOOLS: readonly Tool[] = [
  { id: 'compiler.c', title: 'C compiler', variable: 'CC', names: ['cc', 'gcc', 'clang'], debian: 'gcc' },
  {
    id: 'compiler.cxx',
    title: 'C++ compiler',
    variable: 'CXX',
    names: ['c++', 'g++', 'clang++'],
    debian: 'g++',
  },
  { id: 'make', title: 'make', variable: 'MAKE', names: ['make', 'gmake'], debian: 'make' },
  { id: 'python', title: 'Python 3', variable: 'PYTHON', names: ['python3', 'python'], debian: 'python3' },
];

export function tools(): Finding[] {
  return [haftHeader(), nodeHeaders(), ...TOOLS.map(tool)];
}

function haftHeader(): Finding {
  if (existsSync(join(INCLUDE, 'haft.h'))) return ok('header.haft', 'haft.h', join(INCLUDE, 'haft.h'));
  return failure(
    'header.haft',
    'haft.h',
    `missing in ${INCLUDE}`,
    'install haft again: the package is not whole',
  );
}

// Only addons of one's own need them; plugins and hosts do not.
function nodeHeaders(): Finding {
  const folder = join(dirname(dirname(process.execPath)), 'include', 'node');
  if (existsSync(join(folder, 'node_api.h'))) return ok('header.node', 'headers of Node', folder);
  const next = 'node-gyp downloads them when an addon is built; without a network, give it --nodedir';
  return warning('header.node', 'headers of Node', `not beside the node that runs (${folder})`, next);
}

function tool({ id, title, variable, names, debian }: Tool): Finding {
  const named = process.env[variable]?.trim();
  for (const candidate of named ? [named] : names) {
    const [program, ...before] = candidate.split(/\s+/);
    const { status, stdout } = spawnSync(program!, [...before, '--version'], {
      encoding: 'utf8',
      timeout: TIMEOUT_MILLISECONDS,
    });
    if (status === 0) return ok(id, title, `${candidate}: ${stdout.split('\n')[0]!.trim()}`);
  }
  const next = `to build, install ${debian} (Debian: apt-get install ${debian}) or set ${variable}`;
  return warning(id, title, named ? `${variable}="${named}" does not run` : 'not found', next);
}
