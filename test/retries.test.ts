// Posts that are tried again when their handler fails.
import { kind } from 'haft';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Host, OK, Sender, statusOf, turn, until } from './support/messages.js';
import { thrown } from './support/tables.js';

/** Notes what reaches it. A number fails as often as `failures` says. */
class Job {
  readonly log: string[] = [];
  readonly failures = new Map<number, number>();
  slow = () => {};
  #fails(n: number): boolean {
    const left = this.failures.get(n) ?? 0;
    this.failures.set(n, left - 1);
    return left > 0;
  }
  run(n: number): number {
    const fails = this.#fails(n);
    this.log.push(`${n}${fails ? ' fails' : ''}`);
    this.slow();
    if (fails) throw new Error(`${n}: ${this.failures.get(n)} left`);
    return n;
  }
  async later(n: number): Promise<void> {
    const fails = this.#fails(n);
    this.log.push(`${n} begins`);
    await turn();
    this.log.push(`${n}${fails ? ' fails' : ''}`);
    if (fails) throw new Error(`${n}: ${this.failures.get(n)} left`);
  }
  use(handle: number): void {
    host.get(handle as never);
    this.run(1);
  }
}
const ops = {
  run: { args: ['f64'], returns: 'f64' },
  later: { args: ['f64'] },
  use: { args: ['handle'] },
} as const;
const JobKind = kind(Job, ops, { name: 'job', retries: { times: 3 } });
const SlowKind = kind(Job, ops, { name: 'slow job', retries: { times: 1, afterMilliseconds: 60_000 } });
const TimedKind = kind(Job, ops, { name: 'timed job', retries: { times: 2, afterMilliseconds: 3 } });

let host: Host;
beforeEach(() => {
  host = new Host();
});
afterEach(() => host.close());

function made(of = JobKind) {
  const job = new Job();
  const handle = host.create(job, of);
  const sender = (op: keyof typeof ops) => new Sender(handle, of, op);
  return { job, handle, run: sender('run'), later: sender('later'), use: sender('use') };
}
const settled = (count: number) => until(() => host.stats().delivered + host.stats().refused >= count);

