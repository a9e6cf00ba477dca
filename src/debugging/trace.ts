// HAFT_TRACE: what JavaScript does, as a time line in Chrome's trace format: drains, handlers, registries, collections, and
// how full the mailboxes are. Native threads' events are native/core/trace.cc. What is here runs only where the variable is
// set: `trace` is undefined otherwise.
import { basename } from 'node:path';
import { isMainThread, threadId } from 'node:worker_threads';
import type { NativeTrace } from '../binding.js';
import { HaftError } from '../errors.js';

/** What an event says besides its name. A handle is text: not every integer that C may pass is a number. */
export type Arguments = Readonly<Record<string, string | number>>;

const FLUSH_CHARACTERS = 64 * 1024;
const FLUSH_MILLISECONDS = 100;
// As they were when this was loaded, whatever tests put in their place: the clock is that of native events.
const nanoseconds = process.hrtime.bigint;
const every = setInterval;

/** The events of one JavaScript thread. */
class Trace {
  #sink: NativeTrace | undefined;
  #thread = 0;
  #lines = '';

  /** From now on events are written; those of before are not. @throws HaftError `HAFT_E_ARGUMENT` without a file. */
  open(sink: NativeTrace | undefined): void {
    if (sink === undefined || this.#sink !== undefined) return;
    checkTraceLimit();
    if (sink.problem !== undefined) {
      throw new HaftError('HAFT_E_ARGUMENT', {
        message: `the file of HAFT_TRACE cannot be written: ${sink.problem}`,
        next: 'give HAFT_TRACE the path of a file that can be made, or leave it out',
      });
    }
    this.#sink = sink;
    this.#thread = sink.thread(isMainThread ? 'JavaScript' : `JavaScript worker ${threadId}`);
    if (isMainThread) this.#put('M', '__metadata', 'process_name', 0n, { name: processName() });
    process.on('exit', () => this.#flush());
    // For native threads' events too, which nothing else writes while all is quiet.
    every(() => this.#flush(), FLUSH_MILLISECONDS).unref();
  }

  /** Nanoseconds of the clock that native events have. */
  now(): bigint {
    return nanoseconds();
  }

  /** Something that began then and has ended now. */
  span(category: string, name: string, began: bigint, args: Arguments): void {
    this.#put('X', category, name, began, args, `,"dur":${microseconds(this.now() - began)}`);
  }

  /** Something that has happened now, of no duration. */
  instant(name: string, args: Arguments): void {
    this.#put('i', 'haft', name, this.now(), args, ',"s":"t"');
  }

  /** The values of a track, from now on. */
  counter(name: string, values: Readonly<Record<string, number>>): void {
    this.#put('C', 'haft', name, this.now(), values);
  }

  /** Something that goes on over several turns. `id` is the same at both ends. */
  begin(name: string, id: string, args: Arguments): void {
    this.#put('b', 'haft', name, this.now(), args, `,"id":${JSON.stringify(id)}`);
  }

  end(name: string, id: string, args: Arguments): void {
    this.#put('e', 'haft', name, this.now(), args, `,"id":${JSON.stringify(id)}`);
  }

  /** Runs a handler; what it awaits is not part of it. */
  handler<R>(name: string, handle: number, run: () => R): R {
    const began = this.now();
    try {
      return run();
    } finally {
      this.span('handler', name, began, { handle: String(handle) });
    }
  }

  #put(phase: string, category: string, name: string, at: bigint, args: Arguments, more = ''): void {
    if (this.#sink === undefined) return;
    const head = `{"ph":"${phase}","cat":"${category}","name":${JSON.stringify(name)},"pid":${process.pid}`;
    this.#lines += `${head},"tid":${this.#thread},"ts":${microseconds(at)}${more},"args":${JSON.stringify(args)}},\n`;
    if (this.#lines.length >= FLUSH_CHARACTERS) this.#flush();
  }

  #flush(): void {
    const lines = this.#lines;
    this.#lines = '';
    this.#sink?.write(lines);
  }
}

function microseconds(nanoseconds: bigint): string {
  return `${nanoseconds / 1000n}.${String(nanoseconds % 1000n).padStart(3, '0')}`;
}

function processName(): string {
  const script = process.argv[1];
  return script === undefined ? 'node' : `node ${basename(script)}`;
}

/** Undefined where HAFT_TRACE is not set. */
export const trace = process.env.HAFT_TRACE ? new Trace() : undefined;

/** @throws HaftError `HAFT_E_ARGUMENT` when HAFT_TRACE_MEGABYTES is no number of them. */
export function checkTraceLimit(): void {
  const limit = process.env.HAFT_TRACE_MEGABYTES ?? '';
  if (/^([1-9]\d{0,8})?$/.test(limit)) return;
  throw new HaftError('HAFT_E_ARGUMENT', {
    message: `HAFT_TRACE_MEGABYTES is "${limit}"`,
    next: 'give a whole number of megabytes from 1 on, or leave it out',
  });
}
