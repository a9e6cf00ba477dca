// Posts that are delivered in batches.
import { HandleTable, kind } from 'haft';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { script } from './support/child.js';
import { Host, OK, Sender, until } from './support/messages.js';
import { thrown } from './support/tables.js';

class Log {
  readonly batches: unknown[] = [];
  add(batch: [number][]): void {
    this.batches.push(['add', batch]);
  }
  note(batch: [number, string][]): void {
    this.batches.push(['note', batch]);
  }
  clear(batch: [][]): void {
    this.batches.push(['clear', batch]);
  }
  fail(batch: [number][]): void {
    this.batches.push(['fail', batch]);
    throw new Error(`${batch.length} failed`);
  }
}
const ops = {
  add: { args: ['f64'] },
  note: { args: ['f64', 'str'] },
  clear: {},
  fail: { args: ['f64'] },
} as const;
/** A batch is full at three; else its time does not come within a test. */
const SlowKind = kind(Log, ops, { name: 'slow', batch: { max: 3, withinMilliseconds: 60_000 } });
const QuickKind = kind(Log, ops, { name: 'quick', batch: { max: 65_536, withinMilliseconds: 5 } });
const DrainKind = kind(Log, ops, { name: 'drain', batch: { max: 65_536, withinMilliseconds: 0 } });

let host: Host;
beforeEach(() => {
  host = new Host();
});
afterEach(() => host.close());

function made(of = SlowKind) {
  const log = new Log();
  const handle = host.create(log, of);
  const sender = (op: keyof typeof ops) => new Sender(handle, of, op);
  return {
    log,
    handle,
    add: sender('add'),
    note: sender('note'),
    clear: sender('clear'),
    fail: sender('fail'),
  };
}

describe('a batch', () => {
  it('is delivered when it is full, once, with the arguments of each message', () => {
    const { log, add } = made();
    for (let i = 1; i <= 7; i++) expect(add.post(i)).toBe(OK);
    host.drain();
    expect(log.batches).toEqual([
      ['add', [[1], [2], [3]]],
      ['add', [[4], [5], [6]]],
    ]);
    add.post(8);
    add.post(9);
    host.drain();
    expect(log.batches[2]).toEqual(['add', [[7], [8], [9]]]);
  });

  it('has all arguments of a message, or none', () => {
    const { log, note, clear } = made();
    for (const [i, text] of ['a', 'ü', 'x'.repeat(3000)].entries()) note.postText(i, text);
    for (let i = 0; i < 3; i++) clear.postNothing();
    host.drain();
    expect(log.batches).toEqual([
      [
        'note',
        [
          [0, 'a'],
          [1, 'ü'],
          [2, 'x'.repeat(3000)],
        ],
      ],
      ['clear', [[], [], []]],
    ]);
  });

  it('is delivered when its time has come, and keeps the event loop alive until then', async () => {
    const { log, add } = made(QuickKind);
    add.post(1);
    add.post(2);
    host.drain();
    expect(log.batches).toEqual([]);
    await until(() => log.batches.length > 0);
    expect(log.batches).toEqual([['add', [[1], [2]]]]);
  });

  it('keeps the event loop alive', async () => {
    const ended = await script(`
      import { kind, Registry } from 'haft';
      import koffi from 'koffi';
      const library = koffi.load('build/Release/messages.so');
      const registry = new Registry();
      library.func('int32_t use_api(void *api)')(registry.apiAddress);
      class Log { add(batch) { console.log(JSON.stringify(batch)); } }
      const LogKind = kind(Log, { add: { args: ['f64'] } }, { batch: { max: 9, withinMilliseconds: 50 } });
      const h = registry.create(new Log(), LogKind);
      library.func('int32_t post_number(uint64_t h, uint32_t op, double n)')(h, LogKind.number * 65536, 7);
      registry.drain();
    `);
    expect(ended).toMatchObject({ code: 0, stdout: '[[7]]\n' });
  });

  it('is not delayed by a fake of setTimeout', async () => {
    const { log, add } = made(QuickKind);
    vi.useFakeTimers();
    add.post(1);
    host.drain();
    vi.useRealTimers();
    await until(() => log.batches.length > 0);
  });

  it('with 0 milliseconds ends with the drain', () => {
    const { log, add } = made(DrainKind);
    const other = made(DrainKind);
    for (let i = 0; i < 3; i++) {
      add.post(i);
      other.add.post(10 + i);
    }
    host.drain();
    expect(log.batches).toEqual([['add', [[0], [1], [2]]]]);
    expect(other.log.batches).toEqual([['add', [[10], [11], [12]]]]);
  });

  it('is of one object', () => {
    const one = made();
    const two = made();
    for (let i = 0; i < 3; i++) {
      one.add.post(i);
      two.add.post(i + 10);
    }
    host.drain();
    expect(one.log.batches).toEqual([['add', [[0], [1], [2]]]]);
    expect(two.log.batches).toEqual([['add', [[10], [11], [12]]]]);
  });

  it('is of one op: another one delivers what is held first', () => {
    const { log, add, note } = made();
    add.post(1);
    add.post(2);
    note.postText(3, 'x');
    host.drain();
    expect(log.batches).toEqual([['add', [[1], [2]]]]);
    add.post(4);
    host.drain();
    expect(log.batches.slice(1)).toEqual([['note', [[3, 'x']]]]);
  });

  it('that throws is one error, and delivered', () => {
    const { log, fail } = made();
    for (let i = 0; i < 6; i++) fail.post(i);
    host.drain();
    expect(log.batches.length).toBe(2);
    expect(host.told).toEqual(['3 failed', '3 failed']);
    expect(host.stats()).toMatchObject({ sent: 6, delivered: 6, refused: 0 });
  });

  it('counts each message, also while it waits', () => {
    const { add } = made();
    add.post(1);
    add.post(2);
    host.drain();
    expect(host.stats()).toMatchObject({ delivered: 0 });
    add.post(3);
    host.drain();
    expect(host.stats()).toMatchObject({ sent: 3, delivered: 3, refused: 0 });
  });

  it('may be as large as 65,536', () => {
    const { log, add } = made(QuickKind); // its time does not come within one turn of the event loop
    for (let i = 0; i < 65_536; i++) {
      add.post(i);
      if (i % 500 === 499) host.drain();
    }
    host.drain();
    expect(log.batches.length).toBe(1);
    const [, batch] = log.batches[0] as [string, [number][]];
    expect(batch.flat()).toEqual(Array.from({ length: 65_536 }, (_, i) => i));
  });

  it('of a handler that drains: what comes meanwhile is another batch, behind it', () => {
    const seen: number[][] = [];
    class Nested {
      add(batch: [number][]): void {
        seen.push(batch.flat());
        host.drain();
      }
    }
    const NestedKind = kind(Nested, { add: { args: ['f64'] } }, { batch: { max: 2, withinMilliseconds: 0 } });
    const add = new Sender(host.create(new Nested(), NestedKind), NestedKind, 'add');
    for (let i = 0; i < 5; i++) add.post(i);
    host.drain();
    expect(seen).toEqual([[0, 1], [2, 3], [4]]);
  });

  it('finds its object deleted: each message is refused', () => {
    const { log, handle, add } = made(DrainKind);
    add.post(1);
    add.post(2);
    host.delete(handle);
    host.drain();
    expect(log.batches).toEqual([]);
    expect(host.stats()).toMatchObject({ delivered: 0, refused: 2, gone: 2 });
  });

  it('may close the registry', () => {
    class Closing {
      add(_batch: [number][]): void {
        host.close();
      }
    }
    const ClosingKind = kind(
      Closing,
      { add: { args: ['f64'] } },
      { batch: { max: 2, withinMilliseconds: 60_000 } },
    );
    const add = new Sender(host.create(new Closing(), ClosingKind), ClosingKind, 'add');
    for (let i = 0; i < 5; i++) add.post(i);
    host.drain();
    expect(host.stats()).toMatchObject({ sent: 5, delivered: 2, refused: 3 });
  });
});

