// Handles from elsewhere: of an earlier run, of a second copy of the package, of another registry or table. And
// registries side by side.
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Handle, HandleTable, kind, Registry } from 'haft';
import { describe, expect, it } from 'vitest';
import { built, expectExit, root, script } from './support/child.js';
import { thrown } from './support/tables.js';

const refused = (table: HandleTable | Registry, handle: number, codes: string[]) => {
  expect(table.has(handle)).toBe(false);
  expect(table.tryGet(handle as Handle)).toBeUndefined();
  for (const use of ['get', 'delete', 'retain', 'release'] as const) {
    try {
      (table[use] as (value: number) => unknown).call(table, handle);
      expect.fail(`${use} took it`);
    } catch (error) {
      expect(codes).toContain((error as { code: string }).code);
    }
  }
};

describe('P7: a handle of an earlier run', () => {
  it.each(['HandleTable', 'Registry'])('is refused by a %s', async (sort) => {
    const source = `
      import { ${sort} } from 'haft';
      const table = new ${sort}();
      console.log(JSON.stringify(Array.from({ length: 2000 }, (_, i) => table.create(i))));
    `;
    const runs = await Promise.all([script(source), script(source)]);
    const [first, second] = runs.map((ended) => JSON.parse(expectExit(ended).stdout) as number[]);
    using table = sort === 'Registry' ? new Registry() : new HandleTable();
    const own = Array.from({ length: 2000 }, (_, i) => table.create(i));
    for (const handle of [...first!, ...second!]) refused(table, handle, ['HAFT_E_FORGED', 'HAFT_E_STALE']);
    expect(first!.filter((handle) => second!.includes(handle))).toEqual([]);
    expect(table.stats().live).toBe(own.length);
  });
});

