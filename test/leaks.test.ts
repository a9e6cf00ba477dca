// HAFT_LEAKS: what is told of handles that live at the end, where, and with which exit code.
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LeakReport } from 'haft';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { built, child, expectExit, haft, script } from './support/child.js';
import { expectNarrow, prelude } from './support/debugging.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'haft-leaks-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const leaky = (source: string, env: Record<string, string> = {}) =>
  script(prelude + source, [], { env: { HAFT_LEAKS: '1', ...env } });
const threeRows = `
  const rows = [1, 2, 3].map(() => registry.create(new Row(), RowKind));
  registry.retain(rows[0]);
  retainAs(rows[0], 'connection');
`;

describe.each(['addon', 'koffi'])('on the %s backend', (HAFT_BACKEND) => {
  const env = { HAFT_BACKEND };

  it.each([
    ['its natural end', '', 'at the end', 23],
    ['process.exit', 'process.exit();', 'at the end', 23],
    ['process.exit with a code', 'process.exit(7);', 'at the end', 7],
    ['process.exitCode', 'process.exitCode = 5;', 'at the end', 5],
    ['an uncaught exception', "setTimeout(() => { throw new Error('mine'); });", 'at the end', 1],
    ['close', 'registry.close();', 'when it closed', 23],
    ['close in an exit listener', "process.on('exit', () => registry.close());", 'at the end', 23],
  ])('leaks are told once, and decide the exit code if it was 0: %s', async (_, end, when, code) => {
    const ended = expectExit(await leaky(threeRows + end, env), code);
    const told = ended.stderr.split('haft: ').slice(1);
    expect(told).toHaveLength(1);
    expect(told[0]).toMatch(
      new RegExp(
        `^3 handles with 5 references still alive ${when}\n  realm \\d+ of process \\d+,\\s+main thread`,
      ),
    );
    expect(told[0]).toMatch(/^ {2}Row +3 +5 +\d+ ms +connection 1$/m);
    expect(told[0]).toMatch(/HAFTCHECK=2\s+tells[\s\S]*\(pointer\s+rule 18\)/);
    if (code !== 1) expectNarrow(ended.stderr.trimEnd());
  });

  it('level 2 tells where each was created, and who used it last in native code', async () => {
    const source = `
      function makeRow() { return registry.create(new Row(), RowKind); }
      postMany(makeRow(), opOf(RowKind, 'add'), 1, 0);
      registry.close();`;
    for (const HAFT_TRACE of ['', join(folder, 'trace-%p.json')]) {
      const { stderr } = expectExit(await leaky(source, { ...env, HAFTCHECK: '2', HAFT_TRACE }), 23);
      expect(stderr).toMatch(/^ {6}created \d+ ms ago: create on thread \d+\n {8}makeRow \(/m);
      expect(stderr).toMatch(/^ {6}last used \d+ ms ago: haft_post\(Row\.add\) on thread \d+$/m);
      if (HAFT_BACKEND === 'addon') expect(stderr).toMatch(/^ {8}post_many\+0x[0-9a-f]+ \(debugging\.so\)$/m);
      expectNarrow(stderr.trimEnd());
    }
  });

  it('pins, closures and what is owned are told as all others, and weak ones are not', async () => {
    const source = `
      registry.pin(new Uint8Array(1));
      registry.fn({ args: ['f64'] }, () => {});
      registry.weak({});
      registry.trampoline({ args: ['void *'], returns: 'void', userData: 0 }).bind(() => {});
      process.exit(); // what is bound keeps the process`;
    const { stderr } = expectExit(await leaky(source, env), 23);
    expect(stderr).toMatch(/^haft: 3 handles with 3 references still alive at the end$/m);
    for (const kind of ['haft\\.memory', 'fn\\(f64\\):void', 'trampoline ']) {
      expect(stderr).toMatch(new RegExp(`^ {2}${kind}.* 1 +1 +\\d+ ms$`, 'm'));
    }
  });

  it.each([
    ['deleted ones', 'registry.delete(registry.create(1));'],
    ['released ones', 'registry.release(registry.create(1));'],
    ['those that C has just released', 'release(registry.create(1));'],
    ['kept ones', 'registry.keep(registry.create(1));'],
    ['published ones', "registry.publish('service', registry.create(1));"],
    ['those of a scope', '{ const scope = registry.scope(); scope.own(registry.create(1)); scope.end(); }'],
    ["haft's own", 'registry.accept();'],
    ['kept pins', 'registry.keep(registry.pin(new Uint8Array(1)).handle);'],
  ])('no leaks: %s', async (_, source) => {
    for (const end of ['', 'registry.close();']) {
      expect(expectExit(await leaky(source + end, env)).stderr).toBe('');
    }
  });

  it('nothing is told without HAFT_LEAKS', async () => {
    for (const HAFT_LEAKS of ['', '0']) {
      const ended = await leaky(`${threeRows} registry.close();`, { ...env, HAFT_LEAKS });
      expect(expectExit(ended).stderr).toBe('');
    }
  });
});

it('a name that was taken back, or has another handle now, does not excuse', async () => {
  const source = `
    const [a, b] = [registry.create(1), registry.create(2)];
    registry.publish('one', a);
    registry.unpublish('one');
    registry.publish('two', a);
    registry.publish('two', b);`;
  expect(expectExit(await leaky(source), 23).stderr).toContain('haft: 1 handle with 1 reference');
});

it('results that C has not given back are told beside them', async () => {
  const source = `takeResult(registry.create(new Row(), RowKind), opOf(RowKind, 'name'));`;
  expect(expectExit(await leaky(source), 23).stderr).toMatch(/1 result of the process was not given back/);
});

it('each registry tells of its own', async () => {
  const source = `
    const second = new Registry();
    registry.create(1);
    second.create(2);
    second.create(3);
    second.close();`;
  const { stderr } = expectExit(await leaky(source), 23);
  expect(stderr.match(/^haft: (\d) handles?.* still alive .*$/gm)).toEqual([
    'haft: 2 handles with 2 references still alive when it closed',
    'haft: 1 handle with 1 reference still alive at the end',
  ]);
});

it('a worker tells of its own, and the process ends with the code', async () => {
  const source = `
    import { Worker } from 'node:worker_threads';
    import 'haft';
    const code = \`
      import('haft').then(({ Registry }) => { const registry = new Registry(); registry.create(1); });\`;
    new Worker(code, { eval: true }).on('exit', (code) => console.log('worker', code));`;
  const ended = expectExit(await script(source, [], { env: { HAFT_LEAKS: '1' } }), 23);
  expect(ended.stdout).toBe('worker 0\n'); // its parent may look at it
  expect(ended.stderr).toMatch(
    /^haft: 1 handle with 1 reference still alive at the end\n {2}realm .*, thread 1, /m,
  );
});

it('haft run ends with the code too, where the host ends with 0', async () => {
  const logic = join(folder, 'logic.mjs');
  writeFileSync(logic, 'export default (registry) => void registry.create({});');
  const run = (code: string) =>
    haft(['run', built('run.so'), logic, '--', code], { env: { HAFT_LEAKS: '1' } });
  expect(expectExit(await run('0'), 23).stderr).toMatch(/^haft: 1 handle with 1 reference still alive/);
  expect(expectExit(await run('4'), 4).stderr).toMatch(/^haft: 1 handle with 1 reference still alive/);
});

describe('in a file', () => {
  const inFile = (name: string, source: string) => leaky(source, { HAFT_LEAKS: join(folder, name) });
  const linesOf = (name: string) =>
    readFileSync(join(folder, name), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as LeakReport);

  it('each report is a line with the documented fields; further processes append', async () => {
    const ended = expectExit(
      await inFile('a.json', `${threeRows} const b = new Registry(); b.create(1);`),
      23,
    );
    expect(ended.stderr).toMatch(
      /^haft: 3 leaked; "haft inspect .*a\.json" shows them\nhaft: 1 leaked;.*\n$/,
    );
    const [first, second, ...more] = linesOf('a.json');
    expect(more).toEqual([]);
    expect(Object.keys(first!).sort().join(' ')).toBe(
      'at backend checkLevel format handles kinds leaked next pid realm references resultsOut rule thread when',
    );
    expect(first).toMatchObject({
      format: 'haft-leaks-1',
      at: 'exit',
      thread: 0,
      leaked: 3,
      references: 5,
      resultsOut: 0,
      rule: 18,
      kinds: [{ kind: 'Row', count: 3, references: 5, labels: { connection: 1 } }],
    });
    expect(first!.handles).toHaveLength(3);
    expect(second).toMatchObject({ leaked: 1, kinds: [{ kind: '', count: 1 }] });
    await Promise.all([1, 2, 3].map(() => inFile('a.json', threeRows)));
    expect(linesOf('a.json').map(({ leaked }) => leaked)).toEqual([3, 1, 3, 3, 3]);

    const shown = expectExit(await haft(['inspect', join(folder, 'a.json')]));
    expect(shown.stdout.match(/still alive at the end/g)).toHaveLength(5);
    expectNarrow(shown.stdout.trimEnd());
    const json = expectExit(await haft(['inspect', join(folder, 'a.json'), '--json']));
    expect(JSON.parse(json.stdout)).toEqual(linesOf('a.json'));
  });

  it('is not made where nothing leaks', async () => {
    expectExit(await inFile('none.json', ''));
    expect(existsSync(join(folder, 'none.json'))).toBe(false);
  });

  it('that cannot be written: the text goes to standard error', async () => {
    const ended = expectExit(await inFile('no/such/folder.json', threeRows), 23);
    expect(ended.stderr).toMatch(/folder\.json cannot be written \(ENOENT.*\nhaft: 3 handles/);
  });
});

it.runIf(existsSync('/dev/full'))('a file without room: the text goes to standard error', async () => {
  const full = join(folder, 'full.json');
  symlinkSync('/dev/full', full);
  const ended = expectExit(await leaky(threeRows, { HAFT_LEAKS: full }), 23);
  expect(ended.stderr).toMatch(/full\.json cannot be written \(ENOSPC.*\nhaft: 3 handles/);
});

it('another value of HAFT_LEAKS is refused by the first registry', async () => {
  const ended = expectExit(await leaky('', { HAFT_LEAKS: 'yes' }), 1);
  expect(ended.stderr).toMatch(/HAFT_E_ARGUMENT: HAFT_LEAKS is "yes"; set it to 1/);
});

it('a reader that has gone does not keep the process', async () => {
  const source = `${prelude} for (let i = 0; i < 20; i++) { const r = new Registry(); for (let i = 0; i < 40; i++) r.create(i); }`;
  const shell = `"$0" --input-type=module --eval "$1" 2>&1 | head -1`;
  const ended = await child(
    [
      '-e',
      `require('node:child_process').execFileSync('sh', ['-c', process.argv[1], process.execPath, process.argv[2]], { stdio: 'inherit' })`,
      shell,
      source,
    ],
    { env: { HAFT_LEAKS: '1' } },
  );
  expect(expectExit(ended).stdout).toMatch(/^haft: 40 handles/);
});
