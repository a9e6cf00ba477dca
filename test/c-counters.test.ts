// What becomes of messages, counted: in C by haft_counters_read, in JavaScript by registry.stats(). The checks are in
// hosts/counters.c.
import { describe, expect, it } from 'vitest';
import { built, expectExit, logicFile, run, script } from './support/child.js';

const host = async (name: string) => {
  expectExit(await run('counters', 'counters.mjs', [name]));
};

describe('a message', () => {
  it.each([
    ['whose handler runs is delivered, whatever it returns or throws', 'delivered'],
    ['that finds no room, no memory, no object, or other types, is refused', 'refused'],
    ['that never was one counts nowhere', 'not counted'],
    ['that finds no room and may be dropped is dropped', 'dropped'],
    ['whose caller gives up is expired, and never delivered as well', 'expired'],
    ['that waits is sent and nothing else; a call counts at its end', 'waiting'],
  ])('%s', (_, name) => host(name));
});

describe('the counters', () => {
  it.each([
    ['say how full a mailbox was, and how long a thread waited', 'extremes'],
    ['are written as far as the struct is long', 'sizes'],
    ['of all shards add up to what eight threads were told', 'threads'],
    ['are the same in JavaScript', 'as in JavaScript'],
  ])('%s', (_, name) => host(name));
});

/** Runs a case of the host that closes the registry, and looks at its numbers after the end. */
async function atTheEnd(name: string, look: string) {
  const source = `
    import assert from 'node:assert/strict';
    import { Registry, runHost } from 'haft';
    import counters from ${JSON.stringify(logicFile('counters.mjs'))};
    const registry = new Registry();
    counters(registry);
    const shardOf = (name) => registry.find(name) % 16;
    const fourth = shardOf('the fourth closes');
    assert.equal(await runHost(${JSON.stringify(built('counters.so'))}, registry, [${JSON.stringify(name)}]), 0);
    const { shards, ...sum } = registry.stats();
    const short = ({ sent, delivered, refused, dropped, expired }) => [sent, delivered, refused, dropped, expired];
    const add = (a, b) => a.map((n, i) => n + b[i]);
    assert.equal(shards.length, 16);
    for (const shard of [...shards, sum]) {
      assert.equal(shard.sent, shard.delivered + shard.refused + shard.dropped + shard.expired);
    }
    assert.deepEqual(shards.map(short).reduce(add), short(sum));
    assert.equal(sum.live, 0);
    ${look}
    registry.close();
    assert.deepEqual(registry.stats(), { shards, ...sum });
    await new Promise((resolve) => setTimeout(resolve, 5));
    assert.deepEqual(registry.stats(), { shards, ...sum });
    new Registry(); // takes the place of the old one
    assert.deepEqual(registry.stats(), { shards, ...sum });
  `;
  return expectExit(await script(source));
}

describe('after close', () => {
  it('calls that waited for an answer are refused', () =>
    atTheEnd(
      'closed while calls wait',
      'assert.deepEqual(short(shards[fourth]), [4, 0, 4, 0, 0]); assert.equal(sum.refused, 4);',
    ));

  it('posts that waited are refused, and what was counted before stays', () =>
    atTheEnd(
      'closed with posts',
      `
      const [sent] = short(sum);
      const full = shards.find(({ dropped }) => dropped > 0);
      assert.deepEqual(short(full), [1025, 11, 1024 - 10 - 11, 1, 10]);
      assert.equal(sum.refused, full.refused);
      assert.equal(full.highestFill, 1024);
      assert.equal(full.longestWaitMilliseconds, 0);
      assert.equal(sent > 1025, true);
      `,
    ));
});

/** C that is called through koffi, on JavaScript's own thread; `act` and its numbers are in logic/same-thread.mjs. */
const ownThread = (body: string) =>
  script(`
    import assert from 'node:assert/strict';
    import { kind, Registry } from 'haft';
    import koffi from 'koffi';
    const registry = new Registry();
    const library = koffi.load('build/Release/same_thread.so');
    assert.equal(library.func('int32_t use_api(void *api)')(registry.apiAddress), 0);
    const act = library.func('double act(int32_t what, uint64_t h, uint32_t op, double n)');
    const ops = koffi.load('build/Release/op_of.so');
    ops.func('int32_t use_api(void *api)')(registry.apiAddress);
    const opOf = ops.func('uint32_t op_of(uint64_t h, const char *name)');
    const [CALL, POST, POST_BLOCK, BIG] = [0, 1, 2, 8];
    class Counted {
      add(n) { return n; }
      fail() { throw new Error('wanted'); }
      promise() { return Promise.resolve(1); }
      text(text) { return text; }
    }
    const number = { args: ['f64'], returns: 'f64' };
    const text = { args: ['str'], returns: 'str' };
    const handle = registry.create(new Counted(), kind(Counted, { add: number, fail: number, promise: number, text }));
    const [add, fail, promise, big] = ['add', 'fail', 'promise', 'text'].map((name) => opOf(handle, name));
    const counts = () => {
      const { sent, delivered, refused, dropped, expired } = registry.stats().shards[handle % 16];
      return [sent, delivered, refused, dropped, expired];
    };
    ${body}
  `);

describe('on JavaScript’s own thread', () => {
  it('a call is counted as everywhere', async () => {
    const ended = await ownThread(`
      registry.useKoffi(koffi);
      assert.equal(act(CALL, handle, add, 5), 5);
      assert.deepEqual(counts(), [1, 1, 0, 0, 0]);
      assert.equal(act(CALL, handle, fail, 5), -13);
      assert.equal(act(CALL, handle, promise, 5), -15);
      assert.deepEqual(counts(), [3, 3, 0, 0, 0]);
      assert.equal(act(CALL, handle, big, 5), -17);
      assert.deepEqual(counts(), [4, 3, 1, 0, 0]);
      assert.equal(act(BIG, handle, big, 100_000), 100_000);
      assert.deepEqual(counts(), [5, 4, 1, 0, 0]);
    `);
    expectExit(ended);
  });

  it('a post that may not wait for room there is refused', async () => {
    const ended = await ownThread(`
      for (let i = 0; i < 1024; i++) assert.equal(act(POST, handle, add, 1), 0);
      assert.deepEqual(counts(), [1024, 0, 0, 0, 0]);
      assert.equal(act(POST, handle, add, 1), -9);
      assert.deepEqual(counts(), [1025, 0, 1, 0, 0]);
      assert.equal(act(POST_BLOCK, handle, add, 1), -15);
      assert.deepEqual(counts(), [1026, 0, 2, 0, 0]);
    `);
    expectExit(ended);
  });

  it('a call that koffi’s stack cannot make is refused', async () => {
    const ended = await ownThread(`
      assert.equal(act(CALL, handle, add, 5), -21);
      assert.deepEqual(counts(), [1, 0, 1, 0, 0]);
    `);
    expectExit(ended);
  });

  it('and leaves no memory taken', async () => {
    const ended = await ownThread(`
      for (let i = 0; i < 100; i++) assert.equal(act(BIG, handle, big, 1 << 20), -21); // 100 MiB, and there are 64
      registry.useKoffi(koffi);
      assert.equal(act(BIG, handle, big, 1 << 20), 1 << 20);
    `);
    const { stdout, stderr } = expectExit(ended);
    expect(stdout + stderr).toBe('');
  });
});
