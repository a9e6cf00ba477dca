// The typed header: what `haft header` writes, what the compilers say of it, and what the functions in it do.
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { functionKind, kind, type Signatures } from 'haft';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { headerOf } from '../src/header/header.js';
import { Problem } from '../src/problem.js';
import { child, expectExit, haft, root } from './support/child.js';

const sources = join(root, 'test', 'header');
const include = join(root, 'native', 'include');

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'haft-typed-'));
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(root, join(folder, 'node_modules', 'haft'));
  for (const file of ['kinds.mjs', 'counter.mjs']) copyFileSync(join(sources, file), join(folder, file));
  expectExit(await haft(['header', join(folder, 'kinds.mjs'), '--output', join(folder, 'kinds.h')]));
  copyFileSync(join(sources, 'counter.h'), join(folder, 'counter.h'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Compiler = 'CC' | 'CXX';
const STRICT = ['-Wall', '-Wextra', '-Werror', '-Wconversion', '-pedantic'];

/** What the compiler says; '' if all is well. */
function compile(compiler: Compiler, ...args: string[]): string {
  const [program, ...before] = (process.env[compiler] ?? (compiler === 'CC' ? 'cc' : 'c++')).split(' ');
  const all = [...before, ...args, `-I${folder}`, `-I${include}`];
  const env = { ...process.env, LC_ALL: 'C' };
  const { status, stderr, error } = spawnSync(program!, all, { encoding: 'utf8', env });
  if (error) throw error;
  return status === 0 ? stderr : stderr || 'failed';
}

let files = 0;
/** Checks a text that stands in a file of its own. */
function check(compiler: Compiler, source: string, flags: string[]): string {
  const file = join(folder, `snippet${files++}.${compiler === 'CC' ? 'c' : 'cpp'}`);
  writeFileSync(file, source);
  return compile(compiler, ...flags, '-fsyntax-only', file);
}

const path = (name: string) => join(folder, name);
const save = (name: string, text: string) => {
  writeFileSync(path(name), text);
  return path(name);
};

class Any {}
/** A kind of a class that has whatever its ops name. */
const kindOf = (name: string, ops: Signatures = {}) => kind(Any, ops as never, { name });

describe('haft header', () => {
  const golden = readFileSync(join(sources, 'counter.h'), 'utf8');

  it('writes the text that is kept in test/header/counter.h', async () => {
    expect(expectExit(await haft(['header', path('counter.mjs')])).stdout).toBe(golden);
    const { stdout } = expectExit(await haft(['header', path('counter.mjs'), '-o', path('made.h')]));
    expect(stdout).toBe('');
    expect(readFileSync(path('made.h'), 'utf8')).toBe(golden);
  });

  it('--check is 0 where the file is up to date, and says where it is not', async () => {
    const module = path('counter.mjs');
    const ended = expectExit(await haft(['header', module, '--check', save('same.h', golden)]));
    expect(ended.stdout + ended.stderr).toBe('');
    const old = golden.replace('COUNTER_RESET = 2', 'COUNTER_CLEAR = 2');
    const changed = await haft(['header', module, '--check', save('old.h', old)]);
    expect(expectExit(changed, 1).stdout).toBe('');
    const line = old.split('\n').findIndex((text) => text.includes('CLEAR')) + 1;
    expect(changed.stderr).toBe(
      `haft: ${path('old.h')} is not what ${module} makes: in line ${line} it has "  COUNTER_CLEAR = 2", ` +
        `where a new one has "  COUNTER_RESET = 2"; run haft header ${module} --output ${path('old.h')}\n`,
    );
    const short = await haft(['header', module, '--check', save('short.h', golden.split('\n')[0]!)]);
    expect(expectExit(short, 1).stderr).toMatch(/in line 2 it ends, where a new one has "/);
    const long = await haft(['header', module, '--check', save('long.h', `${golden}more`)]);
    expect(expectExit(long, 1).stderr).toContain('it has "more", where a new one has ""');
    const missing = await haft(['header', module, '--check', path('none.h')]);
    expect(expectExit(missing, 1).stderr).toMatch(/^haft: there is no .*none\.h: run haft header /);
    expect(existsSync(path('none.h'))).toBe(false);
    const both = await haft(['header', module, '--check', path('same.h'), '--output', path('same.h')]);
    expect(expectExit(both, 1).stderr).toMatch(/give one of both/);
  });

  it.each([
    ['no module', () => path('nowhere.mjs'), /^haft: there is no module .*nowhere\.mjs\n$/],
    [
      'a module that throws',
      () => save('throws.mjs', "throw new Error('not\\nnow')"),
      /does not load: not now\n$/,
    ],
    [
      'a module that is none',
      () => save('wrong.mjs', 'export {'),
      /^haft: the module .*wrong\.mjs does not load: .+\n$/,
    ],
    [
      'a module without a kind',
      () => save('empty.mjs', 'export default () => {}; export const one = 1, none = null;'),
      /^haft: the module exports no kind: export what kind\(...\) or functionKind\(...\) returned\n$/,
    ],
    [
      'a module whose exports throw',
      () => save('getter.mjs', "export const kinds = { get one() { throw new Error('not\\nnow'); } };"),
      /^haft: the exports of .*getter\.mjs cannot be read: not now\n$/,
    ],
    [
      'a module that ends the process',
      () => save('exits.mjs', 'process.exit(0);'),
      /^haft: the module ended before it had loaded: look for process\.exit, or an await that never ends\n$/,
    ],
  ])('says in a sentence that there is %s', async (_, module, says) => {
    const { stderr, stdout } = expectExit(await haft(['header', module()]), 1);
    expect(stderr).toMatch(says);
    expect(stdout).toBe('');
  });

  it('says in a sentence that a module never ends to load', async () => {
    const ended = await haft(['header', save('waits.mjs', 'await new Promise(() => {});')]);
    expect(ended.stderr).toContain('haft: the module ended before it had loaded');
    expect([ended.stdout, ended.code === 0]).toEqual(['', false]);
  });

  it('ends although the module keeps the process alive', async () => {
    const text = `${readFileSync(path('counter.mjs'), 'utf8')}\nsetInterval(() => {}, 1000);\n`;
    expect(expectExit(await haft(['header', save('alive.mjs', text)])).stdout).toBe(golden);
  });

  it('--help says what there is', async () => {
    const { stdout } = expectExit(await haft(['header', '--help']));
    for (const word of ['<module>', '--output', '--check', '--prefix']) expect(stdout).toContain(word);
    expect(expectExit(await haft(['--help'])).stdout).toContain('header');
  });
});

describe('haft --cflags', () => {
  it('is what a compiler needs', async () => {
    const { stdout } = expectExit(await haft(['--cflags']));
    expect(stdout).toBe(`-I${include}\n`);
  });
});

describe('the kinds of a module', () => {
  const One = kindOf('One', { b: {}, a: {} });
  const Two = kindOf('app.TwoWords', { x: { args: ['str'] } });
  const Accepts = functionKind({ args: ['str'], returns: 'bool' });

  it('have one order, whatever that of the exports, and ops that of their positions', () => {
    const text = headerOf({ One, Two, Accepts });
    expect(headerOf({ Accepts, Two, One })).toBe(text);
    expect(headerOf({ Two, again: [One, Two], Accepts, One })).toBe(text);
    expect([...text.matchAll(/^typedef struct (\w+)/gm)].map(([, name]) => name)).toEqual([
      'accepts',
      'app_two_words',
      'one',
    ]);
    expect(text).toContain('ONE_B = 0,\n  ONE_A = 1\n');
    expect(text).toMatch(/class AppTwoWords \{/);
  });

  it('are found in objects, arrays and namespaces, in circles too, and not in the logic function', () => {
    const circle: Record<string, unknown> = { deep: [{ One }] };
    circle.self = circle;
    const logic = Object.assign(() => {}, { Two });
    expect(headerOf({ circle, default: logic })).toBe(headerOf({ One }));
    expect(headerOf({ default: { One } })).toBe(headerOf({ One }));
  });

  it('of functions bear the name of their export, without Kind, or else that of their signature', () => {
    const names = (exported: object) =>
      [...headerOf(exported).matchAll(/^typedef struct (\w+)/gm)].map(([, name]) => name);
    expect(names({ AcceptsKind: Accepts })).toEqual(['accepts']);
    expect(names({ accepts_kind: Accepts, Filter: Accepts })).toEqual(['accepts', 'filter']);
    expect(names({ list: [Accepts] })).toEqual(['fn_str_bool']);
    expect(names({ default: Accepts })).toEqual(['fn_str_bool']);
  });

  it('have their names in C behind a prefix', () => {
    const text = headerOf({ Kind: kindOf('Socket') }, { prefix: 'App_' });
    expect(text).toMatch(/^typedef struct app_socket \{$/m);
    expect(text).toMatch(/^class AppSocket \{$/m);
    expect(text).toContain('#define APP_SOCKET_KIND_NAME "Socket"');
    expect(headerOf({ Kind: kindOf('switch') }, { prefix: 'x_' })).toContain('typedef struct x_switch {');
  });

  it.each<[string, object, string]>([
    ['a keyword of C', { K: kindOf('Switch') }, 'the kind Switch would be switch in C, which is a keyword'],
    [
      'a keyword of C++',
      { K: kindOf('Template') },
      'which is a keyword of C or C++: give it another with kind(',
    ],
    [
      'a function of the C library',
      { K: kindOf('Socket') },
      'socket in C, which the C library has: give it another',
    ],
    ['a struct of the C library', { K: kindOf('Timespec') }, 'timespec in C, which the C library has'],
    ['a namespace of C++', { K: kindOf('Std') }, 'std in C, which the C library has'],
    [
      'a keyword of a function',
      { Default: Accepts },
      'the kind Default, fn(str):bool, would be default in C',
    ],
    ["haft's own", { K: kindOf('HaftFind') }, "would be haft_find in C, which begins as haft's own names do"],
    [
      'a type of the system',
      { K: kindOf('Size_t') },
      'size_t in C, which ends as the types of the system do',
    ],
    ['beginning with a digit', { K: kindOf('2d.Point') }, 'would be 2d_point in C, which is no identifier'],
    ['not in ASCII', { K: kindOf('Zähler') }, 'has a name of which C can make no identifier'],
    ['the end of a comment', { K: kindOf('a*/b') }, 'has a name of which C can make no identifier'],
    [
      'one in C and two in JavaScript',
      { A: kindOf('HTTPServer'), B: kindOf('http.server') },
      'the kind HTTPServer and the kind http.server would both be http_server: rename one of them',
    ],
    [
      'one with two definitions',
      { A: kindOf('Same', { a: {} }), B: kindOf('Same', { b: {} }) },
      'the kind Same and the kind Same would both be same: rename one of them',
    ],
    ['one in C++', { A: kindOf('a_1'), B: kindOf('a1') }, 'would both be A1'],
    [
      'an op with a dash',
      { K: kindOf('K', { 'add-all': {} }) },
      'the op K.add-all is no identifier in C: rename',
    ],
    ['an op with a dollar', { K: kindOf('K', { $: {} }) }, 'the op K.$ is no identifier in C: rename'],
    ['an op of underscores', { K: kindOf('K', { __: {} }) }, 'the op K.__ is no identifier in C: rename'],
    [
      'two ops of one name',
      { K: kindOf('K', { addAll: {}, add_all: {} }) },
      'the op K.addAll():void and the op K.add_all():void would both be k_add_all: rename one of them',
    ],
    [
      'an op and the post of another',
      { K: kindOf('K', { add: {}, addPost: {} }) },
      'the op K.add():void and the op K.addPost():void would both be k_add_post',
    ],
    [
      'an op and the post of another in C++',
      { K: kindOf('K', { add: {}, postAdd: {} }) },
      'the op K.add():void and the op K.postAdd():void would both be post_add',
    ],
    [
      'an op of one kind and another kind',
      { A: kindOf('A', { b: {} }), AB: kindOf('AB.x'), B: kindOf('A.b') },
      'the op A.b():void and the kind A.b would both be a_b',
    ],
  ])('are refused: %s', (_, exported, says) => {
    expect(() => headerOf(exported)).toThrow(Problem);
    expect(() => headerOf(exported)).toThrow(says);
  });

  it('a prefix that is none is refused', () => {
    expect(() => headerOf({ One }, { prefix: '1-' })).toThrow('the prefix 1- is not one');
  });
});

describe('the header compiles', () => {
  const many = Array.from({ length: 80 }, (_, i) => [
    `op${i}`,
    { args: Array(16).fill('bytes'), returns: 'i64' },
  ]);
  // Members of C++ that could hide what the class itself uses.
  const names = [
    'big',
    'haft',
    'haftStatus',
    'int64_t',
    'method',
    'get',
    'reference',
    'arg1',
    'std',
    'new',
    'from',
  ];
  const hard = Object.fromEntries([...many, ...names.map((name) => [name, { args: ['f64'] }])]) as Signatures;

  it.each<[string, Compiler, string[]]>([
    ['C11', 'CC', ['-std=c11', ...STRICT, '-Wstrict-prototypes', '-Wshadow']],
    ['C17', 'CC', ['-std=c17', ...STRICT, '-Wstrict-prototypes', '-Wshadow']],
    ['C++17', 'CXX', ['-std=c++17', ...STRICT]],
    ['C++20', 'CXX', ['-std=c++20', ...STRICT]],
  ])('as %s without a warning, with others and twice', (_, compiler, flags) => {
    save('hard.h', headerOf({ Big: kindOf('Big', hard), Empty: kindOf('Empty') }));
    const own = (text: string) => check(compiler, text, flags);
    expect(own('#include "kinds.h"\nint x;\n')).toBe('');
    expect(
      own('#include "kinds.h"\n#include "counter.h"\n#include "hard.h"\n#include "kinds.h"\nint x;\n'),
    ).toBe('');
    expect(own('#include <haft.h>\n#include <haft_typed.h>\n#include <haft_typed.h>\nint x;\n')).toBe('');
  });

  it('of kinds that are called as parameters and variables of its own', () => {
    const called = [
      'Handle',
      'Realm',
      'Name',
      'Self',
      'Found',
      'Bound',
      'Status',
      'Op',
      'Args',
      'Raw',
      'Result',
    ];
    const more = ['Kind', 'Signatures', 'Position', 'Completer', 'From', 'Target', 'Done'];
    const add = { add: { args: ['f64', 'str'], returns: 'str' } } as Signatures;
    save('called.h', headerOf({ all: [...called, ...more].map((name) => kindOf(name, add)) }));
    const text = '#include "called.h"\nint x;\n';
    expect(check('CC', text, ['-std=c11', ...STRICT])).toBe('');
    expect(check('CXX', text, ['-std=c++17', ...STRICT])).toBe('');
  });

  it('and two headers that declare one name for different kinds are told so', () => {
    save('one.h', headerOf({ K: kindOf('Thing', { a: {} }) }));
    save('two.h', headerOf({ K: kindOf('Thing', { b: {} }) }));
    const says = check('CC', '#include "one.h"\n#include "two.h"\nint x;\n', []);
    expect(says).toContain('two headers declare thing, and not the same one');
  });
});

describe('a wrong type does not compile', () => {
  const body = (code: string, isCpp: boolean) =>
    isCpp
      ? `#include "kinds.h"\nvoid f(const Types &t, const Other &o);\nvoid f(const Types &t, const Other &o) { (void)t, (void)o; ${code} }\n`
      : `#include "kinds.h"\nvoid f(types t, other o);\nvoid f(types t, other o) { double n; haft_str s; (void)t, (void)o, (void)n, (void)s; ${code} }\n`;

  it.each<[string, string, string, RegExp]>([
    [
      'an object of another kind',
      'types_count(t, 0, &n);',
      'types_count(o, 0, &n);',
      /(?=.*\btypes\b)(?=.*\bother\b).*incompatible type/s,
    ],
    ['a handle for an object', 'types_from(1, &t);', 'types_count(1, 0, &n);', /incompatible type.*types/s],
    ['text for a number', 'types_add(t, 1, 0);', 'types_add(t, "1", 0);', /incompatible type.*double/s],
    [
      'a number for text',
      'types_fail(t, "x", 1, 0, &s);',
      'types_fail(t, 1.5, 1, 0, &s);',
      /incompatible type.*char/s,
    ],
    ['a missing argument', 'types_add(t, 1, 0);', 'types_add(t, 1);', /too few arguments.*types_add/s],
    [
      'an argument too many',
      'types_add(t, 1, 0);',
      'types_add(t, 1, 2, 0);',
      /too many arguments.*types_add/s,
    ],
    [
      'the result of another type',
      'types_count(t, 0, &n);',
      'types_count(t, 0, &s);',
      /incompatible.*double/s,
    ],
    ['an op of another kind', 'types_count(t, 0, &n);', 'other_count(o, 0, &n);', /other_count/],
  ])('in C: %s', (_, right, wrong, says) => {
    const flags = ['-std=c11', '-Werror'];
    expect(check('CC', body(right, false), flags)).toBe('');
    expect(check('CC', body(wrong, false), flags)).toMatch(says);
  });

  const cpp: [string, string, string, RegExp][] = [
    [
      'text for a number',
      't.add(1).value();',
      't.add("1").value();',
      /(cannot convert|no matching|cannot init).*double/s,
    ],
    [
      'a number for text',
      't.fail("x").status();',
      't.fail(1.5).status();',
      /(could not convert|no viable|convert).*string_view/s,
    ],
    [
      'a missing argument',
      't.add(1).status();',
      't.add().status();',
      /no matching function.*add|too few arguments/s,
    ],
    [
      'an op of another kind',
      't.count().status();',
      'o.count().status();',
      /(has no member|no member) .*count/s,
    ],
    [
      'an object of another kind',
      'const Types &x = t; (void)x;',
      'const Types &x = o; (void)x;',
      /Other.*Types|Types.*Other/s,
    ],
    [
      'a callable for another result',
      't.async_count(1, [](haft::result<double>) {});',
      't.async_count(1, [](haft::result<std::string>) {});',
      /the callable takes the result/,
    ],
    [
      'a result that is dropped',
      '(void)t.post_add(1);',
      't.post_add(1);',
      /nodiscard|unused-result|ignoring return/,
    ],
  ];

  it('in C++: what is right does', () => {
    const right = cpp.map(([, code]) => `{ ${code} }`).join(' ');
    expect(check('CXX', body(right, true), ['-std=c++17', '-Werror', '-Wno-unused-result'])).toBe('');
  });

  it.each(cpp)('in C++: %s', (_, __, wrong, says) => {
    expect(check('CXX', body(wrong, true), ['-std=c++17', '-Werror'])).toMatch(says);
  });
});

const BACKENDS = ['addon', 'koffi'] as const;

describe('the functions', () => {
  beforeAll(() => {
    const shared = [...STRICT, '-shared', '-fPIC', '-pthread'];
    const at = (file: string) => join(sources, file);
    expect(compile('CC', '-std=c11', ...shared, at('typed.c'), '-o', path('typed.so'))).toBe('');
    expect(compile('CC', '-std=c11', ...STRICT, '-fPIC', '-c', at('second.c'), '-o', path('second.o'))).toBe(
      '',
    );
    const both = [at('typed.cpp'), path('second.o')];
    expect(compile('CXX', '-std=c++17', ...shared, ...both, '-o', path('typed_cpp.so'))).toBe('');
  });

  const main = join(sources, 'main.mjs');
  const run = async (library: string, backend: string) => {
    const env = { HAFT_BACKEND: backend, HAFTCHECK: '2' };
    const ended = expectExit(await child([main, path(library)], { env }));
    // What is told there are the misuses that the plugin commits on purpose.
    const told = ended.stderr.matchAll(/^haft: pointer rule \d+ broken: (\w+)/gm);
    const others = [...told].filter(([, code]) => code !== 'HAFT_E_FORGED' && code !== 'HAFT_E_UTF8');
    expect(others).toEqual([]);
    return ended.stdout;
  };

  it.each(BACKENDS)('in C pass every type, and give all back: %s', async (backend) => {
    expect(await run('typed.so', backend)).toBe('RangeError: later\nanother type\nechoed\nend\n0 live\n');
  });

  it.each(BACKENDS)('in C++ pass every type, and give all back: %s', async (backend) => {
    expect(await run('typed_cpp.so', backend)).toBe('echoed\nend\n0 live\n');
  });

  it.each(BACKENDS)('look the kind up on several threads at once: %s', async (backend) => {
    const env = { HAFT_BACKEND: backend };
    const ended = await haft(['run', path('typed.so'), join(sources, 'kinds.mjs')], { env });
    expect(expectExit(ended).stderr).toBe('');
  });
});

describe('a plugin that was built for earlier kinds', () => {
  /** A module with these kinds, as text. */
  const moduleOf = (kinds: Record<string, string>) => `
    import { functionKind, kind } from 'haft';
    ${Object.entries(kinds)
      .map(([name, ops]) => `export const ${name} = kind(class {}, ${ops}, { name: '${name}' });`)
      .join('\n')}
    export const Report = functionKind({ args: ['str', 'str', 'str'] });`;

  beforeAll(async () => {
    const before = save(
      'before.mjs',
      moduleOf({
        Same: "{ first: { args: ['f64'] } }",
        Longer: '{ first: {} }',
        Shorter: '{ first: {}, second: {} }',
        Renamed: '{ first: {}, second: {} }',
        Changed: "{ zero: {}, first: { args: ['f64'] } }",
      }),
    );
    mkdirSync(path('before'));
    expectExit(await haft(['header', before, '-o', path('before/kinds.h')]));
    const flags = ['-std=c11', ...STRICT, '-shared', '-fPIC', `-I${path('before')}`];
    expect(compile('CC', ...flags, join(sources, 'older.c'), '-o', path('older.so'))).toBe('');
    save(
      'after.mjs',
      `${moduleOf({
        Same: "{ first: { args: ['f64'] } }",
        Longer: "{ first: {}, second: { returns: 'i32' } }",
        Shorter: '{ first: {} }',
        Renamed: '{ first: {}, other: {} }',
        Changed: "{ zero: {}, first: { args: ['f64', 'str'], returns: 'bool' } }",
      })}
      import { Registry } from 'haft';
      const registry = new Registry();
      for (const kind of [Same, Longer, Shorter, Renamed, Changed])
        registry.publish(kind.name.toLowerCase(), registry.create({}, kind));
      registry.publish('report', registry.create((...texts) => console.log(texts.join(': ')), Report));
      try { registry.loadPlugin(process.argv[2]); } catch (error) { console.log(error.code, error.message); }
      registry.close();`,
    );
  });

  it.each(BACKENDS)('gets HAFT_E_ABI, with the difference named: %s', async (backend) => {
    const ended = await child([path('after.mjs'), path('older.so')], { env: { HAFT_BACKEND: backend } });
    const { stdout, stderr } = expectExit(ended);
    expect(stderr).toBe('');
    const changed =
      'op 1 of Changed is first(f64,str):bool in JavaScript, and first(f64):void where C was built';
    expect(stdout.split('\n').slice(0, 7)).toEqual([
      'same: HAFT_OK: fits',
      'longer: HAFT_E_ABI: op 1 of Longer is second():i32 in JavaScript, where C was built without it',
      'shorter: HAFT_E_ABI: Shorter has no op second():void in JavaScript, where C was built with it',
      'renamed: HAFT_E_ABI: op 1 of Renamed is other():void in JavaScript, and second():void where C was built',
      `changed: HAFT_E_ABI: ${changed}`,
      `found: HAFT_E_ABI: ${changed}`,
      `called: HAFT_E_ABI: ${changed}`,
    ]);
    expect(stdout).toContain(
      `HAFT_E_ABI HAFT_E_ABI: haft_plugin_init of ${path('older.so')} failed: ${changed}`,
    );
    expect(stdout).toContain('pointer rule 14');
  });
});
