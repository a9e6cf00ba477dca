// The way back from koffi's stack, where V8 cannot run: one callback of koffi's a thread, for all registries.
//
// One only, since koffi 3.3 gives a callback that is registered inside another one a piece of its stack, and calls of it
// from elsewhere fail; and since it never forgets a type.
import { isMainThread } from 'node:worker_threads';
import { EXCHANGE, EXCHANGE_CALLED } from './constants.js';

/** What `useKoffi` needs of the package koffi. */
export interface Koffi<T> {
  proto(definition: string): T;
  pointer(type: NoInfer<T>): T;
  register(callback: () => void, type: NoInfer<T>): bigint;
  unregister(callback: bigint): void;
}

/** A registry whose objects C calls from koffi's stack. */
export interface KoffiUser {
  /** Its realm's memory. */
  readonly i32: Int32Array;
  /** Runs the message that stands there. */
  run(): void;
}

interface Way {
  readonly callback: bigint;
  readonly users: Set<KoffiUser>;
  /** The one user, while there is one. */
  only: KoffiUser | undefined;
  unregister(): void;
}

const CALLED_WORD = (EXCHANGE >> 2) + EXCHANGE_CALLED;
const types = new WeakMap<object, unknown>();
/** By the function that registers: two ways to import one copy of koffi have the same. */
const ways = new Map<unknown, Way>();

function typeOf<T>(koffi: Koffi<T>): T {
  if (!types.has(koffi.register)) types.set(koffi.register, koffi.pointer(koffi.proto('void()')));
  return types.get(koffi.register) as T;
}

function runCalled({ only, users }: Way): void {
  if (only !== undefined) {
    only.i32[CALLED_WORD] = 0;
    only.run();
    return;
  }
  for (const user of users) {
    if (user.i32[CALLED_WORD] === 0) continue;
    user.i32[CALLED_WORD] = 0;
    user.run();
    return;
  }
}

/** The callback's address. C that runs on koffi's stack calls it when a message stands in this user's memory. */
export function joinKoffi<T>(koffi: Koffi<T>, user: KoffiUser): bigint {
  let way = ways.get(koffi.register);
  if (way === undefined) {
    const made: Way = {
      callback: koffi.register(() => runCalled(made), typeOf(koffi)),
      users: new Set(),
      only: undefined,
      unregister: () => koffi.unregister(made.callback),
    };
    way = made;
    ways.set(koffi.register, way);
  }
  way.users.add(user);
  way.only = way.users.size === 1 ? user : undefined;
  return way.callback;
}

/** The registry closes, or uses another copy of koffi. A worker's last one gives the callback back. */
export function leaveKoffi(register: unknown, user: KoffiUser): void {
  const way = ways.get(register);
  if (way === undefined || !way.users.delete(user)) return;
  way.only = way.users.size === 1 ? [...way.users][0] : undefined;
  if (isMainThread || way.users.size > 0) return;
  ways.delete(register);
  // Not at once: this may be a handler that runs inside that very callback.
  setImmediate(() => way.unregister()).unref();
}
