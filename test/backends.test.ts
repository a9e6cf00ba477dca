// The two backends: which one serves, and what koffi alone does as the addon does. The cases are in logic/backends.mjs,
// each in a process of its own.
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Owner, Slots } from '../src/koffi-backend/slots.js';
import { Block, Mirror } from '../src/mirror.js';
import { built, child, expectExit, haft, logicFile, root, run, script } from './support/child.js';

const backends = ['addon', 'koffi'];
const onKoffi = { HAFT_BACKEND: 'koffi' };
const program = (name: string, backend = 'koffi', more: string[] = []) =>
  child([logicFile('backends.mjs'), name, ...more], { env: { HAFT_BACKEND: backend } });

describe('which backend serves', () => {
  /** The package as it is where nothing could be built. */
  let bare: string;
  beforeAll(() => {
    bare = mkdtempSync(join(tmpdir(), 'haft-bare-'));
    for (const name of ['dist', 'package.json'])
      cpSync(join(root, name), join(bare, name), { recursive: true });
    symlinkSync(join(root, 'node_modules'), join(bare, 'node_modules'));
  });
  afterAll(() => rmSync(bare, { recursive: true, force: true }));
  const inBare = (source: string, env: Record<string, string> = {}) =>
    script(
      `import { HandleTable, Registry } from ${JSON.stringify(pathToFileURL(join(bare, 'dist/index.js')).href)};
      import assert from 'node:assert/strict';
      ${source}`,
      [],
      { env: { HAFT_BACKEND: '', HAFT_ADDON: '', ...env } },
    );

  it('is the addon, unless it is told', async () => {
    const source = "import { Registry } from 'haft'; console.log(new Registry().backend);";
    expect(expectExit(await script(source, [], { env: { HAFT_BACKEND: '' } })).stdout).toBe('addon\n');
    for (const HAFT_BACKEND of backends) {
      expect(expectExit(await script(source, [], { env: { HAFT_BACKEND } })).stdout).toBe(
        `${HAFT_BACKEND}\n`,
      );
    }
  });

  it('is koffi where there is no addon', async () => {
    expectExit(
      await inBare(`
        const registry = new Registry();
        assert.equal(registry.backend, 'koffi');
        assert.equal(registry.get(registry.create(registry)), registry);
      `),
    );
  });

  it('is what was asked for by name, or an error: the addon, or a file', async () => {
    const refused = "assert.throws(() => new Registry(), { code: 'HAFT_E_UNSUPPORTED' });";
    expectExit(await inBare(refused, { HAFT_BACKEND: 'addon' }));
    expectExit(await inBare(refused, { HAFT_ADDON: join(root, 'package.json') }));
    expectExit(await inBare(refused, { HAFT_ADDON: join(root, 'not-there.node') }));
    // An installed package has no scripts; it is built from its own folder.
    const next =
      'assert.throws(() => new Registry(), { next: /^run "npx node-gyp configure build -C .*haft-bare-/ });';
    expectExit(await inBare(next, { HAFT_BACKEND: 'addon' }));
  });

  it('is none without the addon and without koffi: one error, and no warning about koffi', async () => {
    const alone = mkdtempSync(join(tmpdir(), 'haft-alone-'));
    try {
      cpSync(bare, alone, { recursive: true, filter: (path) => !path.includes('node_modules') });
      const source = `import { Registry } from ${JSON.stringify(pathToFileURL(join(alone, 'dist/index.js')).href)};
        try { new Registry(); } catch (error) { console.log(error.code); }`;
      const ended = expectExit(await script(source, [], { env: { HAFT_BACKEND: '', HAFT_ADDON: '' } }));
      expect(ended).toMatchObject({ stdout: 'HAFT_E_UNSUPPORTED\n', stderr: '' });
    } finally {
      rmSync(alone, { recursive: true, force: true });
    }
  });

  it('is nothing else: HAFT_E_ARGUMENT', async () => {
    const source =
      'assert.throws(() => new Registry(), { code: \'HAFT_E_ARGUMENT\', message: /HAFT_BACKEND is "bun"/ });';
    expectExit(await inBare(source, { HAFT_BACKEND: 'bun' }));
  });

  it('is none in a worker without the addon: HAFT_E_BACKEND, and HandleTable works', async () => {
    const file = join(bare, 'worker.mjs');
    writeFileSync(
      file,
      `import { HandleTable, Registry } from './dist/index.js';
       import assert from 'node:assert/strict';
       assert.throws(() => new Registry(), { code: 'HAFT_E_BACKEND', message: /build the addon/ });
       new HandleTable().create(1);`,
    );
    const source = `
      import { Worker } from 'node:worker_threads';
      new Worker(${JSON.stringify(file)}, { execArgv: [] }).on('exit', (code) => assert.equal(code, 0));
    `;
    expectExit(await inBare(source));
    expectExit(await inBare(source, onKoffi));
  });
});

