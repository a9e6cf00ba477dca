// The slots: what a handle says, what its slot says, and every change of a slot that C makes. The words are those of
// native/core/slots.cc, so that the mirror publishes into them; all of it runs on JavaScript's thread, which is why
// plain loads and stores are enough.
import {
  BLOCK_BITS,
  BLOCK_SLOTS,
  KIND_SHIFT,
  KINDS,
  REFERENCES_MAX,
  SHARDS,
  STATE_COLLECTED,
  STATE_LIVE,
  STATUSES,
  WORD_GENERATION_SHIFT,
  WORD_STATE_SHIFT,
} from '../constants.js';
import { BLOCK_COUNT, generationOf, INDEX_COUNT, INDEX_MASK, isInHandleRange, SLOT_MASK } from '../handle.js';
import { crypto } from '../lazily.js';

const OK = STATUSES.HAFT_OK.status;
const CLOSED = STATUSES.HAFT_E_CLOSED.status;
const COLLECTED = STATUSES.HAFT_E_COLLECTED.status;
const FORGED = STATUSES.HAFT_E_FORGED.status;
const MOVED_AWAY = STATUSES.HAFT_E_MOVED.status;
const OVERFLOW = STATUSES.HAFT_E_OVERFLOW.status;
const REALM = STATUSES.HAFT_E_REALM.status;
const STALE = STATUSES.HAFT_E_STALE.status;

const FREE = 0;
const LIVE = STATE_LIVE;
const ZOMBIE = 2;
const RETIRED = 3;
const MOVED = 4;
const STATE_MASK = 7;
const GENERATION_BITS = 26;
const WORDS = 4; // 32-bit words a slot
const SLOT_BYTES = 16;
const KIND_HIGH_SHIFT = 32 - KIND_SHIFT;
const KIND_HIGH_MASK = (1 << WORD_STATE_SHIFT) - 1;

/** Blocks that were issued and have no realm now. */
const ORPHAN = 'orphan'; // its realm is closed
const SPARE = 'spare'; // its realm gave it back: its handles are stale

/** What the slots need of a realm. */
export interface Owner {
  readonly isOpen: boolean;
  /** Indexes that were released for the last time, a list a shard. */
  readonly released: number[][];
  /** The first one has come to the list of a shard. */
  releasedFirst(shard: number): void;
}

class SlotBlock {
  readonly buffer = new ArrayBuffer(BLOCK_SLOTS * SLOT_BYTES);
  /** Word A of each slot: the low half at `slot * WORDS`, the high one behind it. */
  readonly words = new Int32Array(this.buffer);
  /** Word B at `slot * 2 + 1`: the new handle of a moved one. */
  readonly links = new Float64Array(this.buffer);

  constructor(public owner: Owner | typeof ORPHAN | typeof SPARE) {}
}

/** Where a handle points. */
export interface Target<R extends Owner> {
  readonly handle: number;
  readonly index: number;
  readonly slot: number;
  readonly block: SlotBlock;
  readonly realm: R;
}

export class Slots<R extends Owner> {
  /** Number of the first block: they count from a random one, and first generations are a hash (P7). */
  readonly base = crypto().randomBytes(2).readUInt16LE();
  readonly #secret = crypto().randomBytes(4).readInt32LE();
  readonly generationMask: number;
  readonly #blocks = new Map<number, SlotBlock>();
  /** Numbers of blocks without a realm. */
  readonly #unowned: number[] = [];

  /** @param generationBits Fewer only to see slots retire in a test. */
  constructor(generationBits = GENERATION_BITS) {
    this.generationMask = 2 ** generationBits - 1;
  }

