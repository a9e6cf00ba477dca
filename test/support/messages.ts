// Messages from C, one at a time, for tests that want to know which message was sent when: hosts/messages.c, through
// koffi. A post of this thread is in its mailbox when the function returns.
import { type ErrorCode, HaftError, type Handle, type Kind, Registry } from 'haft';
import koffi from 'koffi';
import { built } from './child.js';

const library = koffi.load(built('messages.so'));
const useApi = library.func('int32_t use_api(void *api)');
const postNothing = library.func('int32_t post_nothing(uint64_t h, uint32_t op)');
const postNumber = library.func('int32_t post_number(uint64_t h, uint32_t op, double n)');
const postText = library.func('int32_t post_text(uint64_t h, uint32_t op, double n, str text)');
const postHandle = library.func('int32_t post_handle(uint64_t h, uint32_t op, uint64_t argument)');
const postBytes = library.func(
  'int32_t post_bytes(uint64_t h, uint32_t op, uint32_t length, int32_t filler, int32_t copies)',
);
const callNumber = library.func(
  'int32_t call_number(uint64_t h, uint32_t op, double n, _Out_ double *result)',
);
const callBytes = library.func(
  'int32_t call_bytes(uint64_t h, uint32_t op, uint32_t length, int32_t filler, _Out_ double *result)',
);
const beginCall = library.func('int32_t begin_call(uint64_t h, uint32_t op, double n, int32_t milliseconds)');
const beginCallBytes = library.func(
  'int32_t begin_call_bytes(uint64_t h, uint32_t op, uint32_t length, int32_t filler)',
);
const callStatus = library.func('int32_t call_status(int32_t call)');
const callResult = library.func('double call_result(int32_t call)');
export const check: (h: number) => number = library.func('int32_t check(uint64_t h)');
export const retain: (h: number) => number = library.func('int32_t retain(uint64_t h)');
export const release: (h: number) => number = library.func('int32_t release(uint64_t h)');

export const OK = 0;
const RUNNING = 1;
const LONG = 20_000;

/** The number of a code in C. */
export const statusOf = (code: ErrorCode): number => new HaftError(code).status;

/** A registry that C on this thread can call; what its posts' handlers throw is kept in order. */
export class Host extends Registry {
  readonly errors: unknown[] = [];

  constructor() {
    super();
    if (useApi(this.apiAddress) !== OK) throw new Error('the host does not take the api');
    this.useKoffi(koffi);
    this.on('error', this.#keep);
  }

  readonly #keep = (error: unknown) => {
    this.errors.push(error);
  };

  /** From now on nobody listens to errors. */
  ignoreErrors(): void {
    this.off('error', this.#keep);
  }

  /** What the errors say, codes for those of haft. */
  get told(): string[] {
    return this.errors.map((error) => (error instanceof HaftError ? error.code : (error as Error).message));
  }
}

/** Sends messages to one op of one object. */
export class Sender<T> {
  readonly op: number;

  constructor(
    readonly handle: Handle<T>,
    kind: Kind<T>,
    op: string,
  ) {
    this.op = kind.number * 0x10000 + Object.keys(kind.signatures).indexOf(op);
  }

  /** The status. */
  post(n: number): number {
    return postNumber(this.handle, this.op, n);
  }
  postNothing(): number {
    return postNothing(this.handle, this.op);
  }
  postText(n: number, text: string): number {
    return postText(this.handle, this.op, n, text);
  }
  postHandle(argument: number): number {
    return postHandle(this.handle, this.op, argument);
  }
  postBytes(length: number, filler: number, copies = 1): number {
    return postBytes(this.handle, this.op, length, filler, copies);
  }

  /** On this very thread. */
  call(n: number): [status: number, result: number] {
    const result = [0];
    return [callNumber(this.handle, this.op, n, result), result[0]!];
  }
  callBytes(length: number, filler: number): [status: number, result: number] {
    const result = [0];
    return [callBytes(this.handle, this.op, length, filler, result), result[0]!];
  }

  /** From a thread of its own. */
  begin(n: number, milliseconds = LONG): PendingCall {
    return new PendingCall(beginCall(this.handle, this.op, n, milliseconds));
  }
  beginBytes(length: number, filler: number): PendingCall {
    return new PendingCall(beginCallBytes(this.handle, this.op, length, filler));
  }
}

export class PendingCall {
  constructor(readonly number: number) {
    if (number < 0) throw new Error('the host has no room for another call');
  }

  get running(): boolean {
    return callStatus(this.number) === RUNNING;
  }

  /** Turns of the event loop until the caller has its answer. */
  async end(): Promise<[status: number, result: number]> {
    await until(() => !this.running);
    return [callStatus(this.number), callResult(this.number)];
  }
}

export const turn = () => new Promise<void>((resolve) => setTimeout(resolve, 1));

/** Turns of the event loop until this holds; the test's own time limit ends it otherwise. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await turn();
}
