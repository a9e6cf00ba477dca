// The handle table for JavaScript alone: no native code, no threads, no locks. It keeps every promise of the shared
// one, so what is written against it also runs on a `Registry`.
import { BLOCK_SLOTS, REFERENCES_MAX, STATUSES } from './constants.js';
import { HaftError } from './errors.js';
import { BLOCK_COUNT, generationOf, HANDLE_BASE, INDEX_COUNT, INDEX_MASK } from './handle.js';
import { Handles, type Stats } from './handles.js';
import type { Kind } from './kind.js';
import { crypto } from './lazily.js';

const OK = STATUSES.HAFT_OK.status;
const RETIRED = -1;
const REFERENCE_BITS = 22;
const KINDS = 2 ** (32 - REFERENCE_BITS);

export interface HandleTableOptions {
  /** Bits of a slot's generation, 1 to 26: fewer only to see slots retire in a test. */
  generationBits?: number;
  /** Most slots, in blocks of 1,024: fewer only to see a full table in a test. */
  maxBlocks?: number;
}

function option(name: string, value: number, most: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new HaftError('HAFT_E_ARGUMENT', {
    message: `${name} is ${String(value)}`,
    next: `give a whole number from 1 to ${most}`,
  });
}

export class HandleTable extends Handles {
  // By place, which is the index less the base. Two flat arrays and nothing else is what a look-up touches.
  /** The handle of a slot in use; NaN for a free one, which equals no input (P6). */
  #handles = new Float64Array(BLOCK_SLOTS).fill(Number.NaN);
  /** The object of a slot in use; the next generation of a free one, or RETIRED. */
  readonly #values: unknown[] = [];
  /** `kind << 22 | references - 1`, from when a slot first has a kind or a second reference. */
  #words: Int32Array | undefined;
  /** Places of free slots, a stack: the slot that was used last is in the cache. */
  #free = new Int32Array(BLOCK_SLOTS);
  #freeCount = 0;
  readonly #base: number;
  readonly #secret: number;
  readonly #generationMask: number;
  readonly #maxSlots: number;
  readonly #numbers = new Map<Kind, number>();
  readonly #kinds: (Kind | undefined)[] = [undefined];
  #created = 0;
  #live = 0;
  #retired = 0;

  constructor({ generationBits = 26, maxBlocks = BLOCK_COUNT }: HandleTableOptions = {}) {
    super();
    this.#generationMask = 2 ** option('generationBits', generationBits, 26) - 1;
    this.#maxSlots = option('maxBlocks', maxBlocks, BLOCK_COUNT) * BLOCK_SLOTS;
    // P7: indexes count from a random block, and a slot's generations from a hash: a handle of an earlier run, or of
    // another table, passes once in 2^26 for each slot that it could name.
    const { randomBytes } = crypto();
    this.#base = randomBytes(2).readUInt16LE() * BLOCK_SLOTS;
    this.#secret = randomBytes(4).readInt32LE();
  }

