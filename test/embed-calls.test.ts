// haft.h across two processes, and its waits while the other one dies. Each case is in embed/calls.c.
import { describe, expect, it } from 'vitest';
import { casesOf, embed } from './support/embed.js';

describe.runIf(process.platform === 'linux')('across two processes', () => {
  const run = casesOf('calls');

  it.each([
    ['calls answer, with strings of any size', 'calls'],
    ['posts and references arrive', 'posts and handles'],
    ['many calls go at once', 'many at once'],
    ['calls complete without a thread that waits', 'asynchronous calls'],
    ['names and events are waited for', 'names and events'],
    ['too many calls are told so', 'too many calls'],
    ['eight logics do not disturb each other', 'eight logics'],
    ['a logic has realms of its own', 'realms of one logic'],
    ['realms come and go', 'registries come and go'],
  ])('%s', async (_, name) => {
    await run(name);
  });

  // reason, exit code, signal
  it.each([
    ['kill', '3 -1 9\n'],
    ['stop', '1 -1 0\n'],
    ['exit', '2 3 0\n'],
    ['crash', '3 -1 9\n'],
    ['abort', '3 -1 6\n'],
    ['close', '2 0 0\n'],
    ['busy', '3 -1 9\n'],
  ])('whoever waits hears of the end: %s', async (how, says) => {
    const { code, signal, stdout, stderr } = await embed('calls', ['death', how]);
    expect({ code, signal, stdout }, stderr).toEqual({ code: 0, signal: null, stdout: says });
  });
});
