// What registry.report() tells, as text and as a comparison of two.
import {
  diffReports,
  formatDifference,
  formatHandle,
  formatReport,
  type Handle,
  kind,
  type MailboxOverflow,
  Registry,
  type RegistryReport,
} from 'haft';
import koffi from 'koffi';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { BLOCK_SLOTS, STATE_COLLECTED, STATE_LIVE, WORD_STATE_SHIFT } from '../src/constants.js';
import { eachLive } from '../src/debugging/live.js';
import { SLOT_MASK } from '../src/handle.js';
import { Block, Mirror } from '../src/mirror.js';
import { built, expectExit, script } from './support/child.js';
import { expectNarrow, prelude } from './support/debugging.js';
import { Host, OK, Sender, statusOf, until } from './support/messages.js';

const library = koffi.load(built('debugging.so'));
const useApi = library.func('int32_t use_api(void *api)');
const retainAs = library.func('int32_t retain_as(uint64_t h, str label)');
const releaseAs = library.func('int32_t release_as(uint64_t h, str label)');
const release = library.func('int32_t release(uint64_t h)');
const takeResult = library.func('int32_t take_result(uint64_t h, uint32_t op)');
const giveResult = library.func('void give_result()');

class Row {
  add(_n: number): void {}
  name(): string {
    return 'longer than what fits into the reply itself: '.repeat(20);
  }
}
const RowKind = kind(Row, { add: { args: ['f64'] }, name: { returns: 'str' } });
class Session {}
const SessionKind = kind(Session, {});

/** Longer than the steps of the clock that tells ages. */
const pause = () => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 30);
const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

let host: Host;
beforeEach(() => {
  host = new Host();
  useApi(host.apiAddress);
});
afterEach(() => host.close());

const one = (report: RegistryReport, handle: Handle) =>
  report.handles.find(({ number }) => number === handle)!;

