// The types of the package, as its users' compiler sees them: types/good.ts compiles, and every line of types/bad.ts
// that is marked so is an error.
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { root } from './support/child.js';

const execute = promisify(execFile);

/** What tsc says of these files, as strict as can be; '' if all is well. */
async function compile(...files: string[]): Promise<string> {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const options = ['--noEmit', '--strict', '--target', 'es2023', '--lib', 'es2023,esnext.disposable'];
  const modules = [
    '--module',
    'nodenext',
    '--moduleResolution',
    'nodenext',
    '--types',
    'node',
    '--ignoreConfig',
  ];
  try {
    const args = [tsc, ...options, ...modules, '--exactOptionalPropertyTypes', ...files];
    return (await execute(process.execPath, args, { cwd: root })).stdout;
  } catch (error) {
    return (error as { stdout: string }).stdout;
  }
}

const text = (name: string) => readFileSync(join(root, 'test', 'types', name), 'utf8');

describe('types', () => {
  it('what is right compiles, also without skipLibCheck', async () => {
    expect(await compile('test/types/good.ts')).toBe('');
  });

  it('what is wrong does not', async () => {
    expect(await compile('test/types/bad.ts')).toBe('');
    expect(text('bad.ts').match(/@ts-expect-error/g)!.length).toBeGreaterThan(30);
  });

  it('an op that does not fit is told in a sentence', async () => {
    const folder = mkdtempSync(join(root, 'test', 'types', '.tmp-'));
    try {
      const file = join(folder, 'snippet.ts');
      const snippet = (ops: string) => `
        import { kind } from 'haft';
        class Counter { total = 0; add(n: number): number { return n; } }
        kind(Counter, { ${ops} });
      `;
      const says = async (ops: string) => {
        writeFileSync(file, snippet(ops));
        return compile(file);
      };
      expect(await says("subtract: { args: ['f64'] }")).toContain('the class has no method subtract');
      expect(await says('total: {}')).toContain('total is not a method');
      expect(await says("add: { args: ['str'], returns: 'f64' }")).toContain('add takes other arguments');
      expect(await says("add: { args: ['f64'], returns: 'str' }")).toContain('add returns another type');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('public types have no any', () => {
    for (const name of [
      'index',
      'handle',
      'handles',
      'table',
      'registry',
      'kind',
      'host',
      'errors',
      'binding',
      'realm-table',
      'debugging/channels',
      'debugging/difference',
      'debugging/report',
      'lifetimes/owned',
      'lifetimes/pins',
      'lifetimes/scope',
      'testing/index',
      'trampolines/c-types',
      'trampolines/trampoline',
    ]) {
      const declared = readFileSync(join(root, 'dist', `${name}.d.ts`), 'utf8').replace(
        /\/\*\*[\s\S]*?\*\//g,
        '',
      );
      expect(declared, name).not.toMatch(/\bany\b/);
    }
  });
});
