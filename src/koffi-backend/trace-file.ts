// The file of HAFT_TRACE where there is no addon: only JavaScript's own events, of the one thread that has registries. As
// native/core/trace.cc otherwise.
import { Buffer } from 'node:buffer';
import { constants, openSync, writeSync } from 'node:fs';
import type { NativeTrace } from '../binding.js';

const { O_WRONLY: WRITE, O_CREAT: CREATE, O_TRUNC: TRUNCATE, O_APPEND: APPEND } = constants;
const MOST_MEGABYTES = 1024;
const BYTES_OF_MEGABYTE = 1_000_000;

export class TraceFile implements NativeTrace {
  readonly problem: string | undefined;
  #file: number | undefined;
  #left: number;

  constructor(given: string) {
    const path = given.replaceAll('%p', String(process.pid));
    this.#left = (Number(process.env.HAFT_TRACE_MEGABYTES) || MOST_MEGABYTES) * BYTES_OF_MEGABYTE;
    try {
      // An earlier run's is overwritten, and a line is never cut.
      this.#file = openSync(path, WRITE | CREATE | TRUNCATE | APPEND);
      writeSync(this.#file, '[\n');
    } catch (error) {
      this.problem = `${path}: ${(error as NodeJS.ErrnoException).code}`;
    }
  }

  /** The number that the system has for the main thread. */
  thread(name: string): number {
    const ids = `"pid":${process.pid},"tid":${process.pid}`;
    const args = JSON.stringify({ name });
    this.write(`{"ph":"M","cat":"__metadata","name":"thread_name",${ids},"ts":0,"args":${args}},\n`);
    return process.pid;
  }

  write(lines: string): void {
    if (this.#file === undefined || lines === '') return;
    this.#left -= Buffer.byteLength(lines);
    let why = 'it has as much as HAFT_TRACE_MEGABYTES allows';
    if (this.#left >= 0) {
      try {
        writeSync(this.#file, lines);
        return;
      } catch (error) {
        why = (error as Error).message;
      }
    }
    this.#file = undefined;
    process.stderr.write(`haft: HAFT_TRACE: the trace ends here: ${why}\n`);
  }
}
