// haft.hpp: every class in a host written in C++, and what the compiler refuses.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Handle, kind, Registry, runHost, type Signature } from 'haft';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectExit, script } from './support/child.js';

const root = join(import.meta.dirname, '..');
const include = join(root, 'native', 'include');
const host = join(root, 'build', 'Release', 'hpp_cases.so');
const cxx = process.env.CXX ?? 'c++';

class Thing {}

/** The kind and the functions that test/hosts/hpp_cases.cpp looks up. */
function application() {
  const registry = new Registry();
  const twins: Handle[] = [];

  class Counter {
    total = 0;
    add(n: number) {
      this.total += n;
      return this.total;
    }
    reset() {
      this.total = 0;
    }
    name() {
      return 'Counter';
    }
    twin(): Handle {
      const twin = registry.create(new Counter(), CounterKind);
      twins.push(twin);
      return twin;
    }
    fail() {
      throw new Error('on purpose');
    }
    wrong(): number {
      return 0.5;
    }
  }
  const CounterKind = kind(Counter, {
    add: { args: ['f64'], returns: 'f64' },
    reset: {},
    name: { returns: 'str' },
    twin: { returns: 'handle' },
    fail: {},
    wrong: { returns: 'i32' },
  });

  const object = registry.create(new Thing(), kind(Thing, {}));
  registry.publish('object', object);
  registry.publish('counter', registry.create(new Counter(), CounterKind));
  const publish = (name: string, handle: Handle) => registry.publish(name, handle);
  for (const type of ['f64', 'i32', 'u32', 'i64', 'bool', 'str', 'bytes'] as const) {
    const signature: Signature = { args: [type], returns: type };
    publish(type, registry.fn(signature, ((value: unknown) => value) as never));
  }
  // What a handler returns goes with one reference: of a handle that it keeps, with one more.
  publish(
    'handle',
    registry.fn({ args: ['handle'], returns: 'handle' }, (handle) => registry.retain(handle)),
  );
  publish(
    'null handle',
    registry.fn({ returns: 'handle' }, () => 0 as Handle),
  );
  publish(
    'half',
    registry.fn({ args: ['f64'], returns: 'f64' }, (x) => x / 2),
  );
  const sixteen = Array.from({ length: 16 }, () => 'f64' as const);
  publish(
    'sum16',
    registry.fn({ args: sixteen, returns: 'f64' }, (...all: number[]) => all.reduce((a, b) => a + b)),
  );
  publish(
    'mixed',
    registry.fn({ args: ['bool', 'i32', 'u32', 'i64', 'f64', 'str', 'bytes'], returns: 'str' }, (...all) =>
      all.join(' '),
    ),
  );
  publish(
    'fails',
    registry.fn({ args: ['str'], returns: 'f64' }, (why): number => {
      throw new RangeError(why);
    }),
  );
  publish(
    'liar',
    registry.fn({ returns: 'i32' }, () => 1.5),
  );
  publish(
    'slow',
    registry.fn({}, () => new Promise(() => {})),
  );
  publish(
    'soon',
    registry.fn({ returns: 'str' }, async () => {
      await sleep(5);
      return 'settled';
    }),
  );
  const gone = registry.fn({}, () => {});
  publish('gone', gone);
  publish(
    'delete gone',
    registry.fn({}, () => registry.delete(gone)),
  );
  return { registry, object, twins, CounterKind };
}

