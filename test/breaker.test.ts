// The breaker of a kind: handlers that fail in a row stop its messages for a while.
import { kind, type Registry } from 'haft';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Host, OK, Sender, statusOf, turn, until } from './support/messages.js';
import { thrown } from './support/tables.js';

const BREAKER = statusOf('HAFT_E_BREAKER');
const EXCEPTION = statusOf('HAFT_E_EXCEPTION');

class Service {
  readonly log: number[] = [];
  /** Settles the promises of `later`. */
  readonly settle: [succeed: () => void, fail: () => void][] = [];
  /** Negative numbers fail. */
  run(n: number): number {
    this.log.push(n);
    if (n < 0) throw new Error(`${n}`);
    return n;
  }
  later(n: number): Promise<number> {
    this.log.push(n);
    return new Promise((resolve, reject) => {
      this.settle.push([() => resolve(n), () => reject(new Error(`${n}`))]);
    });
  }
}
const ops = {
  run: { args: ['f64'], returns: 'f64' },
  later: { args: ['f64'], returns: 'f64' },
} as const;
/** Stays open for longer than any test. */
const LongKind = kind(Service, ops, {
  name: 'long',
  breaker: { failures: 3, retryAfterMilliseconds: 86_400_000 },
});
/** Stays open for longer than a machine stalls. */
const MediumKind = kind(Service, ops, {
  name: 'medium',
  breaker: { failures: 1, retryAfterMilliseconds: 1000 },
});
const ShortKind = kind(Service, ops, { name: 'short', breaker: { failures: 3, retryAfterMilliseconds: 5 } });

let host: Host;
beforeEach(() => {
  host = new Host();
});
afterEach(() => host.close());

function made(of = LongKind, where: Registry = host) {
  const service = new Service();
  const handle = where.create(service, of);
  return {
    service,
    handle,
    run: new Sender(handle, of, 'run'),
    later: new Sender(handle, of, 'later'),
  };
}

type Made = ReturnType<typeof made>;

/** Lets three handlers fail. */
function open({ run }: Made): void {
  for (let i = 1; i <= 3; i++) expect(run.post(-i)).toBe(OK);
  host.drain();
}

/** Posts until the sender is let through. */
async function trial({ run }: Made, n: number): Promise<void> {
  await until(() => run.post(n) === OK);
  host.drain();
}

describe('handlers that fail in a row', () => {
  it('open the breaker: senders learn at once, posts and calls, from any thread', async () => {
    const all = made();
    open(all);
    expect(all.run.post(1)).toBe(BREAKER);
    expect(all.run.call(1)[0]).toBe(BREAKER);
    expect((await all.run.begin(1).end())[0]).toBe(BREAKER);
    expect(all.service.log).toEqual([-1, -2, -3]);
    expect(host.told).toEqual(['-1', '-2', '-3']);
    expect(host.stats()).toMatchObject({ sent: 6, delivered: 3, refused: 3 });
  });

  it('count as calls too, also of the same thread', async () => {
    const { run, service } = made();
    expect((await run.begin(-1).end())[0]).toBe(EXCEPTION);
    expect(run.call(-2)[0]).toBe(EXCEPTION);
    run.post(-3);
    host.drain();
    expect(run.call(1)[0]).toBe(BREAKER);
    expect(service.log).toEqual([-1, -2, -3]);
  });

  it('count as promises that reject', async () => {
    const { run, later, service } = made();
    for (let i = 0; i < 2; i++) later.post(i);
    host.drain();
    const call = later.begin(2);
    await until(() => service.settle.length === 3);
    for (const [, fail] of service.settle) fail();
    expect((await call.end())[0]).toBe(EXCEPTION);
    expect(run.post(1)).toBe(BREAKER);
  });

  it('are in a row: one that succeeds between them starts anew', () => {
    const { run, service } = made();
    for (const n of [-1, -2, 3, -4, -5, 6, -7, -8]) run.post(n);
    host.drain();
    expect(service.log.length).toBe(8);
    expect(run.post(9)).toBe(OK);
  });

  it('may be of several objects', () => {
    const [a, b, c] = [made(), made(), made()] as const;
    for (const { run } of [a, b, c]) {
      run.post(-1);
      host.drain();
    }
    for (const { run } of [a, b, c]) expect(run.post(1)).toBe(BREAKER);
  });

  it('do not touch other kinds, or the same kind in another registry', () => {
    open(made());
    expect(made(ShortKind).run.post(1)).toBe(OK);
    const other = new Host();
    expect(made(LongKind, other).run.post(1)).toBe(OK);
    expect(made().run.post(1)).toBe(BREAKER);
    other.close();
  });

  it('count as results of another type, also of promises', async () => {
    const { run, later, service } = made();
    service.run = () => 'text' as never;
    service.later = async () => 'text' as never;
    for (const sender of [run, later, run]) {
      expect((await sender.begin(1).end())[0]).toBe(statusOf('HAFT_E_RESULT'));
    }
    expect(run.post(1)).toBe(BREAKER);
  });

  it('count as results of another type of calls of the same thread', () => {
    const { run, service } = made();
    service.run = () => 'text' as never;
    for (let i = 0; i < 3; i++) expect(run.call(1)[0]).toBe(statusOf('HAFT_E_RESULT'));
    expect(run.post(1)).toBe(BREAKER);
  });

  it('count as calls whose promises are not settled in time', async () => {
    const { run, later, service } = made();
    // One whose time is over before its handler has begun says nothing of the handler.
    while (service.settle.length < 3) {
      expect((await later.begin(1, 20).end())[0]).toBe(statusOf('HAFT_E_TIMEOUT'));
    }
    await until(() => run.post(1) === BREAKER);
  });

  it('are not arguments that do not fit', () => {
    const { run } = made();
    for (let i = 0; i < 5; i++) run.postNothing();
    host.drain();
    expect(run.post(1)).toBe(OK);
  });
});

