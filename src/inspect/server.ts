// HAFT_INSPECT=1: this thread's answers to `haft inspect PID`, on a socket that its user alone can open. It keeps no
// process alive, and whoever asks and does not read is cut off.
import { chmodSync } from 'node:fs';
import type { Socket } from 'node:net';
import { threadId } from 'node:worker_threads';
import { openRegistries } from '../debugging/open-registries.js';
import { makeReport, type RegistryReport } from '../debugging/report.js';
import { HaftError } from '../errors.js';
import { net } from '../lazily.js';
import { ownFolder, removeSocket, removeStale, socketPath } from './folder.js';

/** What is asked: one line of JSON. The answer is one `ThreadAnswer`, and the end. */
export interface Question {
  /** So many of the oldest handles of each registry. */
  readonly handles: number;
}

export interface ThreadAnswer {
  readonly reports: readonly RegistryReport[];
}

const QUESTION_BYTES = 1024;
const PATIENCE = 5000; // milliseconds for a question, and without a byte of the answer taken
const PEERS = 8;
// As it was when this was loaded, whatever tests put in its place.
const later = setTimeout;

// A worker has a copy of the environment that it may change; the process keeps what it began with.
const given = process.env.HAFT_INSPECT ?? '';
let serves = false;

/** @throws HaftError `HAFT_E_ARGUMENT` when HAFT_INSPECT is none of its values. */
export function checkInspectSetting(): void {
  if (given === '' || given === '0' || given === '1') return;
  throw new HaftError('HAFT_E_ARGUMENT', {
    message: `HAFT_INSPECT is "${given}"`,
    next: 'set it to 1, or leave it out',
  });
}

/** Listens, from the first registry of the thread on. @throws HaftError as `checkInspectSetting`. */
export function serveInspection(): void {
  checkInspectSetting();
  if (given !== '1' || serves) return;
  serves = true;
  try {
    listen();
  } catch (error) {
    warn(`nobody can inspect this process: ${(error as Error).message}`);
  }
}

function listen(): void {
  const folder = ownFolder();
  removeStale(folder);
  const path = socketPath(folder, process.pid, threadId);
  removeSocket(path); // of a process before that had our number
  const server = net().createServer(answer);
  server.maxConnections = PEERS;
  server.on('error', (error) => warn(`nobody can inspect this process: ${error.message}`));
  server.listen({ path, exclusive: true }); // a worker of node:cluster has its own
  server.unref();
  chmodSync(path, 0o600);
  process.on('exit', () => removeSocket(path));
}

function warn(reason: string): void {
  process.emitWarning(`HAFT_INSPECT=1, and ${reason}`, {
    code: 'HAFT_INSPECT',
  });
}

function answer(peer: Socket): void {
  let question = '';
  peer.unref();
  peer.setTimeout(PATIENCE, () => peer.destroy());
  // Once for all: who asks byte by byte must not keep others out.
  let asked = false;
  later(() => asked || peer.destroy(), PATIENCE).unref();
  peer.on('error', () => peer.destroy());
  peer.setEncoding('utf8');
  peer.on('data', (text: string) => {
    question += text;
    if (question.includes('\n')) {
      peer.removeAllListeners('data');
      asked = true;
      try {
        peer.end(answerTo(question));
      } catch (error) {
        // Such as an answer longer than a string can be: it is no business of the program's.
        warn(`an answer failed: ${(error as Error).message}`);
        peer.destroy();
      }
    } else if (question.length > QUESTION_BYTES) {
      peer.destroy();
    }
  });
}

function answerTo(question: string): string {
  const handles = handlesOf(question);
  const reports = openRegistries().map(({ table }) => makeReport(table, { handles }));
  return JSON.stringify({ reports } satisfies ThreadAnswer);
}

function handlesOf(question: string): number {
  try {
    const { handles } = JSON.parse(question) as Partial<Question>;
    return Number.isInteger(handles) && handles! >= 0 ? handles! : 0;
  } catch {
    return 0;
  }
}
