// HAFT_TRACE: the file is what viewers read, and says what the program did, no more and no less.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { built, expectExit, haft, root, run, script } from './support/child.js';
import { faultsOf, parseTrace, type TraceEvent } from './support/trace-schema.js';

let folder: string;
let count = 0;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'haft-trace-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const newFile = () => join(folder, `${count++}.json`);

/** The events of a file that is as it should be. */
function traceOf(file: string): TraceEvent[] {
  const events = parseTrace(readFileSync(file, 'utf8'));
  expect(faultsOf(events)).toEqual([]);
  return events;
}

const named = (events: readonly TraceEvent[], name: string) => events.filter((event) => event.name === name);
const ofCategory = (events: readonly TraceEvent[], cat: string) =>
  events.filter((event) => event.cat === cat);
const threadName = (events: readonly TraceEvent[], tid: number) =>
  named(events, 'thread_name').find((event) => event.tid === tid)?.args.name;

describe('native threads and JavaScript', () => {
  const threads = 3;
  const posts = 400;
  const calls = 25;
  let events: TraceEvent[];
  beforeAll(async () => {
    const file = newFile();
    writeFileSync(file, 'what an earlier run left');
    const args = [threads, posts, calls].map(String);
    expectExit(await run('tracing', 'tracing.mjs', args, { env: { HAFT_TRACE: file } }));
    events = traceOf(file);
  });

  it('as many posts and calls as the program made, each with handle and status, on the threads that made them', () => {
    const post = named(events, 'post Counter.note');
    const call = named(events, 'call Counter.add');
    expect(post).toHaveLength(threads * posts);
    expect(call).toHaveLength(threads * calls + 1);
    const handles = new Set(post.map((event) => event.args.handle));
    expect(handles.size).toBe(1);
    expect(new Set(post.map((event) => event.args.status))).toEqual(new Set(['HAFT_OK']));
    const wrong = call.filter((event) => event.args.status !== 'HAFT_OK');
    expect(wrong.map((event) => event.args)).toEqual([{ status: 'HAFT_E_FORGED', handle: '42' }]);
    const senders = new Set(post.map((event) => event.tid));
    expect(senders.size).toBe(threads);
    const names = [...senders].map((tid) => threadName(events, tid));
    for (const [i, tid] of [...senders].entries())
      expect(names[i]).toMatch(new RegExp(`^native worker "\\d" ${tid}$`));
  });

  it('a handler for each message, inside a drain, on JavaScript’s thread', () => {
    const handlers = ofCategory(events, 'handler');
    expect(named(handlers, 'Counter.note')).toHaveLength(threads * posts);
    expect(named(handlers, 'Counter.add')).toHaveLength(threads * calls);
    const drains = named(events, 'drain');
    const sum = drains.reduce((all, event) => all + Number(event.args.messages), 0);
    expect(sum).toBe(threads * (posts + calls));
    const [main] = new Set(drains.map((event) => event.tid));
    expect(threadName(events, main!)).toBe('JavaScript');
    for (const handler of handlers) {
      expect(handler.tid).toBe(main);
      const inside = drains.some(
        (drain) => drain.ts <= handler.ts && handler.ts + handler.dur! <= drain.ts + drain.dur! + 0.002,
      );
      expect(inside).toBe(true);
    }
    const post = named(events, 'post Counter.note');
    expect(handlers[0]!.args.handle).toBe(post[0]!.args.handle);
  });

  it('one clock: no handler of a call runs outside of the time that its caller waited', () => {
    const waits = named(events, 'call Counter.add').map(({ ts, dur }) => [ts, ts + dur!] as const);
    for (const { ts, dur } of named(ofCategory(events, 'handler'), 'Counter.add'))
      expect(waits.some(([from, to]) => from <= ts && ts + dur! <= to)).toBe(true);
  });

  it('registries, collections, references, names, waits, and how full the mailboxes are', () => {
    const opened = named(events, 'open registry').map((event) => event.args.realm);
    expect(opened).toHaveLength(2);
    expect(
      named(events, 'close registry')
        .map((event) => event.args.realm)
        .sort(),
    ).toEqual([...opened].sort());
    const collected = named(events, 'collect');
    expect(collected.map((event) => event.ph)).toEqual(['b', 'e']);
    expect(collected[1]!.args).toEqual({ reclaimed: 0, live: 0 });
    expect(named(events, 'find counter')).toHaveLength(1);
    expect(named(events, 'wait')).toHaveLength(1);
    const retains = named(events, 'retain');
    expect(retains).toHaveLength(threads);
    expect(retains[0]!.args).toMatchObject({ label: 'a "label"\n', status: 'HAFT_OK' });
    expect(named(events, 'release')).toHaveLength(threads + 1);
    const fill = events.filter((event) => event.ph === 'C').map((event) => Number(event.args.cells));
    expect(Math.max(...fill)).toBeGreaterThan(0);
    expect(Math.min(...fill)).toBe(0);
  });

  it('nothing of a forked child', () => {
    const pids = new Set(events.map((event) => event.pid));
    expect(pids.size).toBe(1);
  });
});