describe.each(backends)('C on the backend %s', (backend) => {
  it.each([
    ['has the same statuses on JavaScript’s thread and others, one inside the other', 'statuses'],
    ['is told of integers beyond 2^53 that they are forged', 'wide integers'],
    ['is on JavaScript’s thread also inside a callback that koffi relays', 'inside another callback'],
    ['posts from a thread, with HAFT_BLOCK, in order', 'posts of a thread'],
    ['calls behind what was posted before', 'a call behind posts'],
    ['has HAFT_E_BACKEND where koffi would have to wait, and completions where nobody waits', 'waits'],
    ['sees objects move', 'move'],
    ['is told HAFT_E_CLOSED when the registry closes under 300 callers', 'close'],
  ])('%s', async (_, name) => {
    expectExit(await program(name, backend));
  });

  it('has them too where koffi was used before', async () => {
    expectExit(await program('statuses', backend, ['koffi first']));
    expectExit(await program('inside another callback', backend, ['koffi first']));
  });

  it('has a table as haft.h declares it', async () => {
    const header = readFileSync(join(root, 'native/include/haft.h'), 'utf8');
    const version = (part: string) => Number(header.match(`#define HAFT_VERSION_${part} (\\d+)`)![1]);
    const table = header.match(/typedef struct haft_api \{(.*?)\} haft_api;/s)![1]!;
    const entries = table.match(/\(\*\w+\)/g)!.length;
    const { stdout } = expectExit(await program('a table for C alone', backend));
    expect(stdout).toBe(`${8 + 8 * entries} ${version('MAJOR')} ${version('MINOR')}\n`);
  });
});

describe('a slot on koffi', () => {
  it('retires when its generations are used up: no handle is valid twice, and a stale one stays stale', () => {
    const owner: Owner = {
      isOpen: true,
      released: Array.from({ length: 16 }, () => []),
      releasedFirst: () => {},
    };
    const slots = new Slots<Owner>(2);
    const { number, buffer } = slots.takeBlock(owner)!;
    const mirror = new Mirror(slots.base, slots.generationMask);
    const block = new Block(new Int32Array(buffer));
    mirror.addBlock(number, block);
    const issued = new Set<number>();
    const STALE = -2;
    for (let life = 1; life <= 4; life++) {
      const handle = mirror.publish({}, 7);
      expect(issued.has(handle)).toBe(false);
      issued.add(handle);
      expect([slots.retain(handle), slots.release(handle), slots.release(handle)]).toEqual([0, 0, 0]);
      for (const stale of issued) expect(slots.live(stale)).toBe(STALE);
      expect(owner.released.flat()).toHaveLength(1);
      const index = owner.released.flatMap((list) => list.splice(0))[0]!;
      expect(slots.free(index)).toBe(life === 4);
      mirror.drop(block, index & 1023);
      if (life < 4) mirror.giveBack(index);
    }
    for (const stale of issued) expect(slots.live(stale)).toBe(STALE);
  });
});

describe('the end of a process whose threads are in calls, on koffi', () => {
  it.each([
    ['by itself', 'a natural end', 0, 'before\nbehind\n'],
    ['by process.exit()', 'process.exit', 5, 'heard\n'],
    ['by process.exit(), without listeners', 'process.exit without listeners', 6, ''],
    ['by an exception', 'an exception', 1, ''],
  ])('%s', async (_, name, code, stdout) => {
    for (let round = 0; round < 5; round++) {
      const ended = expectExit(await program(name), code);
      expect(ended.stdout).toBe(stdout);
      if (code === 1) expect(ended.stderr).toContain('nobody catches this');
    }
  });
});

describe('haft run on koffi', () => {
  it('runs a host to its end', async () => {
    expectExit(await run('calls', 'calls.mjs', ['many'], { env: onKoffi }));
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('ends at once at the second %s', async (signal) => {
    const kill: [string, NodeJS.Signals][] = [
      ['host waits', signal],
      ['noticed', signal],
    ];
    const ended = await run('run', 'backends-host.mjs', ['for ever'], { env: onKoffi, kill });
    expect(ended).toMatchObject({ code: null, signal });
  });

  it('ends where its host calls exit()', async () => {
    const ended = await run('backends', 'backends-host.mjs', ['exit'], { env: onKoffi });
    expect(expectExit(ended, 3).stdout).toBe('written by C');
  });

  it('ends while its host’s thread is in a call', async () => {
    const logic = join(root, 'test/logic/backends-host.mjs');
    const ended = await haft(['run', built('backends.so'), logic], { env: onKoffi });
    expect(expectExit(ended, 1).stderr).toContain('an error that nobody catches');
  });
});
