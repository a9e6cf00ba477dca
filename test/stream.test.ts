// The example host: the same results over every table and for every number of threads, and what it says when it cannot.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const example = join(import.meta.dirname, '..', 'examples', 'stream');
const TABLES = ['haft', 'big-old-map', 'sharded-map'];

interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

interface Report {
  table: string;
  threads: number;
  read: number;
  counted: number;
  refused: number;
  seconds: number;
  perSecond: number;
  latencyMicroseconds: { p50: number; p99: number; p999: number; max: number };
  handles: { created: number; live: number };
  results: Record<string, string>;
}

type Options = Record<string, string | number>;

let folder: string;
let files = 0;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'haft-stream-test-'));
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

function file(name: string, content: string | Buffer): string {
  const path = join(folder, `${files++}-${name}`);
  writeFileSync(path, content);
  return path;
}

/** A logic module whose functions are these; the rest groups lines by themselves and counts them. */
function logicModule(functions: Record<string, string> = {}, before = ''): string {
  const all = {
    decode: '(line, lineNumber) => ({ line, lineNumber })',
    partition: '(record) => record.line',
    state: '() => ({ lineNumbers: [] })',
    compute: '(state, record) => { state.lineNumbers.push(record.lineNumber); }',
    encode: '(key, state) => state.lineNumbers.sort((a, b) => a - b).join()',
    ...functions,
  };
  const body = Object.entries(all).map(([name, source]) => `${name}: ${source},`);
  return file('logic.mjs', `${before}\nexport default { ${body.join('\n')} };\n`);
}

/** `interrupt`: Ctrl-C at the first word that the program says. */
function run(script: string, args: string[], interrupt = false): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(example, script), ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      if (interrupt && stdout === '') child.kill('SIGINT');
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}

function argsOf(options: Options): string[] {
  return Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
}

async function stream(options: Options, script = 'main.js'): Promise<Report & { stderr: string }> {
  const json = join(folder, `${files++}-out.json`);
  const { code, stderr } = await run(script, argsOf({ ...options, json }));
  expect(code, stderr).toBe(0);
  return { ...JSON.parse(readFileSync(json, 'utf8')), stderr };
}

/** Ends with one sentence and a code that is not 0, without a stack. */
async function refused(args: string[], sentence: RegExp, script = 'main.js'): Promise<void> {
  const { code, signal, stderr } = await run(script, args);
  expect(signal).toBeNull();
  expect(code).toBeGreaterThan(0);
  expect(stderr).toMatch(sentence);
  expect(stderr).not.toMatch(/\n\s+at /);
  expect(stderr.trimEnd().split('\n')).toHaveLength(1);
}

/** The first lines of the data that the shipped logic reads. */
function sample(logic: string): string {
  if (logic === 'flights') {
    const flight = (i: number) => ({
      delay: (i * 37) % 90,
      distance: 100 + ((i * 61) % 900),
      time: (i % 96) / 4,
    });
    return Array.from({ length: 700 }, (_, i) => `${JSON.stringify(flight(i))}\n`).join('');
  }
  const data = join(
    dirname(createRequire(import.meta.url).resolve('vega-datasets')),
    '..',
    'data',
    `${logic}.csv`,
  );
  return readFileSync(data, 'utf8').split('\n').slice(0, 250).join('\n');
}