describe('a second copy of the package', () => {
  it('has handles, a realm and errors of its own: they are told apart by code', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'haft-copy-'));
    try {
      mkdirSync(join(folder, 'build', 'Release'), { recursive: true });
      for (const name of ['package.json', 'dist'])
        cpSync(join(root, name), join(folder, name), { recursive: true });
      cpSync(built('haft.node'), join(folder, 'build', 'Release', 'haft.node'));
      symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
      const source = `
        import assert from 'node:assert/strict';
        import * as one from 'haft';
        const two = await import(${JSON.stringify(`file://${folder}/dist/index.js`)});
        assert.notEqual(one.Registry, two.Registry);
        const [a, b] = [new one.Registry(), new two.Registry()];
        const [h, g] = [a.create('of a'), b.create('of b')];
        for (const [mine, other] of [[a, g], [b, h]]) {
          for (const use of ['get', 'delete', 'retain', 'release']) {
            assert.throws(() => mine[use](other), (error) => ['HAFT_E_FORGED', 'HAFT_E_REALM'].includes(error.code));
          }
          assert.equal(mine.has(other), false);
        }
        try { b.get(0); } catch (error) {
          assert.equal(error.code, 'HAFT_E_FORGED');
          assert(error instanceof two.HaftError && !(error instanceof one.HaftError));
        }
        assert.equal(a.get(h) + b.get(g), 'of aof b');
        b.close();
        assert.equal(a.get(h), 'of a');
        const { runHost } = one;
        assert.equal(await runHost(${JSON.stringify(built('run.so'))}, a, ['3']), 3);
      `;
      expectExit(await script(source));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('of the kinds: a kind that another copy made is HAFT_E_ARGUMENT, not a guess', () => {
    using table = new HandleTable();
    class Thing {
      touch() {}
    }
    const made = kind(Thing, { touch: {} });
    const copied = Object.assign(Object.create(null), made);
    thrown('HAFT_E_ARGUMENT', () => table.create(new Thing(), copied));
  });
});

describe('two registries', () => {
  it('have the same kinds and different handles; each refuses the other’s with HAFT_E_REALM', () => {
    class Thing {
      touch() {}
    }
    const ThingKind = kind(Thing, { touch: {} });
    using a = new Registry();
    using b = new Registry();
    const [h, g] = [a.create(new Thing(), ThingKind), b.create(new Thing(), ThingKind)];
    expect(a.id).not.toBe(b.id);
    expect(h).not.toBe(g);
    refused(a, g, ['HAFT_E_REALM']);
    refused(b, h, ['HAFT_E_REALM']);
    expect(thrown('HAFT_E_REALM', () => a.get(g)).message).toMatch(/\[handle \d+:\d+@\d+/);
    const deleted = a.create({});
    a.delete(deleted);
    refused(b, deleted, ['HAFT_E_STALE', 'HAFT_E_REALM']);
    expect(a.get(h, ThingKind)).toBeInstanceOf(Thing);
    expect(b.get(g, ThingKind)).toBeInstanceOf(Thing);
  });

  it('a handle of a closed registry is HAFT_E_CLOSED to the others', () => {
    using a = new Registry();
    const b = new Registry();
    const handle = b.create({});
    b.close();
    refused(a, handle, ['HAFT_E_CLOSED']);
  });

  it('a Registry’s handle is forged to a HandleTable, and the other way round', () => {
    using registry = new Registry();
    using table = new HandleTable();
    refused(table, registry.create({}), ['HAFT_E_FORGED']);
    refused(registry, table.create({}), ['HAFT_E_FORGED', 'HAFT_E_STALE', 'HAFT_E_CLOSED']);
  });

  it('128 can be open at one time: one more is HAFT_E_SLOTS, and works after a close', () => {
    const open: Registry[] = [];
    try {
      for (;;) {
        if (open.length > 200) expect.fail('no end');
        open.push(new Registry());
      }
    } catch (error) {
      expect((error as { code: string }).code).toBe('HAFT_E_SLOTS');
    }
    expect(open.length).toBe(128);
    expect(new Set(open.map(({ id }) => id)).size).toBe(128);
    const handles = open.map((registry, i) => registry.create(i));
    thrown('HAFT_E_SLOTS', () => new Registry());
    open[60]!.close();
    const next = new Registry();
    expect(open.some(({ id }) => id === next.id)).toBe(false); // a realm's id is never used again
    refused(next, handles[60]!, ['HAFT_E_CLOSED', 'HAFT_E_STALE']);
    handles.forEach((handle, i) => {
      if (i !== 60) expect(open[i]!.get(handle)).toBe(i);
    });
    for (const registry of [...open, next]) registry.close();
  });
});

describe('the event loop', () => {
  it('is not kept alive by an open registry; ref keeps it, unref lets it go, and they count', async () => {
    const source = (more: string) => `
      import { Registry } from 'haft';
      const registry = new Registry();
      registry.create({});
      process.on('exit', () => console.log('end'));
      ${more}
    `;
    const quick = await Promise.all(
      [
        '',
        'registry.ref().unref();',
        'registry.unref().unref();',
        'registry.ref(); registry.close();',
        'registry.ref().ref().unref(); setTimeout(() => registry.unref(), 20);',
      ].map((more) => script(source(more))),
    );
    for (const ended of quick) expect(expectExit(ended).stdout).toBe('end\n');
    const kept = await script(
      source(
        "registry.ref().ref().unref(); console.log('kept'); setTimeout(() => { console.log('still'); process.exit(3); }, 300).unref();",
      ),
    );
    expect(expectExit(kept, 3).stdout).toBe('kept\nstill\nend\n');
  });
});

describe('the addon', () => {
  it('that is not there: one message that lists what was tried; HandleTable works without', async () => {
    const source = `
      import assert from 'node:assert/strict';
      import { HandleTable, Registry } from 'haft';
      const table = new HandleTable();
      assert.equal(table.get(table.create(1)), 1);
      assert.throws(() => new Registry(), (error) => error.code === 'HAFT_E_UNSUPPORTED' &&
        error.message.includes('not-there.node') && error.message.includes('npm run build'));
    `;
    expectExit(await script(source, [], { env: { HAFT_ADDON: join(root, 'not-there.node') } }));
  });

  it('that is no addon is refused the same way', async () => {
    const source = `
      import assert from 'node:assert/strict';
      import { Registry } from 'haft';
      assert.throws(() => new Registry(), { code: 'HAFT_E_UNSUPPORTED' });
    `;
    expectExit(await script(source, [], { env: { HAFT_ADDON: join(root, 'package.json') } }));
  });
});
