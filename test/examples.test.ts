// The programs of the examples, of the headers and of the pages do what they say, in a project that has haft
// installed, by the very commands that are printed.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = dirname(import.meta.dirname);
const nodeHeaders = join(dirname(dirname(process.execPath)), 'include', 'node');
const read = (name: string) => readFileSync(join(root, name), 'utf8');

let project: string;
beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), 'haft-examples-'));
  // What `npm install PATH` makes.
  mkdirSync(join(project, 'node_modules', '.bin'), { recursive: true });
  symlinkSync(root, join(project, 'node_modules', 'haft'));
  symlinkSync(join(root, 'dist', 'cli.js'), join(project, 'node_modules', '.bin', 'haft'));
  symlinkSync(join(root, 'node_modules', 'koffi'), join(project, 'node_modules', 'koffi'));
  writeFileSync(join(project, 'package.json'), '{ "type": "module" }\n');
  chmodSync(join(root, 'dist', 'cli.js'), 0o755);
});
afterAll(() => rmSync(project, { recursive: true, force: true }));

function place(name: string, files: Record<string, string> = {}): string {
  const folder = join(project, name);
  mkdirSync(folder, { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text);
  return folder;
}

/** Runs a line of shell; what it printed. */
function shell(command: string, cwd: string): string {
  const env = { ...process.env, NODE_OPTIONS: '' };
  const { status, signal, stdout, stderr } = spawnSync('sh', ['-c', command], { cwd, encoding: 'utf8', env });
  expect({ command, status, signal, stderr: withoutNpm(stderr) }).toEqual({
    command,
    status: 0,
    signal: null,
    stderr: '',
  });
  return stdout;
}

// npm may have something to say about the machine's own settings.
const withoutNpm = (text: string) => text.replaceAll(/^npm (warn|notice).*\n/gm, '');

/** A page's blocks in a language. */
function blocks(page: string, language: string): string[] {
  return [...read(page).matchAll(/^```(\w+)\n(.*?)^```$/gms)]
    .filter((m) => m[1] === language)
    .map((m) => m[2]!);
}

/** Lines with `$` are commands, the lines behind each its output. */
function transcript(text: string): { command: string; output: string }[] {
  return text
    .split(/^\$ /m)
    .slice(1)
    .map((part) => {
      const [command = '', ...output] = part.split('\n');
      return { command: command.replace(/ +#.*/, ''), output: output.join('\n') };
    });
}

function play(text: string, folder: string): void {
  for (const { command, output } of transcript(text)) {
    if (command.startsWith('cd ')) continue;
    expect(shell(command, folder)).toBe(output);
  }
}

describe('examples/counter', () => {
  it('does what its page says', () => {
    const [console] = blocks('examples/counter/README.md', 'console');
    expect(transcript(console!).map(({ command }) => command.split(' ')[0])).toEqual(['cd', 'cc', 'npx']);
    const folder = join(project, 'counter');
    cpSync(join(root, 'examples', 'counter'), folder, { recursive: true });
    play(console!, folder);
  });

  it('is the first example of the README, in 30 lines', () => {
    const logic = read('examples/counter/logic.js');
    const host = read('examples/counter/host.c');
    expect(blocks('README.md', 'js')[0]).toBe(logic);
    expect(blocks('README.md', 'c')[0]).toBe(host);
    expect((logic + host).trimEnd().split('\n').length).toBeLessThanOrEqual(30);
    const own = transcript(blocks('examples/counter/README.md', 'console')[0]!);
    expect(transcript(blocks('README.md', 'console')[1]!)).toEqual(own);
  });

  it('runs inside the checkout too', () => {
    const folder = place('inside');
    const host = join(folder, 'host.so');
    const at = join(root, 'examples', 'counter');
    shell(`cc -shared -fPIC -I"$(npx haft --include)" host.c -o ${host}`, at);
    expect(shell(`npx haft run ${host} ./logic.js`, at)).toBe('total: 4\n42: HAFT_E_FORGED\n');
  });
});

describe('examples/workers', () => {
  it('does what its page says, and loses no deposit', () => {
    const [console] = blocks('examples/workers/README.md', 'console');
    const [{ command, output }] = transcript(console!) as [{ command: string; output: string }];
    const printed = shell(command, root);
    // When the account moves is not known: only the counters of the two workers together are.
    const counters = /^(first|second) .*$/gm;
    expect(printed.replaceAll(counters, '$1')).toBe(output.replaceAll(counters, '$1'));
    const rows = [...printed.matchAll(counters)].map(([row]) => row.trim().split(/ +/).slice(1).map(Number));
    for (const [sent, delivered, refused, dropped, expired, highestFill] of rows) {
      expect(sent).toBe(delivered! + refused! + dropped! + expired!);
      expect([dropped, expired]).toEqual([0, 0]);
      expect(highestFill).toBeLessThanOrEqual(1024);
    }
    expect(rows[0]![1]! + rows[1]![1]!).toBeGreaterThan(80_000);
  });
});

describe('examples/addon', () => {
  it('does what its page says, before and after', ({ skip }) => {
    if (!existsSync(join(nodeHeaders, 'node_api.h'))) skip();
    const [console] = blocks('examples/addon/README.md', 'console');
    const [{ command, output }] = transcript(console!) as [{ command: string; output: string }];
    // How fast they are is the machine's.
    const rates = /^(.* a second.*?) +[\d,]+ +[\d,]+$/gm;
    expect(shell(command, root).replaceAll(rates, '$1')).toBe(output.replaceAll(rates, '$1'));
  });
});

describe('examples/header', () => {
  const [page] = blocks('examples/header/README.md', 'console');
  const [{ command, output }] = transcript(page!) as [{ command: string; output: string }];

  it.for(['cmake', 'node-gyp'])('does what its page says: %s', { timeout: 240_000 }, (name, { skip }) => {
    if (name === 'node-gyp' && !existsSync(join(nodeHeaders, 'node_api.h'))) skip();
    rmSync(join(root, 'examples', 'header', 'build'), { recursive: true, force: true });
    const env = { ...process.env, NODE_OPTIONS: '' };
    const ended = spawnSync('sh', ['-c', `${command} ${name}`], { cwd: root, encoding: 'utf8', env });
    if (ended.status === 77) skip(ended.stderr.trim());
    expect({ status: ended.status, stderr: ended.stderr }).toEqual({ status: 0, stderr: '' });
    expect(output.split(/^(?=built)/m)).toContain(ended.stdout);
  });
});

/** The first command of an example's page, and what it prints; skips the test where the C library is not installed. */
function playLibrary(name: string, skip: (note: string) => never): { printed: string; output: string } {
  const [{ command, output }] = transcript(blocks(`examples/${name}/README.md`, 'console')[0]!) as [
    { command: string; output: string },
  ];
  const { status, stdout, stderr } = spawnSync('sh', ['-c', command], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  if (status === 77) {
    process.stderr.write(stderr); // which library, and how to install it
    skip(stderr.trim());
  }
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return { printed: stdout, output };
}

describe('examples with C libraries', () => {
  it('qsort does what its page says, in 20 lines', ({ skip }) => {
    const { printed, output } = playLibrary('qsort', skip);
    expect(printed).toBe(output);
    expect(read('examples/qsort/run.js').trimEnd().split('\n').length).toBeLessThanOrEqual(20);
  });

  it('sqlite does what its page says, and leaves no closure', ({ skip }) => {
    const { printed, output } = playLibrary('sqlite', skip);
    expect(printed).toBe(output);
    expect(printed).toMatch(/^closed: 0 live$/m);
  });

  it('microhttpd does what its page says, and loses no request when it stops', ({ skip }) => {
    const { printed, output } = playLibrary('microhttpd', skip);
    // How often the clients ask until the server is gone is not known.
    const counts = /asked (\d+) times|^(\d+) answered, (\d+) refused; the handler ran (\d+) times$/gm;
    const names = (text: string) => text.replaceAll(counts, (line) => line.replaceAll(/\d+/g, 'N'));
    expect(names(printed)).toBe(names(output));
    const [asked, answered, refused, handled] = [...printed.matchAll(counts)]
      .flatMap((match) => match.slice(1))
      .filter((count) => count !== undefined)
      .map(Number);
    expect(asked).toBe(answered! + refused!);
    expect(refused).toBe(48);
    expect(handled).toBe(answered);
    expect(printed).toMatch(/^0 live$/m);
  });

  it('say in one line how to install a library that is not there', () => {
    const library = join(root, 'examples', 'library.js');
    const code = `import { load } from ${JSON.stringify(library)}; load('libnone.so.1', 'examples/none', 'libnone1');`;
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', code], {
      cwd: root,
      encoding: 'utf8',
    });
    expect({ status, stdout, stderr }).toEqual({
      status: 77,
      stdout: '',
      stderr: 'examples/none needs libnone.so.1: apt-get install libnone1\n',
    });
  });
});

/** The first program in a header's comment: files, the compiler's command, and the transcript. */
function firstProgram(header: string) {
  const comment = read(`native/include/${header}`).split('*/')[0]!;
  const code = [...comment.matchAll(/^\*\*(?: {5}(.*))?$/gm)].map((match) => match[1] ?? '').join('\n');
  const [, logic, name, compile, host, run] =
    /\/\/ logic\.js\n(.*?)\/\/ (host\.\w+) +(.*?)\n(.*?)(\$ npx .*?)\n\n/s.exec(code)!;
  return { logic: logic!, name: name!, compile: compile!, host: host!, run: `${run!}\n` };
}

describe('the first program of', () => {
  it.each(['haft.h', 'haft.hpp'])('%s runs, and prints what stands there', (header) => {
    const { logic, name, compile, host, run } = firstProgram(header);
    const folder = place(header, { 'logic.js': logic, [name]: host });
    expect(shell(compile, folder)).toBe('');
    play(run, folder);
  });
});

describe('the pages', () => {
  it('koffi: C that JavaScript called through koffi calls an object', () => {
    const library = blocks('docs/threads.md', 'c').find((code) => code.includes('add_twice'))!;
    const usage = blocks('docs/threads.md', 'ts').find((code) => code.includes('add_twice'))!;
    const folder = place('koffi', {
      'library.c': library,
      'main.js': `
        import { functionKind, kind, Registry, runHost } from 'haft';
        ${usage}
        class Counter { total = 0; add(n) { return (this.total += n); } }
        const CounterKind = kind(Counter, { add: { args: ['f64'], returns: 'f64' } });
        const counter = registry.create(new Counter(), CounterKind);
        const op = koffi.load('./library.so').func('uint32_t op_of(uint64_t counter)')(counter);
        console.log(addTwice(counter, op, 2), addTwice(BigInt(counter), op, 2));
        const far = new Promise((done) => addTwice.async(counter, op, 1, (_, total) => done(total)));
        console.log(await far);
        registry.close();`,
      'more.c': `
        #include "library.c"
        HAFT_EXPORT haft_op op_of(haft_handle h) {
          haft_kind kind = 0; haft_op op = 0;
          haft_kind_of(h, &kind); haft_op_find(kind, "add", &op); return op;
        }`,
    });
    shell('cc -shared -fPIC -I"$(npx haft --include)" more.c -o library.so', folder);
    expect(shell('node main.js', folder)).toBe('4 8\n10\n');
  });

  it('a plugin starts a thread that posts', () => {
    const code = blocks('docs/c-api.md', 'c').find((text) => text.includes('haft_plugin_init'))!;
    const main = blocks('docs/c-api.md', 'js').find((text) => text.includes('loadPlugin'))!;
    const console = blocks('docs/c-api.md', 'console').find((text) => text.includes('ticker.so'))!;
    play(console, place('plugin', { 'ticker.c': code, 'main.js': main }));
  });

  it('an addon of another takes the table from registry.api, and refuses anything else', ({ skip }) => {
    if (!existsSync(join(nodeHeaders, 'node_api.h'))) skip();
    const addon = blocks('docs/c-api.md', 'c').find((code) => code.includes('node_api.h'))!;
    const usage = blocks('docs/c-api.md', 'js').find((code) => code.includes('addon.node'))!;
    const folder = place('addon', {
      'addon.c': addon,
      'main.js': `${usage}
        try { addon.setUp({}); } catch (error) { console.log(error.message); }
        console.log('set up');`,
    });
    shell(`cc -shared -fPIC -I${nodeHeaders} -I"$(npx haft --include)" addon.c -o addon.node`, folder);
    expect(shell('node main.js', folder)).toBe('setUp takes registry.api\nset up\n');
  });
});
