// Makes the checkout ready to run: installs what package-lock.json lists, builds the addons and the C hosts,
// compiles TypeScript. Each step is skipped while its inputs are unchanged; when all is fresh this does and prints
// nothing. Everything it prints goes to stderr.
//
//     node scripts/prepare.mjs             all steps
//     node scripts/prepare.mjs --install   the packages only (enough for lint)
//     node scripts/prepare.mjs --lenient   all steps; without a compiler those that need none
//
// build/.prepared.json keeps what each step was made from. A step that was killed midway is still marked as running
// there, and starts from clean the next time.
import fs from 'node:fs';
import path from 'node:path';
import { buildTools, execute, files, hash, hashFile, Plain, pool, root, run } from './tools.mjs';

const stampFile = path.join(root, 'build/.prepared.json');
const lockFile = path.join(root, 'build/.prepare.lock');
const logs = path.join(root, 'build/logs');
const at = (name) => path.join(root, name);
const exists = (name) => fs.existsSync(at(name));
const say = (text) => process.stderr.write(`haft: ${text}\n`);
const readJson = (name) => {
  try {
    return JSON.parse(fs.readFileSync(at(name), 'utf8'));
  } catch {
    return undefined;
  }
};

// ---- The steps: `inputs` are files by content, `also` is what else they depend on ----

const platform = `${process.version} ${process.platform} ${process.arch}`;
const compilerVariables = ['CC', 'CXX', 'CFLAGS', 'CXXFLAGS', 'CPPFLAGS', 'LDFLAGS'];
const compilerChoice = () => compilerVariables.map((name) => process.env[name] ?? '').join('|');

const steps = {
  install: {
    saying: 'installing packages',
    inputs: () => ['package-lock.json'],
    also: () => `${process.platform} ${process.arch}`,
    intact: packagesMatch,
    work: install,
  },
  native: {
    saying: 'building the native part (a minute or so)',
    inputs: () => [
      'binding.gyp',
      'node_modules/node-addon-api/package.json',
      'node_modules/node-gyp/package.json',
      ...['native', 'examples/stream/baselines', 'bench/native'].flatMap((folder) =>
        files(folder, ['.cc', '.S', '.h', '.hpp'], true),
      ),
    ],
    also: () => `${platform} ${root} ${compilerChoice()}`,
    work: buildNative,
    outputs: () => files('build/Release', ['.node']),
  },
  hosts: {
    saying: 'building the C hosts',
    inputs: () => [
      ...['examples/stream/host', 'test/hosts', 'test/conformance'].flatMap((folder) =>
        files(folder, ['.c', '.cpp', '.h', '.hpp']),
      ),
      ...files('native/include', ['.h', '.hpp']),
    ],
    also: () => `${platform} ${compilerChoice()}`,
    work: buildHosts,
    outputs: () => files('build/Release', ['.so']),
  },
  programs: {
    saying: 'building the library for programs that embed',
    inputs: () => [
      'test/conformance/conformance.h',
      ...files('native/embed', [''], true),
      ...['native/core', 'native/include'].flatMap((folder) => files(folder, ['.cc', '.h', '.hpp'])),
      ...files('test/embed', ['.c', '.h']),
      ...files('test/hosts', ['.h']),
    ],
    also: () => `${platform} ${compilerChoice()}`,
    work: buildPrograms,
    outputs: () => files('build/programs', ['']),
  },
  types: {
    saying: 'compiling TypeScript',
    inputs: () => [
      'tsconfig.json',
      'scripts/bundle.mjs',
      'node_modules/rolldown/package.json',
      'node_modules/typescript/package.json',
      ...files('src', ['.ts'], true),
    ],
    also: () => '',
    work: compileTypes,
    outputs: () => files('dist', [''], true),
  },
};

// ---- Freshness ----

const readStamp = () => readJson('build/.prepared.json') ?? {};

function writeStamp(name, entry) {
  const stamp = { ...readStamp(), [name]: entry };
  fs.writeFileSync(`${stampFile}.${process.pid}`, JSON.stringify(stamp));
  fs.renameSync(`${stampFile}.${process.pid}`, stampFile);
}

