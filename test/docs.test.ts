// The pages are right: the table of errors is the header's, snippets compile, links lead somewhere.
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RULES, STATUSES } from '../src/constants.js';
import { KNOWN } from '../src/doctor/environment.js';

const root = dirname(import.meta.dirname);
const read = (name: string) => readFileSync(join(root, name), 'utf8');
const pages = [
  'README.md',
  'examples/addon/README.md',
  'examples/counter/README.md',
  'examples/embed/README.md',
  'examples/header/README.md',
  'examples/workers/README.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .sort()
    .map((name) => `docs/${name}`),
];

interface Snippet {
  /** Page and line. */
  where: string;
  language: string;
  code: string;
}

function snippetsOf(page: string): Snippet[] {
  const text = read(page);
  return [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map((match) => ({
    where: `${page}:${text.slice(0, match.index).split('\n').length}`,
    language: match[1]!,
    code: match[2]!,
  }));
}
const snippets = pages.flatMap(snippetsOf);
const inLanguage = (language: string) => snippets.filter((snippet) => snippet.language === language);

let folder: string;
let files = 0;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'haft-docs-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function expectOk({ status, stdout, stderr, error }: SpawnSyncReturns<string>) {
  if (error) throw error;
  expect(stdout + stderr).toBe('');
  expect(status).toBe(0);
}

describe('errors', () => {
  interface Row {
    number: number;
    message: string;
  }

  it('the page, the header and TypeScript have the same codes, numbers and meanings', () => {
    const page: Record<string, Row> = {};
    for (const line of read('docs/errors.md').split('\n')) {
      const match = /^\| `(HAFT_\w+)` \| (-?\d+) \| (.*?) \| (.*?) \| (.*?) \| (.*?) ?\|$/.exec(line);
      if (!match) continue;
      page[match[1]!] = { number: Number(match[2]), message: match[3]! };
      expect(match[4], `a likely cause of ${match[1]}`).not.toBe('');
      if (match[1] !== 'HAFT_OK') expect(match[5], `what to do about ${match[1]}`).not.toBe('');
    }
    const types: Record<string, Row> = {};
    for (const [name, { status, message }] of Object.entries(STATUSES))
      types[name] = { number: status, message };
    // The list of the header as the compiler saw it.
    const addon = createRequire(import.meta.url)(join(root, 'build', 'Release', 'haft.node'));
    const compiled = addon.statuses as [string, number, string, string][];
    const header: Record<string, Row> = {};
    for (const [name, number, message] of compiled) header[name] = { number, message };
    expect(types).toEqual(header);
    expect(page).toEqual(header);
    for (const [name, , , next] of compiled) expect(STATUSES[name as keyof typeof STATUSES].next).toBe(next);
  });

  it('the page, the header and TypeScript have the same pointer rules', () => {
    const addon = createRequire(import.meta.url)(join(root, 'build', 'Release', 'haft.node'));
    const compiled = addon.rules as [number: number, code: string, text: string][];
    expect(RULES.map(({ number, code, rule }) => [number, code, rule])).toEqual(compiled);
    expect(compiled.map(([number]) => number)).toEqual(compiled.map((_, i) => i + 1));
    const page: Record<string, number[]> = {};
    for (const [, name, numbers] of read('docs/errors.md').matchAll(
      /^\| `(HAFT_\w+)` \|.*\| (\d+(?:, \d+)*)? \|$/gm,
    ))
      page[name!] = numbers === undefined ? [] : numbers.split(', ').map(Number);
    const header = Object.fromEntries(Object.keys(STATUSES).map((name) => [name, [] as number[]]));
    for (const [number, code] of compiled) header[code]!.push(number);
    expect(page).toEqual(header);
  });
});

describe('the environment', () => {
  it('the page has the variables that the sources read, and the doctor knows them', () => {
    const page = [...read('docs/environment.md').matchAll(/^\| `(HAFT\w+)` \|/gm)].map((match) => match[1]!);
    const sources = ['src', 'native'].flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
        .filter((name) => /\.(ts|cc|h)$/.test(name))
        .map((name) => read(join(folder, name))),
    );
    const used = sources
      .flatMap((text) => [
        ...text.matchAll(
          /\benv\.(HAFT\w+)|value_of\([\w.>-]+, "(HAFT\w+)"\)|getenv\("(HAFT\w+)"\)|\{ (HAFT\w+) \} = process\.env/g,
        ),
      ])
      .map(([, ...names]) => names.find((name) => name !== undefined)!);
    expect(page).toEqual([...new Set(used)].sort());
    expect(KNOWN).toEqual(page);
  });
});

describe('links', () => {
  const anchorsOf = (text: string) =>
    [...text.matchAll(/^#+ (.*)$/gm)].map((match) =>
      match[1]!
        .toLowerCase()
        .replace(/[^\w -]/g, '')
        .replaceAll(' ', '-'),
    );

  it.each(pages)('%s', (page) => {
    const prose = read(page).replaceAll(/^```.*?^```$/gms, ''); // a lambda of C++ looks like a link
    for (const [, target] of prose.matchAll(/\]\(([^)]+)\)/g)) {
      if (/^https?:/.test(target!)) continue;
      const [path, anchor] = target!.split('#');
      const file = path === '' ? join(root, page) : join(root, dirname(page), path!);
      expect(existsSync(file), target).toBe(true);
      if (anchor) expect(anchorsOf(readFileSync(file, 'utf8'))).toContain(anchor);
    }
  });
});

