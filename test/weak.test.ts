// Weak handles: what they name may be collected, in C and in JavaScript. C is hosts/keeps.c; from other threads it is called
// by koffi's.
import { functionKind, type HaftError, type Handle, kind, Registry } from 'haft';
import koffi from 'koffi';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { built } from './support/child.js';
import { turn, until } from './support/messages.js';
import { thrown } from './support/tables.js';

const c = koffi.load(built('keeps.so'));
const [OK, STALE, COLLECTED] = [0, -2, -28];
const use = c.func('int use_api(uintptr_t api)');
const check = c.func('int check(uint64_t h)');
const retain = c.func('int retain(uint64_t h)');
const release = c.func('int release_one(uint64_t h)');
const findOp = c.func('int64_t find_op(uint64_t h, const char *name)');
const postNumber = c.func('int post_number(uint64_t h, uint32_t op, double n)');
const postHandle = c.func('int post_handle(uint64_t h, uint32_t op, uint64_t of)');
const callNumber = c.func('double call_number(uint64_t h, uint32_t op, double n)');

class Cache {
  sum = 0;
  add(n: number): number {
    this.sum += n;
    return this.sum;
  }
  see(_of: Handle): void {}
}
const ops = { add: { args: ['f64'], returns: 'f64' }, see: { args: ['handle'] } } as const;
const CacheKind = kind(Cache, ops, { name: 'weak.Cache' });

let registry: Registry;
const errors: HaftError[] = [];
beforeEach(() => {
  registry = new Registry();
  errors.length = 0;
  registry.on('error', (error) => errors.push(error as HaftError));
  use(registry.apiAddress);
  registry.useKoffi(koffi);
});
afterEach(() => registry.close());

/** The handle of an object that nothing keeps once this turn has ended. */
function dying(of: typeof CacheKind | undefined = CacheKind): Handle<Cache> {
  return registry.weak(new Cache(), of);
}
const op = (handle: Handle, name: string) => Number(findOp(handle, name));
/** Until the object of a weak handle has been collected, whether or not somebody has noticed it. */
async function collected(): Promise<void> {
  const probe = (() => new WeakRef(new Cache()))();
  for (let i = 0; i < 3 || probe.deref() !== undefined; i++) {
    await turn();
    globalThis.gc!();
  }
  await turn();
}
/** Calls C on another thread. */
const elsewhere = <R>(f: { async(...args: unknown[]): void }, ...args: unknown[]) =>
  new Promise<R>((resolve, reject) => {
    registry.ref();
    f.async(...args, (error: unknown, result: R) => {
      registry.unref();
      if (error) reject(error);
      else resolve(result);
    });
  });

