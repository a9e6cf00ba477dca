// Values on the wire: reads the arguments of a message out of the arena, and writes a result into a reply.
import type { NativeRealm } from '../binding.js';
import { checkLevel } from '../checks.js';
import {
  ASCII_FLAG,
  CELL_ARGS,
  CELL_BYTES,
  CELL_SHAPE,
  DIRECT,
  DIRECT_REPLY,
  EXCHANGE,
  EXCHANGE_FLAG,
  EXCHANGE_HANDLE,
  EXCHANGE_STATUS,
  HEAP_TAIL_CHUNK,
  INLINE_ARGS,
  REPLY_IN_HEAP,
  REPLY_INLINE_BYTES,
  REPLY_LENGTH,
  REPLY_STATUS,
  REPLY_TEXT,
  REPLY_TYPE,
  REPLY_VALUE,
  RING_BYTES,
  RINGS,
  SHAPE_CELLS_SHIFT,
  SHAPE_COUNT_SHIFT,
  SHAPE_HEAP_BIT,
  SHARDS,
  STATUSES,
  WIRE_F32,
  WIRE_I8,
  WIRE_I16,
  WIRE_TEXT,
  WIRE_U8,
  WIRE_U16,
  WIRE_U64,
} from '../constants.js';
import { DEED } from '../debugging/history.js';
import { type ErrorCode, HaftError, ruleOf, statusName } from '../errors.js';
import { isInHandleRange, NULL_HANDLE, normalize } from '../handle.js';
import { type Op, TYPES, WIRE_TYPES } from '../kind.js';

/** `types | count << 20` of a shape. */
export const SHAPE_TYPES_MASK = (1 << SHAPE_CELLS_SHIFT) - 1;
const COUNT_MASK = 31;
const CELLS_MASK = 31;
const TYPE_MASK = 15;
const LENGTH_MASK = ~ASCII_FLAG;
const SHORT_TEXT = 24;
const NO_TEXT = -1;
/** A reply's status and type, which lie side by side, as one store: HAFT_OK and i32. */
const OK_INTEGER = new Float64Array(new Int32Array([STATUSES.HAFT_OK.status, TYPES.i32]).buffer)[0]!;
const HANDLE_PLACE = (EXCHANGE >> 3) + (EXCHANGE_HANDLE >> 1);
const STATUS_WORD = (EXCHANGE >> 2) + EXCHANGE_STATUS;
const SHARD_MASK = SHARDS - 1;
/** What bytes are overwritten with that a handler may no longer use. */
const POISON = 0xdb;

const TYPE_NAMES = Object.keys(WIRE_TYPES);
// As constants of their own, so that a switch over them is one over numbers.
const VOID = TYPES.void;
const F64 = TYPES.f64;
const I32 = TYPES.i32;
const U32 = TYPES.u32;
const I64 = TYPES.i64;
const BOOL = TYPES.bool;
const HANDLE = TYPES.handle;
const STR = TYPES.str;
const BYTES = TYPES.bytes;

export function cellsOf(shape: number): number {
  return (shape >>> SHAPE_CELLS_SHIFT) & CELLS_MASK;
}

/** A value that cannot travel: its status reaches C as it is, where what a handler throws is `HAFT_E_EXCEPTION`. */
class WireError extends HaftError {
  constructor(
    code: ErrorCode,
    readonly detail: string,
    kind?: string,
    next?: string,
  ) {
    // What does not fit an op is the one breach among arguments: pointer rule 7.
    super(code, { kind, message: detail, next, rule: code === 'HAFT_E_ARGUMENT' ? 7 : ruleOf(code) });
  }
}

/** The realm's memory as typed arrays, and the values in it. Offsets are in bytes from the realm's start. */
export class Wire {
  readonly i32: Int32Array;
  readonly f64: Float64Array;
  readonly u8: Uint8Array;
  readonly #i64: BigInt64Array;
  readonly #u64: BigUint64Array;
  readonly #text: BufferWithSlices;

  constructor(readonly native: NativeRealm) {
    this.i32 = new Int32Array(native.buffer);
    this.f64 = new Float64Array(native.buffer);
    this.u8 = new Uint8Array(native.buffer);
    this.#i64 = new BigInt64Array(native.buffer);
    this.#u64 = new BigUint64Array(native.buffer);
    this.#text = Buffer.from(native.buffer) as BufferWithSlices;
  }