describe.each(['flights', 'birdstrikes', 'airports'])('the logic %s', (name) => {
  const logic = join(example, 'logic', `${name}.js`);
  const header = name === 'flights' ? 0 : 1;
  let input: string;
  let lines: number;
  const floor: Report[] = [];

  beforeAll(async () => {
    const text = sample(name);
    lines = text.trimEnd().split('\n').length;
    input = file(name, text);
    for (const repeat of [1, 3]) floor.push(await stream({ logic, input, repeat }, 'pure.js'));
  });

  it('is computed by the loop', () => {
    expect(floor[0]).toMatchObject({ table: 'pure-js', read: lines, refused: header });
    expect(floor[1]).toMatchObject({ table: 'pure-js', read: 3 * lines, refused: 3 * header });
    expect(Object.keys(floor[0].results).length).toBeGreaterThan(2);
  });

  it.each(TABLES)('has the same results over %s, whatever the threads', async (table) => {
    const ways = [
      [1, 1],
      [2, 1],
      [8, 1],
      [8, 3],
    ];
    const runs = ways.map(async ([threads, repeat]) => {
      const report = await stream({ logic, input, table, threads, repeat });
      expect(report.results).toEqual(floor[repeat === 1 ? 0 : 1].results);
      expect(report).toMatchObject({
        table,
        threads,
        read: repeat * lines,
        counted: repeat * (lines - header),
        refused: repeat * header,
      });
      const { p50, p99, p999, max } = report.latencyMicroseconds;
      expect([p50, p99, p999, max]).toEqual([p50, p99, p999, max].sort((a, b) => a - b));
      expect(p50).toBeGreaterThan(0);
      expect(report.perSecond).toBeCloseTo(report.counted / report.seconds, 0);
      // A handle a record, one a key, and the five objects.
      const keys = Object.keys(report.results).length;
      expect(report.handles).toEqual({ created: report.counted + keys + 5, live: 0 });
      if (header) expect(report.stderr).toMatch(/^line 1 refused by decode: .*header line/);
    });
    await Promise.all(runs);
  });
});

describe('lines', () => {
  const cases: [string, string | Buffer, Record<string, string>][] = [
    ['LF', 'a\nb\na\n', { a: '1,3', b: '2' }],
    ['CRLF', 'a\r\nb\r\na\r\n', { a: '1,3', b: '2' }],
    ['no newline at the end', 'a\nb\na', { a: '1,3', b: '2' }],
    ['a CR at the very end', 'a\nb\r', { a: '1', b: '2' }],
    ['blank lines', '\n\na\n\r\n\nb\n\n', { a: '3', b: '6' }],
    ['spaces, which are not blank', ' \na\n', { ' ': '1', a: '2' }],
    ['a CR inside a line', 'a\rb\n', { 'a\rb': '1' }],
    ['a byte order mark', '\ufeffa\nb\n', { a: '1', b: '2' }],
    [
      'other letters, quotes and control characters',
      'grün\n"\\\t\n日本\n',
      { grün: '1', '"\\\t': '2', 日本: '3' },
    ],
    [
      'names of Object.prototype',
      '__proto__\nconstructor\n',
      JSON.parse('{"__proto__":"1","constructor":"2"}'),
    ],
  ];

  it.each(cases)('with %s', async (_, content, results) => {
    const input = file('lines.txt', content);
    const logic = logicModule();
    expect((await stream({ logic, input }, 'pure.js')).results).toEqual(results);
    const runs = [...TABLES.map((table) => ({ table, threads: 16 })), { table: 'haft', threads: 1 }].map(
      async (way) => {
        const report = await stream({ logic, input, ...way });
        expect(Object.entries(report.results).sort()).toEqual(Object.entries(results).sort());
        expect(report.handles.live).toBe(0);
      },
    );
    await Promise.all(runs);
  });

  it('begin at number 1 again with each repeat', async () => {
    const input = file('lines.txt', 'a\n\nb\na');
    const { results } = await stream({ logic: logicModule(), input, repeat: 2, threads: 3 });
    expect(results).toEqual({ a: '1,1,4,4', b: '3,3' });
  });

  it('that are very long arrive whole', async () => {
    const long = 'x'.repeat(300_000);
    const input = file('lines.txt', `short\n${long}\nü${long}\n`);
    const logic = logicModule({ partition: '(record) => String(record.line.length)' });
    for (const table of TABLES) {
      expect((await stream({ logic, input, table })).results).toEqual({ 5: '1', 300000: '2', 300001: '3' });
    }
  });
});

