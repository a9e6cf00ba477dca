// HAFTCHECK: what each level refuses, what level 2 reports, and how "2,abort" ends. The C is hosts/checks.c; each program runs
// in a process of its own, since the level is one a process.
import { describe, expect, it } from 'vitest';
import { brokenMirror } from '../dist/debugging/invariants.js';
import { Block, Mirror } from '../dist/mirror.js';
import { built, type Ended, expectExit, script } from './support/child.js';

const PRELUDE = `
  import koffi from 'koffi';
  import { Registry, kind } from 'haft';
  const library = koffi.load(${JSON.stringify(built('checks.so'))});
  const act = library.func('double act(int32_t what, uint64_t h, uint32_t op, double n)');
  const [RETAIN, RELEASE, POST, POST_TEXT, CALL, TAKE_RESULT, FREE_WRONG, RELEASE_ELSEWHERE, CHECK] = Array(9).keys();
  class Counter {
    add(n) { return n; }
    other() { return this.given; }
  }
  const CounterKind = kind(Counter, {
    add: { args: ['f64'], returns: 'f64' }, other: { returns: 'handle' },
  });
  const registry = new Registry().useKoffi(koffi);
  library.func('int32_t use_api(uintptr_t api)')(registry.apiAddress);
  const counter = new Counter();
  const h = registry.create(counter, CounterKind);
  const statusOf = (work) => { try { work(); return 0; } catch (error) { return error.code; } };
`;

async function program(source: string, check = '2', env: Record<string, string> = {}): Promise<Ended> {
  return script(PRELUDE + source, [], { env: { HAFTCHECK: check, ...env } });
}
const told = (ended: Ended) => JSON.parse(expectExit(ended).stdout);

const FORGED = -1;
const STALE = -2;
const ARGUMENT = -17;
const RESULT = -14;
const OWNER = -27;
const DETACHED = -29;

