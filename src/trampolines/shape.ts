// What the signature of a trampoline says: its options, checked, how they are typed, and the kind of the closures that serve
// it.

import { ARGS_MAX, KIND_NAME_BYTES } from '../constants.js';
import { HaftError } from '../errors.js';
import { fingerprintOf, Kind, type Signatures } from '../kind.js';
import {
  bitsOf,
  type CType,
  type FromC,
  refuseType,
  type ToC,
  type WireName,
  wireNameOf,
} from './c-types.js';
import { isOfKoffiType, koffiTypeOf } from './koffi-types.js';

/**
 * Where C has the user data: at this position among the arguments; or for callbacks that are not given it, what a C
 * function says of the argument at a position, such as `sqlite3_user_data`. The first kind is not passed to the closure.
 */
export type UserDataPlace = number | { readonly argument: number; readonly through: bigint };

/** A C type by its name, or for what only koffi can pass (a struct by value) a type of koffi's. */
export type SignatureType = CType | object;

export interface TrampolineOptions<
  A extends readonly SignatureType[] = readonly SignatureType[],
  R extends SignatureType | 'void' = SignatureType | 'void',
  P extends UserDataPlace = UserDataPlace,
> {
  /** The types of all parameters of the C function, in their order, that of the user data among them. At most 16. */
  readonly args: A;
  /** `'void'` unless given. */
  readonly returns?: R;
  readonly userData: P;
  /** What C is told when no closure could answer: stale or forged user data, an exception, the realm is closed. */
  readonly onError?: ToC<R>;
  /**
   * `'call'`, the default: C waits for the closure. `'post'`: C goes on at once, the closure runs later, what it returns
   * is dropped, and C is told `onPosted`.
   */
  readonly mode?: 'call' | 'post';
  readonly onPosted?: ToC<R>;
  /**
   * How long another thread than JavaScript's waits for the closure, and `-1`, the default, as long as it takes. With
   * `mode: 'post'` how long it waits for room in the mailbox; there 0 is the default.
   */
  readonly timeoutMilliseconds?: number;
  /** Whether closures that are bound keep the event loop alive; `true` unless given. */
  readonly ref?: boolean;
  /** `true`: refuse a signature that only koffi's callback could serve. */
  readonly native?: true;
  /** What errors and `registry.collect()` call its closures. */
  readonly name?: string;
}

const OPTIONS: ReadonlySet<string> = new Set<keyof TrampolineOptions>([
  'args',
  'returns',
  'userData',
  'onError',
  'mode',
  'onPosted',
  'timeoutMilliseconds',
  'ref',
  'native',
  'name',
]);

type WithoutOne<
  A extends readonly unknown[],
  P extends number,
  Before extends unknown[] = [],
> = A extends readonly [infer First, ...infer Rest]
  ? Before['length'] extends P
    ? [...Before, ...Rest]
    : WithoutOne<Rest, P, [...Before, First]>
  : Before;

type FromCAll<A extends readonly unknown[]> = { -readonly [I in keyof A]: FromC<A[I]> };

/** The function that serves a trampoline: the parameters of C without the user data. */
export type ClosureOf<O extends TrampolineOptions> = (
  ...args: FromCAll<O['userData'] extends number ? WithoutOne<O['args'], O['userData']> : O['args']>
) => O extends { readonly returns: infer R } ? ResultOf<R> : unknown;

type ResultOf<R> = R extends 'void' ? unknown : ToC<R> | PromiseLike<ToC<R>>;

/** Where a result is declared, `onError` is too. */
export type Complete<O> = O extends { readonly returns: infer R }
  ? R extends 'void'
    ? unknown
    : { readonly onError: ToC<R> } & (O extends { readonly mode: 'post' }
        ? { readonly onPosted: ToC<R> }
        : unknown)
  : unknown;