describe('a call of a kind with batches', () => {
  it('delivers what is held, then is a batch of one, and answers void', async () => {
    const { log, add } = made();
    add.post(1);
    add.post(2);
    expect(await add.begin(3).end()).toEqual([OK, 0]);
    expect(log.batches).toEqual([
      ['add', [[1], [2]]],
      ['add', [[3]]],
    ]);
  });

  it('on the same thread too', () => {
    const { log, add } = made();
    add.post(1);
    host.drain();
    expect(add.call(2)).toEqual([OK, 0]);
    expect(log.batches).toEqual([
      ['add', [[1]]],
      ['add', [[2]]],
    ]);
    expect(host.stats()).toMatchObject({ sent: 2, delivered: 2 });
  });

  it('receives what the handler throws', async () => {
    const { fail } = made();
    expect((await fail.begin(3).end())[0]).toBe(-13);
    expect(fail.call(3)[0]).toBe(-13);
  });
});

describe('the options', () => {
  const of = (batch: unknown) => () => kind(Log, ops, { batch: batch as never });
  it.each([
    [0, { max: 0, withinMilliseconds: 1 }],
    [1, { max: 65_537, withinMilliseconds: 1 }],
    [2, { max: 1.5, withinMilliseconds: 1 }],
    [3, { max: '1', withinMilliseconds: 1 }],
    [4, { withinMilliseconds: 1 }],
    [5, { max: 1 }],
    [6, { max: 1, withinMilliseconds: -1 }],
    [7, { max: 1, withinMilliseconds: 60_001 }],
    [8, { max: 1, withinMilliseconds: Number.NaN }],
    [9, { max: 1, withinMilliseconds: 1, least: 1 }],
    [10, null],
    [11, 5],
  ])('are checked (%i)', (_, batch) => {
    expect(thrown('HAFT_E_ARGUMENT', of(batch)).message).toContain('batch');
  });

  it('have limits', () => {
    of({ max: 1, withinMilliseconds: 0 })();
    of({ max: 65_536, withinMilliseconds: 60_000 })();
  });

  it('ask for ops without a result', () => {
    class Bad {
      add(_batch: [number][]): number {
        return 1;
      }
    }
    const options = { batch: { max: 1, withinMilliseconds: 1 } };
    const error = thrown('HAFT_E_ARGUMENT', () =>
      kind(Bad, { add: { args: ['f64'], returns: 'f64' } } as never, options),
    );
    expect(error.message).toContain('add returns a result');
  });

  it('that differ are refused by one registry for one name and signature', () => {
    const batch = { max: 3, withinMilliseconds: 5 };
    const one = kind(Log, ops, { name: 'twice', batch });
    const same = kind(Log, ops, { name: 'twice', batch: { ...batch } });
    const other = kind(Log, ops, { name: 'twice', batch: { ...batch, max: 4 } });
    const none = kind(Log, ops as never, { name: 'twice' });
    host.create(new Log(), one);
    host.create(new Log(), same);
    for (const differs of [other, none as typeof other]) {
      const error = thrown('HAFT_E_ARGUMENT', () => host.create(new Log(), differs));
      expect(error.message).toContain('other options');
    }
    new Host().create(new Log(), other);
    new HandleTable().create(new Log(), other);
  });

  it('do not exist under another name', () => {
    const misspelt = { retry: { times: 1 } } as never;
    expect(thrown('HAFT_E_ARGUMENT', () => kind(Log, ops as never, misspelt)).message).toContain('retry');
  });
});