describe.each(['addon', 'koffi'])('level 2 over %s', (backend) => {
  const env = { HAFT_BACKEND: backend };

  it('lets each side give back its own references, and no others', async () => {
    const source = `
      const statuses = [act(RELEASE, h, 0, 0), act(RETAIN, h, 0, 0), act(RELEASE, h, 0, 0), act(RELEASE, h, 0, 0)];
      act(RETAIN, h, 0, 0);
      registry.release(h);
      const script = statusOf(() => registry.release(h));
      const { owned } = registry.historyOf(h);
      const last = act(RELEASE, h, 0, 0);
      console.log(JSON.stringify({ statuses, script, owned, last }));`;
    const ended = await program(source, '2', env);
    expect(told(ended)).toEqual({
      statuses: [OWNER, 0, 0, OWNER],
      script: 'HAFT_E_OWNER',
      owned: { script: 0, native: 1 },
      last: 0,
    });
    expect(ended.stderr.match(/^haft: pointer rule 3 broken: HAFT_E_OWNER in haft_release/gm)).toHaveLength(
      2,
    );
  });

  it('goes on counting who owns what when the object of a weak handle was collected', async () => {
    const source = `
      import { setFlagsFromString } from 'node:v8';
      import { runInNewContext } from 'node:vm';
      setFlagsFromString('--expose-gc');
      const gc = runInNewContext('gc');
      const weak = (() => registry.weak(new Counter(), CounterKind))();
      const transferred = (() => registry.transfer(registry.weak(new Counter(), CounterKind)))();
      act(RETAIN, weak, 0, 0);
      act(RETAIN, weak, 0, 0);
      while (registry.has(weak) || registry.has(transferred)) {
        await new Promise(setImmediate);
        gc();
      }
      const before = registry.historyOf(weak).owned;
      const statuses = [0, 0, 0].map(() => act(RELEASE, weak, 0, 0));
      const { owned, ended } = registry.historyOf(weak);
      registry.release(weak);
      counter.given = transferred;
      const given = [act(TAKE_RESULT, h, 0, 0), act(TAKE_RESULT, h, 0, 0)];
      console.log(JSON.stringify({ before, statuses, owned, ended, given, check: act(CHECK, weak, 0, 0) }));`;
    const ended = await program(source, '2', env);
    expect(told(ended)).toEqual({
      before: { script: 1, native: 2 },
      statuses: [0, 0, OWNER],
      owned: { script: 1, native: 0 },
      ended: false,
      given: [0, RESULT], // the reference that was transferred goes with the first; JavaScript owns no other
      check: STALE,
    });
    expect(ended.stderr).toContain('native code owns none of the 1 reference of the handle');
  });

  it('counts a result as native code’s, and gives none away that JavaScript does not own', async () => {
    const source = `
      counter.given = registry.create({});
      const first = act(TAKE_RESULT, h, 0, 0);
      counter.given = registry.create({});
      act(RETAIN, counter.given, 0, 0);
      registry.release(counter.given);
      console.log(JSON.stringify([first, act(TAKE_RESULT, h, 0, 0)]));`;
    expect(told(await program(source, '2', env))).toEqual([0, RESULT]);
  });

  it('counts references with labels as any other, each side its own', async () => {
    const source = `
      registry.transfer(registry.retainAs(h, 'cache'));
      const first = [statusOf(() => registry.releaseAs(h, 'cache')), statusOf(() => registry.retainAs(h, 'queue'))];
      registry.transfer(h);
      const { owned, references } = registry.historyOf(h);
      const script = statusOf(() => registry.releaseAs(h, 'queue'));
      console.log(JSON.stringify({ first, owned, script, what: references.map(({ what }) => what) }));`;
    const { what, ...rest } = told(await program(source, '2', env));
    expect(rest).toEqual({ first: [0, 0], owned: { script: 0, native: 2 }, script: 'HAFT_E_OWNER' });
    expect(what).toEqual(['retainAs', 'transfer', 'releaseAs', 'retainAs', 'transfer']);
  });

  it('lets a weak handle be released whose object was collected, as often as it has references', async () => {
    const source = `
      const weak = (() => registry.weak(new Counter(), CounterKind))();
      act(RETAIN, weak, 0, 0);
      act(RETAIN, weak, 0, 0);
      while (registry.tryGet(weak) !== undefined) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        gc();
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      const { owned } = registry.historyOf(weak);
      const statuses = [1, 2, 3].map(() => act(RELEASE, weak, 0, 0));
      console.log(JSON.stringify({ owned, statuses }));`;
    expect(told(await program(source, '2', env))).toEqual({
      owned: { script: 1, native: 2 },
      statuses: [0, 0, OWNER],
    });
  });

  it('refuses a value that is not of the op’s type when it is sent', async () => {
    const ended = await program('console.log(act(POST_TEXT, h, 0, 0));', '2', env);
    expect(told(ended)).toBe(ARGUMENT);
    expect(ended.stderr).toContain('haft: pointer rule 7 broken: HAFT_E_ARGUMENT in haft_post(Counter.add)');
  });

  it('says who made the handle, who ended it and where', async () => {
    const source = `
      function makeConnection() { return registry.create(new Counter(), CounterKind); }
      function dropConnection(handle) { registry.release(handle); }
      const connection = makeConnection();
      dropConnection(connection);
      registry.drain();
      act(POST, connection, CounterKind.number << 16, 1);
      try { registry.get(connection); } catch (error) {
        if (error.message.includes('makeConnection')) throw new Error('the message changed');
        console.log(error.stack);
      }`;
    const { stdout, stderr } = expectExit(await program(source, '2', env));
    for (const text of [stdout, stderr]) {
      expect(text).toContain('makeConnection');
      expect(text).toContain('dropConnection');
    }
    expect(stderr).toMatch(/^haft: pointer rule 2 broken: HAFT_E_STALE in haft_post\(Counter\.add\)/m);
    expect(stderr).toMatch(/^ {2}ended +release, \d+\.\d+ s ago/m);
    expect(stderr).toContain('  see      docs/pointer-rules.md, rule 2');
    for (const line of stderr.split('\n')) expect(line.length, line).toBeLessThanOrEqual(100);
  });

  it('reports 32 breaches, and says that it stops there', async () => {
    const source = 'for (let i = 0; i < 100; i++) act(RELEASE, 42, 0, 0);';
    const { stderr } = expectExit(await program(source, '2', env));
    expect(stderr.match(/^haft: pointer rule 1 broken/gm)).toHaveLength(32);
    expect(stderr.match(/^haft: further breaches are not told$/gm)).toHaveLength(1);
  });

  it('reports nothing of functions that only ask, nor of a closed realm', async () => {
    const source = `
      console.log(act(CHECK, 42, 0, 0));
      registry.close();
      act(RETAIN, h, 0, 0);`;
    const ended = await program(source, '2', env);
    expect(told(ended)).toBe(FORGED);
    expect(ended.stderr).toBe('');
  });

  it('with "2,abort" ends the process at the breach, with the report', async () => {
    const ended = await program('act(RELEASE, 42, 0, 0); console.log("not reached");', '2,abort', env);
    expect(ended).toMatchObject({ code: null, signal: 'SIGABRT', stdout: '' });
    expect(ended.stderr).toMatch(/^haft: pointer rule 1 broken: HAFT_E_FORGED in haft_release/);
  });

  it('with "2,abort" throws in JavaScript as ever', async () => {
    const source = 'registry.delete(h); console.log(JSON.stringify(statusOf(() => registry.get(h))));';
    expect(told(await program(source, '2,abort', env))).toBe('HAFT_E_STALE');
  });

  it('reports a free of what is no result', async () => {
    const ended = await program('console.log(act(FREE_WRONG, 0, 0, 0));', '2', env);
    expect(told(ended)).toBe(OWNER);
    expect(ended.stderr).toContain('haft: pointer rule 4 broken: HAFT_E_OWNER in haft_value_free');
  });
});

