// The command `haft`: what it says, and how it ends.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { built, type ChildOptions, expectExit, haft, logicFile, root } from './support/child.js';

let folder: string;
let count = 0;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'haft-run-test-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, content: string): string {
  const path = join(folder, `${count++}-${name}`);
  writeFileSync(path, content);
  return path;
}

const host = built('run.so');
const logic = logicFile('run.mjs');
const run = (args: string[], options?: ChildOptions) => haft(['run', host, logic, '--', ...args], options);

describe('haft', () => {
  it('--version is the version of the package', async () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    expect(expectExit(await haft(['--version'])).stdout).toBe(`${version}\n`);
  });

  it('--include is the folder of haft.h', async () => {
    const { stdout } = expectExit(await haft(['--include']));
    expect(existsSync(join(stdout.trimEnd(), 'haft.h'))).toBe(true);
    expect(stdout).toMatch(/^[^\n]+\n$/);
  });

  it('--help says what there is', async () => {
    const { stdout, stderr } = expectExit(await haft(['--help']));
    for (const word of ['run', 'inspect', 'header', 'doctor', '--include', '--cflags', '--libs', '--version'])
      expect(stdout).toContain(word);
    expect(stderr).toBe('');
    expect(expectExit(await haft(['run', '--help'])).stdout).toMatch(/<host>[\s\S]*<logic>/);
  });

  it.each([
    ['no arguments for run', ['run'], /missing required argument 'host'/],
    ['no logic', ['run', host], /missing required argument 'logic'/],
    ['an unknown command', ['walk'], /unknown command 'walk'; haft --help lists them/],
    ['an unknown option', ['--walk'], /unknown option '--walk'/],
  ])('%s: says so, and the exit code is not 0', async (_, args, says) => {
    const { code, signal, stderr } = await haft(args);
    expect(signal).toBeNull();
    expect(code).toBeGreaterThan(0);
    expect(stderr).toMatch(says);
    expect(stderr).not.toMatch(/\n\s+at /);
  });
});

