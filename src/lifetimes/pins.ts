// Memory that C may keep: pinned buffers, which JavaScript sees too, and transferred ones, which it does not see any more.
// Each is an object with a handle; native code knows where it lies (haft_memory).
import * as types from 'node:util/types';
import { markAsUntransferable } from 'node:worker_threads';
import type { NativeRealm } from '../binding.js';
import { EXCHANGE, EXCHANGE_HANDLE } from '../constants.js';
import { HaftError } from '../errors.js';
import type { Handle } from '../handle.js';
import { INDEX_MASK } from '../handle.js';
import { kind } from '../kind.js';
import type { Owner, Owners } from './owned.js';

const HANDLE_PLACE = (EXCHANGE >> 3) + (EXCHANGE_HANDLE >> 1);

/** What can be pinned: a whole buffer, or the part of one that a view shows. */
export type Pinnable = ArrayBuffer | SharedArrayBuffer | ArrayBufferView;

/** The object of a handle that names memory. */
export class Memory {
  readonly byteLength: number;
  #buffer: ArrayBufferLike;

  /** @internal */
  constructor(buffer: ArrayBufferLike, byteLength: number) {
    this.#buffer = buffer;
    this.byteLength = byteLength;
  }

  /** @internal Whether the memory is where it was when it was pinned. */
  get isIntact(): boolean {
    return !isDetached(this.#buffer);
  }

  /** @internal Takes the memory into a buffer that nobody else has. */
  take(buffer: ArrayBuffer): ArrayBuffer {
    const taken = structuredClone(buffer, { transfer: [buffer] });
    this.#buffer = taken;
    return taken;
  }
}

/** Has no ops: what C may do with memory is `haft_memory`. */
export const MemoryKind = kind(Memory, {}, { name: 'haft.memory' });

/** What pins need of the registry. */
export interface PinTable {
  readonly native: NativeRealm;
  readonly owners: Owners;
  create(memory: Memory): Handle<Memory>;
  /** Ends a handle, unless it has ended. */
  end(handle: Handle<Memory>): void;
  report(error: HaftError, handle: number): void;
}

/**
 * A buffer that C may keep: it stays where it is until `unpin`, until the registry closes, or until C has released the
 * handle for the last time. JavaScript goes on using it; who writes when is for both sides to agree.
 *
 * ```ts
 * using pin = registry.pin(samples);
 * analyse(pin.address, pin.byteLength); // or pin.handle, and haft_memory in C
 * ```
 */
export class Pin implements Disposable, Owner {
  readonly #pins: Pins;
  /** For `haft_memory`, of kind "haft.memory". */
  readonly handle: Handle<Memory>;
  /** `void *` in C. */
  readonly address: bigint;
  readonly byteLength: number;
  #isOwner = true;

  /** @internal */
  constructor(pins: Pins, handle: Handle<Memory>, address: bigint, byteLength: number) {
    this.#pins = pins;
    this.handle = handle;
    this.address = address;
    this.byteLength = byteLength;
  }

  /** Whether C may use the memory: the handle has not ended, and the buffer was not detached. */
  get isIntact(): boolean {
    return this.#pins.isIntact(this.handle);
  }

  /**
   * Ends the handle at once, whatever references C has: C must not use the memory any more. Nothing if it has ended.
   * @throws HaftError `HAFT_E_DETACHED` when the buffer was detached meanwhile. It is unpinned all the same.
   */
  unpin(): void {
    this.#isOwner = false;
    this.#pins.unpin(this.handle, this);
  }

  /** @internal */
  letGo(): void {
    this.#isOwner = false;
  }

  /** As `unpin`; nothing when the handle was transferred to native code. */
  [Symbol.dispose](): void {
    if (this.#isOwner) this.unpin();
  }
}

interface Range {
  readonly buffer: ArrayBufferLike;
  readonly byteOffset: number;
  readonly byteLength: number;
}

interface Kept {
  readonly handle: Handle<Memory>;
  readonly memory: Memory;
  /** That it was detached has been told. */
  isTold: boolean;
}

export class Pins {
  readonly #table: PinTable;
  readonly #f64: Float64Array;
  /** By the index of the slot. */
  readonly #kept = new Map<number, Kept>();

  constructor(table: PinTable) {
    this.#table = table;
    this.#f64 = new Float64Array(table.native.buffer);
  }

