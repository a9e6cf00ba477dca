// What `HandleTable` and `Registry` have in common: everything a JavaScript caller does with a handle.
import type { Handle } from './handle.js';
import { INDEX_MASK, isInHandleRange, normalize, SLOT_MASK } from './handle.js';
import { errorOfStatus, HaftError, statusName } from './errors.js';
import { functionKind, type HandlerOf, Kind, type Signature, type Signatures } from './kind.js';
import type { Block, Mirror } from './mirror.js';

/** Numbers about a table. Counts are since it was opened. */
export interface Stats {
  /** Handles that are valid now. */
  live: number;
  created: number;
  /** Slots that wrapped round their generations and are out of use for ever. */
  retired: number;
  /** Slots of the blocks in use, free ones included. */
  slots: number;
}

export abstract class Handles {
  /** @internal */
  protected readonly mirror: Mirror;
  #names = new Map<string, Handle>();
  #interned = new Map<unknown, Handle>();
  protected retired = 0;
  protected closed = false;

  protected constructor(mirror: Mirror) {
    this.mirror = mirror;
  }

  // ---- What the two differ in ----

  /** Makes room for at least one more handle, or throws `HAFT_E_SLOTS`. */
  protected abstract grow(): void;
  /** The number of a kind in this table; defines it when it is new. */
  protected abstract numberOf(kind: Kind): number;
  /** The kind of a number. */
  protected abstract kindOfNumber(number: number): Kind | undefined;
  /** Ends the slot of a handle that the mirror has. Tells the status, and through `slotRetired` if it retired. */
  protected abstract endSlot(block: Block, slot: number, handle: number): number;
  protected slotRetired = false;
  protected abstract addReference(block: Block, slot: number, handle: number): number;
  protected abstract dropReference(block: Block, slot: number, handle: number): number;
  /** Why a handle in the range of handles is not one of ours: a status. */
  protected abstract diagnose(handle: number): number;

  // ---- Handles ----

  /**
   * Issues a handle for a value, with one reference, the creator's. Any value at all, `undefined` included; the same
   * value may have many handles (see `intern`).
   *
   * @param kind What native code may do with it. Without one it can be held, passed and compared, and no more.
   * @throws HaftError `HAFT_E_SLOTS` when the table is full, `HAFT_E_CLOSED`, `HAFT_E_KIND` when the value is no
   * object of the kind's sort.
   */
  create<T>(value: T, kind?: Kind<T, never> | Kind<T, Signatures>): Handle<T> {
    const number = kind === undefined ? 0 : this.#checkedNumber(value, kind as Kind);
    if (this.mirror.freeCount === 0) this.#makeRoom();
    return this.mirror.publish(value, number) as Handle<T>;
  }

  /**
   * The object of a handle. With a kind, for a number that came from C, also checks that it is of that kind.
   *
   * @throws HaftError whose code says which misuse it was: `HAFT_E_FORGED`, `HAFT_E_STALE`, `HAFT_E_KIND`,
   * `HAFT_E_REALM`, `HAFT_E_CLOSED`.
   */
  get<T>(handle: Handle<T>): T;
  get<T, O extends Signatures>(handle: number | bigint, kind: Kind<T, O>): T;
  get(handle: number | bigint, kind?: Kind): unknown {
    if (typeof handle === 'number') {
      const block = this.mirror.blockOf(handle & INDEX_MASK);
      const slot = handle & SLOT_MASK;
      if (block !== undefined && block.handles[slot] === handle) {
        if (kind !== undefined) this.#checkKind(block, slot, handle, kind);
        return block.values[slot];
      }
    }
    return this.#getOther(handle, kind);
  }

