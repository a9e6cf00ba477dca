// What all faults have in common: they end once, by `using` or with their registry, and then all is as it was.
import { HaftError } from '../errors.js';
import type { Handles } from '../handles.js';
import { type Insides, insidesOf, watch } from '../insides.js';
import { Registry } from '../registry.js';

const faults = new WeakMap<Handles, Set<Fault>>();

watch({
  opened() {},
  closing(registry) {
    for (const fault of [...(faults.get(registry) ?? [])].reverse()) fault.end(false);
  },
});

export abstract class Fault implements Disposable {
  readonly #table: Handles;
  #ended = false;

  constructor(table: Handles) {
    this.#table = table;
    const all = faults.get(table) ?? new Set();
    faults.set(table, all.add(this));
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Takes the fault away. @param open The registry is, and stays so. */
  protected abstract restore(open: boolean): void;

  /** @internal */
  end(open: boolean): void {
    if (this.#ended) return;
    this.#ended = true;
    faults.get(this.#table)?.delete(this);
    this.restore(open);
  }

  [Symbol.dispose](): void {
    this.end(true);
  }
}

/** @throws HaftError `HAFT_E_ARGUMENT` for what is no registry, `HAFT_E_CLOSED`. */
export function openInsides(registry: Registry): Insides {
  const insides = registry instanceof Registry ? insidesOf(registry) : undefined;
  if (insides === undefined) {
    throw new HaftError('HAFT_E_ARGUMENT', {
      message: 'the first argument is no Registry',
      next: 'pass what new Registry() made, of the same copy of haft',
    });
  }
  if (insides.isClosed()) throw new HaftError('HAFT_E_CLOSED');
  return insides;
}

/** @throws HaftError `HAFT_E_ARGUMENT` unless it is a whole number, 1 or more. */
export function positive(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new HaftError('HAFT_E_ARGUMENT', {
    message: `${name} is ${String(value)}`,
    next: 'give a whole number, 1 or more',
  });
}
