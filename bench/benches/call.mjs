// Bench `call`: a thread that is not JavaScript's calls a method and waits for the result. The realm is awake (calls
// follow each other) or asleep (a pause before each, in which the event loop went to sleep; the caller spins, so
// that its own core stays awake). haft beside koffi's registered callback, beside a thread-safe function with a
// waiting caller, and beside the limit: one word to and fro between two threads.
import { addon, addonPath } from '../addon.mjs';
import { addOp, openRegistry } from '../counter.mjs';

export const subjects = ['haft', 'koffi', 'napi-tsfn-wait', 'ping-pong'];

export const cases = () => [{ realm: 'awake' }, { realm: 'asleep' }];

// Two spinning threads have nothing that could sleep.
export const skips = (subject, { realm }) => subject === 'ping-pong' && realm === 'asleep';

export const needsCalm = true;

const PAUSE_MICROSECONDS = 1000;

// The caller's last call adds 0.
let over;

class Callee {
  total = 0;

  add(x) {
    if (x === 0) over();
    this.total += x;
    return this.total;
  }
}

async function makeCaller(subject) {
  if (subject === 'haft') {
    const { registry, counterKind } = await openRegistry(Callee);
    const handle = registry.create(new Callee(), counterKind);
    const op = addOp(Callee);
    return {
      start: (milliseconds, pause) => addon().callHaft(handle, op, milliseconds, pause),
      close: () => registry.close(),
    };
  }
  // A closure of its own: the callback need not look its object up.
  const callee = new Callee();
  const add = (x) => callee.add(x);
  if (subject === 'napi-tsfn-wait') {
    return { start: (milliseconds, pause) => addon().callTsfn(add, milliseconds, pause), close() {} };
  }
  const { default: koffi } = await import('koffi');
  addon(); // first as an addon, then as a library: koffi finds the same copy
  const callbackType = koffi.pointer(koffi.proto('double Add(double x)'));
  const callback = koffi.register(add, callbackType);
  return {
    start: koffi
      .load(addonPath)
      .func('bench_call_koffi', 'void', [callbackType, 'double', 'double'])
      .bind(null, callback),
    close: () => koffi.unregister(callback),
  };
}

export async function measure(subject, params, { quick }) {
  const milliseconds = quick ? 60 : 600;
  if (subject === 'ping-pong') return [{ params, ns: addon().pingPong(milliseconds) }];

  const { start, close } = await makeCaller(subject);
  const pause = params.realm === 'asleep' ? PAUSE_MICROSECONDS : 0;
  // Nobody but the caller keeps the event loop busy, and this timer keeps it alive.
  const alive = setInterval(() => {}, 2 ** 30);
  let ns;
  for (const time of [milliseconds / 4, milliseconds]) {
    const end = new Promise((resolve) => {
      over = () => setImmediate(resolve); // not before the caller has its answer
    });
    start(time, pause);
    await end;
    ns = addon().callJoin();
  }
  clearInterval(alive);
  close();
  return [{ params, ns }];
}