describe('messages that wait in the mailbox when it opens', () => {
  it('are refused: posts tell the event', () => {
    const { run, service } = made();
    for (let i = 1; i <= 5; i++) run.post(-i);
    host.drain();
    expect(service.log).toEqual([-1, -2, -3]);
    expect(host.told).toEqual(['-1', '-2', '-3', 'HAFT_E_BREAKER', 'HAFT_E_BREAKER']);
    expect(host.stats()).toMatchObject({ sent: 5, delivered: 3, refused: 2 });
  });

  it('are refused: calls tell their callers', async () => {
    const { run, service } = made();
    let call: ReturnType<typeof run.begin> | undefined;
    service.run = (n) => {
      if (n === -3) {
        call = run.begin(5);
        // Time for the caller to send it. Who comes later has the same answer from native code.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
      }
      throw new Error(`${n}`);
    };
    for (let i = 1; i <= 3; i++) run.post(-i);
    host.drain();
    expect((await call!.end())[0]).toBe(BREAKER);
  });

  it('posts are only counted where nobody listens to errors', async () => {
    const { run, service } = made();
    service.run = () => {
      throw undefined;
    };
    host.ignoreErrors();
    const reasons: unknown[] = [];
    const hear = (reason: unknown) => reasons.push(reason);
    const others = process.listeners('unhandledRejection'); // vitest's own fail the run
    process.removeAllListeners('unhandledRejection').on('unhandledRejection', hear);
    for (let i = 1; i <= 5; i++) run.post(-i);
    host.drain();
    await until(() => reasons.length >= 3);
    await turn();
    process.off('unhandledRejection', hear);
    for (const other of others) process.on('unhandledRejection', other);
    expect(reasons).toEqual([undefined, undefined, undefined]);
    expect(host.stats()).toMatchObject({ delivered: 3, refused: 2 });
  });
});

