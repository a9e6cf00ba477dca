// The bits of a handle, and how a handle is written for a person.
import { BLOCK_BITS, BLOCK_SLOTS } from './constants.js';

declare const target: unique symbol;

/** Names one JavaScript object. An exact integer in [2^52, 2^53): the same value in C, as `haft_handle`. */
export type Handle<T = unknown> = number & { readonly [target]: T };

/** Never a handle. `HAFT_NULL` in C. */
export const NULL_HANDLE = 0;

export const HANDLE_BASE = 2 ** 52;
export const HANDLE_END = 2 ** 53;
export const INDEX_COUNT = 2 ** 26;
export const INDEX_MASK = INDEX_COUNT - 1;
export const SLOT_MASK = BLOCK_SLOTS - 1;
/** Most blocks of one table. */
export const BLOCK_COUNT = INDEX_COUNT / BLOCK_SLOTS;

export function isInHandleRange(value: unknown): value is number {
  return typeof value === 'number' && value >= HANDLE_BASE && value < HANDLE_END && Number.isInteger(value);
}

/** A BigInt as the number it is, if it lies in the range of handles; everything else as it came. */
export function normalize(value: unknown): unknown {
  if (typeof value !== 'bigint') return value;
  return value >= BigInt(HANDLE_BASE) && value < BigInt(HANDLE_END) ? Number(value) : value;
}

export function generationOf(handle: number): number {
  return Math.floor((handle - HANDLE_BASE) / INDEX_COUNT);
}

/** `block:slot@generation`, as errors print it; a value that cannot be a handle as itself. */
export function formatHandle(value: unknown): string {
  if (!isInHandleRange(value)) return formatOther(value);
  const index = value & INDEX_MASK;
  return `${index >>> BLOCK_BITS}:${index & SLOT_MASK}@${generationOf(value)}`;
}

function formatOther(value: unknown): string {
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'object' && value !== null) return 'an object'; // its toString may do anything
  return typeof value === 'function' ? 'a function' : String(value);
}
