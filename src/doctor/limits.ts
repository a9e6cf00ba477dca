// What the system allows a process: addresses, threads, open files.
import { readFileSync } from 'node:fs';
import { type Finding, failure, ok, warning } from './finding.js';

/** What the first registry reserves: docs/arena.md. */
const ARENA_BYTES = 9.3 * 2 ** 30;
const PAGE_BYTES = 4096; // as getconf PAGESIZE says on x64; larger elsewhere, where it only makes the figure smaller
const FEW_FILES = 64;
const FEW_THREADS = 64;

/** @param isAddon Only the addon reserves addresses. */
export function limits(isAddon: boolean): Finding[] {
  if (process.platform !== 'linux') return [];
  return [addresses(isAddon), overcommit(), threads(), files()];
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** The soft limit; Infinity where there is none, or it cannot be read. */
function limit(name: string): number {
  const found = new RegExp(`^${name} +(\\S+)`, 'm').exec(read('/proc/self/limits'))?.[1];
  return found === undefined || found === 'unlimited' ? Number.POSITIVE_INFINITY : Number(found);
}

const gibibytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

function addresses(isAddon: boolean): Finding {
  const [id, title] = ['limit.addresses', 'address space'];
  const allowed = limit('Max address space');
  if (allowed === Number.POSITIVE_INFINITY) return ok(id, title, 'unlimited (ulimit -v)');
  const used = Number(read('/proc/self/statm').split(' ')[0]) * PAGE_BYTES;
  const value = `${gibibytes(allowed)} (ulimit -v), of which ${gibibytes(used)} are in use`;
  if (!isAddon) return ok(id, title, `${value}; koffi needs little`);
  if (allowed - used >= ARENA_BYTES) return ok(id, title, value);
  const next = `allow at least 10 GiB beyond what the program itself uses: ulimit -v unlimited`;
  return failure(id, title, `${value}; a registry reserves ${gibibytes(ARENA_BYTES)}`, next);
}

// Reserved addresses count in no mode; what is written does in 2.
function overcommit(): Finding {
  const mode = read('/proc/sys/vm/overcommit_memory').trim();
  const says: Record<string, string> = { 0: 'by estimate', 1: 'always', 2: 'never' };
  const meaning = says[mode] ?? 'a meaning that haft does not know';
  const value = `${mode || 'unknown'}, ${meaning} (vm.overcommit_memory); reserved addresses do not count`;
  return ok('limit.overcommit', 'overcommit', value);
}

function threads(): Finding {
  const [id, title] = ['limit.threads', 'threads'];
  const most = limit('Max processes');
  const value =
    most === Number.POSITIVE_INFINITY ? 'unlimited (ulimit -u)' : `${most} of the user (ulimit -u)`;
  if (most >= FEW_THREADS) return ok(id, title, value);
  return warning(id, title, value, `Node alone needs about ten: raise it, ulimit -u ${FEW_THREADS * 16}`);
}

function files(): Finding {
  const [id, title] = ['limit.files', 'open files'];
  const most = limit('Max open files');
  const value = most === Number.POSITIVE_INFINITY ? 'unlimited (ulimit -n)' : `${most} (ulimit -n)`;
  if (most >= FEW_FILES) return ok(id, title, value);
  return warning(
    id,
    title,
    value,
    `each queue of completions takes one: raise it, ulimit -n ${FEW_FILES * 16}`,
  );
}
