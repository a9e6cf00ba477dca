// A realm: the handle table that native threads share, its mailboxes, and its end.
import { EventEmitter } from 'node:events';
import { performance } from 'node:perf_hooks';
import { backend } from './backend.js';
import type { NativeApi } from './binding.js';
import { checkLevel } from './checks.js';
import { type Collectable, type Collected, Collector } from './collector.js';
import { STATUSES } from './constants.js';
import { closes, drained, opened } from './debugging/channels.js';
import { DEED } from './debugging/history.js';
import { brokenMirror } from './debugging/invariants.js';
import { checkLeakSetting, tellLeaks } from './debugging/leaks.js';
import { registryClosed, registryOpened } from './debugging/open-registries.js';
import { type Crowded, Overflows } from './debugging/overflow.js';
import { makeReport, type RegistryReport, type Reportable, type ReportOptions } from './debugging/report.js';
import { trace } from './debugging/trace.js';
import { Departed, type DepartedTable } from './departed.js';
import { errorOfStatus, HaftError } from './errors.js';
import type { Handle } from './handle.js';
import { isInHandleRange, normalize } from './handle.js';
import type { Stats } from './handles.js';
import {
  type Caller,
  HostCalls,
  type HostFunctions,
  type HostOptions,
  type HostSignatures,
} from './host-functions.js';
import { enter, type Insides, leave } from './insides.js';
import { serveInspection } from './inspect/server.js';
import type { Kind, Op } from './kind.js';
import { isKoffiThere, koffi } from './koffi.js';
import { MemoryKind } from './lifetimes/pins.js';
import { type Counters, countersOf, sumOf } from './messages/counters.js';
import { EVENT, Events } from './messages/events.js';
import { Mailboxes, type Receiver } from './messages/mailbox.js';
import { type Movable, Mover } from './move.js';
import { signalOf } from './options.js';
import { type Plugin, Plugins } from './plugin.js';
import { RealmTable } from './realm-table.js';
import { Closures, type ClosureTable, type Place } from './trampolines/closures.js';
import { copyOf, joinKoffi, type Koffi, leaveKoffi } from './trampolines/koffi-way.js';
import type { Complete, SignatureType, TrampolineOptions, UserDataPlace } from './trampolines/shape.js';
import { Trampoline, TrampolineGroup } from './trampolines/trampoline.js';

/** Where an error came from. */
export interface ErrorContext {
  readonly handle: Handle;
  readonly kind: string;
  readonly op: string;
}

export interface RegistryEvents {
  /**
   * The handler of a post threw, or rejected; a buffer was detached while it was pinned (`HAFT_E_DETACHED`); or a post
   * found its object gone (`HAFT_E_STALE`, `HAFT_E_COLLECTED`). Without a listener the former reach the process as an
   * unhandled rejection, and the latter are only counted.
   */
  error: [error: unknown, context: ErrorContext];
}

export interface RegistryStats extends Stats, Counters {
  /** Messages that found their object gone; they are among the refused ones. */
  gone: number;
  /** The same counters of each of the 16 shards. A handle's shard is its lowest four bits. */
  shards: Counters[];
}

/**
 * The objects that native code, on any thread, may hold by handle, call, and release. Each is a realm of its own: its
 * handles are valid in C in the whole process, and in JavaScript with this registry only.
 */
export class Registry extends RealmTable {
  /** `haft_realm` in C. */
  readonly id: number;
  readonly #mailboxes: Mailboxes;
  readonly #events = new EventEmitter();
  /** The copy of koffi in use: see `copyOf`. */
  #koffi: unknown;
  readonly #waits: Events;
  readonly #collector: Collector;
  readonly #mover: Mover;
  readonly #host: HostCalls;
  readonly #departed: Departed;
  readonly #insides: Insides & Crowded & Reportable;
  readonly #overflows: Overflows;
  /** Its listeners hear that it closes: they may call `close` too. */
  #closes = false;
  readonly #plugins = new Plugins();
  #finalCounters: Float64Array | undefined;
  #references = 0;
  #promises = 0;
  readonly #closures: Closures;
  /** How often `collect` was asked for while it is traced. */
  #collects = 0;

