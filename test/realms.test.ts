// Realms in workers: threads that send to several, realms that call each other, workers that are terminated while they
// wait. The programs are logic/realms.mjs and, for objects that move, logic/moves.mjs.
import { describe, it } from 'vitest';
import { child, expectExit, logicFile } from './support/child.js';

const program = async (way: string, name: string) => {
  expectExit(await child([logicFile('realms.mjs'), way, name]));
};

describe.each(['koffi', 'addon'])('realms in workers, C called through %s', (way) => {
  it.each([
    ['threads send to objects of both, and a handle finds its realm', 'two realms'],
    ['the main realm’s own thread calls an object of a worker', 'from the main thread'],
    [
      'P18: a circle of realms that call each other is told to whoever closes it, and the others go on',
      'a circle',
    ],
    ['P20: haft_blocking holds across a wait for another realm', 'blocking across a wait'],
  ])('%s', (_, name) => program(way, name));

  it.each(['haft_call', 'haft_serve', 'haft_wait', 'haft_find', 'haft_post'])(
    'P19: a worker is terminated while its own thread is in %s',
    (place) => program(way, `terminate in ${place}`),
  );
});