  /** Where the handle points, or why it points nowhere: `HAFT_E_FORGED`, `HAFT_E_STALE`, `HAFT_E_CLOSED`. */
  locate(handle: unknown): Target<R> | number {
    if (!isInHandleRange(handle)) return FORGED;
    const index = handle & INDEX_MASK;
    const block = this.#blocks.get(index >>> BLOCK_BITS);
    if (block === undefined) return FORGED;
    const slot = index & SLOT_MASK;
    const { owner } = block;
    if (typeof owner !== 'string' && owner.isOpen) return { handle, index, slot, block, realm: owner as R };
    if (!this.#issued(index, generationOf(handle), highWord(block, slot))) return FORGED;
    return owner === SPARE ? STALE : CLOSED; // P24
  }

  /** `HAFT_OK` while the handle is live, else `HAFT_E_STALE`, `HAFT_E_MOVED`, `HAFT_E_COLLECTED` or `HAFT_E_FORGED`. */
  grade({ handle, index, block, slot }: Target<R>): number {
    const high = highWord(block, slot);
    const generation = generationOf(handle);
    if (high >>> WORD_GENERATION_SHIFT === generation) {
      const state = stateOf(high);
      if (state === LIVE) return OK;
      if (state === MOVED) return MOVED_AWAY;
      if (state === STATE_COLLECTED) return COLLECTED;
    }
    return this.#issued(index, generation, high) ? STALE : FORGED;
  }

  /** The target of a live handle, or the status. */
  live(handle: unknown): Target<R> | number {
    const target = this.locate(handle);
    if (typeof target === 'number') return target;
    const status = this.grade(target);
    return status === OK ? target : status;
  }

  /** As `live`; also of a weak handle whose object was collected: it has its references still. */
  alive(handle: unknown): Target<R> | number {
    const target = this.locate(handle);
    if (typeof target === 'number') return target;
    const status = this.grade(target);
    return status === OK || status === COLLECTED ? target : status;
  }

  /** The object of a weak handle was collected. */
  collect(handle: number, realm: R): number {
    const target = this.live(handle);
    if (typeof target === 'number') return target;
    if (target.realm !== realm) return REALM;
    setState(target.block, target.slot, STATE_COLLECTED, referencesOf(target.block, target.slot));
    return OK;
  }

  kindOf({ block, slot }: Target<R>): number {
    const low = block.words[slot * WORDS]! >>> KIND_SHIFT;
    return (low | ((highWord(block, slot) & KIND_HIGH_MASK) << KIND_HIGH_SHIFT)) & (KINDS - 1);
  }

  /** How many references a handle has that has not ended; 0 for any other. */
  referencesOf(handle: unknown): number {
    const target = this.alive(handle);
    return typeof target === 'number' ? 0 : referencesOf(target.block, target.slot);
  }

  retain(handle: unknown): number {
    const target = this.live(handle);
    return typeof target === 'number' ? target : this.#addReferences(target, 1);
  }

  /** P5: the last release puts the slot on the list of its shard; the drain frees it. */
  release(handle: unknown): number {
    const target = this.alive(handle);
    if (typeof target === 'number') return target;
    const { block, slot, index, realm } = target;
    if (referencesOf(block, slot) > 1) {
      block.words[slot * WORDS]!--;
      return OK;
    }
    setState(block, slot, ZOMBIE, 0);
    const list = realm.released[index & (SHARDS - 1)]!;
    if (list.push(index) === 1) realm.releasedFirst(index & (SHARDS - 1));
    return OK;
  }

  /** Ends a handle. Tells whether its slot has retired, or a negative status. */
  delete(handle: number, realm: R): boolean | number {
    const target = this.alive(handle);
    if (typeof target === 'number') return target; // P3: a ZOMBIE is stale here
    if (target.realm !== realm) return REALM;
    return this.#endLife(target.block, target.index);
  }

  /** Frees a slot that was released. Tells whether it has retired. */
  free(index: number): boolean {
    return this.#endLife(this.#blocks.get(index >>> BLOCK_BITS)!, index);
  }

  // ---- Moves: see native/core/slots.h ----

  move(handle: number, realm: R, now: number): number {
    const target = this.live(handle);
    if (typeof target === 'number') return target;
    if (target.realm !== realm) return REALM;
    const { block, slot } = target;
    // It carries one reference already; one more is the moved slot's own.
    const to = this.live(now);
    if (typeof to === 'number') return to;
    const status = this.#addReferences(to, referencesOf(block, slot));
    if (status !== OK) return status;
    setState(block, slot, MOVED, 1);
    block.links[slot * 2 + 1] = now;
    return OK;
  }

  /** The handle that one has become; a live one is its own. Or a negative status. */
  moved(handle: unknown): number {
    const target = this.locate(handle);
    if (typeof target === 'number') return target;
    const status = this.grade(target);
    if (status === OK) return target.handle;
    return status === MOVED_AWAY ? target.block.links[target.slot * 2 + 1]! : status;
  }

  /** Gives back a reference that haft holds for somebody: the object may have moved on since. */
  drop(handle: number | bigint): void {
    let now = handle;
    while (this.release(now) === MOVED_AWAY) now = this.moved(now);
  }

  letGo(handle: number, realm: R): void {
    const target = this.locate(handle);
    if (typeof target === 'number' || target.realm !== realm) return;
    if (this.grade(target) === MOVED_AWAY) this.#giveBackMoved(target.block, target.slot);
  }

  forget(handle: number, realm: R): boolean | number {
    const target = this.locate(handle);
    if (typeof target === 'number') return target;
    if (target.realm !== realm) return REALM;
    if (this.grade(target) !== MOVED_AWAY) return STALE;
    this.#giveBackMoved(target.block, target.slot);
    return this.#endLife(target.block, target.index);
  }

  // ---- Blocks ----

  /** The slots of a block for this realm, and its number; `undefined` when there are none left. */
  takeBlock(realm: R): { readonly number: number; readonly buffer: ArrayBuffer } | undefined {
    const unowned = this.#unowned.pop();
    if (unowned !== undefined) {
      const block = this.#blocks.get(unowned)!;
      block.owner = realm;
      return { number: unowned, buffer: block.buffer };
    }
    if (this.#blocks.size >= BLOCK_COUNT) return undefined;
    const number = (this.base + this.#blocks.size) & (BLOCK_COUNT - 1);
    const block = new SlotBlock(realm);
    for (let slot = 0; slot < BLOCK_SLOTS; slot++) {
      const generation = this.#firstGeneration((number << BLOCK_BITS) + slot);
      block.words[slot * WORDS + 1] = generation << WORD_GENERATION_SHIFT;
    }
    this.#blocks.set(number, block);
    return { number, buffer: block.buffer };
  }

  /** How often any one slot of a block may be freed until one of them has come round. */
  livesLeft(number: number): number {
    const block = this.#blocks.get(number & (BLOCK_COUNT - 1));
    if (block === undefined) return 0;
    let least = this.generationMask;
    for (let slot = 0; slot < BLOCK_SLOTS; slot++) {
      const high = highWord(block, slot);
      if (stateOf(high) === RETIRED) continue;
      const first = this.#firstGeneration((number << BLOCK_BITS) + slot);
      const used = ((high >>> WORD_GENERATION_SHIFT) - first) & this.generationMask;
      least = Math.min(least, this.generationMask - used);
    }
    return least;
  }

  /** Gives a block back whose slots are all free or retired; false if they are not. */
  giveBlock(number: number, realm: R): boolean {
    const block = this.#blocks.get(number & (BLOCK_COUNT - 1));
    if (block === undefined || block.owner !== realm) return false;
    for (let slot = 0; slot < BLOCK_SLOTS; slot++) {
      const state = stateOf(highWord(block, slot));
      if (state !== FREE && state !== RETIRED) return false;
    }
    block.owner = SPARE;
    this.#unowned.push(number & (BLOCK_COUNT - 1));
    return true;
  }

  /** Makes every block of a realm an orphan, its slots free or retired (P23). */
  abandon(realm: R): void {
    for (const [number, block] of this.#blocks) {
      if (block.owner !== realm) continue;
      for (let slot = 0; slot < BLOCK_SLOTS; slot++) {
        const state = stateOf(highWord(block, slot));
        if (state === FREE || state === RETIRED) continue;
        if (state === MOVED) this.#giveBackMoved(block, slot);
        this.#endLife(block, (number << BLOCK_BITS) + slot);
      }
      block.owner = ORPHAN;
      this.#unowned.push(number);
    }
  }

  // ---- Words ----

  #addReferences({ block, slot }: Target<R>, count: number): number {
    if (referencesOf(block, slot) + count > REFERENCES_MAX) return OVERFLOW;
    block.words[slot * WORDS]! += count;
    return OK;
  }

  // The object may have moved on.
  #giveBackMoved(block: SlotBlock, slot: number): void {
    if (referencesOf(block, slot) === 0) return;
    block.words[slot * WORDS]! &= ~REFERENCES_MAX;
    this.drop(block.links[slot * 2 + 1]!);
  }

  // The slot's next life: free with the next generation, or retired if that is the first again.
  #endLife(block: SlotBlock, index: number): boolean {
    const slot = index & SLOT_MASK;
    const generation = ((highWord(block, slot) >>> WORD_GENERATION_SHIFT) + 1) & this.generationMask;
    const retired = generation === this.#firstGeneration(index);
    const state = retired ? RETIRED : FREE;
    block.words[slot * WORDS] = 0;
    block.words[slot * WORDS + 1] = (generation << WORD_GENERATION_SHIFT) | (state << WORD_STATE_SHIFT);
    block.links[slot * 2 + 1] = 0;
    return retired;
  }

