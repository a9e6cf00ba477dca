// Moves objects from one realm to another: by their kind's serialize and deserialize, and a message like any other.
import type { NativeRealm } from './binding.js';
import { EXCHANGE, EXCHANGE_HANDLE, EXCHANGE_NUMBER, EXCHANGE_STATUS, STATUSES } from './constants.js';
import { errorOfStatus, HaftError } from './errors.js';
import type { Handle } from './handle.js';
import { Kind, kind } from './kind.js';
import { isThenable } from './messages/delivery.js';

const HANDLE_PLACE = (EXCHANGE >> 3) + (EXCHANGE_HANDLE >> 1);
const NUMBER_PLACE = (EXCHANGE >> 3) + (EXCHANGE_NUMBER >> 1);
const STATUS_WORD = (EXCHANGE >> 2) + EXCHANGE_STATUS;
const OK = STATUSES.HAFT_OK.status;

/** A kind whose objects can be moved. */
type MovableKind = Kind & {
  readonly serialize: (object: unknown) => string | Uint8Array;
  readonly deserialize: (data: string | Uint8Array) => unknown;
};

/** Stands in a realm for those that send objects to it. */
class Acceptor {
  readonly #kinds = new Map<string, MovableKind>();

  constructor(readonly create: (object: unknown, kind: Kind) => Handle) {}

  add(accepted: MovableKind): void {
    this.#kinds.set(keyOf(accepted.name, accepted.fingerprint), accepted);
  }

  accept(name: string, fingerprint: bigint, isText: boolean, data: Uint8Array): Handle {
    const accepted = this.#kinds.get(keyOf(name, BigInt.asUintN(64, fingerprint)));
    if (accepted === undefined) {
      throw new HaftError('HAFT_E_KIND', {
        kind: name,
        message: `the realm accepts no objects of kind ${name}`,
      });
    }
    const object = accepted.deserialize(isText ? new TextDecoder().decode(data) : data);
    if (isThenable(object)) {
      const message = 'deserialize returned a promise: it is not waited for';
      throw new HaftError('HAFT_E_RESULT', { kind: name, message });
    }
    return this.create(object, accepted);
  }
}

const AcceptorKind = kind(
  Acceptor,
  { accept: { args: ['str', 'i64', 'bool', 'bytes'], returns: 'handle' } },
  { name: 'haft.acceptor' },
);

function keyOf(name: string, fingerprint: bigint): string {
  return `${fingerprint} ${name}`;
}

/** What moving needs of the registry. */
export interface Movable {
  readonly native: NativeRealm;
  /** @throws HaftError unless the handle is valid, and the realm open. */
  check(handle: number): void;
  numberOf(kind: Kind): number;
  create(object: unknown, kind: Kind): Handle;
  /** Issues a handle of haft's own, which the registry does not count. */
  createOwn(object: Acceptor, kind: typeof AcceptorKind): Handle;
  /** From now on messages of the handle are held. */
  hold(handle: number): void;
  /** Delivers what was held, to the object that stayed. */
  unhold(handle: number): void;
  /** The object lives elsewhere: sends on what was held, and forgets it. */
  leave(handle: number, now: number): void;
  /** The number of moves under way has changed. */
  changed(): void;
}

/** A move that waits for its answer: what to do when it comes, at once and while the realm is open. */
interface Pending {
  readonly moved: (now: number) => void;
  readonly failed: (error: unknown) => void;
}

export class Mover {
  readonly #realm: Movable;
  readonly #f64: Float64Array;
  readonly #i32: Int32Array;
  readonly #pending = new Map<number, Pending>();
  readonly #moving = new Set<number>();
  #acceptor: Acceptor | undefined;
  #requests = 0;

  constructor(realm: Movable) {
    this.#realm = realm;
    this.#f64 = new Float64Array(realm.native.buffer);
    this.#i32 = new Int32Array(realm.native.buffer);
  }

  get moving(): number {
    return this.#moving.size;
  }

  accept(kinds: readonly Kind[]): void {
    for (const accepted of kinds) requireMovable(accepted);
    if (this.#acceptor === undefined) {
      this.#acceptor = new Acceptor((object, of) => this.#realm.create(object, of));
      this.#f64[HANDLE_PLACE] = this.#realm.createOwn(this.#acceptor, AcceptorKind);
      this.#realm.native.setAcceptor();
    }
    for (const accepted of kinds) {
      this.#realm.numberOf(accepted);
      this.#acceptor.add(accepted as MovableKind);
    }
  }

