// Calls from native threads. The checks are in hosts/calls.c.
import { describe, it } from 'vitest';
import { expectExit, run } from './support/child.js';

const host = async (name: string) => {
  expectExit(await run('calls', 'calls.mjs', [name]));
};

describe('a call', () => {
  it.each([
    ['P15: whose time runs out before its handler has started never runs it', 'timeouts'],
    ['P15: whose time runs out while its handler runs discards the result and what it carries', 'abandoned'],
    ['P15: that is abandoned leaves no reply taken', 'no leak'],
    ['P15: never receives the answer of another', 'answers'],
    ['from eight threads, among posts, arrives once', 'threads'],
    ['P16: is answered before the next handler waits for its caller', 'flushed'],
    ['P22: ends with HAFT_E_CLOSED when a handler closes the registry', 'closes'],
    ['is answered when a promise settles, whatever sort of promise', 'promises'],
  ])('%s', (_, name) => host(name));
});

describe('what a handler throws', () => {
  it('is HAFT_E_EXCEPTION with name, message and stack, whatever it is', () => host('exceptions'));
});

describe('haft_call_many', () => {
  it.each([
    ['answers each request, in any number', 'many'],
    ['gives each request its own status, and returns the first that failed', 'many mixed'],
  ])('%s', (_, name) => host(name));
});
