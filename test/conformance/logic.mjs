// The JavaScript side of the conformance suite: what its cases find by name. Nothing here but the public API of haft, so
// that whoever runs the suite another way runs this module as the logic and loads the plugin. It settles at once.
//
//   counter  a number that one adds to               notes   a record of what came, in order
//   echo     every type, in and out                  maker   objects, ends of objects, realms, moves
//   faults   handlers that fail, are slow, or answer later
//   half     a plain function, fn(f64):f64
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { EVENT, HaftError, kind, NULL_HANDLE, Registry } from 'haft';

// However the process was started.
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc');

const F64 = { returns: 'f64' };
const I64 = { returns: 'i64' };
const ADD = { args: ['f64'], returns: 'f64' };

class Counter {
  static additions = 0;
  sum = 0;
  add(n) {
    Counter.additions++;
    this.sum += n;
    return this.sum;
  }
  total() {
    return this.sum;
  }
  never() {
    return new Promise(() => {});
  }
}
const CounterKind = kind(Counter, { add: ADD, total: F64, never: F64 });

class Notes {
  log = [];
  note(n) {
    this.log.push(n);
  }
  noteText(n, text, bytes) {
    const whole = text === 'é'.repeat(text.length) && bytes.every((byte) => byte === 7);
    this.log.push(whole ? n : -1);
  }
  noteNothing() {
    this.log.push(0);
  }
  /** Sixteen of them, 1 to 16: 1. */
  noteMany(...numbers) {
    this.log.push(numbers.length === 16 && numbers.every((n, place) => n === place + 1) ? 1 : -1);
  }
  count() {
    return this.log.length;
  }
  /** The first place at which other than the place's own number came, or -1 where all did. */
  wrong(count) {
    if (this.log.length !== count) return Math.min(this.log.length, count);
    return this.log.findIndex((n, place) => n !== place);
  }
  /** As `wrong`, for so many threads whose numbers are thread * 1,000,000 + place. */
  wrongEach(threads, count) {
    const next = Array.from({ length: threads }, () => 0);
    const wrong = this.log.findIndex((n) => n % 1e6 !== next[Math.floor(n / 1e6)]++);
    return wrong === -1 && this.log.length !== threads * count ? this.log.length : wrong;
  }
}
const NotesKind = kind(Notes, {
  note: { args: ['f64'] },
  noteText: { args: ['f64', 'str', 'bytes'] },
  noteNothing: {},
  noteMany: { args: Array(16).fill('f64') },
  count: F64,
  wrong: ADD,
  wrongEach: { args: ['f64', 'f64'], returns: 'f64' },
});

/** The type of a value, as the manual names what arrives. */
function typeOf(value) {
  if (value instanceof Uint8Array) return `Uint8Array ${value.length}`;
  return `${typeof value} ${String(value)}`;
}

class Echo {
  constructor(registry) {
    this.registry = registry;
  }
  f64 = (value) => value;
  i32 = (value) => value;
  u32 = (value) => value;
  i64 = (value) => value;
  bool = (value) => value;
  str = (value) => value;
  bytes = (value) => value;
  handle = (value) => (value === NULL_HANDLE ? value : this.registry.retain(value));
  nothing() {}
  none() {
    return NULL_HANDLE;
  }
  types(...values) {
    return values.map(typeOf).join(', ');
  }
  typeOfHandle(handle) {
    return typeof handle;
  }
  sixteen(...values) {
    return values.join(',');
  }
  mixed(...values) {
    return values
      .map((value) => (value instanceof Uint8Array ? [...value].join('.') : String(value)))
      .join(' ');
  }
  lengths(text, bytes) {
    return text.length + bytes.length;
  }
  textOf(length) {
    return 'x'.repeat(length);
  }
  bytesOf(length) {
    return new Uint8Array(length).fill(7);
  }
  change(bytes) {
    bytes.fill(0);
  }
}
const scalars = ['f64', 'i32', 'u32', 'i64', 'bool', 'str', 'bytes'];
const EchoKind = kind(Echo, {
  f64: { args: ['f64'], returns: 'f64' },
  i32: { args: ['i32'], returns: 'i32' },
  u32: { args: ['u32'], returns: 'u32' },
  i64: { args: ['i64'], returns: 'i64' },
  bool: { args: ['bool'], returns: 'bool' },
  str: { args: ['str'], returns: 'str' },
  bytes: { args: ['bytes'], returns: 'bytes' },
  handle: { args: ['handle'], returns: 'handle' },
  nothing: {},
  none: { returns: 'handle' },
  types: { args: scalars, returns: 'str' },
  typeOfHandle: { args: ['handle'], returns: 'str' },
  sixteen: { args: Array(16).fill('i32'), returns: 'str' },
  mixed: { args: [...scalars, ...scalars], returns: 'str' },
  lengths: { args: ['str', 'bytes'], returns: 'f64' },
  textOf: { args: ['f64'], returns: 'str' },
  bytesOf: { args: ['f64'], returns: 'bytes' },
  change: { args: ['bytes'] },
});

