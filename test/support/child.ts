// Programs in processes of their own: what ends a process, or could crash it, is tested from outside, by exit code and
// signal.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { expect } from 'vitest';

export const root = join(import.meta.dirname, '..', '..');
export const built = (name: string) => join(root, 'build', 'Release', name);
export const logicFile = (name: string) => join(root, 'test', 'logic', name);

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface ChildOptions {
  env?: Record<string, string>;
  /** Sends this signal when the text has stood on stdout; as often as there are entries. */
  kill?: [text: string, signal: NodeJS.Signals][];
  /** Milliseconds after which it is killed, and `signal` tells so. */
  timeout?: number;
}

/** Runs node with these arguments, in the root of the project, to its end. */
export const child = (args: string[], options: ChildOptions = {}) =>
  runProgram(process.execPath, args, options);

/** Runs a program of test/embed, which embeds. */
export const program = (name: string, args: string[] = [], options: ChildOptions = {}) =>
  runProgram(join(root, 'build', 'programs', name), args, {
    ...options,
    env: { HAFT_NODE: process.execPath, ...options.env },
  });

function runProgram(
  file: string,
  args: string[],
  { env = {}, kill = [], timeout = 45_000 }: ChildOptions,
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const started = spawn(file, args, {
      cwd: root,
      env: { ...process.env, NODE_OPTIONS: '', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout,
      killSignal: 'SIGKILL',
    });
    const waiting = [...kill];
    let stdout = '';
    let stderr = '';
    started.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      const next = waiting[0];
      if (next && stdout.includes(next[0])) {
        waiting.shift();
        started.kill(next[1]);
      }
    });
    started.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    started.on('error', reject);
    started.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}

/** Runs this text as an ES module; `haft` is the built package. */
export const script = (source: string, args: string[] = [], options: ChildOptions = {}) =>
  child(['--expose-gc', '--input-type=module', '--eval', source, '--', ...args], options);

/** Runs the command `haft`. */
export const haft = (args: string[], options: ChildOptions = {}) =>
  child(['--expose-gc', join(root, 'dist', 'cli.js'), ...args], options);

/** Runs `haft run` with a host of test/hosts and a logic of test/logic. */
export const run = (host: string, logic: string, args: string[] = [], options: ChildOptions = {}) =>
  haft(['run', built(`${host}.so`), logicFile(logic), '--', ...args], options);

/** It came to its own end, with this exit code. */
export function expectExit(ended: Ended, code = 0): Ended {
  expect(ended, ended.stderr + ended.stdout).toMatchObject({ code, signal: null });
  return ended;
}
