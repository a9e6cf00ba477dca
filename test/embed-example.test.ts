// examples/embed, a web server in C whose rules are JavaScript: does what its page says, loses no request while the rules are
// replaced, break or die under load, and ends in order.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { root } from './support/child.js';

const EXAMPLE = join(root, 'examples', 'embed');
const GENEROUS = 30_000;

const libraries = spawnSync('pkg-config', ['--exists', 'libmicrohttpd']);
const runs = process.platform === 'linux' && libraries.status === 0;
if (!runs)
  process.stderr.write('examples/embed needs libmicrohttpd: apt-get install libmicrohttpd-dev pkg-config\n');

/** The example in a project that has haft installed. */
let folder: string;
beforeAll(() => {
  if (!runs) return;
  const project = mkdtempSync(join(tmpdir(), 'haft-embed-example-'));
  mkdirSync(join(project, 'node_modules', '.bin'), { recursive: true });
  symlinkSync(root, join(project, 'node_modules', 'haft'));
  symlinkSync(join(root, 'dist', 'cli.js'), join(project, 'node_modules', '.bin', 'haft'));
  folder = join(project, 'embed');
  cpSync(EXAMPLE, folder, { recursive: true, filter: (name) => name !== join(EXAMPLE, 'gate') });
  const { status, stderr } = spawnSync('sh', ['-c', commands[0]!], { cwd: folder, encoding: 'utf8' });
  expect(status, stderr).toBe(0);
}, 300_000);
afterAll(() => {
  if (folder) rmSync(join(folder, '..'), { recursive: true, force: true });
});

// ---- The page ----

const [, page] = /```console\n(.*?)```/s.exec(readFileSync(join(EXAMPLE, 'README.md'), 'utf8'))!;
const blocks = page!
  .split(/^\$ /m)
  .slice(1)
  .map((part) => part.split('\n'));
const commands = blocks.map(([command]) => command!);
const outputs = blocks.map(([, ...output]) => output.join('\n'));

// ---- The program ----

let started: Gate[] = [];

class Gate {
  readonly #process: ChildProcess;
  #port = 0;
  stdout = '';
  stderr = '';

  constructor(rules: string, options: string[] = []) {
    this.#process = spawn(join(folder, 'gate'), ['--port', '0', ...options, rules, 'www'], {
      cwd: folder,
      env: { ...process.env, NODE_OPTIONS: '' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    this.#process.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    started.push(this);
  }

  static async start(rules: string, options?: string[]): Promise<Gate> {
    const gate = new Gate(rules, options);
    await until(() => gate.#process.exitCode !== null || gate.stdout.endsWith('\n'), 'the start');
    const [, port] = /^gate: http:.*:(\d+)\//.exec(gate.stdout) ?? expect.unreachable(gate.stderr);
    gate.#port = Number(port);
    return gate;
  }

  get port(): number {
    return this.#port;
  }

  /** The process of the rules. */
  get node(): number {
    const found = processes().filter(({ pid, words }) => pid !== this.#process.pid && words.includes('-e'));
    expect(found, JSON.stringify(found)).toHaveLength(1);
    return found[0]!.pid;
  }

  said(line: string): number {
    return this.stdout.split(`gate: ${line}\n`).length - 1;
  }

  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<{ code: number | null; signal: string | null }> {
    const { exitCode, signalCode } = this.#process;
    if (exitCode === null && signalCode === null) {
      this.#process.kill(signal);
      await once(this.#process, 'close');
    }
    return { code: this.#process.exitCode, signal: this.#process.signalCode };
  }
}

/** All processes that have to do with the folder: the program, its keeper and node. */
function processes(): { pid: number; words: string[] }[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const words = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
      return words.some((word) => word.startsWith(folder)) ? [{ pid: Number(name), words }] : [];
    } catch {
      return []; // it has ended
    }
  });
}

async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + GENEROUS;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`not after ${GENEROUS} ms: ${what}`);
    await sleep(5);
  }
}

/** Ended in order, and nothing is left. */
async function expectEnd(gate: Gate, signal?: NodeJS.Signals): Promise<void> {
  expect(await gate.end(signal), gate.stderr).toEqual({ code: 0, signal: null });
  expect(processes()).toEqual([]);
}

