// C's memory, as JavaScript reaches it through koffi: copies in and out, allocations, strings. One copy of a few bytes
// costs about 50 ns, a view of foreign memory 900 and a collection later: so what is read is copied to a place that has
// a view for good.
import { Buffer } from 'node:buffer';
import { koffi } from '../koffi.js';

/** An address, as koffi gives it. */
export type Pointer = bigint;
/** A pointer argument of a callback. */
export type MaybePointer = Pointer | null;

interface Library {
  copy(to: Pointer | Uint8Array, from: Pointer | Uint8Array, bytes: number): void;
  malloc(bytes: number): MaybePointer;
  free(pointer: Pointer): void;
  strlen(text: Pointer): number;
}

const SCRATCH_BYTES = 4096;
// As <sys/mman.h> has them on Linux, x64 and arm64.
const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_PRIVATE = 2;
const MAP_ANONYMOUS = 0x20;
const MADV_WIPEONFORK = 18;

let loaded: Library | undefined;

/** The C library of the process. */
export function libc(): Library {
  if (loaded !== undefined) return loaded;
  const library = koffi().load(process.platform === 'win32' ? 'ucrtbase.dll' : null);
  loaded = {
    copy: library.func('memcpy', 'void', ['void *', 'void *', 'size_t']),
    malloc: library.func('malloc', 'void *', ['size_t']),
    free: library.func('free', 'void', ['void *']),
    strlen: library.func('strlen', 'size_t', ['void *']),
  };
  return loaded;
}

/** Memory that C may keep for ever, and that JavaScript sees. */
export class Lasting {
  readonly at: Pointer;
  readonly bytes: Buffer;
  readonly view: DataView;

  constructor(size: number, at?: Pointer) {
    this.at = at ?? (koffi().alloc('uint8_t', size) as Pointer);
    const buffer = koffi().view(this.at, size);
    this.bytes = Buffer.from(buffer);
    this.bytes.fill(0);
    this.view = new DataView(buffer);
  }

  /**
   * Pages that a forked child finds empty, where the system has them (Linux): C there must not come into JavaScript, which
   * runs in the parent only.
   */
  static emptyInChildren(size: number): Lasting {
    if (process.platform !== 'linux') return new Lasting(size);
    const library = koffi().load(null);
    const map = library.func('mmap', 'intptr_t', ['intptr_t', 'size_t', 'int', 'int', 'int', 'int64_t']);
    const advise = library.func('madvise', 'int', ['intptr_t', 'size_t', 'int']);
    const at = map(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) as number | bigint;
    if (Number(at) === -1) return new Lasting(size);
    advise(at, size, MADV_WIPEONFORK); // an older system leaves them as they are
    return new Lasting(size, BigInt(at));
  }
}

let place: Lasting | undefined;

/** The place where small structs are copied to and from. Nothing stays in it longer than one step. */
export function scratch(): Lasting {
  place ??= new Lasting(SCRATCH_BYTES);
  return place;
}

/** Copies a struct into the scratch place. */
export function load(from: Pointer, bytes: number): DataView {
  const { at, view } = scratch();
  libc().copy(at, from, bytes);
  return view;
}

/** Copies the beginning of the scratch place out. */
export function store(to: Pointer, bytes: number): void {
  libc().copy(to, scratch().at, bytes);
}

export function storeUint32(to: Pointer, value: number): void {
  scratch().view.setUint32(0, value, true);
  store(to, 4);
}

/** A handle, or another whole number below 2^53. */
export function storeUint64(to: Pointer, value: number | bigint): void {
  scratch().view.setBigUint64(0, BigInt(value), true);
  store(to, 8);
}

/** A pointer that stands in memory; NULL is 0n. */
export function pointerIn(view: DataView, at: number): Pointer {
  return view.getBigUint64(at, true);
}

/** The bytes of a string that ends with NUL, `most` and a few at most. */
export function cString(from: Pointer, most: number): Buffer {
  const length = Math.min(Number(libc().strlen(from)), most + 8);
  const bytes = Buffer.alloc(length);
  if (length > 0) libc().copy(bytes, from, length);
  return bytes;
}

/** Texts that C keeps for ever, by what they say. */
const texts = new Map<string, Pointer>();

export function lastingText(text: string): Pointer {
  let at = texts.get(text);
  if (at === undefined) {
    const bytes = Buffer.from(`${text}\0`);
    const memory = new Lasting(bytes.length);
    memory.bytes.set(bytes);
    at = memory.at;
    texts.set(text, at);
  }
  return at;
}
