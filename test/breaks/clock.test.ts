// P12: the breaker goes by the clock that there was when haft was loaded. With a fake one that begins at 0, as those of
// tests do, a breaker would be over for native code as soon as it opens.
import { kind } from 'haft';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Host, OK, Sender, statusOf } from '../support/messages.js';

let host: Host;
beforeEach(() => {
  host = new Host();
});
afterEach(() => host.close());

class Service {
  run(n: number): void {
    if (n < 0) throw new Error('no');
  }
}
const ServiceKind = kind(
  Service,
  { run: { args: ['f64'] } },
  { breaker: { failures: 1, retryAfterMilliseconds: 60_000 } },
);

it('P12: the breaker does not ask a fake of the clock', () => {
  const run = new Sender(host.create(new Service(), ServiceKind), ServiceKind, 'run');
  vi.useFakeTimers({ toFake: ['hrtime', 'performance', 'Date'] });
  let status: number;
  try {
    expect(run.post(-1)).toBe(OK);
    host.drain();
    vi.advanceTimersByTime(86_400_000);
    [status] = run.call(1);
  } finally {
    vi.useRealTimers();
  }
  expect(status).toBe(statusOf('HAFT_E_BREAKER'));
});
