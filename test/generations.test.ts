// A slot counts its uses. What happens when it has counted to the end, when a table is full, and when a realm closes
// and another one takes its slots: no handle that has ended is ever valid again.
import { type HaftError, type Handle, HandleTable } from 'haft';
import { describe, expect, it } from 'vitest';
import { built, expectExit, script } from './support/child.js';
import { thrown } from './support/tables.js';

const SLOTS = 1024;
const codeOf = (act: () => unknown) => {
  try {
    act();
    return 'HAFT_OK';
  } catch (error) {
    return (error as HaftError).code;
  }
};

describe('HandleTable with few generations and one block', () => {
  it('is full at 1024 handles: HAFT_E_SLOTS changes nothing, and one delete makes room for one', () => {
    using table = new HandleTable({ maxBlocks: 1 });
    const handles = Array.from({ length: SLOTS }, (_, i) => table.create(i));
    for (let i = 0; i < 3; i++) thrown('HAFT_E_SLOTS', () => table.create('one more'));
    thrown('HAFT_E_SLOTS', () => table.intern({}));
    thrown('HAFT_E_SLOTS', () => table.fn({}, () => {}));
    expect(table.stats()).toEqual({ live: SLOTS, created: SLOTS, retired: 0, slots: SLOTS });
    handles.forEach((handle, i) => {
      expect(table.get(handle)).toBe(i);
    });
    table.delete(handles[17]!);
    const next = table.create('next');
    thrown('HAFT_E_SLOTS', () => table.create('one more'));
    expect(table.get(next)).toBe('next');
    table.release(handles[900]!);
    expect(table.get(table.create('again'))).toBe('again');
  });

  it.each([1, 2, 3, 5])(
    '%i bits: every handle is given out once, then its slot retires, and all stay STALE',
    (bits) => {
      using table = new HandleTable({ generationBits: bits, maxBlocks: 1 });
      const all = new Set<Handle>();
      const generations = 2 ** bits;
      for (let i = 0; i < SLOTS * generations; i++) {
        const handle = table.create(i);
        expect(all.has(handle)).toBe(false);
        all.add(handle);
        if (i % 2) table.delete(handle);
        else table.release(handle);
      }
      expect(table.stats()).toEqual({ live: 0, created: SLOTS * generations, retired: SLOTS, slots: SLOTS });
      thrown('HAFT_E_SLOTS', () => table.create('one more'));
      for (const handle of all) {
        if (table.has(handle) || table.tryGet(handle) !== undefined) expect.fail(`${handle} is valid again`);
        expect(codeOf(() => table.get(handle))).toBe('HAFT_E_STALE');
      }
    },
  );

  it('a slot retires at the end of its last generation and not before', () => {
    using table = new HandleTable({ generationBits: 2, maxBlocks: 1 });
    const busy = Array.from({ length: SLOTS - 1 }, (_, i) => table.create(i));
    const ended: Handle[] = [];
    for (let use = 1; use <= 4; use++) {
      expect(table.stats().retired).toBe(0);
      const handle = table.create(use);
      for (const old of ended) expect(codeOf(() => table.get(old))).toBe('HAFT_E_STALE');
      table.delete(handle);
      ended.push(handle);
    }
    expect(table.stats().retired).toBe(1);
    thrown('HAFT_E_SLOTS', () => table.create('one more'));
    busy.forEach((handle, i) => {
      expect(table.get(handle)).toBe(i);
    });
  });

  it('a retired slot takes no part in misuse', () => {
    using table = new HandleTable({ generationBits: 1, maxBlocks: 1 });
    const handles = Array.from({ length: SLOTS * 2 }, (_, i) => {
      const handle = table.create(i);
      table.delete(handle);
      return handle;
    });
    const before = table.stats();
    for (const handle of handles) {
      for (const act of ['get', 'delete', 'retain', 'release'] as const) {
        expect(codeOf(() => (table[act] as (h: number) => unknown).call(table, handle))).toBe('HAFT_E_STALE');
      }
    }
    expect(table.stats()).toEqual(before);
  });
});

// The addon with 2 bits of generation and 4 blocks for the whole process.
const small = async (source: string) => {
  const prelude = `
    import assert from 'node:assert/strict';
    import { HaftError, kind, Registry } from 'haft';
    const SLOTS = 4096;
    const codeOf = (act) => { try { act(); return 'HAFT_OK'; } catch (error) { return error.code ?? error; } };
  `;
  return expectExit(await script(prelude + source, [], { env: { HAFT_ADDON: built('haft_small.node') } }));
};

