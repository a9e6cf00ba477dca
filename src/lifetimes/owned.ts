// Who ends a handle: owners, which end what they own, and let it go when it becomes native code's.
import { HaftError } from '../errors.js';
import type { Handle } from '../handle.js';
import type { Handles } from '../handles.js';

/** Something that ends handles at its own end: a scope, an `Owned`, a `Pin`. */
export interface Owner {
  /** The handle is native code's now: the owner does not end it any more. */
  letGo(handle: number): void;
}

/** The owners of a table's handles. Unless it is a pin's, one that has ended otherwise stays here until its owner ends. */
export class Owners {
  readonly #owners = new Map<number, Set<Owner>>();

  add(handle: number, owner: Owner): void {
    const owners = this.#owners.get(handle);
    if (owners === undefined) this.#owners.set(handle, new Set([owner]));
    else owners.add(owner);
  }

  remove(handle: number, owner: Owner): void {
    const owners = this.#owners.get(handle);
    if (owners?.delete(owner) && owners.size === 0) this.#owners.delete(handle);
  }

  letGo(handle: number): void {
    const owners = this.#owners.get(handle);
    if (owners === undefined) return;
    this.#owners.delete(handle);
    for (const owner of owners) owner.letGo(handle);
  }

  /** The handle has ended. */
  forget(handle: number): void {
    this.#owners.delete(handle);
  }

  clear(): void {
    this.#owners.clear();
  }
}

/**
 * A handle that ends with the block that declares it, or with a scope that owns this.
 *
 * ```ts
 * {
 *   using row = registry.own(new Row(), RowKind);
 *   visit(row.handle); // C, which keeps nothing
 * } // the handle is stale
 * ```
 */
export class Owned<T> implements Disposable, Owner {
  readonly #handles: Handles;
  readonly handle: Handle<T>;
  #isOwner = true;

  /** @internal */
  constructor(handles: Handles, handle: Handle<T>) {
    this.#handles = handles;
    this.handle = handle;
    handles.owners.add(handle, this);
  }

  /** The object. @throws HaftError as `get`. */
  get value(): T {
    return this.#handles.get(this.handle);
  }

  /**
   * Hands the reference to native code: the handle does not end here any more, but with native code's last release.
   * Returns the handle to pass. @throws HaftError as `Handles.transfer`; `HAFT_E_OWNER` the second time.
   */
  transfer(): Handle<T> {
    if (!this.#isOwner) {
      throw new HaftError('HAFT_E_OWNER', {
        handle: this.handle,
        message: 'the handle has ended here, or is native code’s already',
      });
    }
    return this.#handles.transfer(this.handle);
  }

  /** @internal */
  letGo(): void {
    this.#isOwner = false;
  }

  /** Ends the handle, unless it has ended or is native code's. */
  [Symbol.dispose](): void {
    if (!this.#isOwner) return;
    this.#isOwner = false;
    this.#handles.owners.remove(this.handle, this);
    this.#handles.endIfAlive(this.handle);
  }
}
