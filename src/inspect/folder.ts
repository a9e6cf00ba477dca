// Where processes that may be inspected have their sockets: one a thread, in a folder that is its user's alone.
import { chmodSync, lstatSync, mkdirSync, readdirSync, unlinkSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { os } from '../lazily.js';

const SOCKET = /^(\d+)\.(\d+)\.sock$/;
const MODE = 0o700;
const OTHERS = 0o077;
/** What a Unix socket's path has on all systems. libuv cuts a longer one off, and makes the socket somewhere else. */
const PATH_BYTES = 103;
/** The longest name that `socketPath` gives. */
const NAME_BYTES = '/4194304.4294967295.sock'.length;

export interface ThreadSocket {
  readonly path: string;
  readonly pid: number;
  readonly thread: number;
}

function user(): number {
  const id = process.getuid?.();
  if (id === undefined) throw new Error('this platform has no users that a socket could belong to');
  return id;
}

function runtimeFolder(): string | undefined {
  const folder = process.env.XDG_RUNTIME_DIR;
  if (folder === undefined || !isAbsolute(folder)) return undefined;
  try {
    // Somebody else's, after a change of the user, is none of ours.
    return lstatSync(folder).uid === user() ? join(folder, 'haft') : undefined;
  } catch {
    return undefined;
  }
}

/** Where sockets may be; who makes one takes the first. @throws Error when the paths of all are too long for a socket. */
export function socketFolders(): string[] {
  const runtime = runtimeFolder();
  const temporary = join(os().tmpdir(), `haft-${user()}`);
  const folders = runtime === undefined ? [temporary] : [runtime, temporary];
  const short = folders.filter((folder) => Buffer.byteLength(folder) + NAME_BYTES <= PATH_BYTES);
  if (short.length === 0)
    throw new Error(`${temporary} is too long for the path of a socket; set TMPDIR to a shorter one`);
  return short;
}

/** Why the folder must not be used, if it must not: another user could have put something there. */
function refusalOf(folder: string): string | undefined {
  const found = lstatSync(folder);
  if (!found.isDirectory()) return `${folder} is no folder`;
  if (found.uid !== user()) return `${folder} belongs to another user`;
  if ((found.mode & OTHERS) !== 0) return `${folder} is open to other users`;
  return undefined;
}

/** The folder for a socket; makes it. @throws Error with the reason when it cannot be used. */
export function ownFolder(): string {
  const folder = socketFolders()[0]!;
  try {
    mkdirSync(folder, { mode: MODE });
    chmodSync(folder, MODE); // whatever the process masks
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const refusal = refusalOf(folder);
  if (refusal !== undefined) throw new Error(refusal);
  return folder;
}

export function socketPath(folder: string, pid: number, thread: number): string {
  return join(folder, `${pid}.${thread}.sock`);
}

/** All sockets of a folder. Nothing where there is none. @throws Error when it must not be used. */
export function socketsIn(folder: string): ThreadSocket[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new Error(`${folder} cannot be read`);
  }
  const refusal = refusalOf(folder);
  if (refusal !== undefined) throw new Error(refusal);
  return names.flatMap((name) => {
    const match = SOCKET.exec(name);
    if (match === null) return [];
    return [{ path: join(folder, name), pid: Number(match[1]), thread: Number(match[2]) }];
  });
}

export function removeSocket(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // somebody else has removed it
  }
}

/** Removes what processes left that were killed. */
export function removeStale(folder: string): void {
  for (const { path, pid } of socketsIn(folder)) if (!isAlive(pid)) removeSocket(path);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