  /** As `get`, and `undefined` instead of an error. The one soft answer: mind that `undefined` can be a value. */
  tryGet<T>(handle: Handle<T>): T | undefined;
  tryGet<T, O extends Signatures>(handle: number | bigint, kind: Kind<T, O>): T | undefined;
  tryGet(value: number | bigint, kind?: Kind): unknown {
    const handle = normalize(value);
    if (typeof handle !== 'number') return undefined;
    const block = this.mirror.blockOf(handle & INDEX_MASK);
    const slot = handle & SLOT_MASK;
    if (block === undefined || block.handles[slot] !== handle) return undefined;
    if (kind !== undefined && this.mirror.kindOf(block, slot) !== this.numberOf(kind)) return undefined;
    return block.values[slot];
  }

  /** Whether the value is a valid handle of this table. */
  has(value: unknown): value is Handle {
    const handle = normalize(value);
    if (typeof handle !== 'number') return false;
    const block = this.mirror.blockOf(handle & INDEX_MASK);
    return block !== undefined && block.handles[handle & SLOT_MASK] === handle;
  }

  /**
   * Ends a handle at once, whatever its references. @throws HaftError as `get`; `HAFT_E_STALE` also for a handle whose
   * last reference native code has just released.
   */
  delete(handle: Handle | number | bigint): void {
    const { block, slot, known } = this.#locate(handle);
    const status = this.endSlot(block, slot, known);
    if (status !== 0) throw this.#error(status, known, block, slot);
    this.forget(block, slot, known);
    if (this.slotRetired) this.retired++;
    else this.mirror.giveBack(known & INDEX_MASK);
  }

  /** Adds a reference. @throws HaftError as `get`, and `HAFT_E_OVERFLOW` at 4,194,303 references. */
  retain<H extends Handle | number | bigint>(handle: H): H {
    const { block, slot, known } = this.#locate(handle);
    const status = this.addReference(block, slot, known);
    if (status !== 0) throw this.#error(status, known, block, slot);
    return handle;
  }

  /** Gives a reference back; the last one ends the handle. @throws HaftError as `get`. */
  release(handle: Handle | number | bigint): void {
    const { block, slot, known } = this.#locate(handle);
    const status = this.dropReference(block, slot, known);
    if (status !== 0) throw this.#error(status, known, block, slot);
  }

  /**
   * One handle for one object: the handle that `intern` issued for it before, with one more reference, or a new one.
   * @throws HaftError as `create`, and `HAFT_E_KIND` when the object was interned with another kind.
   */
  intern<T>(value: T, kind?: Kind<T, never> | Kind<T, Signatures>): Handle<T> {
    const known = this.#interned.get(value);
    if (known !== undefined && this.has(known)) {
      const block = this.mirror.blockOf(known & INDEX_MASK)!;
      const slot = known & SLOT_MASK;
      if (kind !== undefined) this.#checkKind(block, slot, known, kind as Kind);
      const status = this.addReference(block, slot, known);
      if (status === 0) return known as Handle<T>;
      // P9: stale here means that native code has just released the last reference; the drain has not seen it yet.
      if (statusName(status) !== 'HAFT_E_STALE') throw this.#error(status, known, block, slot);
    }
    const handle = this.create(value, kind);
    this.#interned.set(value, handle);
    return handle;
  }

  /**
   * A handle for a function, of the kind that its signature makes.
   *
   * ```ts
   * registry.fn({ args: ['str'], returns: 'bool' }, (path) => path.endsWith('.ts'));   // kind "fn(str):bool"
   * ```
   */
  fn<const S extends Signature>(signature: S, handler: HandlerOf<S>): Handle<HandlerOf<S>> {
    return this.create(handler, functionKind(signature) as unknown as Kind<HandlerOf<S>, Signatures>);
  }

  // ---- Names ----

  /**
   * Gives a handle a name under which others find it: `haft_find` in C, `find` here. A name holds no reference: when
   * the handle ends, the name finds nothing. Publishing again replaces.
   */
  publish(name: string, handle: Handle | number | bigint): void {
    const { known } = this.#locate(handle);
    this.publishName(name, known);
    this.#names.set(name, known as Handle);
  }

