// A walk over the handles of a registry that are alive, as its slots say: for reports, not for hot paths.
import {
  BLOCK_BITS,
  BLOCK_SLOTS,
  KIND_SHIFT,
  REFERENCES_MAX,
  STATE_COLLECTED,
  STATE_LIVE,
  WORD_GENERATION_SHIFT,
  WORD_STATE_SHIFT,
} from '../constants.js';
import { BLOCK_COUNT, HANDLE_BASE, INDEX_COUNT } from '../handle.js';
import { type Block, type Mirror, STRIDE } from '../mirror.js';

const KINDS_OF_LOW = 2 ** (32 - KIND_SHIFT);
const KINDS_OF_HIGH = 2 ** WORD_STATE_SHIFT;

/** One handle, as the walk came to it. */
export interface Live {
  readonly handle: number;
  readonly kind: number;
  readonly references: number;
  /** When it was made, by the mirror's clock. */
  readonly born: number;
  /** It keeps nothing alive. */
  readonly weak: boolean;
  /** Its object is gone; references are still to be given back. */
  readonly collected: boolean;
}

/** Calls `visit` for each handle that is alive now. One that native code has released for the last time is not. */
export function eachLive(mirror: Mirror, visit: (live: Live) => void): void {
  for (const [n, block] of mirror.blocks.entries()) {
    if (block === undefined) continue;
    const first = ((n + mirror.base) & (BLOCK_COUNT - 1)) * 2 ** BLOCK_BITS;
    for (let slot = 0; slot < BLOCK_SLOTS; slot++) visitSlot(block, first, slot, visit);
  }
}

function visitSlot(block: Block, first: number, slot: number, visit: (live: Live) => void): void {
  const low = block.words[slot * STRIDE]!;
  const high = Atomics.load(block.words, slot * STRIDE + 1);
  const state = (high >>> WORD_STATE_SHIFT) & 7;
  if (state !== STATE_LIVE && state !== STATE_COLLECTED) return;
  const generation = high >>> WORD_GENERATION_SHIFT;
  visit({
    handle: HANDLE_BASE + generation * INDEX_COUNT + first + slot,
    kind: (high & (KINDS_OF_HIGH - 1)) * KINDS_OF_LOW + (low >>> KIND_SHIFT),
    references: low & REFERENCES_MAX,
    born: block.born[slot]!,
    // The mirror finds the objects of handles that keep them alive, and no others (P6).
    weak: Number.isNaN(block.handles[slot]),
    collected: state === STATE_COLLECTED,
  });
}
