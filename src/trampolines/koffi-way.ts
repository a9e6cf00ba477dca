// The way back from koffi's stack, where V8 cannot run: one callback of koffi's a thread, for all registries.
//
// One only, since koffi 3.3 gives a callback that is registered inside another one a piece of its stack, and calls of it
// from elsewhere fail; and since it never forgets a type.
import { isMainThread } from 'node:worker_threads';
import { EXCHANGE, EXCHANGE_CALLED } from '../constants.js';

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
/** By the copy of koffi. */
const types = new Map<unknown, unknown>();
const ways = new Map<unknown, Way>();

/** What the ways to import one copy of koffi have in common, and no other copy has: what its types are. */
export function copyOf(koffi: { readonly register: unknown; readonly type?: unknown }): unknown {
  const { type } = koffi;
  return typeof type === 'function' ? Object.getPrototypeOf(type('int')) : koffi.register;
}

function typeOf<T>(koffi: Koffi<T>): T {
  const copy = copyOf(koffi);
  if (!types.has(copy)) types.set(copy, koffi.pointer(koffi.proto('void()')));
  return types.get(copy) as T;
}

function runCalled({ only, users }: Way): void {
  if (only !== undefined) {
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
  const copy = copyOf(koffi);
  let way = ways.get(copy);
  if (way === undefined) {
    const made: Way = {
      callback: koffi.register(() => runCalled(made), typeOf(koffi)),
      users: new Set(),
      only: undefined,
      unregister: () => koffi.unregister(made.callback),
    };
    way = made;
    ways.set(copy, way);
  }
  way.users.add(user);
  for (const { i32 } of way.users) i32[CALLED_WORD] = 0; // one that was alone left its own as it was
  way.only = way.users.size === 1 ? user : undefined;
  return way.callback;
}

/** The registry closes, or uses another copy of koffi. A worker's last one gives the callback back. */
export function leaveKoffi(copy: unknown, user: KoffiUser): void {
  const way = ways.get(copy);
  if (way === undefined || !way.users.delete(user)) return;
  way.only = way.users.size === 1 ? [...way.users][0] : undefined;
  if (isMainThread || way.users.size > 0) return;
  ways.delete(copy);
  // Not at once: this may be a handler that runs inside that very callback.
  setImmediate(() => way.unregister()).unref();
}
