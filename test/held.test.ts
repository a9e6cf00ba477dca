// Held messages: what keeps their objects, where they stand, and what becomes of them.
import { type Handle, kind } from 'haft';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { check, Host, OK, release as releaseInC, Sender, statusOf, turn, until } from './support/messages.js';

const STALE = statusOf('HAFT_E_STALE');

let host: Host;
beforeEach(() => {
  host = new Host();
});
afterEach(() => host.close());

/** C gives back the creator's reference, which is handed to it first. */
const release = (handle: Handle, of = host) => releaseInC(of.transfer(handle));

/** Serves as batch, as a post that fails, and as something that an argument names. */
class Log {
  readonly log: unknown[] = [];
  /** So many handlers fail. */
  failures = 0;
  /** What the first handler returns. */
  promise: Promise<void> | undefined;
  #act(what: unknown): unknown {
    this.log.push(what);
    if (this.failures-- > 0) throw new Error('not yet');
    const { promise } = this;
    this.promise = undefined;
    return promise;
  }
  add(n: number): unknown {
    return this.#act(n);
  }
  use(handle: Handle): unknown {
    return this.#act(host.has(handle));
  }
  addAll(batch: [number][]): void {
    this.#act(batch.flat());
  }
  useAll(batch: [Handle][]): void {
    this.#act(batch.map(([handle]) => host.has(handle)));
  }
}
const retried = { add: { args: ['f64'] }, use: { args: ['handle'] } } as const;
const batched = { addAll: { args: ['f64'] }, useAll: { args: ['handle'] } } as const;
/** Tried again, or delivered, later than any test ends. */
const RetriedLate = kind(Log, retried, { name: 'late', retries: { times: 1, afterMilliseconds: 60_000 } });
const BatchedLate = kind(Log, batched, { name: 'late', batch: { max: 3, withinMilliseconds: 60_000 } });
const RetriedSoon = kind(Log, retried, { name: 'soon', retries: { times: 1 } });
const BatchedSoon = kind(Log, batched, { name: 'soon', batch: { max: 3, withinMilliseconds: 2 } });

function retrying(of = RetriedSoon) {
  const log = new Log();
  const handle = host.create(log, of);
  return { log, handle, add: new Sender(handle, of, 'add'), use: new Sender(handle, of, 'use') };
}
function batching(of = BatchedSoon) {
  const log = new Log();
  const handle = host.create(log, of);
  return { log, handle, add: new Sender(handle, of, 'addAll'), use: new Sender(handle, of, 'useAll') };
}

describe('P32: a held message keeps its object', () => {
  it('in a batch', async () => {
    const { log, handle, add } = batching();
    add.post(1);
    host.drain();
    expect(release(handle)).toBe(OK); // the creator's, the last of others
    expect(check(handle)).toBe(OK);
    await until(() => log.log.length > 0);
    await until(() => host.stats().live === 0);
    expect(log.log).toEqual([[1]]);
    expect(check(handle)).toBe(STALE);
  });

  it('in a batch, though the last release came before it was held: it is delivered at once', () => {
    const { log, handle, add } = batching(BatchedLate);
    add.post(1);
    add.post(2);
    expect(release(handle)).toBe(OK);
    expect(check(handle)).toBe(STALE);
    host.drain();
    expect(log.log).toEqual([[1, 2]]);
    expect(host.stats()).toMatchObject({ live: 0, sent: 2, delivered: 2 });
  });

  it('until it is tried again', async () => {
    const { log, handle, add } = retrying();
    log.failures = 1;
    add.post(1);
    host.drain();
    expect(release(handle)).toBe(OK);
    await until(() => host.stats().live === 0);
    expect(log.log).toEqual([1, 1]);
    expect(host.errors).toEqual([]);
  });

  it('until it is tried again, though the last release came before it was held', async () => {
    const { log, handle, add } = retrying();
    log.failures = 1;
    add.post(1);
    add.post(2);
    expect(release(handle)).toBe(OK);
    host.drain();
    expect(log.log).toEqual([1]);
    expect(host.stats().live).toBe(1);
    await until(() => host.stats().live === 0);
    expect(log.log).toEqual([1, 1, 2]);
    expect(host.errors).toEqual([]);
  });

  it('until its promise settles, and it is tried again', async () => {
    const { log, handle, add } = retrying();
    let fail = () => {};
    log.promise = new Promise((_, reject) => {
      fail = () => reject(new Error('not yet'));
    });
    add.post(1);
    host.drain();
    expect(release(handle)).toBe(OK);
    for (let i = 0; i < 3; i++) await turn();
    expect(check(handle)).toBe(OK);
    fail();
    await until(() => host.stats().live === 0);
    expect(log.log).toEqual([1, 1]);
    expect(host.errors).toEqual([]);
  });
});