describe.each(TABLES)('over %s', (table) => {
  it('makes each state once, however many threads meet a new key', async () => {
    const input = file('keys.txt', Array.from({ length: 6000 }, (_, i) => `key ${i % 2000}\n`).join(''));
    const logic = logicModule(
      {
        state: '(key) => { made.set(key, (made.get(key) ?? 0) + 1); return { records: 0 }; }',
        compute: '(state) => { state.records++; }',
        encode: '(key, state) => [made.get(key), "made,", state.records, "records"].join(" ")',
      },
      'const made = new Map();',
    );
    const { results, handles } = await stream({ logic, input, table, threads: 8 });
    const keys = Object.keys(results);
    expect(keys).toHaveLength(2000);
    expect(keys).toEqual([...keys].sort());
    expect(new Set(Object.values(results))).toEqual(new Set(['1 made, 3 records']));
    expect(handles).toEqual({ created: 6000 + 2000 + 5, live: 0 });
  });

  it.each([
    ['decode', '(line) => { check(line); return { line }; }'],
    ['partition', '(record) => { check(record.line); return "k"; }'],
    ['partition', '(record) => record.line.startsWith("bad") ? 7 : "k"'],
    ['state', '(key) => { check(key); return { lineNumbers: [] }; }'],
    ['compute', '(state, record) => { check(record.line); }'],
  ])('counts and reports what %s refuses, and goes on', async (op, source) => {
    const lines = Array.from({ length: 200 }, (_, i) => (i % 5 === 4 ? `bad ${i % 3}` : `good ${i % 3}`));
    const input = file('lines.txt', lines.join('\n'));
    const check =
      'const check = (line) => { if (line.startsWith("bad")) throw new RangeError("no " + line); };';
    const logic = logicModule({ [op]: source, encode: '() => "encoded"' }, check);
    const floor = await stream({ logic, input, repeat: 2 }, 'pure.js');
    const report = await stream({ logic, input, table, threads: 8, repeat: 2 });
    expect(report).toMatchObject({ read: 400, counted: 320, refused: 80, handles: { live: 0 } });
    expect(report.results).toEqual(floor.results);
    const said = report.stderr.trimEnd().split('\n');
    expect(said).toHaveLength(11);
    for (const [i, line] of said.slice(0, 10).entries()) {
      expect(line).toMatch(new RegExp(`^line ${5 * i + 5} refused by ${op}: .`));
      if (source.includes('check')) expect(line).toContain('RangeError: no bad');
    }
    expect(said[10]).toBe('and 70 more refused');
  });

  it('refuses a line that is not UTF-8, and no other', async () => {
    const input = file('lines.txt', Buffer.from('a\nb\xff\xc3\xa4\nc\n', 'latin1'));
    const report = await stream({ logic: logicModule(), input, table });
    expect(report).toMatchObject({ read: 3, counted: 2, refused: 1, results: { a: '1', c: '3' } });
    expect(report.stderr).toMatch(/^line 2 refused by decode: .*UTF-8/);
  });

  it('ends with one sentence when a state cannot be encoded', async () => {
    const logic = logicModule({ encode: '() => { throw new Error("too big"); }' });
    const input = file('lines.txt', 'a\nb\n');
    await refused(argsOf({ table, logic, input }), /^stream: encode failed for the key 'a': .*too big/);
  });

  it('ends in order at Ctrl-C', async () => {
    const input = file('lines.txt', 'a\nb\n'.repeat(5000));
    const logic = logicModule(
      { compute: '() => { if (!told) { told = true; console.log("begun"); } }' },
      'let told = false;',
    );
    const args = argsOf({ table, logic, input, repeat: 1_000_000 });
    const { code, signal, stderr } = await run('main.js', args, true);
    expect(stderr).toMatch(
      /^stream: stopped before the end, after \d+ records, because JavaScript has closed\.\n$/,
    );
    expect({ code, signal }).toEqual({ code: 130, signal: null });
  });
});