  /** Moves the object of a valid handle; tells its new one, which has the old one's references. */
  move(
    handle: number,
    object: object,
    of: Kind | undefined,
    to: number,
    milliseconds: number,
  ): Promise<number> {
    requireMovable(of, handle);
    if (this.#moving.has(handle)) {
      throw new HaftError('HAFT_E_BUSY', { handle, message: 'the object is being moved already' });
    }
    const acceptor = this.#realm.native.acceptorOf(to);
    if (acceptor === 0) {
      throw new HaftError('HAFT_E_NOT_FOUND', {
        handle,
        message: `the realm ${to} is closed, or accepts no objects`,
        next: 'call registry.accept(kind) there first, and pass that registry’s id',
      });
    }
    const data = this.#serialized(handle, object, of);
    return new Promise((resolve, reject) => {
      this.#begin(handle);
      const pending: Pending = {
        moved: (now) => {
          const status = this.#mark(handle, now);
          this.#end(handle, status === OK ? now : undefined);
          if (status === OK) resolve(now);
          else reject(errorOfStatus(status, { handle }));
        },
        failed: (error) => {
          this.#end(handle, undefined);
          reject(error);
        },
      };
      this.#send(acceptor, of, data, milliseconds, pending);
    });
  }

  /** Takes the answers that have come. */
  arrived(): void {
    for (let next = this.#realm.native.takeArrival(); next; next = this.#realm.native.takeArrival()) {
      const [request, status, result] = next;
      const pending = this.#pending.get(request);
      this.#pending.delete(request);
      if (status === OK) pending?.moved(result as number);
      else pending?.failed(errorOfStatus(status, { message: `the other realm: ${result || 'no answer'}` }));
    }
  }

  close(): void {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { failed } of pending) failed(new HaftError('HAFT_E_CLOSED'));
  }

  // Code of the user's: it may close the realm, delete the object, or ask for this very move.
  #serialized(handle: number, object: object, of: MovableKind): string | Uint8Array {
    this.#moving.add(handle);
    try {
      const data = serialized(object, of);
      this.#realm.check(handle);
      return data;
    } finally {
      this.#moving.delete(handle);
    }
  }

  // Messages that come meanwhile wait: what they change would be lost with the object that stays behind.
  #begin(handle: number): void {
    this.#moving.add(handle);
    this.#realm.hold(handle);
    this.#realm.changed();
  }

  #end(handle: number, now: number | undefined): void {
    this.#moving.delete(handle);
    if (now === undefined) this.#realm.unhold(handle);
    else this.#realm.leave(handle, now);
    this.#realm.changed();
  }

  #send(acceptor: number, of: Kind, data: string | Uint8Array, milliseconds: number, pending: Pending): void {
    const isText = typeof data === 'string';
    const bytes = isText ? new TextEncoder().encode(data) : data;
    const op = (this.#realm.numberOf(AcceptorKind) << 16) | AcceptorKind.position('accept');
    const values = [of.name, BigInt.asIntN(64, of.fingerprint), isText, bytes];
    const { args } = AcceptorKind.ops[0]!;
    const request = ++this.#requests;
    this.#pending.set(request, pending);
    const status = this.#realm.native.call(acceptor, op, args, values, milliseconds, request);
    if (status === OK) return;
    this.#pending.delete(request);
    pending.failed(errorOfStatus(status, { kind: of.name }));
  }

  // From here on native code finds the object under its new handle.
  #mark(handle: number, now: number): number {
    this.#f64[HANDLE_PLACE] = handle;
    this.#f64[NUMBER_PLACE] = now;
    this.#realm.native.move();
    const status = this.#i32[STATUS_WORD]!;
    if (status !== OK) {
      // It was released or deleted meanwhile, or the other realm has closed: the copy there goes.
      this.#f64[HANDLE_PLACE] = now;
      this.#realm.native.release();
    }
    return status;
  }
}

function serialized(object: object, of: MovableKind): string | Uint8Array {
  const data: unknown = of.serialize(object);
  if (typeof data === 'string' || data instanceof Uint8Array) return data;
  const message = 'serialize returned neither a string nor a Uint8Array';
  throw new HaftError('HAFT_E_RESULT', { kind: of.name, message });
}

function requireMovable(of: Kind | undefined, handle?: number): asserts of is MovableKind {
  if (of instanceof Kind && of.serialize !== undefined && of.deserialize !== undefined) return;
  const name = of instanceof Kind ? of.name : 'none';
  throw new HaftError('HAFT_E_KIND', {
    ...(handle === undefined ? {} : { handle }),
    kind: name,
    message: `objects of kind ${name} cannot be moved`,
    next: 'define the kind with serialize and deserialize',
  });
}
