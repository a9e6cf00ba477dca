// Leaks: handles that are still valid where a test expects none.

import { leakTest } from '../debugging/leaks.js';
import { eachLive, type Live } from '../debugging/live.js';
import { HaftError } from '../errors.js';
import { formatHandle, type Handle } from '../handle.js';
import { insidesOf, watch } from '../insides.js';
import type { Kind } from '../kind.js';
import { Registry } from '../registry.js';
import { birthOf, placeOf } from './births.js';
import { turn } from './turns.js';

/** A handle that is still valid. */
export interface Leak {
  /** The name of its kind; `''` for an object without one. */
  readonly kind: string;
  readonly handle: Handle;
  readonly references: number;
  /** `Registry.id`. */
  readonly realm: number;
  /** Its registry has closed, which ended the handle. */
  readonly closed: boolean;
  /** `file:line:column`, at level 2 of HAFTCHECK. */
  readonly createdAt?: string;
}

export interface LeakOptions {
  /** Kinds, or their names, whose handles may stay; `''` for objects without a kind. */
  readonly ignore?: readonly (string | Kind<never> | Kind)[];
  /** Whether handles count that were valid when their registry closed: true unless given. */
  readonly closed?: boolean;
}

/** What `expectNoLeaks` throws. Test runners show its message. */
export class LeakError extends Error {
  // Neither the name nor the code of an AssertionError: jest would show it as a comparison of two values.
  override readonly name = 'LeakError';

  constructor(
    /** By kind, the oldest first. */
    readonly leaks: readonly Leak[],
  ) {
    super(describeLeaks(leaks));
  }
}

/** Turns of the event loop in which what native code has released may be dropped. */
const TURNS = 10;
/** Handles of one kind that a message names. */
const NAMED = 10;

type Told = Leak & { readonly order: number };
type Handles = ReadonlyMap<Registry, ReadonlySet<number>>;

const open = new Set<Registry>();
/** Handles that were there at the latest check of all registries. */
let before = new Map<Registry, Set<number>>();
/** Of registries that have closed since. */
let left: Told[] = [];

watch({
  opened(registry) {
    open.add(registry);
  },
  closing(registry) {
    const known = before.get(registry);
    before.delete(registry);
    open.delete(registry);
    for (const leak of newIn(registry, known, true)) left.push(leak);
  },
});

/** @internal */
export function forgetClosed({ id }: Registry): void {
  left = left.filter(({ realm }) => realm !== id);
}

/** From here on leaks are counted: what is there now does not count. For handles that live longer than a test. */
export function startLeakCheck(): void {
  left = [];
  before = handlesOf(open);
}

/**
 * Throws a `LeakError` unless every handle has ended that was created since. Before it looks, it lets pass what frees
 * handles: drains, `registry.collect()`, some turns of the event loop. It waits for no time, so it works with fake timers.
 *
 * ```ts
 * import { afterEach } from 'node:test'; // or vitest's, or jest's
 * import { expectNoLeaks } from 'haft/testing';
 *
 * afterEach(() => expectNoLeaks());
 * ```
 *
 * Alone it looks at all registries of the thread: at what was created since the check before, or `startLeakCheck`, in
 * those that are open, and what was left in those that have closed. With registries at theirs only; with a function at
 * what that created and left, and tells its result. What was told is not told again by the next check.
 */
export function expectNoLeaks(options?: LeakOptions): Promise<void>;
export function expectNoLeaks<T>(body: () => T | Promise<T>, options?: LeakOptions): Promise<T>;
export function expectNoLeaks(
  registries: Registry | readonly Registry[],
  options?: LeakOptions,
): Promise<void>;
export function expectNoLeaks<T>(
  registries: Registry | readonly Registry[],
  body: () => T | Promise<T>,
  options?: LeakOptions,
): Promise<T>;
// Without parameters, so that no test runner takes it for a function that wants a callback.
export async function expectNoLeaks(...given: unknown[]): Promise<unknown> {
  const registries = registriesIn(given[0]);
  const rest = registries === undefined ? given : given.slice(1);
  const body = typeof rest[0] === 'function' ? (rest[0] as () => unknown) : undefined;
  const options = (rest[body === undefined ? 0 : 1] ?? {}) as LeakOptions;
  if (body === undefined) {
    await check(registries, before, options);
    return undefined;
  }
  const leftBefore = new Set(left);
  const then = handlesOf(registries ?? open);
  const result = await body();
  await check(registries, then, options, leftBefore);
  return result;
}

function registriesIn(given: unknown): readonly Registry[] | undefined {
  if (given instanceof Registry) return [given];
  // Whatever a test runner passes to a hook is nothing to us; a registry that is not ours is.
  if (!Array.isArray(given) && typeof (given as Partial<Registry> | undefined)?.collect !== 'function')
    return undefined;
  if (Array.isArray(given) && given.every((one) => one instanceof Registry)) return given;
  throw new HaftError('HAFT_E_ARGUMENT', {
    message: 'the first argument is no registry, and no list of registries',
    next: 'pass what new Registry() made, of the same copy of haft',
  });
}

