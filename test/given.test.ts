// References that a handler gives away where nobody receives them: they are given back.
import { type Handle, kind } from 'haft';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Host, OK, Sender, statusOf, turn, until } from './support/messages.js';

let host: Host;
beforeEach(() => {
  host = new Host();
});
afterEach(() => host.close());

class Made {}
const MadeKind = kind(Made, {});

/** Fails every other time. */
class Maker {
  runs = 0;
  make(_n: number): Handle<Made> {
    if (this.runs++ % 2 === 0) throw new Error('not yet');
    return host.create(new Made(), MadeKind);
  }
  async makeLater(n: number): Promise<Handle<Made>> {
    await turn();
    return this.make(n);
  }
}
const returns = { args: ['f64'], returns: 'handle' } as const;
const ops = { make: returns, makeLater: returns } as const;
const kinds = {
  'no options': kind(Maker, ops, { name: 'plain' }),
  retries: kind(Maker, ops, { name: 'retried', retries: { times: 3 } }),
  'a breaker': kind(Maker, ops, { name: 'broken', breaker: { failures: 100, retryAfterMilliseconds: 1 } }),
};
type Options = keyof typeof kinds;

const sender = (options: Options, op: keyof typeof ops) =>
  new Sender(host.create(new Maker(), kinds[options]), kinds[options], op);

/** So many were made, and nothing lives but their maker. */
async function areGone(count: number): Promise<void> {
  await until(() => host.stats().created === 1 + count);
  await until(() => host.stats().live === 1);
}

it.each<[Options, keyof typeof ops, number]>([
  ['no options', 'make', 10],
  ['no options', 'makeLater', 10],
  ['retries', 'make', 20],
  ['retries', 'makeLater', 20],
  ['a breaker', 'make', 10],
  ['a breaker', 'makeLater', 10],
])('by a post, of a kind with %s: %s', async (options, op, count) => {
  const maker = sender(options, op);
  for (let i = 0; i < 20; i++) expect(maker.post(i)).toBe(OK);
  await areGone(count);
});

it.each<Options>(['no options', 'a breaker'])(
  'by a promise, where a call of the same thread cannot wait for it, of a kind with %s',
  async (options) => {
    const maker = sender(options, 'makeLater');
    for (let i = 0; i < 20; i++) expect(maker.call(i)[0]).toBe(statusOf('HAFT_E_DEADLOCK'));
    await areGone(10);
  },
);
