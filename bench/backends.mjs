// node bench/backends.mjs: what the same calls cost on the addon and on koffi alone, in nanoseconds. Each backend in a
// process of its own, three rounds, medians; after `npm run build`. The C side is test/hosts/backends.c.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import Table from 'cli-table3';
import { median } from './median.mjs';

const BACKENDS = ['addon', 'koffi'];
const ROUNDS = 3;

async function measure() {
  const { Registry } = await import('haft');
  const { default: koffi } = await import('koffi');
  const library = (name) => koffi.load(fileURLToPath(new URL(`../build/Release/${name}`, import.meta.url)));
  const registry = new Registry().ref();
  const messages = library('messages.so');
  const host = library('backends.so');
  for (const each of [messages, host]) each.func('int32_t use_api(void *api)')(registry.apiAddress);
  registry.useKoffi(koffi);
  const check = messages.func('int32_t check(uint64_t h)');
  const post = messages.func('int32_t post_number(uint64_t h, uint32_t op, double n)');
  const call = messages.func('int32_t call_number(uint64_t h, uint32_t op, double n, _Out_ double *result)');
  const statusOf = host.func('int32_t status_of(int32_t thread)');
  const begin = {
    checks: host.func('int32_t begin_checks(uint64_t h, int32_t count)'),
    posts: host.func('int32_t begin_posts(uint64_t h, uint32_t op, int32_t count)'),
    calls: host.func('int32_t begin_calls(uint64_t h, uint32_t op, int32_t count)'),
  };
  const handler = registry.fn({ args: ['f64'], returns: 'f64' }, (n) => n + 1);
  const op = host.func('uint32_t op_of(uint64_t h)')(handler);

  const rows = {};
  const here = (name, count, act) => {
    for (let i = 0; i < count / 10; i++) act();
    const started = performance.now();
    for (let i = 0; i < count; i++) act();
    rows[name] = ((performance.now() - started) * 1e6) / count;
  };
  const there = async (name, count, start) => {
    const started = performance.now();
    const thread = start(count);
    while (statusOf(thread) === 1) await new Promise((resolve) => setImmediate(resolve));
    if (statusOf(thread) !== 0) throw new Error(`${name}: status ${statusOf(thread)}`);
    rows[name] = ((performance.now() - started) * 1e6) / count;
  };
  const object = {};
  here('`create` and `delete` in JavaScript', 200_000, () => registry.delete(registry.create(object)));
  here('`haft_check`, C on JavaScript’s thread', 200_000, () => check(handler));
  const result = [0];
  here('`haft_call`, C on JavaScript’s thread', 100_000, () => call(handler, op, 1, result));
  here('`haft_post`, C on JavaScript’s thread, and its handler', 100_000, () => {
    if (post(handler, op, 1) !== 0) registry.drain();
  });
  await there('`haft_check`, another thread', 20_000, (count) => begin.checks(handler, count));
  await there('`haft_post`, another thread', 20_000, (count) => begin.posts(handler, op, count));
  await there('`haft_call`, another thread', 20_000, (count) => begin.calls(handler, op, count));
  process.stdout.write(JSON.stringify(rows), () => process.exit());
}

function compare() {
  const figures = BACKENDS.map((backend) => {
    const rounds = Array.from({ length: ROUNDS }, () => {
      const env = { ...process.env, HAFT_BACKEND: backend };
      return JSON.parse(execFileSync(process.execPath, [fileURLToPath(import.meta.url), 'measure'], { env }));
    });
    return (name) => Math.round(median(rounds.map((rows) => rows[name])));
  });
  const names = ['`create` and `delete` in JavaScript'];
  for (const act of ['`haft_check`', '`haft_call`']) names.push(`${act}, C on JavaScript’s thread`);
  names.push('`haft_post`, C on JavaScript’s thread, and its handler');
  for (const act of ['`haft_check`', '`haft_post`', '`haft_call`']) names.push(`${act}, another thread`);
  const table = new Table({ head: ['nanoseconds', ...BACKENDS], style: { head: [] } });
  for (const name of names) table.push([name, ...figures.map((of) => of(name).toLocaleString('en'))]);
  console.log(String(table));
}

if (process.argv[2] === 'measure') await measure();
else compare();
