// Who ends a handle: owned handles, scopes, transfer to native code, and labels of references; over both tables where both
// have it.
import { type Handle, HandleTable, kind, Registry } from 'haft';
import { describe, expect, it } from 'vitest';
import { TABLES, thrown } from './support/tables.js';

class Row {
  visits = 0;
  visit(): number {
    return ++this.visits;
  }
}
const RowKind = kind(Row, { visit: { returns: 'f64' } });

describe.each(TABLES)('an owned handle of a %s', (_, { open }) => {
  it('ends with its block', () => {
    const table = open();
    const row = new Row();
    let handle: Handle;
    {
      using owned = table.own(row, RowKind);
      handle = owned.handle;
      expect(owned.value).toBe(row);
      expect(table.get(handle, RowKind)).toBe(row);
    }
    thrown('HAFT_E_STALE', () => table.get(handle));
    expect(table.stats().live).toBe(0);
  });

  it('ends when an exception leaves the block', () => {
    const table = open();
    expect(() => {
      using owned = table.own('x');
      throw new Error(owned.value);
    }).toThrow('x');
    expect(table.stats().live).toBe(0);
  });

  it('ends with the scope that owns it, the latest first, and once', () => {
    const table = open();
    const scope = table.scope();
    const first = scope.own(table.own('first'));
    const second = scope.own(table.create('second'));
    scope.own(first);
    scope.own(second);
    scope.end();
    expect(table.stats().live).toBe(0);
    scope.end();
    first[Symbol.dispose]();
  });

  it('is owned by a scope as its number, and nothing else is that has no end', () => {
    const table = open();
    const scope = table.scope();
    const handle = scope.own(table.create('x'));
    for (const none of [BigInt(handle), undefined, null, {}, 'x'])
      thrown('HAFT_E_ARGUMENT', () => scope.own(none as never));
    scope.end();
    expect(table.stats().live).toBe(0);
  });

  it('may have ended before', () => {
    const table = open();
    const owned = table.own('x');
    table.delete(owned.handle);
    owned[Symbol.dispose]();
    thrown('HAFT_E_STALE', () => owned.value);
    const other = table.own('y');
    table.close();
    other[Symbol.dispose]();
  });

  it('takes any value, and refuses what create refuses', () => {
    const table = open();
    using owned = table.own(undefined);
    expect(owned.value).toBe(undefined);
    thrown('HAFT_E_KIND', () => table.own(1 as unknown as Row, RowKind));
    expect(table.stats().live).toBe(1);
  });
});

describe.each(TABLES)('transfer of a handle of a %s', (_, { open, settle }) => {
  it('lets an owned handle live on', () => {
    const table = open();
    let handle: Handle<Row>;
    {
      using owned = table.own(new Row(), RowKind);
      handle = owned.transfer();
      expect(handle).toBe(owned.handle);
      thrown('HAFT_E_OWNER', () => owned.transfer());
    }
    expect(table.has(handle)).toBe(true);
    table.release(handle); // as native code does
    settle(table);
    expect(table.stats().live).toBe(0);
  });

  it('takes a handle out of every scope that owns it', () => {
    const table = open();
    const [one, two] = [table.scope(), table.scope()];
    const owned = table.own('x');
    one.own(owned.handle);
    two.own(owned.handle);
    two.own(owned);
    const kept = table.create('y');
    one.own(kept);
    expect(table.transfer(owned.handle)).toBe(owned.handle);
    one.end();
    two.end();
    expect(table.has(owned.handle)).toBe(true);
    expect(table.has(kept)).toBe(false);
  });

  it('can be owned anew', () => {
    const table = open();
    const scope = table.scope();
    const handle = scope.own(table.create('x'));
    table.transfer(handle);
    scope.own(handle);
    scope.end();
    expect(table.has(handle)).toBe(false);
  });

  it('refuses what is no handle', () => {
    const table = open();
    const handle = table.create('x');
    table.delete(handle);
    thrown('HAFT_E_STALE', () => table.transfer(handle));
    thrown('HAFT_E_FORGED', () => table.transfer(7 as Handle));
  });
});

it('a scope leaves a handle alone whose last reference native code has released, and the drain has not seen', () => {
  const registry = new Registry();
  const scope = registry.scope();
  const handle = scope.own(registry.create('x'));
  registry.release(handle);
  scope.end();
  registry.drain();
  expect(registry.stats().live).toBe(0);
});

describe('a label', () => {
  it('says what a reference is for, and is given back with it', () => {
    const registry = new Registry();
    const handle = registry.create(new Row(), RowKind);
    expect(registry.retainAs(handle, 'connection')).toBe(handle);
    registry.retainAs(handle, 'connection');
    registry.retainAs(handle, 'überfluß');
    registry.releaseAs(handle, 'überfluß');
    const error = thrown('HAFT_E_OWNER', () => registry.releaseAs(handle, 'überfluß'));
    expect(error.message).toContain('"überfluß"');
    expect(error.rule).toBe(3);
    registry.releaseAs(handle, 'connection');
    registry.releaseAs(handle, 'connection');
    thrown('HAFT_E_OWNER', () => registry.releaseAs(handle, 'connection'));
    expect(registry.has(handle)).toBe(true);
    registry.release(handle);
    registry.drain();
    thrown('HAFT_E_STALE', () => registry.retainAs(handle, 'connection'));
    thrown('HAFT_E_STALE', () => registry.releaseAs(handle, 'connection'));
  });

  it('is text of 1 to 63 bytes', () => {
    const registry = new Registry();
    const handle = registry.create('x');
    for (const label of ['', 'x'.repeat(64), 'é'.repeat(32), 'a\0b', 7 as unknown as string]) {
      thrown('HAFT_E_ARGUMENT', () => registry.retainAs(handle, label));
      thrown('HAFT_E_ARGUMENT', () => registry.releaseAs(handle, label));
    }
    registry.retainAs(handle, 'x'.repeat(63));
    registry.releaseAs(handle, 'x'.repeat(63));
  });

  it('ends with its handle, whoever ends it', async () => {
    const registry = new Registry();
    for (let i = 0; i < 5000; i++) {
      const handle = registry.create(i);
      registry.retainAs(handle, `number ${i % 7}`);
      if (i % 2 === 0) {
        registry.delete(handle);
      } else {
        registry.releaseAs(handle, `number ${i % 7}`);
        registry.retainAs(handle, 'last');
        registry.release(handle);
        registry.releaseAs(handle, 'last');
      }
    }
    registry.drain();
    await registry.collect();
    expect(registry.stats().live).toBe(0);
    const handle = registry.create('x'); // a slot that had labels in its earlier lives
    thrown('HAFT_E_OWNER', () => registry.releaseAs(handle, 'last'));
  });
});

it('a HandleTable and a Registry own alike', () => {
  expect(Object.keys(new HandleTable().own(1))).toEqual(Object.keys(new Registry().own(1)));
});
