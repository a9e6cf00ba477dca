// P15: a caller that gives up a call which a promise is to answer, at the moments that only a busy event loop makes
// certain: while the handler still runs, and after it has returned the promise but before JavaScript heard of it.
import { kind } from 'haft';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Host, type PendingCall, Sender, statusOf, until } from '../support/messages.js';

const TIMEOUT = statusOf('HAFT_E_TIMEOUT');

let host: Host;
beforeEach(() => {
  host = new Host();
});
afterEach(() => host.close());

let act: (n: number) => Promise<number>;
class Later {
  add(n: number): Promise<number> {
    return act(n);
  }
}
const LaterKind = kind(Later, { add: { args: ['f64'], returns: 'f64' } });

/** Keeps the event loop from hearing anything until the caller has left. */
function leave(call: PendingCall | undefined): void {
  const end = Date.now() + 10_000;
  while (call?.running && Date.now() < end);
  expect(call?.running).toBe(false);
}

async function isExpired(call: PendingCall | undefined): Promise<void> {
  expect((await call?.end())?.[0]).toBe(TIMEOUT);
  expect(host.stats()).toMatchObject({ sent: 1, expired: 1, delivered: 0, refused: 0 });
}

it('P15: the caller leaves while the handler runs that then returns a promise', async () => {
  let call: PendingCall | undefined;
  let settled = false;
  act = (n) => {
    leave(call);
    return new Promise((resolve) => {
      setTimeout(() => {
        resolve(n);
        settled = true;
      }, 1);
    });
  };
  call = new Sender(host.create(new Later(), LaterKind), LaterKind, 'add').begin(1, 30);
  await until(() => settled);
  await isExpired(call);
});

it('P15: the caller leaves before its promise settles, and JavaScript has not heard of it', async () => {
  let resolve: ((n: number) => void) | undefined;
  act = () =>
    new Promise((done) => {
      resolve = done;
    });
  const call = new Sender(host.create(new Later(), LaterKind), LaterKind, 'add').begin(1, 100);
  await until(() => resolve !== undefined);
  leave(call);
  resolve?.(2);
  await isExpired(call);
});
