// The two tables, for suites that must hold over both, and what is expected of an error.
import { type ErrorCode, HaftError, HandleTable, NULL_HANDLE, Registry } from 'haft';
import { expect } from 'vitest';

export type Table = HandleTable | Registry;

export interface Sort {
  open(): Table;
  /** Lets the table notice releases: a registry does so when it drains. */
  settle(table: Table): void;
}

export const TABLES: [string, Sort][] = [
  ['HandleTable', { open: () => new HandleTable(), settle: () => {} }],
  ['Registry', { open: () => new Registry(), settle: (table) => (table as Registry).drain() }],
];

/** Every value that is no handle and lies outside the range of handles. */
export const NEVER_HANDLES: [string, unknown][] = [
  ['0', NULL_HANDLE],
  ['-0', -0],
  ['-1', -1],
  ['1', 1],
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
  ['1.5', 1.5],
  ['2^52 - 1', 2 ** 52 - 1],
  ['2^53', 2 ** 53],
  ['2^64', 2 ** 64],
  ['-(2^52)', -(2 ** 52)],
  ['0n', 0n],
  ['-1n', -1n],
  ['2n ** 52n - 1n', 2n ** 52n - 1n],
  ['2n ** 53n', 2n ** 53n],
  ['a string', 'handle'],
  ['a string of digits', '4503599627370496'],
  ['an empty string', ''],
  ['null', null],
  ['undefined', undefined],
  ['true', true],
  ['an object', {}],
  ['an object that is a number to arithmetic', { valueOf: () => 2 ** 52 }],
  ['an array', [2 ** 52]],
  ['a function', () => 2 ** 52],
  ['a symbol', Symbol('handle')],
];

/** What `act` throws must be a `HaftError` with this code; returns it. */
export function thrown(code: ErrorCode, act: () => unknown): HaftError {
  let result: unknown;
  try {
    result = act();
  } catch (error) {
    expect(error).toBeInstanceOf(HaftError);
    expect(error).toMatchObject({ name: 'HaftError', code });
    const { message, next, rule, status } = error as HaftError;
    expect(message.startsWith(`${code}: `)).toBe(true);
    expect(next).not.toBe('');
    expect(message.endsWith(rule === undefined ? next : `${next} (pointer rule ${rule})`)).toBe(true);
    expect(status).toBeLessThan(0);
    return error as HaftError;
  }
  expect.fail(`expected ${code}, not ${String(result)}`);
}