describe('a weak handle whose object is there', () => {
  it('is like any other, in JavaScript', async () => {
    const cache = new Cache();
    const handle = registry.weak(cache, CacheKind);
    expect(registry.get(handle)).toBe(cache);
    expect(registry.get(handle, CacheKind)).toBe(cache);
    expect(registry.get(BigInt(handle), CacheKind)).toBe(cache);
    expect(registry.tryGet(handle)).toBe(cache);
    expect(registry.tryGet(handle, CacheKind)).toBe(cache);
    expect(registry.has(handle)).toBe(true);
    expect(registry.moved(handle)).toBe(handle);
    thrown('HAFT_E_KIND', () => registry.get(handle, kind(Cache, {}, { name: 'weak.Other' })));
    registry.publish('cache', handle);
    expect(registry.find('cache', CacheKind)).toBe(handle);
    expect(registry.stats()).toMatchObject({ live: 1, created: 1 });
    const { live, kinds } = await registry.collect();
    expect([live, kinds]).toEqual([1, { 'weak.Cache': 1 }]);
    registry.retain(handle);
    registry.release(handle);
    registry.release(handle);
    registry.drain();
    expect(registry.stats().live).toBe(0);
    thrown('HAFT_E_STALE', () => registry.get(handle));
    expect(registry.has(handle)).toBe(false);
    expect(cache.sum).toBe(0);
  });

  it('is like any other, in C, on both sorts of threads', async () => {
    const cache = new Cache();
    const handle = registry.weak(cache, CacheKind);
    expect([check(handle), retain(handle), release(handle)]).toEqual([OK, OK, OK]);
    expect(postNumber(handle, op(handle, 'add'), 1)).toBe(OK);
    expect(postHandle(handle, op(handle, 'see'), handle)).toBe(OK);
    registry.drain();
    expect(callNumber(handle, op(handle, 'add'), 2)).toBe(3);
    expect(await elsewhere(callNumber, handle, op(handle, 'add'), 4)).toBe(7);
    expect(cache.sum).toBe(7);
    expect(release(handle)).toBe(OK);
    expect(check(handle)).toBe(STALE);
    registry.drain();
    expect(registry.stats().live).toBe(0);
    expect(errors).toEqual([]);
  });

  it('is one of any number, beside others that are not weak', () => {
    const cache = new Cache();
    const [one, two] = [registry.weak(cache), registry.weak(cache)];
    const strong = registry.intern(cache, CacheKind);
    expect(new Set([one, two, strong]).size).toBe(3);
    registry.delete(one);
    thrown('HAFT_E_STALE', () => registry.get(one));
    expect([registry.get(two), registry.intern(cache)]).toEqual([cache, strong]);
  });

  it('is deleted, owned and transferred as any other', () => {
    const cache = new Cache();
    const scope = registry.scope();
    const ends = scope.own(registry.weak(cache));
    const stays = scope.own(registry.weak(cache));
    expect(registry.transfer(stays)).toBe(stays);
    scope.end();
    expect([registry.has(ends), registry.has(stays)]).toEqual([false, true]);
  });

  it('serves kinds with batches and retries', async () => {
    const batches: [number][][] = [];
    class Batched {
      add(batch: [number][]): void {
        batches.push(batch);
      }
    }
    const BatchedKind = kind(
      Batched,
      { add: { args: ['f64'] } },
      { batch: { max: 2, withinMilliseconds: 0 } },
    );
    const batched = new Batched();
    const handle = registry.weak(batched, BatchedKind);
    for (const n of [1, 2, 3]) expect(postNumber(handle, op(handle, 'add'), n)).toBe(OK);
    expect(release(handle)).toBe(OK); // P5, P32: what was posted before finds its object
    await until(() => registry.stats().live === 0);
    expect(batches.flat()).toEqual([[1], [2], [3]]);
    expect(batched).toBeInstanceOf(Batched);
  });

  it('does not move, and names no value that is never collected', async () => {
    const cache = new Cache();
    const handle = registry.weak(cache);
    const other = new Registry();
    await expect(registry.moveTo(handle, other.id)).rejects.toMatchObject({ code: 'HAFT_E_ARGUMENT' });
    other.close();
    for (const value of [1, 'text', undefined, null, Symbol('x'), 1n])
      thrown('HAFT_E_ARGUMENT', () => registry.weak(value as never));
    thrown('HAFT_E_KIND', () => registry.weak({} as never, functionKind({}) as never));
    expect(registry.stats().live).toBe(1);
  });
});

