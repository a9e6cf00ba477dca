// The kinds of the process: what C looks up by name.
import { KIND_NAME_BYTES, KINDS, STATUSES } from '../constants.js';
import { fingerprintOf, TYPES } from '../kind.js';

/** What a definition says of an op: `undefined` types are a trampoline's, whose messages are not C's to make. */
export interface OpTypes {
  readonly text: string;
  readonly args: readonly number[] | undefined;
}

interface Entry {
  readonly name: string;
  readonly fingerprint: bigint;
  readonly ops: readonly string[];
  readonly signatures: readonly string[];
  readonly types: readonly OpTypes[];
}

const NUMBERS: Readonly<Record<string, number>> = TYPES;

function argsOf(signature: string): readonly number[] | undefined {
  const names = /^\((.*)\):/.exec(signature)?.[1];
  if (names === undefined) return undefined;
  const args: (number | undefined)[] = names === '' ? [] : names.split(',').map((name) => NUMBERS[name]);
  return args.includes(undefined) ? undefined : (args as number[]);
}

export class Kinds {
  /** By number; 0 is no kind. */
  readonly #entries: (Entry | undefined)[] = [undefined];
  /** Of each name, the one that was defined last at the end. */
  readonly #numbers = new Map<string, number[]>();

  /** The kind's number, or a negative status. */
  define(name: string, fingerprint: bigint, opsText: string, signaturesText: string): number {
    const bytes = Buffer.byteLength(name);
    if (bytes === 0 || bytes > KIND_NAME_BYTES) return STATUSES.HAFT_E_ARGUMENT.status;
    const known = this.#find(name, fingerprint);
    if (known !== undefined) {
      this.#latest(name, known);
      return known;
    }
    const number = this.#entries.length;
    if (number >= KINDS) return STATUSES.HAFT_E_SLOTS.status;
    const ops = opsText.split('\0').slice(0, -1);
    const signatures = signaturesText.split('\0').slice(0, -1);
    const types = signatures.map((signature, i) => ({ text: `${name}.${ops[i]}`, args: argsOf(signature) }));
    this.#entries.push({ name, fingerprint, ops, signatures, types });
    this.#latest(name, number);
    return number;
  }

  #latest(name: string, number: number): void {
    const others = (this.#numbers.get(name) ?? []).filter((other) => other !== number);
    this.#numbers.set(name, [...others, number]);
  }

  #find(name: string, fingerprint: bigint): number | undefined {
    return this.#numbers.get(name)?.find((number) => this.#entries[number]!.fingerprint === fingerprint);
  }

  /** Fingerprint 0 accepts any: the latest. */
  find(name: string, fingerprint: bigint): number {
    const numbers = this.#numbers.get(name);
    if (numbers === undefined) return STATUSES.HAFT_E_NOT_FOUND.status;
    if (fingerprint === 0n) return numbers.at(-1)!;
    return this.#find(name, fingerprint) ?? STATUSES.HAFT_E_ABI.status;
  }

  /** The kind of exactly these ops, a negative status, or how the one of that name differs. */
  match(name: string, signatures: string): number | string {
    const found = this.find(name, fingerprintOf(signatures));
    if (found !== STATUSES.HAFT_E_ABI.status) return found;
    const { ops, signatures: types } = this.#entries[this.find(name, 0n)]!;
    const theirs = ops.map((op, i) => op + types[i]);
    const ours = signatures === '' ? [] : signatures.split(';');
    const position = Math.max(
      0,
      [...Array(Math.max(ours.length, theirs.length)).keys()].findIndex((i) => ours[i] !== theirs[i]),
    );
    const [there, here] = [theirs[position], ours[position]];
    const at = `op ${position} of ${name} is `;
    if (there === undefined) return `${name} has no op ${here} in JavaScript, where C was built with it`;
    if (here === undefined) return `${at}${there} in JavaScript, where C was built without it`;
    return `${at}${there} in JavaScript, and ${here} where C was built`;
  }

  /** Of an op that the kind has. */
  typesOf(op: number): OpTypes | undefined {
    return this.#entries[op >>> 16]?.types[op & 0xffff];
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