describe('level 2', () => {
  it('says where in C a breach is, and who was the last to use the handle', async () => {
    const source = `
      act(POST, h, 0, 1);
      act(RELEASE_ELSEWHERE, h, 0, 0);
      console.log(JSON.stringify(registry.historyOf(h)));`;
    const ended = await program(source);
    expect(ended.stderr).toMatch(/^ {2}here {5}checks\.so\+0x[0-9a-f]+$/m);
    const { created, lastUse } = told(ended);
    expect(lastUse.what).toBe('haft_post(Counter.add)');
    expect(lastUse.stack[0]).toMatch(/act|checks\.so/);
    expect(lastUse.at).toBeGreaterThan(created.at);
  });

  it('keeps the latest 16 references of a handle', async () => {
    const source = `
      for (let i = 0; i < 100; i++) registry.retain(h);
      console.log(registry.historyOf(h).references.length);`;
    expect(told(await program(source))).toBe(16);
  });

  it('overwrites the bytes of a view before their memory is given back', async () => {
    // The views are left attached, to see what is beneath them.
    const source = `
      import { backend } from ${JSON.stringify(built('../../dist/backend.js'))};
      const { open } = backend();
      backend().open = (...args) => Object.assign(open(...args), { detach() {} });
      const other = new Registry().useKoffi(koffi);
      class Sink { take(view) { this.kept = view; this.seen = view[0]; } }
      const sink = new Sink();
      const handle = other.create(sink, kind(Sink, { take: { args: ['bytes'], views: true } }));
      library.func('int32_t send_bytes(uint64_t h)')(handle);
      other.drain();
      console.log(JSON.stringify([sink.seen, ...new Set(sink.kept)]));`;
    expect(told(await program(source))).toEqual([1, 0xdb]);
  });

  it.each(['0', '1', '2'])(
    'a view that is returned after its handler is HAFT_E_DETACHED (level %s)',
    async (level) => {
      const source = `
      class Sink { take(view) { this.kept = view; } add() { return this.kept; } }
      const SinkKind = kind(Sink, {
        take: { args: ['bytes'], views: true }, add: { args: ['f64'], returns: 'bytes' },
      });
      const handle = registry.create(new Sink(), SinkKind);
      library.func('int32_t send_bytes(uint64_t h)')(handle);
      registry.drain();
      console.log(act(CALL, handle, 0, 1));`;
      expect(told(await program(source, level))).toBe(DETACHED);
    },
  );

  it.each([
    ['2', { code: 0, signal: null }],
    ['2,abort', { code: null, signal: 'SIGABRT' }],
  ])('names what is wrong with the table after a drain (%s)', async (level, end) => {
    // Somebody writes into memory that is not theirs: the word of a slot becomes LIVE without a reference.
    const source = `
      import { backend } from ${JSON.stringify(built('../../dist/backend.js'))};
      const { open } = backend();
      let slots;
      backend().open = (...args) => {
        const native = open(...args);
        const { takeBlock } = native;
        native.takeBlock = () => { const taken = takeBlock(); slots = new Int32Array(taken); return taken; };
        return native;
      };
      const other = new Registry();
      other.on('error', (error, { op }) => console.log(JSON.stringify([error.code, op])));
      const victim = other.create({});
      other.drain();
      slots[(victim % 1024) * 4] &= ~0x3fffff;
      other.drain();
      slots[(victim % 1024) * 4] |= 1;
      other.drain();`;
    const ended = await program(source, level);
    expect(ended, ended.stderr).toMatchObject(end);
    expect(ended.stdout).toBe(level === '2' ? '["HAFT_E_INTERNAL","drain"]\n' : '');
    expect(ended.stderr).toMatch(
      /^haft: the table is broken\n {2}what +slot \d+:\d+ is LIVE without a reference$/m,
    );
  });
});

