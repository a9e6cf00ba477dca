// Scopes: what is made in one ends with it.

import { HaftError } from '../errors.js';
import type { Handle } from '../handle.js';
import type { Handles } from '../handles.js';
import type { Owner } from './owned.js';

/**
 * Owns handles, and anything else that can be disposed of. When it ends, what it owns ends, the latest first; handles
 * that have ended meanwhile, or were transferred to native code, are left alone.
 *
 * ```ts
 * {
 *   using scope = registry.scope();
 *   const row = scope.own(registry.create(new Row(), RowKind));
 *   const { pointer, userData } = compare.bind((a, b) => Number(a - b), { scope });
 * } // both are gone
 * ```
 */
export class Scope implements Disposable, Owner {
  readonly #handles: Handles;
  readonly #owned = new Set<Handle | Disposable>();

  /** @internal */
  constructor(handles: Handles) {
    this.#handles = handles;
  }

  /**
   * From now on the scope owns it: a handle, which it deletes at its end, or what has `[Symbol.dispose]`.
   * @throws HaftError `HAFT_E_ARGUMENT` for anything else.
   */
  own<T extends Handle | Disposable>(owned: T): T {
    if (
      typeof owned !== 'number' &&
      typeof (owned as Disposable | undefined)?.[Symbol.dispose] !== 'function'
    ) {
      throw new HaftError('HAFT_E_ARGUMENT', {
        message: 'a scope cannot own the value: it has no [Symbol.dispose], and is no handle',
        next: 'pass the number that create returned, not a BigInt, or something disposable',
      });
    }
    this.#owned.add(owned);
    if (typeof owned === 'number') this.#handles.owners.add(owned, this);
    return owned;
  }

  /** Ends what it owns now. It may be used again. An error is thrown when all has ended. */
  end(): void {
    const errors: unknown[] = [];
    const all = [...this.#owned].reverse();
    this.#owned.clear();
    for (const owned of all) {
      try {
        if (typeof owned !== 'number') {
          owned[Symbol.dispose]();
        } else {
          this.#handles.owners.remove(owned, this);
          this.#handles.endIfAlive(owned);
        }
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length === 1) throw errors[0];
    if (errors.length > 1) throw new AggregateError(errors, 'several things of a scope could not be ended');
  }

  /** @internal */
  letGo(handle: number): void {
    this.#owned.delete(handle as Handle);
  }

  [Symbol.dispose](): void {
    this.end();
  }
}
