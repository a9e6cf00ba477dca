// The tools for debugging where the program embeds: what is of the program's process, and what of the logic's.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { built, expectExit, program } from './support/child.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'haft-debug-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const debug = async (env: Record<string, string>, args: string[] = []) =>
  expectExit(await program('debug', args, { env }));

describe.runIf(process.platform === 'linux')('a program that embeds', () => {
  it.each(['0', '1'])('says nothing at HAFTCHECK=%s but the status', async (level) => {
    const { stdout, stderr } = await debug({ HAFTCHECK: level });
    expect(stdout).toContain(`level ${level}, `);
    expect(stdout).toContain('release of 1: HAFT_E_FORGED\n');
    expect(stderr).toBe('');
  });

  it('reports its own breach at HAFTCHECK=2, and no other', async () => {
    const { stdout, stderr } = await debug({ HAFTCHECK: '2' });
    expect(stdout).toContain('level 2, ');
    expect(stderr.match(/^haft: .*$/gm)).toEqual([
      expect.stringMatching(/^haft: pointer rule 1 broken: HAFT_E_FORGED in haft_release on thread \d+$/),
    ]);
  });

  it('ends at its own breach with HAFTCHECK=2,abort, and its logic with it', async () => {
    const { signal, stdout } = await program('debug', [], { env: { HAFTCHECK: '2,abort' } });
    expect(signal).toBe('SIGABRT');
    const pid = Number(/child (\d+)/.exec(stdout)![1]);
    await expect.poll(() => isAlive(pid), { timeout: 10_000 }).toBe(false);
  });

  it('keeps references of the program and of JavaScript apart at no level', async () => {
    const args = [built('conformance.so'), '--only', '2.14,6.17,11.12'];
    const { stdout, stderr } = expectExit(await program('conformance', args, { env: { HAFTCHECK: '2' } }));
    expect(stdout.match(/"result":"passed"/g)).toHaveLength(3);
    expect(stderr).not.toContain('HAFT_E_OWNER');
  });

  it('has the leaks of its logic told by the logic', async () => {
    const { stdout, stderr } = await debug({ HAFT_LEAKS: '1' });
    expect(stderr).toMatch(/^haft: \d+ handles? with \d+ references? still alive/m);
    expect(stdout).toContain(', code 23\n');
  });

  it('shows its logic to haft inspect, by the number of the child', async () => {
    const { stdout } = await debug({ HAFT_INSPECT: '1', XDG_RUNTIME_DIR: folder }, ['inspect']);
    const pid = Number(/child (\d+)/.exec(stdout)![1]);
    const report = stdout.slice(stdout.indexOf('{'), stdout.lastIndexOf('}') + 1);
    expect(JSON.parse(report)).toBeTypeOf('object');
    expect(report).toContain(String(pid));
    expect(report).toContain('Counter');
  });

  it('writes a trace of its own, and the logic another, where the name has %p', async () => {
    const { stdout } = await debug({ HAFT_TRACE: join(folder, '%p.json') });
    const pid = Number(/child (\d+)/.exec(stdout)![1]);
    const files = readdirSync(folder).map((name) => Number.parseInt(name, 10));
    expect(files).toHaveLength(2);
    expect(files).toContain(pid);
    const host = files.find((number) => number !== pid);
    const texts = [host, pid].map((number) => readFileSync(join(folder, `${number}.json`), 'utf8'));
    expect(texts[0]).toMatch(/"name": ?"call/);
    for (const text of texts) expect(text.startsWith('[\n')).toBe(true);
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
