// Trampolines: one C function pointer for any number of JavaScript closures. What makes the pointer is native
// (native/core/trampolines.cc), or for what that cannot do koffi's callback (koffi-trampoline.ts); the rest is the same.
import type { NativeRealm } from '../binding.js';
import { type ErrorCode, HaftError } from '../errors.js';
import type { Handle } from '../handle.js';
import { type Kind, WIRE_TYPES } from '../kind.js';
import { Scope } from '../lifetimes/scope.js';
import { isThenable } from '../messages/delivery.js';
import { KoffiTrampoline } from './koffi-trampoline.js';
import { type ClosureOf, kindOf, Shape, type TrampolineOptions } from './shape.js';

export interface BindOptions {
  /** The closure comes once: its handle ends before it runs, and C's next call of it is stale. */
  readonly once?: boolean;
  /** Ends it with this scope. */
  readonly scope?: Scope;
}

/** What a trampoline needs of its registry. @internal */
export interface TrampolineHost {
  readonly native: NativeRealm;
  numberOf(kind: Kind): number;
  /** Issues the handle of a closure, or of an object of closures. */
  bind(value: unknown, kind: Kind, kindNumber: number): Handle;
  /** Ends it; nothing if it has ended. */
  unbind(handle: number): void;
  has(handle: number): boolean;
  /** As `has`, but false also where native code has just released it. */
  isLive(handle: number): boolean;
  get(handle: number | bigint, kind: Kind): unknown;
  /** Whether C is in the midst of calling JavaScript on this thread. */
  readonly isInside: boolean;
  readonly isClosed: boolean;
  /** Around a closure that koffi's callback runs. */
  entered(): void;
  left(): void;
  /** Handles of this kind keep the event loop alive. */
  keepAlive(kindNumber: number): void;
  /** Hears of misuse from now on. */
  listen(): void;
  misused(code: ErrorCode, handle: unknown, kind: Kind | undefined, op: string): void;
  /** A closure threw that koffi's callback ran. True: let it pass through koffi, for `mayThrow` says that it can. */
  threw(error: unknown, handle: Handle, kind: Kind, op: string, mayThrow: boolean): boolean;
}

/** A closure that C may call, until it is unbound. Give C its `pointer` and its `userData`. */
export class Bound<P = bigint> implements Disposable {
  readonly #trampoline: Binder<P>;
  /** The handle: C passes it as `void *`, `uint64_t` or `uintptr_t`. */
  readonly userData: Handle;

  /** @internal */
  constructor(trampoline: Binder<P>, userData: Handle) {
    this.#trampoline = trampoline;
    this.userData = userData;
  }

  /** The C function pointer; of a group one by each name. */
  get pointer(): P {
    return this.#trampoline.pointer;
  }

  /** C's calls are stale from now on. Does nothing where it has ended already, once or by C's `destroyNotify`. */
  unbind(): void {
    this.#trampoline.unbind(this.userData);
  }

  [Symbol.dispose](): void {
    this.unbind();
  }
}

/** What trampolines and groups have in common. */
export class Binder<P> {
  readonly #host: TrampolineHost;
  readonly #kind: Kind;
  readonly #kindNumber: number;
  readonly pointer: P;
  /** Whether haft's own thunks serve it. If not, koffi's callback does: the same, but slower from other threads. */
  readonly native: boolean;

