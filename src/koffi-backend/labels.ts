// Labels of references (haft_retain_as), as native/core/labels.cc counts them.
import type { Buffer } from 'node:buffer';

const LABEL_BYTES = 63;

export class Labels {
  readonly #labels = new Map<number, Map<string, number>>();

  /** The label that C passed, or `undefined` if it is none. */
  static of(bytes: Buffer): string | undefined {
    return bytes.length >= 1 && bytes.length <= LABEL_BYTES ? bytes.toString('utf8') : undefined;
  }

  add(handle: number, label: string): void {
    const counts = this.#labels.get(handle) ?? new Map<string, number>();
    this.#labels.set(handle, counts.set(label, (counts.get(label) ?? 0) + 1));
  }

  has(handle: number, label: string): boolean {
    return this.#labels.get(handle)?.has(label) === true;
  }

  drop(handle: number, label: string): void {
    const counts = this.#labels.get(handle)!;
    const left = counts.get(label)! - 1;
    if (left > 0) counts.set(label, left);
    else counts.delete(label);
    if (counts.size === 0) this.#labels.delete(handle);
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

  /** The handle has ended. */
  forget(handle: number): void {
    this.#labels.delete(handle);
  }
}
