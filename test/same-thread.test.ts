// C on JavaScript's own thread: called by JavaScript, it calls JavaScript back. Through koffi, whose C runs on a stack
// of its own, and through an addon. The cases are in logic/same-thread.mjs.
import { Registry } from 'haft';
import koffi from 'koffi';
import { describe, expect, it } from 'vitest';
import { child, expectExit, logicFile } from './support/child.js';

const main = async (way: string, name: string) => {
  expectExit(await child([logicFile('same-thread.mjs'), way, name]));
};

describe.each(['koffi', 'addon'])('C that is called through %s', (way) => {
  it.each([
    ['calls back at once, with all sorts of arguments and results', 'call'],
    ['calls back from there again: C -> JavaScript -> C -> JavaScript on one handle', 'nested'],
    ['receives what a handler throws as a status, and leaves no exception behind', 'exceptions'],
    ['receives its own answer, though a batch calls back when it ends', 'a batch behind it'],
    ['counts every call, also the one for which the stack is full', 'a full stack'],
    ['cannot wait for a promise: HAFT_E_DEADLOCK', 'a promise'],
    ['is refused for a bad handle as any other thread', 'bad handles'],
    ['P17: overtakes its own posts with a call', 'P17'],
    ['cannot wait for room in a mailbox: HAFT_E_DEADLOCK', 'a full mailbox'],
    ['P11: may run a handler that drains', 'a drain inside'],
    ['P22: is told HAFT_E_CLOSED when the handler closes the registry', 'P22: closed by its handler'],
    ['P22: finds the registry closed by a post', 'P22: closed by a handler of the drain'],
    [
      'P22: is told HAFT_E_CLOSED when a drain inside its call closes it',
      'P22: closed by a handler of a drain inside a call',
    ],
    ['receives the result of a handler that deletes its own object', 'deleted in its own handler'],
    ['P5: posts, releases, and the message still finds its object', 'references'],
  ])('%s', (_, name) => main(way, name));
});

it('koffi without useKoffi is HAFT_E_UNSUPPORTED, not a crash', () => main('koffi', 'without useKoffi'));

it('koffi, which forgets no type, is asked for one type by however many registries', () => {
  let types = 0;
  const counting = {
    ...koffi,
    proto: (text: string) => {
      types++;
      return koffi.proto(text);
    },
    pointer: (type: never) => {
      types++;
      return koffi.pointer(type);
    },
  };
  for (let i = 0; i < 10; i++) new Registry().useKoffi(counting).close();
  expect(types).toBe(2); // void(), and the pointer to it
});