class Faults {
  later = [];
  errors = [];
  made = [];
  constructor(registry) {
    this.registry = registry;
    registry.on('error', (error, { kind, op }) => this.errors.push(`${kind}.${op} ${error}`));
  }
  throws() {
    throw new RangeError('out of reach');
  }
  throwsNull() {
    throw null;
  }
  throwsLong() {
    throw new Error('ü'.repeat(100_000));
  }
  wrong() {
    return 'text';
  }
  async rejects() {
    throw new TypeError('not now');
  }
  async soon(n) {
    await undefined;
    return n;
  }
  never() {
    return new Promise(() => {});
  }
  /** Answers when `settle` comes. */
  wait() {
    return new Promise((resolve) => this.later.push(resolve));
  }
  settle() {
    const count = this.later.length;
    for (const resolve of this.later) resolve(1);
    this.later = [];
    return count;
  }
  waiting() {
    return this.later.length;
  }
  /** Does not return to the event loop for so long. */
  busy(milliseconds) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
    return milliseconds;
  }
  busyCounter(milliseconds) {
    this.busy(milliseconds);
    return this.counter();
  }
  /** A new one, given away; */
  counter() {
    const handle = this.registry.create(new Counter(), CounterKind);
    this.made.push(handle);
    return handle;
  }
  /** so many were made since `forget`, */
  madeCount() {
    return this.made.length;
  }
  /** and so many of them are still there. */
  madeLive() {
    return this.made.filter((handle) => this.registry.has(handle)).length;
  }
  forget() {
    this.made = [];
  }
  errorCount() {
    return this.errors.length;
  }
  lastError() {
    return this.errors.at(-1) ?? '';
  }
}
const FaultsKind = kind(Faults, {
  throws: F64,
  throwsNull: F64,
  throwsLong: F64,
  wrong: F64,
  rejects: F64,
  soon: ADD,
  never: F64,
  wait: F64,
  settle: F64,
  waiting: F64,
  busy: ADD,
  busyCounter: { args: ['f64'], returns: 'handle' },
  counter: { returns: 'handle' },
  madeCount: F64,
  madeLive: F64,
  forget: {},
  errorCount: F64,
  lastError: { returns: 'str' },
});

class Suicide {
  constructor(registry) {
    this.registry = registry;
  }
  lastWords() {
    this.registry.delete(this.handle);
    return 'farewell';
  }
}
const SuicideKind = kind(Suicide, { lastWords: { returns: 'str' } });

class Traveller {
  constructor(total = 0) {
    this.total = total;
  }
  add(n) {
    this.total += n;
    return this.total;
  }
}
const TravellerKind = kind(
  Traveller,
  { add: ADD },
  {
    serialize: ({ total }) => String(total),
    deserialize: (text) => new Traveller(Number(text)),
  },
);

/** 0, or the number of a haft error; what is none is a fault of the suite. */
function statusOf(error) {
  if (error instanceof HaftError) return error.status;
  throw error;
}

/** A handle as an integer, its reference native code's. */
function given(registry, handle) {
  registry.transfer?.(handle);
  return BigInt(handle);
}