describe('P32: a held message keeps the objects of its arguments', () => {
  it('in a batch', async () => {
    const { log, use } = batching();
    const argument = host.create({});
    use.postHandle(argument);
    use.postHandle(0);
    host.drain();
    expect(release(argument)).toBe(OK);
    host.drain();
    await until(() => log.log.length > 0);
    await until(() => host.stats().live === 1);
    expect(log.log).toEqual([[true, false]]);
  });

  it('in a batch, though the last release came before it was held', () => {
    const { log, use } = batching(BatchedLate);
    const argument = host.create({});
    use.postHandle(argument);
    expect(release(argument)).toBe(OK);
    host.drain();
    expect(log.log).toEqual([[true]]);
    expect(host.stats().live).toBe(1);
  });

  it('behind one that failed, whenever the last release came', async () => {
    const { log, add, use } = retrying();
    const before = host.create({});
    const after = host.create({});
    log.failures = 1;
    add.post(1);
    use.postHandle(before);
    use.postHandle(after);
    expect(release(before)).toBe(OK);
    host.drain();
    expect(release(after)).toBe(OK);
    host.drain();
    await until(() => host.stats().live === 1);
    expect(log.log).toEqual([1, 1, true, true]);
  });

  it('until the failed one is tried again itself', async () => {
    const { log, use } = retrying();
    const argument = host.create({});
    log.failures = 1;
    use.postHandle(argument);
    expect(release(argument)).toBe(OK);
    host.drain();
    await until(() => host.stats().live === 1);
    expect(log.log).toEqual([true, true]);
  });
});

it('a promise that never settles keeps no other slot from being freed', async () => {
  const { log, handle, add } = retrying();
  log.promise = new Promise(() => {});
  add.post(1);
  expect(release(handle)).toBe(OK);
  const other = host.create({});
  host.drain();
  release(other);
  await until(() => host.stats().live === 0);
});

it('slots serve again after messages were held for them', async () => {
  for (let i = 0; i < 300; i++) {
    const { handle, log, add } = retrying();
    log.failures = 1;
    add.post(i);
    if (i % 2 === 0) release(handle);
    host.drain();
    if (i % 2 === 1) release(handle);
  }
  await until(() => host.stats().live === 0);
  expect(host.stats()).toMatchObject({ sent: 300, delivered: 300, slots: 1024 });
});

describe('what is held', () => {
  it('is counted as waiting, and when the registry closes as refused, unless a handler has run', () => {
    const one = retrying(RetriedLate);
    const two = batching(BatchedLate);
    one.log.failures = 1;
    for (let i = 0; i < 5; i++) one.add.post(i);
    for (let i = 0; i < 4; i++) two.add.post(i); // a batch of three, and one
    host.drain();
    expect(host.stats()).toMatchObject({ delivered: 3, refused: 0 });
    host.close();
    expect(host.stats()).toMatchObject({ sent: 9, delivered: 4, refused: 5 });
  });

  it('is no reason to keep the registry open, nor to run a handler after close', async () => {
    const one = retrying();
    const two = batching();
    one.log.failures = 1;
    one.add.post(1);
    one.add.post(2);
    two.add.post(1);
    host.drain();
    host.close();
    for (let i = 0; i < 10; i++) await turn();
    expect(one.log.log).toEqual([1]);
    expect(two.log.log).toEqual([]);
  });

  it('finds its object deleted', async () => {
    const { log, handle, add } = retrying();
    log.failures = 1;
    for (let i = 0; i < 3; i++) add.post(i);
    host.drain();
    host.delete(handle);
    const next = host.create({}); // most likely in the same slot
    await until(() => host.stats().refused === 2);
    expect(log.log).toEqual([0]);
    expect(host.has(next)).toBe(true);
    expect(host.told).toEqual(['not yet', 'HAFT_E_STALE', 'HAFT_E_STALE']);
  });

  it('is 65,536 messages of a handle at most: what comes above is refused', () => {
    const { log, add } = retrying(RetriedLate);
    log.failures = 1;
    const more = 65_536 + 1 + 10;
    for (let i = 0; i < more; i++) {
      expect(add.post(i)).toBe(OK);
      if (i % 500 === 499) host.drain();
    }
    host.drain();
    expect(log.log).toEqual([0]);
    expect(host.told).toEqual(Array.from({ length: 10 }, () => 'HAFT_E_FULL'));
    expect(host.stats()).toMatchObject({ delivered: 0, refused: 10 });
  });

  it('is not overtaken by what a handler drains', async () => {
    const log: number[] = [];
    let failures = 1;
    class Draining {
      add(n: number): void {
        log.push(n);
        if (failures-- > 0) throw new Error('not yet');
        host.drain();
      }
    }
    const DrainingKind = kind(Draining, { add: { args: ['f64'] } }, { retries: { times: 1 } });
    const add = new Sender(host.create(new Draining(), DrainingKind), DrainingKind, 'add');
    for (let i = 0; i < 4; i++) add.post(i);
    host.drain();
    const later = new Promise<void>((resolve) => {
      setTimeout(() => {
        for (let i = 4; i < 8; i++) add.post(i);
        resolve();
      }, 0);
    });
    await later;
    await until(() => log.length === 9);
    expect(log).toEqual([0, 0, 1, 2, 3, 4, 5, 6, 7]);
  });
});

