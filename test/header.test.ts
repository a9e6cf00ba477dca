// haft.h for itself: it compiles alone in C and C++, its table and its functions are the same, and what is made from
// it is up to date.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { child, expectExit, root } from './support/child.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'haft-header-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const header = readFileSync(join(root, 'native', 'include', 'haft.h'), 'utf8');

function compile(variable: 'CC' | 'CXX', source: string, flags: string[]): string {
  const [program, ...before] = (process.env[variable] ?? (variable === 'CC' ? 'cc' : 'c++')).split(' ');
  const file = join(folder, `alone${variable === 'CC' ? '.c' : '.cpp'}`);
  writeFileSync(file, source);
  const args = [...before, ...flags, '-fsyntax-only', `-I${join(root, 'native', 'include')}`, file];
  const { status, stderr } = spawnSync(program!, args, { encoding: 'utf8' });
  return status === 0 ? '' : stderr || 'failed';
}

describe('haft.h', () => {
  const strict = ['-Wall', '-Wextra', '-Werror', '-pedantic'];
  it.each<[string, 'CC' | 'CXX', string[]]>([
    ['C11', 'CC', ['-std=c11', ...strict]],
    ['C17', 'CC', ['-std=c17', ...strict, '-Wconversion', '-Wstrict-prototypes']],
    ['C++17', 'CXX', ['-std=c++17', '-Wall', '-Wextra', '-Werror']],
    ['C++20', 'CXX', ['-std=c++20', ...strict]],
  ])('compiles alone as %s without a warning', (_, compiler, flags) => {
    expect(compile(compiler, '#include <haft.h>\n', flags)).toBe('');
    expect(compile(compiler, '#include <haft.h>\n#include <haft.h>\nint x;\n', flags)).toBe('');
  });

  it('every entry of the table has its function, and every function its entry', () => {
    const table = /typedef struct haft_api \{([\s\S]*?)\} haft_api;/.exec(header)![1]!;
    const entries = [...table.matchAll(/\(\*(\w+)\)\(/g)].map(([, name]) => name!);
    expect(entries.length).toBeGreaterThan(15);
    const inline = header.matchAll(/static inline [\w *]*?haft_(\w+)\([\s\S]*?\n\}/g);
    const guarded = [...inline].filter(([body]) => body.includes('HAFT_HAS('));
    expect(guarded.map(([, name]) => name).sort()).toEqual([...entries].sort());
    for (const [body, name] of guarded) {
      expect(body).toContain(`HAFT_HAS(${name})`);
      expect(body).toContain(`haft_plugin_api->${name}(`);
    }
  });

  it('sizes and codes are what the interface has promised', () => {
    const source = `
      #include <haft.h>
      #define IS(x) _Static_assert(x, #x);
      IS(sizeof(haft_value) == 16) IS(sizeof(haft_handle) == 8) IS(sizeof(haft_status) == 4)
      IS(HAFT_NULL == 0) IS(HAFT_OK == 0) IS(HAFT_ARGS_MAX == 16) IS(HAFT_PAYLOAD_MAX == 16777216)
      IS(HAFT_E_FORGED == -1) IS(HAFT_E_STALE == -2) IS(HAFT_E_KIND == -3) IS(HAFT_E_REALM == -4)
      IS(HAFT_E_CLOSED == -5) IS(HAFT_E_INTERNAL == -23)
      IS(HAFT_VOID == 0) IS(HAFT_BYTES == 8) IS(HAFT_OP(3, 7) == 196615) IS(HAFT_OP_KIND(196615) == 3)
      IS(offsetof(haft_api, retain) == 8)
      IS(offsetof(haft_api, status_message) == 8 + 15 * sizeof(void *))
    `;
    expect(compile('CC', source, ['-std=c11'])).toBe('');
  });

  it('the codes of TypeScript are those of the header, without gap or double', () => {
    const map = /#define HAFT_STATUS_MAP\(X\)([\s\S]*?)\n\n/.exec(header)![1]!;
    const codes = [...map.matchAll(/X\((\w+), (-?\d+),/g)].map(([, name, number]) => [
      `HAFT_${name}`,
      Number(number),
    ]);
    expect(codes.map(([, number]) => number)).toEqual(codes.map((_, i) => (i === 0 ? 0 : -i)));
    const addon = createRequire(import.meta.url)('../build/Release/haft.node') as {
      statuses: [string, number][];
    };
    expect(addon.statuses.map(([name, number]) => [name, number])).toEqual(codes);
  });
});

it('src/constants.ts is what scripts/make-constants.mjs makes of the header and the layout', async () => {
  expectExit(await child([join(root, 'scripts', 'make-constants.mjs'), '--check']));
});
