// Messages and results: arguments out of C's memory or out of JavaScript, into a cell, and an answer out of a reply
// into C's memory. What stands in a cell is what native/core/message.cc writes.
import { Buffer, isAscii, isUtf8 } from 'node:buffer';
import { checkSetting } from '../checks.js';
import {
  ARGS_MAX,
  ASCII_FLAG,
  CELL_ARGS,
  CELL_BYTES,
  CELL_HANDLE,
  CELL_OP,
  CELL_REPLY,
  CELL_SHAPE,
  HEAP_TAIL_CHUNK,
  INLINE_ARGS,
  PAYLOAD_MAX,
  REPLY_IN_HEAP,
  REPLY_INLINE_BYTES,
  REPLY_LENGTH,
  REPLY_STATUS,
  REPLY_TEXT,
  REPLY_TYPE,
  REPLY_VALUE,
  SHAPE_CELLS_SHIFT,
  SHAPE_COUNT_SHIFT,
  SHAPE_HEAP_BIT,
  STATUSES,
} from '../constants.js';
import { TYPES } from '../kind.js';
import { argumentsOf, fits } from '../messages/wire.js';
import type { Chunks } from './chunks.js';
import type { OpTypes } from './kinds.js';
import { libc, load, type MaybePointer, type Pointer, pointerIn, scratch, store } from './memory.js';

const OK = STATUSES.HAFT_OK.status;
const ARGUMENT = STATUSES.HAFT_E_ARGUMENT.status;
const TOO_LARGE = STATUSES.HAFT_E_TOO_LARGE.status;
const UTF8 = STATUSES.HAFT_E_UTF8.status;

const TYPE_NAMES = Object.keys(TYPES);
const VALUE_BYTES = 16;
const VALUE_LENGTH = 4;
const VALUE = 8;
/** The longest message inside a ring; a longer one goes to a chunk. */
export const MESSAGE_CELLS = 16;
const TAIL_BYTES = (MESSAGE_CELLS - 1) * CELL_BYTES;
const HEAP_CELLS = 2;

/** Where the cells and replies of a realm are. */
export interface Place {
  readonly i32: Int32Array;
  readonly f64: Float64Array;
  readonly i64: BigInt64Array;
  readonly u8: Buffer;
  readonly chunks: Chunks;
}

/**
 * The message that is being sent: there is one at a time, since nothing of the user's runs between reading it and
 * writing it into a cell.
 */