describe('a post whose handler throws', () => {
  it.each([
    ['in the next turn', JobKind],
    ['after a time', TimedKind],
  ])('is tried again %s, until it succeeds, and nobody hears of it', async (_, of) => {
    const { job, run } = made(of);
    job.failures.set(1, 2);
    run.post(1);
    host.drain();
    expect(job.log).toEqual(['1 fails']);
    await settled(1);
    expect(job.log).toEqual(['1 fails', '1 fails', '1']);
    expect(host.errors).toEqual([]);
    expect(host.stats()).toMatchObject({ sent: 1, delivered: 1, refused: 0 });
  });

  it('is given up after so many more, and the event tells the last error, once', async () => {
    const { job, run } = made();
    job.failures.set(1, 9);
    run.post(1);
    host.drain();
    expect(host.stats()).toMatchObject({ delivered: 0 });
    await settled(1);
    expect(job.log).toEqual(['1 fails', '1 fails', '1 fails', '1 fails']);
    expect(host.told).toEqual(['1: 5 left']);
    expect(host.stats()).toMatchObject({ sent: 1, delivered: 1, refused: 0 });
  });

  it('P32: stands before later messages of its handle, posts and calls', async () => {
    const { job, run } = made();
    job.failures.set(1, 2);
    job.failures.set(3, 1);
    for (const n of [0, 1, 2, 3, 4]) run.post(n);
    const call = run.begin(5);
    run.post(6);
    expect((await call.end())[0]).toBe(OK);
    await settled(7);
    const order = [...job.log];
    // The call and the last post are of two threads.
    expect(order.splice(-2).sort()).toEqual(['5', '6']);
    expect(order).toEqual(['0', '1 fails', '1 fails', '1', '2', '3 fails', '3', '4']);
    expect(host.stats()).toMatchObject({ sent: 7, delivered: 7 });
  });

  it('does not stop other handles', async () => {
    const { job, run } = made(SlowKind);
    const other = made(SlowKind);
    job.failures.set(1, 1);
    run.post(1);
    run.post(2);
    other.run.post(3);
    host.drain();
    expect(job.log).toEqual(['1 fails']);
    expect(other.job.log).toEqual(['3']);
    expect(await other.run.begin(4).end()).toEqual([OK, 4]);
  });

  it('waits: it is counted as sent and neither delivered nor refused; when the registry closes it was delivered, and failed', () => {
    const { job, run } = made(SlowKind);
    job.failures.set(1, 1);
    for (const n of [1, 2, 3]) run.post(n);
    host.drain();
    expect(host.stats()).toMatchObject({ delivered: 0, refused: 0 });
    expect(host.told).toEqual([]);
    host.close();
    expect(host.stats()).toMatchObject({ sent: 3, delivered: 1, refused: 2 });
    expect(host.told).toEqual(['1: 0 left']);
  });

  it('is tried again in spite of a fake of setImmediate', async () => {
    const { job, run } = made();
    job.failures.set(1, 1);
    vi.useFakeTimers();
    run.post(1);
    host.drain();
    vi.useRealTimers();
    await settled(1);
    expect(job.log).toEqual(['1 fails', '1']);
  });

  it('may close the registry when it is tried again', async () => {
    class Closing {
      tries = 0;
      run(): void {
        if (this.tries++ === 1) host.close();
        throw new Error(`try ${this.tries}`);
      }
    }
    const ClosingKind = kind(Closing, { run: {} }, { retries: { times: 5 } });
    const closing = new Closing();
    const run = new Sender(host.create(closing, ClosingKind), ClosingKind, 'run');
    run.postNothing();
    run.postNothing();
    host.drain();
    await until(() => closing.tries === 2);
    for (let i = 0; i < 5; i++) await turn();
    expect(closing.tries).toBe(2);
    expect(host.told).toEqual(['try 2']);
    expect(host.stats()).toMatchObject({ sent: 2, delivered: 1, refused: 1 });
  });

  it('with arguments that do not fit is refused, and not tried again', () => {
    const { job, handle, run } = made();
    run.postHandle(handle);
    host.drain();
    expect(job.log).toEqual([]);
    expect(host.told).toEqual(['HAFT_E_ARGUMENT']);
    expect(host.stats()).toMatchObject({ sent: 1, delivered: 0, refused: 1 });
  });

  it('is given up when its object is deleted meanwhile; what stood behind it finds it gone', async () => {
    const { job, handle, run } = made();
    job.failures.set(1, 9);
    run.post(1);
    run.post(2);
    host.drain();
    host.delete(handle);
    await settled(2);
    expect(job.log).toEqual(['1 fails']);
    expect(host.told).toEqual(['1: 8 left', 'HAFT_E_STALE']);
    expect(host.stats()).toMatchObject({ sent: 2, delivered: 1, refused: 1, gone: 1 });
  });
});

describe('a post whose promise rejects', () => {
  it('is tried again, and its last error is told', async () => {
    const { job, later } = made();
    job.failures.set(1, 2);
    job.failures.set(2, 9);
    later.post(1);
    host.drain();
    await settled(1);
    expect(job.log.filter((entry) => entry === '1 fails').length).toBe(2);
    expect(job.log.at(-1)).toBe('1');
    later.post(2);
    host.drain();
    await settled(2);
    expect(job.log.filter((entry) => entry === '2 fails').length).toBe(4);
    expect(host.told).toEqual(['2: 5 left']);
    expect(host.stats()).toMatchObject({ sent: 2, delivered: 2 });
  });

  it('does not hold later messages until it is known to fail; when it is tried again, it does', async () => {
    const { job, later, run } = made();
    job.failures.set(1, 1);
    later.post(1);
    run.post(2);
    host.drain();
    expect(job.log).toEqual(['1 begins', '2']);
    await until(() => job.log.includes('1 fails'));
    run.post(3);
    host.drain();
    await settled(3);
    expect(job.log).toEqual(['1 begins', '2', '1 fails', '1 begins', '1', '3']);
  });

  it('comes before one that was sent later and failed sooner', async () => {
    const fail: (() => void)[] = [];
    const log: number[] = [];
    class Racing {
      run(n: number): unknown {
        log.push(n);
        if (log.length > 2) return undefined;
        return new Promise((_, reject) => {
          fail[n] = () => reject(new Error(`${n}`));
        });
      }
    }
    const RacingKind = kind(
      Racing,
      { run: { args: ['f64'] } },
      { retries: { times: 1, afterMilliseconds: 20 } },
    );
    const run = new Sender(host.create(new Racing(), RacingKind), RacingKind, 'run');
    run.post(1);
    run.post(2);
    host.drain();
    fail[2]!();
    fail[1]!();
    await settled(2);
    expect(log).toEqual([1, 2, 1, 2]);
  });
});

