// Faults that a test asks for: a create that fails, a mailbox that is full, a realm that comes late, or is closed.
import { SHARDS, STATUSES } from '../constants.js';
import { type ErrorCode, HaftError } from '../errors.js';
import type { Handle } from '../handle.js';
import { Handles } from '../handles.js';
import type { Insides } from '../insides.js';
import { Registry } from '../registry.js';
import { answerDoorbell, deliver } from './doorbell.js';
import { Fault, openInsides, positive } from './fault.js';
import { forgetClosed } from './leaks.js';
import { overlay } from './overlay.js';
import { fill, fillersFirst, waitingIn } from './rings.js';
import { clearImmediate, clearTimeout, setImmediate, setTimeout } from './turns.js';

type Issue = (value: unknown, kind: number) => number;

class FailingCreate extends Fault {
  readonly #end: () => void;

  constructor(table: Handles, nth: number, code: ErrorCode) {
    super(table);
    let left = nth;
    this.#end = overlay<Issue>(table, 'issue', (inner) => (value, kind) => {
      if (left > 0 && --left === 0) throw new HaftError(code);
      return inner(value, kind);
    });
  }

  protected restore(): void {
    this.#end();
  }
}

/**
 * The nth handle from now on is not issued: `create`, `fn`, `intern`, `own`, `weak`, `pin`, `transfer` of a buffer and `bind`
 * throw, and an object that is moved here stays where it was. Later ones are issued.
 *
 * @param options.nth 1, the next one, unless given.
 * @param options.code `HAFT_E_SLOTS` unless given.
 * @throws HaftError `HAFT_E_ARGUMENT`.
 */
export function failCreate(
  table: Handles,
  { nth = 1, code = 'HAFT_E_SLOTS' }: { nth?: number; code?: ErrorCode } = {},
): Disposable {
  if (!(table instanceof Handles)) {
    throw new HaftError('HAFT_E_ARGUMENT', {
      message: 'the first argument is no table',
      next: 'pass a Registry or a HandleTable',
    });
  }
  if (!Object.hasOwn(STATUSES, code)) {
    throw new HaftError('HAFT_E_ARGUMENT', {
      message: `code is ${String(code)}`,
      next: 'give a code of docs/errors.md',
    });
  }
  return new FailingCreate(table, positive('nth', nth), code);
}

/** By shard, how many faults want it full: the last one to end makes room. */
const fullShards = new WeakMap<Insides, number[]>();

class FullMailbox extends Fault {
  readonly #insides: Insides;
  readonly #shards: readonly number[];
  readonly #end: () => boolean;

  constructor(registry: Registry, shards: readonly number[]) {
    const insides = openInsides(registry);
    super(registry);
    this.#insides = insides;
    this.#shards = shards;
    this.#end = answerDoorbell(insides, () => {}); // nobody makes room
    const wanted = fullShards.get(insides) ?? Array<number>(SHARDS).fill(0);
    fullShards.set(insides, wanted);
    for (const shard of shards) {
      wanted[shard]!++;
      fill(insides, shard);
    }
  }

  protected restore(open: boolean): void {
    const othersAnswer = this.#end();
    if (!open) return;
    const { mailboxes } = this.#insides;
    const wanted = fullShards.get(this.#insides)!;
    for (const shard of this.#shards) {
      if (--wanted[shard]! > 0) continue;
      const fillers = fillersFirst(waitingIn(this.#insides, shard));
      if (fillers > 0) mailboxes.drainFrom(shard, fillers);
    }
    if (!othersAnswer) deliver(this.#insides);
  }
}

/**
 * The mailbox is full, of nothing: `haft_post` with `HAFT_FAIL` is `HAFT_E_FULL`, one with `HAFT_BLOCK` waits. When this
 * ends there is room again, and what waited before is delivered; no handler hears of the filling, and no counter.
 *
 * @param handle Whose mailbox, one of 16; all of them unless given.
 * @throws HaftError as `get` for the handle, `HAFT_E_CLOSED`.
 */
export function fillMailbox(registry: Registry, handle?: Handle | number | bigint): Disposable {
  openInsides(registry);
  if (handle === undefined) return new FullMailbox(registry, [...Array(SHARDS).keys()]);
  registry.get(handle as Handle);
  return new FullMailbox(registry, [Number(handle) % SHARDS]);
}

export type Lateness = { readonly milliseconds: number } | { readonly turns: number };

class SlowRealm extends Fault {
  readonly #end: () => boolean;
  #cancel: (() => void) | undefined;

  constructor(registry: Registry, lateness: Lateness) {
    const insides = openInsides(registry);
    const later = 'turns' in lateness ? afterTurns(lateness.turns) : afterMilliseconds(lateness.milliseconds);
    super(registry); // after all that may throw
    this.#end = answerDoorbell(insides, (pass) => {
      this.#cancel ??= later(() => {
        this.#cancel = undefined;
        pass();
      });
    });
  }