describe('after its time', () => {
  it('one trial that succeeds closes it', async () => {
    const all = made(ShortKind);
    open(all);
    await trial(all, 1);
    expect(all.service.log.at(-1)).toBe(1);
    for (let i = 2; i <= 4; i++) expect(all.run.post(i)).toBe(OK);
    host.drain();
    expect(all.service.log.slice(-4)).toEqual([1, 2, 3, 4]);
  });

  it('it takes as many failures as before to open it again', async () => {
    const all = made(ShortKind);
    open(all);
    await trial(all, 1);
    for (const n of [-1, -2]) all.run.post(n);
    host.drain();
    expect(all.run.call(2)).toEqual([OK, 2]);
  });

  it('a trial that fails opens it again, for what stands behind it too', async () => {
    const { run, service } = made(MediumKind);
    run.post(-1);
    host.drain();
    await until(() => run.post(-2) === OK);
    expect(run.post(3)).toBe(OK);
    host.drain();
    expect(service.log).toEqual([-1, -2]);
    expect(run.post(4)).toBe(BREAKER);
    expect(host.told).toEqual(['-1', '-2', 'HAFT_E_BREAKER']);
  });

  it('others are refused while the trial is under way', async () => {
    const { run, later, service } = made(MediumKind);
    run.post(-1);
    host.drain();
    await until(() => later.post(1) === OK);
    host.drain();
    expect(service.log).toEqual([-1, 1]);
    expect(run.post(2)).toBe(BREAKER);
    service.settle[0]![0]();
    await turn();
    expect(run.call(3)).toEqual([OK, 3]);
  });

  it('a trial that never ends is followed by another', async () => {
    const { run, later, service } = made(ShortKind);
    for (let i = 1; i <= 3; i++) run.post(-i);
    host.drain();
    await until(() => later.post(1) === OK);
    host.drain();
    await until(() => run.post(2) === OK);
    host.drain();
    expect(service.log.at(-1)).toBe(2);
    service.settle[0]![1](); // too late to count
    await turn();
    expect(run.call(3)).toEqual([OK, 3]);
  });

  it('a handler that began before it opened does not close it', async () => {
    const { run, later, service } = made();
    later.post(1);
    for (let i = 1; i <= 3; i++) run.post(-i);
    host.drain();
    service.settle[0]![0]();
    await turn();
    expect(run.post(1)).toBe(BREAKER);
  });

  it('does not ask a fake of the clock', () => {
    const all = made();
    vi.useFakeTimers({ toFake: ['hrtime', 'performance', 'Date'] });
    open(all);
    vi.advanceTimersByTime(100 * 86_400_000);
    const status = all.run.call(1)[0];
    vi.useRealTimers();
    expect(status).toBe(BREAKER);
  });
});

describe('together with other options', () => {
  it('a batch is one handler; what waits for one is refused', () => {
    const seen: number[][] = [];
    class Batched {
      add(batch: [number][]): void {
        seen.push(batch.flat());
        throw new Error('always');
      }
    }
    const BatchedKind = kind(
      Batched,
      { add: { args: ['f64'] } },
      {
        batch: { max: 2, withinMilliseconds: 0 },
        breaker: { failures: 2, retryAfterMilliseconds: 86_400_000 },
      },
    );
    const add = new Sender(host.create(new Batched(), BatchedKind), BatchedKind, 'add');
    for (let i = 0; i < 6; i++) add.post(i);
    host.drain();
    expect(seen).toEqual([
      [0, 1],
      [2, 3],
    ]);
    expect(host.stats()).toMatchObject({ sent: 6, delivered: 4, refused: 2 });
  });

  it('each try counts; a post that finds the breaker open when it is tried again is given up', async () => {
    class Retried {
      tries = 0;
      run(): void {
        throw new Error(`try ${++this.tries}`);
      }
    }
    const RetriedKind = kind(
      Retried,
      { run: {} },
      { retries: { times: 100 }, breaker: { failures: 3, retryAfterMilliseconds: 86_400_000 } },
    );
    const retried = new Retried();
    const run = new Sender(host.create(retried, RetriedKind), RetriedKind, 'run');
    run.postNothing();
    run.postNothing();
    host.drain();
    await until(() => host.stats().delivered === 1);
    expect(retried.tries).toBe(3);
    expect(host.told).toEqual(['try 3', 'HAFT_E_BREAKER']);
    expect(host.stats()).toMatchObject({ sent: 2, delivered: 1, refused: 1 });
  });

  it('the registry may close while a trial is under way', async () => {
    const { run, later, service } = made();
    for (let i = 1; i <= 2; i++) run.post(-i);
    later.post(1);
    host.drain();
    host.close();
    service.settle[0]![1]();
    await turn();
    expect(host.told).toEqual(['-1', '-2', '1']);
  });
});

it.each([
  [0, { failures: 0, retryAfterMilliseconds: 1 }],
  [1, { failures: 65_537, retryAfterMilliseconds: 1 }],
  [2, { failures: 1, retryAfterMilliseconds: 0 }],
  [3, { failures: 1, retryAfterMilliseconds: 86_400_001 }],
  [4, { failures: 1 }],
  [5, { retryAfterMilliseconds: 1 }],
  [6, 'open'],
])('the options are checked (%i)', (_, breaker) => {
  const error = thrown('HAFT_E_ARGUMENT', () => kind(Service, ops, { breaker: breaker as never }));
  expect(error.message).toContain('breaker');
});