  /** Counts a message on the shard of its handle; `counter` is its place there. */
  count(handle: number, counter: number, change = 1): void {
    this.f64[(RINGS + (handle & SHARD_MASK) * RING_BYTES + counter) >> 3]! += change;
  }

  /** One of the first five arguments of a message that lies inside the ring. */
  readInlineArg(cell: number, i: number, type: number): unknown {
    return this.#readValue(cell + CELL_ARGS + 8 * i, type, cell + CELL_BYTES, 0);
  }

  /** The one argument of a message whose tail lies in the heap, a text. The chunk is given back, all by one call of the addon. */
  takeText(cell: number): string {
    const { chunk } = this.#tailOf(cell, SHAPE_HEAP_BIT);
    const at = (cell + CELL_ARGS) >> 2;
    const flagged = this.i32[at + 1]!;
    return this.native.readText(chunk + this.i32[at]!, flagged & LENGTH_MASK, flagged < 0, chunk) ?? '';
  }

  /**
   * The arguments of any message. Numbers may stand for one another where nothing is lost.
   * @param views If given, bytes are views, which are put there; so is the memory that they are of.
   * @throws HaftError `HAFT_E_ARGUMENT`, which names the argument that does not fit.
   */
  readArgs(cell: number, op: Op, views?: Views): unknown[] {
    const shape = this.i32[(cell + CELL_SHAPE) >> 2]!;
    const count = (shape >>> SHAPE_COUNT_SHIFT) & COUNT_MASK;
    const tail = this.#tailOf(cell, shape);
    const ours = cell === DIRECT ? 0 : tail.chunk; // a direct call's belongs to its caller
    if (views) views.chunk = ours;
    try {
      if (count !== op.args.length) {
        const message = `${op.text} takes ${argumentsOf(op.args.length)}, not ${count}`;
        throw new WireError('HAFT_E_ARGUMENT', message, op.kindName);
      }
      return op.args.map((declared, i) => {
        const type = this.#typeOf(shape, i, count, tail);
        const at = this.#placeOf(cell, i, tail);
        const value =
          views && type === BYTES
            ? this.#viewBytes(at, tail, views)
            : this.#readValue(at, type, tail.at, tail.chunk);
        if (type === declared || (NUMBERS.has(type) && fits(declared, value as number))) return value;
        const message = `argument ${i + 1} of ${op.text} is ${TYPE_NAMES[type]}, not ${TYPE_NAMES[declared]}`;
        throw new WireError('HAFT_E_ARGUMENT', message, op.kindName);
      });
    } finally {
      if (ours !== 0 && !views) this.native.giveChunk(ours);
    }
  }

  /** Writes a bare status into a reply. */
  writeStatus(reply: number, status: number): void {
    this.i32[(reply + REPLY_STATUS) >> 2] = status;
    this.i32[(reply + REPLY_LENGTH) >> 2] = 0;
    this.i32[(reply + REPLY_IN_HEAP) >> 2] = 0;
  }

  /** A result that nobody will have: the reference that it carries is given back. The realm is open. */
  dropResult(op: Op, value: unknown): void {
    if (op.returns !== TYPES.handle || !isInHandleRange(value)) return;
    this.f64[HANDLE_PLACE] = value;
    if (checkLevel === 2) this.native.note(DEED.release, '');
    else this.native.release();
  }

  /** Writes the result of a direct call, if it is an `int` and that is what is wanted. Most closures of C return one. */
  writeDirectInteger(type: number, value: number): boolean {
    if (type !== I32 || (value | 0) !== value) return false;
    this.i32[(DIRECT_REPLY + REPLY_VALUE) >> 2] = value;
    this.f64[(DIRECT_REPLY + REPLY_STATUS) >> 3] = OK_INTEGER;
    return true;
  }

