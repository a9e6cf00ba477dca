// Fuzzes the table of C functions: builds test/fuzz/table.cc and native/core with libFuzzer, AddressSanitizer and UBSan, and
// runs it.
//
//     node scripts/fuzz.mjs [--seconds N] [--level N] [--json FILE] [INPUT...]
//
//   --seconds  so long in all, 60 without it
//   --level    only this level of HAFTCHECK; without it a third of the time each
//   --json     what each level came to: [{ level, executions, coverage, failed, input }]
//   INPUT      runs these inputs once instead: what a failure left behind
//
// The exit code is 1 after a failure, and 77 where there is no clang with libFuzzer. Inputs that reach something new are
// kept in build/fuzz, beside the program; test/fuzz/corpus has those to begin with.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { execute, files, hash, hashFile, Plain, pool, root, run, which } from './tools.mjs';

const skipped = 77;
const { values: options, positionals: inputs } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '60' },
    level: { type: 'string' },
    json: { type: 'string' },
  },
});

const place = path.join(root, 'build', 'fuzz');
const flags = ['-O1', '-g', '-fno-omit-frame-pointer', '-pthread', '-fno-sanitize-recover=all'];
const sanitizers = '-fsanitize=fuzzer,address,undefined';
const includes = ['-Inative/include', '-Inative/core', '-Inative'];

/** The newest clang++ that links with libFuzzer, or undefined. */
function findClang() {
  const versions = Array.from({ length: 12 }, (_, i) => `clang++-${24 - i}`);
  const named = process.env.CLANGXX?.trim();
  for (const name of named ? [named] : ['clang++', ...versions]) {
    if (!which(name)) continue;
    const source = path.join(place, 'try.cc');
    fs.writeFileSync(
      source,
      'extern "C" int LLVMFuzzerTestOneInput(const unsigned char *, unsigned long) { return 0; }\n',
    );
    const args = [sanitizers, source, '-o', path.join(place, 'try')];
    if (spawnSync(name, args, { cwd: root }).status === 0) return name;
  }
  return undefined;
}

/** The program, built where it is not there yet. */
async function build(clang) {
  const version = spawnSync(clang, ['--version'], { encoding: 'utf8' }).stdout;
  const headers = ['native/core', 'native/include', 'test/native'].flatMap((folder) =>
    files(folder, ['.h', '.hpp']),
  );
  const common = hash(version, ...headers.flatMap((file) => [file, hashFile(file)]));
  const compile = async (source) => {
    const own = source.startsWith('native/core/') ? ['-fno-exceptions'] : [];
    const args = ['-std=c++17', ...own, ...flags, sanitizers, ...includes, '-c', source];
    const object = path.join(place, `${hash(common, args.join(' '), hashFile(source))}.o`);
    if (!fs.existsSync(object)) await must(clang, [...args, '-o', object], source);
    return object;
  };
  const objects = await pool(['test/fuzz/table.cc', ...files('native/core', ['.cc', '.S'])], compile);
  const program = path.join(place, `table-${hash(common, ...objects)}`);
  if (!fs.existsSync(program))
    await must(clang, [sanitizers, ...flags, ...objects, '-ldl', '-lm', '-o', program], 'table');
  return program;
}

async function must(clang, args, what) {
  const part = `${args.at(-1)}.${process.pid}.part`;
  const { status, output } = await execute(clang, [...args.slice(0, -1), part]);
  if (status !== 0)
    throw new Plain(`${what} does not compile:\n${output.split('\n').slice(0, 30).join('\n')}`);
  fs.renameSync(part, args.at(-1));
}

const environment = (level) => ({
  ...process.env,
  HAFTCHECK: String(level),
  // The arena is one large reservation, and its pages are no leak.
  ASAN_OPTIONS: 'detect_leaks=1:handle_abort=1',
  UBSAN_OPTIONS: 'print_stacktrace=1',
});

/** One level, for so many seconds. */
async function fuzz(program, level, seconds) {
  const corpus = path.join(place, `corpus-${level}`);
  const found = path.join(place, `found-${level}-`);
  fs.mkdirSync(corpus, { recursive: true });
  const args = [
    corpus,
    path.join(root, 'test', 'fuzz', 'corpus'),
    `-max_total_time=${seconds}`,
    '-max_len=2048',
    '-len_control=0', // short programs reach little
    '-timeout=20',
    '-rss_limit_mb=4096',
    '-print_final_stats=1',
    `-artifact_prefix=${found}`,
  ];
  const { status, output } = await execute(program, args, { env: environment(level) });
  const executions = Number(/stat::number_of_executed_units:\s*(\d+)/.exec(output)?.[1] ?? 0);
  const last = [...output.matchAll(/^#\d+\s.*cov: (\d+) ft: (\d+) corp: (\d+)/gm)].at(-1);
  const coverage = { edges: Number(last?.[1] ?? 0), features: Number(last?.[2] ?? 0) };
  const input = /Test unit written to (.*)$/m.exec(output)?.[1];
  const failed = status !== 0;
  console.log(
    `${failed ? 'FAILED' : 'ok    '} HAFTCHECK=${level}: ${executions} executions, ` +
      `${coverage.edges} edges and ${coverage.features} features covered, ${last?.[3] ?? 0} inputs kept`,
  );
  if (failed) {
    // What was found stands above the fuzzer's own account of the input.
    const from = Math.max(
      0,
      output.search(/^(==\d+==\s*ERROR|.*runtime error|.*table\.cc:\d+:|.*support\.h:\d+:)/m),
    );
    console.log(output.slice(from).split('\n').slice(0, 60).join('\n').replace(/^/gm, '    '));
    if (input) console.log(`    again: node scripts/fuzz.mjs --level ${level} ${path.relative(root, input)}`);
  }
  return { level, executions, coverage, failed, input };
}

await run(async () => {
  const seconds = Number(options.seconds);
  const levels = options.level === undefined ? [0, 1, 2] : [Number(options.level)];
  if (!(seconds > 0)) throw new Plain('--seconds takes a number above 0');
  if (levels.some((level) => ![0, 1, 2].includes(level))) throw new Plain('--level takes 0, 1 or 2');
  fs.mkdirSync(place, { recursive: true });
  const clang = findClang();
  if (!clang) {
    console.log('skip   fuzzing needs clang with libFuzzer: install it (Debian: apt-get install clang)');
    return skipped;
  }
  const program = await build(clang);
  if (inputs.length > 0) {
    const once = (level) =>
      spawnSync(
        program,
        inputs.map((input) => path.resolve(input)),
        { env: environment(level), stdio: 'inherit' },
      );
    return levels.every((level) => once(level).status === 0) ? 0 : 1;
  }
  const results = [];
  for (const level of levels)
    results.push(await fuzz(program, level, Math.max(1, Math.round(seconds / levels.length))));
  if (options.json) fs.writeFileSync(options.json, JSON.stringify(results));
  return results.some(({ failed }) => failed) ? 1 : 0;
});
