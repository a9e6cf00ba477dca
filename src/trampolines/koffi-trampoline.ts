// koffi's callback, for trampolines whose signature no thunk serves: structs by value, other platforms, no addon. It runs
// the closure itself instead of sending a message. Registered once for a signature and never taken back: C may call the
// pointer at any time, and koffi would run the next callback in its place.
import { Buffer } from 'node:buffer';
import { isMainThread } from 'node:worker_threads';
import { PAYLOAD_MAX, RING_CELLS } from '../constants.js';
import { trace } from '../debugging/trace.js';
import { type ErrorCode, HaftError } from '../errors.js';
import { type Handle, normalize } from '../handle.js';
import type { Kind } from '../kind.js';
import { type Koffi, koffi } from '../koffi.js';
import { isThenable } from '../messages/delivery.js';
import { bitsOf, fromKoffi, KOFFI_TYPES, unsigned } from './c-types.js';
import { isOfKoffiType, koffiTypeOf } from './koffi-types.js';
import { hasScriptBelow } from './script-below.js';
import type { Shape } from './shape.js';
import type { TrampolineHost } from './trampoline.js';

type KoffiType = Parameters<Koffi['sizeof']>[0];

const later = setImmediate; // tests replace the global one
const all = new Map<Kind, readonly KoffiTrampoline[]>();
let findUserData: KoffiType | undefined;

export class KoffiTrampoline {
  readonly pointer: bigint;
  readonly #shape: Shape;
  readonly #kind: Kind;
  readonly #hosts = new Set<TrampolineHost>();
  /** What koffi calls. */
  readonly #callback: (...values: unknown[]) => unknown;
  /** Posts that wait for their turn. */
  #waiting = 0;

