// C on JavaScript's own thread: called by JavaScript, it calls JavaScript back. Through koffi, whose C runs on a stack
// of its own, and through an addon. The cases are in logic/same-thread.mjs.
import { describe, it } from 'vitest';
import { child, expectExit, logicFile } from './support/child.js';

const main = async (way: string, name: string) => {
  expectExit(await child([logicFile('same-thread.mjs'), way, name]));
};

describe.each(['koffi', 'addon'])('C that is called through %s', (way) => {
  it.each([
    ['calls back at once, with all sorts of arguments and results', 'call'],
    ['calls back from there again: C -> JavaScript -> C -> JavaScript on one handle', 'nested'],
    ['receives what a handler throws as a status, and leaves no exception behind', 'exceptions'],
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