async function check(
  registries: readonly Registry[] | undefined,
  then: Handles,
  { ignore, closed = true }: LeakOptions,
  except: ReadonlySet<Told> = new Set(),
): Promise<void> {
  const ignored = new Set((Array.isArray(ignore) ? ignore : []).map(nameOf));
  const counts = ({ kind }: Leak) => !ignored.has(kind);
  const find = () =>
    [...(registries ?? open)].flatMap((registry) =>
      newIn(registry, then.get(registry), false).filter(counts),
    );
  let leaks: Told[] = [];
  for (let i = 0; i < TURNS; i++) {
    await Promise.all([...(registries ?? open)].map(settle));
    leaks = find();
    if (leaks.length === 0) break;
    if (i === 0) globalThis.gc?.(); // with --expose-gc: what weak handles wait for
  }
  const ids = registries === undefined ? undefined : new Set(registries.map(({ id }) => id));
  const isAsked = (one: Told) => !except.has(one) && (ids === undefined || ids.has(one.realm));
  if (closed) leaks.push(...left.filter((one) => isAsked(one) && counts(one)));
  left = left.filter((one) => !isAsked(one));
  // What was looked at is old from now on: the next check tells of others.
  if (then === before && registries === undefined) before = handlesOf(open);
  else for (const [registry, handles] of handlesOfLeaks(leaks)) addTo(before, registry, handles);
  if (leaks.length > 0) throw new LeakError(leaks.sort(byKindAndAge));
}

function nameOf(kind: string | { readonly name: string }): string {
  return typeof kind === 'string' ? kind : kind.name;
}

// By the registry's own doorbell, which no test replaces (P12).
async function settle(registry: Registry): Promise<void> {
  try {
    await registry.collect();
    await turn();
  } catch (error) {
    if (!(error instanceof HaftError && error.code === 'HAFT_E_CLOSED')) throw error;
  }
}

function handlesOf(registries: Iterable<Registry>): Map<Registry, Set<number>> {
  const handles = new Map<Registry, Set<number>>();
  for (const registry of registries)
    handles.set(registry, new Set(aliveIn(registry).map(({ handle }) => handle)));
  return handles;
}

function* handlesOfLeaks(leaks: readonly Told[]): Generator<[Registry, number[]]> {
  for (const registry of open) {
    yield [registry, leaks.filter(({ realm }) => realm === registry.id).map(({ handle }) => handle)];
  }
}

function addTo(known: Map<Registry, Set<number>>, registry: Registry, handles: readonly number[]): void {
  const set = known.get(registry) ?? new Set();
  for (const handle of handles) set.add(handle);
  known.set(registry, set);
}

/** The handles of a registry that are alive, haft's own left out. */
function aliveIn(registry: Registry): Live[] {
  const insides = insidesOf(registry);
  const found: Live[] = [];
  if (insides === undefined || insides.isClosed()) return found;
  eachLive(insides.mirror, (live) => {
    if (!insides.isOwn(live.handle)) found.push(live);
  });
  return found;
}

function tell(registry: Registry, { handle, kind, references }: Live, closed: boolean): Told {
  const birth = birthOf(registry, handle);
  const createdAt = birth?.stack === undefined ? undefined : placeOf(birth.stack);
  return {
    kind: insidesOf(registry)!.kindName(kind),
    handle: handle as Handle,
    references,
    realm: registry.id,
    closed,
    ...(createdAt === undefined ? {} : { createdAt }),
    order: birth?.order ?? 0,
  };
}

function newIn(registry: Registry, old: ReadonlySet<number> | undefined, closed: boolean): Told[] {
  const insides = insidesOf(registry);
  if (insides === undefined) return [];
  const isLeak = leakTest(insides);
  return aliveIn(registry)
    .filter((live) => !old?.has(live.handle) && isLeak(live))
    .map((live) => tell(registry, live, closed));
}

function byKindAndAge(a: Told, b: Told): number {
  return a.kind === b.kind ? a.order - b.order : a.kind < b.kind ? -1 : 1;
}

const counted = (count: number, word: string) => `${count} ${word}${count === 1 ? '' : 's'}`;

function describeLeaks(leaks: readonly Leak[]): string {
  const lines = [`${counted(leaks.length, 'handle')} leaked, by kind, the oldest first`];
  const severalRealms = new Set(leaks.map(({ realm }) => realm)).size > 1;
  for (const kind of new Set(leaks.map((leak) => leak.kind))) {
    const ofKind = leaks.filter((leak) => leak.kind === kind);
    lines.push(`  ${kind === '' ? 'no kind' : kind}: ${ofKind.length}`);
    for (const leak of ofKind.slice(0, NAMED)) {
      const said = [formatHandle(leak.handle), counted(leak.references, 'reference')];
      if (severalRealms) said.push(`realm ${leak.realm}`);
      if (leak.closed) said.push('left when its registry closed');
      lines.push(`    ${said.join(', ')}`);
      if (leak.createdAt !== undefined) lines.push(`      created at ${leak.createdAt}`);
    }
    if (ofKind.length > NAMED) lines.push(`    and ${ofKind.length - NAMED} more`);
  }
  const next = 'next: release or delete them, or name their kinds under ignore';
  const where = leaks.some(({ createdAt }) => createdAt !== undefined)
    ? ''
    : '; HAFTCHECK=2 tells where created';
  lines.push(next + where);
  return lines.join('\n');
}