  /** The one that is the same in everything; makes it if there is none. */
  static of(host: TrampolineHost, shape: Shape, kind: Kind): KoffiTrampoline {
    const alike = all.get(kind) ?? [];
    let found = alike.find((one) => one.#serves(shape));
    if (found === undefined) {
      found = new KoffiTrampoline(host, shape, kind);
      all.set(kind, [...alike, found]);
    }
    found.#hosts.add(host);
    return found;
  }

  /** The registry closes: its closures are nobody's. */
  static forget(host: TrampolineHost): void {
    for (const alike of all.values()) for (const one of alike) one.#hosts.delete(host);
  }

  private constructor(host: TrampolineHost, shape: Shape, kind: Kind) {
    if (!isMainThread) {
      throw new HaftError('HAFT_E_BACKEND', {
        kind: kind.name,
        message:
          "this signature needs koffi's callback, and C that calls one of a worker that has ended crashes",
        next: 'use C types by name, which haft serves itself, or make the trampoline on the main thread',
      });
    }
    if (host.isInside) {
      throw new HaftError('HAFT_E_BACKEND', {
        kind: kind.name,
        message: "this signature needs koffi's callback, which cannot be registered while C calls JavaScript",
        next: 'make the trampoline before, outside of any closure',
      });
    }
    this.#shape = shape;
    this.#kind = kind;
    const { args, returns = 'void' } = shape.options;
    const types = args.map((type, i) => (shape.args[i] ? KOFFI_TYPES[shape.args[i]] : type) as KoffiType);
    const result = (shape.returns ? KOFFI_TYPES[shape.returns] : returns) as KoffiType;
    const run = this.#run.bind(this);
    this.#callback = (...values: unknown[]) => run(values);
    try {
      this.pointer = koffi().register(this.#callback, koffi().pointer(koffi().proto(result, types)));
    } catch (cause) {
      const { message } = cause as Error;
      const isFull = message.startsWith('Too many');
      throw new HaftError(isFull ? 'HAFT_E_SLOTS' : 'HAFT_E_ARGUMENT', {
        kind: kind.name,
        message: `koffi has no callback for this signature: ${message}`,
        next: isFull
          ? 'use fewer signatures: one trampoline serves any number of closures'
          : 'use types that a C function can take and return',
        cause,
      });
    }
  }

  #serves(shape: Shape): boolean {
    const { onError, onPosted } = this.#shape.options;
    return (
      shape.op === this.#shape.op &&
      shape.key === this.#shape.key &&
      shape.isPost === this.#shape.isPost &&
      shape.timeoutMilliseconds === this.#shape.timeoutMilliseconds &&
      Object.is(shape.options.onError, onError) &&
      Object.is(shape.options.onPosted, onPosted)
    );
  }

  #run(values: readonly unknown[]): unknown {
    const { userData: place, through, isPost, options } = this.#shape;
    const given = through === 0n ? values[place] : find(through, values[place]);
    const userData = normalize(unsigned(given as number | bigint | null)) as number | bigint;
    for (const host of this.#hosts) {
      if (!host.has(userData as number)) continue;
      const handle = Number(userData) as Handle;
      // Native code has released it, and the drain has not seen it yet.
      if (!host.isLive(handle)) return this.#misused('HAFT_E_STALE', handle, [host]);
      let target: unknown;
      try {
        target = host.get(handle, this.#kind);
      } catch (error) {
        return this.#misused((error as HaftError).code, handle, [host]);
      }
      const args = values.map((value, i) => fromKoffi(this.#shape.args[i], value));
      if (through === 0n) args.splice(place, 1);
      if (args.some(isTooLong)) return this.#misused('HAFT_E_TOO_LARGE', handle, [host]);
      return isPost ? this.#post(host, handle, target, args) : this.#call(host, handle, target, args);
    }
    for (const host of this.#hosts) {
      try {
        host.get(userData, this.#kind); // says which misuse it is
      } catch (error) {
        return this.#misused((error as HaftError).code, userData, this.#hosts);
      }
    }
    return this.#toKoffi(options.onError);
  }

  #misused(code: ErrorCode, handle: unknown, hosts: Iterable<TrampolineHost>): unknown {
    for (const host of hosts) host.misused(code, handle, this.#kind, this.#shape.op);
    return this.#toKoffi(this.#shape.options.onError);
  }

  #invoke(target: unknown, args: unknown[], handle: Handle): unknown {
    if (trace === undefined) return this.#runClosure(target, args);
    return trace.handler(`${this.#kind.name}.${this.#shape.op}`, handle, () =>
      this.#runClosure(target, args),
    );
  }

  #runClosure(target: unknown, args: unknown[]): unknown {
    if (this.#kind.isFunction) return (target as (...args: unknown[]) => unknown)(...args);
    return (target as Record<string, (...args: unknown[]) => unknown>)[this.#shape.op]!(...args);
  }

  // As many wait as have room in a mailbox.
  #post(host: TrampolineHost, handle: Handle, target: unknown, args: unknown[]): unknown {
    if (this.#waiting === RING_CELLS) return this.#misused('HAFT_E_FULL', handle, [host]);
    this.#waiting++;
    later(() => {
      this.#waiting--;
      if (host.has(handle)) this.#deliver(host, handle, target, args);
      else this.#misused('HAFT_E_STALE', handle, [host]);
    });
    return this.#toKoffi(this.#shape.options.onPosted);
  }

  #deliver(host: TrampolineHost, handle: Handle, target: unknown, args: unknown[]): void {
    const failed = (error: unknown) => host.threw(error, handle, this.#kind, this.#shape.op, false);
    try {
      const result = this.#invoke(target, args, handle);
      if (isThenable(result)) Promise.resolve(result).catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  #call(host: TrampolineHost, handle: Handle, target: unknown, args: unknown[]): unknown {
    let failure: unknown;
    host.entered();
    try {
      const result = this.#invoke(target, args, handle);
      if (host.isClosed) return this.#toKoffi(this.#shape.options.onError); // the closure has closed its registry
      if (isThenable(result)) {
        Promise.resolve(result).catch(() => {}); // nobody will hear of it
        throw this.#promised();
      }
      if (this.#fits(result)) return this.#toKoffi(result);
      throw new HaftError('HAFT_E_RESULT', {
        handle,
        kind: this.#kind.name,
        message: `${this.#shape.op} returned ${result === null ? 'null' : typeof result}, no ${String(this.#shape.options.returns)}`,
      });
    } catch (error) {
      failure = error;
    } finally {
      host.left();
    }
    // An exception that passes through koffi gives C a zero: where that is not onError, it cannot.
    const mayThrow =
      this.#shape.onErrorBits === 0n && this.#shape.returns !== undefined && hasScriptBelow(this.#callback);
    if (host.threw(failure, handle, this.#kind, this.#shape.op, mayThrow)) throw failure;
    return this.#toKoffi(this.#shape.options.onError);
  }

  #fits(result: unknown): boolean {
    const { returns } = this.#shape;
    if (returns !== undefined) return bitsOf(returns, result) !== undefined;
    return isOfKoffiType(koffiTypeOf(this.#shape.options.returns)!, result);
  }

  #toKoffi(value: unknown): unknown {
    if (this.#shape.returns === 'void') return undefined;
    return value === null && this.#shape.returns === 'u64' ? 0 : value;
  }

  #promised(): HaftError {
    const kind = this.#kind.name;
    if (hasScriptBelow(this.#callback)) {
      const message = 'the closure returned a promise, which cannot settle while C waits on this thread';
      return new HaftError('HAFT_E_DEADLOCK', { kind, message });
    }
    return new HaftError('HAFT_E_BACKEND', {
      kind,
      message: "the closure returned a promise, for which koffi's callback cannot wait",
      next: "answer at once, or use C types by name, which haft's own thunks serve",
    });
  }
}

function isTooLong(value: unknown): boolean {
  return (
    typeof value === 'string' && value.length > PAYLOAD_MAX / 4 && Buffer.byteLength(value) > PAYLOAD_MAX
  );
}

function find(through: bigint, argument: unknown): number | bigint {
  findUserData ??= koffi().proto('uintptr_t haft_find_user_data(uintptr_t)');
  return koffi().call(through, findUserData, argument ?? 0) as number | bigint;
}