function inputsOf(step) {
  const inputs = Object.fromEntries(step.inputs().map((name) => [name, hashFile(name)]));
  return { inputs, sum: hash(step.also(), JSON.stringify(inputs)) };
}

const sizes = (names) => Object.fromEntries(names.map((name) => [name, fs.statSync(at(name)).size]));

function whole(entry) {
  return Object.entries(entry.outputs ?? {}).every(([name, size]) => {
    try {
      return size > 0 && fs.statSync(at(name)).size === size;
    } catch {
      return false;
    }
  });
}

function fresh(name, stamp = readStamp()) {
  const step = steps[name];
  const entry = stamp[name];
  if (step.intact && !step.intact()) return false;
  return entry?.state === 'done' && entry.sum === inputsOf(step).sum && whole(entry);
}

/** Whether node_modules holds what package-lock.json lists, as npm itself recorded it. */
function packagesMatch() {
  const wanted = readJson('package-lock.json')?.packages;
  const have = readJson('node_modules/.package-lock.json')?.packages;
  if (!wanted)
    throw new Plain('haft: package-lock.json is missing or damaged; restore it from the repository.');
  if (!have) return false;
  for (const [name, entry] of Object.entries(wanted)) {
    if (name === '') continue;
    if (have[name] === undefined ? !entry.optional : have[name].version !== entry.version) return false;
  }
  return Object.keys(have).every((name) => exists(`${name}/package.json`));
}

// ---- The lock: two of these never work on one checkout at once ----

async function withLock(work) {
  fs.mkdirSync(logs, { recursive: true });
  for (let told = false; ; ) {
    try {
      fs.writeFileSync(lockFile, String(process.pid), { flag: 'wx' });
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') {
        throw new Plain(`haft cannot write to its own folder build: ${error.message}.`);
      }
    }
    const owner = lockOwner();
    if (owner === undefined) {
      fs.rmSync(lockFile, { force: true });
      continue;
    }
    if (!told) say(`process ${owner} is preparing this checkout; waiting for it`);
    told = true;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const beat = setInterval(() => {
    const now = new Date();
    fs.utimes(lockFile, now, now, () => {});
  }, 5000);
  try {
    return await work();
  } finally {
    clearInterval(beat);
    fs.rmSync(lockFile, { force: true });
  }
}

/** The process that holds the lock, if it is alive: its number may have gone to another one since. */
function lockOwner() {
  try {
    const owner = Number(fs.readFileSync(lockFile, 'utf8'));
    if (Date.now() - fs.statSync(lockFile).mtimeMs > 30_000) return undefined;
    if (owner > 0) process.kill(owner, 0);
    return owner;
  } catch (error) {
    return error.code === 'EPERM' ? 'of another user' : undefined;
  }
}

// ---- The work ----

/** Runs one command of a step; on failure tells what matters of its log. */
async function command(step, program, args, { env = process.env, cwd } = {}) {
  const log = path.join(logs, `${step}.log`);
  fs.appendFileSync(log, `$ ${program} ${args.join(' ')}\n`);
  const { status } = await execute(program, args, { log, env, cwd });
  if (status !== 0) throw new Plain(failure(step, log));
}

function failure(step, log) {
  const lines = fs
    .readFileSync(log, 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '');
  const telling = lines.findIndex((line) =>
    /\berror(:| TS\d)|undefined reference|npm (ERR|error)/.test(line),
  );
  const from = telling < 0 ? Math.max(0, lines.length - 20) : Math.max(0, telling - 1);
  const excerpt = lines.slice(from, from + 20);
  return `${excerpt.join('\n')}\nhaft: ${steps[step].saying.replace(/ \(.*/, '')} failed; the whole log is ${path.relative(process.cwd(), log)}.`;
}

async function install() {
  const cli = process.env.npm_execpath;
  const [program, ...before] = cli?.endsWith('npm-cli.js') ? [process.execPath, cli] : ['npm'];
  // No install scripts: koffi brings its binary as a package, and ours is built below.
  const args = ['ci', '--ignore-scripts', '--include=dev', '--include=optional', '--no-audit', '--no-fund'];
  // What the caller asked of `npm start` (--json, --dry-run, a workspace) is not meant for this.
  await command('install', program, [...before, ...args], { env: environment() });
  if (!packagesMatch()) throw new Plain(failure('install', path.join(logs, 'install.log')));
}

