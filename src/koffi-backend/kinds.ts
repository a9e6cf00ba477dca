// The kinds of the process: what C looks up by name.
import { KIND_NAME_BYTES, KINDS, STATUSES } from '../constants.js';

interface Entry {
  readonly name: string;
  readonly fingerprint: bigint;
  readonly ops: readonly string[];
}

export class Kinds {
  /** By number; 0 is no kind. */
  readonly #entries: (Entry | undefined)[] = [undefined];
  readonly #numbers = new Map<string, number[]>();

  /** The kind's number, or a negative status. */
  define(name: string, fingerprint: bigint, ops: string): number {
    const bytes = Buffer.byteLength(name);
    if (bytes === 0 || bytes > KIND_NAME_BYTES) return STATUSES.HAFT_E_ARGUMENT.status;
    const known = this.#find(name, fingerprint);
    if (known !== undefined) return known;
    const number = this.#entries.length;
    if (number >= KINDS) return STATUSES.HAFT_E_SLOTS.status;
    this.#entries.push({ name, fingerprint, ops: ops.split('\0').slice(0, -1) });
    this.#numbers.set(name, [...(this.#numbers.get(name) ?? []), number]);
    return number;
  }

  #find(name: string, fingerprint: bigint): number | undefined {
    return this.#numbers.get(name)?.find((number) => this.#entries[number]!.fingerprint === fingerprint);
  }

  /** Fingerprint 0 accepts any. */
  find(name: string, fingerprint: bigint): number {
    const numbers = this.#numbers.get(name);
    if (numbers === undefined) return STATUSES.HAFT_E_NOT_FOUND.status;
    if (fingerprint === 0n) return numbers[0]!;
    return this.#find(name, fingerprint) ?? STATUSES.HAFT_E_ABI.status;
  }

  /** How many ops a kind has; 0 if there is no such kind. */
  opsOf(kind: number): number {
    return this.#entries[kind]?.ops.length ?? 0;
  }

  /** The op's number, or a negative status. */
  findOp(kind: number, name: string): number {
    const entry = this.#entries[kind];
    if (entry === undefined) return STATUSES.HAFT_E_NOT_FOUND.status;
    const position = entry.ops.indexOf(name);
    return position < 0 ? STATUSES.HAFT_E_OP.status : ((kind << 16) | position) >>> 0;
  }
}