  /**
   * @throws HaftError `HAFT_E_UNSUPPORTED` or `HAFT_E_BACKEND` when neither the addon nor koffi can serve, `HAFT_E_SLOTS`
   * when 128 realms are open.
   */
  constructor() {
    checkLeakSetting();
    serveInspection();
    const native = backend().open(
      () => this.#answerDoorbell(),
      () => this.#closures.runFromAddon(),
    );
    if (typeof native === 'number') throw errorOfStatus(native);
    super(native);
    this.id = native.id;
    this.#mailboxes = new Mailboxes(native, this.#receiver());
    this.#waits = new Events(
      native,
      () => this.#mailboxes.levels(),
      () => this.#updateRef(),
    );
    this.#collector = new Collector(this.#collectable());
    this.#mover = new Mover(this.#movable());
    this.#host = new HostCalls(this.#hostCaller());
    this.#closures = new Closures(this.#closureTable());
    this.#departed = new Departed(this.#departedTable());
    this.#insides = this.#makeInsides();
    this.#overflows = new Overflows(this.#insides);
    registryOpened(this, this.#insides);
    enter(this, this.#insides);
    trace?.instant('open registry', { realm: this.id });
    if (opened.isHeard) opened.tell({ registry: this }); // whose listeners may use all of it
  }

  #answerDoorbell(): void {
    if (this.#mover.moving > 0) this.#mover.arrived();
    if (!this.closed) {
      if (drained.isHeard) this.#tellDrain(() => this.#mailboxes.drain());
      else this.#mailboxes.drain();
    }
    if (checkLevel === 2 && this.special > 0) this.pins.check();
    if (!this.closed && this.#collector.active) this.#collector.step();
  }

  #tellDrain(drain: () => number): void {
    const began = performance.now();
    const messages = drain();
    const milliseconds = performance.now() - began;
    drained.tell({ registry: this, messages, milliseconds, left: this.closed ? 0 : this.#mailboxes.cells });
  }

  /** `const haft_api *` as a tagged external, for a set-up function of an addon of yours. */
  get api(): NativeApi {
    return backend().api;
  }

  /** `const haft_api *` as an integer, which koffi takes where C wants a pointer. */
  get apiAddress(): bigint {
    return backend().apiAddress();
  }

  /** Who serves native code: the addon, or koffi where that could not be loaded. See docs/backends.md. */
  get backend(): 'addon' | 'koffi' {
    return backend().name;
  }

  on<E extends keyof RegistryEvents>(event: E, listener: (...args: RegistryEvents[E]) => void): this {
    this.#events.on(event, listener as (...args: unknown[]) => void);
    this.#closures.heard();
    return this;
  }

  once<E extends keyof RegistryEvents>(event: E, listener: (...args: RegistryEvents[E]) => void): this {
    this.#events.once(event, listener as (...args: unknown[]) => void);
    this.#closures.heard();
    return this;
  }

  off<E extends keyof RegistryEvents>(event: E, listener: (...args: RegistryEvents[E]) => void): this {
    this.#events.off(event, listener as (...args: unknown[]) => void);
    this.#closures.heard();
    return this;
  }

  /**
   * Lets C that is called through koffi call this registry's objects from the same thread. koffi runs C on a stack of
   * its own, where V8 cannot run; its callbacks know the way back. Without this such a call is `HAFT_E_UNSUPPORTED`.
   * Trampolines do it by themselves; say it if your copy of koffi is not the one that haft finds.
   *
   * ```ts
   * import koffi from 'koffi';
   * registry.useKoffi(koffi);
   * ```
   */
  useKoffi<T>(koffi: Koffi<T>): this {
    this.requireOpen();
    if (this.backend === 'koffi') {
      requireOwnKoffi(koffi);
      return this;
    }
    const copy = copyOf(koffi);
    if (this.#koffi === copy) return this;
    this.native.useKoffi(joinKoffi(koffi, this.#closures));
    leaveKoffi(this.#koffi, this.#closures);
    this.#koffi = copy;
    return this;
  }

  /**
   * Calls a C function that may call closures of this thread, and throws what one of them threw, when the C function has
   * returned: that closure's caller was told `onError`, and all others have run. What further ones threw goes to the `error`
   * event. A plain call through koffi throws too, but after the first exception no closure runs until the C function has
   * returned. What a closure throws in a plain call through an addon, or of a trampoline that is not `native`, goes to the
   * `error` event.
   */
  invoke<A extends readonly unknown[], R>(f: (...args: A) => R, ...args: A): R {
    this.requireOpen();
    return this.#closures.invoke(f, args);
  }

  /**
   * One C function pointer for a signature, for ever, behind which there are any number of closures: the user data that C
   * passes along says which. For C libraries that know nothing of haft.
   *
   * ```ts
   * const compare = registry.trampoline({
   *   args: ['const void *', 'const void *', 'void *'], returns: 'int', userData: 2, onError: 0,
   * });
   * using byName = compare.bind((a, b) => nameAt(a).localeCompare(nameAt(b)));
   * qsort_r(rows, count, size, byName.pointer, byName.userData);
   * ```
   *
   * From other threads too. Misuse (user data that is stale or forged, a closed registry) tells C `onError`, runs nobody's
   * closure, and is told to the `error` event. What a closure throws is thrown where JavaScript called C; in a call from
   * another thread it goes to the `error` event.
   *
   * @throws HaftError `HAFT_E_ARGUMENT` for types and values that do not go together, `HAFT_E_CLOSED`.
   */
  trampoline<
    const A extends readonly SignatureType[],
    const P extends UserDataPlace,
    const R extends SignatureType | 'void' = 'void',
    const O extends TrampolineOptions<A, R, P> = TrampolineOptions<A, R, P>,
  >(options: O & TrampolineOptions<A, R, P> & Complete<O>): Trampoline<O> {
    return new Trampoline<O>(this.#trampolines(), options);
  }

  /**
   * C function pointers that share one user data, as SQLite's aggregates or an XML parser's handlers do: `bind` takes an
   * object with a method for each. As `trampoline` otherwise.
   */
  trampolines<const G extends Readonly<Record<string, TrampolineOptions>>>(
    group: G & { readonly [K in keyof G]: Complete<G[K]> },
  ): TrampolineGroup<G> {
    return new TrampolineGroup<G>(this.#trampolines(), group);
  }

  /**
   * A C function `void (*)(void *)` for libraries that want a destructor of their user data: it releases the handle, of
   * any registry, on any thread. What C owns so need not be unbound. JavaScript drops it with the next turn of the event
   * loop, or at `drain()`; `stats` and `has` see it then.
   */
  get destroyNotify(): bigint {
    return backend().destroyNotify();
  }

  #trampolines(): Closures {
    this.requireOpen();
    if (this.#koffi === undefined && isKoffiThere()) this.useKoffi(koffi());
    return this.#closures;
  }

  /**
   * Loads a shared library and runs its `haft_plugin_init(api, realm)`, on this thread and before this returns; handlers
   * that it calls run meanwhile. The library stays for as long as the process. To load it again does nothing, and tells
   * the same `Plugin`; after a failure it tries anew. Another registry runs `haft_plugin_init` again, with its own realm.
   *
   * @throws HaftError `HAFT_E_NOT_FOUND` when there is no such file, `HAFT_E_ARGUMENT` when it does not load or exports no
   * `haft_plugin_init`, `HAFT_E_ABI` when it was built for another major version, `HAFT_E_CLOSED`; or what
   * `haft_plugin_init` returned.
   */
  loadPlugin(path: string): Plugin {
    this.requireOpen();
    return this.#plugins.load(path, this.id);
  }

  /**
   * Functions of the host: those that C gave by `haft_expose` for this registry, with the types that they have there.
   *
   * ```ts
   * const host = registry.host({ lookup: { args: ['str'], returns: 'str' } });
   * const found = await host.lookup('a key');
   * const same = host.sync.lookup('a key');
   * ```
   *
   * A function runs on a thread of C's that waits in `haft_serve`, or else in `haft_call` or `haft_find`; the call waits for
   * one. While `sync` waits, messages are handled: so the function may call JavaScript. A handler that answers it with a
   * promise is `HAFT_E_DEADLOCK` to the function then. A handle among the arguments is valid until the call has ended; one
   * that is the result carries a reference, to be released.
   *
   * Each call rejects, or throws, with a HaftError: the status that the function returned, with its text; `HAFT_E_NOT_FOUND`
   * where C gave none of that name, `HAFT_E_RESULT` for an answer of another type, `HAFT_E_ARGUMENT`, `HAFT_E_TIMEOUT`,
   * `HAFT_E_CLOSED`; `HAFT_E_BUSY` when 256 calls wait or run, or 64 functions stand one inside the other on their thread.
   *
   * @param options.timeoutMilliseconds How long each call may take. The function is not stopped; its answer is dropped.
   * @throws HaftError `HAFT_E_BACKEND` without the addon, `HAFT_E_ARGUMENT`, `HAFT_E_CLOSED`.
   */
  host<const O extends HostSignatures>(functions: O, options?: HostOptions): HostFunctions<O> {
    this.requireOpen();
    return this.#host.functions(functions, options);
  }

  /** Handles what waits in the mailboxes now, up to 4,096 messages, instead of in the next turn. A handler may call it. */
  drain(): void {
    this.requireOpen();
    if (drained.isHeard) this.#tellDrain(() => this.#mailboxes.drainNow());
    else this.#mailboxes.drainNow();
  }

  /** Keeps the event loop alive until `unref`; they count. A running host does it by itself. */
  ref(): this {
    this.requireOpen();
    if (this.#references++ === 0) this.#updateRef();
    return this;
  }

  unref(): this {
    if (this.closed || this.#references === 0) return this;
    if (--this.#references === 0) this.#updateRef();
    return this;
  }

  /**
   * Waits until one of `events` happens, a mask of `EVENT`, and tells which did. Any number may wait, each for its own.
   *
   * ```ts
   * await registry.wait(EVENT.empty, { signal: AbortSignal.timeout(1000) });
   * ```
   *
   * @throws HaftError `HAFT_E_CLOSED` when the registry closes, unless `EVENT.closing` is among the events;
   * `HAFT_E_ARGUMENT`; or the signal's reason.
   */
  async wait(events: number, options?: { signal?: AbortSignal }): Promise<number> {
    const signal = signalOf(options);
    if (this.closed && (events & EVENT.closing) !== 0) return EVENT.closing;
    this.requireOpen();
    return this.#waits.wait(events, signal);
  }

  /**
   * Lets objects of these kinds be moved here, each with `serialize` and `deserialize`.
   * @throws HaftError `HAFT_E_KIND` for a kind without.
   */
  accept(...kinds: readonly Kind[]): this {
    this.requireOpen();
    this.#mover.accept(kinds);
    return this;
  }

  /**
   * Moves an object to another realm of the process, such as a worker's registry: its kind's `serialize` makes a string
   * or bytes of it here, `deserialize` an object there. Messages that come meanwhile wait and go after it. Each
   * reference to the old handle becomes one to the new one, which this tells; in C the old handle answers
   * `HAFT_E_MOVED`, and `haft_moved` the new one.
   *
   * @param realm The other registry's `id`. It has said `accept(kind)`.
   * @param options.timeoutMilliseconds How long the other realm may take, 10,000 unless given.
   * @throws HaftError `HAFT_E_KIND`, `HAFT_E_NOT_FOUND` when the realm accepts none, `HAFT_E_TIMEOUT`, `HAFT_E_CLOSED`,
   * `HAFT_E_EXCEPTION` when `deserialize` threw or returned a promise, `HAFT_E_RESULT` when `serialize` returned neither a
   * string nor a Uint8Array, `HAFT_E_BUSY`, `HAFT_E_MOVED`, `HAFT_E_TOO_LARGE` beyond 16 MiB, what `serialize` throws, or as
   * `get`. The object has then stayed where it was.
   */
  async moveTo<T>(
    handle: Handle<T>,
    realm: number,
    { timeoutMilliseconds = 10_000 }: { timeoutMilliseconds?: number } = {},
  ): Promise<Handle<T>> {
    const object = this.get(handle);
    if (realm === this.id) return handle;
    if (this.special > 0 && this.weaks.has(handle)) {
      throw new HaftError('HAFT_E_ARGUMENT', {
        handle,
        message: 'a weak handle cannot be moved: nothing would keep the object in the other realm',
        next: 'move by a handle that is not weak',
      });
    }
    if (!Number.isInteger(timeoutMilliseconds) || timeoutMilliseconds <= 0) {
      throw new HaftError('HAFT_E_ARGUMENT', {
        message: `timeoutMilliseconds is ${String(timeoutMilliseconds)}`,
        next: 'give a whole number above 0',
      });
    }
    const kind = this.kinds[this.kindNumberOf(handle)];
    const now = await this.#mover.move(handle, object as object, kind, realm, timeoutMilliseconds);
    return now as Handle<T>;
  }

  /**
   * Where the object of a handle lives that was moved away; a handle that is valid here gives itself. The answer is kept
   * for the latest 65,536 moves, while there are slots.
   * @throws HaftError as `get`.
   */
  moved<T>(handle: Handle<T>): Handle<T> {
    if (this.has(handle)) return handle;
    this.requireOpen();
    const known = normalize(handle);
    if (!isInHandleRange(known)) throw new HaftError('HAFT_E_FORGED', { handle });
    const { status, now } = this.#departed.whereNow(known);
    if (status !== STATUSES.HAFT_OK.status) throw errorOfStatus(status, { handle });
    return now as Handle<T>;
  }

  /**
   * Does in the background what otherwise waits until it is needed: drops objects whose last reference native code has
   * released, gives back blocks of slots that nobody uses, and counts what is there, by kind. A millisecond a turn at
   * most. Who asks while a run is under way has the next one; those who wait for one run share it.
   *
   * @throws HaftError `HAFT_E_CLOSED`; or the signal's reason. A run that nobody waits for any more stops.
   */
  async collect(options?: { signal?: AbortSignal }): Promise<Collected> {
    this.requireOpen();
    const result = this.#collector.collect(signalOf(options));
    if (trace !== undefined) this.#traceCollect(result);
    return result;
  }

  #traceCollect(result: Promise<Collected>): void {
    const id = `${this.id} ${++this.#collects}`;
    trace!.begin('collect', id, { realm: this.id });
    result.then(
      ({ reclaimed, live }) => trace!.end('collect', id, { reclaimed, live }),
      (error) => trace!.end('collect', id, { failed: String(error) }),
    );
  }

  /** The result of the latest run of `collect`. */
  get collected(): Collected | undefined {
    return this.#collector.latest;
  }

  /** Numbers about the table and its messages; after `close` as they were at the end. */
  override stats(): RegistryStats {
    const { slots } = this.mirror;
    const live = this.closed ? 0 : this.mirror.live - this.haftsOwn.size;
    const created = this.mirror.created - this.haftsOwn.size;
    if (!this.closed) this.#mailboxes.publishHeads();
    const shards = countersOf(this.#finalCounters ?? this.native.counters());
    const { gone } = this.#mailboxes;
    return { live, created, retired: this.retired, slots, ...sumOf(shards), gone, shards };
  }

  /**
   * What the registry holds: live handles by kind, the oldest ones singly, what became of messages. It looks at every slot:
   * tens of milliseconds for 100,000 handles.
   * @throws HaftError `HAFT_E_CLOSED`.
   */
  report(options?: ReportOptions): RegistryReport {
    this.requireOpen();
    return makeReport(this.#insides, options);
  }

  /**
   * Ends the realm: every handle, every waiting call (`HAFT_E_CLOSED` to its caller), and whatever is asked later. Waits
   * until no native operation is in flight, a second at most. May be called by a handler. Idempotent.
   */
  override close(): void {
    if (this.closed || this.#closes) return;
    this.#closes = true;
    if (closes.isHeard) closes.tell({ registry: this });
    tellLeaks(this, this.#insides, 'close');
    registryClosed(this);
    leave(this);
    this.pins.close();
    this.#departed.close();
    this.#mailboxes.close();
    this.#finalCounters = this.native.close();
    this.#waits.close();
    this.#collector.close();
    this.#mover.close();
    this.#host.close();
    this.#closures.close();
    leaveKoffi(this.#koffi, this.#closures);
    this.mirror.clear();
    this.weaks.close();
    this.special = 0;
    super.close();
    trace?.instant('close registry', { realm: this.id });
  }

  // ---- What the table needs ----

  protected override reclaim(): void {
    this.#mailboxes.reclaim();
  }

  protected override makeRoom(): void {
    this.#departed.forget();
  }

  protected override fullTable(): string {
    return this.#overflows.table();
  }

  protected override ended(kind: number): void {
    this.#closures.ended(kind);
  }

  protected override reportMemory(error: HaftError, handle: number): void {
    this.#report(error, handle, { kindName: MemoryKind.name, name: 'pin' });
  }

  // Level 2: the whole table is walked after each drain. Who hears of it is the `error` event, or the process.
  #checkInvariants(): void {
    const broken = this.native.walk() ?? brokenMirror(this.mirror, (index) => this.weaks.at(index));
    if (broken === undefined) return;
    this.native.tellBroken(broken);
    const next = 'some code has written into memory that is not its own: run it under AddressSanitizer';
    const error = new HaftError('HAFT_E_INTERNAL', { message: broken, next });
    this.#report(error, 0, { kindName: '', name: 'drain' });
  }

  // ---- What the drain needs ----

  #receiver(): Receiver {
    return {
      mirror: this.mirror,
      opOf: (number) => this.#opOf(number),
      reportError: (error, handle, op) => this.#report(error, handle, op),
      threw: (error, handle, op) => this.#closures.threwHere(error, handle, op),
      reportGone: (handle, op) => {
        if (this.#events.listenerCount('error') === 0) return;
        const isWeak = this.isWeak(handle);
        const message = `a post of ${op.text} found its object ${isWeak ? 'collected' : 'gone'}`;
        const code = isWeak ? 'HAFT_E_COLLECTED' : 'HAFT_E_STALE';
        this.#report(new HaftError(code, { handle, kind: op.kindName, message }), handle, op);
      },
      weakTarget: (handle) => this.weakTarget(handle),
      statusOfGone: (handle) => {
        if (this.#departed.has(handle)) return STATUSES.HAFT_E_MOVED.status;
        return this.isWeak(handle) ? STATUSES.HAFT_E_COLLECTED.status : STATUSES.HAFT_E_STALE.status;
      },
      hasMoved: (handle) => this.#departed.has(handle),
      sendOn: (handle, op, args) => this.#departed.sendOn(handle, op, args),
      reportDeclined: (code, message, handle, op) => {
        if (this.#events.listenerCount('error') === 0) return;
        this.#report(new HaftError(code, { handle, kind: op.kindName, message }), handle, op);
      },
      freeReleased: () => this.freeReleased(),
      hostAnswered: () => this.#host.answered(),
      mailboxFull: (shard, head) => this.#overflows.mailbox(shard, head),
      drained: checkLevel === 2 ? () => this.#checkInvariants() : undefined,
      happened: (events) => this.#waits.happened(events),
      promisesWaiting: (count) => {
        const before = this.#promises;
        this.#promises = count;
        if ((before === 0) !== (count === 0)) this.#updateRef();
      },
    };
  }

  #report(error: unknown, handle: number, op: Place): void {
    if (this.#events.listenerCount('error') === 0) {
      Promise.reject(error);
      return;
    }
    try {
      this.#events.emit('error', error, { handle, kind: op.kindName, op: op.name });
    } catch (thrown) {
      Promise.reject(thrown); // a listener that throws must not end the drain
    }
  }

  #closureTable(): ClosureTable {
    return {
      native: this.native,
      numberOf: (of) => this.numberOf(of),
      kindOfNumber: (number) => this.kinds[number],
      issue: (value, kindNumber) => {
        const handle = this.issue(value, kindNumber);
        this.histories?.note(handle, DEED.createOwn); // C releases it by destroyNotify, if at all
        return handle;
      },
      end: (handle) => {
        if (this.holds(handle)) this.end(handle);
      },
      has: (handle) => this.has(handle),
      get: (handle, of) => this.get(handle, of),
      createOwn: (object, of) => this.createOwn(object, of),
      isClosed: () => this.closed,
      isHeard: () => this.#events.listenerCount('error') > 0,
      isLive: (handle) => this.checked(handle) === STATUSES.HAFT_OK.status,
      mailboxes: this.#mailboxes,
      report: (error, handle, place) => this.#report(error, handle, place),
      changed: () => this.#updateRef(),
    };
  }

  #movable(): Movable {
    return {
      native: this.native,
      check: (handle) => void this.get(handle as Handle),
      numberOf: (kind) => this.numberOf(kind),
      create: (object, kind) => this.create(object, kind),
      createOwn: (object, kind) => this.createOwn(object, kind),
      hold: (handle) => this.#mailboxes.hold(handle),
      unhold: (handle) => {
        if (!this.closed) this.#mailboxes.unhold(handle);
      },
      leave: (handle, now) => this.#departed.leave(handle, now),
      changed: () => this.#updateRef(),
    };
  }

  #departedTable(): DepartedTable {
    return {
      native: this.native,
      mirror: this.mirror,
      mailboxes: this.#mailboxes,
      kindOfNumber: (number) => this.kinds[number]!,
      forgotten: (handle, value) => this.forgotten(handle, value),
      report: (error, handle, op) => this.#report(error, handle, op),
      retired: () => this.retired++,
    };
  }

  #hostCaller(): Caller {
    return {
      native: this.native.host,
      requireOpen: () => this.requireOpen(),
      canServe: () => this.#mailboxes.canServe,
      drop: (handle) => {
        if (!this.closed) this.dropReference(handle);
      },
      changed: () => this.#updateRef(),
    };
  }

  #collectable(): Collectable {
    return {
      mirror: this.mirror,
      reclaim: () => {
        this.#mailboxes.reclaim();
        this.native.sweepLabels();
      },
      weakAt: (index) => (this.special > 0 ? this.weaks.handleAt(index) : undefined),
      reclaimed: () => this.reclaimed,
      isOwn: (handle) => this.haftsOwn.has(handle),
      kindName: (number) => this.#insides.kindName(number),
      giveBlock: (n) => this.giveBlock(n),
      comeBack: () => this.native.ring(),
      changed: () => this.#updateRef(),
      collected: () => this.#waits.happened(EVENT.collected),
    };
  }

  // What debugging and tests see of it.
  #makeInsides(): Insides & Crowded & Reportable {
    const overflows = () => this.#overflows.latest;
    return {
      registry: this,
      id: this.id,
      backend: this.backend,
      checkLevel,
      native: this.native,
      mirror: this.mirror,
      mailboxes: this.#mailboxes,
      i32: new Int32Array(this.native.buffer),
      f64: new Float64Array(this.native.buffer),
      names: this.named,
      get overflows() {
        return overflows();
      },
      kindName: (number) => this.kinds[number]?.name ?? '',
      opOf: (number) => this.#opOf(number),
      isOwn: (handle) => this.haftsOwn.has(handle),
      isKept: (handle) => this.kept.has(handle),
      isClosed: () => this.closed,
      counters: () => countersOf(this.native.counters()),
      numbers: () => this.stats(),
      labels: () => backend().labels(),
      resultsOut: () => backend().resultsOut(),
      historyOf: (handle) => this.historyOf(handle),
    };
  }

  #opOf(number: number): Op {
    return this.kinds[number >>> 16]!.ops[number & 0xffff]!;
  }

  #updateRef(): void {
    if (this.closed) return;
    const held =
      this.#references +
      this.#promises +
      this.#waits.waiting +
      this.#mover.moving +
      this.#host.waiting +
      this.#closures.count;
    if (held > 0 || this.#collector.active) this.native.ref();
    else this.native.unref();
  }
}

// Without the addon it is koffi that calls JavaScript, and only the copy that haft has.
function requireOwnKoffi(given: { readonly register: unknown }): void {
  if (copyOf(given) === copyOf(koffi())) return;
  throw new HaftError('HAFT_E_BACKEND', {
    message: 'without the addon C has to be called by the copy of koffi that haft itself uses',
    next: 'install one koffi for both, of the version in the package.json of haft',
  });
}