  protected restore(): void {
    this.#cancel?.();
    this.#end();
  }
}

type Later = (work: () => void) => () => void;

function afterMilliseconds(milliseconds: number): Later {
  positive('milliseconds', milliseconds);
  return (work) => {
    const timer = setTimeout(work, milliseconds);
    return () => clearTimeout(timer);
  };
}

function afterTurns(turns: number): Later {
  positive('turns', turns);
  return (work) => {
    let left = turns;
    let pending: NodeJS.Immediate;
    const next = () => {
      pending = setImmediate(() => (--left === 0 ? work() : next()));
    };
    next();
    return () => clearImmediate(pending);
  };
}

/**
 * Messages wait so long before they are delivered, however late the event loop itself may be; each drain anew.
 * @throws HaftError `HAFT_E_ARGUMENT`, `HAFT_E_CLOSED`.
 */
export function slowRealm(registry: Registry, lateness: Lateness): Disposable {
  openInsides(registry);
  return new SlowRealm(registry, Object(lateness) as Lateness);
}

class ClosingRealm extends Fault {
  readonly #registry: Registry;
  readonly #insides: Insides;
  readonly #end: () => boolean;
  #left: number;

  constructor(registry: Registry, nth: number) {
    const insides = openInsides(registry);
    super(registry);
    this.#registry = registry;
    this.#insides = insides;
    this.#left = nth;
    this.#end = answerDoorbell(insides, () => this.#rang());
  }

  #rang(): void {
    const { mailboxes } = this.#insides;
    for (let shard = 0; shard < SHARDS; ) {
      const waiting = waitingIn(this.#insides, shard);
      const fillers = fillersFirst(waiting);
      if (fillers === waiting.length) {
        shard++;
        continue;
      }
      if (--this.#left === 0) {
        this.#registry.close();
        return;
      }
      mailboxes.drainFrom(shard, fillers + 1);
      if (this.#insides.isClosed()) return;
    }
    mailboxes.drainNow(0); // P10: armed again, and a message that came meanwhile rings
  }

  protected restore(): void {
    this.#end();
  }
}

/**
 * Closes the registry in place of its nth message from now on: that one, and what waits behind it, finds the realm
 * closed, and so does all of C that still holds handles. Ends without doing so if this ends before.
 *
 * @param options.nth 1, the next one, unless given.
 * @throws HaftError `HAFT_E_ARGUMENT`, `HAFT_E_CLOSED`.
 */
export function closeRealm(registry: Registry, { nth = 1 }: { nth?: number } = {}): Disposable {
  openInsides(registry);
  return new ClosingRealm(registry, positive('nth', nth));
}

/**
 * A registry that is closed. What `open` made in it (handles, names) is what C may still hold: `HAFT_E_CLOSED`.
 * `expectNoLeaks` does not count it.
 *
 * ```ts
 * import { closedRealm } from 'haft/testing';
 *
 * const { value: handle } = closedRealm((realm) => realm.create({}));
 * ```
 */
export function closedRealm<T = undefined>(
  open?: (registry: Registry) => T,
): { registry: Registry; value: T } {
  const registry = new Registry();
  try {
    const value = open?.(registry) as T;
    return { registry, value };
  } finally {
    registry.close();
    forgetClosed(registry);
  }
}