describe('a report', () => {
  it('says who made it, and counts', () => {
    const row = host.create(new Row(), RowKind);
    host.retain(row);
    host.create(new Row(), RowKind);
    host.delete(host.create('gone'));
    host.create('no kind');
    const report = host.report();
    expect(report).toMatchObject({
      format: 'haft-report-1',
      pid: process.pid,
      thread: 0,
      realm: host.id,
      backend: host.backend,
      checkLevel: 1,
      totals: { live: 3, references: 4, created: 4, retired: 0, slots: 1024, resultsOut: 0 },
    });
    expect(new Date(report.when).toISOString()).toBe(report.when);
    expect(report.kinds).toMatchObject([
      { kind: 'Row', count: 2, references: 3, labels: {} },
      { kind: '', count: 1, references: 1, labels: {} },
    ]);
    expect(one(report, row)).toEqual({
      handle: formatHandle(row),
      number: row,
      kind: 'Row',
      ageMilliseconds: expect.any(Number),
      references: 2,
      labels: {},
      names: [],
      weak: false,
      collected: false,
      kept: false,
    });
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  });

  it('has exactly the documented fields', () => {
    host.create(new Row(), RowKind);
    const report = host.report();
    const keys = (value: object) => Object.keys(value).sort().join(' ');
    expect(keys(report)).toBe(
      'backend checkLevel format handles kinds overflows pid realm shards thread totals when',
    );
    expect(keys(report.totals)).toBe('created live references resultsOut retired slots');
    expect(keys(report.kinds[0]!)).toBe('count kind labels oldestMilliseconds references');
    expect(keys(report.shards[0]!)).toBe(
      'delivered dropped expired highestFill longestWaitMilliseconds refused sent shard waiting',
    );
    expect(report.shards.map(({ shard }) => shard)).toEqual([...Array(16).keys()]);
  });

  it('tells names, labels with their counts, and what is kept', () => {
    const row = host.create(new Row(), RowKind);
    host.publish('main row', row);
    host.publish('other name', row);
    expect(host.keep(row)).toBe(row);
    expect(retainAs(row, 'connection')).toBe(OK);
    expect(retainAs(row, 'connection')).toBe(OK);
    expect(retainAs(row, '__proto__')).toBe(OK);
    const other = host.create(new Row(), RowKind);
    expect(retainAs(other, 'connection')).toBe(OK);
    const report = host.report();
    const { names, labels, kept, references } = one(report, row);
    expect({ names, kept, references }).toEqual({
      names: ['main row', 'other name'],
      kept: true,
      references: 4,
    });
    expect(Object.entries(labels).sort()).toEqual([
      ['__proto__', 1],
      ['connection', 2],
    ]);
    expect(Object.entries(report.kinds[0]!.labels).sort()).toEqual([
      ['__proto__', 1],
      ['connection', 3],
    ]);
    expect(releaseAs(other, 'connection')).toBe(OK);
    expect(one(host.report(), other).labels).toEqual({});
    expect(() => host.keep((row + 2) as Handle)).toThrow(expect.objectContaining({ code: 'HAFT_E_FORGED' }));
  });

  it('leaves out handles of other registries, of haft itself, and those that C has released', () => {
    using other = new Registry();
    const theirs = other.create(new Row(), RowKind);
    retainAs(theirs, 'theirs');
    host.accept(); // has an object of haft's own
    const row = host.create(new Row(), RowKind);
    expect(release(row)).toBe(OK); // no drain has seen it yet
    expect(host.report()).toMatchObject({ totals: { live: 0 }, kinds: [], handles: [] });
    expect(other.report()).toMatchObject({ totals: { live: 1 }, kinds: [{ labels: { theirs: 1 } }] });
  });

  it('tells the oldest handles, so many as are asked for, and their ages', async () => {
    const first = host.create('first');
    pause();
    await nextTurn();
    const later = Array.from({ length: 3000 }, () => host.create(new Row(), RowKind));
    expect(host.report().handles).toHaveLength(20);
    expect(host.report({ handles: 1 }).handles).toMatchObject([{ number: first }]);
    expect(host.report({ handles: 0 }).handles).toEqual([]);
    const all = host.report({ handles: Number.POSITIVE_INFINITY });
    expect(all.handles).toHaveLength(3001);
    expect(all.handles[0]!.number).toBe(first);
    const ages = all.handles.map(({ ageMilliseconds }) => ageMilliseconds);
    expect(ages).toEqual([...ages].sort((a, b) => b - a));
    expect(one(all, first).ageMilliseconds - one(all, later[0]!).ageMilliseconds).toBeGreaterThanOrEqual(20);
    expect(all.kinds.find(({ kind }) => kind === '')!.oldestMilliseconds).toBeGreaterThanOrEqual(20);
    for (const handles of [-1, Number.NaN]) {
      expect(() => host.report({ handles })).toThrow(expect.objectContaining({ code: 'HAFT_E_ARGUMENT' }));
    }
  });

  it('knows ages where a turn is long, and under fake timers (P12)', () => {
    vi.useFakeTimers();
    try {
      const first = host.create('first');
      pause();
      for (let i = 0; i < 1500; i++) host.create(i); // the clock is read again
      const last = host.create('last');
      const report = host.report({ handles: Number.POSITIVE_INFINITY });
      expect(one(report, first).ageMilliseconds - one(report, last).ageMilliseconds).toBeGreaterThanOrEqual(
        20,
      );
    } finally {
      vi.useRealTimers();
    }
  });

  it('tells of each shard what waits and what was refused', () => {
    const row = host.create(new Row(), RowKind);
    const sender = new Sender(row, RowKind, 'add');
    for (let i = 0; i < 1024; i++) expect(sender.post(i)).toBe(OK);
    for (let i = 0; i < 6; i++) expect(sender.post(i)).toBe(statusOf('HAFT_E_FULL'));
    const shard = row % 16;
    expect(host.report().shards[shard]).toMatchObject({ shard, waiting: 1024, refused: 6, sent: 1030 });
    host.drain();
    expect(host.report().shards[shard]).toMatchObject({ waiting: 0, delivered: 1024, highestFill: 1024 });
  });

  it('counts results that C has not given back', () => {
    const row = host.create(new Row(), RowKind);
    expect(takeResult(row, RowKind.number * 0x10000 + RowKind.position('name'))).toBe(OK);
    expect(host.report().totals.resultsOut).toBe(1);
    giveResult();
    expect(host.report().totals.resultsOut).toBe(0);
  });

  it('has what level 2 knows of a handle', () => {
    const use = (what: string, stack: string[], thread = 7) => ({ what, thread, at: 12.5, stack });
    const created = use('create', ['at makeRow (/app/rows.js:12:3)']);
    const lastUse = use('haft_post', ['send_row+0x1f (rows.so)'], 0); // as koffi tells it
    const row = host.create(new Row(), RowKind);
    const history = { created, references: [], lastUse };
    Object.assign(host, { historyOf: (handle: number) => (handle === row ? history : undefined) });
    const other = host.create(new Row(), RowKind);
    const report = host.report();
    expect(one(report, row)).toMatchObject({ created, lastUse });
    expect(one(report, other)).not.toHaveProperty('created');
    expect(one(report, row).lastUse!.agoMilliseconds).toBeGreaterThan(0);
    const retained = { ...use('haft_retain_as', ['keep+0x2 (rows.so)']), at: 13 };
    Object.assign(history, { references: [retained, { ...use('retain', []), at: 14 }] });
    expect(one(host.report(), row)).toMatchObject({ lastUse: retained }); // the latest of native code's
    const text = formatReport(report);
    expect(text).toMatch(
      / {6}created \S+ \w+ ago: create on thread 7\n {8}at makeRow \(\/app\/rows.js:12:3\)\n/,
    );
    expect(text).toMatch(
      / {6}last used \S+ \w+ ago: haft_post on a thread of C\n {8}send_row\+0x1f \(rows.so\)\n/,
    );
  });

  it('is refused by a closed registry', () => {
    host.close();
    expect(() => host.report()).toThrow(expect.objectContaining({ code: 'HAFT_E_CLOSED' }));
  });
});

