// Builds the plugins with CMake and with node-gyp, and loads those of each. With a name, `cmake` or `node-gyp`, that alone.
import { spawnSync } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const [only] = process.argv.slice(2);
/** The exit code of an example that cannot run here, as Automake's tests have it. */
const SKIPPED = 77;

function build(program, ...args) {
  const { status, stdout, stderr, error } = spawnSync(program, args, { cwd: here, encoding: 'utf8' });
  if (error?.code === 'ENOENT') {
    console.error(`examples/header needs ${program}: apt-get install ${program}`);
    process.exit(SKIPPED);
  }
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} failed:\n${stdout}${stderr}`);
}

function cmake() {
  build('cmake', '-S', '.', '-B', 'build/cmake');
  build('cmake', '--build', 'build/cmake');
  return 'build/cmake';
}

function nodeGyp() {
  // The headers of the running Node, where they are beside it; else node-gyp fetches them.
  const prefix = dirname(dirname(realpathSync(process.execPath)));
  const headers = existsSync(join(prefix, 'include/node/node_api.h')) ? [`--nodedir=${prefix}`] : [];
  const gyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');
  build(process.execPath, gyp, 'configure', 'build', '--release', ...headers);
  return 'build/Release';
}

const builds = { cmake, 'node-gyp': nodeGyp };
for (const [name, make] of Object.entries(builds)) {
  if (only !== undefined && only !== name) continue;
  console.log(`built with ${name}`);
  const { status } = spawnSync(process.execPath, ['main.js', make()], { cwd: here, stdio: 'inherit' });
  if (status !== 0) process.exit(1);
}
