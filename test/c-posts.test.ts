// Posts from native threads: mailboxes, order, and the objects behind them. The checks are in hosts/posts.c.
import { kind } from 'haft';
import { describe, expect, it } from 'vitest';
import { expectExit, run } from './support/child.js';
import { Host, OK, Sender, statusOf, until } from './support/messages.js';

const host = async (name: string) => {
  expectExit(await run('posts', 'posts.mjs', [name]));
};

describe('messages of one handle', () => {
  it.each([
    ['arrive in the order in which a thread sent them, short and long, from eight threads', 'order'],
    ['arrive in the order of each thread, when eight send to it', 'order of one handle'],
    ['come before a call that the thread makes after them', 'call behind posts'],
    ['P13: arrive once while the mailbox goes round and round', 'round'],
  ])('%s', (_, name) => host(name));
});

describe('a full mailbox', () => {
  it.each([
    ['is HAFT_E_FULL with HAFT_FAIL, waits with HAFT_BLOCK, drops with HAFT_DROP_NEWEST', 'full'],
    ['makes a call wait within its time', 'full call'],
    ['lets a producer sleep, also one whose message would go round its end', 'full at the end'],
    ['P16: lets its waiting producers go with HAFT_E_CLOSED when the realm closes', 'full close'],
  ])('%s', (_, name) => host(name));
});

describe('an object whose last reference goes', () => {
  it.each([
    ['P5: is still found by what was posted before, itself and as an argument', 'release behind post'],
    ['P5: is still found when hundreds wait at one time', 'release behind gate'],
    ['P5: stays for the handler that borrowed it, also when that drains', 'borrowed'],
    ['by delete is gone for the messages behind; also inside its own handler', 'deleted'],
  ])('%s', (_, name) => host(name));
});

describe('a drain', () => {
  it.each([
    ['P11: inside a handler runs every message once, in order, and all that waited', 'drain inside'],
    ['P12: comes back for what it left', 'burst'],
    ['P10: is rung for every burst of posts, however short', 'doorbell'],
    ['isolates each message: what throws goes to registry.on(error), the next is served', 'errors'],
  ])('%s', (_, name) => host(name));

  it('that begins with a stack that is all but full loses nothing, and every caller is answered', async () => {
    const here = new Host();
    class Adder {
      add(n: number): number {
        return n + 1;
      }
    }
    const AdderKind = kind(Adder, { add: { args: ['f64'], returns: 'f64' } });
    const add = new Sender(here.create(new Adder(), AdderKind), AdderKind, 'add');
    const calls = Array.from({ length: 8 }, (_, n) => add.begin(n, 10_000));
    // Time for the callers to send. Who comes later is answered by the event loop.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
    for (let n = 0; n < 100; n++) expect(add.post(n)).toBe(OK);
    let thrown = 0;
    const fall = () => {
      try {
        fall();
      } catch {}
      try {
        here.drain();
      } catch {
        thrown++;
      }
    };
    fall();
    expect(thrown).toBeGreaterThan(0);
    for (const [n, call] of calls.entries()) {
      const [status, result] = await call.end();
      expect([OK, statusOf('HAFT_E_EXCEPTION')]).toContain(status);
      if (status === OK) expect(result).toBe(n + 1);
    }
    await until(() => here.stats().delivered + here.stats().refused === 108);
    here.close();
  });
});
