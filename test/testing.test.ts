// haft/testing, as somebody else's tests use it: leaks, faults, and the mailbox that is stepped. C is hosts/messages.c; the
// same on both backends and in a worker is logic/testing.mjs; suites/ has suites of other test runners.
import { type Handle, HandleTable, kind, Registry } from 'haft';
import {
  closedRealm,
  closeRealm,
  expectNoLeaks,
  failCreate,
  fillMailbox,
  LeakError,
  slowRealm,
  startLeakCheck,
  stepMailbox,
  type WaitingMessage,
} from 'haft/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { child, expectExit, logicFile, root } from './support/child.js';
import { check, Host, OK, release, retain, Sender, statusOf, until } from './support/messages.js';
import { thrown } from './support/tables.js';

class Counter {
  readonly seen: number[] = [];
  add(n: number): number {
    this.seen.push(n);
    return this.seen.length;
  }
}
const CounterKind = kind(Counter, { add: { args: ['f64'], returns: 'f64' } });
class Batched {
  readonly batches: number[][] = [];
  add(batch: readonly (readonly [number])[]): void {
    this.batches.push(batch.map(([n]) => n));
  }
}
const BatchedKind = kind(
  Batched,
  { add: { args: ['f64'] } },
  { batch: { max: 2, withinMilliseconds: 1000 } },
);

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const turns = async (count: number) => {
  for (let i = 0; i < count; i++) await turn();
};

let host: Host;
let counter: Counter;
let handle: Handle<Counter>;
let add: Sender<Counter>;
beforeEach(() => {
  host = new Host();
  counter = new Counter();
  handle = host.create(counter, CounterKind);
  add = new Sender(handle, CounterKind, 'add');
  startLeakCheck();
});
afterEach(() => {
  host.close();
  startLeakCheck();
});

/** A counter whose messages go to another mailbox. */
function elsewhere(): { counter: Counter; sender: Sender<Counter> } {
  for (;;) {
    const other = new Counter();
    const created = host.create(other, CounterKind);
    if (created % 16 !== handle % 16)
      return { counter: other, sender: new Sender(created, CounterKind, 'add') };
  }
}

