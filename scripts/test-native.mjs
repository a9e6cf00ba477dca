// Tests the core without Node: each program of test/native, linked with native/core, built plain, with
// ThreadSanitizer, and with AddressSanitizer and UBSan; and each Promela model of test/models.
//
//     node scripts/test-native.mjs [--long] [--build NAME] [--arm64] [--timeout SECONDS] [--json FILE] [NAME...]
//
//   --long     twenty times the work in the programs
//   --build    only this build of the programs: plain, tsan or asan
//   --arm64    the programs alone, cross-compiled, under qemu-aarch64; skipped where the tools are missing
//   --timeout  seconds a run of a program, instead of what it says itself
//   --json     the counts, and each result: { passed, failed, skipped, results: [{ name, error }] }
//   NAME       only programs and models whose name contains it
//
// HAFT_STRESS_SEED in the environment repeats a failure that printed it. scripts/test-breaks.mjs shows that the
// programs fail when a rule is taken out of the sources.
//
// The first lines of a program may say, each on a line of its own:
//   // flags: -DHAFT_GENERATION_BITS=2          added to its compile line and to the core's
//   // builds: plain tsan                       of plain, tsan, asan; all without this line
//   // timeout: 300                             seconds a run, at scale 1; 120 without this line
// Those of a model:
//   // breaks: BREAK_FENCE                      with each of these defined a search must find an error (always)
//   // compile: -DVECTORSZ=4096                 added to the compile line of pan
//   // pan: -m1000000                           the options of pan's search
// Objects and programs are kept in build-native by the hash of what they are made from.
import fs from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { compilers, execute, files, hash, hashFile, Plain, pool, root, run, which } from './tools.mjs';

const cache = path.join(root, 'build-native');
const { values: options, positionals: filters } = parseArgs({
  allowPositionals: true,
  options: {
    long: { type: 'boolean', default: false },
    build: { type: 'string' },
    arm64: { type: 'boolean', default: false },
    timeout: { type: 'string' },
    json: { type: 'string' },
  },
});
const scale = options.long ? 40 : 2;

// Sanitizers look at each access: to optimise around them takes twice as long to compile, and finds nothing more.
const builds = {
  plain: ['-O2'],
  tsan: ['-O1', '-fsanitize=thread'],
  asan: ['-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'],
};
const arm64 = { cc: 'aarch64-linux-gnu-gcc', cxx: 'aarch64-linux-gnu-g++', run: 'qemu-aarch64' };
const common = ['-g1', '-fno-omit-frame-pointer', '-Wall', '-Wextra', '-pthread'];
const includes = ['-Inative/include', '-Inative/core', '-Inative'];

/** What the first lines of a file say under `name`, as words. */
function heading(file, name) {
  const head = fs.readFileSync(path.join(root, file), 'utf8').split('\n', 12).join('\n');
  const line = new RegExp(`^\\s*(?://|/?\\*+)\\s*${name}:(.*)$`, 'm').exec(head)?.[1];
  return line?.replace('*/', '').trim().split(/\s+/).filter(Boolean);
}

const selected = (file) => filters.length === 0 || filters.some((part) => path.basename(file).includes(part));

// ---- Programs ----