describe('overflows', () => {
  it('of a mailbox: what was refused, and what it was full of by kind and op', () => {
    const row = host.create(new Row(), RowKind);
    const sender = new Sender(row, RowKind, 'add');
    for (let i = 0; i < 1034; i++) sender.post(i);
    host.drain();
    const [overflow, ...more] = host.report().overflows;
    expect(more).toEqual([]);
    expect(overflow).toMatchObject({ what: 'mailbox', shard: row % 16, refused: 10, dropped: 0 });
    // Sixteen had been taken out when the drain looked.
    expect(overflow).toMatchObject({ waiting: [{ kind: 'Row', op: 'add', posts: 1008, calls: 0 }] });
    expect(formatReport(host.report())).toMatch(/10 refused, 0 dropped; it held 1008\s+Row\.add/);
    expectNarrow(formatReport(host.report()));
  });

  it('of a mailbox are told once a second at most', () => {
    const sender = new Sender(host.create(new Row(), RowKind), RowKind, 'add');
    const began = performance.now();
    for (let round = 0; round < 20; round++) {
      for (let i = 0; i < 1034; i++) sender.post(i);
      host.drain();
    }
    const seconds = Math.floor((performance.now() - began) / 1000);
    const { length } = host.report().overflows;
    expect(length).toBeGreaterThanOrEqual(1);
    expect(length).toBeLessThanOrEqual(1 + seconds);
  });

  it('of a mailbox whose handlers are slow', async () => {
    class Slow {
      handled = 0;
      add(_n: number): void {
        if (this.handled++ < 3) pause();
      }
    }
    const SlowKind = kind(Slow, { add: { args: ['f64'] } });
    const sender = new Sender(host.create(new Slow(), SlowKind), SlowKind, 'add');
    for (let i = 0; i < 1030; i++) sender.post(i);
    await until(() => host.report().overflows.length > 0);
    // A drain ends soon after its time is over: few had been taken out.
    const [overflow] = host.report().overflows;
    expect(overflow).toMatchObject({ refused: 6, waiting: [{ kind: 'Slow', op: 'add' }] });
    expect((overflow as MailboxOverflow).waiting[0]!.posts).toBeGreaterThan(1008);
  });

  it('none where a mailbox was full, and nobody was refused', () => {
    const row = host.create(new Row(), RowKind);
    const sender = new Sender(row, RowKind, 'add');
    for (let i = 0; i < 1024; i++) sender.post(i);
    host.drain();
    expect(host.report().overflows).toEqual([]);
  });

  it('of a table: HAFT_E_SLOTS names the kinds that fill it, most first', async () => {
    const ended = await script(
      `${prelude}
      const code = (act) => { try { act(); } catch (error) { return error.message; } };
      for (let i = 0; i < 1000; i++) registry.create(new Session(), SessionKind);
      for (let i = 0; i < 3090; i++) registry.create(new Row(), RowKind);
      for (let i = 0; i < 6; i++) registry.create(i);
      console.log(code(() => registry.create('more')));
      console.log(JSON.stringify(registry.report().overflows));`,
      [],
      { env: { HAFT_ADDON: built('haft_small.node') } },
    );
    const [message, overflows] = expectExit(ended).stdout.split('\n');
    expect(message).toContain(
      "HAFT_E_SLOTS: no slot is free; of this registry's 4096 handles most are: 3090 Row, 1000 Session, 6 without a kind;",
    );
    expect(JSON.parse(overflows!)).toMatchObject([
      {
        what: 'table',
        live: 4096,
        kinds: [
          { kind: 'Row', count: 3090 },
          { kind: 'Session', count: 1000 },
          { kind: '', count: 6 },
        ],
      },
    ]);
  });

  it('go to standard error at level 2', async () => {
    const source = `${prelude}
      const row = registry.create(new Row(), RowKind);
      postMany(row, opOf(RowKind, 'add'), 1030, 1);
      registry.drain();`;
    const told = /haft: the mailbox of shard \d+ was full: 0 refused, 6 dropped; it held 1008 Row.add\n$/;
    expect(expectExit(await script(source, [], { env: { HAFTCHECK: '2' } })).stderr).toMatch(told);
    expect(expectExit(await script(source, [], { env: { HAFTCHECK: '1' } })).stderr).toBe('');
  });
});

