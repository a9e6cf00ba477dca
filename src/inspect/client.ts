// Asks a live process for its reports: every thread of it that has a registry, each by its own socket.
import { statSync } from 'node:fs';
import { connect } from 'node:net';
import type { RegistryReport } from '../debugging/report.js';
import { Problem } from '../problem.js';
import { removeSocket, socketFolders, socketsIn, type ThreadSocket } from './folder.js';
import type { Question, ThreadAnswer } from './server.js';

/** All registries of a process. */
export interface ProcessReport {
  readonly format: 'haft-process-1';
  /** ISO 8601. */
  readonly when: string;
  readonly pid: number;
  readonly reports: readonly RegistryReport[];
  /** Threads that did not answer in time; 0 is the main thread. */
  readonly silent: readonly number[];
}

export interface AskOptions {
  readonly handles: number;
  readonly timeoutMilliseconds: number;
}

/** @throws Problem */
export async function askProcess(pid: number, options: AskOptions): Promise<ProcessReport> {
  requireOwn(pid);
  const when = new Date().toISOString();
  const sockets = allSockets().filter((socket) => socket.pid === pid);
  const answers = await Promise.all(
    sockets.map(async (socket) => ({ socket, answer: await ask(socket, options) })),
  );
  const there = answers.filter(({ answer }) => answer !== 'gone');
  if (there.length === 0) {
    throw new Problem(
      `process ${pid} was not started with HAFT_INSPECT=1, or has opened no registry yet; ` +
        'start it with HAFT_INSPECT=1 in its environment',
    );
  }
  const silent = there.filter(({ answer }) => answer === 'silent').map(({ socket }) => socket.thread);
  if (silent.length === there.length) {
    throw new Problem(
      `process ${pid} has not answered within ${options.timeoutMilliseconds / 1000} s: its JavaScript is busy, or the ` +
        'process is stopped; try again, or allow more time with --timeout',
    );
  }
  const reports = there.flatMap(({ answer }) => (typeof answer === 'string' ? [] : answer.reports));
  return { format: 'haft-process-1', when, pid, reports, silent };
}

function requireOwn(pid: number): void {
  let isOurs = true;
  try {
    process.kill(pid, 0);
    isOurs = process.platform !== 'linux' || statSync(`/proc/${pid}`).uid === process.getuid?.();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EPERM') throw new Problem(`there is no process ${pid}; "ps -e" lists those that run`);
    isOurs = false;
  }
  if (!isOurs) {
    throw new Problem(
      `process ${pid} is another user's, who alone can inspect it; run "haft inspect ${pid}" as that user`,
    );
  }
}

function allSockets(): ThreadSocket[] {
  return whatFolders(socketFolders, '').flatMap((folder) =>
    whatFolders(() => socketsIn(folder), '; make it a folder of yours with mode 0700, or remove it'),
  );
}

function whatFolders<T>(ask: () => T, next: string): T {
  try {
    return ask();
  } catch (error) {
    throw new Problem(`the sockets of processes are not to be used: ${(error as Error).message}${next}`);
  }
}

type Answer = ThreadAnswer | 'gone' | 'silent';

function ask({ path }: ThreadSocket, { handles, timeoutMilliseconds }: AskOptions): Promise<Answer> {
  return new Promise((resolve) => {
    let text = '';
    const peer = connect(path);
    // Once for all: a process that sends a byte now and then must not hold us.
    const timer = setTimeout(() => end('silent'), timeoutMilliseconds);
    const end = (answer: Answer) => {
      clearTimeout(timer);
      peer.destroy();
      resolve(answer);
    };
    peer.setEncoding('utf8');
    peer.on('connect', () => peer.write(`${JSON.stringify({ handles } satisfies Question)}\n`));
    peer.on('data', (more: string) => {
      text += more;
    });
    peer.on('end', () => end(answerOf(text)));
    peer.on('error', ({ code }: NodeJS.ErrnoException) => {
      // The thread has ended without its farewell: it was terminated.
      if (code === 'ECONNREFUSED') removeSocket(path);
      end(code === 'ECONNREFUSED' || code === 'ENOENT' ? 'gone' : 'silent');
    });
  });
}

function answerOf(text: string): Answer {
  try {
    return JSON.parse(text) as ThreadAnswer;
  } catch {
    return 'silent'; // it ended in the midst of its answer
  }
}