  // Whether the generation was ever given out for the slot: they count up from the first.
  #issued(index: number, generation: number, high: number): boolean {
    if (generation > this.generationMask) return false;
    const state = stateOf(high);
    if (state === RETIRED) return true;
    const first = this.#firstGeneration(index);
    const asked = (generation - first) & this.generationMask;
    const current = ((high >>> WORD_GENERATION_SHIFT) - first) & this.generationMask;
    return state === FREE ? asked < current : asked <= current;
  }

  // The finalizer of MurmurHash3 (Appleby).
  #firstGeneration(index: number): number {
    let hash = ((index % INDEX_COUNT) + this.#secret) | 0;
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return (hash ^ (hash >>> 16)) & this.generationMask;
  }
}

function highWord(block: SlotBlock, slot: number): number {
  return block.words[slot * WORDS + 1]!;
}

function stateOf(high: number): number {
  return (high >>> WORD_STATE_SHIFT) & STATE_MASK;
}

function referencesOf(block: SlotBlock, slot: number): number {
  return block.words[slot * WORDS]! & REFERENCES_MAX;
}

function setState(block: SlotBlock, slot: number, state: number, references: number): void {
  const at = slot * WORDS;
  block.words[at] = (block.words[at]! & ~REFERENCES_MAX) | references;
  const high = block.words[at + 1]! & ~(STATE_MASK << WORD_STATE_SHIFT);
  block.words[at + 1] = high | (state << WORD_STATE_SHIFT);
}