  /** Writes a handler's result. @throws an error with a status for a value that is not of the type. */
  writeResult(reply: number, op: Op, value: unknown): void {
    const { i32, f64 } = this;
    const type = op.returns;
    i32[(reply + REPLY_STATUS) >> 2] = STATUSES.HAFT_OK.status;
    i32[(reply + REPLY_TYPE) >> 2] = type;
    const at = reply + REPLY_VALUE;
    switch (type) {
      case VOID:
        return;
      case F64:
      case WIRE_F32:
        if (typeof value === 'number') {
          f64[at >> 3] = value;
          return;
        }
        break;
      case I32:
        if (typeof value === 'number' && (value | 0) === value) {
          i32[at >> 2] = value;
          return;
        }
        break;
      case U32:
        if (typeof value === 'number' && value >>> 0 === value) {
          i32[at >> 2] = value | 0;
          return;
        }
        break;
      case WIRE_I8:
      case WIRE_U8:
      case WIRE_I16:
      case WIRE_U16:
        if (typeof value === 'number' && narrowed(type, value) === value) {
          i32[at >> 2] = value;
          return;
        }
        break;
      case I64: {
        const integer = op.isTrampoline && Number.isSafeInteger(value) ? BigInt(value as number) : value;
        if (typeof integer === 'bigint' && BigInt.asIntN(64, integer) === integer) {
          this.#i64[at >> 3] = integer;
          return;
        }
        break;
      }
      case WIRE_U64: {
        const integer = value === null ? 0n : Number.isSafeInteger(value) ? BigInt(value as number) : value;
        if (typeof integer === 'bigint' && BigInt.asUintN(64, integer) === integer) {
          this.#u64[at >> 3] = integer;
          return;
        }
        break;
      }
      case BOOL:
        if (typeof value === 'boolean') {
          i32[at >> 2] = value ? 1 : 0;
          return;
        }
        break;
      case HANDLE: {
        const handle = normalize(value);
        // It may be another registry's.
        if (handle === NULL_HANDLE || isInHandleRange(handle)) {
          if (checkLevel > 0 && handle !== NULL_HANDLE) this.#checkGiven(handle, op);
          f64[at >> 3] = handle;
          return;
        }
        break;
      }
      case STR:
        if (typeof value === 'string') {
          this.#writeText(reply, value);
          return;
        }
        break;
      case BYTES:
        if (value instanceof Uint8Array) {
          this.#writeBytes(reply, value);
          return;
        }
        break;
    }
    const shown = value === null ? 'null' : typeof value === 'number' ? String(value) : typeof value;
    const who = op.isTrampoline ? 'the closure' : op.text;
    const message = `${who} returned ${shown}, not ${TYPE_NAMES[type]}`;
    const next = op.isTrampoline ? 'return what the signature of the trampoline declares' : undefined;
    throw new WireError('HAFT_E_RESULT', message, op.kindName, next);
  }

