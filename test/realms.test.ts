// Realms in workers: threads that send to several, realms that call each other, workers that are terminated while they
// wait. The programs are logic/realms.mjs and, for objects that move, logic/moves.mjs.
import { describe, it } from 'vitest';
import { built, child, expectExit, logicFile } from './support/child.js';

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
    ['P18: so is one that is closed by a wait for completions', 'a circle of completions'],
    ['P20: haft_blocking holds across a wait for another realm', 'blocking across a wait'],
  ])('%s', (_, name) => program(way, name));

  it.each([
    'haft_call',
    'haft_call_many',
    'haft_serve',
    'haft_wait',
    'haft_find',
    'haft_post',
    'haft_queue_next',
  ])('P19: a worker is terminated while its own thread is in %s', (place) =>
    program(way, `terminate in ${place}`),
  );
});

const move = async (name: string, env: Record<string, string> = {}) => {
  expectExit(await child(['--expose-gc', logicFile('moves.mjs'), name], { env }));
};

describe('an object that moves to another realm', () => {
  it.each([
    ['lives there, and comes back; the old handle is HAFT_E_MOVED and says where', 'there and back'],
    ['takes its references along', 'references'],
    ['receives what came meanwhile, after what came before, in order', 'messages meanwhile'],
    ['is called at its new place by those who are told HAFT_E_MOVED', 'calls meanwhile'],
    ['is followed by posts that its new mailbox had no room for', 'more than there is room for'],
    ['is followed by threads that post: nothing is lost and nothing comes twice', 'threads that follow'],
    ['moves once at a time', 'one at a time'],
    ['moves once at a time, also where its serialize asks for it again', 'serialize moves it'],
    ['meets others on the way', 'to and fro'],
    ['loses its names and its place in intern', 'names and intern'],
  ])('%s', (_, name) => move(name));

  it('is forgotten for new ones where there are few slots', () =>
    move('many, where there are few slots', { HAFT_ADDON: built('haft_small.node') }));
});

describe('an object that cannot move stays, and nothing of it is left elsewhere', () => {
  it.each([
    ['for a bad kind, realm, time, handle, serialize or deserialize', 'what fails'],
    ['P15: when there is no answer in time', 'no answer in time'],
    ['when the other realm closes', 'the other realm closes'],
    ['when the other worker is terminated', 'the other worker is terminated'],
    ['when its own realm closes', 'our realm closes'],
    ['when its serialize closes its own realm', 'serialize closes'],
    ['when it ends on the way', 'it ends on the way'],
  ])('%s', (_, name) => move(name));
});