describe('haft run', () => {
  it.each([0, 1, 3, 255])('ends with the host’s exit code %i', async (code) => {
    expectExit(await run([String(code)]), code);
  });

  it('passes the arguments behind -- to both', async () => {
    const args = ['0', 'two words', '', '--flag', '-x', 'grün', '--'];
    const { stdout } = expectExit(await run(args));
    expect(stdout).toBe(
      `logic: ${JSON.stringify(args)}\n${args.map((arg, i) => `host ${i + 1}: ${arg}\n`).join('')}`,
    );
  });

  it('runs without arguments', async () => {
    expect(expectExit(await haft(['run', host, logic])).stdout).toBe('logic: []\n');
  });

  it('starts the host when the logic is ready, and ends although timers are left', async () => {
    expect(expectExit(await run(['greet'])).stdout).toContain('host heard hello\n');
  });

  it('runs with paths relative to the current folder', async () => {
    expectExit(await haft(['run', 'build/Release/run.so', 'test/logic/run.mjs', '--', '4']), 4);
  });

  it('takes logic from a .js file without a promise', async () => {
    const plain = file('logic.mjs', "export default (registry, args) => { console.log('plain', args); };");
    expect(expectExit(await haft(['run', host, plain, '--', '0'])).stdout).toContain("plain [ '0' ]");
  });

  describe('in one sentence, with an exit code that is not 0, says', () => {
    const cases: [string, () => string[], RegExp][] = [
      ['there is no host', () => ['none.so', logic], /no host library none\.so/],
      ['the host is a folder', () => [folder, logic], /no host library/],
      ['the host has no haft_host_main', () => [built('no_main.so'), logic], /no_main\.so.*haft_host_main/],
      ['the host is no library', () => [file('text.so', 'just text'), logic], /text\.so/],
      ['the host is empty', () => [file('empty.so', ''), logic], /empty\.so/],
      ['there is no logic', () => [host, 'none.mjs'], /no logic module none\.mjs/],
      [
        'the logic is no JavaScript',
        () => [host, file('bad.mjs', 'export default (')],
        /bad\.mjs.*SyntaxError/,
      ],
      [
        'the logic throws on load',
        () => [host, file('throws.mjs', "throw new RangeError('on load');")],
        /throws\.mjs.*RangeError: on load/,
      ],
      [
        'the logic misses a module of its own',
        () => [host, file('imports.mjs', "import './not-there.mjs';")],
        /imports\.mjs.*not-there\.mjs/,
      ],
      [
        'the logic has no default export',
        () => [host, file('named.mjs', 'export const logic = () => {};')],
        /named\.mjs.*default export/,
      ],
      [
        'the default export is no function',
        () => [host, file('object.mjs', 'export default {};')],
        /object\.mjs/,
      ],
      [
        'the logic throws while it starts',
        () => [host, file('starts.mjs', "export default () => { throw new TypeError('at start'); };")],
        /starts\.mjs.*TypeError: at start/,
      ],
      [
        'the logic rejects while it starts',
        () => [host, file('rejects.mjs', "export default async () => { throw new TypeError('later'); };")],
        /rejects\.mjs.*TypeError: later/,
      ],
      [
        'the logic throws null',
        () => [host, file('null.mjs', 'export default () => { throw null; };')],
        /null\.mjs.*null/,
      ],
      [
        'the logic throws what cannot be shown',
        () => [host, file('odd.mjs', 'export default () => { throw Object.create(null); };')],
        /odd\.mjs/,
      ],
      [
        'the logic throws undefined on load',
        () => [host, file('undefined.mjs', 'throw undefined;')],
        /undefined\.mjs/,
      ],
      [
        'the logic closed the registry',
        () => [host, file('closes.mjs', 'export default (registry) => registry.close();')],
        /clos/,
      ],
      [
        'the logic never becomes ready',
        () => [host, file('never.mjs', 'export default () => new Promise(() => {});')],
        /never\.mjs/,
      ],
    ];
    it.each(cases)('%s', async (_, args, says) => {
      const { code, signal, stdout, stderr } = await haft(['run', ...args()]);
      expect(signal).toBeNull();
      expect(code, stderr).toBeGreaterThan(0);
      expect(stderr).toMatch(says);
      expect(stderr).toMatch(/^haft: [^\n]+\n$/);
      expect(stdout).not.toContain('host');
    });
  });

  describe.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s', (signal, code) => {
    it('ends it in order: the host sees HAFT_E_CLOSED and returns', async () => {
      const { stdout } = expectExit(await run(['until closed'], { kill: [['host waits', signal]] }), code);
      expect(stdout).toContain('host saw HAFT_E_CLOSED');
    });

    it('twice ends it at once, though the host does not return', async () => {
      const interrupted = file(
        'interrupted.mjs',
        `export default () => { process.on('${signal}', () => console.log('noticed')); };`,
      );
      const ended = await haft(['run', host, interrupted, '--', 'for ever'], {
        kill: [
          ['host waits', signal],
          ['noticed', signal],
        ],
      });
      expectExit(ended, code);
    });

    it('twice ends it at once, though JavaScript loops', async () => {
      const loops = file(
        'loops.mjs',
        `import fs from 'node:fs';
        export default () => {
          setTimeout(() => {
            for (let at = 0; ; ) if (Date.now() - at > 100) {
              at = Date.now();
              fs.writeSync(1, 'loops\\n');
            }
          }, 50);
        };`,
      );
      const ended = await haft(['run', host, loops, '--', 'for ever'], {
        kill: [
          ['loops', signal],
          ['loops', signal],
        ],
      });
      expectExit(ended, code);
    });

    it('while the logic starts ends it as well', async () => {
      const slow = file(
        'slow.mjs',
        `export default async () => { console.log('starting'); await new Promise((go) => setTimeout(go, 300)); };`,
      );
      const { stdout, stderr } = expectExit(
        await haft(['run', host, slow, '--', '0'], { kill: [['starting', signal]] }),
        code,
      );
      expect(stderr).toBe('');
      expect(stdout).not.toContain('host');
    });
  });

  it('logic that closes the registry later ends the host, whose exit code it is', async () => {
    const closes = file(
      'closes.mjs',
      'export default (registry) => { setTimeout(() => registry.close(), 50); };',
    );
    const { stdout } = expectExit(await haft(['run', host, closes, '--', 'until closed']), 5);
    expect(stdout).toContain('host saw HAFT_E_CLOSED');
  });

  it('an uncaught exception of the logic ends it with its stack and exit code 1', async () => {
    const crash = file(
      'crash.mjs',
      "export default () => { setTimeout(() => { throw new Error('crash'); }, 20); };",
    );
    const { stderr } = expectExit(await haft(['run', host, crash, '--', 'for ever']), 1);
    expect(stderr).toContain('Error: crash');
  });
});
