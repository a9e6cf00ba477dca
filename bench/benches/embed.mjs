// Bench `embed`: a C program calls logic in JavaScript or Lua. haft, where the program starts Node as a child; haft as a
// guest, where Node is the process; beside QuickJS-ng and Lua 5.4, which run in the program's own threads, behind a lock.
import { figureOf, NotBuilt } from '../embed/programs.mjs';
import { median } from '../median.mjs';

const guests = ['haft', 'haft-guest'];

export const subjects = [...guests, 'quickjs', 'lua', 'node'];

export const METHODS = ['trivial', 'json'];
export const THREADS = [1, 2, 4];

// Who sleeps when a call is made or while it waits: nobody; the caller, since the handler takes long; the realm. And
// `start`: from nothing to the first answer, or for Node itself to the end of an empty script.
export const cases = () => [
  ...METHODS.flatMap((method) => THREADS.map((threads) => ({ method, threads, asleep: 'nobody' }))),
  { method: 'trivial', threads: 1, asleep: 'caller' },
  { method: 'trivial', threads: 1, asleep: 'realm' },
  { method: 'start' },
];

// An interpreter has no thread of its own that could sleep, and is there at once.
export function skips(subject, { method, asleep }) {
  if (method === 'start') return subject !== 'haft' && subject !== 'node';
  return subject === 'node' || (asleep !== 'nobody' && !guests.includes(subject));
}

export const needsCalm = true;

const STARTS = 5;

function argumentsOf({ method, threads, asleep }, milliseconds) {
  const what = { nobody: method, caller: 'work', realm: 'rest' }[asleep];
  return [what, threads, milliseconds];
}

function measureStart(subject, quick) {
  const times = Array.from({ length: quick ? 1 : STARTS }, () =>
    figureOf(subject, subject === 'haft' ? ['start'] : []),
  );
  return median(times);
}

export async function measure(subject, params, { quick }) {
  try {
    const ns =
      params.method === 'start'
        ? measureStart(subject, quick)
        : figureOf(subject, argumentsOf(params, quick ? 60 : 600));
    return [{ params, ns }];
  } catch (error) {
    if (error instanceof NotBuilt) return [{ params, impossible: error.message }];
    throw error;
  }
}
