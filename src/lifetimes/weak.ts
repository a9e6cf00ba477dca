// Weak handles: they name an object and keep nothing alive. The mirror does not hold them, so that the look-up of all other
// handles stays one comparison (P6): they are found here, after that has failed.
import type { NativeRealm } from '../binding.js';
import { EXCHANGE, EXCHANGE_HANDLE } from '../constants.js';
import { INDEX_MASK } from '../handle.js';
import type { Mirror } from '../mirror.js';

const HANDLE_PLACE = (EXCHANGE >> 3) + (EXCHANGE_HANDLE >> 1);

interface Weak {
  readonly handle: number;
  readonly object: WeakRef<object>;
  /** The object was collected, and native code has been told. */
  isCollected: boolean;
}

export class Weaks {
  readonly #native: NativeRealm;
  readonly #mirror: Mirror;
  readonly #f64: Float64Array;
  /** By the index of the slot. */
  readonly #weaks = new Map<number, Weak>();
  readonly #collections = new FinalizationRegistry<number>((handle) => this.targetOf(handle));

  constructor(native: NativeRealm, mirror: Mirror) {
    this.#native = native;
    this.#mirror = mirror;
    this.#f64 = new Float64Array(native.buffer);
  }

  /** The handle of a slot, if it is a weak one whose object is there. */
  handleAt(index: number): number | undefined {
    const weak = this.#weaks.get(index);
    return weak === undefined || this.#targetOf(weak) === undefined ? undefined : weak.handle;
  }

  /** The weak handle of a slot that has not ended, if it is one, and whether it counts as live. */
  at(index: number): { readonly handle: number; readonly isCollected: boolean } | undefined {
    return this.#weaks.get(index);
  }

  /** Makes a weak handle of one that was issued just now. */
  add(handle: number, object: object): void {
    this.#mirror.forgetObject(handle & INDEX_MASK);
    const weak = { handle, object: new WeakRef(object), isCollected: false };
    this.#weaks.set(handle & INDEX_MASK, weak);
    this.#collections.register(object, handle, weak);
  }

  /** Whether it is a weak handle that has not ended, whatever became of its object. */
  has(handle: number): boolean {
    return this.#weakOf(handle) !== undefined;
  }

  /** The object of a weak handle; `undefined` if it is none, or its object was collected. */
  targetOf(handle: number): object | undefined {
    const weak = this.#weakOf(handle);
    return weak === undefined ? undefined : this.#targetOf(weak);
  }

  /** The slot's handle has ended: forgets it, and tells the handle if it was a weak one. */
  ended(index: number): number | undefined {
    const weak = this.#weaks.get(index);
    if (weak === undefined) return undefined;
    this.#weaks.delete(index);
    this.#collections.unregister(weak);
    if (weak.isCollected) this.#mirror.live++; // it was not counted any more
    return weak.handle;
  }

  close(): void {
    this.#weaks.clear();
  }

  #weakOf(handle: number): Weak | undefined {
    const weak = this.#weaks.get(handle & INDEX_MASK);
    return weak?.handle === handle ? weak : undefined;
  }

  // Whoever first finds that it was collected tells native code: here, or the finalizer, which may come much later.
  #targetOf(weak: Weak): object | undefined {
    const object = weak.object.deref();
    if (object !== undefined || weak.isCollected) return object;
    weak.isCollected = true;
    this.#mirror.live--;
    this.#f64[HANDLE_PLACE] = weak.handle;
    this.#native.collect(); // stale: its last reference was released before, and the drain frees the slot
    return undefined;
  }
}