describe('Registry with few generations and four blocks', () => {
  it('is full at 4096 handles: HAFT_E_SLOTS, and recovers after delete, and after release without a drain (P4)', () =>
    small(`
      const registry = new Registry();
      const handles = Array.from({ length: SLOTS }, (_, i) => registry.create(i));
      for (let i = 0; i < 3; i++) assert.equal(codeOf(() => registry.create('more')), 'HAFT_E_SLOTS');
      const { live, created, retired, slots, delivered, gone } = registry.stats();
      assert.deepEqual({ live, created, retired, slots, delivered, gone },
        { live: SLOTS, created: SLOTS, retired: 0, slots: SLOTS, delivered: 0, gone: 0 });
      handles.forEach((handle, i) => assert.equal(registry.get(handle), i));
      registry.delete(handles[5]);
      handles[5] = registry.create('five');
      assert.equal(codeOf(() => registry.create('more')), 'HAFT_E_SLOTS');
      for (const i of [0, 1, 2, 1023, 4095]) registry.release(handles[i]);
      for (const i of [0, 1, 2, 1023, 4095]) handles[i] = registry.create('again');
      assert.equal(codeOf(() => registry.create('more')), 'HAFT_E_SLOTS');
      assert.equal(new Set(handles).size, SLOTS);
      for (const handle of handles) registry.get(handle);
    `));

  it('P7: every handle is given out once over all generations, then all slots are retired and counted', () =>
    small(`
      const registry = new Registry();
      const all = new Set();
      for (let i = 0; ; i++) {
        let handle;
        try {
          handle = registry.create(i);
        } catch (error) {
          assert.equal(error.code, 'HAFT_E_SLOTS');
          break;
        }
        assert(!all.has(handle), 'given out twice');
        all.add(handle);
        if (i % 3 === 0) registry.release(handle);
        else registry.delete(handle);
      }
      assert.equal(all.size, SLOTS * 4);
      const { live, created, retired, slots } = registry.stats();
      assert.deepEqual({ live, created, retired, slots }, { live: 0, created: SLOTS * 4, retired: SLOTS, slots: SLOTS });
      for (const handle of all) {
        assert.equal(registry.has(handle), false);
        assert.equal(codeOf(() => registry.get(handle)), 'HAFT_E_STALE');
        assert.equal(codeOf(() => registry.release(handle)), 'HAFT_E_STALE');
      }
    `));

  it('P24: handles of a closed registry are CLOSED to another, STALE once their slot is used again, and never OK', () =>
    small(`
      const watch = new Registry();
      const own = watch.create('own');
      let registry = new Registry();
      const old = Array.from({ length: SLOTS - 1024 }, (_, i) => registry.create(i));
      assert.equal(codeOf(() => watch.get(old[0])), 'HAFT_E_REALM');
      assert.equal(codeOf(() => registry.create('more')), 'HAFT_E_SLOTS');
      registry.close();
      for (const handle of old) {
        assert.equal(codeOf(() => watch.get(handle)), 'HAFT_E_CLOSED');
        assert.equal(watch.has(handle), false);
      }
      registry = new Registry();
      const fresh = new Set(Array.from({ length: SLOTS - 1024 }, (_, i) => registry.create(i)));
      for (const handle of old) {
        assert(!fresh.has(handle));
        assert.equal(codeOf(() => registry.get(handle)), 'HAFT_E_STALE');
        assert.equal(codeOf(() => registry.release(handle)), 'HAFT_E_STALE');
        assert.equal(codeOf(() => watch.get(handle)), 'HAFT_E_STALE');
        assert.equal(registry.has(handle), false);
      }
      assert.equal(watch.get(own), 'own');
    `));

  it('P23: closing and opening advances the generations until every slot is retired; no handle comes twice', () =>
    small(`
      const all = new Set();
      let rounds = 0;
      for (;;) {
        const registry = new Registry();
        const handles = [];
        try {
          for (;;) handles.push(registry.create(handles.length));
        } catch (error) {
          assert.equal(error.code, 'HAFT_E_SLOTS');
        }
        for (const handle of handles) {
          assert(!all.has(handle), 'given out twice');
          all.add(handle);
        }
        for (const handle of all) {
          if (!handles.length) assert.equal(codeOf(() => registry.get(handle)), 'HAFT_E_STALE');
        }
        registry.close();
        rounds++;
        if (handles.length === 0) break;
        assert.equal(handles.length, SLOTS);
        assert(rounds < 10);
      }
      assert.equal(rounds, 5);
      assert.equal(all.size, SLOTS * 4);
    `));

  it('P23: only slots in use advance at the end of a registry: opening and closing often uses up no others', () =>
    small(`
      for (let i = 0; i < 300; i++) {
        const registry = new Registry();
        registry.create(i);
        registry.close();
      }
      const registry = new Registry();
      let created = 0;
      try {
        for (;;) {
          registry.create(0);
          created++;
        }
      } catch (error) {
        assert.equal(error.code, 'HAFT_E_SLOTS');
      }
      assert(created >= SLOTS - 300 && created < SLOTS, String(created));
    `));
});