/** Options, checked. @internal */
export class Shape {
  readonly args: readonly (WireName | undefined)[];
  readonly returns: WireName | undefined;
  /** The position of the argument. */
  readonly userData: number;
  /** The C function that finds the user data from it, or 0n. */
  readonly through: bigint;
  readonly isPost: boolean;
  readonly onErrorBits: bigint;
  readonly onPostedBits: bigint;
  readonly timeoutMilliseconds: number;

  constructor(
    readonly op: string,
    readonly options: TrampolineOptions,
  ) {
    if (typeof options !== 'object' || options === null) {
      throw new HaftError('HAFT_E_ARGUMENT', {
        message: `the signature of ${op} is not an object`,
        next: 'give { args, returns, userData, onError }',
      });
    }
    const { args, returns = 'void', userData, mode = 'call', ref = true, name = '' } = options;
    const refuse = (message: string, next: string): never => {
      throw new HaftError('HAFT_E_ARGUMENT', { message: `${op}: ${message}`, next });
    };
    const unknown = Object.keys(options).find((key) => !OPTIONS.has(key));
    if (unknown !== undefined)
      refuse(`there is no option ${unknown}`, `options are ${[...OPTIONS].join(', ')}`);
    if (typeof name !== 'string' || name.includes('\0'))
      refuse('name is not a string without NUL', 'give one');
    if (!Array.isArray(args) || args.length === 0 || args.length > ARGS_MAX) {
      refuse(`args has 1 to ${ARGS_MAX} types`, 'name the types of all parameters, the user data among them');
    }
    this.args = args.map(wireNameOf);
    this.returns = wireNameOf(returns);
    for (const [i, type] of args.entries()) {
      if (this.args[i] === 'void' || (this.args[i] === undefined && koffiTypeOf(type) === undefined))
        refuseType(`argument ${i + 1} of ${op}`, type);
    }
    if (this.returns === undefined && koffiTypeOf(returns) === undefined)
      refuseType(`the result of ${op}`, returns);
    if (options.native === true && !this.fitsThunk) {
      refuse("only koffi's callback could serve this signature", 'use C types by name, or leave native out');
    }
    if (this.returns === 'text') {
      refuse(
        'the result is a const char *, which nobody would free',
        "declare 'void *', and return memory of C",
      );
    }
    const place = typeof userData === 'number' ? userData : userData?.argument;
    if (!Number.isInteger(place) || place < 0 || place >= args.length) {
      refuse(`userData is no position among ${args.length} arguments`, 'positions count from 0');
    }
    if (this.args[place] !== 'u64' && this.args[place] !== 'i64') {
      refuse(
        `argument ${place + 1} cannot hold a user data`,
        "declare it as 'void *', 'uint64_t' or 'uintptr_t': a handle has 53 bits",
      );
    }
    this.userData = place;
    this.through = typeof userData === 'number' ? 0n : userData.through;
    if (typeof userData !== 'number' && (typeof this.through !== 'bigint' || this.through === 0n)) {
      refuse(
        'userData.through is not the address of a C function',
        "take it from koffi: library.symbol('NAME')",
      );
    }
    if (mode !== 'call' && mode !== 'post') refuse("mode is neither 'call' nor 'post'", 'give one of both');
    this.isPost = mode === 'post';
    if (typeof ref !== 'boolean') refuse('ref is not a boolean', 'give true or false');
    if (options.native !== undefined && options.native !== true)
      refuse('native is not true', 'give true, or leave it out');
    if (!this.isPost && options.onPosted !== undefined) {
      refuse('onPosted is given without posts', "say mode: 'post', or leave it out");
    }
    const { timeoutMilliseconds = this.isPost ? 0 : -1 } = options;
    if (!Number.isSafeInteger(timeoutMilliseconds) || timeoutMilliseconds < -1) {
      refuse('timeoutMilliseconds is neither a whole number nor -1', 'give -1 to wait as long as it takes');
    }
    this.timeoutMilliseconds = timeoutMilliseconds;
    this.onErrorBits = this.#answer('onError', options.onError, returns);
    this.onPostedBits = this.isPost ? this.#answer('onPosted', options.onPosted, returns) : 0n;
  }

