// Trampolines that C calls with what it was not given, or too late; and closures that throw, answer nonsense, or end
// what they stand on. The cases are in logic/trampoline-misuse.mjs.
import { describe, it } from 'vitest';
import { child, expectExit, logicFile } from './support/child.js';

const main = async (...args: string[]) =>
  expectExit(await child(['--expose-gc', logicFile('trampoline-misuse.mjs'), ...args]));

describe('user data that is none', () => {
  it.each([
    ['forged, truncated, off by one, of another sort', 'forged user data'],
    ['stale, in every way that it can end', 'stale user data'],
    ['of a worker that has ended', 'after a worker has ended'],
    ['tells C onError, of every type', 'onError of every type'],
    ['is told to those whose it may be', 'errors of two registries reach their own'],
    ['may come for ever', 'misuse without end'],
  ])('%s', async (_, name) => {
    await main(name);
  });
});

describe('a closure', () => {
  it.each([
    ['that throws, whatever it throws', 'what a closure throws'],
    ['that answers with another type, or a promise', 'results of another type, and promises'],
    ['that ends itself, its registry, or binds 10,000 more', 'a closure that ends things while it runs'],
    ['that calls itself until the stack is full', 'a stack that is full'],
    [
      'that threw is the last of a plain call, whichever registry the next are of',
      'an exception on its way halts the closures of all registries',
    ],
    [
      'that throws, without a listener',
      'without a listener misuse is silent, and what is thrown elsewhere is an unhandled rejection',
    ],
  ])('%s', async (_, name) => {
    await main(name);
  });

  it.each(['koffi', 'addon'])('throws through C that %s called, and two registries', async (way) => {
    await main('exceptions through C -> JavaScript -> C -> JavaScript', way);
  });
});
