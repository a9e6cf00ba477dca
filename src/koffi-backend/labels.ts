// Labels of references (haft_retain_as), as native/core/labels.cc counts them.
import { STATUSES } from '../constants.js';
import { cString, type MaybePointer } from './memory.js';

const OK = STATUSES.HAFT_OK.status;
const OWNER = STATUSES.HAFT_E_OWNER.status;

const LABEL_BYTES = 63;
const SWEEP_LEAST = 1024;

/** What labels need of the slots. */
export interface Labelled {
  retain(handle: unknown): number;
  release(handle: unknown): number;
  alive(handle: unknown): object | number;
}

export class Labels {
  readonly #slots: Labelled;
  readonly #labels = new Map<number, Map<string, number>>();
  /** So many handles are swept: twice those that the last sweep left. */
  #sweepAt = SWEEP_LEAST;

  constructor(slots: Labelled) {
    this.#slots = slots;
  }

  /** The label that C passed, or `undefined` if it is none. */
  static at(text: MaybePointer): string | undefined {
    if (text === null) return undefined;
    const bytes = cString(text, LABEL_BYTES + 1);
    return bytes.length >= 1 && bytes.length <= LABEL_BYTES ? bytes.toString('utf8') : undefined;
  }

  /** The status. */
  retain(handle: unknown, label: string): number {
    const status = this.#slots.retain(handle);
    if (status !== OK) return status;
    if (this.#labels.size >= this.#sweepAt) this.sweep();
    const counts = this.#labels.get(handle as number) ?? new Map<string, number>();
    this.#labels.set(handle as number, counts.set(label, (counts.get(label) ?? 0) + 1));
    return OK;
  }

  /** The status; `HAFT_E_OWNER` where there is no reference of that label. */
  release(handle: unknown, label: string): number {
    const counts = this.#labels.get(handle as number);
    const count = counts?.get(label);
    if (counts === undefined || count === undefined) {
      const target = this.#slots.alive(handle);
      return typeof target === 'number' ? target : OWNER;
    }
    const status = this.#slots.release(handle);
    if (status !== OK) return status;
    if (count > 1) counts.set(label, count - 1);
    else counts.delete(label);
    if (counts.size === 0) this.#labels.delete(handle as number);
    return OK;
  }

  /** In the order of the labels. */
  labelsOf(handle: number): [label: string, count: number][] {
    return [...(this.#labels.get(handle) ?? [])].sort(([a], [b]) => (a < b ? -1 : 1));
  }

  /** All: handle, label, how many references have it, and so on. */
  all(): (number | string)[] {
    return [...this.#labels.keys()].flatMap((handle) =>
      this.labelsOf(handle).flatMap(([label, count]) => [handle, label, count]),
    );
  }

  /** Forgets those of handles that have ended: JavaScript ends them without a word. */
  sweep(): void {
    for (const handle of this.#labels.keys()) {
      if (typeof this.#slots.alive(handle) === 'number') this.#labels.delete(handle);
    }
    this.#sweepAt = Math.max(SWEEP_LEAST, this.#labels.size * 2);
  }
}