  /** Takes a name back. */
  unpublish(name: string): void {
    if (this.#names.delete(name)) this.publishName(name, 0);
  }

  /** The handle with that name, with no reference added. @throws HaftError `HAFT_E_NOT_FOUND`, `HAFT_E_KIND`. */
  find<T, O extends Signatures>(name: string, kind?: Kind<T, O>): Handle<T> {
    this.requireOpen();
    const handle = this.#names.get(name);
    if (handle === undefined || !this.has(handle)) {
      throw new HaftError('HAFT_E_NOT_FOUND', { message: `nothing is published as "${name}"` });
    }
    if (kind !== undefined) this.get(handle, kind);
    return handle as Handle<T>;
  }

  /** Lets native code find the name; 0 takes it back. */
  protected publishName(_name: string, _handle: number): void {}

  // ---- The table ----

  stats(): Stats {
    const { live, created, slots } = this.mirror;
    return { live, created, retired: this.retired, slots };
  }

  /** Ends every handle and the table itself: whatever is asked of it later is `HAFT_E_CLOSED`. Idempotent. */
  close(): void {
    this.closed = true;
    this.mirror.clear();
    this.#names.clear();
    this.#interned.clear();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Drops the object of a handle that has ended. */
  protected forget(block: Block, slot: number, handle: number): void {
    if (this.#interned.size > 0) {
      const value = block.values[slot];
      // P9: only if it still names this handle; the object may have been interned again.
      if (this.#interned.get(value) === handle) this.#interned.delete(value);
    }
    this.mirror.drop(block, slot);
  }

  protected requireOpen(): void {
    if (this.closed) throw new HaftError('HAFT_E_CLOSED');
  }

  #makeRoom(): void {
    this.requireOpen();
    this.grow();
  }

  #checkedNumber(value: unknown, kind: Kind): number {
    if (!(kind instanceof Kind)) {
      throw new HaftError('HAFT_E_ARGUMENT', { message: 'the second argument is not a kind' });
    }
    if (kind.isFunction ? typeof value !== 'function' : !isObject(value)) {
      const wanted = kind.isFunction ? 'a function' : 'an object';
      throw new HaftError('HAFT_E_KIND', { kind: kind.name, message: `the value is not ${wanted}` });
    }
    return this.numberOf(kind);
  }

  #checkKind(block: Block, slot: number, handle: number, kind: Kind): void {
    const number = this.mirror.kindOf(block, slot);
    if (number === this.numberOf(kind)) return;
    const actual = this.kindOfNumber(number)?.name ?? 'none';
    throw new HaftError('HAFT_E_KIND', {
      handle,
      kind: actual,
      message: `the handle names an object of kind ${actual}, not ${kind.name}`,
    });
  }

  #getOther(value: unknown, kind?: Kind): unknown {
    const { block, slot, known } = this.#locate(value);
    if (kind !== undefined) this.#checkKind(block, slot, known, kind);
    return block.values[slot];
  }

  #locate(value: unknown): { block: Block; slot: number; known: number } {
    const handle = normalize(value);
    if (isInHandleRange(handle)) {
      const block = this.mirror.blockOf(handle & INDEX_MASK);
      const slot = handle & SLOT_MASK;
      if (block !== undefined && block.handles[slot] === handle) return { block, slot, known: handle };
    }
    if (this.closed) throw new HaftError('HAFT_E_CLOSED', { handle: value });
    if (!isInHandleRange(handle)) throw new HaftError('HAFT_E_FORGED', { handle: value });
    throw errorOfStatus(this.diagnose(handle), { handle });
  }

  #error(status: number, handle: number, block: Block, slot: number): HaftError {
    return errorOfStatus(status, { handle, kind: this.kindOfNumber(this.mirror.kindOf(block, slot))?.name });
  }
}

function isObject(value: unknown): boolean {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}
