// The file of HAFT_TRACE where there is no addon: only JavaScript's own events, of the one thread that has registries. As
// native/core/trace.cc otherwise.
import { Buffer } from 'node:buffer';
import { constants, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import type { NativeTrace } from '../binding.js';

const { O_WRONLY: WRITE, O_CREAT: CREATE, O_TRUNC: TRUNCATE, O_APPEND: APPEND } = constants;
const MOST_MEGABYTES = 1000;
const BYTES_OF_MEGABYTE = 1_000_000;

export class TraceFile implements NativeTrace {
  readonly problem: string | undefined;
  #file: number | undefined;
  readonly #most: number;
  #written = 0;

  constructor(given: string) {
    const path = given.replaceAll('%p', String(process.pid));
    this.#most = (Number(process.env.HAFT_TRACE_MEGABYTES) || MOST_MEGABYTES) * BYTES_OF_MEGABYTE;
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
    const bytes = Buffer.from(lines);
    this.#written += bytes.length;
    if (this.#written > this.#most) {
      const has = `it has ${this.#most / BYTES_OF_MEGABYTE} MB; HAFT_TRACE_MEGABYTES allows more`;
      this.#end(has);
      return;
    }
    let written = 0;
    try {
      while (written < bytes.length) written += writeSync(this.#file, bytes, written);
    } catch (error) {
      cutLine(this.#file, bytes, written);
      this.#end(`the file cannot be written: ${(error as NodeJS.ErrnoException).code}`);
    }
  }

  #end(why: string): void {
    this.#file = undefined;
    process.stderr.write(`haft: HAFT_TRACE: the trace ends here, ${why}\n`);
  }
}

// Takes back what was written of a line that has found no room.
function cutLine(file: number, bytes: Buffer, written: number): void {
  const whole = bytes.subarray(0, written).lastIndexOf('\n') + 1;
  try {
    const now = fstatSync(file);
    if (now.isFile()) ftruncateSync(file, now.size - (written - whole));
  } catch {
    // it stays, and the reader has to do without it
  }
}