class Compiler {
  #tools = options.arm64 ? crossCompilers() : compilers();
  #made = new Map();
  #headers = hash(
    ...['native', 'test/native', 'test/hosts']
      .flatMap((folder) => files(folder, ['.h', '.hpp'], true))
      .flatMap((file) => [file, hashFile(file)]),
  );

  /** Makes one file in the cache, once, unless it is there; resolves with its path or throws a Plain error. */
  #make(key, end, tool, args, what) {
    const output = path.join(cache, `${key}${end}`);
    if (!this.#made.has(output)) this.#made.set(output, this.#compile(output, tool, args, what));
    return this.#made.get(output);
  }

  async #compile(output, tool, args, what) {
    if (fs.existsSync(output)) {
      const now = new Date();
      fs.utimesSync(output, now, now);
      return output;
    }
    const part = `${output}.${process.pid}.part`;
    const { status, output: text } = await execute(tool.program, [...tool.before, ...args, '-o', part]);
    if (status !== 0)
      throw new Plain(`${what} does not compile:\n${text.split('\n').slice(0, 30).join('\n')}`);
    fs.renameSync(part, output);
    return output;
  }

  #object(source, flags) {
    const c = source.endsWith('.c');
    const tool = c ? this.#tools.cc : this.#tools.cxx;
    const quiet = tool.version.includes('clang')
      ? []
      : flags.includes('-fsanitize=thread')
        ? ['-Wno-tsan']
        : [];
    const language = c ? ['-std=c11'] : ['-std=c++17'];
    if (source.startsWith('native/core/')) language.push('-fno-exceptions');
    const args = [...language, ...common, ...quiet, ...includes, ...flags, '-c', source];
    const key = hash(tool.command, tool.version, args.join(' '), hashFile(source), this.#headers);
    return this.#make(key, '.o', tool, args, source);
  }

  /** The executable of a program under one build, with these flags more. */
  async program(source, build, more) {
    const flags = [...flagsOf(build), ...more];
    const core = files('native/core', ['.cc', '.S']);
    // All to the end, so that no compiler is still at work when the first failure is told.
    const objects = await Promise.allSettled(
      [source, ...core].map((file) => limit(() => this.#object(file, flags))),
    );
    const failed = objects.find(({ status }) => status === 'rejected');
    if (failed) throw failed.reason;
    const made = objects.map(({ value }) => value);
    const args = [...flagsOf(build), '-pthread', ...made, '-ldl', '-lm'];
    const key = hash(this.#tools.cxx.version, ...args);
    const name = `-${path.parse(source).name}-${build}`;
    return limit(() => this.#make(key, name, this.#tools.cxx, args, source));
  }
}

/** As `compilers` gives them. */
function crossCompilers() {
  const tool = (command) => ({ command, program: command, before: [], version: command });
  return { cc: tool(arm64.cc), cxx: tool(arm64.cxx) };
}

// Static: there need be no system for that processor to take the libraries from.
const flagsOf = (build) => [...builds[build], ...(options.arm64 ? ['-static'] : [])];

// As many compilers at once as there are cores.
const waiting = [];
let free = (await import('node:os')).availableParallelism();
async function limit(work) {
  if (free > 0) free--;
  else await new Promise((resolve) => waiting.push(resolve));
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next) next();
    else free++;
  }
}

function sanitizerEnvironment() {
  const suppressions = path.join(root, 'test/native/tsan.supp');
  const tsan = ['halt_on_error=1', 'second_deadlock_stack=1', 'history_size=4'];
  if (fs.existsSync(suppressions)) tsan.push(`suppressions=${suppressions}`);
  return {
    ...process.env,
    HAFT_STRESS_SCALE: String(scale),
    TSAN_OPTIONS: tsan.join(':'),
    ASAN_OPTIONS: 'detect_stack_use_after_return=1:strict_string_checks=1',
    UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
  };
}

/** ThreadSanitizer refuses some layouts of the address space: then programs run without its randomisation. */
async function launcher(build) {
  if (options.arm64) return [arm64.run];
  if (build !== 'tsan' || !which('setarch')) return [];
  const { status } = await execute('setarch', ['-R', 'true']);
  return status === 0 ? ['setarch', '-R'] : [];
}

async function runProgram(executable, build, seconds) {
  const [program, ...args] = [...(await launcher(build)), executable];
  return execute(program, args, { env: sanitizerEnvironment(), timeout: seconds * 1000 });
}

const why = ({ status, signal, timedOut }, seconds) =>
  timedOut ? `no end after ${seconds} s` : signal ? `ended by ${signal}` : `exit code ${status}`;
const tail = (text) => text.trimEnd().split('\n').slice(-60).join('\n');

async function program(compiler, source, build) {
  const own = Number(heading(source, 'timeout')?.[0] ?? 120) * (options.long ? 5 : 1);
  const seconds = Number(options.timeout ?? own);
  const executable = await compiler.program(source, build, heading(source, 'flags') ?? []);
  const result = await runProgram(executable, build, seconds);
  return result.status === 0 ? '' : `${why(result, seconds)}\n${tail(result.output)}`;
}

function buildsOf(source) {
  const named = heading(source, 'builds') ?? Object.keys(builds);
  if (options.arm64) return named.filter((build) => build === 'plain');
  const unknown = named.find((build) => !(build in builds));
  if (unknown) throw new Plain(`${source} names the build "${unknown}"; there are plain, tsan and asan.`);
  return options.build === undefined ? named : named.filter((build) => build === options.build);
}

// ---- Models ----

/** Searches all states of a model; answers with the number of errors found, or why there is no answer. */
async function search(file, define) {
  const folder = fs.mkdtempSync(path.join(cache, 'model-'));
  try {
    const text = fs.readFileSync(path.join(root, file), 'utf8');
    const generate = ['-a', ...(define ? [`-D${define}`] : []), path.join(root, file)];
    const generated = await execute('spin', generate, { cwd: folder });
    if (generated.status !== 0 || !fs.existsSync(path.join(folder, 'pan.c')))
      return { trouble: generated.output };
    // A property of liveness needs the search for cycles; without one the quicker search does.
    const cycles = /^\s*(ltl|never)\b|^\s*(accept|progress)\w*:/m.test(text);
    const { cc } = compilers();
    // A search that finds an error is a short one: compiling is what takes its time.
    const flags = [
      define ? '-O0' : '-O2',
      '-w',
      ...(cycles ? [] : ['-DSAFETY']),
      '-DMEMLIM=2048',
      ...(heading(file, 'compile') ?? []),
    ];
    const compiled = await execute(cc.program, [...cc.before, ...flags, 'pan.c', '-o', 'pan'], {
      cwd: folder,
    });
    if (compiled.status !== 0) return { trouble: compiled.output };
    const pan = heading(file, 'pan') ?? ['-m1000000', ...(cycles ? ['-a'] : [])];
    const found = await execute('./pan', pan, { cwd: folder, timeout: 300_000 });
    const errors = Number(/errors: (\d+)/.exec(found.output)?.[1] ?? Number.NaN);
    // A search that was cut short has shown nothing, unless it found an error.
    const cut = /max search depth too small|out of memory|Search not completed/.test(found.output);
    if (Number.isNaN(errors) || (errors === 0 && cut))
      return { trouble: `${why(found, 300)}\n${tail(found.output)}` };
    return { errors, output: found.output };
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

async function model(file, define) {
  const { errors, trouble, output } = await search(file, define);
  if (trouble !== undefined) return `the search gave no answer: ${trouble}`;
  if (define) return errors > 0 ? '' : `no error is found with -D${define}: it does not see its rule broken`;
  return errors === 0 ? '' : `${errors} error(s)\n${tail(output)}`;
}

// ---- All of it ----

await run(async () => {
  fs.mkdirSync(cache, { recursive: true });
  forgetOld();
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const results = [];
  const report = async (name, work) => {
    const start = performance.now();
    let error;
    try {
      error = await work();
    } catch (thrown) {
      if (!(thrown instanceof Plain)) throw thrown;
      error = thrown.message;
    }
    const seconds = `${((performance.now() - start) / 1000).toFixed(1)} s`;
    counts[error ? 'failed' : 'passed']++;
    results.push({ name, error });
    console.log(`${error ? 'FAILED' : 'ok'.padEnd(6)} ${name.padEnd(44)} ${seconds.padStart(8)}`);
    if (error) console.log(error.replace(/^/gm, '    '));
  };

  const sources = files('test/native', ['.cc', '.c']).filter(selected);
  const missing = Object.values(arm64).filter((tool) => !which(tool));
  if (options.arm64 && missing.length > 0) {
    counts.skipped += sources.length;
    console.log(
      `skip   --arm64 needs ${missing.join(', ')} (Debian: apt-get install qemu-user g++-aarch64-linux-gnu)`,
    );
  } else if (sources.length > 0) {
    const compiler = new Compiler();
    const runs = sources.flatMap((source) => buildsOf(source).map((build) => ({ source, build })));
    // Build all first, then run one at a time: a stress program wants every core for itself.
    const flags = (source) => heading(source, 'flags') ?? [];
    await Promise.allSettled(runs.map(({ source, build }) => compiler.program(source, build, flags(source))));
    for (const { source, build } of runs) {
      await report(`${path.parse(source).name} (${options.arm64 ? 'arm64' : build})`, () =>
        program(compiler, source, build),
      );
    }
  }

  const models = options.arm64 ? [] : files('test/models', ['.pml']).filter(selected);
  const searches = models.flatMap((file) => [
    { file },
    ...(heading(file, 'breaks') ?? []).map((rule) => ({ file, rule })),
  ]);
  if (searches.length > 0 && !which('spin')) {
    counts.skipped += searches.length;
    console.log('skip   the models of test/models need spin: install it (Debian: apt-get install spin)');
  } else if (searches.length > 0) {
    compilers();
    await pool(searches, ({ file, rule }) =>
      report(`${path.basename(file)}${rule ? ` with ${rule}` : ''}`, () => model(file, rule)),
    );
  }

  const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
  console.log(`${counts.passed} passed, ${counts.failed} failed${skipped}`);
  if (options.json) fs.writeFileSync(options.json, JSON.stringify({ ...counts, results }));
  return counts.failed === 0 ? 0 : 1;
});

/** What no run has used for a week. */
function forgetOld() {
  for (const name of fs.readdirSync(cache)) {
    const file = path.join(cache, name);
    try {
      if (Date.now() - fs.statSync(file).mtimeMs > 7 * 86_400_000)
        fs.rmSync(file, { recursive: true, force: true });
    } catch {}
  }
}
