// What one object's handlers do wrong costs its own messages, and not its neighbours'. The checks are in
// hosts/isolation.c.
import { describe, it } from 'vitest';
import { expectExit, run } from './support/child.js';

const host = async (name: string) => {
  expectExit(await run('isolation', 'isolation.mjs', [name]));
};

describe('every call of a handle is answered beside one', () => {
  it.each([
    ['whose posts all throw', 'failing posts'],
    ['whose posts all throw, in the same mailbox', 'failing posts, same shard'],
    ['whose calls all throw', 'failing calls'],
    ['whose calls all throw, in the same mailbox', 'failing calls, same shard'],
    ['whose promises all reject, in the same mailbox', 'rejecting'],
    ['whose results are all of the wrong type, in the same mailbox', 'wrong'],
    ['that is flooded with posts', 'flood'],
    ['whose promises never settle, in the same mailbox', 'never'],
    ['whose handlers take longer than a drain', 'slow'],
  ])('%s', (_, name) => host(name));
});

describe('a full mailbox', () => {
  it.each([
    ['does not stall any other', 'full shard'],
    ['whose handlers are slow does not stall callers of another', 'full and slow'],
    ['in all sixteen shards at once: each is served in its turn, and so is the event loop', 'all full'],
  ])('%s', (_, name) => host(name));
});

describe('what is used up by one', () => {
  it.each([
    ['memory for strings: messages without go on', 'full heap'],
    ['replies: posts go on, and calls when some gave up', 'no reply left'],
  ])('%s', (_, name) => host(name));
});
