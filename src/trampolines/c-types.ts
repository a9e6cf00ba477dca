// The C types that the signature of a trampoline may name, and what each is in JavaScript.
import { HaftError } from '../errors.js';
import { WIRE_TYPES } from '../kind.js';
import { narrowed } from '../messages/wire.js';

/** How a value travels; the names of `WIRE_TYPES`. */
export type WireName = keyof typeof WIRE_TYPES;

// Linux on 64 bits: `long` has as many.
const C_TYPES = {
  void: 'void',
  bool: 'bool',
  _Bool: 'bool',
  char: process.arch === 'arm64' ? 'u8' : 'i8',
  'signed char': 'i8',
  int8_t: 'i8',
  'unsigned char': 'u8',
  uint8_t: 'u8',
  short: 'i16',
  int16_t: 'i16',
  'unsigned short': 'u16',
  uint16_t: 'u16',
  int: 'i32',
  signed: 'i32',
  'signed int': 'i32',
  int32_t: 'i32',
  unsigned: 'u32',
  'unsigned int': 'u32',
  uint32_t: 'u32',
  long: 'i64',
  'long long': 'i64',
  int64_t: 'i64',
  intptr_t: 'i64',
  ptrdiff_t: 'i64',
  ssize_t: 'i64',
  intmax_t: 'i64',
  off_t: 'i64',
  time_t: 'i64',
  'unsigned long': 'u64',
  'unsigned long long': 'u64',
  uint64_t: 'u64',
  uintptr_t: 'u64',
  uintmax_t: 'u64',
  size_t: 'u64',
  float: 'f32',
  double: 'f64',
  'const char *': 'text',
} as const satisfies Record<string, WireName>;

/** Types by the names that C has for them, any pointer (`'struct stat *'`) among them. */
export type CType = keyof typeof C_TYPES | `${string}*` | `enum ${string}`;

/** What a value of a C type is in JavaScript. Integers of 64 bits and pointers are bigints, always. */
export type FromC<T> = T extends 'void'
  ? undefined
  : T extends 'bool' | '_Bool'
    ? boolean
    : T extends 'const char *' | 'const char*'
      ? string | null
      : T extends keyof typeof C_TYPES
        ? (typeof C_TYPES)[T] extends 'i64' | 'u64'
          ? bigint
          : number
        : T extends `${string}*`
          ? bigint
          : T extends `enum ${string}`
            ? number
            : unknown;

/** What may be given where C wants this type: integers of 64 bits as safe integers too, `null` for a pointer. */
export type ToC<T> = T extends 'void'
  ? unknown
  : T extends keyof typeof C_TYPES
    ? FromC<T> extends bigint
      ? bigint | number
      : FromC<T>
    : T extends `${string}*`
      ? bigint | number | null
      : T extends `enum ${string}`
        ? number
        : unknown;

/** How a C type travels; `undefined` for one that only koffi knows: a struct by value, a type that koffi was told. */
export function wireNameOf(type: unknown): WireName | undefined {
  if (typeof type !== 'string') return undefined;
  const name = type
    .trim()
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/ ?\* ?/g, ' *')
    .replace(/(?<=\*) ?(const|restrict|volatile)$/, '')
    .replace(/^char const \*$/, 'const char *');
  if (Object.hasOwn(C_TYPES, name)) return C_TYPES[name as keyof typeof C_TYPES];
  if (name.endsWith('*')) return 'u64';
  if (name.startsWith('enum ')) return 'i32';
  // `unsigned long int` is `unsigned long`, and `const int` an `int`.
  const plain = name
    .replaceAll(/\b(const|volatile) | (const|volatile)\b/g, '')
    .replace(/(?<=long|short|unsigned) int$/, '');
  return plain === name ? undefined : wireNameOf(plain);
}

/** The names that koffi has for them. */
export const KOFFI_TYPES: Readonly<Record<WireName, string>> = {
  void: 'void',
  bool: 'bool',
  i8: 'int8_t',
  u8: 'uint8_t',
  i16: 'int16_t',
  u16: 'uint16_t',
  i32: 'int32_t',
  u32: 'uint32_t',
  i64: 'int64_t',
  u64: 'uint64_t',
  handle: 'uint64_t',
  f32: 'float',
  f64: 'double',
  text: 'const char *',
  str: 'const char *',
  bytes: 'void *',
};

/** A value for C, as it lies in a register. @returns `undefined` for one that is not of the type. */
export function bitsOf(wire: WireName, value: unknown): bigint | undefined {
  const view = new DataView(new ArrayBuffer(8));
  switch (wire) {
    case 'void':
      return 0n;
    case 'bool':
      return typeof value === 'boolean' ? BigInt(value) : undefined;
    case 'i32':
      return typeof value === 'number' && value >> 0 === value
        ? BigInt.asUintN(64, BigInt(value))
        : undefined;
    case 'u32':
      return typeof value === 'number' && value >>> 0 === value ? BigInt(value) : undefined;
    case 'i8':
    case 'u8':
    case 'i16':
    case 'u16':
      return typeof value === 'number' && narrowed(WIRE_TYPES[wire], value) === value
        ? BigInt.asUintN(64, BigInt(value))
        : undefined;
    case 'i64':
    case 'u64': {
      const integer =
        value === null && wire === 'u64' ? 0n : Number.isSafeInteger(value) ? BigInt(value as number) : value;
      if (typeof integer !== 'bigint') return undefined;
      const fits = wire === 'i64' ? BigInt.asIntN(64, integer) : BigInt.asUintN(64, integer);
      return fits === integer ? BigInt.asUintN(64, integer) : undefined;
    }
    case 'f64':
      if (typeof value !== 'number') return undefined;
      view.setFloat64(0, value, true);
      return view.getBigUint64(0, true);
    case 'f32':
      if (typeof value !== 'number') return undefined;
      view.setFloat32(0, value, true);
      return view.getBigUint64(0, true);
    default:
      return undefined;
  }
}

/** What koffi gives for an argument, as haft's own trampolines give it. */
export function fromKoffi(wire: WireName | undefined, value: unknown): unknown {
  // koffi 3.3 gives unsigned integers from 2^63 on as negative ones.
  if (wire === 'u64') return unsigned(value as number | bigint | null);
  if (wire === 'i64') return BigInt(value as number | bigint);
  return value;
}

/** An unsigned integer of 64 bits, or a pointer, as koffi gives it. */
export function unsigned(value: number | bigint | null): bigint {
  return BigInt.asUintN(64, BigInt(value ?? 0));
}

/** @throws HaftError `HAFT_E_ARGUMENT` */
export function refuseType(where: string, type: unknown): never {
  throw new HaftError('HAFT_E_ARGUMENT', {
    message: `${where} is ${typeof type === 'string' ? `"${type}"` : 'a type'}, which a trampoline cannot have there`,
    next: `C types are ${Object.keys(C_TYPES).join(', ')}, pointers, enums, and what koffi was told of`,
  });
}
