// registry.collect(): drops what native code released, gives blocks of slots back, counts what is there.
import { describe, it } from 'vitest';
import { built, type ChildOptions, expectExit, script } from './support/child.js';

/** C on JavaScript's own thread, through koffi: `act` and its numbers are in logic/same-thread.mjs. */
const program = async (body: string, options: ChildOptions = {}) => {
  const ended = await script(
    `
    import assert from 'node:assert/strict';
    import { getEventListeners } from 'node:events';
    import { EVENT, kind, Registry } from 'haft';
    import koffi from 'koffi';
    const [POST, RETAIN, RELEASE, CHECK] = [1, 4, 5, 6];
    const STALE = -2;
    const registry = new Registry();
    const library = koffi.load('build/Release/same_thread.so');
    assert.equal(library.func('int32_t use_api(void *api)')(registry.apiAddress), 0);
    const act = library.func('double act(int32_t what, uint64_t h, uint32_t op, double n)');
    const release = (handle) => assert.equal(act(RELEASE, handle, 0, 0), 0);
    class Apple {}
    class Pear {}
    const AppleKind = kind(Apple, {});
    const PearKind = kind(Pear, {});
    const turn = () => new Promise(setImmediate);
    const many = (count, make = () => ({})) => Array.from({ length: count }, (_, i) => registry.create(make(i)));
    /** These are stale, in JavaScript and in C; of many a sample in every block. */
    const allStale = (handles) => {
      for (let i = 0; i < handles.length; i += handles.length > 5000 ? 101 : 1) {
        const handle = handles[i];
        assert.equal(registry.has(handle), false);
        assert.throws(() => registry.get(handle), { code: 'HAFT_E_STALE' });
        assert.equal(act(CHECK, handle, 0, 0), STALE);
      }
    };
    ${body}
  `,
    [],
    options,
  );
  expectExit(ended);
};
/** 4 blocks in the whole process. */
const small = (body: string) => program(body, { env: { HAFT_ADDON: built('haft_small.node') } });

