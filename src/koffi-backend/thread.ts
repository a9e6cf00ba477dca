// On which thread a callback began. koffi runs all of them on JavaScript's thread: one that C called there at once, one
// that another thread called when the event loop comes to it, while that thread waits.
import { createHook, executionAsyncId } from 'node:async_hooks';
import { koffi } from '../koffi.js';
import { hasScriptBelow } from '../trampolines/script-below.js';

/** koffi relays callbacks of other threads with one asynchronous resource of this type. */
const RELAY_TYPE = 'Koffi Async Callback Broker';

/** The number of that resource; 0 where koffi had made it before anybody looked. */
let relay = 0;

/** Sees koffi make its resource: it does with the first callback that is registered. */
export function watchRelay(): void {
  const hook = createHook({
    init(id, type) {
      if (type === RELAY_TYPE) relay = id;
    },
  });
  const k = koffi();
  hook.enable();
  try {
    k.unregister(k.register(() => {}, k.pointer(k.proto('void()'))));
  } finally {
    hook.disable();
  }
}

/**
 * Whether another thread than JavaScript's began the callback that runs now. To be asked by the callback itself.
 * Below a relayed one there is no JavaScript; below one that JavaScript called into C for, there is: so a callback
 * inside of a relayed one is told from it. That look costs microseconds, the one at the resource nanoseconds.
 */
export function isRelayed(callback: unknown): boolean {
  if (relay !== 0 && executionAsyncId() !== relay) return false;
  return !hasScriptBelow(callback);
}