  // Pointer rule 10: C must be able to use what it gets, and to give the reference back.
  #checkGiven(handle: number, op: Op): void {
    this.f64[HANDLE_PLACE] = handle;
    this.native.checkGiven();
    const status = this.i32[STATUS_WORD]!;
    if (status === STATUSES.HAFT_OK.status) return;
    const name = statusName(status);
    const what =
      name === 'HAFT_E_OWNER' ? 'of which JavaScript owns no reference' : `that is none any more (${name})`;
    const next =
      "return a handle with a reference for its receiver: the creator's, or one of registry.retain(h)";
    throw new WireError('HAFT_E_RESULT', `${op.text} returned a handle ${what}`, op.kindName, next);
  }

  /** Writes what a handler threw. Never throws. */
  writeError(reply: number, { status, text }: Description): void {
    try {
      this.#writeText(reply, text);
    } catch {
      this.#writeInline(reply, text.slice(0, REPLY_INLINE_BYTES / 4));
    }
    this.i32[(reply + REPLY_STATUS) >> 2] = status;
  }

  #tailOf(cell: number, shape: number): Tail {
    if ((shape & SHAPE_HEAP_BIT) === 0) return { at: cell + CELL_BYTES, chunk: 0 };
    return { at: 0, chunk: Number(this.#i64[(cell + CELL_BYTES + HEAP_TAIL_CHUNK) >> 3]!) };
  }

  #typeOf(shape: number, i: number, count: number, tail: Tail): number {
    if (i < INLINE_ARGS) return (shape >>> (4 * i)) & TYPE_MASK;
    const at = (count - INLINE_ARGS) * 8 + (i - INLINE_ARGS);
    return tail.chunk === 0
      ? this.u8[tail.at + at]!
      : (this.native.readBytes(tail.chunk + at, 1)?.[0] ?? VOID);
  }

  #placeOf(cell: number, i: number, tail: Tail): number {
    if (i < INLINE_ARGS) return cell + CELL_ARGS + 8 * i;
    const offset = (i - INLINE_ARGS) * 8;
    if (tail.chunk === 0) return tail.at + offset;
    // From the heap through a word of the exchange, so that there is one way to read a value.
    const bytes = this.native.readBytes(tail.chunk + offset, 8);
    const scratch = EXCHANGE + EXCHANGE_HANDLE * 4;
    if (bytes) this.u8.set(bytes, scratch);
    return scratch;
  }

  #readValue(at: number, type: number, tail: number, chunk: number): unknown {
    switch (type) {
      case F64:
      case HANDLE:
      case WIRE_F32:
        return this.f64[at >> 3]!;
      case I32:
      case WIRE_I8:
      case WIRE_U8:
      case WIRE_I16:
      case WIRE_U16:
        return this.i32[at >> 2]!;
      case U32:
        return this.i32[at >> 2]! >>> 0;
      case I64:
        return this.#i64[at >> 3]!;
      case BOOL:
        return this.i32[at >> 2] !== 0;
      case WIRE_U64:
        return this.#u64[at >> 3]!;
      case WIRE_TEXT:
        if (this.i32[at >> 2] === NO_TEXT) return null;
        return this.#readText(this.i32[at >> 2]!, this.i32[(at >> 2) + 1]!, tail, chunk);
      case STR:
        return this.#readText(this.i32[at >> 2]!, this.i32[(at >> 2) + 1]!, tail, chunk);
      case BYTES:
        return this.#readBytes(this.i32[at >> 2]!, this.i32[(at >> 2) + 1]! & LENGTH_MASK, tail, chunk);
      default:
        return undefined;
    }
  }

  #readText(offset: number, flagged: number, tail: number, chunk: number): string {
    const length = flagged & LENGTH_MASK;
    if (chunk !== 0) return this.native.readText(chunk + offset, length, flagged < 0, 0) ?? '';
    const start = tail + offset;
    if (flagged < 0) {
      if (length <= SHORT_TEXT) {
        let text = '';
        for (let i = start; i < start + length; i++) text += String.fromCharCode(this.u8[i]!);
        return text;
      }
      return this.#text.latin1Slice(start, start + length);
    }
    return this.#text.utf8Slice(start, start + length);
  }

  #readBytes(offset: number, length: number, tail: number, chunk: number): Uint8Array {
    if (chunk !== 0) return this.native.readBytes(chunk + offset, length) ?? new Uint8Array(0);
    return this.u8.slice(tail + offset, tail + offset + length);
  }

  // Bytes in the ring lie in cells that are free for producers before the handler runs (P11): of those a copy.
  #viewBytes(at: number, tail: Tail, views: Views): Uint8Array {
    const offset = this.i32[at >> 2]!;
    const length = this.i32[(at >> 2) + 1]! & LENGTH_MASK;
    const lying =
      tail.chunk !== 0 && length > 0 ? this.native.viewBytes(tail.chunk + offset, length) : undefined;
    const view = lying ? new Uint8Array(lying) : this.#readBytes(offset, length, tail.at, tail.chunk);
    if (length > 0) views.buffers.push(view.buffer as ArrayBuffer);
    if (lying && checkLevel === 2) views.places.push(tail.chunk + offset, length);
    return view;
  }

  #writeText(reply: number, text: string): void {
    if (text.length * 3 <= REPLY_INLINE_BYTES) {
      this.#writeInline(reply, text);
      return;
    }
    this.#writeHeap(reply, text);
  }

  #writeInline(reply: number, text: string): void {
    const { u8 } = this;
    const at = reply + REPLY_TEXT;
    let length = text.length;
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i);
      if (code >= 0x80) {
        length = this.#text.write(text, at, REPLY_INLINE_BYTES, 'utf8');
        break;
      }
      u8[at + i] = code;
    }
    this.i32[(reply + REPLY_LENGTH) >> 2] = length;
    this.i32[(reply + REPLY_IN_HEAP) >> 2] = 0;
  }

  #writeBytes(reply: number, bytes: Uint8Array): void {
    if (bytes.length === 0 && isDetached(bytes.buffer)) {
      const next = 'return a copy, made with slice() while the handler runs';
      throw new WireError('HAFT_E_DETACHED', 'the result is bytes whose memory has gone', undefined, next);
    }
    if (bytes.length > REPLY_INLINE_BYTES) {
      this.#writeHeap(reply, bytes);
      return;
    }
    this.u8.set(bytes, reply + REPLY_TEXT);
    this.i32[(reply + REPLY_LENGTH) >> 2] = bytes.length;
    this.i32[(reply + REPLY_IN_HEAP) >> 2] = 0;
  }

  #writeHeap(reply: number, payload: string | Uint8Array): void {
    this.native.writePayload(payload);
    const length = this.i32[(EXCHANGE >> 2) + EXCHANGE_FLAG]!;
    if (length === -1) throw new WireError('HAFT_E_NO_MEMORY', 'there is no room for the result');
    if (length < 0) throw new WireError('HAFT_E_TOO_LARGE', 'the result is larger than 16 MiB');
    this.#i64[(reply + REPLY_VALUE) >> 3] = BigInt(this.f64[(EXCHANGE >> 3) + (EXCHANGE_HANDLE >> 1)]!);
    this.i32[(reply + REPLY_LENGTH) >> 2] = length;
    this.i32[(reply + REPLY_IN_HEAP) >> 2] = 1;
  }
}