describe('registry.collect', () => {
  it('counts what is there, by kind', () =>
    program(`
      assert.equal(registry.collected, undefined);
      const empty = await registry.collect();
      assert.deepEqual({ ...empty }, { generation: 1, reclaimed: 0, blocksGivenBack: 0, live: 0, kinds: {}, slots: 0 });
      const apples = Array.from({ length: 2500 }, () => registry.create(new Apple(), AppleKind));
      const pears = Array.from({ length: 30 }, () => registry.create(new Pear(), PearKind));
      registry.create('of no kind');
      registry.fn({ args: ['f64'] }, () => {});
      const result = await registry.collect();
      assert.equal(registry.collected, result);
      assert.equal(result.generation, 2);
      assert.deepEqual(result.kinds, { Apple: 2500, Pear: 30, '': 1, 'fn(f64):void': 1 });
      assert.equal(result.live, 2532);
      assert.equal(result.slots, 3 * 1024);
      assert.equal(registry.stats().live, 2532);
      for (const handle of apples) registry.delete(handle);
      const { kinds, live, blocksGivenBack } = await registry.collect();
      assert.deepEqual([kinds, live], [{ Pear: 30, '': 1, 'fn(f64):void': 1 }, 32]);
      assert.equal(blocksGivenBack, 1); // of two that are empty one is kept
      for (const handle of pears) assert.equal(registry.get(handle).constructor, Pear);
    `));

  it('drops what native code released, and nothing else', () =>
    program(`
      const held = many(3000, () => ({ a: 1 }));
      const objects = held.map((handle) => new WeakRef(registry.get(handle)));
      for (const handle of held) assert.equal(act(RETAIN, handle, 0, 0), 0);
      for (const handle of held) release(handle);
      assert.equal((await registry.collect()).live, 3000);
      const released = registry.wait(EVENT.reclaimed);
      for (const handle of held.slice(0, 2000)) release(registry.transfer(handle));
      const { live } = await registry.collect();
      assert.equal(live, 1000);
      assert.equal(await released, EVENT.reclaimed);
      await turn();
      gc();
      assert.equal(objects.slice(0, 2000).filter((ref) => ref.deref() !== undefined).length < 20, true);
      assert.equal(objects.slice(2000).every((ref) => ref.deref() !== undefined), true);
      allStale(held.slice(0, 2000));
      assert.equal(held.slice(2000).every((handle) => registry.get(handle).a === 1), true);
    `));

  it('P23: gives blocks back that nobody uses, and their handles stay stale', () =>
    program(`
      const handles = many(100_000);
      assert.equal(registry.stats().slots, 98 * 1024);
      for (const handle of handles) registry.delete(handle);
      const { blocksGivenBack, slots, live } = await registry.collect();
      assert.deepEqual([blocksGivenBack, slots, live], [97, 1024, 0]);
      assert.equal(registry.stats().slots, 1024);
      allStale(handles);
      assert.deepEqual([(await registry.collect()).blocksGivenBack, registry.stats().slots], [0, 1024]);
      const old = new Set(handles);
      const again = many(100_000, (i) => i);
      assert.equal(again.some((handle) => old.has(handle)), false);
      assert.equal(again.every((handle, i) => registry.get(handle) === i), true);
      assert.equal(registry.stats().slots, 98 * 1024);
      allStale(handles);
    `));

  it('P23: of a table with holes gives back the blocks that are empty', () =>
    program(`
      const handles = many(50 * 1024, (i) => i);
      const kept = handles.filter((_, i) => (i >> 10) % 5 === 0 && i % 1024 === 7);
      for (const handle of handles) if (!kept.includes(handle)) registry.delete(handle);
      const result = await registry.collect();
      assert.deepEqual([result.live, result.blocksGivenBack, result.slots], [10, 39, 11 * 1024]);
      for (const handle of kept) assert.equal(handles[registry.get(handle)], handle);
      const more = many(60 * 1024);
      for (const handle of kept) assert.equal(handles[registry.get(handle)], handle);
      assert.equal(new Set([...more, ...kept]).size, 60 * 1024 + 10);
    `));

  it('P23, P24: another registry uses them, where there are 4 in all', () =>
    small(`
      const mine = many(4096);
      assert.throws(() => registry.create(1), { code: 'HAFT_E_SLOTS' });
      const other = new Registry();
      assert.throws(() => other.create(1), { code: 'HAFT_E_SLOTS' });
      for (const handle of mine) registry.delete(handle);
      assert.throws(() => other.create(1), { code: 'HAFT_E_SLOTS' });
      assert.equal((await registry.collect()).blocksGivenBack, 3);
      allStale(mine);
      const theirs = Array.from({ length: 3072 }, (_, i) => other.create(i));
      assert.throws(() => other.create(1), { code: 'HAFT_E_SLOTS' });
      assert.equal(theirs.every((handle, i) => other.get(handle) === i), true);
      allStale(mine);
      for (const handle of theirs) assert.throws(() => registry.get(handle), { code: 'HAFT_E_REALM' });
      many(1024); // the block that was kept
      assert.throws(() => registry.create(1), { code: 'HAFT_E_SLOTS' });
      // And back.
      for (const handle of theirs) other.delete(handle);
      assert.equal((await other.collect()).blocksGivenBack, 2);
      assert.equal(many(2048).length, 2048);
      assert.throws(() => registry.create(1), { code: 'HAFT_E_SLOTS' });
      allStale(mine);
      for (const handle of theirs) assert.equal(act(CHECK, handle, 0, 0), STALE);
      // Until every slot has used up its generations.
      registry.close();
      other.close();
      for (const handle of mine) assert.notEqual(act(CHECK, handle, 0, 0), 0);
    `));

  it('keeps what native code still holds in a block', () =>
    small(`
      const mine = many(4096);
      const held = mine[2 * 1024 + 5];
      act(RETAIN, held, 0, 0);
      registry.release(held);
      for (const handle of mine) if (handle !== held) registry.delete(handle);
      assert.equal((await registry.collect()).blocksGivenBack, 2);
      assert.equal(registry.has(held), true);
      release(held);
      assert.equal((await registry.collect()).blocksGivenBack, 1);
      allStale([held]);
    `));

  it('does one run for all who asked before it began, and never tells of an earlier one', () =>
    program(`
      const handles = many(400_000);
      const shared = await Promise.all([registry.collect(), registry.collect(), registry.collect()]);
      assert.equal(new Set(shared).size, 1);
      // Each turn deletes, and asks: the answer knows of the deletion.
      const asked = [];
      let done = false;
      registry.collect().then(() => { done = true; });
      let turns = 0;
      for (; !done || turns < 20; turns++) {
        for (let i = 0; i < 100; i++) registry.delete(handles.pop());
        const known = { live: handles.length, generation: registry.collected.generation };
        asked.push([known, registry.collect(), registry.collect()]);
        await turn();
      }
      assert.equal(turns > 2, true); // it does not do all in one turn
      let last = 0;
      for (const [known, one, two] of asked) {
        const result = await one;
        assert.equal(await two, result);
        assert.equal(result.live <= known.live && result.live >= handles.length, true);
        assert.equal(result.generation > known.generation && result.generation >= last, true);
        last = result.generation;
      }
      assert.equal(registry.collected.generation, last);
      assert.equal(registry.collected.live, handles.length);
    `));

  it('stops when nobody waits for it any more', () =>
    program(`
      await assert.rejects(registry.collect({ signal: AbortSignal.abort('before') }), (reason) => reason === 'before');
      const handles = many(300_000);
      const controller = new AbortController();
      const gone = [registry.collect(controller), registry.collect(controller)];
      assert.equal(getEventListeners(controller.signal, 'abort').length, 2);
      await turn();
      controller.abort('mine');
      for (const one of gone) await assert.rejects(one, (reason) => reason === 'mine');
      assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
      for (let i = 0; i < 50; i++) await turn();
      // One that stays has its result, whoever leaves.
      const second = new AbortController();
      const leaves = registry.collect(second);
      const stays = registry.collect({ signal: new AbortController().signal });
      await turn();
      const next = registry.collect();
      second.abort();
      await assert.rejects(leaves, { name: 'AbortError' });
      assert.equal((await stays).live, 300_000);
      assert.equal((await next).live, 300_000);
      second.abort();
      const third = new AbortController();
      await registry.collect(third);
      assert.equal(getEventListeners(third.signal, 'abort').length, 0);
      assert.equal(handles.every((handle) => registry.has(handle)), true);
    `));

  // At level 2 of HAFTCHECK a stack for each of some millions of handles takes minutes.
  it.skipIf(process.env.HAFTCHECK === '2')('loses no slot, whenever it is stopped', () =>
    program(`
      const COUNT = 300 * 1024;
      let handles = many(COUNT);
      const { slots } = registry.stats();
      assert.equal(slots, COUNT);
      for (let turns = 0, stopped = 1; stopped > 0; turns++) {
        for (const handle of handles) registry.delete(handle);
        stopped = 0;
        const controller = new AbortController();
        const run = registry.collect(controller).catch(() => stopped++);
        for (let i = 0; i < turns; i++) await turn();
        controller.abort();
        await run;
        handles = many(COUNT);
        assert.equal(registry.stats().slots, slots, 'stopped after ' + turns + ' turns');
      }
    `),
  );

  it('goes on while objects come and go between its turns', () =>
    program(`
      let seed = 20261121;
      const random = (n) => {
        seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
        return Math.floor((seed / 2 ** 32) * n);
      };
      const model = new Map();
      const ended = [];
      let made = 0;
      const add = (count) => {
        for (let i = 0; i < count; i++) {
          const apple = random(2) === 0;
          model.set(apple ? registry.create(made, undefined) : registry.create(new Pear(), PearKind), apple ? made : Pear);
          made++;
        }
      };
      const end = (count) => {
        const handles = [...model.keys()];
        const from = random(Math.max(1, handles.length - count)); // neighbours, so that blocks become empty
        for (const handle of handles.slice(from, from + count)) {
          if (random(2)) registry.delete(handle);
          else release(registry.transfer(handle));
          model.delete(handle);
          if (ended.length < 50_000) ended.push(handle);
        }
      };
      const check = () => {
        for (const [handle, value] of model) {
          const found = registry.get(handle);
          assert.equal(value === Pear ? found.constructor : found, value);
        }
      };
      add(100_000);
      let given = 0;
      for (let round = 0; round < 12; round++) {
        let done = false;
        end(random(60_000));
        const run = registry.collect().then((result) => { done = true; given += result.blocksGivenBack; });
        while (!done) {
          if (random(2)) add(random(3000));
          else end(random(3000));
          await turn();
        }
        await run;
        add(random(40_000));
      }
      assert.equal(given > 0, true);
      check();
      const { live, kinds, slots } = await registry.collect();
      const pears = [...model.values()].filter((value) => value === Pear).length;
      assert.deepEqual([live, kinds], [model.size, { Pear: pears, '': model.size - pears }]);
      assert.equal(slots, registry.stats().slots);
      check();
      for (const handle of ended) assert.equal(registry.has(handle), false);
      allStale(ended.filter((_, i) => i % 100 === 0));
      for (const handle of model.keys()) registry.delete(handle);
      await registry.collect();
      assert.equal(registry.stats().slots, 1024);
    `));

  it('P22: ends when the registry closes', () =>
    program(`
      many(200_000);
      const result = await registry.collect();
      const waits = [registry.collect(), registry.collect()];
      await turn();
      waits.push(registry.collect());
      registry.close();
      for (const wait of waits) await assert.rejects(wait, { code: 'HAFT_E_CLOSED' });
      await assert.rejects(registry.collect(), { code: 'HAFT_E_CLOSED' });
      assert.equal(registry.collected, result);
      for (let i = 0; i < 10; i++) await turn();
      assert.equal(registry.collected, result);
    `));

  it('keeps the process alive, and no longer than it works', () =>
    program(`
      many(100_000);
      let done = false;
      registry.collect().then(() => { done = true; });
      process.on('exit', () => assert.equal(done, true));
    `));

  it('does not count what is haft’s own', () =>
    program(`
      class Movable {}
      const options = { serialize: () => '', deserialize: () => new Movable() };
      registry.accept(kind(Movable, {}, options));
      assert.equal(registry.stats().live, 0);
      assert.equal(registry.stats().created, 0);
      const { live, kinds } = await registry.collect();
      assert.deepEqual([live, kinds], [0, {}]);
    `));
});
