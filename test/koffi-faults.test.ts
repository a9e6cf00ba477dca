// Where koffi's callbacks alone fail or crash the process: haft does not, or refuses clearly. What koffi does stands
// beside each; where that is the same each time and no crash, a test shows it. The cases are in logic/koffi-faults.mjs.
import { describe, it } from 'vitest';
import { child, expectExit, logicFile } from './support/child.js';

const main = async (args: string[], code = 0) =>
  expectExit(await child(['--expose-gc', logicFile('koffi-faults.mjs'), ...args]), code);

describe('a stale pointer', () => {
  it('runs the next callback, of koffi alone', async () => {
    await main(['a stale pointer, of koffi alone']);
  });
  it('runs nobody’s closure', async () => {
    await main(['a stale pointer']);
  });
});

describe('more than 8,192 closures', () => {
  it('koffi alone has no more', async () => {
    await main(['more than 8,192 closures, of koffi alone']);
  });
  it('are served, and leave koffi its own', async () => {
    await main(['more than 8,192 closures']);
  });
});

describe('threads that call', () => {
  // koffi: SIGSEGV.
  it('while their closures are unbound, thirty rounds', async () => {
    await main(['unbind while threads call']);
  });
  it('while the registry closes, thirty rounds', async () => {
    await main(['close while threads call']);
  });
  // koffi: SIGSEGV.
  it.each([0, 10, 20])('while the worker is terminated, ten rounds from %s', async (from) => {
    await main(['terminate while threads call', String(from), String(from + 10)]);
  });
  it('on the worker’s own thread while it is terminated', async () => {
    await main(['terminate in a call of its own C']);
  });
  // koffi: it throws through Node-API on the wrong thread.
  it('may be 600 at the same time', async () => {
    await main(['more than 256 concurrent foreign callers']);
  });
  // koffi alone: a SIGSEGV now and then.
  describe.each(['exit', 'natural', 'close', 'uncaught'])('at the end of the process: %s', (how) => {
    it.each(['inside', 'during', 'after', 'own'])('%s', async (when) => {
      const rounds = Array.from({ length: 4 }, () => main(['the end of the process', how, when], 7));
      await Promise.all(rounds);
    });
  });
});

describe('numbers', () => {
  it('are now a number, now a bigint, and cut to 64 bits, of koffi alone', async () => {
    await main(['numbers of 64 bits, of koffi alone']);
  });
  it('above 2^53 are bigints, always, and exact in both directions', async () => {
    await main(['numbers above 2^53']);
  });
  it('of 64 bits and more are no handles', async () => {
    await main(['2^64 + h']);
  });
});

// koffi: C is given a zero, and nobody is told.
it('exceptions are told, and C is told onError', async () => {
  await main(['exceptions']);
});
