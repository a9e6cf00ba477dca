// What is known of each handle at level 2: who made it, retained and released it in JavaScript and in C, and who used it
// last in C. It is kept on the native side, which cannot call JavaScript from other threads: stacks are handed down as text.

import { performance } from 'node:perf_hooks';
import { pathToFileURL } from 'node:url';
import type { NativeRealm } from '../binding.js';
import { EXCHANGE, EXCHANGE_HANDLE, EXCHANGE_STATUS } from '../constants.js';
import { CODE } from '../place.js';

const HANDLE_PLACE = (EXCHANGE >> 3) + (EXCHANGE_HANDLE >> 1);
const STATUS_WORD = (EXCHANGE >> 2) + EXCHANGE_STATUS;
const FRAMES_MOST = 12;
// As they were when this was loaded, whatever tests put in their place.
const milliseconds = performance.now.bind(performance);
const nanoseconds = process.hrtime.bigint;
/** Files of haft itself, by whose frames nobody learns anything. */
const OWN_PLACES = [`(${CODE}`, `at ${CODE}`, pathToFileURL(CODE).href];

/** Something that was done to a handle. */
export interface Use {
  /** `create`, `retain`, `haft_release`, `haft_post(Counter.add)`, ... */
  readonly what: string;
  /** The thread's id in the operating system. */
  readonly thread: number;
  /** Milliseconds, as `performance.now()` counts them. */
  readonly at: number;
  /** Innermost first, without haft's own: JavaScript's frames, or C's by name or as `library+offset`. */
  readonly stack: readonly string[];
}

export interface HandleHistory {
  readonly created?: Use;
  /** Retains and releases, the latest 16, oldest first. The last one has ended a handle that has ended. */
  readonly references: readonly Use[];
  /** What native code sent to it last. */
  readonly lastUse?: Use;
  readonly ended?: boolean;
  /** How many references each side has to give back. */
  readonly owned?: { readonly script: number; readonly native: number };
}

/** As native/checking.cc numbers them. */
export const DEED = {
  create: 0,
  createOwn: 1,
  retain: 2,
  release: 3,
  intern: 4,
  delete: 5,
  drop: 6,
} as const;
export type Deed = (typeof DEED)[keyof typeof DEED];

/** The histories of one realm's handles. Level 2 only. */
export class Histories {
  readonly #native: NativeRealm;
  readonly #i32: Int32Array;
  readonly #f64: Float64Array;

  constructor(native: NativeRealm) {
    this.#native = native;
    this.#i32 = new Int32Array(native.buffer);
    this.#f64 = new Float64Array(native.buffer);
  }

  /** Keeps what is done to a handle; retains and releases are done by it. The status. */
  note(handle: number, deed: Deed): number {
    const stack = stackText();
    this.#f64[HANDLE_PLACE] = handle;
    this.#native.note(deed, stack);
    return this.#i32[STATUS_WORD]!;
  }

  of(handle: number): HandleHistory | undefined {
    return historyOf(this.#native, this.#f64, handle);
  }

  /** Where a handle was made and where it ended, as lines to stand below an error's stack. */
  lines(handle: number): string {
    const history = this.of(handle);
    if (history === undefined) return '';
    const last = history.ended ? history.references.at(-1) : undefined;
    return useLines('created', history.created) + useLines('ended', last);
  }
}

function historyOf(native: NativeRealm, f64: Float64Array, handle: number): HandleHistory | undefined {
  f64[HANDLE_PLACE] = handle;
  return native.history(Number(nanoseconds()) / 1e6 - milliseconds());
}

function useLines(heading: string, use: Use | undefined): string {
  if (use === undefined) return '';
  const frames = use.stack.map((frame) => `\n        at ${frame}`).join('');
  return `\n    ${heading} by ${use.what} on thread ${use.thread}${frames}`;
}

/** The frames of the caller, a line each, without haft's own. */
export function stackText(): string {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = FRAMES_MOST + 20;
  const { stack } = new Error();
  Error.stackTraceLimit = stackTraceLimit;
  return frames(stack ?? '')
    .slice(0, FRAMES_MOST)
    .join('\n');
}

function frames(stack: string): string[] {
  const lines = stack.split('\n').filter((line) => /^\s+at /.test(line));
  const others = lines.filter(
    (line) => !OWN_PLACES.some((place) => line.includes(place)) && !line.includes('node:internal/'),
  );
  return others.map((line) => line.replace(/^\s+at /, ''));
}
