// Both tables against the plainest model there is: a Map from handle to value and references. fast-check makes up
// sequences of commands; a failure prints its seed and the shortest sequence.
import fc from 'fast-check';
import { type ErrorCode, HaftError, type Handle, kind, Registry } from 'haft';
import { describe, expect, it } from 'vitest';
import { type Sort, TABLES, type Table } from './support/tables.js';

const SEED = Number(process.env.HAFT_SEED ?? 20260101);
const RUNS = Number(process.env.HAFT_RUNS ?? 150);

class Thing {
  touch() {}
}
class Another {
  touch() {}
}
const ThingKind = kind(Thing, { touch: {} });
const AnotherKind = kind(Another, { touch: {} });
const KINDS = [undefined, ThingKind, AnotherKind];

interface Entry {
  value: unknown;
  references: number;
  kind: (typeof KINDS)[number];
}

/** What the table should be: live handles, ended ones, what was interned, and names. */
class Model {
  live = new Map<number, Entry>();
  ended: number[] = [];
  interned = new Map<unknown, number>();
  names = new Map<string, number>();
  created = 0;
}

interface Real {
  table: Table;
  sort: Sort;
}

const pick = <T>(items: Iterable<T>, n: number): T | undefined => {
  const all = [...items];
  return all.length === 0 ? undefined : all[n % all.length];
};

const outcome = (act: () => unknown): unknown => {
  try {
    return act();
  } catch (error) {
    if (error instanceof HaftError) return error.code;
    throw error;
  }
};

const POOL = Array.from({ length: 4 }, () => new Thing());

abstract class Command implements fc.Command<Model, Real> {
  constructor(
    readonly name: string,
    readonly n: number,
    readonly m = 0,
  ) {}
  check = () => true;
  abstract run(model: Model, real: Real): void;
  toString = () => `${this.name}(${this.n}, ${this.m})`;

  protected add(model: Model, handle: Handle, entry: Entry) {
    expect(model.live.has(handle)).toBe(false);
    expect(model.ended.includes(handle)).toBe(false);
    model.live.set(handle, entry);
    model.created++;
  }
  protected end(model: Model, { sort, table }: Real, handle: number) {
    model.live.delete(handle);
    model.ended.push(handle);
    sort.settle(table);
  }
}

class Create extends Command {
  run(model: Model, { table }: Real) {
    const chosen = KINDS[this.m % 3];
    const value = chosen
      ? new (chosen === ThingKind ? Thing : Another)()
      : this.n % 5 === 0
        ? undefined
        : this.n;
    this.add(model, table.create(value as Thing, chosen), { value, references: 1, kind: chosen });
  }
}

class Get extends Command {
  run(model: Model, { table }: Real) {
    const handle = pick(model.live.keys(), this.n);
    if (handle === undefined) return;
    const entry = model.live.get(handle)!;
    expect(table.get(handle as Handle)).toBe(entry.value);
    const asked = KINDS[1 + (this.m % 2)]!;
    const got = outcome(() => table.get(handle, asked));
    expect(got).toBe(asked === entry.kind ? entry.value : 'HAFT_E_KIND');
    expect(table.tryGet(handle, asked)).toBe(asked === entry.kind ? entry.value : undefined);
  }
}

class Delete extends Command {
  run(model: Model, real: Real) {
    const handle = pick(model.live.keys(), this.n);
    if (handle === undefined) return;
    real.table.delete(handle);
    this.end(model, real, handle);
  }
}

class Retain extends Command {
  run(model: Model, { table }: Real) {
    const handle = pick(model.live.keys(), this.n);
    if (handle === undefined) return;
    table.retain(handle);
    model.live.get(handle)!.references++;
  }
}

class Release extends Command {
  run(model: Model, real: Real) {
    const handle = pick(model.live.keys(), this.n);
    if (handle === undefined) return;
    real.table.release(handle);
    if (--model.live.get(handle)!.references === 0) this.end(model, real, handle);
  }
}

class Intern extends Command {
  run(model: Model, { table }: Real) {
    const value = POOL[this.n % POOL.length]!;
    const handle = table.intern(value, ThingKind);
    const known = model.interned.get(value);
    if (known !== undefined && model.live.has(known)) {
      expect(handle).toBe(known);
      model.live.get(known)!.references++;
      return;
    }
    this.add(model, handle, { value, references: 1, kind: ThingKind });
    model.interned.set(value, handle);
  }
}

class Publish extends Command {
  run(model: Model, { table }: Real) {
    const name = `name ${this.m % 4}`;
    const handle = pick(model.live.keys(), this.n);
    if (handle === undefined || this.n % 7 === 0) {
      table.unpublish(name);
      model.names.delete(name);
      return;
    }
    table.publish(name, handle);
    model.names.set(name, handle);
  }
}