it('functions of the host: what was exposed, and each answer inside of the call that its thread waits in', async () => {
  const file = newFile();
  const args = ['1', '1', '1', 'functions'];
  expectExit(await run('tracing', 'tracing.mjs', args, { env: { HAFT_TRACE: file } }));
  const events = traceOf(file);
  for (const name of ['answer', 'refuse'])
    expect(named(events, `expose ${name}`)).toMatchObject([{ args: { status: 'HAFT_OK' } }]);
  expect(named(events, 'expose ')).toMatchObject([{ args: { status: 'HAFT_E_ARGUMENT' } }]);
  const [value] = named(events, 'reply_value');
  const [error] = named(events, 'reply_error');
  expect(value!.args).toEqual({ status: 'HAFT_OK' });
  expect(error!.args).toEqual({ status: 'HAFT_OK', message: 'of "its" own' });
  const around = events.find((event) => event.cat === 'native' && /^call fn/.test(event.name));
  for (const answer of [value!, error!]) {
    expect(answer.tid).toBe(around!.tid);
    expect(around!.ts <= answer.ts && answer.ts + answer.dur! <= around!.ts + around!.dur!).toBe(true);
  }
});

describe('the schema can fail', () => {
  const event = (more: Partial<TraceEvent>): TraceEvent => ({
    ph: 'X',
    cat: 'native',
    name: 'post',
    pid: 1,
    tid: 1,
    ts: 0,
    dur: 10,
    args: {},
    ...more,
  });

  it.each<[string, TraceEvent[]]>([
    ['no phase of ours', [event({ ph: 'Z' })]],
    ['a negative duration', [event({ dur: -1 })]],
    ['no tid', [event({ tid: 0 })]],
    ['reaches beyond', [event({}), event({ ts: 5 })]],
    ['no scope', [event({ ph: 'i', s: 'x' })]],
    ['a counter of no numbers', [event({ ph: 'C', args: { cells: 'many' } })]],
    ['ended before it began', [event({ ph: 'e', id: '1' })]],
    ['never ended', [event({ ph: 'b', id: '1' })]],
  ])('%s', (fault, events) => {
    expect(faultsOf(events).join('\n')).toContain(fault);
  });

  it('spans of several threads, or inside one another, are right', () => {
    expect(
      faultsOf([event({}), event({ ts: 5, tid: 2 }), event({ ts: 2, dur: 8 }), event({ ts: 10 })]),
    ).toEqual([]);
  });

  it.each(['', '[\n{"ph":"X"},', '[\n{"ph":"X"}\n', '[\n{"ph\n'])('%j is no trace', (text) => {
    expect(() => parseTrace(text)).toThrow();
  });
});

