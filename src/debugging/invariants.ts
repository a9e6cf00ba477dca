// The mirror's side of the walk over the whole table at level 2: what JavaScript knows of each slot has to agree with the
// slot's word. Other threads may release meanwhile, so a slot in use may be LIVE or already ZOMBIE.
import {
  BLOCK_BITS,
  BLOCK_SLOTS,
  KIND_SHIFT,
  KINDS,
  STATE_COLLECTED,
  STATE_LIVE,
  WORD_GENERATION_SHIFT,
} from '../constants.js';
import { BLOCK_COUNT, HANDLE_BASE, INDEX_COUNT, SLOT_MASK } from '../handle.js';
import { type Block, type Mirror, STRIDE, stateOf } from '../mirror.js';

const FREE = 0;
const ZOMBIE = 2;
const RETIRED = 3;
const MOVED = 4;
const NAMES = ['FREE', 'LIVE', 'ZOMBIE', 'RETIRED', 'MOVED', 'COLLECTED'];

/** The weak handle of a slot, which the mirror does not hold. */
type WeakAt = (index: number) => { readonly handle: number; readonly isCollected: boolean } | undefined;

/** What is wrong first, in words; `undefined` while all holds. */
export function brokenMirror(mirror: Mirror, weakAt: WeakAt): string | undefined {
  let live = 0;
  let blocks = 0;
  for (const [n, block] of mirror.blocks.entries()) {
    if (block === undefined) continue;
    blocks++;
    const number = (n + mirror.base) & (BLOCK_COUNT - 1);
    for (let slot = 0; slot < BLOCK_SLOTS; slot++) {
      const weak = weakAt(number * BLOCK_SLOTS + slot);
      const handle = weak?.handle ?? block.handles[slot]!;
      const broken = brokenSlot(number, slot, block, handle);
      if (broken !== undefined) return broken;
      if (!Number.isNaN(handle) && weak?.isCollected !== true) live++;
    }
  }
  if (live !== mirror.live) return `the mirror has ${live} handles and counts ${mirror.live}`;
  if (blocks * BLOCK_SLOTS !== mirror.slots)
    return `the mirror has ${blocks} blocks and counts ${mirror.slots} slots`;
  return brokenStack(mirror);
}

function brokenSlot(number: number, slot: number, block: Block, handle: number): string | undefined {
  const low = block.words[slot * STRIDE]!;
  const high = block.words[slot * STRIDE + 1]!;
  const state = stateOf(block.words, slot);
  const where = `slot ${number}:${slot}`;
  const name = NAMES[state] ?? `in state ${state}`;
  if (Number.isNaN(handle)) {
    // A moved slot has no object here any more.
    if (state === FREE || state === RETIRED || state === MOVED) return undefined;
    return `${where} is ${name}, and the mirror has no handle there`;
  }
  if (state !== STATE_LIVE && state !== STATE_COLLECTED && state !== ZOMBIE && state !== MOVED)
    return `${where} is ${name}, and the mirror has handle ${handle} there`;
  const generation = high >>> WORD_GENERATION_SHIFT;
  const expected = HANDLE_BASE + generation * INDEX_COUNT + number * BLOCK_SLOTS + slot;
  if (handle !== expected) return `${where} is handle ${expected}, and handle ${handle} in the mirror`;
  const kind = ((high << (32 - KIND_SHIFT)) | (low >>> KIND_SHIFT)) & (KINDS - 1);
  if (kind !== block.kinds[slot])
    return `${where} is of kind ${kind}, and of kind ${block.kinds[slot]} in the mirror`;
  return undefined;
}

function brokenStack(mirror: Mirror): string | undefined {
  const seen = new Set<number>();
  for (let i = 0; i < mirror.freeCount; i++) {
    const index = mirror.free[i]!;
    const where = `slot ${index >>> BLOCK_BITS}:${index & SLOT_MASK}`;
    if (seen.has(index)) return `${where} is on the stack of free slots twice`;
    seen.add(index);
    const block = mirror.blockOf(index);
    if (block === undefined) return `${where} is on the stack of free slots, and its block is not ours`;
    const state = stateOf(block.words, index & SLOT_MASK);
    if (state !== FREE)
      return `${where} is on the stack of free slots, and ${NAMES[state] ?? `in state ${state}`}`;
  }
  return undefined;
}
