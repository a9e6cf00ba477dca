// What all realms of the process share: slots, kinds, the realms by their ids, and what the latest call came to.
import { checkSetting } from '../checks.js';
import { STATUSES } from '../constants.js';
import { Calls } from './calls.js';
import { Ledger } from './history.js';
import { Kinds } from './kinds.js';
import { Labels } from './labels.js';
import { LastError } from './last-error.js';
import { Queues } from './queues.js';
import { Realm } from './realm.js';
import { Slots } from './slots.js';

const REALMS = 128;
const NUMBER_BITS = 8;

export class Process {
  readonly slots = new Slots<Realm>();
  readonly kinds = new Kinds();
  readonly labels = new Labels(this.slots);
  /** Where pinned memory lies, by handle (haft_memory). */
  readonly pins = new Map<number, { readonly data: bigint; readonly size: number }>();
  /** Level 2 only. */
  readonly ledger = checkSetting().level === 2 ? new Ledger(this.slots, () => this.relayed) : undefined;
  readonly queues = new Queues(this);
  readonly calls = new Calls(this);
  readonly #realms = new Map<number, Realm>();
  readonly #numbers = new Set<number>();
  #epoch = 0;
  readonly #ownError = new LastError(() => 0);
  readonly #relayedError = new LastError(() => this.relays);
  /** The callback that runs now came from another thread than JavaScript's. */
  relayed = false;

  /** Functions that other threads have called. */
  relays = 0;

  /** Whether the latest failure cannot be the one that the thread means whose callback runs: something was called since. */
  get hasMovedOn(): boolean {
    return this.relayed && this.#relayedError.at !== this.relays;
  }

  /** What the latest failure was, on the thread whose callback runs. */
  get error(): LastError {
    return this.relayed ? this.#relayedError : this.#ownError;
  }

  /** The realm, or a negative status. */
  open(drain: () => void, direct: () => void): Realm | number {
    let number = 1;
    while (this.#numbers.has(number)) number++;
    if (number > REALMS) return STATUSES.HAFT_E_SLOTS.status;
    this.#numbers.add(number);
    const realm = new Realm(this, ++this.#epoch * 2 ** NUMBER_BITS + number, drain, direct);
    this.#realms.set(realm.id, realm);
    return realm;
  }

  /** An open realm. */
  realmOf(id: unknown): Realm | undefined {
    return this.#realms.get(id as number);
  }

  forgetRealm(realm: Realm): void {
    this.ledger?.forget(realm);
    this.slots.abandon(realm);
    this.labels.sweep();
    for (const handle of this.pins.keys())
      if (typeof this.slots.alive(handle) === 'number') this.pins.delete(handle);
    this.#realms.delete(realm.id);
    this.#numbers.delete(realm.id % 2 ** NUMBER_BITS);
  }

  get realms(): readonly Realm[] {
    return [...this.#realms.values()];
  }
}
