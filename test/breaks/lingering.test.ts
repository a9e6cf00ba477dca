// P14: a drain does not linger for the next call after a handler that returned a promise. A drain that lingers marks the
// shard that it watches in the mask: one that does not leaves the mask alone.
import { kind } from 'haft';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Host, OK, Sender } from '../support/messages.js';

const { now } = performance;
const { or } = Atomics;
let clock = 0;
let marks = 0;
let host: Host;

beforeEach(() => {
  host = new Host();
  // Drains seem to follow each other so closely that lingering is worth it.
  performance.now = () => (clock += 0.001);
  Atomics.or = ((...args: Parameters<typeof or>) => {
    marks++;
    return or(...args);
  }) as typeof or;
});
afterEach(() => {
  performance.now = now;
  Atomics.or = or;
  host.close();
});

class Later {
  async add(n: number): Promise<number> {
    return n + 1;
  }
}
const LaterKind = kind(Later, { add: { args: ['f64'], returns: 'f64' } });

it('P14: a drain whose handler returned a promise ends at once', async () => {
  const add = new Sender(host.create(new Later(), LaterKind), LaterKind, 'add');
  for (let n = 0; n < 20; n++) expect(await add.begin(n).end()).toEqual([OK, n + 1]);
  expect(marks).toBe(0);
});