describe('the level of the process', () => {
  const LEVEL =
    'const levelOf = (of) => [of.report().checkLevel, of.historyOf(of.create({})) === undefined ? 0 : 2];';

  it.each(['addon', 'koffi'])(
    'is what stands in the environment when the first registry opens (%s)',
    async (backend) => {
      const source = `
      import { Registry } from 'haft';
      ${LEVEL}
      process.env.HAFTCHECK = '2';
      const seen = [levelOf(new Registry())];
      process.env.HAFTCHECK = '7';
      seen.push(levelOf(new Registry()));
      console.log(JSON.stringify(seen));`;
      const env = { HAFT_BACKEND: backend, HAFTCHECK: '' };
      expect(told(await script(source, [], { env }))).toEqual([
        [2, 2],
        [2, 2],
      ]);
    },
  );

  it.each(['0', '2', '7'])('is no other in a worker whose environment says %s', async (own) => {
    const inWorker = `
      import { parentPort } from 'node:worker_threads';
      import { Registry } from 'haft';
      ${LEVEL}
      parentPort.postMessage(levelOf(new Registry()));`;
    const source = `
      import { Registry } from 'haft';
      import { Worker } from 'node:worker_threads';
      new Registry();
      const worker = new Worker(${JSON.stringify(inWorker)}, { eval: true, env: { HAFTCHECK: '${own}' } });
      worker.on('message', (seen) => { console.log(JSON.stringify(seen)); process.exit(); });`;
    expect(told(await script(source, [], { env: { HAFTCHECK: '1' } }))).toEqual([1, 0]);
  });
});

describe('from level 1 on', () => {
  it.each(['1', '2'])(
    'a handler that returns a handle that has ended is HAFT_E_RESULT (level %s)',
    async (level) => {
      const source = `
      counter.given = registry.create({});
      registry.delete(counter.given);
      console.log(act(TAKE_RESULT, h, 0, 0));`;
      expect(told(await program(source, level))).toBe(RESULT);
    },
  );

  it('and at level 0 C has to see by itself', async () => {
    const source = `
      counter.given = registry.create({});
      registry.delete(counter.given);
      console.log(act(TAKE_RESULT, h, 0, 0));`;
    expect(told(await program(source, '0'))).toBe(STALE);
  });

  it.each(['0', '1'])('below level 2 nothing is kept, and nothing is reported (level %s)', async (level) => {
    const ended = await program(
      'act(RELEASE, 42, 0, 0); console.log(JSON.stringify(registry.historyOf(h) ?? null));',
      level,
    );
    expect(told(ended)).toBeNull();
    expect(ended.stderr).toBe('');
  });
});

describe('the mirror', () => {
  const STRIDE = 4;
  const noWeak = () => undefined;
  function whole(): { mirror: Mirror; block: Block; slot: number; handle: number } {
    const mirror = new Mirror(5, 2 ** 26 - 1);
    const block = new Block(new Int32Array(1024 * STRIDE));
    mirror.addBlock(5, block);
    const handle = mirror.publish({}, 3);
    return { mirror, block, slot: handle % 1024, handle };
  }

  it('is whole as it is made', () => {
    expect(brokenMirror(whole().mirror, noWeak)).toBeUndefined();
  });

  it.each<[string, (of: ReturnType<typeof whole>) => void, RegExp]>([
    [
      'a handle in a free slot',
      ({ block, slot }) => (block.words[slot * STRIDE + 1] = 0),
      /is FREE, and the mirror has/,
    ],
    [
      'a live slot without a handle',
      ({ block, slot }) => (block.handles[slot] = Number.NaN),
      /is LIVE, and the mirror has no/,
    ],
    [
      'another generation',
      ({ block, slot }) => (block.words[slot * STRIDE + 1]! += 64),
      /is handle \d+, and handle \d+/,
    ],
    [
      'another kind',
      ({ block, slot }) => (block.kinds[slot] = 4),
      /is of kind 3, and of kind 4 in the mirror/,
    ],
    ['a wrong count of handles', ({ mirror }) => mirror.live++, /has 1 handles and counts 2/],
    ['a wrong count of slots', ({ mirror }) => (mirror.slots += 1), /has 1 blocks and counts 1025/],
    ['a slot that is free twice', ({ mirror }) => mirror.giveBack(mirror.free[0]!), /free slots twice/],
    [
      'a used slot that is free',
      ({ mirror, handle }) => mirror.giveBack(handle % 2 ** 26),
      /free slots, and LIVE/,
    ],
    ['a free slot of nobody’s', ({ mirror }) => mirror.giveBack(99 << 10), /its block is not ours/],
  ])('names %s', (_, harm, text) => {
    const made = whole();
    harm(made);
    expect(brokenMirror(made.mirror, noWeak)).toMatch(text);
  });
});