  #answer(name: string, value: unknown, returns: unknown): bigint {
    const bits = this.returns === undefined ? koffiBits(returns, value) : bitsOf(this.returns, value);
    if (bits !== undefined) return bits;
    const shown = value === undefined ? 'not given' : `${String(value)}, no ${String(returns)}`;
    throw new HaftError('HAFT_E_ARGUMENT', {
      message: `${this.op}: ${name} is ${shown}`,
      next: `say what C is told ${name === 'onError' ? 'when no closure could answer' : 'of a message that was sent'}`,
    });
  }

  /** Whether a thunk can pass these types. */
  get fitsThunk(): boolean {
    return this.returns !== undefined && this.args.every((arg) => arg !== undefined);
  }

  /** As C has it. */
  get text(): string {
    const { args, returns = 'void', name = '' } = this.options;
    const nameOf = (type: unknown) =>
      typeof type === 'string'
        ? type.trim().replaceAll(/\s+/g, ' ')
        : ((type as { name?: string }).name ?? '?');
    const through = this.through === 0n ? '' : ` by 0x${this.through.toString(16)}`;
    const signature = `${nameOf(returns)}(${args.map(nameOf).join(', ')}), user data ${this.userData}${through}`;
    return name === '' ? signature : `${name}: ${signature}`;
  }

  /** Two that have the same one have the same types, whatever these are called. */
  get key(): string {
    const { args, returns = 'void', name = '' } = this.options;
    const nameOf = (type: unknown) => wireNameOf(type) ?? (type as { name?: string }).name ?? String(type);
    return [name, nameOf(returns), ...args.map(nameOf), this.userData, this.through].join();
  }

  /** As a closure is called: by a message, without the user data. */
  get signature(): { args: WireName[]; returns: WireName } {
    if (!this.fitsThunk) return { args: [], returns: 'void' };
    const args = (this.args as WireName[]).filter((_, i) => this.through !== 0n || i !== this.userData);
    return { args, returns: this.isPost ? 'void' : this.returns! };
  }
}

// A value of a type that only koffi knows needs no bits: no thunk returns it.
function koffiBits(type: unknown, value: unknown): bigint | undefined {
  return isOfKoffiType(koffiTypeOf(type)!, value) ? 0n : undefined;
}

const kinds = new Map<string, Kind>();

// The kind of closures, or of objects of closures, that serve these shapes.
export function kindOf(shapes: readonly Shape[], isFunction: boolean): Kind {
  const isRef = shapes.every(({ options }) => options.ref !== false);
  const marks = (shape: Shape) => `${isFunction ? '' : shape.op}${shape.isPost ? ' post' : ''}`;
  const key = `${isFunction} ${isRef} ${shapes.map((shape) => `${marks(shape)} ${shape.key}`).join('; ')}`;
  let kind = kinds.get(key);
  if (kind === undefined) {
    const texts = shapes.map(
      (shape) => `${isFunction ? '' : `${shape.op} `}${shape.text}${shape.isPost ? ', post' : ''}`,
    );
    const signatures = Object.fromEntries(shapes.map((shape) => [shape.op, shape.signature]));
    const name = shortened(`trampoline ${texts.join('; ')}${isRef ? '' : ', unref'}`);
    kind = new Kind(name, signatures as unknown as Signatures, isFunction, {}, true);
    kinds.set(key, kind);
  }
  return kind;
}

function shortened(name: string): string {
  if (new TextEncoder().encode(name).length <= KIND_NAME_BYTES) return name;
  const start = name.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, KIND_NAME_BYTES - 20);
  return `${start}...${fingerprintOf(name).toString(16)}`; // so that two long names differ
}
