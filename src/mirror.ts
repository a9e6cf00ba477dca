// The JavaScript side of the shared table: which handle each slot has now, and which object. Looking a handle up is one
// comparison with what stands here, and touches no shared memory.

import {
  BLOCK_BITS,
  BLOCK_SLOTS,
  KIND_SHIFT,
  STATE_LIVE,
  WORD_GENERATION_SHIFT,
  WORD_STATE_SHIFT,
} from './constants.js';
import { CoarseClock } from './debugging/coarse-clock.js';
import { BLOCK_COUNT, HANDLE_BASE, INDEX_COUNT, SLOT_MASK } from './handle.js';

const KIND_HIGH_SHIFT = 32 - KIND_SHIFT;
const ONE_REFERENCE = 1;
/** 32-bit words a slot. */
export const STRIDE = 4;

/** 1,024 neighbouring slots. */
export class Block {
  /** The handle of a slot in use; NaN for a free one, which equals no input (P6). */
  readonly handles = new Float64Array(BLOCK_SLOTS).fill(Number.NaN);
  readonly values: unknown[] = Array.from({ length: BLOCK_SLOTS }, () => undefined);
  /** The kind of each object. It stands in word A too, whose line belongs to whoever retained or released last. */
  readonly kinds = new Uint16Array(BLOCK_SLOTS);
  /** When each handle was made, by the mirror's clock. */
  readonly born = new Uint32Array(BLOCK_SLOTS);

  /**
   * How often its slots may still be freed here, until one might have come round and must retire: only native code knows
   * first generations. 0: to be asked; negative: not to be asked so many times.
   */
  lives = 0;

  /** @param words The slots' words: the low half of word A at `slot * STRIDE`, the high one behind it. */
  constructor(readonly words: Int32Array) {}
}

/** The state of a slot: `STATE_LIVE`, ... */
export function stateOf(words: Int32Array, slot: number): number {
  return (words[slot * STRIDE + 1]! >>> WORD_STATE_SHIFT) & 7;
}

export class Mirror {
  /** By block number less the base. `undefined` where the block is another realm's. */
  readonly blocks: (Block | undefined)[] = [];
  /** Free slots by index, a stack: the slot that was used last is in the cache. */
  free = new Int32Array(BLOCK_SLOTS);
  freeCount = 0;
  live = 0;
  slots = 0;
  created = 0;
  readonly clock = new CoarseClock();

  /**
   * @param base Number of the first block: blocks are numbered from a random one, round and round (P7).
   * @param generationMask The generations that a slot has, less one.
   */
  constructor(
    readonly base: number,
    readonly generationMask: number,
  ) {}

  /** The block of an index, or `undefined`. */
  blockOf(index: number): Block | undefined {
    const n = ((index >>> BLOCK_BITS) - this.base) & (BLOCK_COUNT - 1);
    return n < this.blocks.length ? this.blocks[n] : undefined;
  }

  /** Which of `blocks` an index is in. */
  blockNumberOf(index: number): number {
    return ((index >>> BLOCK_BITS) - this.base) & (BLOCK_COUNT - 1);
  }

  /** The index of a slot of one of `blocks`. */
  indexOf(n: number, slot: number): number {
    return (((n + this.base) & (BLOCK_COUNT - 1)) << BLOCK_BITS) + slot;
  }

  /** Slots of a block that are free by their words, on the stack or not. */
  freeSlotsOf(n: number): number {
    const block = this.blocks[n];
    let free = 0;
    for (let slot = 0; block !== undefined && slot < BLOCK_SLOTS; slot++) {
      if (stateOf(block.words, slot) === 0) free++;
    }
    return free;
  }

  /** Forgets a block that was given back; its slots are not on the stack. */
  removeBlock(n: number): void {
    this.blocks[n] = undefined;
    while (this.blocks.length > 0 && this.blocks[this.blocks.length - 1] === undefined) this.blocks.pop();
    this.slots -= BLOCK_SLOTS;
  }

