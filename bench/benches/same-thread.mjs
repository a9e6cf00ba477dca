// Bench `same-thread`: C that JavaScript called calls JavaScript back, in a loop. haft beside koffi's registered
// callback and napi_call_function.
import { addon, addonPath } from '../addon.mjs';
import { addOp, Counter, openRegistry } from '../counter.mjs';

export const subjects = ['haft', 'koffi-registered', 'napi-call-function'];

export const cases = () => [{}];

async function makeLoop(subject) {
  if (subject === 'haft') {
    const { registry, counterKind } = await openRegistry();
    const handle = registry.create(new Counter(), counterKind);
    const op = addOp();
    return { loop: (count) => addon().sameThreadHaft(handle, op, count), close: () => registry.close() };
  }
  const counter = new Counter();
  if (subject === 'napi-call-function') {
    return { loop: (count) => addon().sameThreadNapi(counter, counter.add, count), close() {} };
  }
  const { default: koffi } = await import('koffi');
  addon(); // as in the bench `call`
  const callbackType = koffi.pointer(koffi.proto('double Add(double x)'));
  const callback = koffi.register((x) => counter.add(x), callbackType);
  return {
    loop: koffi
      .load(addonPath)
      .func('bench_same_thread_koffi', 'double', [callbackType, 'int'])
      .bind(null, callback),
    close: () => koffi.unregister(callback),
  };
}

export async function measure(subject, params, { quick }) {
  const { loop, close } = await makeLoop(subject);
  const count = quick ? 20000 : 500000;
  loop(count);
  const each = [loop(count), loop(count), loop(count)].sort((a, b) => a - b);
  close();
  return [{ params, ns: each[1] }];
}