/** The views of one message, and the memory that they are of. Ends once. */
export class Views {
  readonly buffers: ArrayBuffer[] = [];
  /** Offset and length of each that lies in the arena, at level 2. */
  readonly places: number[] = [];
  /** Offset of the chunk in the arena, or 0. */
  chunk = 0;
  readonly #native: NativeRealm;

  constructor(native: NativeRealm) {
    this.#native = native;
  }

  /** Takes the memory from the handler, which may have kept a view, and gives it back. The realm is open. */
  end(): void {
    if (checkLevel === 2) this.#poison();
    let given = false;
    for (const buffer of this.buffers) {
      if (buffer.byteLength === 0) given = true;
      else this.#native.detach(buffer);
    }
    this.buffers.length = 0;
    // A buffer that ended before lives on elsewhere, by its `transfer`: its memory must not become another message's.
    if (this.chunk !== 0 && !given) this.#native.giveChunk(this.chunk);
    this.chunk = 0;
  }

  // Whoever still reads, through a buffer that was transferred or in C, sees at once that it is not theirs.
  #poison(): void {
    for (let i = 0; i < this.places.length; i += 2) this.#native.poison(this.places[i]!, this.places[i + 1]!);
    for (const buffer of this.buffers) if (buffer.byteLength > 0) new Uint8Array(buffer).fill(POISON);
    this.places.length = 0;
  }
}

// Only a buffer that was detached can have no view.
function isDetached(buffer: ArrayBufferLike): boolean {
  try {
    new Uint8Array(buffer);
    return false;
  } catch {
    return true;
  }
}

/** What `toString` calls, without its look at the encoding's name: a tenth of what a short string costs. */
interface BufferWithSlices extends Buffer {
  latin1Slice(start: number, end: number): string;
  utf8Slice(start: number, end: number): string;
}

interface Tail {
  /** Offset in the realm, if `chunk` is 0. */
  readonly at: number;
  /** Offset of the chunk in the arena, or 0. */
  readonly chunk: number;
}

const NUMBERS: ReadonlySet<number> = new Set([F64, I32, U32]);

export function argumentsOf(count: number): string {
  return count === 1 ? '1 argument' : `${count} arguments`;
}

/** Whether a number of one type is exactly a value of another. */
export function fits(declared: number, value: number): boolean {
  if (declared === F64) return true;
  if (declared === I32) return (value | 0) === value;
  return declared === U32 && value >>> 0 === value;
}

/** A number as an integer of so few bits. */
export function narrowed(type: number, value: number): number {
  switch (type) {
    case WIRE_I8:
      return (value << 24) >> 24;
    case WIRE_U8:
      return value & 0xff;
    case WIRE_I16:
      return (value << 16) >> 16;
    default:
      return value & 0xffff;
  }
}

const TEXT_MOST = 3500;

/** A status, and name, message and stack as one text, with NUL between them. */
export interface Description {
  readonly status: number;
  readonly text: string;
}

/** Describes what a handler threw, whatever it is. May run getters of the user's. Never throws. */
export function describe(error: unknown): Description {
  let status: number = STATUSES.HAFT_E_EXCEPTION.status;
  let name = 'Error';
  let message = '';
  let stack = '';
  try {
    if (error instanceof WireError) {
      status = error.status;
      name = error.code;
      message = error.detail;
    } else if (error instanceof Error) {
      name = String(error.name);
      message = String(error.message);
      stack = String(error.stack ?? '');
    } else {
      name = error === null ? 'null' : typeof error;
      message = String(error);
    }
  } catch {
    message ||= 'the thrown value cannot be described';
  }
  const text = [name, message, stack].map((part) => part.replaceAll('\0', ' ')).join('\0');
  return { status, text: text.slice(0, TEXT_MOST) };
}
