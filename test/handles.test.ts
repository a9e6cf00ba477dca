// What a handle promises, over both tables: whatever is written against one also runs on the other.
import { formatHandle, functionKind, HaftError, type Handle, HandleTable, kind, Registry } from 'haft';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { expectExit, script } from './support/child.js';
import { NEVER_HANDLES, TABLES, type Table, thrown } from './support/tables.js';

class Counter {
  total = 0;
  add(n: number) {
    this.total += n;
    return this.total;
  }
}
class Other {
  touch() {}
}
const CounterKind = kind(Counter, { add: { args: ['f64'], returns: 'f64' } });
const OtherKind = kind(Other, { touch: {} });

const REFERENCES_MOST = 4_194_303;

describe.each(TABLES)('%s', (_, { open, settle }) => {
  let table: Table;
  beforeEach(() => {
    table = open();
  });
  afterEach(() => table.close());

  /** All that takes a handle. */
  const uses = (handle: Handle): [string, () => unknown][] => [
    ['get', () => table.get(handle)],
    ['get with a kind', () => table.get(handle, CounterKind)],
    ['delete', () => table.delete(handle)],
    ['retain', () => table.retain(handle)],
    ['release', () => table.release(handle)],
    ['publish', () => table.publish('name', handle)],
  ];
  const refusedEverywhere = (code: Parameters<typeof thrown>[0], handle: unknown) => {
    const before = table.stats();
    for (const [, use] of uses(handle as Handle)) {
      const error = thrown(code, use);
      expect(Object.is(error.handle, handle) || Number(handle) === error.handle).toBe(true);
    }
    expect(table.has(handle)).toBe(false);
    expect(table.tryGet(handle as Handle)).toBeUndefined();
    expect(table.tryGet(handle as number, CounterKind)).toBeUndefined();
    expect(table.stats()).toEqual(before);
  };

  describe('create and get', () => {
    it('a handle is an integer in [2^52, 2^53) and leads to the very object', () => {
      const object = { some: 'object' };
      const handle = table.create(object);
      expect(Number.isSafeInteger(handle)).toBe(true);
      expect(handle).toBeGreaterThanOrEqual(2 ** 52);
      expect(handle).toBeLessThan(2 ** 53);
      expect(table.get(handle)).toBe(object);
      expect(table.tryGet(handle)).toBe(object);
      expect(table.has(handle)).toBe(true);
    });

    it.each([
      ['undefined', undefined],
      ['null', null],
      ['NaN', Number.NaN],
      ['0', 0],
      ['-0', -0],
      ['an empty string', ''],
      ['false', false],
      ['a bigint', 7n],
      ['a symbol', Symbol.iterator],
      ['a function', () => 1],
      ['a handle of its own', 2 ** 52],
    ])('any value can be stored: %s', (_, value) => {
      const handle = table.create(value);
      expect(Object.is(table.get(handle), value)).toBe(true);
      expect(table.has(handle)).toBe(true);
      table.delete(handle);
      thrown('HAFT_E_STALE', () => table.get(handle));
    });

    it('two handles of one value are two, and each ends for itself', () => {
      const object = {};
      const [a, b] = [table.create(object), table.create(object)];
      expect(a).not.toBe(b);
      table.delete(a);
      expect(table.get(b)).toBe(object);
    });

    it('a BigInt of the same value is the same handle', () => {
      const handle = table.create('value', undefined);
      const big = BigInt(handle) as unknown as Handle<string>;
      expect(table.get(big)).toBe('value');
      expect(table.tryGet(big)).toBe('value');
      expect(table.has(big)).toBe(true);
      expect(table.retain(big)).toBe(big);
      table.release(big);
      table.publish('big', big);
      expect(table.find('big')).toBe(handle);
      table.delete(big);
      expect(table.has(handle)).toBe(false);
    });

    it('many handles are all different, and all lead to their own object', () => {
      const handles = Array.from({ length: 5000 }, (_, i) => table.create(i));
      expect(new Set(handles).size).toBe(5000);
      handles.forEach((handle, i) => {
        expect(table.get(handle)).toBe(i);
      });
      expect(table.stats()).toMatchObject({ live: 5000, created: 5000, retired: 0, slots: 5120 });
      for (const handle of handles) table.delete(handle);
      expect(table.stats()).toMatchObject({ live: 0, created: 5000, slots: 5120 });
    });

    it('a freed slot is used again, and never with the same handle', () => {
      const seen = new Set<number>();
      for (let i = 0; i < 3000; i++) {
        const handle = table.create(i);
        expect(seen.has(handle)).toBe(false);
        seen.add(handle);
        table.delete(handle);
      }
      expect(table.stats().slots).toBe(1024);
    });

    it('the object can be collected when its handle has ended', async () => {
      const handle = table.create({});
      const weak = new WeakRef(table.get(handle) as object);
      table.delete(handle);
      await new Promise((resolve) => setTimeout(resolve));
      globalThis.gc!();
      expect(weak.deref()).toBeUndefined();
    });
  });

  describe('delete', () => {
    it('ends the handle whatever its references; everything after is HAFT_E_STALE', () => {
      const handle = table.create({});
      table.retain(handle);
      table.retain(handle);
      table.delete(handle);
      refusedEverywhere('HAFT_E_STALE', handle);
    });

    it('the next object of the slot is not touched by the old handle', () => {
      const first = table.create('first');
      table.delete(first);
      const second = table.create('second');
      refusedEverywhere('HAFT_E_STALE', first);
      expect(table.get(second)).toBe('second');
      table.release(second);
      settle(table);
      expect(table.has(second)).toBe(false);
    });
  });

  describe('retain and release', () => {
    it('the object stays until the last reference is given back', () => {
      const handle = table.create('value');
      expect(table.retain(handle)).toBe(handle);
      table.retain(handle);
      table.release(handle);
      table.release(handle);
      settle(table);
      expect(table.get(handle)).toBe('value');
      table.release(handle);
      settle(table);
      refusedEverywhere('HAFT_E_STALE', handle);
      expect(table.stats().live).toBe(0);
    });

    it('one release too many is HAFT_E_STALE at once, and takes nothing from anybody', () => {
      const handle = table.create('value');
      table.release(handle);
      thrown('HAFT_E_STALE', () => table.release(handle));
      thrown('HAFT_E_STALE', () => table.retain(handle));
      thrown('HAFT_E_STALE', () => table.delete(handle));
      settle(table);
      const next = table.create('next');
      thrown('HAFT_E_STALE', () => table.release(handle));
      expect(table.get(next)).toBe('next');
      expect(table.stats().live).toBe(1);
    });

    it(`the ${REFERENCES_MOST}th reference is the last: one more is HAFT_E_OVERFLOW and changes nothing`, () => {
      const handle = table.create('value', undefined);
      for (let references = 1; references < REFERENCES_MOST; references++) table.retain(handle);
      const error = thrown('HAFT_E_OVERFLOW', () => table.retain(handle));
      expect(error.message).toContain(formatHandle(handle));
      thrown('HAFT_E_OVERFLOW', () => table.retain(handle));
      for (let references = REFERENCES_MOST; references > 1; references--) table.release(handle);
      settle(table);
      expect(table.get(handle)).toBe('value');
      table.release(handle);
      thrown('HAFT_E_STALE', () => table.release(handle));
    });

    it('an overflow of an object of a kind leaves the kind alone', () => {
      const handle = table.create(new Counter(), CounterKind);
      for (let references = 1; references < REFERENCES_MOST; references++) table.retain(handle);
      expect(thrown('HAFT_E_OVERFLOW', () => table.retain(handle)).kind).toBe('Counter');
      expect(table.get(handle, CounterKind)).toBeInstanceOf(Counter);
      thrown('HAFT_E_KIND', () => table.get(handle, OtherKind));
    });
  });

  describe('kinds', () => {
    it('get with the right kind gives the object, typed', () => {
      const handle = table.create(new Counter(), CounterKind);
      expect(table.get(handle).add(2)).toBe(2);
      expect(table.get(handle as number, CounterKind).add(2)).toBe(4);
      expect(table.tryGet(handle as number, CounterKind)?.add(1)).toBe(5);
    });

    it('get with another kind is HAFT_E_KIND, and names both', () => {
      const handle = table.create(new Counter(), CounterKind);
      const error = thrown('HAFT_E_KIND', () => table.get(handle as number, OtherKind));
      expect(error.message).toContain('Counter');
      expect(error.message).toContain('Other');
      expect(error.message).toContain(formatHandle(handle));
      expect(error.kind).toBe('Counter');
      expect(table.tryGet(handle as number, OtherKind)).toBeUndefined();
    });

    it('a handle without a kind is of no kind', () => {
      const handle = table.create(new Counter());
      thrown('HAFT_E_KIND', () => table.get(handle as number, CounterKind));
      expect(table.tryGet(handle as number, CounterKind)).toBeUndefined();
    });

    it.each([
      ['undefined', undefined],
      ['null', null],
      ['a number', 1],
      ['a string', 'text'],
    ])('%s cannot be an object of a kind', (_, value) => {
      const error = thrown('HAFT_E_KIND', () => table.create(value as never, CounterKind));
      expect(error.message).toContain('Counter');
      expect(table.stats()).toMatchObject({ live: 0, created: 0 });
    });

    it('an object is not a function', () => {
      thrown('HAFT_E_KIND', () => table.create({} as never, functionKind({ args: ['f64'] })));
    });

    it('what is no kind is HAFT_E_ARGUMENT', () => {
      thrown('HAFT_E_ARGUMENT', () => table.create({}, {} as never));
      thrown('HAFT_E_ARGUMENT', () => table.create({}, null as never));
    });

    it('fn makes a handle of a function, whose kind is its signature', () => {
      const handle = table.fn({ args: ['str', 'f64'], returns: 'bool' }, (text, n) => text.length > n);
      expect(table.get(handle)('abc', 2)).toBe(true);
      const same = functionKind({ args: ['str', 'f64'], returns: 'bool' });
      expect(same.name).toBe('fn(str,f64):bool');
      expect(table.get(handle as number, same)).toBe(table.get(handle));
      thrown('HAFT_E_KIND', () =>
        table.get(handle as number, functionKind({ args: ['str'], returns: 'bool' })),
      );
      thrown('HAFT_E_KIND', () => table.fn({ args: [] }, 'no function' as never));
    });

    it.each(['f64', 'i32', 'u32', 'i64', 'bool', 'handle', 'str', 'bytes'] as const)(
      'fn takes up to 16 arguments: of type %s',
      (type) => {
        const args = Array.from({ length: 16 }, () => type);
        expect(table.has(table.fn({ args, returns: type }, (() => {}) as never))).toBe(true);
        thrown('HAFT_E_ARGUMENT', () => table.fn({ args: [...args, type] }, () => {}));
      },
    );
  });

  describe('intern', () => {
    it('gives one handle for one object, with one more reference each time', () => {
      const object = new Counter();
      const handle = table.intern(object, CounterKind);
      expect(table.intern(object, CounterKind)).toBe(handle);
      expect(table.intern(object)).toBe(handle);
      expect(table.intern(new Counter(), CounterKind)).not.toBe(handle);
      table.release(handle);
      table.release(handle);
      settle(table);
      expect(table.get(handle)).toBe(object);
      table.release(handle);
      settle(table);
      refusedEverywhere('HAFT_E_STALE', handle);
    });

    it('gives a new handle when the old one has ended', () => {
      const object = {};
      const first = table.intern(object);
      table.delete(first);
      const second = table.intern(object);
      expect(second).not.toBe(first);
      expect(table.intern(object)).toBe(second);
      expect(table.get(second)).toBe(object);
    });

    it('P9: the end of the old handle does not take the entry of the new one', () => {
      const object = {};
      const first = table.intern(object);
      table.release(first);
      const second = table.intern(object); // the release may not have been noticed yet
      expect(second).not.toBe(first);
      settle(table);
      expect(table.has(first)).toBe(false);
      expect(table.intern(object)).toBe(second);
      expect(table.stats().live).toBe(1);
    });

    it('with another kind than before is HAFT_E_KIND and adds no reference', () => {
      const object = new Counter();
      const handle = table.intern(object, CounterKind);
      thrown('HAFT_E_KIND', () => table.intern(object as never, OtherKind));
      table.release(handle);
      settle(table);
      expect(table.has(handle)).toBe(false);
    });

    it('a handle of the same object that create made stays apart', () => {
      const object = {};
      const created = table.create(object);
      const interned = table.intern(object);
      expect(interned).not.toBe(created);
      table.delete(created);
      expect(table.intern(object)).toBe(interned);
    });

    it.each([
      ['undefined', undefined],
      ['NaN', Number.NaN],
      ['a string', 'text'],
    ])('%s too', (_, value) => {
      const handle = table.intern(value);
      expect(table.intern(value)).toBe(handle);
      expect(Object.is(table.get(handle), value)).toBe(true);
    });
  });

  describe('publish and find', () => {
    it('a name finds the handle until it is taken back', () => {
      const handle = table.create(new Counter(), CounterKind);
      table.publish('counter', handle);
      expect(table.find('counter')).toBe(handle);
      expect(table.find('counter', CounterKind)).toBe(handle);
      table.unpublish('counter');
      const error = thrown('HAFT_E_NOT_FOUND', () => table.find('counter'));
      expect(error.message).toContain('counter');
      table.unpublish('counter');
      table.unpublish('never published');
    });

    it('a name holds no reference: with the handle it finds nothing', () => {
      const handle = table.create({});
      table.publish('name', handle);
      table.release(handle);
      settle(table);
      thrown('HAFT_E_NOT_FOUND', () => table.find('name'));
      const next = table.create({});
      thrown('HAFT_E_NOT_FOUND', () => table.find('name'));
      table.publish('name', next);
      expect(table.find('name')).toBe(next);
    });

    it('publishing again replaces', () => {
      const [a, b] = [table.create('a'), table.create('b')];
      table.publish('name', a);
      table.publish('name', b);
      expect(table.find('name')).toBe(b);
      expect(table.get(a)).toBe('a');
    });

    it('find with another kind is HAFT_E_KIND', () => {
      table.publish('counter', table.create(new Counter(), CounterKind));
      thrown('HAFT_E_KIND', () => table.find('counter', OtherKind));
    });

    it.each([
      ['empty', ''],
      ['longer than 112 bytes', 'ü'.repeat(57)],
    ])('a name that is %s is HAFT_E_ARGUMENT, over both tables', (_, name) => {
      const handle = table.create({});
      thrown('HAFT_E_ARGUMENT', () => table.publish(name, handle));
      thrown('HAFT_E_NOT_FOUND', () => table.find(name));
    });

    it('a name of 112 bytes is found', () => {
      const handle = table.create({});
      table.publish('ü'.repeat(56), handle);
      expect(table.find('ü'.repeat(56))).toBe(handle);
    });

    it('names that come and go leave no trace: ten thousand of them in turn', () => {
      const handle = table.create({});
      for (let i = 0; i < 10_000; i++) {
        table.publish(`name ${i}`, handle);
        table.unpublish(`name ${i}`);
      }
      table.publish('the last', handle);
      expect(table.find('the last')).toBe(handle);
    });
  });

  describe('misuse', () => {
    it.each(NEVER_HANDLES)('%s is HAFT_E_FORGED everywhere, and changes nothing', (_, value) => {
      table.create('bystander');
      refusedEverywhere('HAFT_E_FORGED', value);
    });

    it('what a handle becomes when it is computed with or cut is HAFT_E_FORGED', () => {
      const handle = table.create('value');
      const bits = BigInt(handle);
      const cut = [
        Number(BigInt.asIntN(32, bits)),
        Number(BigInt.asUintN(32, bits)),
        handle | 0,
        handle >>> 0,
        Math.fround(handle + 2 ** 30),
        handle + 0.5 === handle ? handle / 2 + 0.5 : handle + 0.5,
        -handle,
        handle + 2 ** 52,
        2n ** 64n + bits,
        -bits,
        bits << 1n,
      ];
      for (const value of cut) {
        if (value === handle) continue;
        refusedEverywhere('HAFT_E_FORGED', value);
      }
      expect(table.get(handle)).toBe('value');
    });

    it('one more and one less than a handle is never another object: FORGED, or its own neighbour', () => {
      const [low, middle, high] = [table.create('low'), table.create('middle'), table.create('high')];
      const all = new Set<number>([low, middle, high]);
      for (const handle of [low, middle, high]) {
        for (const near of [handle - 1, handle + 1]) {
          if (!all.has(near)) refusedEverywhere('HAFT_E_FORGED', near);
        }
      }
      expect(table.get(middle)).toBe('middle');
    });

    it('P7: the other generations of a slot were never issued: FORGED, and STALE only what was', () => {
      const handle = table.create('value');
      const generation = 2 ** 26;
      const wrapped = (value: number) => 2 ** 52 + ((((value - 2 ** 52) % 2 ** 52) + 2 ** 52) % 2 ** 52);
      for (const step of [1, 2, 1000, 2 ** 25]) {
        refusedEverywhere('HAFT_E_FORGED', wrapped(handle + step * generation));
      }
      table.delete(handle);
      const next = table.create('next');
      expect(next).toBe(wrapped(handle + generation));
      refusedEverywhere('HAFT_E_STALE', handle);
      refusedEverywhere('HAFT_E_FORGED', wrapped(next + generation));
    });

    it('P7: of 100000 random integers in the range none passes, and hardly one is not FORGED', () => {
      for (let i = 0; i < 1024; i++) table.create(i);
      let other = 0;
      for (let i = 0; i < 100_000; i++) {
        const value = 2 ** 52 + Math.floor(Math.random() * 2 ** 52);
        if (table.has(value)) expect.fail(`${value} is a handle`);
        try {
          table.get(value as Handle);
        } catch (error) {
          if ((error as HaftError).code !== 'HAFT_E_FORGED') other++;
        }
      }
      expect(other).toBeLessThan(2);
    });

    it('a handle of another table is refused', () => {
      const other = open();
      const foreign = other.create('foreign');
      table.create('own');
      refusedEverywhere(table instanceof Registry ? 'HAFT_E_REALM' : 'HAFT_E_FORGED', foreign);
      expect(other.get(foreign)).toBe('foreign');
      other.close();
    });

    it('an error says block:slot@generation, the kind where there is one, and the next step', () => {
      const handle = table.create(new Counter(), CounterKind);
      table.delete(handle);
      const error = thrown('HAFT_E_STALE', () => table.get(handle));
      const index = handle % 2 ** 26;
      const place = `${Math.floor(index / 1024)}:${index % 1024}@${Math.floor((handle - 2 ** 52) / 2 ** 26)}`;
      expect(error.message).toContain(`handle ${place}`);
      expect(formatHandle(handle)).toBe(place);
      expect(error.handle).toBe(handle);
      expect(error.message).toMatch(
        /^HAFT_E_STALE: the handle's object was released or deleted \[handle .*\]; retain /,
      );
    });

    it.each([
      [0, '0'],
      [-1, '-1'],
      [Number.NaN, 'NaN'],
      [1.5, '1.5'],
      [2n ** 64n, '18446744073709551616n'],
      ['text', 'text'],
      [undefined, 'undefined'],
      [null, 'null'],
      [Symbol('s'), 'Symbol(s)'],
      [2 ** 52, '0:0@0'],
      [2 ** 53 - 1, '65535:1023@67108863'],
    ])('formatHandle shows a value that is no handle as itself: %s', (value, text) => {
      expect(formatHandle(value)).toBe(text);
    });

    it.each([
      ['an object without a prototype', Object.create(null)],
      [
        'an object whose toString throws',
        {
          toString: () => {
            throw new RangeError('mine');
          },
        },
      ],
    ])('%s is HAFT_E_FORGED too, not an error of its own', (_, value) => {
      refusedEverywhere('HAFT_E_FORGED', value);
    });

    it('after every misuse the free list is whole: all slots are given out once', () => {
      const handles = Array.from({ length: 600 }, (_, i) => table.create(i));
      const ended = handles.splice(100, 400);
      for (const handle of ended) {
        table.release(handle);
        for (const [, use] of uses(handle).slice(2, 5)) thrown('HAFT_E_STALE', use);
      }
      settle(table);
      for (const handle of ended) for (const [, use] of uses(handle)) thrown('HAFT_E_STALE', use);
      for (const [, value] of NEVER_HANDLES) {
        for (const [, use] of uses(value as Handle)) thrown('HAFT_E_FORGED', use);
      }
      const { slots, live } = table.stats();
      const more = Array.from({ length: slots - live }, (_, i) => table.create(i));
      expect(table.stats()).toMatchObject({ slots, live: slots });
      const indexes = new Set([...handles, ...more].map((handle) => handle % 2 ** 26));
      expect(indexes.size).toBe(slots);
    });
  });

  describe('close', () => {
    it('ends every handle: all that follows is HAFT_E_CLOSED', () => {
      const handle = table.create({});
      const deleted = table.create({});
      table.delete(deleted);
      table.publish('name', handle);
      table.intern({});
      table.close();
      refusedEverywhere('HAFT_E_CLOSED', handle);
      refusedEverywhere('HAFT_E_CLOSED', deleted);
      thrown('HAFT_E_CLOSED', () => table.create({}));
      thrown('HAFT_E_CLOSED', () => table.create(new Counter(), CounterKind));
      thrown('HAFT_E_CLOSED', () => table.intern({}));
      thrown('HAFT_E_CLOSED', () => table.fn({}, () => {}));
      thrown('HAFT_E_CLOSED', () => table.find('name'));
      expect(table.stats()).toMatchObject({ live: 0 });
      table.unpublish('name');
    });

    it('what never was a handle is refused after the end as well', () => {
      table.close();
      for (const [, value] of NEVER_HANDLES) expect(() => table.get(value as Handle)).toThrow(HaftError);
    });

    it('is idempotent, and lets the objects go', async () => {
      const weak = new WeakRef(table.get(table.create({})) as object);
      table.close();
      table.close();
      await new Promise((resolve) => setTimeout(resolve));
      globalThis.gc!();
      expect(weak.deref()).toBeUndefined();
    });

    it('`using` closes at the end of its block, also when it throws', () => {
      let seen: Table;
      const handles: Handle[] = [];
      {
        using inner = open();
        seen = inner;
        handles.push(inner.create('value'));
      }
      thrown('HAFT_E_CLOSED', () => seen.get(handles[0]!));
      expect(() => {
        using inner = open();
        seen = inner;
        throw new RangeError('mine');
      }).toThrow('mine');
      thrown('HAFT_E_CLOSED', () => seen.create({}));
    });
  });
});

