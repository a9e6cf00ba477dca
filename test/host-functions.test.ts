// Functions of the host, through C hosts of their own process: hosts/host_functions.c with logic/host-functions.mjs. What
// JavaScript expects of each call stands there; a case fails with its text.
import { describe, expect, it } from 'vitest';
import { expectExit, run, script } from './support/child.js';

const host = async (...args: string[]) => {
  expectExit(await run('host_functions', 'host-functions.mjs', args));
};

const SCENARIOS = [
  ['promises: every type, every error', 'promises'],
  ['waits: every type, every error', 'waits'],
  ['hundreds at once, and HAFT_E_BUSY beyond 256', 'at once'],
  ['nested, each waiting', 'nested, waits'],
  ['nested, each a promise', 'nested, promises'],
  ['a promise that only the waiting thread could settle is HAFT_E_DEADLOCK', 'a promise that cannot settle'],
] as const;

describe('a function of the host is run by a thread that waits in haft_call', () => {
  it.each(SCENARIOS)('%s', (_, scenario) => host('by caller', scenario));

  it('beyond 64 on one thread it is HAFT_E_BUSY', () => host('by caller', 'nested too deep'));

  it('registry.host refuses what cannot be a function of the host', () => host('by caller', 'the surface'));

  it('P34: each call wakes another one that sleeps', () => host('by sleeping callers'));
});

describe.each([1, 3])('a function of the host is run by %i threads in haft_serve', (threads) => {
  it.each(SCENARIOS)('%s', (_, scenario) => host('by servers', scenario, String(threads)));
});

describe('a function of the host', () => {
  it('is run by a thread that waits in haft_find', () => host('by finder'));

  it('waits until somebody serves', () => host('nobody waits'));

  it('has a name of 1 to 112 bytes; 1,024 a realm; the second takes the place of the first', () =>
    host('names'));

  it('answers with what can be sent', () => host('answers'));

  it.each([
    ['promise', 'givesUp'],
    ['wait', 'givesUpWaiting'],
  ])('P33: whose %s has ended drops its memory and its reference', (_, way) => host('given up', way));

  it.each([
    ['promise', 'holdPromise'],
    ['wait', 'holdWaiting'],
  ])('ends with HAFT_E_CLOSED when the registry closes: a %s', (_, way) => host('closes', way));

  it('haft_signal ends haft_serve, also one that begins after it', () => host('signals'));

  it.each([0, 1, 3])('is called from handlers of four callers, with %i servers', (servers) =>
    host('many', String(servers)),
  );
});

/** A registry and nothing of C's: its calls wait for ever. */
const program = (body: string, env: Record<string, string> = {}) =>
  script(
    `
    import assert from 'node:assert/strict';
    import { Registry } from 'haft';
    const registry = new Registry();
    ${body}
  `,
    [],
    { env },
  );

describe('where no thread serves', () => {
  it('an open promise keeps the process alive, until its time is up or the registry closes', async () => {
    const ended = await program(`
      const host = registry.host({ absent: {} }, { timeoutMilliseconds: 200 });
      const began = performance.now();
      process.on('exit', () => assert.ok(performance.now() - began >= 190));
      host.absent().catch((error) => console.log(error.code));
      registry.host({ other: {} }).other().catch((error) => console.log(error.code));
      setTimeout(() => registry.close(), 400).unref();
    `);
    expectExit(ended);
    expect(ended.stdout).toBe('HAFT_E_TIMEOUT\nHAFT_E_CLOSED\n');
  });

  it('calls that were given up make room for others, and give back what they carry', async () => {
    const ended = await program(`
      const host = registry.host({ f: { args: ['handle', 'bytes'] } }, { timeoutMilliseconds: 1 });
      const bytes = new Uint8Array(300_000);
      for (let round = 0; round < 1200; round++) {
        const handle = registry.create({});
        if (round % 2) assert.throws(() => host.sync.f(handle, bytes), { code: 'HAFT_E_TIMEOUT' });
        else await assert.rejects(host.f(handle, bytes), { code: 'HAFT_E_TIMEOUT' });
        registry.release(handle);
        registry.drain();
        assert.ok(!registry.has(handle));
      }
      registry.close();
      assert.throws(() => registry.host({}), { code: 'HAFT_E_CLOSED' });
      await assert.rejects(host.f(0, bytes), { code: 'HAFT_E_CLOSED' });
    `);
    expectExit(ended);
  });

  it('P19: a worker that waits in sync is terminated', async () => {
    const ended = await script(`
      import { Worker } from 'node:worker_threads';
      const text = \`
        Promise.all([import('haft'), import('node:worker_threads')]).then(([{ Registry }, { parentPort }]) => {
          const host = new Registry().host({ absent: {} });
          parentPort.postMessage('waits');
          host.sync.absent();
        });
      \`;
      for (let i = 0; i < 5; i++) {
        const worker = new Worker(text, { eval: true });
        await new Promise((resolve) => worker.once('message', resolve));
        await new Promise((resolve) => setTimeout(resolve, 20));
        await worker.terminate();
      }
      console.log('done');
    `);
    expectExit(ended);
    expect(ended.stdout).toBe('done\n');
  });
});

it('without the addon there are none', async () => {
  const ended = await program(
    "assert.throws(() => registry.host({ f: {} }), { code: 'HAFT_E_BACKEND' }); registry.close();",
    { HAFT_BACKEND: 'koffi' },
  );
  expectExit(ended);
});
