// Kinds: what sort of object a handle names, and which of its methods native code may call, with which types. What
// else one may ask of a kind is in options.ts.
import {
  ARGS_MAX,
  INLINE_ARGS,
  KIND_NAME_BYTES,
  SHAPE_COUNT_SHIFT,
  WIRE_F32,
  WIRE_I8,
  WIRE_I16,
  WIRE_TEXT,
  WIRE_U8,
  WIRE_U16,
  WIRE_U64,
} from './constants.js';
import { trace } from './debugging/trace.js';
import { HaftError } from './errors.js';
import type { Handle } from './handle.js';
import {
  type BatchOptions,
  type BreakerOptions,
  checkOptions,
  type KindOptions,
  OPTION,
  type RetryOptions,
  sameOptions,
} from './options.js';

/** The types of arguments and results; the numbers are `haft_type` in haft.h. */
export const TYPES = {
  void: 0,
  f64: 1,
  i32: 2,
  u32: 3,
  i64: 4,
  bool: 5,
  handle: 6,
  str: 7,
  bytes: 8,
} as const;

/** With those that only the functions of C libraries have: see c-types.ts. */
export const WIRE_TYPES = {
  ...TYPES,
  u64: WIRE_U64,
  text: WIRE_TEXT,
  i8: WIRE_I8,
  u8: WIRE_U8,
  i16: WIRE_I16,
  u16: WIRE_U16,
  f32: WIRE_F32,
} as const;

export type TypeName = keyof typeof TYPES;
export type ArgumentType = Exclude<TypeName, 'void'>;

interface JavaScriptTypes {
  void: undefined;
  f64: number;
  i32: number;
  u32: number;
  i64: bigint;
  bool: boolean;
  handle: Handle;
  str: string;
  bytes: Uint8Array;
}

/** The types of one op: up to 16 arguments, and a result. */
export interface Signature {
  readonly args?: readonly ArgumentType[];
  /** `void` unless given: what the handler returns is dropped. */
  readonly returns?: TypeName;
  /**
   * The arguments that are bytes are views of haft's memory instead of copies. They end when the handler returns, an
   * async one at its first `await`: their length is 0 then. Not with `batch` or `retries`.
   */
  readonly views?: boolean;
}

export type Signatures = Readonly<Record<string, Signature>>;

/** The arguments of a function of this signature. */
export type ArgumentsOf<S extends Signature> = S extends { readonly args: readonly [...infer A] }
  ? { -readonly [I in keyof A]: A[I] extends ArgumentType ? JavaScriptTypes[A[I]] : never }
  : [];

type ResultName<S extends Signature> = S extends { readonly returns: infer R extends TypeName } ? R : 'void';

/** The result of a function of this signature. */
export type ValueOf<S extends Signature> = JavaScriptTypes[ResultName<S>];

/** What a handler of this signature may return, itself or in a promise. */
type Result<S extends Signature> =
  ResultName<S> extends 'void'
    ? unknown
    : JavaScriptTypes[ResultName<S>] | PromiseLike<JavaScriptTypes[ResultName<S>]>;

/** The function that serves calls of this signature. */
export type HandlerOf<S extends Signature> = (...args: ArgumentsOf<S>) => Result<S>;

// An op that does not fit its method becomes a sentence, which the compiler shows.
type Checked<T, O extends Signatures> = {
  readonly [K in keyof O]: K extends keyof T
    ? T[K] extends (...args: infer P) => infer R
      ? ArgumentsOf<O[K]> extends P
        ? R extends Result<O[K]>
          ? O[K]
          : `${K & string} returns another type than its op declares`
        : `${K & string} takes other arguments than its op declares`
      : `${K & string} is not a method`
    : `the class has no method ${K & string}`;
};

// The methods of a kind whose posts are delivered in batches take all at once, and return nothing.
type CheckedBatched<T, O extends Signatures> = {
  readonly [K in keyof O]: K extends keyof T
    ? T[K] extends (...args: infer P) => unknown
      ? [batch: ArgumentsOf<O[K]>[]] extends P
        ? ResultName<O[K]> extends 'void'
          ? O[K]
          : `${K & string} returns a result, which an op with batches cannot`
        : `${K & string} does not take an array of its op's arguments, which a batch is`
      : `${K & string} is not a method`
    : `the class has no method ${K & string}`;
};

/** No message has this shape. */
const NO_SHAPE = -1;