describe('snippets in C and C++ compile', () => {
  const include = join(root, 'native', 'include');
  const typed = join(root, 'test', 'header'); // docs/header.md is about its counter.h
  const node = join(dirname(dirname(process.execPath)), 'include', 'node');
  // What the text of the pages says is at hand.
  const prelude = `
    #include <haft_embed.h>
    #include <stdio.h>
    #include <string.h>
    #include <unistd.h>
    extern haft_realm realm;
    extern haft_handle counter, decoder;
    extern haft_op add, op, decode;
    haft_status snippet(void);`;

  it.each(inLanguage('c'))('$where', ({ code }) => {
    if (code.includes('node_api.h') && !existsSync(join(node, 'node_api.h'))) return;
    let whole = code;
    if (!code.includes('#include')) {
      const topLevel = /^typedef/m.test(code) || /^\w+ \w+\(.*\) \{$/m.test(code);
      whole = topLevel
        ? `${prelude}\n${code}`
        : `${prelude}\nhaft_status snippet(void) {\n${code}\nreturn HAFT_OK;\n}`;
    }
    const file = join(folder, `${files++}.c`);
    writeFileSync(file, whole);
    const flags = ['-std=gnu11', '-Wall', '-Wextra', '-Werror', '-Wno-unused', '-Wno-unused-parameter'];
    const [cc, ...before] = (process.env.CC ?? 'cc').split(' ');
    const args = [
      ...before,
      ...flags,
      `-I${include}`,
      `-I${typed}`,
      `-I${node}`,
      '-fPIC',
      '-shared',
      file,
      '-o',
      `${file}.so`,
    ];
    expectOk(spawnSync(cc!, args, { encoding: 'utf8' }));
  });

  it.each([
    ...inLanguage('cpp'),
    // The first program of haft.hpp.
    {
      where: 'native/include/haft.hpp',
      code: [...read('native/include/haft.hpp').matchAll(/^\*\* {5}(.*)$/gm)]
        .map((match) => match[1]!)
        .slice(6)
        .join('\n')
        .replace(/^\/\/ host.cpp.*$/m, '')
        .split('\n\n')[0]!
        .split('$ npx')[0]!,
    },
  ])('$where', ({ code }) => {
    const file = join(folder, `${files++}.cpp`);
    writeFileSync(file, code);
    const [cxx, ...before] = (process.env.CXX ?? 'c++').split(' ');
    const args = [
      ...before,
      '-std=c++17',
      '-Wall',
      '-Wextra',
      '-Werror',
      `-I${include}`,
      `-I${typed}`,
      '-fsyntax-only',
      file,
    ];
    expectOk(spawnSync(cxx!, args, { encoding: 'utf8' }));
  });
});

describe('snippets in TypeScript and JavaScript', () => {
  const imports = "import { HaftError, HandleTable, kind, Registry, runHost } from 'haft';";
  /** What the text of the pages says is at hand, by name; each with the names that it needs. */
  const atHand: Record<string, [code: string, needs: string[]]> = {
    registry: ['declare const registry: Registry;', []],
    Counter: ['class Counter { total = 0; add(n: number) { return (this.total += n); } }', []],
    CounterKind: [
      "const CounterKind = kind(Counter, { add: { args: ['f64'], returns: 'f64' } });",
      ['Counter'],
    ],
    counter: ["declare const counter: import('haft').Handle<Counter>;", ['Counter']],
    fromC: ['declare const fromC: number | bigint;', []],
    Rules: [
      'class Rules { match(text: string, n: number) { return text.length > n; } add(text: string) {} }',
      [],
    ],
  };

  function declarationsFor(code: string): string {
    const words = new Set(code.match(/\w+/g));
    const own = [...code.matchAll(/^(?:using|const|class) (\w+)/gm)].map((match) => match[1]!);
    const used = Object.keys(atHand).filter((name) => words.has(name));
    const needed = new Set(used.flatMap((name) => [...atHand[name]![1], name]));
    return [...needed]
      .filter((name) => !own.includes(name))
      .map((name) => atHand[name]![0])
      .join('\n');
  }

  it('compile', () => {
    // Inside the tree, so that types are found as a user's would be.
    const place = join(root, 'build', 'docs');
    rmSync(place, { recursive: true, force: true });
    mkdirSync(place, { recursive: true });
    for (const { where, code } of inLanguage('ts')) {
      const file = `${where.replaceAll(/\W/g, '_')}.mts`;
      writeFileSync(join(place, file), `${imports}\n${declarationsFor(code)}\n${code}\nexport {};\n`);
    }
    writeFileSync(
      join(place, 'tsconfig.json'),
      JSON.stringify({
        extends: '../../tsconfig.json',
        compilerOptions: {
          noEmit: true,
          rootDir: '../..',
          noUnusedLocals: false,
          paths: { haft: ['../../dist/index.d.ts'] },
        },
        include: ['*.mts'],
      }),
    );
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
    expectOk(spawnSync(process.execPath, [tsc, '-p', place], { encoding: 'utf8' }));
  });

  it.each(inLanguage('js'))('$where', ({ code }) => {
    const file = join(folder, `${files++}.mjs`);
    writeFileSync(file, code);
    expectOk(spawnSync(process.execPath, ['--check', file], { encoding: 'utf8' }));
  });
});
