// The same C with the same logic gives the same under `haft run` as in a program that embeds: hosts of test/hosts, which
// check what they get, and a host of the examples, whose output is compared.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { built, type Ended, expectExit, haft, program, root } from './support/child.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'haft-same-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What both ways came to. */
async function both(host: string, logic: string, args: string[]): Promise<[Ended, Ended]> {
  return Promise.all([haft(['run', host, logic, '--', ...args]), program('host', [host, logic, ...args])]);
}
const seen = ({ code, signal, stdout }: Ended) => ({ code, signal, stdout });

describe.runIf(process.platform === 'linux')('under haft run and in a program that embeds', () => {
  it('the counter of the examples counts the same', async () => {
    const host = join(folder, 'counter.so');
    const flags = ['-shared', '-fPIC', '-Inative/include', 'examples/counter/host.c', '-o', host];
    const compiled = spawnSync('cc', flags, { cwd: root, encoding: 'utf8' });
    expect(compiled, compiled.stderr).toMatchObject({ status: 0 });
    const [guest, embedded] = await both(host, 'examples/counter/logic.js', []);
    expectExit(guest);
    expect(guest.stdout).toBe('total: 4\n42: HAFT_E_FORGED\n');
    expect(seen(embedded), embedded.stderr).toEqual(seen(guest));
  });

  // Those in which C and JavaScript need no variable in common.
  it.each([
    ['async', 'async', 'functions'],
    ['async', 'async', 'results'],
    ['async', 'async', 'failing'],
    ['async', 'async', 'many takers'],
    ['calls', 'calls', 'answers'],
    ['calls', 'calls', 'exceptions'],
    ['calls', 'calls', 'many'],
    ['calls', 'calls', 'threads'],
    ['names', 'names', 'find'],
    ['names', 'names', 'kinds'],
    ['names', 'names', 'versions'],
    ['values', 'values', 'numbers'],
    ['values', 'values', 'strings'],
    ['values', 'values', 'large'],
    ['values', 'values', 'results'],
  ])('a host does the same: %s %s %s', async (host, logic, name) => {
    const [guest, embedded] = await both(built(`${host}.so`), `test/logic/${logic}.mjs`, [name]);
    expectExit(guest);
    expect(seen(embedded), embedded.stderr).toEqual(seen(guest));
  });

  it('a host that fails its checks has the same exit code', async () => {
    const [guest, embedded] = await both(built('run.so'), 'test/logic/run.mjs', ['7']);
    expectExit(guest, 7);
    expect(seen(embedded), embedded.stderr).toEqual(seen(guest));
  });
});