/** One method of a kind, ready to be called by a message. */
export class Op {
  /** `types | count << 20`, as a message says it: equal means that every argument has the declared type. */
  readonly shape: number;
  readonly args: readonly number[];
  readonly returns: number;
  readonly kindName: string;
  /** A function of one argument: nothing has to be looked up, and no array taken apart. */
  readonly isPlain: boolean;
  /** What its messages take the detour for: bits of `OPTION`. */
  readonly options: number;
  readonly batch: BatchOptions | undefined;
  readonly retries: RetryOptions | undefined;
  readonly breaker: BreakerOptions | undefined;

  readonly #kind: { readonly number: number };

  constructor(
    kind: { readonly name: string; readonly number: number },
    readonly name: string,
    readonly position: number,
    readonly signature: Signature,
    /** The target is a function and the op calls it. */
    readonly isFunction: boolean,
    /** C libraries call it by a trampoline: they hear of no exception, so JavaScript does. */
    readonly isTrampoline: boolean,
    { batch, retries, breaker }: KindOptions,
  ) {
    this.#kind = kind;
    this.kindName = kind.name;
    this.batch = batch;
    this.retries = retries;
    this.breaker = breaker;
    this.options =
      (batch ? OPTION.batch : 0) |
      (retries ? OPTION.retries : 0) |
      (breaker ? OPTION.breaker : 0) |
      (signature.views ? OPTION.views : 0);
    this.args = (signature.args ?? []).map((type) => WIRE_TYPES[type]);
    this.isPlain = isFunction && this.args.length === 1 && trace === undefined;
    this.returns = WIRE_TYPES[signature.returns ?? 'void'];
    const inlined = this.args.slice(0, INLINE_ARGS);
    // Views are not among what is read the quick way.
    this.shape = signature.views
      ? NO_SHAPE
      : inlined.reduce((shape, type, i) => shape | (type << (4 * i)), this.args.length << SHAPE_COUNT_SHIFT);
  }

  /** `haft_op` in C, once a registry has defined the kind. */
  get number(): number {
    return (this.#kind.number << 16) | this.position;
  }

  get text(): string {
    return `${this.kindName}.${this.name}`;
  }
}

/** "(f64,str):bool" */
export function signatureText({ args = [], returns = 'void' }: Signature): string {
  return `(${args.join(',')}):${returns}`;
}

// FNV-1a, 64 bits: a fingerprint, not a secret.
export function fingerprintOf(text: string): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return hash === 0n ? 1n : hash;
}

// As methods, so that a `Kind` of a class is one of `unknown` too.
interface Serializer<T> {
  serialize(object: T): string | Uint8Array;
  deserialize(data: string | Uint8Array): T;
}

/** A sort of object, as `kind` makes it. */
export class Kind<T = unknown, O extends Signatures = Signatures> {
  readonly ops: readonly Op[];
  /** Of names and types of all ops, in order: two sides that have the same can talk. */
  readonly fingerprint: bigint;
  /** Its number in the process, once a registry has defined it. @internal */
  number = 0;
  /** How an object of this kind becomes text or bytes, and one again. */
  readonly serialize?: Serializer<T>['serialize'];
  readonly deserialize?: Serializer<T>['deserialize'];
  readonly #options: KindOptions;
  declare readonly target: T;

