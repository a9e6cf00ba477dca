// Memory for strings and bytes too long for a ring or a reply: one buffer a chunk. A chunk is named by an offset, as in
// the addon's heap, but nothing lies between two chunks.
import type { Buffer } from 'node:buffer';
import { PAYLOAD_MAX } from '../constants.js';

const MOST_BYTES = 64 * 1024 * 1024;
const PAGE_BYTES = 4096;
const HEADER_BYTES = 64;
/** Distance of two chunks' offsets. */
const STRIDE = 2 * PAYLOAD_MAX;

export class Chunks {
  readonly #chunks = new Map<number, Buffer>();
  readonly #free: number[] = [];
  #issued = 0;
  #bytes = 0;

  /** Keeps a buffer, which is the chunk's; its offset, or 0 when there is no room. */
  keep(bytes: Buffer): number {
    const size = sizeOf(bytes.length);
    if (this.#bytes + size > MOST_BYTES) return 0;
    this.#bytes += size;
    const number = this.#free.pop() ?? ++this.#issued;
    this.#chunks.set(number, bytes);
    return number * STRIDE;
  }

  give(offset: number): void {
    const number = Math.floor(offset / STRIDE);
    const bytes = this.#chunks.get(number);
    if (bytes === undefined) return;
    this.#chunks.delete(number);
    this.#free.push(number);
    this.#bytes -= sizeOf(bytes.length);
  }

  /** The bytes where they lie. */
  read(offset: number, length: number): Buffer | undefined {
    const at = offset % STRIDE;
    const bytes = this.#chunks.get(Math.floor(offset / STRIDE));
    return bytes !== undefined && at + length <= bytes.length ? bytes.subarray(at, at + length) : undefined;
  }
}

// As many bytes as the addon's heap would take.
function sizeOf(length: number): number {
  return Math.ceil((length + HEADER_BYTES) / PAGE_BYTES) * PAGE_BYTES;
}