  override stats(): Stats {
    const slots = Math.ceil(this.#values.length / BLOCK_SLOTS) * BLOCK_SLOTS;
    return { live: this.#live, created: this.#created, retired: this.#retired, slots };
  }

  override close(): void {
    super.close();
    this.#handles = new Float64Array(0);
    this.#values.length = 0;
    this.#words = undefined;
    this.#free = new Int32Array(0);
    this.#freeCount = 0;
    this.#live = 0;
  }

  protected holds(handle: number): boolean {
    return this.#handles[(handle - this.#base) & INDEX_MASK] === handle;
  }

  protected objectOf(handle: number): unknown {
    return this.#values[(handle - this.#base) & INDEX_MASK];
  }

  protected kindNumberOf(handle: number): number {
    return this.#words === undefined ? 0 : this.#words[this.#placeOf(handle)]! >>> REFERENCE_BITS;
  }

  protected issue(value: unknown, kind: number): number {
    const fresh = this.#freeCount === 0;
    const place = fresh ? this.#freshPlace() : this.#free[--this.#freeCount]!;
    const index = (place + this.#base) & INDEX_MASK;
    const generation = fresh ? this.#firstGeneration(index) : (this.#values[place] as number);
    const handle = HANDLE_BASE + generation * INDEX_COUNT + index;
    if (fresh) this.#values.push(value);
    else this.#values[place] = value;
    this.#handles[place] = handle;
    if (kind !== 0) this.#wordsFor(place)[place] = kind << REFERENCE_BITS;
    this.#live++;
    this.#created++;
    return handle;
  }

  protected end(handle: number): number {
    const place = this.#placeOf(handle);
    this.forgotten(handle, this.#values[place]);
    const next = (generationOf(handle) + 1) & this.#generationMask;
    this.#handles[place] = Number.NaN;
    if (this.#words !== undefined) this.#words[place] = 0;
    this.#live--;
    if (next === this.#firstGeneration(handle & INDEX_MASK)) {
      this.#values[place] = RETIRED;
      this.#retired++;
    } else {
      this.#values[place] = next;
      this.#giveBack(place);
    }
    return OK;
  }

  protected addReference(handle: number): number {
    const place = this.#placeOf(handle);
    const words = this.#wordsFor(place);
    if ((words[place]! & REFERENCES_MAX) >= REFERENCES_MAX - 1) return STATUSES.HAFT_E_OVERFLOW.status;
    words[place]!++;
    return OK;
  }

  protected dropReference(handle: number): number {
    const place = this.#placeOf(handle);
    if (this.#words === undefined || (this.#words[place]! & REFERENCES_MAX) === 0) return this.end(handle);
    this.#words[place]!--;
    return OK;
  }

  protected numberOf(kind: Kind): number {
    let number = this.#numbers.get(kind);
    if (number === undefined) {
      number = this.#kinds.length;
      if (number >= KINDS)
        throw new HaftError('HAFT_E_SLOTS', { message: `a table knows at most ${KINDS - 1} kinds` });
      this.#kinds.push(kind);
      this.#numbers.set(kind, number);
    }
    return number;
  }

  protected kindOfNumber(number: number): Kind | undefined {
    return this.#kinds[number];
  }

  // Never issued, or no longer valid: generations count up from the first.
  protected diagnose(handle: number): number {
    const place = this.#placeOf(handle);
    const generation = generationOf(handle);
    if (place >= this.#values.length || generation > this.#generationMask)
      return STATUSES.HAFT_E_FORGED.status;
    const first = this.#firstGeneration(handle & INDEX_MASK);
    const inUse = this.#handles[place]!;
    const next = Number.isNaN(inUse) ? (this.#values[place] as number) : generationOf(inUse) + 1;
    const used = (next - first) & this.#generationMask;
    const issued = next === RETIRED || used === 0 || ((generation - first) & this.#generationMask) < used;
    return issued ? STATUSES.HAFT_E_STALE.status : STATUSES.HAFT_E_FORGED.status;
  }

  #placeOf(handle: number): number {
    return (handle - this.#base) & INDEX_MASK;
  }

  #freshPlace(): number {
    this.requireOpen();
    const place = this.#values.length;
    if (place >= this.#maxSlots) throw new HaftError('HAFT_E_SLOTS');
    if (place === this.#handles.length) this.#grow(place * 2);
    return place;
  }

  #grow(slots: number): void {
    const handles = new Float64Array(slots);
    handles.set(this.#handles);
    this.#handles = handles.fill(Number.NaN, this.#handles.length);
    if (this.#words !== undefined) this.#words = enlarged(this.#words, slots);
  }

  #giveBack(place: number): void {
    if (this.#freeCount === this.#free.length) this.#free = enlarged(this.#free, this.#free.length * 2);
    this.#free[this.#freeCount++] = place;
  }

  #wordsFor(place: number): Int32Array {
    if (this.#words === undefined || place >= this.#words.length) {
      this.#words = enlarged(this.#words ?? new Int32Array(0), this.#handles.length);
    }
    return this.#words;
  }

  // The finalizer of MurmurHash3 (Appleby).
  #firstGeneration(index: number): number {
    let hash = (index + this.#secret) | 0;
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return (hash ^ (hash >>> 16)) & this.#generationMask;
  }
}

function enlarged(from: Int32Array, length: number): Int32Array<ArrayBuffer> {
  const to = new Int32Array(length);
  to.set(from);
  return to;
}