  constructor(
    readonly name: string,
    readonly signatures: O,
    readonly isFunction: boolean,
    options: KindOptions<T> = {},
    /** Its ops have the types of `WIRE_TYPES`. @internal */
    readonly isTrampoline = false,
  ) {
    checkDefinition(name, signatures, isTrampoline ? WIRE_TYPES : TYPES);
    const checked = checkOptions(name, signatures, options);
    if (checked.serialize) this.serialize = checked.serialize;
    if (checked.deserialize) this.deserialize = checked.deserialize;
    this.#options = checked as KindOptions;
    const ops = Object.entries(signatures);
    this.ops = ops.map(
      ([op, signature], position) =>
        new Op(this, op, position, signature, isFunction, isTrampoline, this.#options),
    );
    this.fingerprint = fingerprintOf(ops.map(([op, signature]) => op + signatureText(signature)).join(';'));
  }

  /** The op's position, which with the kind's number makes its number in C. */
  position(op: keyof O & string): number {
    return Object.keys(this.signatures).indexOf(op);
  }

  /** Whether the other one, of the same name and signatures, has the same options too. @internal */
  hasOptionsOf(other: Kind): boolean {
    const views = (kind: Kind) => kind.ops.map(({ options }) => options & OPTION.views).join();
    return views(this as Kind) === views(other) && sameOptions(this.#options, other.#options);
  }
}

/** @throws HaftError `HAFT_E_ARGUMENT` */
export function checkDefinition(name: string, signatures: Signatures, types: object = TYPES): void {
  const refuse = (message: string): never => {
    throw new HaftError('HAFT_E_ARGUMENT', {
      kind: name,
      message,
      next: 'see docs/concepts.md, "Kind and op"',
    });
  };
  const bytes = new TextEncoder().encode(name).length;
  if (bytes === 0 || bytes > KIND_NAME_BYTES || name.includes('\0')) {
    refuse(`a kind's name has 1 to ${KIND_NAME_BYTES} bytes and no NUL`);
  }
  if (typeof signatures !== 'object' || signatures === null) refuse('the ops are not an object');
  for (const [op, signature] of Object.entries(signatures)) {
    if (typeof signature !== 'object' || signature === null)
      refuse(`the signature of ${op} is not an object`);
    const { args = [], returns = 'void', views = false } = signature;
    if (op === '' || op.includes('\0')) refuse("an op's name is not empty and has no NUL");
    if (args.length > ARGS_MAX) refuse(`${op} has more than ${ARGS_MAX} arguments`);
    for (const type of [...args, returns]) {
      if (!Object.hasOwn(types, type)) refuse(`${op} has an unknown type: ${String(type)}`);
    }
    if ((args as readonly string[]).includes('void')) refuse(`an argument of ${op} is void`);
    if (typeof views !== 'boolean') refuse(`views of ${op} is true or false`);
    if (views && !args.includes('bytes')) refuse(`${op} has no bytes of which there could be views`);
  }
}

/**
 * Declares which methods of a class native code may call.
 *
 * ```ts
 * const CounterKind = kind(Counter, { add: { args: ['f64'], returns: 'f64' } });
 * ```
 *
 * The order of the ops is part of the interface: their positions are their numbers in C. Names, arguments and
 * results are checked against the class by the compiler, and the names once more here.
 *
 * @param options.name The name under which C finds the kind; the class's own unless given.
 * @param options.batch Posts come many at once: see `BatchOptions`.
 * @param options.retries Posts whose handler fails are tried again: see `RetryOptions`.
 * @param options.breaker Handlers that fail in a row stop the kind for a while: see `BreakerOptions`.
 * @param options.serialize How an object becomes text or bytes; with `deserialize`, how it becomes one again.
 * The class is for the compiler: at run time any object may be given out as one of the kind, and a method that it does
 * not have is an exception at the call.
 * @throws HaftError `HAFT_E_ARGUMENT` for an unknown type, a name on the prototype that is no method, a bad name, or
 * options that are out of their range or do not go together.
 */
export function kind<
  C extends abstract new (
    ...args: never
  ) => object,
  const O extends Signatures,
  P extends KindOptions<InstanceType<C>> = { name?: string },
>(
  type: C,
  ops: O &
    (P extends { readonly batch: BatchOptions }
      ? CheckedBatched<InstanceType<C>, O>
      : Checked<InstanceType<C>, O>),
  options?: P & KindOptions<InstanceType<C>>,
): Kind<InstanceType<C>, O> {
  const name = (options as KindOptions | undefined)?.name ?? type.name;
  const made = new Kind<InstanceType<C>, O>(name, ops, false, options);
  for (const { name } of made.ops) {
    // A method may also be a field that the constructor sets: then only the call can tell.
    if (name in type.prototype && typeof type.prototype[name] !== 'function') {
      throw new HaftError('HAFT_E_ARGUMENT', {
        kind: made.name,
        message: `${name} is not a method`,
        next: 'name ops after methods of the class',
      });
    }
  }
  return made;
}

const functionKinds = new Map<string, Kind>();

/** The kind of plain functions with a signature; named by it, as in "fn(f64,str):bool". Its one op is "call". */
export function functionKind<const S extends Signature>(signature: S): Kind<HandlerOf<S>, { call: S }> {
  checkDefinition('fn', { call: signature });
  const name = `fn${signatureText(signature)}`;
  const key = signature.views ? `${name} views` : name; // C finds both by the same name
  let known = functionKinds.get(key);
  if (!known) {
    known = new Kind(name, { call: signature }, true);
    functionKinds.set(key, known);
  }
  return known as Kind<HandlerOf<S>, { call: S }>;
}
