// The handles of a realm: the table that JavaScript and native threads share, with everything that a JavaScript caller does
// to one of its handles. What becomes of messages, and the realm's end, is registry.ts.
import { backend } from './backend.js';
import type { NativeRealm } from './binding.js';
import { checkLevel } from './checks.js';
import {
  BLOCK_BITS,
  BLOCK_SLOTS,
  EXCHANGE,
  EXCHANGE_FLAG,
  EXCHANGE_HANDLE,
  EXCHANGE_LIST,
  EXCHANGE_STATUS,
  NAMES,
  STATUSES,
} from './constants.js';
import { DEED, type HandleHistory, Histories, stackText } from './debugging/history.js';
import { errorOfStatus, HaftError } from './errors.js';
import type { Handle } from './handle.js';
import { INDEX_MASK, isInHandleRange, normalize, SLOT_MASK } from './handle.js';
import { Handles } from './handles.js';
import { type Kind, type Signatures, signatureText } from './kind.js';
import { type Memory, MemoryKind, type Pin, type Pinnable, Pins } from './lifetimes/pins.js';
import { Weaks } from './lifetimes/weak.js';
import { Block, Mirror } from './mirror.js';

const HANDLE_PLACE = (EXCHANGE >> 3) + (EXCHANGE_HANDLE >> 1);
const STATUS_WORD = (EXCHANGE >> 2) + EXCHANGE_STATUS;
const FLAG_WORD = (EXCHANGE >> 2) + EXCHANGE_FLAG;
const LIST_WORD = (EXCHANGE >> 2) + EXCHANGE_LIST;
const LABEL_BYTES = 63;

export abstract class RealmTable extends Handles {
  protected readonly native: NativeRealm;
  protected readonly mirror: Mirror;
  /** By the kind's number in the process. */
  protected readonly kinds: (Kind | undefined)[] = [];
  /** Handles of haft's own, which nobody else counts. */
  protected readonly haftsOwn = new Set<number>();
  /** Handles that are meant to live as long as the registry. */
  protected readonly kept = new Set<number>();
  protected readonly weaks: Weaks;
  protected readonly pins: Pins;
  /** Weak handles and pins that have not ended: while there are none, nobody looks for them. */
  protected special = 0;
  /** Slots that are out of use for ever. */
  protected retired = 0;
  /** Objects dropped because native code released them. */
  protected reclaimed = 0;
  /** Level 2 only. */
  protected readonly histories: Histories | undefined;
  readonly #i32: Int32Array;
  readonly #f64: Float64Array;
  readonly #alike = new Map<Kind, number>();

  constructor(native: NativeRealm) {
    super();
    this.native = native;
    this.mirror = new Mirror(native.blockBase, native.generationMask);
    this.#i32 = new Int32Array(native.buffer);
    this.#f64 = new Float64Array(native.buffer);
    this.histories = checkLevel === 2 ? new Histories(native) : undefined;
    this.weaks = new Weaks(native, this.mirror);
    this.pins = new Pins({
      native,
      owners: this.owners,
      create: (memory) => {
        const handle = this.create(memory, MemoryKind);
        this.special++;
        return handle;
      },
      end: (handle) => this.endIfAlive(handle),
      report: (error, handle) => this.reportMemory(error, handle),
    });
  }

  // ---- What only the registry knows ----

  /** Takes back what native code has released. */
  protected abstract reclaim(): void;
  /** Frees slots of objects that have moved away, when there is no other. */
  protected abstract makeRoom(): void;
  /** What the table is full of, in words. */
  protected abstract fullTable(): string;
  /** A handle has ended whose object was of this kind. */
  protected abstract ended(kind: number): void;
  protected abstract reportMemory(error: HaftError, handle: number): void;

  // ---- Ways to hold ----

  /**
   * A handle that keeps nothing alive: for C that may use an object while it is there, and does not own it. Native code
   * uses it as any other, until the object is collected: then every use is `HAFT_E_COLLECTED`, in C and here, but for
   * `release` and `delete`. The last release frees the slot; without one the slot stays taken, and no more than that.
   *
   * It carries one reference, as what `create` issues. The same object may have any number of them, and others that are not
   * weak. It cannot be moved.
   *
   * @throws HaftError as `create`; `HAFT_E_ARGUMENT` for what is neither an object nor a function.
   */
  weak<T extends object>(object: T, kind?: Kind<T, never> | Kind<T, Signatures>): Handle<T> {
    if ((typeof object !== 'object' || object === null) && typeof object !== 'function') {
      throw new HaftError('HAFT_E_ARGUMENT', {
        message: 'the value is neither an object nor a function: it is never collected',
        next: 'use create',
      });
    }
    const handle = this.create(object, kind);
    this.weaks.add(handle, object);
    this.special++;
    return handle;
  }