describe('in a host', () => {
  it.each([
    'without plugin',
    'references',
    'labels',
    'results',
    'values',
    'functions',
    'methods',
    'dynamic',
    'threads',
    'callables',
    'queues',
    'events',
  ])('%s', async (name) => {
    const { registry, object, twins } = application();
    expect(await runHost(host, registry, [name]), 'the line of the check that failed').toBe(0);
    registry.drain();
    // Each reference that C++ had was given back, and none twice: one is left, ours.
    expect(registry.has(object)).toBe(true);
    registry.release(object);
    registry.drain();
    expect(registry.has(object)).toBe(false);
    expect(twins.filter((twin) => registry.has(twin))).toEqual([]);
    registry.close();
  });

  it('closing: every call without a waiting thread comes to its end', async () => {
    const { registry } = application();
    registry.publish(
      'close',
      registry.fn({}, () => registry.close()),
    );
    expect(await runHost(host, registry, ['closing']), 'the line of the check that failed').toBe(0);
  });

  it('moves: a reference follows its object, or is given back where that lives', async () => {
    const { registry } = application();
    const others = [new Registry(), new Registry()];
    class Note {
      constructor(public total = 0) {}
      add(n: number) {
        this.total += n;
        return this.total;
      }
    }
    const NoteKind = kind(
      Note,
      { add: { args: ['f64'], returns: 'f64' } },
      {
        serialize: ({ total }: Note) => String(total),
        deserialize: (text: string | Uint8Array) => new Note(Number(text)),
      },
    );
    for (const other of others) other.accept(NoteKind);
    let note = registry.create(new Note(), NoteKind);
    registry.publish('note', note);
    registry.publish(
      'move note',
      registry.fn({}, async () => {
        note = await registry.moveTo(note, others[0]!.id);
        note = await others[0]!.moveTo(note, others[1]!.id);
      }),
    );
    expect(await runHost(host, registry, ['moves']), 'the line of the check that failed').toBe(0);
    const [, last] = others;
    last!.drain();
    expect(last!.get(note).total).toBe(2);
    last!.release(note); // the last one
    last!.drain();
    expect(last!.has(note)).toBe(false);
    for (const realm of [registry, ...others]) realm.close();
  });

  it.each(['serves', 'blocks'])('on JavaScript’s own thread: %s', async (name) => {
    const source = `
      import koffi from 'koffi';
      import { Registry } from 'haft';
      const registry = new Registry().useKoffi(koffi);
      registry.publish('half', registry.fn({ args: ['f64'], returns: 'f64' }, (x) => x / 2));
      const run = koffi.load(${JSON.stringify(host)}).func('int hpp_run_here(uintptr_t, uint64_t, const char *)');
      console.log(run(registry.apiAddress, registry.id, '${name}'));
      registry.close();`;
    const ended = expectExit(await script(source));
    expect(ended.stdout, `the line of the check that failed\n${ended.stderr}`).toBe('0\n');
  });

  it('ends the program at a value() that is not there, and says why', () => {
    const script = `
      import { Registry, runHost } from 'haft';
      await runHost(${JSON.stringify(host)}, new Registry(), ['abort']);`;
    const ended = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      cwd: root,
      encoding: 'utf8',
    });
    expect(ended.signal).toBe('SIGABRT');
    expect(ended.stderr).toBe(
      "haft: value() of a result that has none (HAFT_E_STALE: the handle's object was released or deleted)\n",
    );
  });
});

describe('fingerprint', () => {
  it('is that of the kind in JavaScript', () => {
    const { registry, CounterKind } = application();
    registry.close();
    expect(kind(Thing, {}).fingerprint).toBe(0xcbf29ce484222325n);
    const ops =
      'op<double(double)>("add"), op<void()>("reset"), op<std::string()>("name"), op<ref()>("twin"), op<void()>("fail"), op<int32_t()>("wrong")';
    const { status, stderr } = compile(
      `using namespace haft; static_assert(fingerprint(${ops}) == ${CounterKind.fingerprint}u);`,
    );
    expect(stderr).toBe('');
    expect(status).toBe(0);
  });
});

let folder: string;
let sources = 0;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'haft-hpp-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function source(code: string): string {
  const path = join(folder, `${sources++}.cpp`);
  writeFileSync(path, `#include <haft.hpp>\n${code}\n`);
  return path;
}

function compile(code: string, flags: string[] = ['-fsyntax-only'], more: string[] = []) {
  const strict = ['-std=c++17', '-Wall', '-Wextra', '-Werror', `-I${include}`];
  const [program, ...before] = cxx.split(' ');
  return spawnSync(program!, [...before, ...strict, ...flags, source(code), ...more], {
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C' },
  });
}