describe('as text', () => {
  it('reads well without colour', () => {
    const row = host.create(new Row(), RowKind);
    host.publish('main', row);
    retainAs(row, 'connection');
    for (let i = 0; i < 25; i++) host.create(new Session(), SessionKind);
    const text = formatReport(host.report({ handles: 3 }));
    expectNarrow(text);
    expect(text).toMatch(/^realm \d+ of process \d+, main thread, 20/);
    expect(text).toContain('26 live handles with 27 references');
    expect(text).toMatch(/^ {2}Session +25 +25 +\d+ ms$/m);
    expect(text).toMatch(/^ {2}Row +1 +2 +\d+ ms +connection 1$/m);
    expect(text).toContain('The 3 oldest of 26 handles:');
    expect(text).toMatch(/^ {2}\d+:\d+@\d+ +Row +\d+ ms +2 +published as main; connection 1$/m);
    expect(text).toMatch(/Mailboxes: no message was sent\.$/);
    expect(formatReport(host.report({ handles: 1 }))).toContain('The oldest of 26 handles:');
    new Sender(row, RowKind, 'add').post(1);
    host.drain();
    expect(formatReport(host.report())).toMatch(
      /: 1 message sent; never more than a few of .* none waits, was refused or came late\.$/,
    );
  });

  it('is at most 100 columns wide whatever things are called, and steers no terminal', () => {
    const wide = kind(Session, {}, { name: '長い名前'.repeat(13) });
    const evil = kind(
      Session,
      {},
      { name: 'red \u001b[31m and \u202e backwards, on and on and on'.repeat(3) },
    );
    const handle = host.create(new Session(), wide);
    host.publish('名'.repeat(37), handle);
    for (let i = 0; i < 9; i++) retainAs(handle, `label ${i} `.repeat(7));
    retainAs(host.create(new Session(), evil), '\u001b]0;title\u0007');
    const stack = Array.from({ length: 20 }, (_, i) => `at f${i} (/a/${'long/'.repeat(40)}file.js:1:1)`);
    const created = { what: 'create', thread: 1, at: 1, stack };
    Object.assign(host, { historyOf: () => ({ created, references: [] }) });
    const text = formatReport(host.report());
    expectNarrow(text);
    expect(text).toContain('file.js:1:1)');
    expect(text).toContain('and 12 more frames');
    expectNarrow(formatDifference(diffReports(host.report({ handles: 0 }), host.report())));
  });

  it('of an empty registry', () => {
    const text = formatReport(host.report());
    expectNarrow(text);
    expect(text).toContain('0 live handles');
  });
});