describe('a weak handle whose object was collected', () => {
  it('is HAFT_E_COLLECTED to all but release and delete: rule 12', async () => {
    const handle = dying();
    const number = op(handle, 'add');
    registry.publish('cache', handle);
    registry.retain(handle);
    registry.retain(handle);
    await collected();
    const error = thrown('HAFT_E_COLLECTED', () => registry.get(handle));
    expect([error.rule, error.handle, error.kind]).toEqual([12, handle, 'weak.Cache']);
    thrown('HAFT_E_COLLECTED', () => registry.get(handle, CacheKind));
    thrown('HAFT_E_COLLECTED', () => registry.retain(handle));
    thrown('HAFT_E_COLLECTED', () => registry.retainAs(handle, 'label'));
    thrown('HAFT_E_COLLECTED', () => registry.publish('again', handle));
    thrown('HAFT_E_COLLECTED', () => registry.transfer(handle));
    thrown('HAFT_E_COLLECTED', () => registry.moved(handle));
    thrown('HAFT_E_NOT_FOUND', () => registry.find('cache'));
    await expect(registry.moveTo(handle, 0)).rejects.toMatchObject({ code: 'HAFT_E_COLLECTED' });
    expect(registry.tryGet(handle)).toBe(undefined);
    expect(registry.has(handle)).toBe(false);
    expect([check(handle), retain(handle)]).toEqual([COLLECTED, COLLECTED]);
    expect(postNumber(handle, number, 1)).toBe(COLLECTED);
    expect(callNumber(handle, number, 1)).toBe(COLLECTED);
    expect(await elsewhere(callNumber, handle, number, 1)).toBe(COLLECTED);
    const witness = registry.create(new Cache(), CacheKind);
    expect(postHandle(witness, op(witness, 'see'), handle)).toBe(COLLECTED);
    expect(registry.stats().live).toBe(1);
    expect((await registry.collect()).live).toBe(1);
    // The references are there still, and are given back one by one.
    registry.release(handle);
    expect(release(handle)).toBe(OK);
    expect(check(handle)).toBe(COLLECTED);
    expect(release(handle)).toBe(OK);
    expect(check(handle)).toBe(STALE);
    thrown('HAFT_E_COLLECTED', () => registry.get(handle)); // the drain has not seen it
    registry.drain();
    thrown('HAFT_E_STALE', () => registry.get(handle));
    expect(registry.stats()).toMatchObject({ live: 1, created: 2 });
  });

  it('is noticed by itself: C is told though nobody in JavaScript looks', async () => {
    const handle = dying();
    await until(() => {
      globalThis.gc!();
      return check(handle) === COLLECTED;
    });
    expect(release(handle)).toBe(OK);
  });

  it('frees its slot by delete too, and with the scope that owns it', async () => {
    const scope = registry.scope();
    const [one, two] = [dying(), scope.own(dying())];
    await collected();
    thrown('HAFT_E_COLLECTED', () => registry.get(one));
    registry.delete(one);
    scope.end();
    expect([check(one), check(two)]).toEqual([STALE, STALE]);
    expect(registry.stats().live).toBe(0);
    const strong = [registry.create(1), registry.create(2)]; // in their slots
    expect(strong.map((handle) => registry.get(handle))).toEqual([1, 2]);
  });

  it('declines messages that were sent before: HAFT_E_COLLECTED is told, and counted', async () => {
    let witness: Cache | undefined = new Cache();
    const handle = registry.weak(witness, CacheKind);
    const number = op(handle, 'add');
    // The object goes while its messages wait: nothing drains before.
    const collectedBefore = new WeakRef(witness);
    await turn();
    expect(postNumber(handle, number, 1)).toBe(OK);
    witness = undefined;
    // Whatever comes first, the collection or the drain: each post ends in exactly one way.
    await collected();
    const { delivered, refused, gone } = registry.stats();
    expect(delivered + refused).toBe(1);
    expect(gone).toBe(refused);
    expect(errors.map(({ code }) => code)).toEqual(refused === 1 ? ['HAFT_E_COLLECTED'] : []);
    expect(collectedBefore.deref()).toBe(undefined);
  });

  it('may be released by a finalizer, and may be captured by the closure that it names', async () => {
    const finalizers = new FinalizationRegistry<Handle>((handle) => registry.release(handle));
    let captured: Handle | undefined;
    (() => {
      const object = new Cache();
      finalizers.register(object, registry.weak(object, CacheKind));
      const closure = (n: number) => n + Number(captured !== undefined);
      captured = registry.weak(closure);
    })();
    await until(() => {
      globalThis.gc!();
      registry.drain();
      return registry.stats().live === 0 && check(captured!) === COLLECTED;
    });
    registry.release(captured!);
    registry.drain();
    thrown('HAFT_E_STALE', () => registry.get(captured!));
  });

  it('ends with the registry', async () => {
    const handle = dying();
    await collected();
    thrown('HAFT_E_COLLECTED', () => registry.get(handle));
    registry.close();
    expect(check(handle)).toBe(-5);
    thrown('HAFT_E_CLOSED', () => registry.get(handle));
    await collected();
  });
});

it('a collection is noticed by whichever message comes to the object first', async () => {
  // The finalizer runs in a task of its own: before it, C finds the handle live, and JavaScript declines.
  const refusals = new Set<number>();
  for (let i = 0; i < 20; i++) {
    const handle = dying();
    const number = op(handle, 'add');
    await turn();
    globalThis.gc!();
    const status = postNumber(handle, number, 1);
    const result = callNumber(handle, number, 1);
    registry.drain();
    expect([OK, COLLECTED]).toContain(status);
    expect([1, 2, COLLECTED]).toContain(result);
    if (result === COLLECTED) expect(check(handle)).toBe(COLLECTED);
    refusals.add(result);
    registry.delete(handle);
  }
  expect(refusals).toContain(COLLECTED);
  expect(registry.stats().live).toBe(0);
});