class Maker {
  moved = 1;
  heard = 0;
  found = 0;
  kept = new Counter();
  bytes = new Uint8Array(16);
  constructor(registry, prepare) {
    this.registry = registry;
    this.open = () => prepare(new Registry());
    this.elsewhere = this.open();
  }
  make(what) {
    const { registry } = this;
    switch (what) {
      case 'counter':
        return registry.create(new Counter(), CounterKind);
      case 'notes':
        return registry.create(new Notes(), NotesKind);
      case 'plain':
        return registry.create({});
      case 'traveller':
        return registry.create(new Traveller(), TravellerKind);
      case 'suicide': {
        const object = new Suicide(registry);
        object.handle = registry.create(object, SuicideKind);
        return object.handle;
      }
      case 'memory':
        return registry.transfer(new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]));
      case 'pin':
        this.pinned = registry.pin(this.bytes.fill(1));
        return this.pinned.handle;
      case 'weak':
        return registry.weak(this.kept, CounterKind);
      case 'collected':
        return registry.weak(new Counter(), CounterKind);
      default:
        throw new Error(`there is no ${what} to make`);
    }
  }
  /** Ends the pin that was made last; */
  unpin() {
    this.pinned.unpin();
  }
  /** the sum of its bytes, as JavaScript sees them. */
  pinnedSum() {
    return this.bytes.reduce((sum, byte) => sum + byte);
  }
  /** What nobody keeps is collected before long. */
  collectGarbage() {
    collectGarbage();
  }
  ended(how) {
    if (how === 'closed') {
      const short = this.open();
      const handle = short.create(new Counter(), CounterKind);
      short.close();
      return BigInt(handle);
    }
    const handle = this.make('counter');
    this.registry[how === 'deleted' ? 'delete' : 'release'](handle);
    return BigInt(handle);
  }
  /** One with two references, of which it gives one away. */
  share() {
    const handle = this.make('counter');
    this.registry.retain(handle);
    return given(this.registry, handle);
  }
  realm() {
    return BigInt(this.registry.id);
  }
  numberOf(handle) {
    return handle;
  }
  fingerprint() {
    return BigInt.asIntN(64, CounterKind.fingerprint);
  }
  /** Whether an integer is a valid handle. */
  has(value) {
    return this.registry.has(Number(value));
  }
  /** How often any counter was added to. */
  additions() {
    return Counter.additions;
  }
  /** Looks whether the handle names a counter; */
  look(handle) {
    if (this.registry.get(handle, CounterKind) instanceof Counter) this.found++;
  }
  /** so many did. */
  looked() {
    return this.found;
  }
  retain(handle) {
    this.registry.retain(handle);
  }
  release(handle) {
    this.registry.release(handle);
  }
  delete(handle) {
    this.registry.delete(handle);
  }
  /** Adds references until there is room for no more; tells how many. */
  saturate(handle) {
    for (let added = 0; ; added++) {
      try {
        this.registry.retain(handle);
      } catch (error) {
        if (error.code === 'HAFT_E_OVERFLOW') return added;
        throw error;
      }
    }
  }
  publish(name, handle) {
    this.registry.publish(name, handle);
  }
  unpublish(name) {
    this.registry.unpublish(name);
  }
  publishSoon(name, handle) {
    setTimeout(() => this.registry.publish(name, handle), 20);
  }
  collect() {
    this.registry.collect();
  }
  // A realm beside this one, on the same thread,
  other() {
    return given(this.elsewhere, this.elsewhere.create(new Counter(), CounterKind));
  }
  otherRealm() {
    return BigInt(this.elsewhere.id);
  }
  // and one that ends.
  openBrief() {
    this.brief = this.open();
    return BigInt(this.brief.id);
  }
  briefCounter() {
    return given(this.brief, this.brief.create(new Counter(), CounterKind));
  }
  closeBrief() {
    this.brief.close();
  }
  closeBriefSoon() {
    setTimeout(() => this.brief.close(), 50);
  }
  // Events: 3 of the user's is heard here.
  listen() {
    this.heard = 0;
    this.registry.wait(EVENT.user(3)).then((happened) => {
      this.heard = happened;
    });
  }
  hearing() {
    return this.heard;
  }
  move(handle) {
    this.moved = 1;
    const settle = (status) => {
      this.moved = status;
    };
    try {
      this.elsewhere.accept(TravellerKind);
      this.registry.moveTo(handle, this.elsewhere.id).then(
        () => settle(0),
        (error) => settle(statusOf(error)),
      );
    } catch (error) {
      settle(statusOf(error));
    }
  }
  /** 1 while the move is under way, then its status. */
  moveStatus() {
    return this.moved;
  }
}
const HANDLE = { args: ['handle'] };
const MakerKind = kind(Maker, {
  make: { args: ['str'], returns: 'handle' },
  unpin: {},
  pinnedSum: F64,
  collectGarbage: {},
  ended: { args: ['str'], returns: 'i64' },
  share: I64,
  realm: I64,
  numberOf: { args: ['handle'], returns: 'f64' },
  fingerprint: I64,
  has: { args: ['i64'], returns: 'bool' },
  additions: F64,
  look: HANDLE,
  looked: F64,
  retain: HANDLE,
  release: HANDLE,
  delete: HANDLE,
  saturate: { args: ['handle'], returns: 'f64' },
  publish: { args: ['str', 'handle'] },
  unpublish: { args: ['str'] },
  publishSoon: { args: ['str', 'handle'] },
  collect: {},
  other: I64,
  otherRealm: I64,
  openBrief: I64,
  briefCounter: I64,
  closeBrief: {},
  closeBriefSoon: {},
  listen: {},
  hearing: F64,
  move: HANDLE,
  moveStatus: F64,
});

/**
 * `prepare` makes another registry ready for C on this thread, before the event loop has turned twice: where C is called
 * through koffi, by `useKoffi`.
 */
export default function conformance(registry, _args, prepare = (other) => other) {
  const publish = (name, object, kind) => registry.publish(name, registry.create(object, kind));
  publish('counter', new Counter(), CounterKind);
  publish('notes', new Notes(), NotesKind);
  publish('echo', new Echo(registry), EchoKind);
  publish('faults', new Faults(registry), FaultsKind);
  publish('maker', new Maker(registry, prepare), MakerKind);
  registry.publish(
    'half',
    registry.fn({ args: ['f64'], returns: 'f64' }, (n) => n / 2),
  );
}