describe('while an object moves', () => {
  class Account {
    readonly log: number[] = [];
    add(n: number): void {
      this.log.push(n);
    }
    total(n: number): number {
      return this.log.length + n;
    }
    see(bytes: Uint8Array): void {
      this.log.push(bytes.length, bytes[0]!);
    }
  }
  let acceptable = true;
  /** The one that was made last in the other realm. */
  let arrived: Account;
  let whileItArrives: () => void;
  const AccountKind = kind(
    Account,
    {
      add: { args: ['f64'] },
      total: { args: ['f64'], returns: 'f64' },
      see: { args: ['bytes'], views: true },
    },
    {
      serialize: ({ log }) => JSON.stringify(log),
      deserialize: (text) => {
        if (!acceptable) throw new Error('not here');
        arrived = new Account();
        arrived.log.push(...(JSON.parse(text as string) as number[]));
        whileItArrives();
        return arrived;
      },
    },
  );
  let other: Host;
  beforeEach(() => {
    acceptable = true;
    whileItArrives = () => {};
    other = new Host();
    other.accept(AccountKind);
  });
  afterEach(() => other.close());

  function made() {
    const account = new Account();
    const handle = host.create(account, AccountKind);
    const sender = (op: 'add' | 'total' | 'see') => new Sender(handle, AccountKind, op);
    return { account, handle, add: sender('add'), total: sender('total'), see: sender('see') };
  }

  it('posts are held and go after it, in order; calls learn that it moved', async () => {
    const { account, handle, add, total } = made();
    add.post(1);
    host.drain();
    const moving = host.moveTo(handle, other.id);
    const call = total.begin(0);
    for (let i = 2; i <= 6; i++) {
      add.post(i);
      if (i === 4) host.drain();
    }
    host.drain();
    expect(account.log).toEqual([1]);
    const now = await moving;
    expect([OK, statusOf('HAFT_E_MOVED')]).toContain((await call.end())[0]);
    await until(() => other.stats().delivered >= 6);
    expect(other.get(now).log).toEqual([1, 2, 3, 4, 5, 6]);
    expect(host.has(handle)).toBe(false);
    expect(add.post(7)).toBe(statusOf('HAFT_E_MOVED'));
  });

  it('a reference of a held message does not outlive the move', async () => {
    const { handle, add } = made();
    const moving = host.moveTo(handle, other.id);
    for (let i = 0; i < 3; i++) add.post(i);
    host.drain();
    const now = await moving;
    await until(() => other.stats().delivered >= 4);
    expect(release(now, other)).toBe(OK);
    other.drain();
    expect(check(now)).toBe(STALE);
  });

  it('P5, P32: a post that is held arrives, though the last reference goes before the object does', async () => {
    const { handle, add } = made();
    const moving = host.moveTo(handle, other.id);
    add.post(1);
    host.drain();
    expect(release(handle)).toBe(OK);
    const now = await moving;
    await until(() => other.stats().live === 0);
    expect(arrived.log).toEqual([1]);
    expect(check(now)).toBe(STALE);
    expect(other.errors.concat(host.errors)).toEqual([]);
  });

  it('P5: a post that waits in its old mailbox arrives, though the last reference goes at its new place', async () => {
    const { handle, add } = made();
    class Releasing {
      status: number | undefined;
      release(): void {
        this.status = host.moved(handle) === handle ? -1000 : release(host.moved(handle), other);
      }
    }
    const ReleasingKind = kind(Releasing, { release: {} });
    const releasing = new Releasing();
    let before = host.create(releasing, ReleasingKind);
    while (before % 16 !== handle % 16) before = host.create(releasing, ReleasingKind); // in the same mailbox
    // Both are posted before the old realm hears that the object has moved, and wait when it has.
    whileItArrives = () => {
      new Sender(before, ReleasingKind, 'release').postNothing();
      add.post(1);
    };
    const now = await host.moveTo(handle, other.id);
    await until(() => other.stats().live === 0);
    expect(releasing.status).toBe(OK);
    expect(arrived.log).toEqual([1]);
    expect(check(now)).toBe(STALE);
    expect(other.errors.concat(host.errors)).toEqual([]);
  });

  it('a post that the other realm refuses is counted once, where it was sent', async () => {
    class Broken {
      run(): void {
        throw new Error('broken');
      }
    }
    const BrokenKind = kind(
      Broken,
      { run: {} },
      {
        breaker: { failures: 1, retryAfterMilliseconds: 86_400_000 },
        serialize: () => '',
        deserialize: () => new Broken(),
      },
    );
    other.accept(BrokenKind);
    new Sender(other.create(new Broken(), BrokenKind), BrokenKind, 'run').postNothing();
    other.drain(); // opens the breaker of that realm
    const handle = host.create(new Broken(), BrokenKind);
    const run = new Sender(handle, BrokenKind, 'run');
    const before = other.stats();
    const moving = host.moveTo(handle, other.id);
    for (let i = 0; i < 10; i++) expect(run.postNothing()).toBe(OK);
    await moving;
    await until(() => host.stats().refused === 10);
    expect(host.stats()).toMatchObject({ sent: 10, delivered: 0 });
    expect(host.told).toEqual(Array.from({ length: 10 }, () => 'HAFT_E_BREAKER'));
    const { delivered } = before;
    // The acceptor's own call is delivered there, and nothing else.
    expect(other.stats()).toMatchObject({ delivered: delivered + 1, refused: 0 });
  });

  it('a post that waits for room there is counted once', async () => {
    const { handle, add } = made();
    const moving = host.moveTo(handle, other.id);
    for (let i = 0; i < 3000; i++) {
      add.post(i);
      if (i % 500 === 499) host.drain();
    }
    await moving;
    await until(() => arrived.log.length === 3000);
    // Beside the move itself, a call.
    expect(other.stats()).toMatchObject({ sent: 3001, delivered: 3001, refused: 0 });
    expect(host.stats()).toMatchObject({ sent: 0, delivered: 0, refused: 0 });
  });

  it('what was held is delivered to the object that stayed, when the other realm refuses it', async () => {
    const { account, handle, add, see } = made();
    acceptable = false;
    const moving = host.moveTo(handle, other.id);
    add.post(1);
    see.postBytes(100, 7);
    see.postBytes(100_000, 8);
    add.post(2);
    host.drain();
    expect(account.log).toEqual([]);
    await expect(moving).rejects.toMatchObject({ code: 'HAFT_E_EXCEPTION' });
    await until(() => account.log.at(-1) === 2);
    expect(account.log).toEqual([1, 100, 7, 100_000, 8, 2]);
    expect(add.post(3)).toBe(OK);
    host.drain();
    expect(account.log.at(-1)).toBe(3);
    expect(host.stats()).toMatchObject({ sent: 5, delivered: 5, refused: 0 });
  });

  it('a call of the same thread would wait for itself', async () => {
    const { handle, total } = made();
    const moving = host.moveTo(handle, other.id);
    expect(total.call(1)[0]).toBe(statusOf('HAFT_E_DEADLOCK'));
    await moving;
  });

  it('posts that wait are refused when the registry closes', async () => {
    const { handle, add } = made();
    const moving = host.moveTo(handle, other.id);
    const ended = expect(moving).rejects.toMatchObject({ code: 'HAFT_E_CLOSED' });
    for (let i = 0; i < 3; i++) add.post(i);
    host.drain();
    host.close();
    await ended;
    expect(host.stats()).toMatchObject({ delivered: 0, refused: 3 });
  });
});
