// `haft inspect`: live processes with HAFT_INSPECT=1, files, comparisons; who may ask, and what is said when it cannot be.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Difference, RegistryReport } from 'haft';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { expectExit, haft, root, script } from './support/child.js';
import { expectNarrow, prelude } from './support/debugging.js';

interface ProcessReport {
  format: string;
  when: string;
  pid: number;
  reports: RegistryReport[];
  silent: number[];
}

let runtime: string;
let sockets: string;
let env: Record<string, string>;
const children: ChildProcess[] = [];
beforeEach(() => {
  runtime = mkdtempSync(join(tmpdir(), 'haft-inspect-'));
  sockets = join(runtime, 'haft');
  env = { XDG_RUNTIME_DIR: runtime, HAFT_INSPECT: '' };
});
afterEach(() => {
  for (const one of children.splice(0)) one.kill('SIGKILL');
  rmSync(runtime, { recursive: true, force: true });
});

/** A program that says "ready", and does as each line on its standard input says. */
async function started(source: string, more: Record<string, string> = {}) {
  const code = `${prelude}
    ${source}
    const { createInterface } = await import('node:readline');
    createInterface({ input: process.stdin }).on('line', (line) => eval(line));
    console.log('ready');`;
  const one = spawn(process.execPath, ['--input-type=module', '--eval', code], {
    cwd: root,
    env: { ...process.env, NODE_OPTIONS: '', ...env, HAFT_INSPECT: '1', ...more },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  children.push(one);
  let said = '';
  one.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const says = async (text: string) => {
    while (!said.includes(text)) {
      expect(one.exitCode, said).toBe(null);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  await says('ready\n');
  return {
    pid: one.pid!,
    child: one,
    says,
    tell: (line: string) => one.stdin.write(`${line}\n`),
    socket: (thread = 0) => join(sockets, `${one.pid}.${thread}.sock`),
    ended: new Promise<number | null>((resolve) => one.on('exit', resolve)),
  };
}

// A machine may be slow: the time that a process has for its answer is long, unless a test is about it.
const inspect = (...args: (string | number)[]) =>
  haft(['inspect', '--timeout', '30', ...args.map(String)], { env });
const reportsOf = async (...args: (string | number)[]) =>
  JSON.parse(expectExit(await inspect(...args, '--json')).stdout) as ProcessReport;
const refused = async (...args: (string | number)[]) => {
  const { stdout, stderr } = expectExit(await inspect(...args), 1);
  expect(stdout).toBe('');
  expect(stderr).toMatch(/^haft: [^\n]+\n$/);
  return stderr;
};
const threeRows = 'for (let i = 0; i < 3; i++) registry.create(new Row(), RowKind);';

describe('a live process', () => {
  it.each(['addon', 'koffi'])('is shown as text and as JSON: %s', async (HAFT_BACKEND) => {
    const program = await started(`${threeRows} const second = new Registry(); second.create(1);`, {
      HAFT_BACKEND,
    });
    const { stdout } = expectExit(await inspect(program.pid));
    expectNarrow(stdout.trimEnd());
    expect(stdout).toMatch(/^ {2}Row +3 +3 /m);
    expect(stdout.match(new RegExp(`of process ${program.pid}, main thread`, 'g'))).toHaveLength(2);
    const report = await reportsOf(program.pid, '--handles', 2);
    expect(report).toMatchObject({
      format: 'haft-process-1',
      pid: program.pid,
      silent: [],
      reports: [
        { format: 'haft-report-1', pid: program.pid, thread: 0, backend: HAFT_BACKEND, totals: { live: 3 } },
        { totals: { live: 1 } },
      ],
    });
    expect(report.reports[0]!.handles).toHaveLength(2);
    program.tell('second.close()');
    program.tell('console.log("closed")');
    await program.says('closed');
    expect((await reportsOf(program.pid)).reports).toHaveLength(1);
    program.tell('registry.close(); console.log("both")');
    await program.says('both');
    expect(expectExit(await inspect(program.pid)).stdout).toBe('No registry is open.\n');
  });

  it('its workers too', async () => {
    const program = await started(`
      const { Worker } = await import('node:worker_threads');
      const code = \`
        Promise.all([import('haft'), import('node:worker_threads')]).then(([{ Registry }, { parentPort }]) => {
          const registry = new Registry();
          registry.create(1);
          registry.ref();
          parentPort.postMessage('open');
        });\`;
      const worker = new Worker(code, { eval: true });
      await new Promise((resolve) => worker.once('message', resolve));`);
    const { reports } = await reportsOf(program.pid);
    expect(reports.map(({ thread }) => thread)).toEqual([0, 1]);
    expect(expectExit(await inspect(program.pid)).stdout).toMatch(/process \d+, thread 1, /);
    program.tell("worker.terminate().then(() => console.log('terminated'))");
    await program.says('terminated');
    expect((await reportsOf(program.pid)).reports.map(({ thread }) => thread)).toEqual([0]);
    expect(existsSync(program.socket(1))).toBe(false);
  });

  it('has a socket that its user alone can open, and removes it', async () => {
    const program = await started('');
    expect(statSync(sockets).mode & 0o777).toBe(0o700);
    expect(statSync(program.socket()).mode & 0o777).toBe(0o600);
    program.tell('process.exit(3)');
    expect(await program.ended).toBe(3);
    expect(readdirSync(sockets)).toEqual([]);
  });

  it('is not kept alive', async () => {
    const ended = await script(`${prelude}`, [], { env: { ...env, HAFT_INSPECT: '1' } });
    expectExit(ended);
    expect(readdirSync(sockets)).toEqual([]);
  });

  it('removes what killed ones left', async () => {
    const killed = await started('');
    killed.child.kill('SIGKILL');
    await killed.ended;
    expect(existsSync(killed.socket())).toBe(true);
    const next = await started('');
    expect(existsSync(killed.socket())).toBe(false);
    expect(existsSync(next.socket())).toBe(true);
  });

  it('cuts off who asks for nothing, or does not read, and answers others', async () => {
    const program = await started('for (let i = 0; i < 50_000; i++) registry.create(i);');
    const silent = connect(program.socket());
    const endless = connect(program.socket());
    const slow = connect(program.socket());
    const drops = setInterval(() => slow.write('x'), 500);
    const deaf = connect(program.socket());
    deaf.pause();
    deaf.write('{"handles":50000}\n');
    endless.write('x'.repeat(100_000));
    const gone = Promise.all(
      [silent, endless, slow].map(
        (peer) =>
          new Promise((resolve) => {
            peer.on('error', () => {});
            peer.on('close', resolve);
          }),
      ),
    );
    deaf.on('error', () => {});
    expect((await reportsOf(program.pid)).reports[0]!.totals.live).toBe(50_000);
    await gone;
    clearInterval(drops);
    program.tell('process.stdin.destroy(); registry.close();'); // its natural end, with the deaf one there
    expect(await program.ended).toBe(0);
    deaf.destroy();
  });
});

describe('what cannot be inspected is said in one sentence, with the next step:', () => {
  it('no such process', async () => {
    const program = await started('');
    program.child.kill('SIGKILL');
    await program.ended;
    expect(await refused(program.pid)).toMatch(/there is no process \d+; "ps -e" lists those that run/);
  });

  it('not started with HAFT_INSPECT=1', async () => {
    for (const HAFT_INSPECT of ['', '0']) {
      const program = await started('', { HAFT_INSPECT });
      expect(existsSync(sockets)).toBe(false);
      expect(await refused(program.pid)).toMatch(/was not started with HAFT_INSPECT=1.*; start it with/);
    }
  });

  it('busy, or stopped', async () => {
    const program = await started('');
    program.tell("console.log('spins'); for (;;);");
    await program.says('spins');
    expect(await refused(program.pid, '--timeout', 0.2)).toMatch(
      /has not answered within 0\.2 s: its JavaScript is busy.*; try again/,
    );
  });

  it('one of its threads is busy: the others are shown', async () => {
    const program = await started('registry.create(1);');
    const server = createServer(() => {}); // a thread that never answers
    await new Promise<void>((resolve) => server.listen(program.socket(9), resolve));
    const file = join(runtime, 'some.json');
    expectExit(await inspect(program.pid, '--timeout', 5, '--output', file));
    const { stdout } = expectExit(await inspect(file));
    expect(stdout).toContain('1 live handle');
    expect(stdout).toContain('No answer from thread 9: busy, or stopped.');
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ silent: [9] });
    server.close();
  });

  it.skipIf(process.getuid?.() !== 0)("another user's", async () => {
    const other = spawn('sleep', ['60'], { uid: 65534 });
    children.push(other);
    await new Promise((resolve) => other.on('spawn', resolve));
    expect(await refused(other.pid!)).toMatch(/is another user's.*; run "haft inspect \d+" as that user/);
  });

  it('a folder that is open to others, or is none', async () => {
    mkdirSync(sockets);
    chmodSync(sockets, 0o755);
    expect(await refused(process.pid)).toMatch(/is open to other users; make it a folder of yours/);
    const { stderr } = expectExit(
      await script(`${prelude} registry.create(1);`, [], { env: { ...env, HAFT_INSPECT: '1' } }),
    );
    expect(stderr).toMatch(/HAFT_INSPECT=1, and nobody can inspect this process: .* is open to other users/);
    expect(readdirSync(sockets)).toEqual([]);
    rmSync(sockets, { recursive: true });
    mkdirSync(join(runtime, 'elsewhere'), { mode: 0o700 });
    symlinkSync(join(runtime, 'elsewhere'), sockets);
    expect(await refused(process.pid)).toMatch(/is no folder/);
  });

  it('a path that is too long for a socket: no other place is taken for it, but the folder for temporary files', async () => {
    const long = join(runtime, 'long'.repeat(25));
    mkdirSync(long, { mode: 0o700 });
    env.XDG_RUNTIME_DIR = long;
    const program = await started('registry.create(1);', { TMPDIR: runtime });
    const asked = await haft(['inspect', String(program.pid)], { env: { ...env, TMPDIR: runtime } });
    expect(expectExit(asked).stdout).toContain('1 live handle');
    const temporary = readdirSync(runtime).filter((name) => name.startsWith('haft-'));
    expect(readdirSync(join(runtime, temporary[0]!))).toEqual([`${program.pid}.0.sock`]);
    const nowhere = { ...env, TMPDIR: long };
    const ended = await script(prelude, [], { env: { ...nowhere, HAFT_INSPECT: '1' } });
    expect(expectExit(ended).stderr).toMatch(
      /nobody can inspect this process: .* is too long .*; set TMPDIR/,
    );
    const refusal = expectExit(await haft(['inspect', String(program.pid)], { env: nowhere }), 1);
    expect(refusal.stderr).toMatch(
      /^haft: the sockets .* is too long for the path of a socket; set TMPDIR[^\n]*\n$/,
    );
    expect(readdirSync(long)).toEqual([]);
    expect(readdirSync(runtime).sort()).toEqual([temporary[0], 'long'.repeat(25)]);
  });

  it('an answer that fails is no exception of the program', async () => {
    const program = await started('registry.create(1); const { stringify } = JSON;');
    program.tell(
      "JSON.stringify = () => { throw new RangeError('Invalid string length'); }; console.log('broken');",
    );
    await program.says('broken');
    expect(await refused(program.pid)).toMatch(/has not answered/);
    program.tell("JSON.stringify = stringify; console.log('mended');");
    await program.says('mended');
    expect((await reportsOf(program.pid)).reports).toHaveLength(1);
  });

  it.skipIf(process.getuid?.() !== 0)("a folder of another user's", async () => {
    mkdirSync(sockets, { mode: 0o700 });
    const { chownSync } = await import('node:fs');
    chownSync(sockets, 65534, 65534);
    expect(await refused(process.pid)).toMatch(/belongs to another user/);
  });

  it('another value of HAFT_INSPECT', async () => {
    const ended = expectExit(await script(prelude, [], { env: { ...env, HAFT_INSPECT: 'yes' } }), 1);
    expect(ended.stderr).toMatch(/HAFT_E_ARGUMENT: HAFT_INSPECT is "yes"; set it to 1/);
  });

  it('files, and options', async () => {
    const path = join(runtime, 'file.json');
    expect(await refused(path)).toMatch(/there is no file .*; give the number of a process, or a file/);
    expect(await refused(runtime)).toMatch(/cannot be read \(EISDIR\)/);
    for (const text of [
      'not json',
      '{"format":"haft-report-1"}',
      '[1]',
      '{"format":"haft-process-1","reports":[{}]}',
      '{"format":"haft-leaks-1","when":"","kinds":[],"handles":[{"kind":"","labels":{},"names":[],"created":{}}]}',
    ]) {
      writeFileSync(path, text);
      expect(await refused(path), text).toMatch(/line 1 of .* is no report of haft; give what/);
    }
    writeFileSync(path, '\n');
    expect(await refused(path)).toMatch(/is empty/);
    expect(await refused(process.pid, '--handles', 'x')).toMatch(/--handles is "x"; give a number/);
    expect(await refused(process.pid, '--diff', join(runtime, 'none.json'))).toMatch(/there is no file/);
  });
});

describe('files', () => {
  it('of registry.report(), and of --output', async () => {
    const program = await started(
      `${threeRows} (await import('node:fs')).writeFileSync(${JSON.stringify(join(runtime, 'own.json'))}, JSON.stringify(registry.report()));`,
    );
    const own = expectExit(await inspect(join(runtime, 'own.json')));
    expect(own.stdout).toMatch(/^ {2}Row +3 +3 /m);
    const file = join(runtime, 'out.json');
    expect(expectExit(await inspect(program.pid, '--output', file)).stdout).toBe(`${file}: 1 registry\n`);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({
      format: 'haft-process-1',
      pid: program.pid,
    });
    expect(expectExit(await inspect(file)).stdout).toMatch(/^ {2}Row +3 +3 /m);
    expect(await refused(program.pid, '--output', join(runtime, 'no', 'where'))).toMatch(/cannot be written/);
  });

  it('a reader that goes after the first line gets no error', async () => {
    const file = join(runtime, 'big.json');
    const source = `
      for (let i = 0; i < 5000; i++) registry.create(i);
      (await import('node:fs')).writeFileSync(${JSON.stringify(file)}, JSON.stringify(registry.report({ handles: 5000 })));`;
    expectExit(await script(prelude + source, [], { env }));
    for (const option of ['', '--json']) {
      const shell = `{ "$0" dist/cli.js inspect "$1" ${option}; echo "code $?" >&2; } | head -1`;
      const { stdout, stderr } = spawnSync('sh', ['-c', shell, process.execPath, file], {
        cwd: root,
        encoding: 'utf8',
      });
      expect(stdout.split('\n')).toHaveLength(2);
      expect(stderr).toBe('code 0\n');
    }
  });

  it('--diff compares with the live process, whichever was made first', async () => {
    const program = await started(threeRows);
    const file = join(runtime, 'before.json');
    expectExit(await inspect(program.pid, '--output', file));
    program.tell(`${threeRows} new Registry(); console.log('more');`);
    await program.says('more');
    const { stdout } = expectExit(await inspect(program.pid, '--diff', file));
    expectNarrow(stdout.trimEnd());
    expect(stdout).toMatch(/^ {2}Row +3 +6 +\+3 +\+3$/m);
    expect(stdout).toContain('Alive in both, the oldest first:');
    expect(stdout).toContain('New:');
    expect(stdout).toContain('Opened meanwhile:');
    const after = join(runtime, 'after.json');
    expectExit(await inspect(program.pid, '--output', after));
    for (const [target, other] of [
      [file, after],
      [after, file],
    ] as const) {
      const compared = JSON.parse(expectExit(await inspect(target, '--diff', other, '--json')).stdout) as {
        differences: Difference[];
        opened: RegistryReport[];
        closed: RegistryReport[];
      };
      expect(compared).toMatchObject({
        format: 'haft-differences-1',
        differences: [{ live: 3, kinds: [{ kind: 'Row', before: 3, after: 6 }] }],
        closed: [],
      });
      expect(compared.differences[0]!.stayed).toHaveLength(3);
      expect(compared.differences[0]!.arrived).toHaveLength(3);
      expect(compared.opened).toHaveLength(1);
    }
  });
});
