// A function pointer for C with its user data, as the benches `trampoline` and `trampoline-loaded` have it: haft's
// trampoline, and koffi's registered callback of the same signature. Either has a closure of its own.
import { addon, addonPath } from './addon.mjs';
import { makeClosure } from './callers.mjs';

const SIGNATURE = { args: ['int', 'void *'], returns: 'int', userData: 1, onError: 0 };

// loop(count) calls on this thread and gives nanoseconds a call; start(threads, milliseconds) on others; bind and unbind
// make and end one more.
export async function makeTrampoline(subject) {
  const { default: koffi } = await import('koffi');
  addon(); // first as an addon, then as a library: koffi finds the same copy
  const library = koffi.load(addonPath);
  const loop = library.func('double bench_trampoline_loop(void *add, void *userData, int count)');
  const start = library.func(
    'void bench_trampoline_start(void *add, void *userData, int threads, double milliseconds)',
  );
  const closure = makeClosure();
  if (subject === 'haft') {
    const { Registry } = await import('haft');
    const registry = new Registry();
    const trampoline = registry.trampoline(SIGNATURE);
    if (!trampoline.native) throw new Error('haft has no trampolines of its own here');
    const { pointer, userData } = trampoline.bind(closure);
    return {
      loop: loop.bind(null, pointer, userData),
      start: start.bind(null, pointer, userData),
      bind: (one) => trampoline.bind(one),
      unbind: (bound) => bound.unbind(),
      close: () => registry.close(),
    };
  }
  const type = koffi.pointer(koffi.proto('int Add(int n, void *userData)'));
  const callback = koffi.register(closure, type);
  return {
    loop: loop.bind(null, callback, null),
    start: start.bind(null, callback, null),
    bind: (one) => koffi.register(one, type),
    unbind: (bound) => koffi.unregister(bound),
    close: () => koffi.unregister(callback),
  };
}