describe('HandleTable', () => {
  it('P6: no value is the handle of a free slot, not even of slot 0 of block 0', async () => {
    // Blocks are numbered from a random base: here from 0, so that 0 is an index that the table has.
    const source = `
      import assert from 'node:assert/strict';
      import crypto from 'node:crypto';
      import { syncBuiltinESMExports } from 'node:module';
      crypto.randomBytes = (n) => Buffer.alloc(n);
      syncBuiltinESMExports();
      const { HandleTable } = await import('haft');
      const table = new HandleTable();
      const first = table.create('first');
      assert.equal(first % 2 ** 26, 0);
      for (const free of [true, false]) {
        if (free) table.delete(first);
        else assert.equal(table.create('again') % 2 ** 26, 0);
        for (const value of [0, -0, 0n, NaN, 2 ** 26, -1, 1, undefined, null, '']) {
          assert.equal(table.has(value), false);
          for (const use of ['get', 'delete', 'retain', 'release']) {
            assert.throws(() => table[use](value), { code: 'HAFT_E_FORGED' });
          }
        }
      }
    `;
    expectExit(await script(source));
  });

  it.each([0, -1, 27, 1.5, Number.NaN, '2'])('refuses generationBits %s', (generationBits) => {
    const error = thrown(
      'HAFT_E_ARGUMENT',
      () => new HandleTable({ generationBits: generationBits as number }),
    );
    expect(error.message).toContain('generationBits');
  });

  it.each([0, -1, 65537, 1.5, Number.NaN])('refuses maxBlocks %s', (maxBlocks) => {
    expect(thrown('HAFT_E_ARGUMENT', () => new HandleTable({ maxBlocks })).message).toContain('maxBlocks');
  });
});