it('the posts behind one that failed leave turns to timers and I/O, and stay before those that come meanwhile', async () => {
  const { job, run } = made();
  const COUNT = 1500;
  job.failures.set(0, 1);
  for (let n = 0; n < COUNT; n++) {
    run.post(n);
    if (n % 500 === 0) host.drain();
  }
  host.drain();
  expect(job.log).toEqual(['0 fails']);
  let turns = 0;
  let next = setImmediate(function count() {
    turns++;
    next = setImmediate(count);
  });
  job.slow = () => {
    const end = performance.now() + 0.1;
    while (performance.now() < end);
    if (job.log.length === COUNT / 2) run.post(COUNT);
  };
  await settled(COUNT + 1);
  clearImmediate(next);
  expect(job.log).toEqual(['0 fails', ...Array.from({ length: COUNT + 1 }, (_, n) => `${n}`)]);
  // All of them take 150 milliseconds at least, and those of one turn little more than two.
  expect(turns).toBeGreaterThan(25);
});

describe('a call', () => {
  it('is never tried again', async () => {
    const { job, run } = made();
    job.failures.set(1, 1);
    expect((await run.begin(1).end())[0]).toBe(statusOf('HAFT_E_EXCEPTION'));
    expect(job.log).toEqual(['1 fails']);
    expect(run.call(1)).toEqual([OK, 1]);
  });

  it('that stands behind a failure keeps to its time', async () => {
    const { job, run } = made(SlowKind);
    job.failures.set(1, 1);
    run.post(1);
    host.drain();
    const call = run.begin(2, 50);
    expect((await call.end())[0]).toBe(statusOf('HAFT_E_TIMEOUT'));
    expect(host.stats()).toMatchObject({ expired: 1 });
  });

  it('that stands behind a failure ends with HAFT_E_CLOSED when the registry closes', async () => {
    const { job, run } = made(SlowKind);
    job.failures.set(1, 1);
    run.post(1);
    host.drain();
    const call = run.begin(2);
    await turn(); // for most runs it is held by then; else it waits in the mailbox
    host.close();
    expect((await call.end())[0]).toBe(statusOf('HAFT_E_CLOSED'));
  });
});

it('batches that fail are tried again as they were', async () => {
  const log: number[][] = [];
  class Batched {
    add(batch: [number][]): void {
      log.push(batch.flat());
      if (log.length < 3) throw new Error('not yet');
    }
  }
  const BatchedKind = kind(
    Batched,
    { add: { args: ['f64'] } },
    { batch: { max: 2, withinMilliseconds: 0 }, retries: { times: 3 } },
  );
  const add = new Sender(host.create(new Batched(), BatchedKind), BatchedKind, 'add');
  for (let i = 0; i < 5; i++) add.post(i);
  host.drain();
  await settled(5);
  expect(log).toEqual([[0, 1], [0, 1], [0, 1], [2, 3], [4]]);
  expect(host.errors).toEqual([]);
  expect(host.stats()).toMatchObject({ sent: 5, delivered: 5 });
});

it('a batch that has failed when the registry closes was delivered; what waits for one is refused', () => {
  class Batched {
    add(batch: [number][]): void {
      throw new Error(`${batch.length} failed`);
    }
  }
  const BatchedKind = kind(
    Batched,
    { add: { args: ['f64'] } },
    { batch: { max: 3, withinMilliseconds: 60_000 }, retries: { times: 1, afterMilliseconds: 60_000 } },
  );
  const add = new Sender(host.create(new Batched(), BatchedKind), BatchedKind, 'add');
  for (let i = 0; i < 5; i++) add.post(i);
  host.drain();
  host.close();
  expect(host.stats()).toMatchObject({ sent: 5, delivered: 3, refused: 2 });
  expect(host.told).toEqual(['3 failed']);
});

it.each([
  [0, { times: 0 }],
  [1, { times: 101 }],
  [2, { times: 1.5 }],
  [3, {}],
  [4, { times: 1, afterMilliseconds: -1 }],
  [5, { times: 1, afterMilliseconds: 60_001 }],
  [6, { times: 1, afterMilliseconds: '1' }],
  [7, true],
])('the options are checked (%i)', (_, retries) => {
  const error = thrown('HAFT_E_ARGUMENT', () => kind(Job, ops, { retries: retries as never }));
  expect(error.message).toContain('retries');
});
