// The handle table for JavaScript alone: no native code, no threads, no locks. It keeps every promise of the shared
// one, so what is written against it also runs on a `Registry`.
import { randomBytes } from 'node:crypto';
import {
  BLOCK_BITS,
  BLOCK_SLOTS,
  KINDS,
  REFERENCES_MAX,
  STATE_LIVE,
  STATUSES,
  WORD_GENERATION_SHIFT,
  WORD_STATE_SHIFT,
} from './constants.js';
import { HaftError } from './errors.js';
import { BLOCK_COUNT, generationOf, INDEX_MASK, SLOT_MASK } from './handle.js';
import { Handles } from './handles.js';
import type { Kind } from './kind.js';
import { Block, Mirror } from './mirror.js';

const STRIDE = 2;
const STATE_FREE = 0;
const STATE_RETIRED = 3;
const KIND_HIGH_BITS = (1 << WORD_STATE_SHIFT) - 1;

export interface HandleTableOptions {
  /** Bits of a slot's generation, 1 to 26: fewer only to see slots retire in a test. */
  generationBits?: number;
  /** Most blocks of 1,024 slots: fewer only to see a full table in a test. */
  maxBlocks?: number;
}

function option(name: string, value: number, most: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new HaftError('HAFT_E_ARGUMENT', { message: `${name} must be an integer from 1 to ${most}` });
}

export class HandleTable extends Handles {
  readonly #secret: number;
  readonly #generationMask: number;
  readonly #maxBlocks: number;
  readonly #numbers = new Map<Kind, number>();
  readonly #kinds: (Kind | undefined)[] = [undefined];

  constructor({ generationBits = 26, maxBlocks = BLOCK_COUNT }: HandleTableOptions = {}) {
    // P7: a random base for block numbers and a hashed first generation a slot: a handle of an earlier run, or of
    // another table, passes once in 2^26 for each slot that it could name.
    super(new Mirror(randomBytes(2).readUInt16LE()));
    this.#secret = randomBytes(4).readInt32LE();
    this.#generationMask = 2 ** option('generationBits', generationBits, 26) - 1;
    this.#maxBlocks = option('maxBlocks', maxBlocks, BLOCK_COUNT);
  }

  protected grow(): void {
    const { mirror } = this;
    if (mirror.blocks.length >= this.#maxBlocks) throw new HaftError('HAFT_E_SLOTS');
    const number = (mirror.base + mirror.blocks.length) & (BLOCK_COUNT - 1);
    const words = new Int32Array(BLOCK_SLOTS * STRIDE);
    for (let slot = 0; slot < BLOCK_SLOTS; slot++) {
      words[slot * STRIDE + 1] = this.#firstGeneration((number << BLOCK_BITS) + slot) << WORD_GENERATION_SHIFT;
    }
    mirror.addBlock(number, new Block(words, STRIDE));
    // A block with few generations may be all retired: none of a new one is.
  }

  // The finalizer of MurmurHash3 (Appleby).
  #firstGeneration(index: number): number {
    let hash = (index + this.#secret) | 0;
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return (hash ^ (hash >>> 16)) & this.#generationMask;
  }

  protected numberOf(kind: Kind): number {
    let number = this.#numbers.get(kind);
    if (number === undefined) {
      number = this.#kinds.length;
      if (number >= KINDS) throw new HaftError('HAFT_E_SLOTS', { message: `a table knows at most ${KINDS - 1} kinds` });
      this.#kinds.push(kind);
      this.#numbers.set(kind, number);
    }
    return number;
  }

  protected kindOfNumber(number: number): Kind | undefined {
    return this.#kinds[number];
  }

  protected endSlot(block: Block, slot: number, handle: number): number {
    const next = (generationOf(handle) + 1) & this.#generationMask;
    this.slotRetired = next === this.#firstGeneration(handle & INDEX_MASK);
    const state = this.slotRetired ? STATE_RETIRED : STATE_FREE;
    block.words[slot * STRIDE + 1] = (next << WORD_GENERATION_SHIFT) | (state << WORD_STATE_SHIFT);
    return STATUSES.HAFT_OK.status;
  }

  protected addReference(block: Block, slot: number): number {
    const low = block.words[slot * STRIDE]!;
    if ((low & REFERENCES_MAX) === REFERENCES_MAX) return STATUSES.HAFT_E_OVERFLOW.status;
    block.words[slot * STRIDE] = low + 1;
    return STATUSES.HAFT_OK.status;
  }

  protected dropReference(block: Block, slot: number, handle: number): number {
    if ((block.words[slot * STRIDE]! & REFERENCES_MAX) === 1) this.delete(handle);
    else block.words[slot * STRIDE]!--;
    return STATUSES.HAFT_OK.status;
  }

  // Never issued or no longer valid: generations count up from the first.
  protected diagnose(handle: number): number {
    const index = handle & INDEX_MASK;
    const block = this.mirror.blockOf(index);
    const generation = generationOf(handle);
    if (block === undefined || generation > this.#generationMask) return STATUSES.HAFT_E_FORGED.status;
    const high = block.words[(handle & SLOT_MASK) * STRIDE + 1]!;
    const first = this.#firstGeneration(index);
    const asked = (generation - first) & this.#generationMask;
    const current = ((high >>> WORD_GENERATION_SHIFT) - first) & this.#generationMask;
    const state = (high >>> WORD_STATE_SHIFT) & KIND_HIGH_BITS;
    const issued = state === STATE_RETIRED || (state === STATE_LIVE ? asked <= current : asked < current);
    return issued ? STATUSES.HAFT_E_STALE.status : STATUSES.HAFT_E_FORGED.status;
  }
}

