// What haft/testing sees of a registry, and no other user does. A registry is entered here when it opens; what a test
// changes then are properties of that one object, before the methods of its class: nobody else pays for it.
import type { NativeRealm } from './binding.js';
import type { Op } from './kind.js';
import type { Mailboxes } from './messages/mailbox.js';
import type { Mirror } from './mirror.js';
import type { Registry } from './registry.js';

export interface Insides {
  readonly native: NativeRealm;
  readonly mirror: Mirror;
  readonly mailboxes: Mailboxes;
  /** `''` for 0. */
  kindName(number: number): string;
  opOf(number: number): Op;
  /** Whether a handle is one of haft's own. */
  isOwn(handle: number): boolean;
  /** What is published, by name. */
  readonly names: ReadonlyMap<string, number>;
  /** Whether `keep` was said of a handle. */
  isKept(handle: number): boolean;
  isClosed(): boolean;
}

export interface Watcher {
  opened(registry: Registry): void;
  /** It closes now: its memory is still there, its handles are still valid. Must not throw. */
  closing(registry: Registry): void;
}

const known = new WeakMap<Registry, Insides>();
const watchers: Watcher[] = [];

export function enter(registry: Registry, insides: Insides): void {
  known.set(registry, insides);
  for (const watcher of watchers) watcher.opened(registry);
}

export function leave(registry: Registry): void {
  for (const watcher of watchers) watcher.closing(registry);
}

export function watch(watcher: Watcher): void {
  watchers.push(watcher);
}

export function insidesOf(registry: Registry): Insides | undefined {
  return known.get(registry);
}