class Misuse extends Command {
  run(model: Model, { table }: Real) {
    const ended = pick(model.ended, this.n);
    const generation = 2 ** 26;
    const near = (pick(model.live.keys(), this.n) ?? 2 ** 52) + (this.m % 2 ? 3 * generation : 0);
    const forged = model.live.has(near) || near >= 2 ** 53 ? 2 ** 53 - 1 - (this.m % 1000) : near;
    const uses = (handle: number) => [
      outcome(() => table.get(handle as Handle)),
      outcome(() => table.get(handle, ThingKind)),
      outcome(() => table.delete(handle)),
      outcome(() => table.retain(handle)),
      outcome(() => table.release(handle)),
      outcome(() => table.publish('misused', handle)),
    ];
    const all = (code: ErrorCode) => Array.from({ length: 6 }, () => code);
    if (ended !== undefined) expect(uses(ended)).toEqual(all('HAFT_E_STALE'));
    for (const value of [forged, this.n, -this.n, this.n + 0.5, Number.NaN]) {
      if (model.live.has(value) || model.ended.includes(value)) continue;
      // A table that took over the slots of a closed one cannot tell its handles apart from its own old ones.
      const got = uses(value);
      if (table instanceof Registry && got[0] === 'HAFT_E_STALE') expect(got).toEqual(all('HAFT_E_STALE'));
      else expect(got).toEqual(all('HAFT_E_FORGED'));
    }
  }
}

/** All that can be seen of the table is as the model says. */
function compare(model: Model, { table }: Real) {
  const { live, created, retired, slots } = table.stats();
  expect({ live, created, retired }).toEqual({ live: model.live.size, created: model.created, retired: 0 });
  expect(slots).toBeGreaterThanOrEqual(live);
  for (const [handle, { value }] of model.live) {
    expect(table.has(handle)).toBe(true);
    expect(table.get(handle as Handle)).toBe(value);
  }
  for (const handle of model.ended) expect(table.has(handle)).toBe(false);
  for (const name of ['name 0', 'name 1', 'name 2', 'name 3', 'misused']) {
    const handle = model.names.get(name);
    const expected = handle !== undefined && model.live.has(handle) ? handle : 'HAFT_E_NOT_FOUND';
    expect(outcome(() => table.find(name))).toBe(expected);
  }
}

class Compare extends Command {
  run(model: Model, real: Real) {
    compare(model, real);
  }
}

const commands = (() => {
  const n = fc.nat(1000);
  const m = fc.nat(1000);
  const of = (name: string, make: new (name: string, n: number, m: number) => Command, weight: number) => ({
    weight,
    arbitrary: fc.tuple(n, m).map(([a, b]) => new make(name, a, b)),
  });
  return fc.commands(
    [
      fc.oneof(
        of('create', Create, 6),
        of('get', Get, 3),
        of('delete', Delete, 3),
        of('retain', Retain, 2),
        of('release', Release, 4),
        of('intern', Intern, 2),
        of('publish', Publish, 2),
        of('misuse', Misuse, 3),
        of('compare', Compare, 1),
      ),
    ],
    { maxCommands: 120, size: 'max' },
  );
})();

describe.each(TABLES)('%s', (_, sort) => {
  it('does what a Map does, for any sequence of commands', () => {
    fc.assert(
      fc.property(commands, (sequence) => {
        using table = sort.open();
        const model = new Model();
        const real = { table, sort };
        fc.modelRun(() => ({ model, real }), sequence);
        compare(model, real);
        for (const handle of [...model.live.keys()]) table.delete(handle);
        expect(table.stats().live).toBe(0);
        // The free list: every slot is there, once.
        const { slots } = table.stats();
        const handles = Array.from({ length: slots }, (_value, i) => table.create(i));
        expect(table.stats().slots).toBe(slots);
        expect(new Set(handles.map((handle) => handle % 2 ** 26)).size).toBe(slots);
      }),
      { seed: SEED, numRuns: RUNS },
    );
  });

  it('no number but its handles is valid', () => {
    using table = sort.open();
    const handles = new Set<number>(Array.from({ length: 2000 }, (_value, i) => table.create(i)));
    const bytes = fc.uint8Array({ minLength: 8, maxLength: 8 });
    const near = fc
      .tuple(fc.constantFrom(...handles), fc.integer({ min: -5000, max: 5000 }))
      .map(([a, b]) => a + b);
    const flipped = fc
      .tuple(fc.constantFrom(...handles), fc.nat(63))
      .map(([handle, bit]) => BigInt.asUintN(64, BigInt(handle) ^ (1n << BigInt(bit))));
    const any = fc.oneof(
      fc.double(),
      fc.maxSafeInteger(),
      fc.integer({ min: 2 ** 52, max: 2 ** 53 - 1 }),
      fc.bigInt({ min: -(2n ** 65n), max: 2n ** 65n }),
      bytes.map((raw) => new DataView(raw.buffer, raw.byteOffset).getFloat64(0)),
      near,
      flipped,
      fc.anything(),
    );
    fc.assert(
      fc.property(any, (value) => {
        if (handles.has(typeof value === 'bigint' ? Number(value) : (value as number))) return;
        expect(table.has(value)).toBe(false);
        expect(table.tryGet(value as Handle)).toBeUndefined();
        expect(['HAFT_E_FORGED', 'HAFT_E_STALE']).toContain(outcome(() => table.get(value as Handle)));
      }),
      { seed: SEED, numRuns: 20 * RUNS },
    );
    expect(table.stats().live).toBe(2000);
  });
});
