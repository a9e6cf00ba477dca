// What `HandleTable` and `Registry` have in common: everything a JavaScript caller does with a handle.

import { NAME_BYTES, STATUSES } from './constants.js';
import { errorOfStatus, HaftError, statusName } from './errors.js';
import type { Handle } from './handle.js';
import { isInHandleRange, normalize } from './handle.js';
import { functionKind, type HandlerOf, Kind, type Signature, type Signatures } from './kind.js';
import { Owned, Owners } from './lifetimes/owned.js';
import { Scope } from './lifetimes/scope.js';

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
  #names = new Map<string, Handle>();
  #interned = new Map<unknown, Handle>();
  protected closed = false;
  /** @internal Who ends a handle by itself, and lets it go when it is transferred. */
  readonly owners = new Owners();

  // ---- What the two differ in. Handles here are numbers, and valid ones but for `holds` and `diagnose` ----

  protected abstract holds(handle: number): boolean;
  protected abstract objectOf(handle: number): unknown;
  /** Number of the object's kind, 0 for none. */
  protected abstract kindNumberOf(handle: number): number;
  /** Issues a handle, with one reference. @throws HaftError `HAFT_E_SLOTS` */
  protected abstract issue(value: unknown, kind: number): number;
  /** Ends a handle at once, and calls `forgotten` with its object. Tells the status. */
  protected abstract end(handle: number): number;
  protected abstract addReference(handle: number, why: 'retain' | 'intern'): number;
  protected abstract dropReference(handle: number): number;
  /** The number of a kind in this table; defines it when it is new. */
  protected abstract numberOf(kind: Kind): number;
  /** The kind of a number. */
  protected abstract kindOfNumber(number: number): Kind | undefined;
  /** Why a handle in the range of handles is none of ours: a status. */
  protected abstract diagnose(handle: number): number;
  /** Whether it is a weak handle that has not ended: then `holds` is false, whatever became of its object. */
  protected isWeak(_handle: number): boolean {
    return false;
  }

  /** The object of a weak handle, unless it was collected. Asked with any number. */
  protected weakTarget(_handle: number): object | undefined {
    return undefined;
  }

  /** A reference of JavaScript's is native code's now. The status. */
  protected transferred(_handle: number): number {
    return STATUSES.HAFT_OK.status;
  }

  /** Says in the error's stack what is known of the handle, and tells the error. */
  protected withHistory(error: HaftError, _handle: number): HaftError {
    return error;
  }

  /** Numbers about the table. */
  abstract stats(): Stats;

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
    return this.issue(value, number) as Handle<T>;
  }

  /**
   * The object of a handle. With a kind, for a number that came from C, also checks that it is of that kind.
   *
   * @throws HaftError whose code says which misuse it was: `HAFT_E_FORGED`, `HAFT_E_STALE`, `HAFT_E_KIND`,
   * `HAFT_E_REALM`, `HAFT_E_CLOSED`; `HAFT_E_COLLECTED` for a weak handle whose object was collected.
   */
  get<T>(handle: Handle<T>): T;
  get<T, O extends Signatures>(handle: number | bigint, kind: Kind<T, O>): T;
  get(handle: number | bigint, kind?: Kind): unknown {
    if (typeof handle === 'number' && this.holds(handle)) {
      if (kind !== undefined) this.#checkKind(handle, kind);
      return this.objectOf(handle);
    }
    return this.#getOther(handle, kind);
  }

  /** As `get`, and `undefined` instead of an error. The one soft answer: mind that `undefined` can be a value. */
  tryGet<T>(handle: Handle<T>): T | undefined;
  tryGet<T, O extends Signatures>(handle: number | bigint, kind: Kind<T, O>): T | undefined;
  tryGet(value: number | bigint, kind?: Kind): unknown {
    const handle = normalize(value);
    if (typeof handle !== 'number') return undefined;
    const isHeld = this.holds(handle);
    const target = isHeld ? undefined : this.weakTarget(handle);
    if (!isHeld && target === undefined) return undefined;
    if (kind !== undefined) requireKind(kind);
    if (kind !== undefined && this.kindNumberOf(handle) !== this.numberOf(kind)) return undefined;
    return isHeld ? this.objectOf(handle) : target;
  }

  /** Whether the value is a valid handle of this table, and its object is there. */
  has(value: unknown): value is Handle {
    const handle = normalize(value);
    return typeof handle === 'number' && (this.holds(handle) || this.weakTarget(handle) !== undefined);
  }

  /**
   * Ends a handle at once, whatever its references. @throws HaftError as `get`; `HAFT_E_STALE` also for a handle whose
   * last reference native code has just released.
   */
  delete(handle: Handle | number | bigint): void {
    const known = typeof handle === 'number' && this.holds(handle) ? handle : this.#valid(handle);
    const status = this.end(known);
    if (status !== 0) throw this.#error(status, known);
  }

  /** Adds a reference. @throws HaftError as `get`, and `HAFT_E_OVERFLOW` at 4,194,303 references. */
  retain<H extends Handle | number | bigint>(handle: H): H {
    const known = this.#valid(handle);
    const status = this.addReference(known, 'retain');
    if (status !== 0) throw this.#error(status, known);
    return handle;
  }

  /** Gives a reference back; the last one ends the handle. @throws HaftError as `get`. */
  release(handle: Handle | number | bigint): void {
    const known = this.#valid(handle);
    const status = this.dropReference(known);
    if (status !== 0) throw this.#error(status, known);
  }

  /**
   * One handle for one object: the handle that `intern` issued for it before, with one more reference, or a new one.
   * @throws HaftError as `create`, and `HAFT_E_KIND` when the object was interned with another kind.
   */
  intern<T>(value: T, kind?: Kind<T, never> | Kind<T, Signatures>): Handle<T> {
    const known = this.#interned.get(value);
    if (known !== undefined && this.holds(known)) {
      if (kind !== undefined) this.#checkKind(known, kind as Kind);
      const status = this.addReference(known, 'intern');
      if (status === 0) return known as Handle<T>;
      // P9: stale here means that native code has just released the last reference; the drain has not seen it yet.
      if (statusName(status) !== 'HAFT_E_STALE') throw this.#error(status, known);
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

  /** A handle that ends with its block: `create`, and what ends it. See `Owned`. @throws HaftError as `create`. */
  own<T>(value: T, kind?: Kind<T, never> | Kind<T, Signatures>): Owned<T> {
    return new Owned(this, this.create(value, kind));
  }

  /**
   * Hands one reference of JavaScript's to native code, which gives it back by `haft_release`: scopes, and whatever else owns
   * the handle, do not end it any more. Returns it, to be passed to C.
   *
   * ```ts
   * const row = scope.own(registry.create(new Row(), RowKind));
   * keep(registry.transfer(row)); // C keeps it: the scope's end leaves it alone
   * ```
   *
   * @throws HaftError as `get`.
   */
  transfer<H extends Handle | number | bigint>(handle: H): H {
    const known = this.#present(handle);
    const status = this.transferred(known);
    if (status !== 0) throw this.#error(status, known);
    this.owners.letGo(known);
    return handle;
  }

  /** @internal Ends a handle, unless it has ended: also by a release of native code's that the drain has not seen yet. */
  endIfAlive(handle: number): void {
    if (this.closed || !(this.holds(handle) || this.isWeak(handle))) return;
    const status = this.end(handle);
    if (status !== 0 && statusName(status) !== 'HAFT_E_STALE') throw this.#error(status, handle);
  }

  /** A scope that ends what it owns: see `Scope`. */
  scope(): Scope {
    this.requireOpen();
    return new Scope(this);
  }

  // ---- Names ----

  /**
   * Gives a handle a name under which others find it: `haft_find` in C, `find` here. A name holds no reference: when
   * the handle ends, the name finds nothing. Publishing again replaces.
   */
  publish(name: string, handle: Handle | number | bigint): void {
    const known = this.#present(handle);
    const bytes = typeof name === 'string' ? new TextEncoder().encode(name).length : 0;
    if (bytes === 0 || bytes > NAME_BYTES || name.includes('\0')) {
      throw new HaftError('HAFT_E_ARGUMENT', {
        message: 'the name is none',
        next: `give a string of 1 to ${NAME_BYTES} bytes in UTF-8, without NUL`,
      });
    }
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

  /** The handles that have names; some may have ended. */
  protected get named(): ReadonlyMap<string, Handle> {
    return this.#names;
  }

  /** Lets native code find the name; 0 takes it back. */
  protected publishName(_name: string, _handle: number): void {}

  // ---- The table ----

  /** Ends every handle and the table itself: whatever is asked of it later is `HAFT_E_CLOSED`. Idempotent. */
  close(): void {
    this.closed = true;
    this.#names.clear();
    this.#interned.clear();
    this.owners.clear();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** A handle has ended: drops what is known of its object. */
  protected forgotten(handle: number, value: unknown): void {
    // P9: only if the entry still names this handle; the object may have been interned again.
    if (this.#interned.size > 0 && this.#interned.get(value) === handle) this.#interned.delete(value);
  }

  protected requireOpen(): void {
    if (this.closed) throw new HaftError('HAFT_E_CLOSED');
  }

  #checkedNumber(value: unknown, kind: Kind): number {
    requireKind(kind);
    if (kind.isFunction ? typeof value !== 'function' : !isObject(value)) {
      const wanted = kind.isFunction ? 'a function' : 'an object';
      throw new HaftError('HAFT_E_KIND', {
        kind: kind.name,
        message: `the value is not ${wanted}`,
        next: `pass ${wanted}, which is what objects of this kind are`,
      });
    }
    return this.numberOf(kind);
  }

  #checkKind(handle: number, kind: Kind): void {
    const number = this.kindNumberOf(handle);
    if (number !== 0 && this.kindOfNumber(number) === kind) return;
    requireKind(kind);
    if (number === this.numberOf(kind)) return;
    const actual = this.kindOfNumber(number)?.name ?? 'none';
    throw new HaftError('HAFT_E_KIND', {
      handle,
      kind: actual,
      message: `the handle names an object of kind ${actual}, not ${kind.name}`,
    });
  }

  #getOther(value: unknown, kind?: Kind): unknown {
    const handle = this.#valid(value);
    if (kind !== undefined) this.#checkKind(handle, kind);
    return this.holds(handle) ? this.objectOf(handle) : this.#weakObject(handle);
  }

  #weakObject(handle: number): object {
    const target = this.weakTarget(handle);
    if (target === undefined) throw this.#error(STATUSES.HAFT_E_COLLECTED.status, handle);
    return target;
  }

  /** The number of a valid handle. @throws HaftError */
  protected knownOf(value: unknown): number {
    return this.#valid(value);
  }

  /** As `#valid`, of an object that is there. */
  #present(value: unknown): number {
    const handle = this.#valid(value);
    if (!this.holds(handle)) this.#weakObject(handle);
    return handle;
  }

  /** The valid handle that a value is, or an error that says which misuse it was. */
  #valid(value: unknown): number {
    const handle = normalize(value);
    if (isInHandleRange(handle) && (this.holds(handle) || this.isWeak(handle))) return handle;
    if (this.closed) throw new HaftError('HAFT_E_CLOSED', { handle: value });
    if (!isInHandleRange(handle)) throw new HaftError('HAFT_E_FORGED', { handle: value });
    throw this.withHistory(errorOfStatus(this.diagnose(handle), { handle }), handle);
  }

  #error(status: number, handle: number): HaftError {
    const kind = this.kindOfNumber(this.kindNumberOf(handle))?.name;
    return this.withHistory(errorOfStatus(status, { handle, kind }), handle);
  }
}

function requireKind(kind: unknown): void {
  if (!(kind instanceof Kind)) {
    throw new HaftError('HAFT_E_ARGUMENT', {
      message: 'the second argument is not a kind',
      next: 'pass what kind() or functionKind() made',
    });
  }
}

function isObject(value: unknown): boolean {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}