describe('several threads of JavaScript', () => {
  it('two registries and a worker: each thread has its name, each realm its track', async () => {
    const file = newFile();
    const source = `
      import { Registry } from 'haft';
      import { Worker } from 'node:worker_threads';
      const body = \`
        import('haft').then(({ Registry }) => {
          const registry = new Registry();
          registry.drain();
          registry.close();
        });\`;
      const registries = [new Registry(), new Registry()];
      const worker = new Worker(body, { eval: true });
      worker.on('exit', (code) => {
        for (const registry of registries) registry.close();
        process.exitCode = code;
      });`;
    expectExit(await script(source, [], { env: { HAFT_TRACE: file } }));
    const events = traceOf(file);
    const names = named(events, 'thread_name').map((event) => event.args.name);
    expect(names.sort()).toEqual(['JavaScript', 'JavaScript worker 1']);
    const opened = named(events, 'open registry');
    expect(new Set(opened.map((event) => event.args.realm)).size).toBe(3);
    const [drain] = named(events, 'drain');
    expect(threadName(events, drain!.tid)).toBe('JavaScript worker 1');
    expect(named(events, 'close registry')).toHaveLength(3);
  });

  it('batches, retries, promises, and calls on the thread itself have their handlers', async () => {
    const file = newFile();
    const source = `
      import { Registry, kind } from 'haft';
      import koffi from 'koffi';
      const library = koffi.load(${JSON.stringify(built('messages.so'))});
      const post = library.func('int32_t post_number(uint64_t h, uint32_t op, double n)');
      const call = library.func('int32_t call_number(uint64_t h, uint32_t op, double n, _Out_ double *result)');
      class Batched { add(batch) { this.n = batch.length; } }
      class Plain { twice(n) { return 2 * n; } async later(n) {} fails(n) { throw new Error('no'); } }
      const BatchedKind = kind(Batched, { add: { args: ['f64'] } }, { batch: { max: 5, withinMilliseconds: 0 } });
      const PlainKind = kind(Plain, {
        twice: { args: ['f64'], returns: 'f64' }, later: { args: ['f64'] }, fails: { args: ['f64'] },
      });
      const registry = new Registry().useKoffi(koffi).on('error', () => {});
      library.func('int32_t use_api(void *api)')(registry.apiAddress);
      const batched = registry.create(new Batched(), BatchedKind);
      const plain = registry.create(new Plain(), PlainKind);
      const op = (kind, i) => kind.number * 0x10000 + i;
      for (let i = 0; i < 10; i++) post(batched, op(BatchedKind, 0), i);
      post(plain, op(PlainKind, 1), 1);
      post(plain, op(PlainKind, 2), 1);
      const out = [0];
      if (call(plain, op(PlainKind, 0), 4, out) !== 0 || out[0] !== 8) throw new Error('call');
      registry.drain();
      registry.close();`;
    expectExit(await script(source, [], { env: { HAFT_TRACE: file, HAFTCHECK: '2' } }));
    const events = traceOf(file);
    const handlers = ofCategory(events, 'handler');
    expect(named(handlers, 'Batched.add')).toHaveLength(2);
    expect(named(handlers, 'Plain.later')).toHaveLength(1);
    expect(named(handlers, 'Plain.fails')).toHaveLength(1);
    const [call] = named(events, 'call Plain.twice');
    const [handler] = named(handlers, 'Plain.twice');
    expect(handler!.tid).toBe(call!.tid);
    expect(handler!.ts).toBeGreaterThanOrEqual(call!.ts);
    expect(handler!.ts + handler!.dur!).toBeLessThanOrEqual(call!.ts + call!.dur!);
    expect(named(events, 'post Batched.add')).toHaveLength(10);
  });
});

describe('the koffi backend', () => {
  it('JavaScript’s own events alone', async () => {
    const file = newFile();
    const env = { HAFT_TRACE: file, HAFT_BACKEND: 'koffi' };
    const source = `
      import { Registry, kind } from 'haft';
      import koffi from 'koffi';
      const library = koffi.load(${JSON.stringify(built('messages.so'))});
      class Plain { note(n) {} }
      const PlainKind = kind(Plain, { note: { args: ['f64'] } });
      const registry = new Registry();
      library.func('int32_t use_api(void *api)')(registry.apiAddress);
      const plain = registry.create(new Plain(), PlainKind);
      const post = library.func('int32_t post_number(uint64_t h, uint32_t op, double n)');
      for (let i = 0; i < 7; i++) post(plain, PlainKind.number * 0x10000, i);
      registry.drain();
      registry.close();`;
    expectExit(await script(source, [], { env }));
    const events = traceOf(file);
    expect(named(ofCategory(events, 'handler'), 'Plain.note')).toHaveLength(7);
    expect(named(events, 'drain').some((event) => event.args.messages === 7)).toBe(true);
    expect(ofCategory(events, 'native')).toEqual([]);
    expect(named(events, 'thread_name').map((event) => event.args.name)).toEqual(['JavaScript']);
  });
});

