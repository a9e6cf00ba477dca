// C programs with a main() that embed a logic: test/embed. Each case is a process of its own.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { type Ended, root } from './child.js';

const BOUND_MILLISECONDS = 50_000;

/** Runs a case in the root of the project, to its end. What it has started is in its group, and ends with it if it hangs. */
export function embed(program: string, args: string[]): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const started = spawn(join(root, 'build', 'programs', program), args, {
      cwd: root,
      env: {
        ...process.env,
        NODE_OPTIONS: '',
        HAFT_NODE: process.execPath,
        TEST_PATH: `PATH=${process.env.PATH}`,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: BOUND_MILLISECONDS,
      killSignal: 'SIGKILL',
    });
    let stdout = '';
    let stderr = '';
    started.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    started.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    started.on('error', reject);
    started.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}

/** Each case of a file gets a folder, which is its second argument. */
export function casesOf(program: string) {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'haft-embed-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return async (name: string, more: string[] = [], code = 0): Promise<Ended> => {
    const ended = await embed(program, [name, folder, ...more]);
    expect(ended, ended.stderr + ended.stdout).toMatchObject({ code, signal: null });
    return ended;
  };
}
