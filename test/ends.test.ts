// The end of a realm, whatever way it comes: every thread hears of it, and the process goes on or ends as it was asked
// to. Rounds by the hundred are `npm run rounds`; the programs are in ends/, their threads in hosts/.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type ChildOptions, child, expectExit, root, run } from './support/child.js';

const program = (name: string) => join(root, 'test', 'ends', `${name}.mjs`);
const lives = (name: string, args: string[] = [], options: ChildOptions = {}) =>
  child([program('lives'), name, ...args], options);

describe('rounds', () => {
  const rounds = (...args: string[]) => child([join(root, 'scripts', 'rounds.mjs'), ...args]);

  it.each(['terminate', 'exit', 'close'])('%s: no round crashes, none hangs', async (what) => {
    const folder = mkdtempSync(join(tmpdir(), 'haft-rounds-'));
    try {
      const file = join(folder, 'rounds.json');
      const { stdout } = expectExit(await rounds(what, '--rounds', '10', '--json', file));
      expect(stdout).toBe(`{"what":"${what}","rounds":10,"crashed":0,"hung":0}\n`);
      expect(readFileSync(file, 'utf8')).toBe(stdout);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('count what did not end as it should, and say how', async () => {
    const { code, signal, stdout, stderr } = await rounds(
      'close',
      'exit',
      '--rounds',
      '2',
      '--node',
      'false',
    );
    expect({ code, signal }).toEqual({ code: 1, signal: null });
    expect(stdout).toBe(
      '{"what":"exit","rounds":2,"crashed":2,"hung":0}\n{"what":"close","rounds":2,"crashed":2,"hung":0}\n',
    );
    expect(stderr).toContain('round 1: exit code 1, not 7 (node test/ends/round.mjs exit 1)');
  });

  it.each([
    ['an unknown name', ['vanish'], /no way to end 'vanish'; there are terminate, exit, close, embed-kill/],
    ['an unknown option', ['--walk'], /Unknown option '--walk'/],
    ['no number', ['--rounds', 'many'], /--rounds takes a whole number.*'many'/],
    ['no such program', ['--node', 'no-such-node'], /'no-such-node'/],
    ['a file that cannot be', ['--json', '/no/such/folder/file'], /'\/no\/such\/folder\/file'/],
  ])('%s: says so in one sentence', async (_, args, says) => {
    const { code, signal, stdout, stderr } = await rounds(...args);
    expect({ code, signal, stdout }).toEqual({ code: 1, signal: null, stdout: '' });
    expect(stderr).toMatch(says);
    expect(stderr).toMatch(/^[^\n]+\n$/);
  });
});

describe('a native thread', () => {
  it('that starts before the realm and ends after it is told of the end of each', async () => {
    expectExit(await lives('a thread older than the realm'));
  });

  it('for which JavaScript’s thread waits is told in its time', async () => {
    expectExit(await lives('a join'));
  });

  it('that ends the process by exit() does so, whatever JavaScript does', async () => {
    const ways = [[], ['busy'], ['load'], ['load'], ['load'], ['load']];
    const all = await Promise.all(ways.map((more) => run('lives', 'lives.mjs', ['exit', ...more])));
    for (const ended of all) expectExit(ended, 23);
  });

  it('may be one of a thousand', async () => {
    expectExit(await run('lives', 'lives.mjs', ['thousand threads']));
  });

  it('of koffi that waits when the registry closes is told so', async () => {
    expectExit(await lives('calls of koffi’s threads in flight at close'));
  });
});

describe('forty producers that wait for room in a full mailbox are all told HAFT_E_CLOSED', () => {
  it.each([
    ['when the registry closes', 'blocked producers at close', 0],
    ['when it closes after a few drains', 'blocked producers at close, later', 0],
    ['when a handler closes it', 'blocked producers at close in a handler', 0],
    ['at process.exit', 'blocked producers at process.exit', 5],
  ])('%s', async (_, name, code) => {
    expectExit(await lives(name), code);
  });
});

it('P26: a child that was forked among calls exits at once, and does not touch the parent’s realm', async () => {
  expectExit(await lives('a forked child'));
});

describe.each(['SIGINT', 'SIGTERM'] as const)('%s while threads work', (signal) => {
  const interrupted = (what: string) => lives('a signal', [what], { kill: [['at work', signal]] });

  it('ends the process, where nobody listens', async () => {
    expect(await interrupted('nothing')).toMatchObject({ code: null, signal });
  });

  it('with a listener that closes the registry ends it in order', async () => {
    expect(expectExit(await interrupted('close')).stdout).toBe('at work\nall heard\n');
  });

  it('with a listener that exits ends with its code', async () => {
    expectExit(await interrupted('exit'), 12);
  });
});
