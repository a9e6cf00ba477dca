// Callers on threads of their own, as the benches `call` and `call-loaded` have them: haft's, and those of its peers.
import { addon, addonPath } from './addon.mjs';
import { addOp, openRegistry } from './counter.mjs';

// The callers' last call adds 0.
let over;

export class Callee {
  total = 0;

  add(x) {
    if (x === 0) over();
    this.total += x;
    return this.total;
  }
}

// A closure of its own over a callee, for callbacks that need not look their object up.
export function makeClosure() {
  const callee = new Callee();
  return (x) => callee.add(x);
}

// start(threads, milliseconds, pause in microseconds) returns at once; `napi-tsfn-wait` has one thread only.
export async function makeCaller(subject) {
  if (subject === 'haft') {
    const { registry, counterKind } = await openRegistry(Callee);
    const handle = registry.create(new Callee(), counterKind);
    const op = addOp(Callee);
    return {
      start: (threads, milliseconds, pause) => addon().callHaft(handle, op, threads, milliseconds, pause),
      close: () => registry.close(),
    };
  }
  const add = makeClosure();
  if (subject === 'napi-tsfn-wait') {
    return { start: (_, milliseconds, pause) => addon().callTsfn(add, milliseconds, pause), close() {} };
  }
  const { default: koffi } = await import('koffi');
  addon(); // first as an addon, then as a library: koffi finds the same copy
  const callbackType = koffi.pointer(koffi.proto('double Add(double x)'));
  const callback = koffi.register(add, callbackType);
  return {
    start: koffi
      .load(addonPath)
      .func('bench_call_koffi', 'void', [callbackType, 'int', 'double', 'double'])
      .bind(null, callback),
    close: () => koffi.unregister(callback),
  };
}

// Starts callers and awaits the last one; nanoseconds a call.
export async function timeCallers(start) {
  // Nobody but the callers keeps the event loop busy, and this timer keeps it alive.
  const alive = setInterval(() => {}, 2 ** 30);
  const end = new Promise((resolve) => {
    over = () => setImmediate(resolve); // not before the caller has its answer
  });
  start();
  await end;
  clearInterval(alive);
  return addon().callJoin();
}
