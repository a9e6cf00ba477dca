// Bench `trampoline`: C that knows nothing of haft calls JavaScript closures by function pointer and user data, `int (*)(int,
// void *)`. `call`, on JavaScript's own thread or on another one; `bind`: one closure more, and its end; `hold`: a million
// of them, of which `bytesPerClosure` are beside the closures. haft beside koffi's registered callback.
import { timeCallers } from '../callers.mjs';
import { median } from '../median.mjs';
import { makeTrampoline } from '../trampolines.mjs';

export const subjects = ['haft', 'koffi'];

export const cases = ({ quick }) => [
  { op: 'call', thread: 'same' },
  { op: 'call', thread: 'foreign' },
  { op: 'bind' },
  { op: 'hold', live: quick ? 100000 : 1000000 },
];

// koffi has 8,192 callbacks in all.
export const skips = (subject, { op }) => op === 'hold' && subject === 'koffi';

export const needsCalm = true;
export const nodeFlags = ['--expose-gc', '--max-old-space-size=4000'];

function usedBytes() {
  globalThis.gc();
  globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

// Both subjects bind closures that are there already: what those cost is the user's.
function makeClosures(count) {
  const add = (step) => (n) => n + step;
  return Array.from({ length: count }, (_, i) => add(i));
}

async function call({ loop, start }, thread, quick) {
  if (thread === 'foreign') {
    const milliseconds = quick ? 60 : 600;
    await timeCallers(() => start(1, milliseconds / 4)); // compiles
    return timeCallers(() => start(1, milliseconds));
  }
  const count = quick ? 20000 : 500000;
  loop(count);
  return median(Array.from({ length: 5 }, () => loop(count)));
}

function bindAndUnbind({ bind, unbind }, quick) {
  const closures = makeClosures(1000);
  const passes = quick ? 10 : 100;
  const once = () => {
    const began = performance.now();
    for (let pass = 0; pass < passes; pass++) for (const closure of closures) unbind(bind(closure));
    return ((performance.now() - began) * 1e6) / (passes * closures.length);
  };
  once();
  return median(Array.from({ length: 5 }, once));
}

// The user data is what C has; the `Bound` of each is garbage.
function hold({ bind }, live) {
  const closures = makeClosures(live);
  const before = usedBytes();
  const resident = process.memoryUsage().rss;
  const userData = new Float64Array(live);
  const began = performance.now();
  for (let i = 0; i < live; i++) userData[i] = bind(closures[i]).userData;
  const ns = ((performance.now() - began) * 1e6) / live;
  const heap = usedBytes() - before - userData.byteLength;
  // What of it is the arena's is in no count of V8's: the larger of both.
  const rss = process.memoryUsage().rss - resident - userData.byteLength;
  return { ns, bytesPerClosure: Math.max(heap, rss) / live };
}

export async function measure(subject, params, { quick }) {
  const made = await makeTrampoline(subject);
  const { op, thread, live } = params;
  const row =
    op === 'hold'
      ? hold(made, live)
      : { ns: op === 'bind' ? bindAndUnbind(made, quick) : await call(made, thread, quick) };
  made.close();
  return [{ params, ...row }];
}
