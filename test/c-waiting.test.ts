// Waiting: C on JavaScript's own thread that serves others (logic/serving.mjs), waits for events on native threads
// (hosts/waiting.c), and registry.wait in JavaScript.
import { describe, it } from 'vitest';
import { child, expectExit, logicFile, run, script } from './support/child.js';

const serving = async (way: string, name: string) => {
  expectExit(await child([logicFile('serving.mjs'), way, name]));
};
const host = async (name: string) => {
  expectExit(await run('waiting', 'waiting.mjs', [name]));
};

describe.each(['koffi', 'addon'])(
  'C on JavaScript’s own thread, called through %s, with haft_serve',
  (way) => {
    it.each([
      ['joins threads that call the realm', 'joins threads'],
      ['handles what waits already', 'serves what waits'],
      ['ends in its time when nothing comes', 'times out'],
      ['is ended by haft_signal', 'is ended by a signal'],
      ['handles no messages on other threads, and serves the realm that it names', 'is for the own thread'],
      ['may do so inside a handler that is served', 'inside a handler'],
      ['has promises answered later', 'promises are answered later'],
      ['is told when a handler closes the registry', 'ends when a handler closes'],
    ])('%s', (_, name) => serving(way, name));

    it('P20: instead says haft_blocking, and those who would wait for it are told', () =>
      serving(way, 'a library that joins'));

    it('P18: cannot wait for events that only it could cause', () => serving(way, 'waits on the own thread'));

    it('P18: cannot wait for completions of its own calls, which come when it has served or returned', () =>
      serving(way, 'a queue of its own answers'));
  },
);

it('haft_serve on koffi’s stack without useKoffi is HAFT_E_UNSUPPORTED', () =>
  serving('koffi', 'without useKoffi'));

describe('haft_wait', () => {
  it.each([
    ['ends when mailboxes are drained, objects dropped, a collection done', 'counted'],
    ['does not end for what came before it began', 'not before'],
    ['does not end for objects that were dropped long before, when others are handled', 'not long ago'],
    ['ends at once where a level holds, or when it comes to hold', 'levels'],
    ['ends for the events of its mask, and tells those', 'users'],
    ['for something else is cancelled by an event of the user’s', 'cancelled'],
    ['and haft_signal lose nothing, again and again', 'again and again'],
    ['takes any mask, and any realm', 'arguments'],
    ['P22: ends for all when the realm closes', 'closed'],
  ])('%s', (_, name) => host(name));
});

/** A registry with one function, and C that posts to it, releases, and signals. */
const program = (body: string) =>
  script(`
    import assert from 'node:assert/strict';
    import { getEventListeners } from 'node:events';
    import { EVENT, Registry } from 'haft';
    import koffi from 'koffi';
    const registry = new Registry();
    const library = koffi.load('build/Release/waiting.so');
    const CLOSED = { name: 'HaftError', code: 'HAFT_E_CLOSED' };
    assert.equal(library.func('int32_t use_api(void *api, double of)')(registry.apiAddress, registry.id), 0);
    const signal = library.func('int32_t signal_event(uint32_t events)');
    const signalElsewhere = (events) => new Promise((resolve, reject) =>
      signal.async(events, (error, status) => (error || status !== 0 ? reject(error ?? status) : resolve())));
    const post = library.func('int32_t post_number(uint64_t handle, uint32_t op, double n)');
    const release = library.func('int32_t release_handle(uint64_t handle)');
    const ops = koffi.load('build/Release/op_of.so');
    ops.func('int32_t use_api(void *api)')(registry.apiAddress);
    const opOf = ops.func('uint32_t op_of(uint64_t h, const char *name)');
    let handled = 0;
    const handle = registry.fn({ args: ['f64'] }, () => { handled++; });
    const op = opOf(handle, 'call');
    const turns = async (count) => { for (let i = 0; i < count; i++) await new Promise(setImmediate); };
    /** What a promise has come to, so far. */
    const watch = (promise) => {
      const watched = { state: 'waits' };
      promise.then((value) => { watched.state = value; }, (error) => { watched.state = error; });
      return watched;
    };
    ${body}
  `);