async function leaksOf(look: Promise<unknown>): Promise<LeakError> {
  const error = await look.then(
    () => expect.fail('no leak was seen'),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(LeakError);
  for (const line of (error as LeakError).message.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
  return error as LeakError;
}

describe('expectNoLeaks', () => {
  it('is content where every handle has ended, also one that C released', async () => {
    const [deleted, released] = [host.create({}), host.create({})];
    host.delete(deleted);
    expect(release(released)).toBe(OK);
    await expectNoLeaks();
  });

  it('says what leaked: kind, handle, references, the oldest first', async () => {
    const first = host.create(new Counter(), CounterKind);
    const nameless = host.create('any value');
    const second = host.create(new Counter(), CounterKind);
    expect(retain(first)).toBe(OK);
    const { leaks, message } = await leaksOf(expectNoLeaks());
    expect(leaks.map(({ kind, handle, references }) => [kind, handle, references])).toEqual([
      ['', nameless, 1],
      ['Counter', first, 2],
      ['Counter', second, 1],
    ]);
    expect(message).toMatch(/^3 handles leaked/);
    expect(message).toMatch(/ {2}Counter: 2\n {4}\S+, 2 references\n {4}\S+, 1 reference\n/);
    await expectNoLeaks(); // told once
  });

  it('names ten of a kind, and counts the others', async () => {
    for (let i = 0; i < 25; i++) host.create({});
    const { leaks, message } = await leaksOf(expectNoLeaks());
    expect(leaks).toHaveLength(25);
    expect(message.split('\n')).toHaveLength(14);
    expect(message).toContain('and 15 more');
  });

  it('with a function looks at what that left, and tells its result', async () => {
    host.create({});
    expect(await expectNoLeaks(host, async () => 7)).toBe(7);
    const { leaks } = await leaksOf(expectNoLeaks(host, () => host.create({})));
    expect(leaks).toHaveLength(1);
    await expect(expectNoLeaks(host, () => Promise.reject(new RangeError('mine')))).rejects.toThrow('mine');
    expect((await leaksOf(expectNoLeaks())).leaks).toHaveLength(1); // the one from before the functions
  });

  it('counts what C keeps, and what a message kept until it was delivered not', async () => {
    const kept = host.create({});
    expect(retain(kept)).toBe(OK);
    host.release(kept);
    expect((await leaksOf(expectNoLeaks([host]))).leaks).toMatchObject([{ handle: kept, references: 1 }]);
    expect(release(kept)).toBe(OK);
    const passing = host.create(counter, CounterKind);
    expect(new Sender(passing, CounterKind, 'add').post(3)).toBe(OK);
    expect(release(passing)).toBe(OK);
    await expectNoLeaks();
    expect(counter.seen).toEqual([3]);
  });

  it('counts a weak handle that C holds, and none that C does not', async () => {
    const weak = host.weak(counter, CounterKind);
    await expectNoLeaks([host]);
    const held = host.weak(counter, CounterKind);
    expect(retain(held)).toBe(OK);
    expect((await leaksOf(expectNoLeaks([host]))).leaks).toMatchObject([{ handle: held, references: 2 }]);
    expect(release(held)).toBe(OK);
    host.release(held);
    host.release(weak);
  });

  it('leaves alone what is published, and what is kept', async () => {
    const published = host.create(counter, CounterKind);
    host.publish('published', published);
    const kept = host.create({});
    host.keep(kept);
    await expectNoLeaks([host]);
    host.delete(published);
    host.delete(kept);
  });

  it('ignores kinds by name or as they are', async () => {
    host.create(new Counter(), CounterKind);
    await expectNoLeaks({ ignore: ['Counter'] });
    host.create(new Counter(), CounterKind);
    await expectNoLeaks(host, { ignore: [CounterKind] });
    const { leaks } = await leaksOf(expectNoLeaks(host, () => host.create({}), { ignore: ['Counter'] }));
    expect(leaks.map(({ kind }) => kind)).toEqual(['']);
  });

  it('finds registries that the test opened, and what was left when one closed', async () => {
    const other = new Registry();
    const open = new Registry();
    other.create({});
    open.create({});
    const { id } = other;
    other.close();
    const { leaks, message } = await leaksOf(expectNoLeaks());
    expect(leaks.map(({ realm, closed }) => [realm, closed])).toEqual([
      [id, true],
      [open.id, false],
    ]);
    expect(message).toContain('left when its registry closed');
    const third = new Registry();
    third.create({});
    third.close();
    await expectNoLeaks({ closed: false });
    open.close();
    await expectNoLeaks();
  });

  it('does not count handles of haft’s own', async () => {
    host.accept(kind(Counter, {}, { name: 'Moving', serialize: () => '', deserialize: () => new Counter() }));
    await expectNoLeaks();
  });

  it('works while timers are fake', async () => {
    vi.useFakeTimers();
    try {
      expect(release(host.create({}))).toBe(OK);
      await expectNoLeaks();
      host.create({});
      await leaksOf(expectNoLeaks());
    } finally {
      vi.useRealTimers();
    }
  });

  it('with HAFTCHECK=2 says where each was created', async () => {
    const suite = ['test/suites/globals.mjs', 'test/suites/leak.jest.mjs'];
    const [first, second] = [
      await child(suite, { env: { HAFTCHECK: '1' } }),
      await child(suite, { env: { HAFTCHECK: '2' } }),
    ];
    for (const ended of [first, second]) expect(ended).toMatchObject({ code: 1, signal: null });
    expect(first.stdout).toContain('HAFTCHECK=2 tells where created');
    expect(first.stdout).not.toContain('created at');
    expect(second.stdout).toContain('created at test/suites/leak.jest.mjs:14:12');
    expect(second.stdout).not.toContain('HAFTCHECK=2');
  });

  it('refuses what is no registry', async () => {
    const stranger = { collect() {} } as unknown as Registry;
    await expect(expectNoLeaks(stranger)).rejects.toMatchObject({ code: 'HAFT_E_ARGUMENT' });
    await expect(expectNoLeaks([host, stranger])).rejects.toMatchObject({ code: 'HAFT_E_ARGUMENT' });
  });
});

describe('in a suite of', () => {
  const passes = ['ends what it makes', 'ends what it makes again'];

  it('node:test, the test that leaks fails, and no other', async () => {
    const ended = await child(['--test', '--test-reporter=tap', 'test/suites/leak.node.mjs']);
    expect(ended).toMatchObject({ code: 1, signal: null });
    for (const name of passes) expect(ended.stdout).toMatch(new RegExp(`^ *ok \\d - ${name}$`, 'm'));
    expect(ended.stdout).toMatch(/^ *not ok \d - leaks$/m);
    expect(ended.stdout).toContain('1 handle leaked');
  });

  it('vitest, with fake timers', async () => {
    const config = ['--config', 'test/suites/vitest.config.mjs', '--root', root];
    const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--reporter=tap-flat', ...config];
    const ended = await child(vitest, { env: { VITEST: '' } });
    expect(ended.code, ended.stdout + ended.stderr).toBe(1);
    for (const name of passes) expect(ended.stdout).toMatch(new RegExp(`^ok \\d .*> ${name} `, 'm'));
    expect(ended.stdout).toMatch(/^not ok \d .*> leaks /m);
    expect(ended.stdout).toContain('left when its registry closed');
  });

  it('jest: its globals, where a hook with a parameter would wait for a callback', async () => {
    const ended = await child(['test/suites/globals.mjs', 'test/suites/leak.jest.mjs']);
    expect(ended).toMatchObject({ code: 1, signal: null });
    for (const name of passes) expect(ended.stdout).toMatch(new RegExp(`^passed: ${name}$`, 'm'));
    expect(ended.stdout).toMatch(/^failed: leaks\n1 handle leaked/m);
  });
});

describe('failCreate', () => {
  it('fails the nth create, once', () => {
    using _fault = failCreate(host, { nth: 3 });
    host.create({});
    host.fn({ args: [], returns: 'void' }, () => {});
    const before = host.stats();
    thrown('HAFT_E_SLOTS', () => host.intern({}));
    expect(host.stats()).toEqual(before);
    expect(host.has(host.create({}))).toBe(true);
  });

  it('with any code, several at a time, of a HandleTable too; and no more after its end', () => {
    for (const table of [host, new HandleTable()]) {
      {
        using _outer = failCreate(table, { nth: 2, code: 'HAFT_E_NO_MEMORY' });
        using _inner = failCreate(table);
        thrown('HAFT_E_SLOTS', () => table.create({})); // the inner one: the outer has seen none
        table.create({});
        thrown('HAFT_E_NO_MEMORY', () => table.create({}));
        failCreate(table, { nth: 2 });
      }
      const third = failCreate(table);
      third[Symbol.dispose]();
      third[Symbol.dispose]();
      table.create({});
      thrown('HAFT_E_SLOTS', () => table.create({})); // the one that has not ended
      table.create({});
    }
    expect(Object.keys(host)).not.toContain('issue');
  });

  it('refuses what is no table, and no number', () => {
    thrown('HAFT_E_ARGUMENT', () => failCreate({} as Registry));
    thrown('HAFT_E_ARGUMENT', () => failCreate(host, { code: 'HAFT_E_NOTHING' as 'HAFT_E_SLOTS' }));
    for (const nth of [0, -1, 1.5, Number.NaN]) thrown('HAFT_E_ARGUMENT', () => failCreate(host, { nth }));
  });
});

describe('fillMailbox', () => {
  it('two at a time: the mailbox is full until both have ended, whichever was first', () => {
    const first = fillMailbox(host);
    const second = fillMailbox(host, handle);
    first[Symbol.dispose]();
    expect(add.post(1)).toBe(statusOf('HAFT_E_FULL'));
    second[Symbol.dispose]();
    expect(add.post(2)).toBe(OK);
  });

  it('C finds the mailbox full, and its neighbours not', async () => {
    const other = elsewhere();
    {
      using _full = fillMailbox(host, handle);
      expect(add.post(1)).toBe(statusOf('HAFT_E_FULL'));
      expect(other.sender.post(2)).toBe(OK);
      await turns(5);
      expect(add.post(3)).toBe(statusOf('HAFT_E_FULL'));
    }
    expect(add.post(4)).toBe(OK);
    host.drain();
    expect(counter.seen).toEqual([4]);
    expect(other.counter.seen).toEqual([2]);
  });

  it('all mailboxes; what waited is delivered in order, and counters know of nothing else', async () => {
    const other = elsewhere();
    const before = host.stats();
    for (const n of [1, 2, 3]) expect(add.post(n)).toBe(OK);
    const full = fillMailbox(host);
    expect(add.post(9)).toBe(statusOf('HAFT_E_FULL'));
    expect(other.sender.post(9)).toBe(statusOf('HAFT_E_FULL'));
    full[Symbol.dispose]();
    expect(counter.seen).toEqual([1, 2, 3]);
    const { sent, delivered, refused, shards } = host.stats();
    expect([sent, delivered, refused]).toEqual([before.sent + 5, before.delivered + 3, before.refused + 2]);
    expect(shards).toHaveLength(16);
    for (let n = 10; n < 3000; n++) {
      expect(add.post(n)).toBe(OK);
      if (n % 500 === 0) host.drain(); // round and round the ring
    }
    host.drain();
    expect(counter.seen).toHaveLength(3 + 2990);
  });

  it('lets a call of another thread wait for room', async () => {
    const full = fillMailbox(host, handle);
    const call = add.begin(5);
    await turns(20);
    expect(call.running).toBe(true);
    expect(counter.seen).toEqual([]);
    full[Symbol.dispose]();
    expect(await call.end()).toEqual([OK, 1]);
  });

  it('ends with its registry, which then counts as ever', () => {
    fillMailbox(host);
    expect(add.post(1)).toBe(statusOf('HAFT_E_FULL'));
    const before = host.stats();
    host.close();
    const { sent, delivered, refused } = host.stats();
    expect([sent, delivered, refused]).toEqual([before.sent, before.delivered, before.refused]);
    expect(add.post(1)).toBe(statusOf('HAFT_E_CLOSED'));
  });

  it('refuses handles that are none of the registry', () => {
    thrown('HAFT_E_FORGED', () => fillMailbox(host, 1 as Handle));
    const other = host.create({});
    host.delete(other);
    thrown('HAFT_E_STALE', () => fillMailbox(host, other));
  });
});

describe('slowRealm', () => {
  it('is late by turns', async () => {
    using _slow = slowRealm(host, { turns: 20 });
    for (let n = 0; n < 2; n++) {
      expect(add.post(n)).toBe(OK);
      await turns(15);
      expect(counter.seen).toHaveLength(n);
      await until(() => counter.seen.length === n + 1);
    }
  });

  it('is late by time, however short: its end delivers what waits', async () => {
    const slow = slowRealm(host, { milliseconds: 3_600_000 });
    const call = add.begin(2);
    await turns(50);
    expect(counter.seen).toEqual([]);
    slow[Symbol.dispose]();
    expect(await call.end()).toEqual([OK, 1]);
    using _short = slowRealm(host, { milliseconds: 1 });
    expect(add.post(1)).toBe(OK);
    expect(counter.seen).toEqual([2]);
    await until(() => counter.seen.length === 2);
  });

  it('is so while timers are fake', async () => {
    vi.useFakeTimers();
    try {
      using _slow = slowRealm(host, { milliseconds: 1 });
      expect(add.post(1)).toBe(OK);
      while (counter.seen.length === 0) await host.collect();
    } finally {
      vi.useRealTimers();
    }
  });

  it('refuses what is no number of anything', () => {
    thrown('HAFT_E_ARGUMENT', () => slowRealm(host, { turns: 0 }));
    thrown('HAFT_E_ARGUMENT', () => slowRealm(host, undefined as unknown as { turns: number }));
    thrown('HAFT_E_ARGUMENT', () => slowRealm(host, { milliseconds: 0.5 }));
  });
});

describe('a realm that closes', () => {
  it('in place of the nth message: C that holds handles, and its callers, find it closed', async () => {
    closeRealm(host, { nth: 3 });
    const calls = [add.begin(1), add.begin(2), add.begin(3), add.begin(4)];
    const answers = await Promise.all(calls.map((call) => call.end()));
    expect(counter.seen).toHaveLength(2);
    expect(answers.map(([status]) => status).sort((a, b) => a - b)).toEqual(
      [OK, OK, statusOf('HAFT_E_CLOSED'), statusOf('HAFT_E_CLOSED')].sort((a, b) => a - b),
    );
    expect(check(handle)).toBe(statusOf('HAFT_E_CLOSED'));
    thrown('HAFT_E_CLOSED', () => host.create({}));
  });

  it('does not when that ends before', async () => {
    closeRealm(host)[Symbol.dispose]();
    expect(await add.begin(1).end()).toEqual([OK, 1]);
  });

  it('is closed from the start by closedRealm, which is no leak', async () => {
    const { registry, value } = closedRealm((realm) => realm.create({}));
    expect(check(value)).toBe(statusOf('HAFT_E_CLOSED'));
    expect(retain(value)).toBe(statusOf('HAFT_E_CLOSED'));
    thrown('HAFT_E_CLOSED', () => registry.get(value));
    expect(closedRealm().value).toBeUndefined();
    await expectNoLeaks();
  });
});

describe('stepMailbox', () => {
  const described = ({ handle, op }: WaitingMessage) => [handle, op];

  it('delivers exactly one message a step, and tells which', async () => {
    using mailbox = stepMailbox(host);
    for (const n of [1, 2, 3]) expect(add.post(n)).toBe(OK);
    await turns(5);
    expect(counter.seen).toEqual([]);
    const message = { kind: 'Counter', op: 'add', handle, sort: 'post', shard: handle % 16 };
    expect(mailbox.pending()).toEqual([message, message, message]);
    expect(mailbox.step()).toEqual(message);
    expect(counter.seen).toEqual([1]);
    await turns(5);
    expect(mailbox.step()).toEqual(message);
    expect(counter.seen).toEqual([1, 2]);
    expect(mailbox.pending()).toHaveLength(1);
    mailbox.step();
    expect(mailbox.step()).toBeUndefined();
    expect(add.post(4)).toBe(OK); // after the mailbox was empty
    await turns(5);
    expect(counter.seen).toEqual([1, 2, 3]);
    expect(mailbox.all()).toHaveLength(1);
    expect(counter.seen).toEqual([1, 2, 3, 4]);
  });

  it('goes from mailbox to mailbox, in the order that pending tells', () => {
    const other = elsewhere();
    using mailbox = stepMailbox(host);
    for (const n of [1, 2, 3]) expect(add.post(n)).toBe(OK);
    for (const n of [4, 5]) expect(other.sender.post(n)).toBe(OK);
    const pending = mailbox.pending().map(described);
    const handles = pending.map(([handle]) => handle);
    expect(handles.slice(0, 4)).toEqual([handles[0], handles[1], handles[0], handles[1]]);
    expect(handles[0]).not.toBe(handles[1]);
    expect(handles[4]).toBe(handle);
    expect(mailbox.all().map(described)).toEqual(pending);
    expect([counter.seen, other.counter.seen]).toEqual([
      [1, 2, 3],
      [4, 5],
    ]);
  });

  it('steps messages of every length, and over the end of the ring', () => {
    class Reader {
      lengths: number[] = [];
      read(...parts: Uint8Array[]) {
        this.lengths.push(parts[0]!.length);
      }
    }
    const ReaderKind = kind(Reader, { read: { args: ['bytes'] } });
    const reader = new Reader();
    const read = new Sender(host.create(reader, ReaderKind), ReaderKind, 'read');
    using mailbox = stepMailbox(host);
    const sizes = Array.from({ length: 600 }, (_, i) => (i * 37) % 2000);
    for (const [i, size] of sizes.entries()) {
      expect(read.postBytes(size, 1)).toBe(OK);
      if (i % 3 !== 2) continue;
      expect(mailbox.pending()).toHaveLength(3);
      for (let left = 2; left >= 0; left--) {
        expect(mailbox.step()).toBeDefined();
        expect(mailbox.pending()).toHaveLength(left);
      }
    }
    expect(reader.lengths).toEqual(sizes);
  });

  it('until: up to the message that is meant', () => {
    const other = elsewhere();
    using mailbox = stepMailbox(host);
    for (const n of [1, 2]) expect(add.post(n)).toBe(OK);
    expect(other.sender.post(3)).toBe(OK);
    expect(mailbox.until(({ handle }) => handle === other.sender.handle)?.handle).toBe(other.sender.handle);
    expect(other.counter.seen).toEqual([3]);
    expect(mailbox.until(() => counter.seen.length === 2)?.handle).toBe(handle);
    expect(mailbox.until(() => false)).toBeUndefined();
  });

  it('calls of other threads wait, and have their answers by steps', async () => {
    using mailbox = stepMailbox(host);
    const calls = [add.begin(1), add.begin(1)];
    const waiting = await mailbox.arrived(2);
    expect(waiting.map(({ sort }) => sort)).toEqual(['call', 'call']);
    expect(calls.every((call) => call.running)).toBe(true);
    expect(mailbox.step()?.sort).toBe('call');
    await until(() => calls.some((call) => !call.running));
    await turns(5);
    expect(calls.filter((call) => call.running)).toHaveLength(1);
    mailbox.step();
    for (const call of calls) expect((await call.end())[0]).toBe(OK);
  });

  it('C on this thread is served at once, and drain() drains', () => {
    using mailbox = stepMailbox(host);
    expect(add.post(1)).toBe(OK);
    expect(add.call(2)).toEqual([OK, 1]);
    expect(mailbox.pending()).toHaveLength(1);
    host.drain();
    expect(counter.seen).toEqual([2, 1]);
    expect(mailbox.pending()).toEqual([]);
  });

  it('its end delivers what waits, and then the realm is as before', async () => {
    {
      using _mailbox = stepMailbox(host);
      for (const n of [1, 2]) expect(add.post(n)).toBe(OK);
    }
    expect(counter.seen).toEqual([1, 2]);
    expect(await add.begin(3).end()).toEqual([OK, 3]);
    expect(Object.keys(host)).toEqual(Object.keys(new Host()));
  });

  it('a handler may step, and what it throws goes where it always goes', () => {
    using mailbox = stepMailbox(host);
    class Stepper {
      stepped: WaitingMessage | undefined;
      run(_n: number): void {
        this.stepped = mailbox.step();
        throw new Error('mine');
      }
    }
    const StepperKind = kind(Stepper, { run: { args: ['f64'] } });
    const stepper = new Stepper();
    const run = new Sender(host.create(stepper, StepperKind), StepperKind, 'run');
    expect(run.post(0)).toBe(OK);
    expect(mailbox.pending()).toHaveLength(1);
    expect(add.post(1)).toBe(OK);
    const stepped = mailbox.until(({ op }) => op === 'run');
    expect(stepped?.kind).toBe('Stepper');
    expect(host.told).toEqual(['mine']);
    expect(mailbox.pending()).toEqual([]);
    expect(counter.seen).toEqual([1]);
    // The mailbox of the counter may have been first: then the handler found none to step.
    expect([undefined, 'Counter']).toContain(stepper.stepped?.kind);
  });

  it('hands messages of a kind with batches to their batch', () => {
    const batched = new Batched();
    const sender = new Sender(host.create(batched, BatchedKind), BatchedKind, 'add');
    using mailbox = stepMailbox(host);
    for (const n of [1, 2]) expect(sender.post(n)).toBe(OK);
    mailbox.step();
    expect(batched.batches).toEqual([]);
    mailbox.step();
    expect(batched.batches).toEqual([[1, 2]]);
  });

  it('ends with its registry, and tells whoever waits', async () => {
    const mailbox = stepMailbox(host);
    expect(add.post(1)).toBe(OK);
    const waits = mailbox.arrived(2);
    host.close();
    await expect(waits).rejects.toMatchObject({ code: 'HAFT_E_CLOSED' });
    expect(mailbox.pending()).toEqual([]);
    expect(mailbox.step()).toBeUndefined();
    mailbox[Symbol.dispose]();
    expect(counter.seen).toEqual([]);
    thrown('HAFT_E_CLOSED', () => stepMailbox(host));
    thrown('HAFT_E_ARGUMENT', () => stepMailbox(new HandleTable() as unknown as Registry));
  });

  it('lets expectNoLeaks look meanwhile', async () => {
    using _mailbox = stepMailbox(host);
    expect(add.post(1)).toBe(OK);
    expect(release(host.create({}))).toBe(OK);
    await expectNoLeaks();
    expect(counter.seen).toEqual([]);
  });
});

describe('one in the other', () => {
  it('a full mailbox in a stepped one: the steps go on when it ends', () => {
    using mailbox = stepMailbox(host);
    expect(add.post(1)).toBe(OK);
    const full = fillMailbox(host, handle);
    expect(add.post(2)).toBe(statusOf('HAFT_E_FULL'));
    expect(mailbox.pending()).toHaveLength(1);
    full[Symbol.dispose]();
    expect(counter.seen).toEqual([]);
    expect(mailbox.all()).toHaveLength(1);
    expect(add.post(3)).toBe(OK);
    expect(mailbox.pending()).toHaveLength(1);
    expect(mailbox.all()).toHaveLength(1);
    expect(counter.seen).toEqual([1, 3]);
  });

  it('the one begun last answers; they may end in any order', async () => {
    const outer = slowRealm(host, { milliseconds: 3_600_000 });
    const inner = slowRealm(host, { turns: 2 });
    expect(add.post(1)).toBe(OK);
    await turns(20);
    expect(counter.seen).toEqual([]); // the inner one passes it on to the outer
    outer[Symbol.dispose]();
    await until(() => counter.seen.length === 1);
    inner[Symbol.dispose]();
    expect(await add.begin(2).end()).toEqual([OK, 2]);
  });
});

describe('is the same', () => {
  it.each(['addon', 'koffi'])('on the backend %s', async (HAFT_BACKEND) => {
    const ended = expectExit(await child([logicFile('testing.mjs')], { env: { HAFT_BACKEND } }));
    expect(ended.stdout).toBe('done\n');
  });

  it('in a worker', async () => {
    const env = { HAFT_BACKEND: 'addon' };
    expect(expectExit(await child([logicFile('testing.mjs'), 'worker'], { env })).stdout).toBe('done\n');
  });
});