describe('bad input', () => {
  const input = () => file('lines.txt', 'a\n');
  const bad: [string, () => string[], RegExp][] = [
    ['a missing file', () => ['--input', join(folder, 'none')], /none does not exist/],
    ['an empty file', () => ['--input', file('empty', '')], /is empty/],
    ['a file of blank lines', () => ['--input', file('blank', '\n\r\n\n')], /holds no records/],
    ['a directory', () => ['--input', folder], /is a directory/],
    ['no threads', () => ['--threads', '0'], /--threads.*whole number/],
    ['threads that are no number', () => ['--threads', 'x'], /--threads.*whole number/],
    ['half a thread', () => ['--threads', '1.5'], /--threads.*whole number/],
    ['too many threads', () => ['--threads', '1000000'], /--threads.*whole number/],
    ['no repeat', () => ['--repeat', '0'], /--repeat.*whole number/],
    ['an unknown table', () => ['--table', 'list'], /--table.*haft, big-old-map, sharded-map/],
    ['an unknown option', () => ['--speed', '9'], /unknown option '--speed'/],
    ['an argument too many', () => ['flights'], /too many arguments/],
    ['a report that is a directory', () => ['--json', folder], /cannot write/],
    ['a report in no directory', () => ['--json', join(folder, 'none', 'out.json')], /cannot write/],
    ['no logic module', () => ['--logic', join(folder, 'none.js')], /none\.js does not exist/],
    [
      'a logic module that throws',
      () => ['--logic', file('l.mjs', 'throw new Error("boom");')],
      /does not load: .*boom/,
    ],
    [
      'a logic module with an error of syntax',
      () => ['--logic', file('l.mjs', 'export default {')],
      /does not load: /,
    ],
    [
      'a logic module without default export',
      () => ['--logic', file('l.mjs', 'export const a = 1;')],
      /no object/,
    ],
    [
      'a logic module that lacks functions',
      () => ['--logic', file('l.mjs', 'export default { decode() {}, state: 1, compute() {} };')],
      /lacks partition, state, encode$/m,
    ],
  ];

  it.each(bad)('%s', async (_, args, sentence) => {
    const given = args();
    await refused(given.includes('--input') ? given : [...given, '--input', input()], sentence);
  });

  it('leaves no report behind', async () => {
    const json = join(folder, 'not-written.json');
    await run('main.js', ['--input', file('blank', '\n'), '--json', json]);
    expect(existsSync(json)).toBe(false);
  });

  it('says so in the loop too', async () => {
    await refused(['--input', file('blank', '\n')], /holds no records/, 'pure.js');
    await refused(['--repeat', '0'], /--repeat/, 'pure.js');
  });
});

describe('the program', () => {
  it('prints the results, the counts, the throughput and the tail', async () => {
    const input = file('flights.jsonl', sample('flights'));
    const { code, stdout, stderr } = await run('main.js', ['--input', input, '--threads', '2']);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    for (const text of [
      'mean delay',
      '23:00',
      '700 read = 700 counted + 0 refused',
      'records/s',
      'p99.9',
      '0 live',
    ]) {
      expect(stdout).toContain(text);
    }
  });

  it('has exactly the fields of a report', async () => {
    const input = file('flights.jsonl', sample('flights'));
    const { stderr, ...report } = await stream({ input, threads: 2 });
    expect(stderr).toBe('');
    expect(Object.keys(report)).toEqual([
      'table',
      'threads',
      'read',
      'counted',
      'refused',
      'seconds',
      'perSecond',
      'latencyMicroseconds',
      'handles',
      'results',
    ]);
    expect(Object.keys(report.latencyMicroseconds)).toEqual(['p50', 'p99', 'p999', 'max']);
    expect(Object.keys(report.handles)).toEqual(['created', 'live']);
  });

  it('compares the tables side by side', async () => {
    const json = join(folder, 'compared.json');
    const input = file('birds.csv', sample('birdstrikes'));
    const logic = join(example, 'logic', 'birdstrikes.js');
    const options = argsOf({ input, logic, json, threads: 2 });
    const { code, stdout, stderr } = await run('main.js', ['--compare', ...options]);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/^line 1 refused by decode: .*\n$/); // once, and not once a run
    const reports: Report[] = JSON.parse(readFileSync(json, 'utf8'));
    expect(reports.map(({ table }) => table)).toEqual(TABLES);
    for (const report of reports) {
      expect(stdout).toContain(report.table);
      expect(report.results).toEqual(reports[0].results);
      expect(report.handles.live).toBe(0);
    }
    expect(stdout).toContain('p99.9');
  });

  it('reads flights unless told otherwise', async () => {
    const cached = join(example, '..', '..', 'build', 'stream');
    mkdirSync(cached, { recursive: true });
    const report = await stream({});
    expect(report).toMatchObject({
      table: 'haft',
      read: 200_000,
      counted: 200_000,
      refused: 0,
      handles: { live: 0 },
    });
    expect(Object.keys(report.results)).toHaveLength(24);
  });
});