function environment(more = {}) {
  const env = { ...process.env, ...more };
  for (const name of Object.keys(env)) {
    if (/^npm_config_(dry_run|loglevel|json|global|omit|only|production|workspace|prefix)/i.test(name))
      delete env[name];
  }
  return env;
}

/** The folder whose include/node holds the headers of the running Node, or undefined. */
function headersBesideNode() {
  const prefix = path.dirname(path.dirname(fs.realpathSync(process.execPath)));
  try {
    const text = fs.readFileSync(path.join(prefix, 'include/node/node_version.h'), 'utf8');
    const part = (name) => new RegExp(`#define NODE_${name}_VERSION (\\d+)`).exec(text)?.[1];
    return `v${part('MAJOR')}.${part('MINOR')}.${part('PATCH')}` === process.version ? prefix : undefined;
  } catch {
    return undefined;
  }
}

async function buildNative({ clean }) {
  const { cc, cxx, make, python } = buildTools();
  if (clean) {
    for (const name of [
      'obj.target',
      '.deps',
      ...files('build/Release', ['.node']).map((file) => path.basename(file)),
    ]) {
      fs.rmSync(at(`build/Release/${name}`), { recursive: true, force: true });
    }
  }
  const prefix = headersBesideNode();
  if (!prefix) {
    say(
      `the headers of Node ${process.version} are not beside ${process.execPath}; node-gyp looks for them itself`,
    );
  }
  const env = environment({
    CC: cc.command,
    CXX: cxx.command,
    MAKE: make.command,
    // One target that does not compile does not keep the others from being built.
    MAKEFLAGS: `${process.env.MAKEFLAGS ?? ''} -k`.trim(),
    // The files of binding.gyp are listed by the same Node.
    PATH: `${path.dirname(process.execPath)}${path.delimiter}${process.env.PATH ?? ''}`,
  });
  const gyp = at('node_modules/node-gyp/bin/node-gyp.js');
  const headers = prefix ? [`--nodedir=${prefix}`] : [];
  const args = [
    gyp,
    'configure',
    'build',
    '--release',
    '--jobs=max',
    `--python=${python.program}`,
    ...headers,
  ];
  await command('native', process.execPath, args, { env });
}

async function buildHosts() {
  const single = files('test/hosts', ['.c', '.cpp']).map((file) => ({
    name: path.parse(file).name,
    sources: [file],
  }));
  const stream = { name: 'stream_host', sources: files('examples/stream/host', ['.c']) };
  const conformance = { name: 'conformance', sources: files('test/conformance', ['.c']) };
  const hosts = [stream, conformance, ...single].filter(({ sources }) => sources.length > 0);
  const { cc, cxx } = buildTools();
  fs.mkdirSync(at('build/Release'), { recursive: true });
  await pool(hosts, async ({ name, sources }) => {
    const plusPlus = sources[0].endsWith('.cpp');
    const compiler = plusPlus ? cxx : cc;
    const output = `build/Release/${name}.so`;
    const part = `${output}.${process.pid}.part`;
    const flags = [
      plusPlus ? '-std=c++17' : '-std=gnu11',
      '-O2',
      '-g',
      '-Wall',
      '-Wextra',
      '-fPIC',
      '-shared',
      '-pthread',
    ];
    const args = [
      ...compiler.before,
      ...flags,
      '-fvisibility=hidden',
      '-Inative/include',
      ...sources,
      '-o',
      part,
      '-lm',
    ];
    await command('hosts', compiler.program, args);
    fs.renameSync(at(part), at(output));
  });
}