describe('the file', () => {
  it('%p is the process', async () => {
    const own = mkdtempSync(join(folder, 'pid-'));
    const env = { HAFT_TRACE: join(own, 'trace-%p-%p.json') };
    const { stdout } = expectExit(
      await script("import { Registry } from 'haft'; new Registry().close(); console.log(process.pid);", [], {
        env,
      }),
    );
    const pid = stdout.trim();
    expect(readdirSync(own)).toEqual([`trace-${pid}-${pid}.json`]);
    expect(traceOf(join(own, `trace-${pid}-${pid}.json`))[0]!.pid).toBe(Number(pid));
  });

  it.each(['addon', 'koffi'])(
    'one that cannot be written is an error of the first registry: %s',
    async (backend) => {
      const env = { HAFT_TRACE: join(folder, 'nowhere', 'trace.json'), HAFT_BACKEND: backend };
      const source = `
      import { Registry } from 'haft';
      for (const _ of [1, 2]) {
        try { new Registry(); } catch ({ code, message }) { console.log(code, message); }
      }`;
      const lines = expectExit(await script(source, [], { env }))
        .stdout.trimEnd()
        .split('\n');
      expect(lines).toHaveLength(2);
      for (const line of lines) {
        expect(line).toMatch(/^HAFT_E_ARGUMENT .*nowhere\/trace\.json: (No such file|ENOENT)/);
        expect(line).toContain('give HAFT_TRACE the path of a file that can be made');
      }
    },
  );

  it('a process that is killed leaves a file of whole events', async () => {
    const file = newFile();
    const args = ['2', '3000', '20', 'hang'];
    const options = { env: { HAFT_TRACE: file }, kill: [['done\n', 'SIGKILL'] as [string, 'SIGKILL']] };
    const ended = await run('tracing', 'tracing.mjs', args, options);
    expect(ended.signal).toBe('SIGKILL');
    const events = parseTrace(readFileSync(file, 'utf8'));
    // Collections and calls may have begun and not ended; all else is as ever.
    expect(faultsOf(events).filter((fault) => !fault.startsWith('never ended'))).toEqual([]);
    expect(named(events, 'post Counter.note').length).toBeGreaterThan(0);
  });

  it('HAFT_TRACE_MEGABYTES: the trace ends there, and the program goes on', async () => {
    const file = newFile();
    const env = { HAFT_TRACE: file, HAFT_TRACE_MEGABYTES: '1' };
    const { stdout, stderr } = expectExit(await run('tracing', 'tracing.mjs', ['2', '9000', '1'], { env }));
    expect(stdout).toContain('done');
    expect(stderr).toMatch(
      /^haft: HAFT_TRACE: the trace ends here, it has 1 MB; HAFT_TRACE_MEGABYTES allows more\n$/,
    );
    const text = readFileSync(file, 'utf8');
    expect(text.length).toBeGreaterThan(800_000);
    expect(text.length).toBeLessThan(1_001_000);
    expect(parseTrace(text).at(-1)!.name).toBe('the trace is full');
  });

  it.each(['addon', 'koffi'])('without room for all of it has whole lines: %s', async (backend) => {
    const file = newFile();
    const source = `
      import { Registry } from 'haft';
      process.on('SIGXFSZ', () => {});
      const registry = new Registry();
      for (let i = 0; i < 2000; i++) registry.drain();
      registry.close();
      console.log('ended');`;
    const env = { ...process.env, NODE_OPTIONS: '', HAFT_TRACE: file, HAFT_BACKEND: backend };
    const limited = 'ulimit -f 32; exec "$0" --input-type=module --eval "$1"';
    const ended = spawnSync('sh', ['-c', limited, process.execPath, source], {
      cwd: root,
      encoding: 'utf8',
      env,
    });
    expect(ended.stdout).toBe('ended\n');
    expect(ended.stderr).toMatch(
      /^haft: HAFT_TRACE: the trace ends here, the file cannot be written: [^\n]+\n$/,
    );
    expect(traceOf(file).length).toBeGreaterThan(50);
  });

  it.each(['addon', 'koffi'])('HAFT_TRACE_MEGABYTES that is none: %s', async (backend) => {
    for (const wrong of ['0', '-1', '0.5', 'many']) {
      const env = { HAFT_TRACE: newFile(), HAFT_TRACE_MEGABYTES: wrong, HAFT_BACKEND: backend };
      const ended = await script("import { Registry } from 'haft'; new Registry();", [], { env });
      expect(expectExit(ended, 1).stderr).toContain(
        `HAFT_E_ARGUMENT: HAFT_TRACE_MEGABYTES is "${wrong}"; give a whole`,
      );
    }
  });

  it('has one clock whatever tests put in the place of timers', async () => {
    const file = newFile();
    const source = `
      import 'haft';
      import { Registry, kind } from 'haft';
      import koffi from 'koffi';
      process.hrtime.bigint = () => 0n;
      performance.now = () => 0;
      globalThis.setInterval = () => { throw new Error('of the tests'); };
      const library = koffi.load(${JSON.stringify(built('messages.so'))});
      class Plain { note(n) {} }
      const PlainKind = kind(Plain, { note: { args: ['f64'] } });
      const registry = new Registry();
      library.func('int32_t use_api(void *api)')(registry.apiAddress);
      const plain = registry.create(new Plain(), PlainKind);
      library.func('int32_t post_number(uint64_t h, uint32_t op, double n)')(plain, PlainKind.number * 65536, 1);
      registry.drain();
      const [{ created, lastUse }] = registry.report().handles;
      if (!(created.at > 0 && lastUse.at >= created.at && lastUse.agoMilliseconds < 60_000)) throw new Error(created.at);
      registry.close();`;
    expectExit(await script(source, [], { env: { HAFT_TRACE: file, HAFTCHECK: '2' } }));
    const events = traceOf(file);
    const [post] = named(events, 'post Plain.note');
    const [handler] = named(ofCategory(events, 'handler'), 'Plain.note');
    expect(handler!.ts).toBeGreaterThanOrEqual(post!.ts);
    expect(handler!.ts - post!.ts).toBeLessThan(60_000_000);
  });

  it.runIf(existsSync('/dev/full'))('a disk that is full ends the trace, not the program', async () => {
    const ended = await script("import { Registry } from 'haft'; new Registry();", [], {
      env: { HAFT_TRACE: '/dev/full' },
    });
    expect(ended.stderr).toContain('/dev/full: No space left on device');
    expect(ended.signal).toBeNull();
  });

  it('without the variable there is none, and the table of functions is the plain one', async () => {
    const own = mkdtempSync(join(folder, 'none-'));
    const source = `
      import { createRequire } from 'node:module';
      const addon = createRequire(import.meta.url)(${JSON.stringify(built('haft.node'))});
      console.log(typeof addon.trace);`;
    const run = spawnSync(process.execPath, ['--input-type=module', '--eval', source], {
      cwd: own,
      encoding: 'utf8',
      env: { ...process.env, HAFT_TRACE: '' },
    });
    expect(run.stdout).toBe('undefined\n');
    expect(readdirSync(own)).toEqual([]);
  });
});

it('the example: one post, two calls, one of them of no handle', async () => {
  const file = newFile();
  const host = join(folder, 'counter.so');
  const [cc, ...before] = (process.env.CC ?? 'cc').split(' ');
  const args = [...before, '-shared', '-fPIC', `-I${join(root, 'native', 'include')}`];
  expect(spawnSync(cc!, [...args, join(root, 'examples/counter/host.c'), '-o', host]).status).toBe(0);
  const logic = join(root, 'examples/counter/logic.js');
  const { stdout } = expectExit(await haft(['run', host, logic], { env: { HAFT_TRACE: file } }));
  expect(stdout).toBe('total: 4\n42: HAFT_E_FORGED\n');
  const events = traceOf(file);
  const native = ofCategory(events, 'native').sort((a, b) => a.ts - b.ts);
  expect(native.map(({ name, args }) => `${name}: ${args.status}`)).toEqual([
    'find counter: HAFT_OK',
    'post Counter.add: HAFT_OK',
    'call Counter.add: HAFT_OK',
    'release: HAFT_OK',
    'call Counter.add: HAFT_E_FORGED',
  ]);
  expect(ofCategory(events, 'handler').map(({ name }) => name)).toEqual(['Counter.add', 'Counter.add']);
});