  pin(given: Pinnable): Pin {
    const range = pinnable(given);
    // Where Node can hinder that it is detached, it does from now on, for good. Not where it cannot be transferred anyway:
    // the memory of WebAssembly grows by detaching, and ends the process where it may not (Node 24).
    if (isTransferable(range.buffer)) markAsUntransferable(range.buffer);
    const { buffer, byteOffset, byteLength } = range;
    const handle = this.#keep(new Memory(buffer, byteLength));
    const pin = new Pin(this, handle, this.#place(handle, buffer, byteOffset, byteLength), byteLength);
    this.#table.owners.add(handle, pin);
    return pin;
  }

  /** Takes a buffer away from JavaScript. The reference of the handle is native code's. */
  transfer(given: ArrayBuffer | Uint8Array): Handle<Memory> {
    const buffer = transferable(given);
    const { byteLength } = buffer;
    const memory = new Memory(buffer, byteLength);
    const handle = this.#keep(memory); // first: where the table is full, the buffer stays JavaScript's
    this.#place(handle, memory.take(buffer), 0, byteLength);
    return handle;
  }

  isIntact(handle: number): boolean {
    return this.#keptOf(handle)?.memory.isIntact === true;
  }

  unpin(handle: Handle<Memory>, owner: Owner): void {
    this.#table.owners.remove(handle, owner);
    const kept = this.#keptOf(handle);
    if (kept === undefined) return;
    const isDetached = !kept.isTold && !kept.memory.isIntact;
    kept.isTold = true;
    this.#table.end(handle);
    if (isDetached) throw detached(handle);
  }

  /** The slot's handle has ended: whether it named memory. */
  ended(index: number): boolean {
    const kept = this.#kept.get(index);
    if (kept === undefined) return false;
    this.#kept.delete(index);
    this.#table.owners.forget(kept.handle);
    this.#f64[HANDLE_PLACE] = kept.handle;
    this.#table.native.unpin();
    // Not within the drain that frees the slot: a listener may do anything. By a promise: tests replace queueMicrotask.
    Promise.resolve().then(() => this.#tellIfDetached(kept));
    return true;
  }

  /** Tells of buffers that were detached while they were pinned. */
  check(): void {
    for (const kept of this.#kept.values()) this.#tellIfDetached(kept);
  }

  /** Native code forgets the realm's memory by itself. */
  close(): void {
    const all = [...this.#kept.values()];
    this.#kept.clear();
    for (const kept of all) this.#tellIfDetached(kept);
  }

  #keptOf(handle: number): Kept | undefined {
    const kept = this.#kept.get(handle & INDEX_MASK);
    return kept?.handle === handle ? kept : undefined;
  }

  #keep(memory: Memory): Handle<Memory> {
    const handle = this.#table.create(memory);
    this.#kept.set(handle & INDEX_MASK, { handle, memory, isTold: false });
    return handle;
  }

  // Tells native code where the memory is; the address.
  #place(handle: number, buffer: ArrayBufferLike, byteOffset: number, byteLength: number): bigint {
    this.#f64[HANDLE_PLACE] = handle;
    // Of all its bytes there may be no view: Node 20 has none beyond 4 GiB.
    return this.#table.native.pin(new Uint8Array(buffer, byteOffset, Math.min(byteLength, 1)), byteLength);
  }

  #tellIfDetached(kept: Kept): void {
    if (kept.isTold || kept.memory.isIntact) return;
    kept.isTold = true;
    this.#table.report(detached(kept.handle), kept.handle);
  }
}

function detached(handle: number): HaftError {
  return new HaftError('HAFT_E_DETACHED', {
    handle,
    kind: MemoryKind.name,
    message: 'the buffer was detached while it was pinned: C may have used memory that is another’s',
  });
}

function isDetached(buffer: ArrayBufferLike): boolean {
  if (buffer.byteLength > 0) return false;
  try {
    new Uint8Array(buffer);
    return false;
  } catch {
    return true; // an empty one is not
  }
}

// Whether `postMessage` and `structuredClone` would take the buffer from us. Asked by a list that Node refuses as a whole,
// once it has looked at its first entry: nothing is transferred.
function isTransferable(buffer: ArrayBufferLike): buffer is ArrayBuffer {
  if (types.isSharedArrayBuffer(buffer)) return false;
  const both = [buffer as ArrayBuffer, buffer as ArrayBuffer];
  try {
    structuredClone(undefined, { transfer: both });
    return false; // Node 20 leaves what it cannot transfer alone
  } catch (error) {
    return (error as Error).message.includes('duplicate');
  }
}

function rangeOf(given: unknown, what: string): Range {
  if (types.isAnyArrayBuffer(given)) return { buffer: given, byteOffset: 0, byteLength: given.byteLength };
  if (!ArrayBuffer.isView(given)) {
    throw new HaftError('HAFT_E_ARGUMENT', {
      message: 'the value is no buffer',
      next: `pass ${what}`,
    });
  }
  if (isDetached(given.buffer)) return { buffer: given.buffer, byteOffset: 0, byteLength: 0 };
  return given;
}

function requireThere({ buffer }: Range): void {
  if (!isDetached(buffer)) return;
  throw new HaftError('HAFT_E_DETACHED', {
    message: 'the buffer is detached: its memory has gone elsewhere',
  });
}

function pinnable(given: Pinnable): Range {
  const range = rangeOf(given, 'an ArrayBuffer, a SharedArrayBuffer, or a view of one');
  requireThere(range);
  const { resizable, growable } = range.buffer as { resizable?: boolean; growable?: boolean };
  if (resizable || growable) {
    throw new HaftError('HAFT_E_DETACHED', {
      message: resizable
        ? 'the ArrayBuffer is resizable: its end may be given back to the system while C uses it'
        : 'the SharedArrayBuffer is growable: C would not learn of its length',
      next: 'pin a buffer of fixed length, or a copy',
    });
  }
  return range;
}

function transferable(given: ArrayBuffer | Uint8Array): ArrayBuffer {
  const range = rangeOf(given, 'an ArrayBuffer, or a Uint8Array of all of one');
  requireThere(range);
  const { buffer, byteLength } = range;
  const isWhole =
    !ArrayBuffer.isView(given) || (types.isUint8Array(given) && byteLength === buffer.byteLength);
  if (isWhole && isTransferable(buffer)) return buffer;
  throw new HaftError('HAFT_E_ARGUMENT', {
    message: isWhole
      ? 'the buffer cannot change hands: it is shared, was pinned, or is the memory of WebAssembly or of Node’s pool'
      : 'the view shows a part of its buffer, or is no Uint8Array: the rest would change hands with it',
    next: 'pin it, or transfer a copy',
  });
}