describe('kind', () => {
  class Sample {
    field = 1;
    method() {}
    other(_n: number) {}
    get computed() {
      return 1;
    }
  }
  const define = (ops: unknown, options?: { name?: string }) => kind(Sample, ops as never, options);

  it.each<[string, unknown, string]>([
    ['an unknown type of argument', { other: { args: ['float'] } }, 'float'],
    ['an unknown type of result', { method: { returns: 'number' } }, 'number'],
    ['a name of Object.prototype as type', { method: { returns: 'constructor' } }, 'constructor'],
    ['a void argument', { other: { args: ['void'] } }, 'other'],
    ['17 arguments', { other: { args: Array.from({ length: 17 }, () => 'f64') } }, '16'],
    ['what is no method', { constructor: {}, toString: {}, computed: {} }, 'computed'],
    ['an empty name of an op', { '': {} }, 'name'],
    ['a NUL in the name of an op', { 'a\0b': {} }, 'NUL'],
  ])('refuses %s, and says what', (_, ops, text) => {
    const error = thrown('HAFT_E_ARGUMENT', () => define(ops));
    expect(error.message).toContain(text);
    expect(error.kind).toBe('Sample');
  });

  it.each([
    ['an empty name', ''],
    ['161 bytes', 'x'.repeat(161)],
    ['a NUL', 'a\0b'],
  ])('refuses a name of %s', (_, name) => {
    thrown('HAFT_E_ARGUMENT', () => define({ method: {} }, { name }));
  });

  it('a fingerprint tells other names, types and orders apart, and nothing else', () => {
    const prints = [
      define({ method: {}, other: { args: ['f64'] } }),
      define({ other: { args: ['f64'] }, method: {} }),
      define({ method: {}, other: { args: ['i32'] } }),
      define({ method: { returns: 'f64' }, other: { args: ['f64'] } }),
      define({ method: {} }),
    ].map(({ fingerprint }) => fingerprint);
    expect(new Set(prints).size).toBe(prints.length);
    expect(define({ method: { args: [], returns: 'void' }, other: { args: ['f64'] } }).fingerprint).toBe(
      prints[0],
    );
    expect(prints.every((print) => print > 0n && print < 2n ** 64n)).toBe(true);
  });

  it('tells the position of an op, its number in C', () => {
    const made = kind(Sample, { other: { args: ['f64'] }, method: {} });
    expect([made.position('other'), made.position('method')]).toEqual([0, 1]);
  });
});
