// Trampolines: one C function pointer for any number of closures. Each case is a program of its own, in
// logic/trampolines.mjs; what C passes and gets, C itself tells (hosts/signatures.h, hosts/callbacks.c).
import { Registry } from 'haft';
import koffi from 'koffi';
import { describe, expect, it } from 'vitest';
import { built, child, expectExit, logicFile } from './support/child.js';

const main = async (name: string) =>
  expectExit(await child(['--expose-gc', logicFile('trampolines.mjs'), name]));

describe('a trampoline', () => {
  it.each([
    ['passes 128 signatures of up to 16 arguments, on this thread', 'every signature on this thread'],
    ['passes them from another thread', 'every signature on another thread'],
    ['passes texts: NULL, empty, not UTF-8, 2 MB, too long', 'texts of all sorts'],
    ['takes its user data as uint64_t, uintptr_t and void *', 'uint64_t, uintptr_t and void * alike'],
    ['finds its user data through a C function', 'user data that is found from an argument'],
    ['shares it with the others of its group', 'a group shares one user data'],
    ['runs a closure once', 'once'],
    ['ends what a scope owns', 'scopes, using, and unbind'],
    ['gives C a destructor', 'destroyNotify'],
    ['is the same pointer for the same signature', 'one signature is one pointer'],
    ['does not use its pool up, however many registries and workers', 'two thousand registries and workers'],
    ['does with koffi what the pool cannot', 'a pool that is used up'],
    ['posts', 'posts: order, a full mailbox, and what becomes of errors'],
    ['waits no longer than it may', 'a call that takes too long'],
    ['waits for promises', 'a promise: awaited from another thread'],
    [
      'does not wait for a thread that waits for it',
      'a join: what cannot be answered is not waited for for ever',
    ],
    ['passes structs by value with koffi', 'a struct by value, through koffi'],
    ['refuses types and values that do not go together', 'what cannot be'],
    ['serves C that was called through an addon', 'through an addon'],
  ])('%s', async (_, name) => {
    await main(name);
  });

  it.each([
    'every signature on this thread',
    'every signature on another thread',
    'texts of all sorts',
    'uint64_t, uintptr_t and void * alike',
    'user data that is found from an argument',
    'a group shares one user data',
    'once',
    'scopes, using, and unbind',
    'posts: order, a full mailbox, and what becomes of errors',
    'what cannot be',
  ])('does without the addon what it does with it: %s', async (name) => {
    const env = { HAFT_BACKEND: 'koffi' };
    expectExit(await child(['--expose-gc', logicFile('trampolines.mjs'), name], { env }));
  });

  // At level 2 of HAFTCHECK each keeps where it was made.
  it.skipIf(process.env.HAFTCHECK === '2')(
    'takes less than 200 bytes a closure, a million of them',
    async () => {
      const { stdout } = await main('a million closures, each with its own number');
      expect(stdout).toMatch(/bytes a bound closure/);
    },
  );

  it('keeps the event loop alive while something is bound, and no longer', async () => {
    expect((await main('the event loop lives while something is bound')).stdout).toBe('unbound\n');
  });

  it('does not with ref: false', async () => {
    expect((await main('ref: false does not keep the event loop alive')).stdout).toBe('bound\nexit 0\n');
  });
});

describe('using', () => {
  const call = koffi
    .load(built('callbacks.so'))
    .func('int32_t cb_call(void *function, void *userData, int32_t n)');

  it('ends a closure with its block, and a scope with its', () => {
    using registry = new Registry();
    const add = registry.trampoline({ args: ['int', 'void *'], returns: 'int', userData: 1, onError: -1 });
    const ended: number[] = [];
    {
      using bound = add.bind((n) => n + 1);
      using scope = registry.scope();
      const scoped = add.bind((n) => n + 2, { scope });
      expect([bound, scoped].map(({ pointer, userData }) => call(pointer, userData, 1))).toEqual([2, 3]);
      ended.push(bound.userData, scoped.userData);
    }
    expect(ended.map((userData) => call(add.pointer, userData, 1))).toEqual([-1, -1]);
  });
});