describe('registry.wait', () => {
  it('hears haft_signal, of this thread and of others, by its mask', async () => {
    const ended = await program(`
      for (let i = 0; i < 8; i++) {
        const mine = registry.wait(EVENT.user(i));
        const other = watch(registry.wait(EVENT.user((i + 1) % 8)));
        if (i % 2) assert.equal(signal(EVENT.user(i)), 0);
        else await signalElsewhere(EVENT.user(i));
        assert.equal(await mine, EVENT.user(i));
        await turns(3);
        assert.equal(other.state, 'waits');
        signal(EVENT.user((i + 1) % 8));
        await turns(3);
        assert.equal(other.state, EVENT.user((i + 1) % 8));
      }
      const all = [1, 2, 3].map((n) => registry.wait(EVENT.user(0) | EVENT.user(n)));
      await signalElsewhere(EVENT.user(0) | EVENT.user(2));
      const expected = [EVENT.user(0), EVENT.user(0) | EVENT.user(2), EVENT.user(0)];
      assert.deepEqual(await Promise.all(all), expected);
      // What came before is gone.
      signal(EVENT.user(5));
      await turns(3);
      const late = watch(registry.wait(EVENT.user(5)));
      post(handle, op, 1);
      await turns(5);
      assert.equal(handled, 1);
      assert.equal(late.state, 'waits');
      registry.close();
    `);
    expectExit(ended);
  });

  it('hears of drains, drops and collections', async () => {
    const ended = await program(`
      const drained = registry.wait(EVENT.drained);
      post(handle, op, 1);
      assert.equal(await drained, EVENT.drained);
      assert.equal(handled, 1);
      const reclaimed = registry.wait(EVENT.reclaimed);
      const gone = registry.create({});
      assert.equal(release(registry.transfer(gone)), 0);
      assert.equal(await reclaimed, EVENT.reclaimed);
      assert.equal(registry.has(gone), false);
      const collected = registry.wait(EVENT.collected);
      const result = registry.collect();
      assert.equal(await collected, EVENT.collected);
      assert.equal((await result).generation, 1);
      assert.equal(await registry.wait(EVENT.empty | EVENT.full), EVENT.empty);
      const full = registry.wait(EVENT.full);
      while (post(handle, op, 1) === 0);
      assert.equal(await registry.wait(EVENT.full | EVENT.empty), EVENT.full);
      assert.equal(await full, EVENT.full);
      assert.equal(await registry.wait(EVENT.empty), EVENT.empty);
      assert.equal(handled, 1025);
    `);
    expectExit(ended);
  });

  it('hears of a long message without room, though there is some for a short one', async () => {
    const ended = await program(`
      const host = koffi.load('build/Release/messages.so');
      host.func('int32_t use_api(void *api)')(registry.apiAddress);
      const postBytes = host.func('int32_t post_bytes(uint64_t h, uint32_t op, uint32_t length, int32_t filler, int32_t copies)');
      const takes = registry.fn({ args: ['bytes'] }, () => {});
      const full = registry.wait(EVENT.full);
      while (postBytes(takes, opOf(takes, 'call'), 660, 0, 1) === 0);
      assert.equal(postBytes(takes, opOf(takes, 'call'), 0, 0, 1), 0);
      assert.equal(await full, EVENT.full);
    `);
    expectExit(ended);
  });

  it('does not end for objects that were dropped long before', async () => {
    const ended = await program(`
      release(registry.create({}));
      await turns(5);
      const reclaimed = watch(registry.wait(EVENT.reclaimed));
      post(handle, op, 1);
      await turns(5);
      assert.equal(handled, 1);
      assert.equal(reclaimed.state, 'waits');
      registry.close();
    `);
    expectExit(ended);
  });

  it('is given up by a signal, which keeps no listener', async () => {
    const ended = await program(`
      await assert.rejects(registry.wait(EVENT.user(0), { signal: AbortSignal.abort('before') }), (e) => e === 'before');
      const controller = new AbortController();
      const waits = [1, 2, 3].map(() => registry.wait(EVENT.user(0), { signal: controller.signal }));
      const stays = watch(registry.wait(EVENT.user(0)));
      assert.equal(getEventListeners(controller.signal, 'abort').length, 3);
      controller.abort(new RangeError('mine'));
      for (const wait of waits) await assert.rejects(wait, { name: 'RangeError', message: 'mine' });
      assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
      await assert.rejects(registry.wait(EVENT.user(0), { signal: AbortSignal.timeout(5) }), { name: 'TimeoutError' });
      assert.equal(stays.state, 'waits');
      const later = new AbortController();
      const heard = registry.wait(EVENT.user(0), { signal: later.signal });
      signal(EVENT.user(0));
      assert.equal(await heard, EVENT.user(0));
      assert.equal(stays.state, EVENT.user(0));
      assert.equal(getEventListeners(later.signal, 'abort').length, 0);
      later.abort();
      assert.equal(await registry.wait(EVENT.empty, { signal: new AbortController().signal }), EVENT.empty);
    `);
    expectExit(ended);
  });

  it('refuses what is no mask', async () => {
    const ended = await program(`
      for (const bad of [0, -1, 1.5, 0x40, 0x8000, 2 ** 24, 2 ** 31, 2 ** 32 + 1, NaN, Infinity, '1', undefined, null, 1n]) {
        await assert.rejects(registry.wait(bad), { name: 'HaftError', code: 'HAFT_E_ARGUMENT' });
      for (const bad of [-1, 8, 32, 0.5, '0'])
        assert.throws(() => EVENT.user(bad), { code: 'HAFT_E_ARGUMENT', next: 'they are 0 to 7' });
      for (const wait of [(options) => registry.wait(EVENT.full, options), (options) => registry.collect(options)])
        for (const signal of [{}, 5, null]) await assert.rejects(wait({ signal }), { code: 'HAFT_E_ARGUMENT' });
      }
    `);
    expectExit(ended);
  });

  it('keeps the process alive, and no longer than it waits', async () => {
    const ended = await program(`
      const controller = new AbortController();
      setTimeout(() => controller.abort(), 20).unref();
      await assert.rejects(registry.wait(EVENT.user(0), { signal: controller.signal }), { name: 'AbortError' });
    `);
    expectExit(ended);
  });

  it('P22: ends when the registry closes, in a handler too', async () => {
    const ended = await program(`
      const waits = Array.from({ length: 20 }, () => registry.wait(EVENT.user(0)));
      const closing = Array.from({ length: 20 }, (_, i) => registry.wait(EVENT.closing | EVENT.user(i % 8)));
      const close = registry.fn({ args: ['f64'] }, () => registry.close());
      post(close, opOf(close, 'call'), 1);
      for (const wait of waits) await assert.rejects(wait, CLOSED);
      for (const wait of closing) assert.equal(await wait, EVENT.closing);
      await assert.rejects(registry.wait(EVENT.user(0)), CLOSED);
      await assert.rejects(registry.wait(EVENT.empty), CLOSED);
      assert.equal(await registry.wait(EVENT.empty | EVENT.closing), EVENT.closing);
    `);
    expectExit(ended);
  });

  it('may begin in a handler, and in what another wait has heard', async () => {
    const ended = await program(`
      let inHandler;
      const begins = registry.fn({ args: ['f64'] }, () => { inHandler ??= registry.wait(EVENT.drained | EVENT.empty); });
      post(begins, opOf(begins, 'call'), 1);
      await turns(3);
      assert.notEqual(await inHandler, 0);
      for (let i = 0; i < 50; i++) {
        const next = registry.wait(EVENT.user(i % 8));
        signal(EVENT.user(i % 8));
        assert.equal(await next, EVENT.user(i % 8));
      }
    `);
    expectExit(ended);
  });
});