describe('the difference of two', () => {
  it('tells what grew and shrank by kind and label, who stayed, and who is new', () => {
    const stays = host.create(new Row(), RowKind);
    const goes = host.create(new Session(), SessionKind);
    retainAs(stays, 'connection');
    const before = host.report();
    host.delete(goes);
    const arrives = [host.create(new Row(), RowKind), host.create(new Row(), RowKind)];
    retainAs(arrives[0]!, 'connection');
    retainAs(stays, 'cursor');
    const difference = diffReports(before, host.report());
    expect(difference).toMatchObject({
      format: 'haft-difference-1',
      before: { when: before.when, realm: host.id },
      live: 1,
      references: 3,
      unknown: 0,
      kinds: [
        {
          kind: 'Row',
          before: 1,
          after: 3,
          change: 2,
          references: 4,
          labels: { connection: 1, cursor: 1 },
        },
        { kind: 'Session', before: 1, after: 0, change: -1, references: -1, labels: {} },
      ],
    });
    expect(difference.stayed.map(({ number }) => number)).toEqual([stays]);
    expect(difference.arrived.map(({ number }) => number).sort()).toEqual([...arrives].sort());
    const text = formatDifference(difference);
    expectNarrow(text);
    expect(text).toMatch(/^ {2}Row +1 +3 +\+2 +\+4 +connection \+1, cursor \+1$/m);
    expect(text).toMatch(/^ {2}Session +1 +0 +-1 +-1$/m);
  });

  it('says how many cannot be compared', () => {
    for (let i = 0; i < 10; i++) host.create(i);
    const before = host.report({ handles: 3 });
    const difference = diffReports(before, host.report({ handles: 3 }));
    expect(difference).toMatchObject({ live: 0, unknown: 7 });
    expect(formatDifference(difference)).toContain('7 handles cannot be compared.');
    expect(formatDifference(difference)).toContain('No kind has more or fewer handles.');
  });
});

it('is the same on the koffi backend', async () => {
  const ended = await script(
    `${prelude}
    const row = registry.create(new Row(), RowKind);
    retainAs(row, 'connection');
    retainAs(row, 'connection');
    takeResult(row, opOf(RowKind, 'name'));
    const { resultsOut } = registry.report().totals;
    giveResult();
    const released = registry.create('released');
    release(released);
    postMany(row, opOf(RowKind, 'add'), 1030, 0);
    registry.drain();
    console.log(JSON.stringify([resultsOut, registry.report()]));
    console.error(formatReport(registry.report()));`,
    [],
    { env: { HAFT_BACKEND: 'koffi' } },
  );
  const [resultsOut, report] = JSON.parse(expectExit(ended).stdout) as [number, RegistryReport];
  expect(resultsOut).toBe(1);
  expect(report).toMatchObject({
    backend: 'koffi',
    totals: { live: 1, references: 3, resultsOut: 0 },
    kinds: [{ kind: 'Row', count: 1, labels: { connection: 2 } }],
    overflows: [{ what: 'mailbox', refused: 6, waiting: [{ kind: 'Row', op: 'add', posts: 1008 }] }],
  });
  expectNarrow(ended.stderr);
});

it('finds weak handles by their slots: the mirror has none of them', () => {
  const mirror = new Mirror(0, 2 ** 26 - 1);
  const block = new Block(new Int32Array(4 * BLOCK_SLOTS));
  mirror.addBlock(0, block);
  const [strong, weak, collected, ended] = [1, 2, 8191, 4].map((of) => mirror.publish({}, of)) as number[];
  for (const handle of [weak!, collected!]) block.handles[handle & SLOT_MASK] = Number.NaN;
  const slot = collected! & SLOT_MASK;
  block.words[slot * 4]! += 2; // references
  block.words[slot * 4 + 1]! += (STATE_COLLECTED - STATE_LIVE) << WORD_STATE_SHIFT;
  mirror.end(block, ended! & SLOT_MASK);
  const found: unknown[] = [];
  eachLive(mirror, ({ handle, kind: number, references, weak, collected }) =>
    found.push([handle, number, references, weak, collected]),
  );
  expect(found).toEqual([
    [strong, 1, 1, false, false],
    [weak, 2, 1, true, false],
    [collected, 8191, 3, true, true],
  ]);
});
