// Calls whose callers do not wait. The checks are in hosts/async.c.
import { describe, it } from 'vitest';
import { expectExit, run } from './support/child.js';

const host = async (name: string) => {
  expectExit(await run('async', 'async.mjs', [name]));
};

describe('haft_call_async', () => {
  it.each([
    ['tells a function, once each, and what it was sent with', 'functions'],
    ['that is refused never tells', 'not sent'],
    ['gives handles, long strings and bytes to the receiver', 'results'],
    ['tells why a handler failed, as a text', 'failing'],
    ['is answered when promises settle', 'promises'],
    ['P15: ends in its time while JavaScript is blocked, and never runs later', 'timeouts'],
    ['P15: discards late answers with their references and their memory', 'late'],
    ['and every other call is HAFT_E_BUSY while 4,095 are under way', 'busy'],
    ['on the realm’s own thread is run in its turn', 'own thread'],
    ['may be called by a completer', 'chain'],
    ['P21: is heard of exactly once when the realm closes', 'closed'],
    ['P21: is heard of if it was sent, again and again', 'closed again and again'],
  ])('%s', (_, name) => host(name));
});

describe('a queue of completions', () => {
  it.each([
    ['is readable while it has any, for poll and epoll', 'queues'],
    ['is any integer: those that are not open are HAFT_E_FORGED', 'bad queues'],
    ['that is closed frees what is in it and what is under way', 'closed queues'],
    ['serves many threads, and ends their waits when it is closed', 'many takers'],
    ['may be closed while others send to it and take from it', 'queues come and go'],
  ])('%s', (_, name) => host(name));
});

it('P26: in a forked child all of it is HAFT_E_FORKED', () => host('forked'));