  /** Gives memory back when the stack of free slots has become far too large. */
  shrinkStack(): void {
    const enough = Math.max(BLOCK_SLOTS, 2 ** Math.ceil(Math.log2(this.freeCount + 1)));
    if (enough * 4 <= this.free.length) this.free = this.free.slice(0, enough);
  }

  /** Adds a block, its slots free. */
  addBlock(number: number, block: Block): void {
    const n = (number - this.base) & (BLOCK_COUNT - 1);
    while (this.blocks.length <= n) this.blocks.push(undefined);
    this.blocks[n] = block;
    // In reverse, so that slots are first used in order.
    for (let slot = BLOCK_SLOTS - 1; slot >= 0; slot--) {
      // A block that an earlier realm had may contain retired slots.
      if (stateOf(block.words, slot) === 0) this.giveBack((number << BLOCK_BITS) + slot);
    }
    this.slots += BLOCK_SLOTS;
  }

  /** Puts a free slot on the stack. */
  giveBack(index: number): void {
    if (this.freeCount === this.free.length) {
      const larger = new Int32Array(this.free.length * 2);
      larger.set(this.free);
      this.free = larger;
    }
    this.free[this.freeCount++] = index;
  }

  /**
   * Publishes `value` in a free slot, with one reference. There must be one.
   *
   * P1: a FREE slot is nobody's but ours, so a plain store of the low half and then an atomic store of the high
   * half, which holds generation and state, is enough. Never both at once through a Float64Array.
   */
  publish(value: unknown, kind: number): number {
    const index = this.free[--this.freeCount]!;
    const block = this.blocks[((index >>> BLOCK_BITS) - this.base) & (BLOCK_COUNT - 1)]!;
    const slot = index & SLOT_MASK;
    const { words } = block;
    const low = slot * STRIDE;
    const generation = words[low + 1]! >>> WORD_GENERATION_SHIFT;
    const handle = HANDLE_BASE + generation * INDEX_COUNT + index;
    block.values[slot] = value;
    block.handles[slot] = handle;
    block.kinds[slot] = kind;
    if (--this.clock.looks < 0) this.clock.read();
    block.born[slot] = this.clock.now;
    words[low] = (kind << KIND_SHIFT) | ONE_REFERENCE;
    const high =
      (generation << WORD_GENERATION_SHIFT) | (STATE_LIVE << WORD_STATE_SHIFT) | (kind >>> KIND_HIGH_SHIFT);
    Atomics.store(words, low + 1, high);
    this.live++;
    this.created++;
    return handle;
  }

  /**
   * Ends a live slot, which is free then; the caller has counted the block's lives. False if native code has ended it
   * before, or it is no live one: then native code has to be asked.
   *
   * P1: by a compare-and-swap of the high half alone. It holds generation and state, and native code swaps the whole word,
   * so one of two that meet fails and looks again; of the low half nothing is read in a free slot.
   */
  end(block: Block, slot: number): boolean {
    const { words } = block;
    const place = slot * STRIDE + 1;
    const high = words[place]!;
    if (((high >>> WORD_STATE_SHIFT) & 7) !== STATE_LIVE) return false;
    const generation = ((high >>> WORD_GENERATION_SHIFT) + 1) & this.generationMask;
    return Atomics.compareExchange(words, place, high, generation << WORD_GENERATION_SHIFT) === high;
  }

  /** From now on the slot in use holds no object: it is found elsewhere, and by no look-up here (P6). */
  forgetObject(index: number): void {
    const block = this.blockOf(index)!;
    block.handles[index & SLOT_MASK] = Number.NaN;
    block.values[index & SLOT_MASK] = undefined;
  }

  /** Forgets the object of a slot in use. The slot is not free before `giveBack`. */
  drop(block: Block, slot: number): void {
    block.handles[slot] = Number.NaN;
    block.values[slot] = undefined;
    this.live--;
    if (block.lives > 0) block.lives--;
  }

  clear(): void {
    this.blocks.length = 0;
    this.free = new Int32Array(0);
    this.freeCount = 0;
    this.live = 0;
    this.slots = 0;
  }
}
