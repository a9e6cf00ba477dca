// Registries in worker threads: how their realms end with them, and what the others notice. The programs are in ends/.
import { join } from 'node:path';
import { describe, it } from 'vitest';
import { built, child, expectExit, root } from './support/child.js';

const program = (name: string) => join(root, 'test', 'ends', `${name}.mjs`);
const main = async (name: string, ...args: string[]) => {
  expectExit(await child([program('workers'), name, ...args]));
};

describe('the addon is loaded in a worker only, native threads work, and the worker', () => {
  it.each([
    'comes to its natural end',
    'closes its registry',
    'closes its registry in a handler',
    'process.exit',
    'process.exit in a handler',
    'an uncaught exception',
    'an unhandled rejection',
    'an exception of a listener',
    'terminate',
    'terminate while every handler throws',
    'terminate while a handler throws and catches for ever',
    'terminate in a listener of errors',
    'terminate while handlers wait for promises',
  ])('%s', (how) => main('loaded only there', how));
});

describe('registries of several threads', () => {
  it('the last worker gone, and a new one, again and again, and then the main thread', () =>
    main('the last one gone, and a new one'));

  it('a worker is terminated at any moment while it opens and closes registries: no realm is lost', () =>
    main('terminated while it opens and closes'));

  it('P19: a worker that waits in C for another realm, without a limit, is terminated there', () =>
    main('terminated while it waits for another'));

  it('three at a time: one ends, and those of the others go on', () => main('three at a time'));

  it('P18: two that call each other: none waits for ever, and both serve afterwards', () =>
    main('two that call each other'));
});

// 4,096 slots of four generations in the whole process: what a worker left must serve the next one.
it('P23, P24: a thousand workers, one after the other, each with handles that it left', async () => {
  const env = { HAFT_ADDON: built('haft_small.node') };
  expectExit(await child([program('thousand'), '1000', '12'], { env, timeout: 280_000 }));
}, 300_000);
