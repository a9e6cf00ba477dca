// Queues of completions, with a descriptor that C can poll: an eventfd, which Linux has. C waits in its own poll; a wait
// inside haft_queue_next would stop the event loop, or has no event loop to bring the completion.
import { Buffer } from 'node:buffer';
import { STATUSES } from '../constants.js';
import { TYPES } from '../kind.js';
import { koffi } from '../koffi.js';
import { libc, load, type Pointer, scratch, store } from './memory.js';
import { freeValue, handleOf, storeVoid } from './message.js';
import type { Process } from './process.js';

const OK = STATUSES.HAFT_OK.status;
const BACKEND = STATUSES.HAFT_E_BACKEND.status;
const DEADLOCK = STATUSES.HAFT_E_DEADLOCK.status;
const FORGED = STATUSES.HAFT_E_FORGED.status;
const INTERNAL = STATUSES.HAFT_E_INTERNAL.status;
const SLOTS = STATUSES.HAFT_E_SLOTS.status;
const TIMEOUT = STATUSES.HAFT_E_TIMEOUT.status;

const MOST = 1024;
const NUMBER_BITS = 10;
const COMPLETION_BYTES = 32;
const RESULT = 16;
// As <sys/eventfd.h> has them on Linux, x64 and arm64.
const EFD_CLOEXEC = 0x80000;
const EFD_NONBLOCK = 0x800;

/** Never changes: to sleep for a time. */
const NOTHING = new Int32Array(new SharedArrayBuffer(4));

interface Descriptors {
  open(initial: number, flags: number): number;
  write(descriptor: number, from: Uint8Array, bytes: number): number;
  read(descriptor: number, to: Uint8Array, bytes: number): number;
  close(descriptor: number): number;
}

let loaded: Descriptors | undefined;

function descriptors(): Descriptors | undefined {
  if (process.platform !== 'linux') return undefined;
  if (loaded === undefined) {
    const library = koffi().load(null);
    loaded = {
      open: library.func('eventfd', 'int', ['uint', 'int']),
      write: library.func('write', 'intptr_t', ['int', 'void *', 'size_t']),
      read: library.func('read', 'intptr_t', ['int', 'void *', 'size_t']),
      close: library.func('close', 'int', ['int']),
    };
  }
  return loaded;
}

interface Queue {
  readonly descriptor: number;
  /** Addresses of haft_completion, the oldest first. */
  readonly completions: Pointer[];
  /** Completions that are still to come. */
  expected: number;
}

export class Queues {
  readonly #process: Process;
  readonly #queues = new Map<number, Queue>();
  readonly #generations = new Map<number, number>();

  constructor(process: Process) {
    this.#process = process;
  }

  isOpen(queue: unknown): boolean {
    return this.#queues.has(queue as number);
  }

  /** The queue and its descriptor, or a negative status. */
  open(): { readonly queue: number; readonly descriptor: number } | number {
    const system = descriptors();
    if (system === undefined) return BACKEND;
    let number = 0;
    while (this.#queues.has(this.#idOf(number))) number++;
    if (number === MOST) return SLOTS;
    const descriptor = system.open(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (descriptor < 0) return INTERNAL;
    this.#generations.set(number, (this.#generations.get(number) ?? 0) + 1);
    const queue = this.#idOf(number);
    this.#queues.set(queue, { descriptor, completions: [], expected: 0 });
    return { queue, descriptor };
  }

  #idOf(number: number): number {
    return (this.#generations.get(number) ?? 0) * 2 ** NUMBER_BITS + number;
  }

  /** Takes the oldest completion. A relayed caller's messages are handled first, so that what it awaits may be there. */
  next(queue: unknown, timeout: number, to: Pointer): number {
    storeEmpty(to);
    const found = this.#queues.get(queue as number);
    if (found === undefined) return FORGED;
    if (found.completions.length === 0 && timeout !== 0 && this.#process.relayed)
      for (const realm of this.#process.realms) realm.serve();
    const completion = found.completions.shift();
    if (completion === undefined) {
      if (timeout === 0) return TIMEOUT;
      if (this.#process.relayed) return BACKEND;
      if (found.expected > 0 || timeout < 0) return DEADLOCK; // only this thread could bring it
      Atomics.wait(NOTHING, 0, 0, timeout);
      return TIMEOUT;
    }
    if (found.completions.length === 0) descriptors()!.read(found.descriptor, EIGHT, 8);
    libc().copy(to, completion, COMPLETION_BYTES);
    libc().free(completion);
    return OK;
  }

  /** A call was sent whose completion is to come. */
  expect(queue: number): void {
    const found = this.#queues.get(queue);
    if (found !== undefined) found.expected++;
  }

  /** @param writeResult Writes the result, which is the receiver's from now on. */
  put(queue: number, user: Pointer, status: number, writeResult: (to: Pointer) => void): void {
    const completion = libc().malloc(COMPLETION_BYTES);
    if (completion === null) return;
    const { view } = scratch();
    view.setBigUint64(0, user, true);
    view.setInt32(8, status, true);
    view.setUint32(12, 0, true);
    store(completion, RESULT);
    writeResult(completion + BigInt(RESULT));
    const found = this.#queues.get(queue);
    if (found === undefined) {
      this.#drop(completion);
      return;
    }
    found.expected--;
    if (found.completions.push(completion) === 1) descriptors()!.write(found.descriptor, ONE, 8);
  }

  close(queue: unknown): number {
    const found = this.#queues.get(queue as number);
    if (found === undefined) return FORGED;
    this.#queues.delete(queue as number);
    const number = (queue as number) % 2 ** NUMBER_BITS;
    this.#generations.set(number, this.#generations.get(number)! + 1);
    descriptors()!.close(found.descriptor);
    for (const completion of found.completions) this.#drop(completion);
    return OK;
  }

  // With the reference that it carries.
  #drop(completion: Pointer): void {
    const view = load(completion, COMPLETION_BYTES);
    if (view.getUint32(RESULT, true) === TYPES.handle)
      this.#process.slots.drop(handleOf(view.getBigUint64(RESULT + 8, true)));
    freeValue(completion + BigInt(RESULT));
    libc().free(completion);
  }
}

const ONE = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]);
const EIGHT = Buffer.alloc(8);

function storeEmpty(to: Pointer): void {
  scratch().bytes.fill(0, 0, RESULT);
  store(to, RESULT);
  storeVoid(to + BigInt(RESULT));
}