/** libhaft_embed, which is for Linux, and the programs of test/embed. */
async function buildPrograms() {
  if (process.platform !== 'linux') return;
  const { cc, cxx, make } = buildTools();
  await command('programs', make.program, [...make.before, '-C', 'native/embed', 'static'], {
    env: environment({ CXX: cxx.command }),
  });
  const described = fs.readFileSync(at('build/embed/lib/pkgconfig/haft_embed.pc'), 'utf8');
  const libraries = /^Libs.private: *(.*)$/m.exec(described)[1].split(' ');
  fs.mkdirSync(at('build/programs'), { recursive: true });
  await pool(files('test/embed', ['.c']), async (source) => {
    const output = `build/programs/${path.parse(source).name}`;
    const part = `${output}.${process.pid}.part`;
    const flags = ['-std=gnu11', '-O2', '-g', '-Wall', '-Wextra', '-pthread', '-Inative/include'];
    const args = [
      ...cc.before,
      ...flags,
      source,
      'build/embed/lib/libhaft_embed.a',
      ...libraries,
      '-o',
      part,
      '-lm',
    ];
    await command('programs', cc.program, args);
    fs.renameSync(at(part), at(output));
  });
}

async function compileTypes() {
  if (files('src', ['.ts'], true).length === 0) return;
  const tsc = at('node_modules/typescript/bin/tsc');
  await command('types', process.execPath, [tsc, '-p', '.', '--emitDeclarationOnly']);
  // What a removed source left behind must not be imported any more.
  for (const file of files('dist', ['.d.ts', '.d.ts.map'], true)) {
    if (!exists(file.replace(/^dist/, 'src').replace(/\.d\.ts(\.map)?$/, '.ts'))) fs.rmSync(at(file));
  }
  await command('types', process.execPath, [at('scripts/bundle.mjs')]);
}

async function perform(name) {
  const step = steps[name];
  const before = readStamp()[name];
  const { inputs, sum } = inputsOf(step);
  // From clean unless make can tell by time what changed: each changed file is newer than the last build.
  const changed = Object.keys(inputs).filter((file) => inputs[file] !== before?.inputs?.[file]);
  const newer = changed.every((file) => exists(file) && fs.statSync(at(file)).mtimeMs > before?.ended);
  const settled = before?.state === 'done' || before?.state === 'failed';
  const clean = !(settled && newer && before.also === step.also() && whole(before));
  // Packages that somebody installed by hand are as good as ours.
  if (step.intact?.() && (before === undefined || before.also === step.also())) {
    writeStamp(name, { state: 'done', inputs, sum, also: step.also(), ended: Date.now() });
    return;
  }
  say(step.saying);
  fs.rmSync(path.join(logs, `${name}.log`), { force: true });
  writeStamp(name, { state: 'running' });
  try {
    await step.work({ clean });
  } catch (error) {
    writeStamp(name, { state: 'failed', inputs, also: step.also(), ended: Date.now() });
    throw error;
  }
  const outputs = sizes(step.outputs?.() ?? []);
  writeStamp(name, { state: 'done', inputs, sum, also: step.also(), ended: Date.now(), outputs });
}

/** Why nothing can be compiled, if it need not be; else that ends this. */
function missingTools(isLenient) {
  try {
    buildTools();
    return undefined;
  } catch (error) {
    if (!isLenient || !(error instanceof Plain)) throw error;
    return error.message;
  }
}

await run(async () => {
  if (Number(process.versions.node.split('.')[0]) < 20) {
    throw new Plain(
      `haft needs Node 20 or newer: this is ${process.version}; install a newer one from nodejs.org.`,
    );
  }
  const names = process.argv.includes('--install') ? ['install'] : Object.keys(steps);
  const stamp = readStamp();
  if (names.every((name) => fresh(name, stamp))) return;
  // Before the first thing is installed, say what will be missing at the third.
  const compiles =
    names.includes('native') && !['native', 'hosts', 'programs'].every((name) => fresh(name, stamp));
  const lacks = compiles ? missingTools(process.argv.includes('--lenient')) : undefined;
  await withLock(async () => {
    for (const name of names) {
      if (lacks !== undefined && (name === 'native' || name === 'hosts' || name === 'programs')) continue;
      if (!fresh(name)) await perform(name);
    }
  });
  if (lacks === undefined) return;
  say(`built without the addon, since ${lacks.replace(/^haft needs/, 'that needs')}`);
  say('koffi stands in for it: docs/backends.md');
});