  /**
   * Keeps a buffer, or the part of one that a view shows, where it is, for C that goes on using it: see `Pin`. Each call is
   * a pin of its own.
   *
   * From then on Node refuses to transfer the buffer, also after `unpin`: Node 20 copies it instead, 22 and later throw.
   * What detaches it all the same (`ArrayBuffer.prototype.transfer` in Node 22, a `WebAssembly.Memory` that grows) is told to the
   * `error` event when the pin ends, or by `unpin`, as `HAFT_E_DETACHED`; at level 2 of HAFTCHECK after the next drain.
   *
   * @throws HaftError `HAFT_E_DETACHED` for a buffer that is detached, resizable or growable; `HAFT_E_ARGUMENT` for what is
   * no buffer; `HAFT_E_SLOTS`, `HAFT_E_CLOSED`.
   */
  pin(buffer: Pinnable): Pin {
    this.requireOpen();
    return this.pins.pin(buffer);
  }

  /**
   * Of a handle: hands one reference of JavaScript's to native code, as in `Handles`.
   *
   * Of a buffer: its memory changes hands, without a copy. JavaScript's buffer is detached, and the handle that comes back
   * carries one reference, which is native code's: `haft_memory` tells where the memory is, and the last `haft_release` frees
   * it, soon after.
   *
   * @throws HaftError for a buffer: `HAFT_E_DETACHED` if it is detached, `HAFT_E_ARGUMENT` for what is shared, pinned,
   * a part of a buffer, or not to be transferred; `HAFT_E_SLOTS`, `HAFT_E_CLOSED`.
   */
  override transfer<H extends Handle | number | bigint>(handle: H): H;
  override transfer(buffer: ArrayBuffer | Uint8Array): Handle<Memory>;
  override transfer(what: Handle | number | bigint | ArrayBuffer | Uint8Array): number | bigint {
    if (typeof what !== 'object' || what === null) return super.transfer(what);
    this.requireOpen();
    const handle = this.pins.transfer(what);
    this.transferred(handle);
    return handle;
  }

  // Whose reference it is, is native code's to know at level 2 of HAFTCHECK.
  protected override transferred(handle: number): number {
    this.#f64[HANDLE_PLACE] = handle;
    this.native.transfer(checkLevel === 2 ? stackText() : '');
    return this.#i32[STATUS_WORD]!;
  }

  /**
   * As `retain`, with a label that says what the reference is for: text of 1 to 63 bytes. Reports count by label.
   * @throws HaftError as `retain`; `HAFT_E_ARGUMENT` for what is no label.
   */
  retainAs<H extends Handle | number | bigint>(handle: H, label: string): H {
    const known = this.#labelled(handle, label);
    this.native.retainAs(label, checkLevel === 2 ? stackText() : '');
    const status = this.#i32[STATUS_WORD]!;
    if (status !== STATUSES.HAFT_OK.status) throw errorOfStatus(status, { handle: known });
    return handle;
  }

  /**
   * Gives back a reference that has this label. @throws HaftError as `release`; `HAFT_E_OWNER` when the handle has none of
   * that label; `HAFT_E_ARGUMENT`.
   */
  releaseAs(handle: Handle | number | bigint, label: string): void {
    const known = this.#labelled(handle, label);
    this.native.releaseAs(label, checkLevel === 2 ? stackText() : '');
    const status = this.#i32[STATUS_WORD]!;
    if (status === STATUSES.HAFT_OK.status) return;
    const message = `JavaScript owns no reference of the handle that is labelled "${label}"`;
    const isOwners = status === STATUSES.HAFT_E_OWNER.status;
    throw errorOfStatus(status, isOwners ? { handle: known, message } : { handle: known });
  }