afterEach(async () => {
  await Promise.all(started.map((gate) => gate.end('SIGKILL')));
  started = [];
  await until(() => !runs || processes().length === 0, 'the end of the processes');
});

// ---- Its clients ----

interface Answer {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: string;
}

/** Asks on one connection, one request after the other. */
class Client {
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  readonly #port: number;

  constructor(port: number) {
    this.#port = port;
  }

  ask(path: string, options: http.RequestOptions = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const request = http.request(
        { host: '127.0.0.1', port: this.#port, path, agent: this.#agent, timeout: GENEROUS, ...options },
        (response) => {
          let body = '';
          response.setEncoding('utf8').on('data', (text: string) => {
            body += text;
          });
          response.on('end', () =>
            resolve({ status: response.statusCode!, headers: response.headers, body }),
          );
          response.on('error', reject);
        },
      );
      request.on('timeout', () => request.destroy(new Error(`no answer for ${path}`)));
      request.on('error', reject);
      request.end();
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** Many clients that ask without a pause, and what they heard. A request that is not answered fails the test. */
class Load {
  static readonly CLIENTS = 8;
  /** By version of the rules, so many answers. */
  readonly decided = new Map<number, number>();
  undecided = 0;
  closed = 0; // clients that were told to close
  #stopping = false;
  #newest = 0;
  readonly #clients: Promise<void>[];

  /** `newest()` is the version that was written last. `undecided` judges answers that no rule has given. */
  constructor(
    port: number,
    newest: () => number,
    undecided: (answer: Answer, path: string) => void = (answer) => expect(answer).toBe('decided'),
  ) {
    let number = 0;
    const client = async () => {
      const connection = new Client(port);
      try {
        while (!this.#stopping) {
          const path = `/some/${number++}`;
          const atLeast = this.#newest;
          const answer = await connection.ask(path);
          const [, version, echo] = /^(\d+)(?: (\S+))?\n$/.exec(answer.body) ?? [];
          if (version === undefined) {
            undecided(answer, path);
            this.undecided++;
            await sleep(5);
          } else {
            // Of this very question, and by no older rules than were seen before it was asked.
            const expected = isServed(path) ? { status: 200 } : { status: 403, echo: path };
            expect({ status: answer.status, echo }).toEqual(expected);
            expect(Number(version)).toBeGreaterThanOrEqual(atLeast);
            expect(Number(version)).toBeLessThanOrEqual(newest());
            this.#newest = Math.max(this.#newest, Number(version));
            this.decided.set(Number(version), this.by(Number(version)) + 1);
          }
          if (answer.headers.connection === 'close') {
            this.closed++;
            return;
          }
        }
      } finally {
        connection.close();
      }
    };
    this.#clients = Array.from({ length: Load.CLIENTS }, client);
    for (const one of this.#clients) one.catch(() => {}); // end() tells
  }

  by(version: number): number {
    return this.decided.get(version) ?? 0;
  }

  /** Until that many answers more are of this version. */
  async more(version: number, count: number): Promise<void> {
    const enough = this.by(version) + count;
    const failed = Promise.all(this.#clients);
    await Promise.race([
      failed,
      until(() => this.by(version) >= enough, `${enough} answers of rules ${version}`),
    ]);
    expect(this.by(version)).toBeGreaterThanOrEqual(enough);
  }

  /** Until every client has stopped by itself; throws what went wrong. */
  async ended(): Promise<void> {
    await Promise.all(this.#clients);
  }

  async end(): Promise<void> {
    this.#stopping = true;
    await this.ended();
  }
}

const numberOf = (path: string) => Number(path.slice(path.lastIndexOf('/') + 1));
/** One in eight gets a file that the rules name; some rules take their time, some ask the program. */
const isServed = (path: string) => numberOf(path) % 8 === 2;
const versionedRules = (version: number) => `
  export default (registry) => {
    const host = registry.host({ requests: { args: ['str'], returns: 'u32' } });
    registry.publish('decide', registry.fn({ args: ['str', 'str', 'str', 'str'], returns: 'str' },
      async (method, path, address) => {
        if (path === '/loop') for (;;);
        const number = Number(path.slice(path.lastIndexOf('/') + 1));
        if (number % 8 === 0) await new Promise((later) => setTimeout(later, 10));
        if (number % 8 === 1 && (await host.requests(address)) === 0) throw new Error('was not counted');
        return number % 8 === 2 ? '200 /version/${version}.txt' : \`403 ${version} \${path}\`;
      }));
  };`;

/** Rules of one test, whose file is written as editors do: in its place, or beside it and renamed. */
class Rules {
  static #count = 0;
  readonly file: string;
  version = 0;

  constructor() {
    this.file = join(folder, `rules-${Rules.#count++}.mjs`);
    mkdirSync(join(folder, 'www', 'version'), { recursive: true });
    this.replace();
  }

  /** The next version. */
  replace(): number {
    this.version++;
    writeFileSync(join(folder, 'www', 'version', `${this.version}.txt`), `${this.version}\n`);
    this.write(versionedRules(this.version), this.version % 2 === 0);
    return this.version;
  }

  write(text: string, rename = false): void {
    writeFileSync(rename ? `${this.file}.new` : this.file, text);
    if (rename) renameSync(`${this.file}.new`, this.file);
  }
}

// ---- The tests ----

describe.skipIf(!runs)('examples/embed', () => {
  it('does what its page says', { timeout: 120_000 }, async () => {
    expect(commands.map((command) => command.split(' ')[0])).toEqual(['make', './gate', 'curl']);
    expect(commands[1]).toBe('./gate rules.mjs www');
    const gate = await Gate.start('rules.mjs');
    expect(gate.stdout).toBe(outputs[1]!.replace('8080', String(gate.port)));
    const [, agent, path] = /^curl -A (\w+) http:\/\/127\.0\.0\.1:8080(\/\S*)$/.exec(commands[2]!)!;
    const client = new Client(gate.port);
    const { body } = await client.ask(path!, { headers: { 'user-agent': agent } });
    client.close();
    expect(body).toBe(outputs[2]);
    await expectEnd(gate, 'SIGINT');
    expect(gate.stderr).toBe('');
  });

  it('has rules that refuse, redirect, rewrite, count, and know who asks', async () => {
    const gate = await Gate.start('rules.mjs');
    const client = new Client(gate.port);
    const ask = async (path: string, options?: http.RequestOptions) => {
      const { status, headers, body } = await client.ask(path, options);
      return [status, headers.location ?? headers['content-type'], body];
    };
    const file = (name: string) => readFileSync(join(folder, 'www', name), 'utf8');
    const text = 'text/plain; charset=utf-8';
    const html = 'text/html; charset=utf-8';
    expect(await ask('/')).toEqual([200, html, file('index.html')]);
    expect(await ask('/', { method: 'HEAD' })).toEqual([200, html, '']);
    expect(await ask('/', { method: 'POST' })).toEqual([405, text, 'this is for reading only\n']);
    expect(await ask('/old.html')).toEqual([301, '/', 'this has moved\n']);
    const [status, type, today] = await ask('/today');
    expect([status, type]).toEqual([200, html]);
    expect([file('work.html'), file('weekend.html')]).toContain(today);
    expect(await ask('/private/notes.txt')).toEqual([200, text, file('private/notes.txt')]);
    const stranger = new Client(gate.port);
    const other = await stranger.ask('/private/notes.txt', { localAddress: '127.0.0.2' });
    expect(other).toMatchObject({ status: 404, body: 'there is no such page\n' });
    stranger.close();
    // One thing has one path: none goes round the rules, or out of the folder.
    for (const path of ['//private/notes.txt', '/./private/notes.txt', '/../rules.mjs', '/%2e%2e/rules.mjs'])
      expect(await ask(path)).toEqual([400, text, 'this is no path\n']);
    expect(await ask('/%ff')).toEqual([400, text, 'the request is no UTF-8\n']);
    expect(await ask('/downloads')).toEqual([404, text, 'there is no such page\n']);
    client.close();
    expect(gate.stderr).toBe('');
    await expectEnd(gate);
  });

  it('keeps its counts while the rules are replaced', async () => {
    cpSync(join(folder, 'rules.mjs'), join(folder, 'counting.mjs'));
    const gate = await Gate.start('counting.mjs');
    const minute = () => process.hrtime.bigint() / 60_000_000_000n;
    let statuses: number[] = [];
    let begun: bigint;
    let address = 2;
    do {
      begun = minute(); // it begins anew, with another client, where it came to the end of a minute
      address++;
      const client = new Client(gate.port);
      const ask = async () =>
        (await client.ask('/downloads/list.txt', { localAddress: `127.0.0.${address}` })).status;
      statuses = [];
      for (let i = 0; i < 31; i++) statuses.push(await ask());
      const replaced = gate.said('the rules have been replaced');
      writeFileSync(join(folder, 'counting.mjs'), readFileSync(join(folder, 'rules.mjs')));
      await until(() => gate.said('the rules have been replaced') > replaced, 'the replacement');
      statuses.push(await ask());
      client.close();
    } while (minute() !== begun);
    expect(statuses).toEqual([...Array(30).fill(200), 429, 429]);
    await expectEnd(gate);
  });

  it('replaces the rules under load, and loses no request', async () => {
    const rules = new Rules();
    const gate = await Gate.start(rules.file);
    const load = new Load(gate.port, () => rules.version);
    await load.more(1, 300);
    for (let i = 0; i < 5; i++) {
      const replaced = gate.said('the rules have been replaced');
      const version = rules.replace();
      await load.more(version, 300);
      await until(() => gate.said('the rules have been replaced') > replaced, 'the end of the old rules');
      expect(gate.node).toBeGreaterThan(0); // one, and not that of the rules before too
    }
    await load.end();
    expect([...load.decided.keys()]).toEqual([1, 2, 3, 4, 5, 6]);
    expect(gate.stderr).toBe('');
    await expectEnd(gate);
  });

  it.each([
    ['is no JavaScript', 'export default (registry) => {', /cannot be used: SyntaxError: /],
    [
      'throws',
      'throw new RangeError("too many rules");',
      /cannot be used: RangeError: too many rules\n +at .*\.mjs:1:/,
    ],
    ['has no rules', 'export default () => {};', /publishes no `decide` .*: nothing has that name\n$/],
    [
      'has other rules',
      'export default (r) => r.publish("decide", r.fn({}, () => {}));',
      /publishes no `decide` .*: the handle names an object of another kind\n$/,
    ],
    ['ends', 'process.exit(3);', /cannot be used: .* exited with code 3 /],
  ])('keeps the rules under load when their file %s', async (_, broken, why) => {
    const rules = new Rules();
    const gate = await Gate.start(rules.file);
    const load = new Load(gate.port, () => rules.version);
    await load.more(1, 100);
    rules.write(broken);
    await until(() => gate.said('the rules stay as they were') === 1, 'the attempt');
    expect(gate.stderr).toContain(`gate: ${rules.file} `);
    expect(gate.stderr).toMatch(why);
    await load.more(1, 100);
    await load.more(rules.replace(), 100);
    await load.end();
    await expectEnd(gate);
  });

  it('answers 503 while the rules that were killed start again', async () => {
    const rules = new Rules();
    const gate = await Gate.start(rules.file);
    const load = new Load(
      gate.port,
      () => rules.version,
      ({ status, headers, body }) =>
        expect([status, headers['retry-after'], body]).toEqual([
          503,
          '1',
          'nobody can decide about this now\n',
        ]),
    );
    for (let i = 1; i <= 3; i++) {
      await load.more(rules.version, 100);
      process.kill(gate.node, 'SIGKILL');
      await until(() => gate.stderr.split('the rules are started again\n').length === i + 1, 'the end');
      await load.more(rules.version, 100);
    }
    expect(load.undecided).toBeGreaterThan(0);
    // And what is replaced meanwhile is replaced.
    process.kill(gate.node, 'SIGKILL');
    await load.more(rules.replace(), 100);
    await load.end();
    expect(gate.stderr).toMatch(/^(gate: .* signal 9 .*; the rules are started again\n){4}$/);
    await expectEnd(gate);
  });

  it('with --open serves what it is asked for meanwhile', async () => {
    const rules = new Rules();
    const gate = await Gate.start(rules.file, ['--open']);
    const load = new Load(
      gate.port,
      () => rules.version,
      ({ status, body }) => expect([status, body]).toEqual([404, 'there is no such page\n']),
    );
    await load.more(1, 100);
    process.kill(gate.node, 'SIGKILL');
    await until(() => load.undecided > 0, 'an answer without rules');
    await load.more(1, 100);
    await load.end();
    await expectEnd(gate);
  });

  it('ends an endless loop in the rules', async () => {
    const rules = new Rules();
    const gate = await Gate.start(rules.file);
    const client = new Client(gate.port);
    expect((await client.ask('/loop')).status).toBe(503);
    await until(
      () => gate.stderr.includes('was killed; the rules are started again\n'),
      'the end of the loop',
    );
    const load = new Load(
      gate.port,
      () => rules.version,
      ({ status }) => expect(status).toBe(503),
    );
    await load.more(1, 100);
    await load.end();
    client.close();
    await expectEnd(gate);
  });

  it('passes on no decision that it does not understand', async () => {
    const refused = [
      '',
      'yes',
      '200',
      '200 ../rules.mjs',
      '200 //x',
      '100 x',
      '700 x',
      '302',
      '302 /\r\nX-Evil:1',
    ];
    const rules = new Rules();
    rules.write(`
      const answers = ${JSON.stringify([...refused, '418 tea', '302 /there'])};
      export default (registry) => {
        registry.publish('decide', registry.fn({ args: ['str', 'str', 'str', 'str'], returns: 'str' }, (_, path) => {
          if (path === '/throw') throw new TypeError('not so');
          return answers[Number(path.slice(1))];
        }));
      };`);
    const gate = await Gate.start(rules.file);
    const client = new Client(gate.port);
    for (const [i, decision] of refused.entries()) {
      const { status, headers } = await client.ask(`/${i}`);
      expect([decision, status, headers['x-evil']]).toEqual([decision, 503, undefined]);
    }
    expect(gate.stderr.match(/^gate: the rules answer /gm)).toHaveLength(refused.length);
    expect(await client.ask(`/${refused.length}`)).toMatchObject({ status: 418, body: 'tea\n' });
    const { status, headers } = await client.ask(`/${refused.length + 1}`);
    expect([status, headers.location]).toEqual([302, '/there']);
    expect((await client.ask('/throw')).status).toBe(503);
    expect(gate.stderr).toContain('gate: /throw is not decided: TypeError: not so\n');
    client.close();
    await expectEnd(gate);
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('ends in order under load by %s', async (signal) => {
    const rules = new Rules();
    const gate = await Gate.start(rules.file);
    const load = new Load(gate.port, () => rules.version);
    await load.more(1, 200);
    const ending = expectEnd(gate, signal);
    await load.ended(); // every client was told to close by an answer
    expect(load.closed).toBe(Load.CLIENTS);
    await ending;
    expect(gate.stderr).toBe('');
  });

  it('leaves nothing when it is killed', async () => {
    const rules = new Rules();
    const gate = await Gate.start(rules.file);
    expect(gate.node).toBeGreaterThan(0);
    expect(await gate.end('SIGKILL')).toEqual({ code: null, signal: 'SIGKILL' });
    await until(() => processes().length === 0, 'the end of the rules');
  });

  it.each([
    ['without arguments', [], 2, /^usage: gate /],
    ['with a port that is none', ['--port', '70000', 'rules.mjs', 'www'], 2, /^usage: gate /],
    ['without rules', ['none.mjs', 'www'], 1, /^gate: none\.mjs cannot be used: .*there is no script /],
    ['without a folder', ['rules.mjs', 'none'], 1, /^gate: none: No such file or directory\n$/],
    ['at no address', ['--address', 'here', 'rules.mjs', 'www'], 1, /^gate: here is no IPv4 address\n$/],
  ])('%s says so', (_, args, status, says) => {
    const ended = spawnSync(join(folder, 'gate'), args, { cwd: folder, encoding: 'utf8', timeout: GENEROUS });
    expect({ status: ended.status, signal: ended.signal }).toEqual({ status, signal: null });
    expect(ended.stderr).toMatch(says);
  });
});