  /** @internal */
  protected constructor(
    host: TrampolineHost,
    shapes: readonly Shape[],
    isFunction: boolean,
    asP: (pointers: bigint[]) => P,
  ) {
    this.#host = host;
    this.#kind = kindOf(shapes, isFunction);
    const number = host.numberOf(this.#kind);
    this.#kindNumber = number;
    if (shapes[0]!.options.ref !== false) host.keepAlive(number);
    host.listen();
    let native = true;
    const pointers = shapes.map((shape, position) => {
      const pointer = shape.fitsThunk ? thunkOf(host, shape, (number << 16) | position) : undefined;
      if (pointer === undefined) {
        native = false;
        if (shape.options.native === true) {
          throw new HaftError('HAFT_E_UNSUPPORTED', {
            kind: this.#kind.name,
            message:
              'there is no thunk for this trampoline: the pool is used up, or this platform or backend has none',
            next: "leave native out, and koffi's callback serves it",
          });
        }
      }
      return pointer ?? KoffiTrampoline.of(host, shape, this.#kind).pointer;
    });
    this.native = native;
    this.pointer = asP(pointers);
  }

  /** @internal */
  protected bindValue(value: unknown, options: BindOptions): Bound<P> {
    const host = this.#host;
    const { once, scope } = checkedBindOptions(options, this.#kind.isFunction);
    const handle = host.bind(once ? this.#once(value, () => handle) : value, this.#kind, this.#kindNumber);
    const bound = new Bound(this, handle);
    scope?.own(bound);
    return bound;
  }

  /** @internal */
  protected withBound<T>(bound: Bound<P>, use: (bound: Bound<P>) => T): T {
    let result: T;
    try {
      result = use(bound);
    } catch (error) {
      bound.unbind();
      throw error;
    }
    if (!isThenable(result)) {
      bound.unbind();
      return result;
    }
    return Promise.resolve(result).finally(() => bound.unbind()) as T;
  }

  #once(value: unknown, handle: () => Handle): unknown {
    const closure = value as (...args: unknown[]) => unknown;
    return (...args: unknown[]) => {
      this.unbind(handle());
      return closure(...args);
    };
  }

  /** @internal */
  unbind(handle: Handle): void {
    this.#host.unbind(handle);
  }
}

const NONE: BindOptions = Object.freeze({});

function checkedBindOptions(options: BindOptions, isFunction: boolean): BindOptions {
  if (options === NONE) return NONE;
  const refuse = (message: string): never => {
    throw new HaftError('HAFT_E_ARGUMENT', { message, next: 'options of bind are once and scope' });
  };
  if (typeof options !== 'object' || options === null) refuse('the options of bind are not an object');
  const { once, scope, ...others } = options;
  const unknown = Object.keys(others)[0];
  if (unknown !== undefined) refuse(`there is no option ${unknown}`);
  if (once !== undefined && typeof once !== 'boolean') refuse('once is not a boolean');
  if (once && !isFunction) refuse('once is for a single closure, not for a group');
  if (scope !== undefined && !(scope instanceof Scope)) refuse('scope is not what registry.scope() gave');
  return options;
}

// undefined: there is none for this platform or backend, or the pool is used up.
function thunkOf({ native }: TrampolineHost, shape: Shape, op: number): bigint | undefined {
  const types = Uint8Array.from(shape.args.map((name) => WIRE_TYPES[name!]));
  const taken = native.trampoline(
    types,
    WIRE_TYPES[shape.returns!],
    shape.userData,
    shape.isPost ? 1 : 0,
    op,
    shape.through,
    shape.timeoutMilliseconds,
    shape.onErrorBits,
    shape.onPostedBits,
  );
  return typeof taken === 'bigint' ? taken : undefined;
}

/** One C function pointer for a signature, for ever, and any number of closures. Made by `registry.trampoline`. */
export class Trampoline<O extends TrampolineOptions = TrampolineOptions> extends Binder<bigint> {
  /** @internal */
  constructor(host: TrampolineHost, options: O) {
    super(host, [new Shape('call', options)], true, ([pointer]) => pointer!);
  }

  /**
   * Lets C call a closure: the trampoline's pointer with this user data. It lives until `unbind`, the end of its scope or
   * `using` block, the release by C (`registry.destroyNotify`), or the registry's close.
   *
   * @throws HaftError `HAFT_E_SLOTS`, `HAFT_E_CLOSED`, `HAFT_E_KIND` for what is not a function.
   */
  bind(closure: ClosureOf<O>, options: BindOptions = NONE): Bound {
    return this.bindValue(closure, options);
  }

  /**
   * Binds a closure for as long as `use` runs, or its promise takes; tells what that returns.
   *
   * ```ts
   * compare.with((a, b) => order(a, b), ({ pointer, userData }) => qsort_r(rows, count, size, pointer, userData));
   * ```
   */
  with<T>(closure: ClosureOf<O>, use: (bound: Bound) => T): T {
    return this.withBound(this.bind(closure), use);
  }
}

type Group = Readonly<Record<string, TrampolineOptions>>;

/** C function pointers that share one user data, as one object with a method for each. Made by `registry.trampolines`. */
export class TrampolineGroup<G extends Group = Group> extends Binder<{ readonly [K in keyof G]: bigint }> {
  readonly #names: readonly string[];

  /** @internal */
  constructor(host: TrampolineHost, group: G) {
    const names = typeof group === 'object' && group !== null ? Object.keys(group) : [];
    if (names.length === 0) {
      throw new HaftError('HAFT_E_ARGUMENT', { message: 'the group is empty', next: 'name its functions' });
    }
    const shapes = names.map((name) => new Shape(name, group[name]!));
    super(
      host,
      shapes,
      false,
      (pointers) =>
        Object.fromEntries(names.map((name, i) => [name, pointers[i]!])) as {
          readonly [K in keyof G]: bigint;
        },
    );
    this.#names = names;
  }

  /** As `Trampoline.bind`, of an object whose methods are named as the group's functions. */
  bind(
    methods: { readonly [K in keyof G]: ClosureOf<G[K]> },
    options: Omit<BindOptions, 'once'> = NONE,
  ): Bound<{ readonly [K in keyof G]: bigint }> {
    for (const name of this.#names) {
      if (typeof methods === 'object' && methods !== null && typeof methods[name] !== 'function') {
        throw new HaftError('HAFT_E_KIND', {
          message: `what is bound has no method ${name}`,
          next: 'bind an object with a method for each function of the group',
        });
      }
    }
    return this.bindValue(methods, options);
  }

  /** As `Trampoline.with`, of an object with a method for each function. */
  with<T>(
    methods: { readonly [K in keyof G]: ClosureOf<G[K]> },
    use: (bound: Bound<{ readonly [K in keyof G]: bigint }>) => T,
  ): T {
    return this.withBound(this.bind(methods), use);
  }
}
