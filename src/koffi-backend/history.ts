// What became of each handle, at level 2, without the addon: as native/core/history.cc keeps it, on one thread. koffi shows no
// stacks of C, and does not tell the threads of C apart: 0 stands for any but JavaScript's own.
import { performance } from 'node:perf_hooks';
import { STATUSES } from '../constants.js';
import { DEED, type HandleHistory, type Use } from '../debugging/history.js';
import { formatHandle } from '../handle.js';
import type { Realm } from './realm.js';
import type { Slots } from './slots.js';

const OK = STATUSES.HAFT_OK.status;
const OWNER = STATUSES.HAFT_E_OWNER.status;
// As it was when this was loaded, whatever tests put in its place.
const milliseconds = performance.now.bind(performance);
const DEEDS_MOST = 16;
const ENDED_MOST = 1024;
/** By `DEED`. */
const NAMES = ['create', 'create', 'retain', 'release', 'intern', 'delete', 'last release'];

type Side = 'script' | 'native' | 'haft';

class History {
  readonly references: Use[] = [];
  lastUse: Use | undefined;
  /** References that are native code's. */
  native = 0;
  /** Of those, which a handler may still hand over as its result. */
  transferred = 0;
  ended = false;

  constructor(
    readonly realm: Realm,
    readonly created: Use,
    readonly own: boolean,
  ) {}

  keep(use: Use): void {
    if (this.references.push(use) > DEEDS_MOST) this.references.shift();
  }
}

export class Ledger {
  readonly #slots: Slots<Realm>;
  readonly #isRelayed: () => boolean;
  readonly #live = new Map<number, History>();
  readonly #ended = new Map<number, History>(); // oldest first

  constructor(slots: Slots<Realm>, isRelayed: () => boolean) {
    this.#slots = slots;
    this.#isRelayed = isRelayed;
  }

  use(what: string, stack = ''): Use {
    const thread = this.#isRelayed() ? 0 : process.pid;
    return { what, thread, at: milliseconds(), stack: stack === '' ? [] : stack.split('\n') };
  }

  /** What JavaScript does: see `NativeRealm.note`. */
  note(realm: Realm, handle: number, deed: number, stack: string): number {
    const use = this.use(NAMES[deed] ?? '', stack);
    switch (deed) {
      case DEED.create:
      case DEED.createOwn:
        this.#ended.delete(handle);
        this.#live.set(handle, new History(realm, use, deed === DEED.createOwn));
        return OK;
      case DEED.delete:
      case DEED.drop:
        this.#end(handle, use);
        return OK;
      case DEED.release:
        return this.change(handle, 'script', -1, use, () => this.#slots.release(handle));
      default:
        return this.change(handle, 'script', 1, use, () => this.#slots.retain(handle));
    }
  }

  /** Runs `act`, which adds a reference of that side or gives one back, and keeps the use if it succeeds. */
  change(handle: unknown, side: Side, by: 1 | -1, use: Use, act: () => number): number {
    const history = this.#live.get(handle as number);
    if (history === undefined) return act();
    if (by < 0 && !this.#owns(handle as number, history, side)) return OWNER;
    const status = act();
    if (status !== OK) return status;
    if (side === 'native') history.native += by;
    history.transferred = Math.min(history.transferred, history.native);
    const references = this.#slots.referencesOf(handle);
    if (by < 0 && references === 0) {
      this.#end(handle as number, use);
      return OK;
    }
    if (by < 0) history.native = Math.min(history.native, references);
    history.keep(use);
    return OK;
  }

  /** Native code has received a reference. */
  receive(handle: unknown, use: Use): void {
    const history = this.#live.get(handle as number);
    if (history === undefined) return;
    // All are native code's where one was transferred before it was the result.
    if (history.native < this.#slots.referencesOf(handle)) history.native++;
    else if (history.transferred > 0) history.transferred--;
    history.keep(use);
  }

  /** A reference of JavaScript's becomes native code's. */
  transfer(handle: number, stack: string): number {
    const history = this.#live.get(handle);
    if (history === undefined) return OK;
    if (!this.#owns(handle, history, 'script')) return OWNER;
    history.native++;
    history.transferred++;
    history.keep(this.use('transfer', stack));
    return OK;
  }

  mayGive(handle: number): boolean {
    const history = this.#live.get(handle);
    return history === undefined || history.transferred > 0 || this.#owns(handle, history, 'script');
  }

  used(handle: unknown, use: Use): void {
    const history = this.#live.get(handle as number);
    if (history !== undefined) history.lastUse = use;
  }

  move(handle: number, now: number): void {
    const history = this.#live.get(handle);
    if (history === undefined) return;
    const { native } = history;
    history.native = 0;
    this.#end(handle, this.use('moveTo'));
    const next = this.#live.get(now);
    if (next !== undefined) next.native += native;
  }

  forget(realm: Realm): void {
    for (const [handle, history] of this.#live) if (history.realm === realm) this.#live.delete(handle);
  }

  of(handle: unknown): HandleHistory | undefined {
    const history = this.#live.get(handle as number) ?? this.#ended.get(handle as number);
    if (history === undefined) return undefined;
    const { created, references, lastUse, native, ended } = history;
    const script = Math.max(0, this.#slots.referencesOf(handle) - native);
    const owned = { script, native };
    return { created, references: [...references], ...(lastUse && { lastUse }), ended, owned };
  }

  /** Who owns how many references, for an error. */
  describeOwners(handle: unknown, side: Side): string {
    const references = this.#slots.referencesOf(handle);
    const who = side === 'native' ? 'native code' : 'JavaScript';
    return `${who} owns none of the ${references} reference${references === 1 ? '' : 's'} of the handle`;
  }

  #owns(handle: number, { own, native }: History, side: Side): boolean {
    const references = this.#slots.referencesOf(handle);
    if (own || side === 'haft' || references === 0) return true; // what is not alive has a status of its own
    return side === 'native' ? native > 0 : references > native;
  }

  #end(handle: number, use: Use): void {
    const history = this.#live.get(handle);
    if (history === undefined) return;
    history.ended = true;
    history.native = 0;
    history.keep(use);
    this.#live.delete(handle);
    this.#ended.set(handle, history);
    if (this.#ended.size <= ENDED_MOST) return;
    for (const oldest of this.#ended.keys()) {
      this.#ended.delete(oldest);
      break;
    }
  }

  /** The lines of a report; none where it is of no handle. */
  lines(handle: unknown): string[] {
    if (handle === 0) return [];
    const history = this.of(handle);
    const lines = [`  handle   ${formatHandle(handle)}`];
    if (history === undefined) return lines;
    if (!history.ended)
      lines.push(
        `  owners   JavaScript has ${history.owned!.script} of its references, native code ${history.owned!.native}`,
      );
    const now = milliseconds();
    const add = (heading: string, use: Use | undefined) => {
      if (use === undefined) return;
      const seconds = ((now - use.at) / 1000).toFixed(3);
      lines.push(`  ${heading.padEnd(8)} ${use.what}, ${seconds} s ago`);
      for (const frame of use.stack.slice(0, 6)) lines.push(`           at ${frame}`);
    };
    add('created', history.created);
    add(history.ended ? 'ended' : 'latest', history.references.at(-1));
    add('last use', history.lastUse);
    return lines;
  }
}