export class Message {
  count = 0;
  /** Bytes behind the first cell: values and types beyond the fifth, strings and bytes. */
  tailBytes = 0;
  /** Why the arguments are not what the op takes, as a sentence. @param types Whether their types count too. */
  misfit(op: OpTypes, types: boolean): string | undefined {
    const { args, text } = op;
    if (args === undefined) return undefined;
    if (this.count !== args.length) return `${text} takes ${argumentsOf(args.length)}, not ${this.count}`;
    if (!types) return undefined;
    const wrong = args.findIndex((declared, i) => !this.#fits(i, declared));
    if (wrong < 0) return undefined;
    const [is, declared] = [TYPE_NAMES[this.#types[wrong]!], TYPE_NAMES[args[wrong]!]];
    return `argument ${wrong + 1} of ${text} is ${is}, not ${declared}`;
  }

  #fits(i: number, declared: number): boolean {
    const type = this.#types[i]!;
    if (type === declared) return true;
    switch (type) {
      case TYPES.f64:
        return fits(declared, this.#f64[i]!);
      case TYPES.i32:
        return fits(declared, this.#i32[i * 2]!);
      case TYPES.u32:
        return fits(declared, this.#i32[i * 2]! >>> 0);
      default:
        return false;
    }
  }

  /** Of handles among the arguments: the one that `checkHandle` refused. */
  refused: unknown = 0;
  readonly #types = new Uint8Array(ARGS_MAX);
  readonly #bits = new ArrayBuffer(ARGS_MAX * 8);
  readonly #i32 = new Int32Array(this.#bits);
  readonly #f64 = new Float64Array(this.#bits);
  readonly #i64 = new BigInt64Array(this.#bits);
  readonly #short = Buffer.alloc(TAIL_BYTES);
  #tail: Buffer = this.#short;

  /** The cells that it takes in a ring. */
  get cells(): number {
    return this.isLong ? HEAP_CELLS : 1 + Math.ceil(this.tailBytes / CELL_BYTES);
  }

  /** Whether its tail goes to a chunk. */
  get isLong(): boolean {
    return this.tailBytes > TAIL_BYTES;
  }

  /** Reads an array of haft_value. @param checkHandle The status of a handle among them. */
  readC(args: MaybePointer, count: number, checkHandle: (handle: number | bigint) => number): number {
    this.refused = 0;
    if (!(count >= 0 && count <= ARGS_MAX) || (count !== 0 && args === null)) return ARGUMENT;
    this.count = count;
    if (count === 0) return this.#layOut(0);
    const view = load(args!, count * VALUE_BYTES);
    let payload = 0;
    let texts: (readonly [arg: number, from: Pointer, length: number])[] | undefined;
    for (let i = 0; i < count; i++) {
      const at = i * VALUE_BYTES;
      const type = view.getUint32(at, true);
      const length = view.getUint32(at + VALUE_LENGTH, true);
      this.#types[i] = type;
      switch (type) {
        case TYPES.f64:
          this.#f64[i] = view.getFloat64(at + VALUE, true);
          break;
        case TYPES.i64:
          this.#i64[i] = view.getBigInt64(at + VALUE, true);
          break;
        case TYPES.i32:
        case TYPES.u32:
          this.#setWord(i, view.getInt32(at + VALUE, true));
          break;
        case TYPES.bool:
          this.#setWord(i, view.getUint8(at + VALUE) === 0 ? 0 : 1);
          break;
        case TYPES.void:
          this.#setWord(i, 0);
          break;
        case TYPES.handle: {
          const handle = handleOf(view.getBigUint64(at + VALUE, true));
          const status = handle === 0 ? OK : checkHandle(handle);
          if (status !== OK) {
            this.refused = handle;
            return status;
          }
          this.#f64[i] = Number(handle);
          break;
        }
        case TYPES.str:
        case TYPES.bytes: {
          const from = pointerIn(view, at + VALUE);
          if (length !== 0 && from === 0n) return ARGUMENT;
          payload += length;
          if (payload > PAYLOAD_MAX) return TOO_LARGE;
          texts ??= [];
          texts.push([i, from, length]);
          break;
        }
        default:
          return ARGUMENT;
      }
    }
    let end = this.#layOut(payload);
    if (texts === undefined) return OK;
    // The scratch place is free again: the texts are copied to where they stay.
    for (const [i, from, length] of texts) {
      const bytes = this.#tail.subarray(end, end + length);
      if (length > 0) libc().copy(bytes, from, length);
      if (!this.#describe(i, end, bytes)) return UTF8;
      end += length;
    }
    return OK;
  }

  /** Reads values of JavaScript, of these types. */
  readScript(
    types: readonly number[],
    values: readonly unknown[],
    checkHandle: (handle: number) => number,
  ): number {
    this.refused = 0;
    this.count = types.length;
    if (types.length > ARGS_MAX) return ARGUMENT;
    const texts: (readonly [arg: number, bytes: Uint8Array])[] = [];
    let payload = 0;
    for (const [i, type] of types.entries()) {
      const value = values[i];
      this.#types[i] = type;
      if (type === TYPES.str || type === TYPES.bytes) {
        if (type === TYPES.str ? typeof value !== 'string' : !(value instanceof Uint8Array)) return ARGUMENT;
        const bytes = typeof value === 'string' ? Buffer.from(value) : (value as Uint8Array);
        payload += bytes.length;
        texts.push([i, bytes]);
      } else if (type === TYPES.i64) {
        this.#i64[i] = BigInt(value as bigint);
      } else if (type === TYPES.bool) {
        this.#setWord(i, value ? 1 : 0);
      } else if (type === TYPES.f64 || type === TYPES.handle) {
        this.#f64[i] = Number(value);
        const status = type === TYPES.handle && value !== 0 ? checkHandle(value as number) : OK;
        if (status !== OK) return status;
      } else {
        this.#setWord(i, type === TYPES.void ? 0 : Number(value));
      }
    }
    if (payload > PAYLOAD_MAX) return TOO_LARGE;
    let end = this.#layOut(payload);
    for (const [i, bytes] of texts) {
      this.#tail.set(bytes, end);
      this.#describe(i, end, bytes);
      end += bytes.length;
    }
    return OK;
  }

  /** Writes it into the cell at `at`. @param chunk Offset of the chunk with its tail, or 0. */
  write({ i32, f64, i64, u8 }: Place, at: number, handle: number, op: number, reply: number, chunk: number) {
    const inline = Math.min(this.count, INLINE_ARGS);
    let shape = this.count << SHAPE_COUNT_SHIFT;
    for (let i = 0; i < inline; i++) {
      const word = (at + CELL_ARGS + 8 * i) >> 2;
      i32[word] = this.#i32[i * 2]!;
      i32[word + 1] = this.#i32[i * 2 + 1]!;
      shape |= this.#types[i]! << (4 * i);
    }
    shape |= this.cells << SHAPE_CELLS_SHIFT;
    if (chunk !== 0) {
      shape |= SHAPE_HEAP_BIT;
      i64[(at + CELL_BYTES + HEAP_TAIL_CHUNK) >> 3] = BigInt(chunk);
    } else if (this.tailBytes > 0) {
      u8.set(this.#tail.subarray(0, this.tailBytes), at + CELL_BYTES);
    }
    f64[(at + CELL_HANDLE) >> 3] = handle;
    i32[(at + CELL_OP) >> 2] = op;
    i32[(at + CELL_REPLY) >> 2] = reply;
    i32[(at + CELL_SHAPE) >> 2] = shape;
  }

  /** The tail of a long message, which is the chunk's from now on. */
  takeTail(): Buffer {
    return this.#tail;
  }

  // Makes the tail, with the values beyond the fifth and their types; tells where texts begin. The status, where 0.
  #layOut(payload: number): number {
    const extras = Math.max(0, this.count - INLINE_ARGS);
    const texts = extras * 8 + ((extras + 7) & ~7);
    this.tailBytes = texts + payload;
    this.#tail = this.isLong ? Buffer.allocUnsafeSlow(this.tailBytes) : this.#short;
    for (let i = 0; i < extras; i++) {
      this.#putExtra(i);
      this.#tail[extras * 8 + i] = this.#types[INLINE_ARGS + i]!;
    }
    return texts;
  }

  #putExtra(i: number): void {
    this.#tail.writeBigInt64LE(this.#i64[INLINE_ARGS + i]!, i * 8);
  }

  // Where a text lies in the tail, how long it is, and whether every byte is below 0x80. False: it is no UTF-8.
  #describe(i: number, offset: number, bytes: Uint8Array): boolean {
    let ascii = false;
    if (this.#types[i] === TYPES.str) {
      ascii = isAscii(bytes);
      if (!ascii && !isUtf8(bytes)) return false;
    }
    this.#i32[i * 2] = offset;
    this.#i32[i * 2 + 1] = bytes.length | (ascii ? ASCII_FLAG : 0);
    if (i >= INLINE_ARGS) this.#putExtra(i - INLINE_ARGS);
    return true;
  }

  #setWord(i: number, value: number): void {
    this.#i32[i * 2] = value;
    this.#i32[i * 2 + 1] = 0;
  }
}

/** An integer of C as a handle is written: a number below 2^53. */
export function handleOf(bits: bigint): number | bigint {
  return bits <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(bits) : bits;
}

/** What a reply says: a result, or what went wrong. */
export interface Answer {
  readonly status: number;
  readonly type: number;
  /** Of a result that is no text: its 8 bytes. */
  readonly bits: bigint;
  /** The text of a result or of an error; the caller's. */
  readonly text: Buffer | undefined;
}

const NO_TEXT = Buffer.alloc(0);

/** Copies an answer out of a reply, and gives its chunk back. */
export function readReply(place: Place, reply: number): Answer {
  const { i32, i64, u8, chunks } = place;
  const status = i32[(reply + REPLY_STATUS) >> 2]!;
  const type = i32[(reply + REPLY_TYPE) >> 2]!;
  const length = i32[(reply + REPLY_LENGTH) >> 2]!;
  const bits = i64[(reply + REPLY_VALUE) >> 3]!;
  if (status === OK && type !== TYPES.str && type !== TYPES.bytes)
    return { status, type, bits, text: undefined };
  if (i32[(reply + REPLY_IN_HEAP) >> 2] !== 0) {
    const text = chunks.read(Number(bits), length) ?? NO_TEXT;
    chunks.give(Number(bits));
    return { status, type, bits: 0n, text };
  }
  const at = reply + REPLY_TEXT;
  return {
    status,
    type,
    bits: 0n,
    text: Buffer.from(u8.subarray(at, at + Math.min(length, REPLY_INLINE_BYTES))),
  };
}

/** Results that C has and has not freed, from level 1 on (pointer rule 4). */
const results = new Set<Pointer>();

export function resultsOut(): number {
  return results.size;
}

/** Writes a text as a result of C's, which frees it; false: there is no memory. */
export function storeText(to: Pointer, type: number, text: Uint8Array): boolean {
  const { view } = scratch();
  const memory = libc().malloc(text.length + 1);
  if (memory === null) return false;
  if (checkSetting().level > 0) results.add(memory);
  if (text.length > 0) libc().copy(memory, text, text.length);
  view.setUint8(0, 0);
  libc().copy(memory + BigInt(text.length), scratch().at, 1);
  view.setUint32(0, type, true);
  view.setUint32(VALUE_LENGTH, text.length, true);
  view.setBigUint64(VALUE, memory, true);
  store(to, VALUE_BYTES);
  return true;
}

/** Writes a result that is no text. */
export function storeBits(
  to: Pointer,
  type: number,
  bits: bigint,
  f64: Float64Array,
  i64: BigInt64Array,
): void {
  const { view } = scratch();
  view.setUint32(0, type, true);
  view.setUint32(VALUE_LENGTH, 0, true);
  if (type === TYPES.handle) {
    i64[0] = bits; // a handle travels as a double
    view.setBigUint64(VALUE, BigInt(f64[0]!), true);
  } else {
    view.setBigInt64(VALUE, type === TYPES.void ? 0n : bits, true);
  }
  store(to, VALUE_BYTES);
}

export function storeVoid(to: Pointer): void {
  const { view } = scratch();
  view.setBigUint64(0, 0n, true);
  view.setBigUint64(VALUE, 0n, true);
  store(to, VALUE_BYTES);
}

/** Frees the memory of a value of C's and makes it void; false: it is no result that is out, and was left alone. */
export function freeValue(at: Pointer): boolean {
  const view = load(at, VALUE_BYTES);
  const type = view.getUint32(0, true);
  const memory = pointerIn(view, VALUE);
  const isText = (type === TYPES.str || type === TYPES.bytes) && memory !== 0n;
  const isOurs = !isText || checkSetting().level === 0 || results.delete(memory);
  if (isText && isOurs) libc().free(memory);
  storeVoid(at);
  return isOurs;
}