describe('the compiler', () => {
  const good = `
    haft::result<double> f(const haft::fn<double(double, std::string_view)> &g) { return g(1, "x"); }
    haft::result<haft::ref> g(const haft::method<haft::ref(haft::bytes)> &m, const haft::ref &r) { return m(r, {"a", 1}); }
    haft_status h(const haft::fn<void(bool)> &p) { return p.post(true, HAFT_DROP_NEWEST); }
    haft::value k(haft::result<haft::value> v) { return std::move(v).value_or(haft::value()); }
    haft_status l(const haft::fn<double(double)> &g, const haft::queue &q) { return g.call_async(1, 10, q, nullptr); }
    haft_status m(const haft::fn<haft::ref()> &g, haft::value own) {
      return g.call_async(10, [own = std::move(own)](haft::result<haft::ref> r) { (void)r; });
    }
    haft::result<haft::ref> n(haft::completion done) { return done.take<haft::ref>(); }
    haft_status o(haft_realm r, bool &done) { const haft::blocking b(r); return haft::serve_until(r, [&] { return done; }); }`;

  it.each([
    ['-Wall -Wextra -Werror', []],
    ['no exceptions, no RTTI', ['-fno-exceptions', '-fno-rtti']],
    ['-Wpedantic -Wshadow -Wconversion', ['-Wpedantic', '-Wshadow', '-Wconversion']],
    ['C++20', ['-std=c++20']],
  ])('takes the header with %s', (_, flags) => {
    expect(compile(good, ['-fsyntax-only', ...flags])).toMatchObject({ status: 0, stderr: '' });
  });

  it('links two files that include it', () => {
    const other = source('haft::result<double> f2(const haft::fn<double(double)> &g) { return g(1); }');
    const out = join(folder, 'two.so');
    expect(compile(good, ['-shared', '-fPIC', '-o', out], [other])).toMatchObject({ status: 0, stderr: '' });
  });

  const object = 'extern haft::ref r;';
  it.each<[string, string, string | RegExp]>([
    ['a type that does not travel', 'haft::fn<void(float)> f;', 'this type does not travel'],
    ['a result that does not travel', 'haft::fn<char *()> f;', 'this type does not travel'],
    ['a reference to write through', 'haft::fn<void(std::string &)> f;', 'this type does not travel'],
    ['a pointer', 'haft::method<void(int *)> m;', 'this type does not travel'],
    ['an argument that does not travel', 'auto v = haft::arg(1.0f);', 'this type does not travel'],
    ['no function type', 'haft::fn<double> f;', 'fn takes the type of a function'],
    ['no function type', 'haft::method<double> m;', 'method takes the type of a function'],
    [
      'seventeen arguments',
      `haft::fn<void(${Array.from({ length: 17 }, () => 'double').join()})> f;`,
      'at most 16 arguments',
    ],
    ['a copied ref', `${object} haft::ref copy = r;`, 'deleted function'],
    ['a copied fn', 'extern haft::fn<void()> f; haft::fn<void()> copy = f;', 'deleted function'],
    ['a copied queue', 'extern haft::queue q; haft::queue copy = q;', 'deleted function'],
    ['a copied value', 'extern haft::value v; haft::value copy = v;', 'deleted function'],
    ['a number as a handle', 'auto f(haft::fn<void(haft::ref)> &g) { return g(5); }', /no match/],
    ['an argument too few', 'auto f(haft::fn<void(double)> &g) { return g(); }', /no match/],
    ['a string as a number', 'auto f(haft::fn<void(double)> &g) { return g("1"); }', /no match/],
    ['no timeout', 'auto f(haft::fn<void(double)> &g) { return g.call(1); }', /no matching/],
    [
      'a view of a value that ends',
      'auto f() { return haft::value().as<std::string_view>(); }',
      'ends with the value',
    ],
    ['a ref by as', 'auto f(haft::value &v) { return v.as<haft::ref>(); }', 'by take_ref()'],
    ['a dropped result', 'void f(haft::fn<void()> &g) { g(); }', 'nodiscard'],
    [
      'a callable that takes something else',
      'auto f(haft::fn<double()> &g) { return g.call_async(1, [](double) {}); }',
      'the callable takes the result',
    ],
    [
      'a callable without the result',
      'auto f(haft::fn<double()> &g) { return g.call_async(1, [] {}); }',
      'the callable takes the result',
    ],
    [
      'a queue without a user',
      'auto f(haft::fn<double()> &g, haft::queue &q) { return g.call_async(1, std::move(q)); }',
      'the callable takes the result',
    ],
    [
      'a dropped status of an asynchronous call',
      'void f(haft::fn<void()> &g) { g.call_async(1, [](haft::result<void>) {}); }',
      'nodiscard',
    ],
    ['a dropped status of a post', 'void f(haft::fn<void()> &g) { g.post(); }', 'nodiscard'],
    ['a dropped ref', `${object} void f() { r.release(); }`, 'nodiscard'],
    [
      'a result as its value',
      'bool f(haft::result<bool> r) { return r; }',
      /cannot convert|no viable conversion/,
    ],
  ])('refuses %s: %s', (_, code, sentence) => {
    const { status, stderr } = compile(code);
    expect(stderr).toMatch(sentence);
    expect(status).not.toBe(0);
  });
});
