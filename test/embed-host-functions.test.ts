// Functions of the host, where the host is a program that embeds and JavaScript its child: test/embed/host_functions.c with
// host_functions.mjs. What one process has with them is in host-functions.test.ts.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root } from './support/child.js';

const TIMEOUT = 120_000;
let folder: string;

function run(program: string, args: string[]): void {
  const env = { ...process.env, HAFT_NODE: process.execPath, NODE_OPTIONS: '' };
  const ended = spawnSync(program, args, { cwd: root, env, encoding: 'utf8', timeout: TIMEOUT });
  expect(ended, `${program} ${args.join(' ')}\n${ended.stdout}${ended.stderr}`).toMatchObject({
    status: 0,
    signal: null,
  });
}
const embed = (...args: string[]) => run(join(folder, 'host_functions'), args);

beforeAll(() => {
  if (process.platform !== 'linux') return;
  folder = mkdtempSync(join(tmpdir(), 'haft-host-functions-'));
  run('make', ['-s', '-C', 'native/embed', 'shared']);
  const library = join(root, 'build/embed/lib');
  run('cc', [
    ...[
      '-std=gnu11',
      '-O1',
      '-Wall',
      '-Wextra',
      '-Werror',
      '-Inative/include',
      'test/embed/host_functions.c',
    ],
    ...[`-L${library}`, `-Wl,-rpath,${library}`, '-lhaft_embed', '-pthread'],
    ...['-o', join(folder, 'host_functions')],
  ]);
}, TIMEOUT);
afterAll(() => {
  if (folder) rmSync(folder, { recursive: true, force: true });
});

describe.runIf(process.platform === 'linux')('in a program that embeds, a function of the host', () => {
  it.each([
    ['the thread that waits in haft_call', ['caller']],
    ['one thread in haft_serve', ['servers', '1']],
    ['three threads in haft_serve', ['servers', '3']],
    ['a pool of one', ['pool', '1']],
    ['a pool of three', ['pool', '3']],
  ])(
    'is run by %s: waits and promises, nested both ways, errors, HAFT_E_DEADLOCK',
    (_, by) => embed('all', ...by),
    TIMEOUT,
  );

  it.each(['0', '2'])(
    'is called for four callers, with a pool of %s',
    (pool) => embed('many callers', pool),
    TIMEOUT,
  );

  it('is there while the logic loads, without a pool too', () => embed('loading'), TIMEOUT);

  it('is one logic’s, and not the other’s', () => embed('two logics'), TIMEOUT);

  it.each(['holdSync', 'holdLater'])(
    'runs to its end when the child is killed, and its caller hears at once: %s',
    (way) => embed('killed', way),
    TIMEOUT,
  );

  it.each(['holdSync', 'holdLater'])(
    'that its caller runs comes back to HAFT_E_CLOSED when the child is killed: %s',
    (way) => embed('killed in caller', way),
    TIMEOUT,
  );

  it.each(['0', '1', '2'])(
    'is there again after a restart, and what was given by haft_expose is not: a pool of %s',
    (pool) => embed('started again', pool),
    TIMEOUT,
  );

  it('that is slow keeps no other caller', () => embed('slow'), TIMEOUT);

  it('that is slow and waited for keeps no other caller', () => embed('slow, waited for'), TIMEOUT);

  it.each(['caller', 'server', 'pool'].flatMap((by) => ['holdSync', 'holdLater'].map((way) => [by, way])))(
    'does not keep haft_embed_stop: run by %s, %s',
    (by, way) => embed('stopped', by!, way!),
    TIMEOUT,
  );

  it(
    'needs nobody who serves once the child is gone: haft_serve ends',
    () => embed('served to the end'),
    TIMEOUT,
  );
});