  // Puts the handle where native code finds it.
  #labelled(handle: unknown, label: string): number {
    const known = this.knownOf(handle);
    const bytes = typeof label === 'string' ? Buffer.byteLength(label) : 0;
    if (bytes === 0 || bytes > LABEL_BYTES || label.includes('\0')) {
      throw new HaftError('HAFT_E_ARGUMENT', {
        handle: known,
        message: 'the label is none',
        next: `give a string of 1 to ${LABEL_BYTES} bytes in UTF-8, without NUL`,
      });
    }
    if (this.special > 0) this.weaks.targetOf(known);
    this.#f64[HANDLE_PLACE] = known;
    return known;
  }

  /** Says that a handle is meant to live until the registry closes: it is no leak. @throws HaftError as `get`. */
  keep<H extends Handle | number | bigint>(handle: H): H {
    this.get(handle as Handle);
    this.kept.add(Number(handle));
    return handle;
  }

  // ---- What the base class needs ----

  protected holds(handle: number): boolean {
    const block = this.mirror.blockOf(handle & INDEX_MASK);
    return block !== undefined && block.handles[handle & SLOT_MASK] === handle;
  }

  protected objectOf(handle: number): unknown {
    return this.mirror.blockOf(handle & INDEX_MASK)!.values[handle & SLOT_MASK];
  }

  protected kindNumberOf(handle: number): number {
    return this.mirror.blockOf(handle & INDEX_MASK)!.kinds[handle & SLOT_MASK]!;
  }

  protected override isWeak(handle: number): boolean {
    return this.special > 0 && this.weaks.has(handle);
  }

  protected override weakTarget(handle: number): object | undefined {
    return this.special > 0 ? this.weaks.targetOf(handle) : undefined;
  }

  protected issue(value: unknown, kind: number): number {
    if (this.mirror.freeCount === 0) this.#grow();
    const handle = this.mirror.publish(value, kind);
    if (this.histories !== undefined) this.histories.note(handle, DEED.create);
    return handle;
  }

  #grow(): void {
    this.requireOpen();
    // P4: slots that were released but not yet freed come first.
    this.reclaim();
    while (this.mirror.freeCount === 0) {
      const buffer = this.native.takeBlock();
      const number = this.#i32[FLAG_WORD]!;
      if (buffer === undefined) {
        this.makeRoom();
        if (this.mirror.freeCount === 0) {
          throw new HaftError('HAFT_E_SLOTS', { message: this.fullTable() });
        }
        continue;
      }
      this.mirror.addBlock(number, new Block(new Int32Array(buffer)));
    }
  }

  protected numberOf(kind: Kind): number {
    const { number } = kind;
    return this.kinds[number] === kind ? number : (this.#alike.get(kind) ?? this.#define(kind));
  }

  #define(kind: Kind): number {
    const ops = kind.ops.map(({ name }) => `${name}\0`).join('');
    const signatures = kind.ops.map(({ signature }) => `${signatureText(signature)}\0`).join('');
    const number = backend().defineKind(kind.name, kind.fingerprint, ops, signatures);
    if (number < 0) throw errorOfStatus(number, { kind: kind.name });
    while (this.kinds.length <= number) this.kinds.push(undefined); // no holes: a sparse array is a hash table
    // Two kinds that are alike in name and signatures are one: the first one's ops serve both.
    if (this.kinds[number] === undefined) {
      this.kinds[number] = kind;
      kind.number = number;
    } else {
      if (!this.kinds[number].hasOptionsOf(kind)) {
        const message = 'the registry knows a kind of this name and these signatures, with other options';
        const next = 'define it once, and share the kind';
        throw new HaftError('HAFT_E_ARGUMENT', { kind: kind.name, message, next });
      }
      this.#alike.set(kind, number);
    }
    return number;
  }

  protected kindOfNumber(number: number): Kind | undefined {
    return this.kinds[number];
  }

  protected end(handle: number): number {
    const index = handle & INDEX_MASK;
    const block = this.mirror.blockOf(index)!;
    if ((block.lives > 0 || this.#hasLives(block, index)) && this.mirror.end(block, index & SLOT_MASK)) {
      this.#drop(index, false, DEED.delete);
      return STATUSES.HAFT_OK.status;
    }
    this.#f64[HANDLE_PLACE] = handle;
    this.native.remove();
    const status = this.#i32[STATUS_WORD]!;
    if (status === STATUSES.HAFT_OK.status) this.#drop(index, this.#i32[FLAG_WORD] !== 0, DEED.delete);
    return status;
  }

  // Whether no slot of the block can have come round by now. Not asked each time while one is about to.
  #hasLives(block: Block, index: number): boolean {
    if (block.lives < 0) {
      block.lives++;
      return false;
    }
    this.#i32[FLAG_WORD] = index >>> BLOCK_BITS;
    this.native.livesLeft();
    block.lives = this.#i32[FLAG_WORD]! || -BLOCK_SLOTS;
    return block.lives > 0;
  }

  // The slot of a handle that has ended is free again, or retired.
  #drop(index: number, retired: boolean, why: 5 | 6): void {
    const block = this.mirror.blockOf(index)!;
    const slot = index & SLOT_MASK;
    if (this.special > 0) this.#endSpecial(block, index);
    if (this.histories !== undefined) this.histories.note(block.handles[slot]!, why);
    this.forgotten(block.handles[slot]!, block.values[slot]);
    if (this.kept.size > 0) this.kept.delete(block.handles[slot]!);
    this.ended(block.kinds[slot]!);
    this.mirror.drop(block, slot);
    if (retired) this.retired++;
    else this.mirror.giveBack(index);
  }

  #endSpecial(block: Block, index: number): void {
    const weak = this.weaks.ended(index);
    if (weak !== undefined) block.handles[index & SLOT_MASK] = weak; // whose end is told
    if (weak !== undefined || this.pins.ended(index)) this.special--;
  }

  protected addReference(handle: number, why: 'retain' | 'intern'): number {
    if (this.special > 0) this.weaks.targetOf(handle); // to native code it may be live still
    if (this.histories !== undefined) return this.histories.note(handle, DEED[why]);
    this.#f64[HANDLE_PLACE] = handle;
    this.native.retain();
    return this.#i32[STATUS_WORD]!;
  }

  protected dropReference(handle: number): number {
    if (this.histories !== undefined) return this.histories.note(handle, DEED.release);
    this.#f64[HANDLE_PLACE] = handle;
    this.native.release();
    return this.#i32[STATUS_WORD]!;
  }

  protected override withHistory(error: HaftError, handle: number): HaftError {
    if (this.histories !== undefined && error.rule !== undefined && !this.closed)
      error.stack += this.histories.lines(handle);
    return error;
  }

  /** @internal What is known of a handle, one that has ended included; `undefined` below level 2. */
  historyOf(handle: Handle | number | bigint): HandleHistory | undefined {
    const known = normalize(handle);
    if (this.closed || !isInHandleRange(known)) return undefined;
    return this.histories?.of(known);
  }

  // What native code says of a handle.
  protected checked(handle: number): number {
    this.#f64[HANDLE_PLACE] = handle;
    this.native.check();
    return this.#i32[STATUS_WORD]!;
  }

  protected diagnose(handle: number): number {
    const status = this.checked(handle);
    return status === STATUSES.HAFT_OK.status ? STATUSES.HAFT_E_STALE.status : status;
  }

  protected override publishName(name: string, handle: number): void {
    this.#f64[HANDLE_PLACE] = handle;
    this.native.publish(name);
    const status = this.#i32[STATUS_WORD]!;
    if (status === STATUSES.HAFT_E_SLOTS.status) {
      throw new HaftError('HAFT_E_SLOTS', { handle, message: `a realm has at most ${NAMES} names` });
    }
    if (status !== STATUSES.HAFT_OK.status) throw errorOfStatus(status, { handle });
  }

  // ---- What the drain needs ----

  protected freeReleased(): void {
    for (;;) {
      this.native.freeReleased();
      const count = this.#i32[FLAG_WORD]!;
      if (count === 0) return;
      for (let i = 0; i < count; i++) {
        const freed = this.#i32[LIST_WORD + i]!;
        this.reclaimed++;
        if (freed < 0) this.#drop(-1 - freed, true, DEED.drop);
        else this.#drop(freed, false, DEED.drop);
      }
    }
  }

  protected createOwn<T>(object: T, of: Kind<T, never> | Kind<T, Signatures>): Handle<T> {
    const handle = this.create(object, of);
    this.haftsOwn.add(handle);
    this.histories?.note(handle, DEED.createOwn);
    return handle;
  }

  protected giveBlock(n: number): boolean {
    this.#i32[FLAG_WORD] = n + this.mirror.base;
    this.native.giveBlock();
    if (this.#i32[FLAG_WORD] === 0) return false;
    this.mirror.removeBlock(n);
    return true;
  }
}
