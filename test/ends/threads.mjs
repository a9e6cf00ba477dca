// The threads of hosts/lives.c as functions, and objects for them.
import { kind } from 'haft';
import koffi from 'koffi';

const library = koffi.load('build/Release/lives.so');
const target = '(int32_t number, uint64_t handle, const char *op)';

export const RUNNING = 1;
export const OK = 0;
export const STALE = -2;
export const CLOSED = -5;
export const TIMEOUT = -12;
export const FULL = -9;

export const useApi = library.func('int32_t use_api(void *api)');
export const startThread = library.func('int32_t start_thread(int32_t number)');
export const stopThread = library.func('void stop_thread(int32_t number)');
export const callForEver = library.func(`bool call_for_ever${target}`);
export const postForEver = library.func(`bool post_for_ever${target}`);
export const statusOf = library.func('int32_t status_of(int32_t number)');
export const doneBy = library.func('double done_by(int32_t number)');
export const checkHandle = library.func('int32_t check_handle(uint64_t handle)');
export const callInTime = library.func(
  'double call_in_time(uint64_t handle, const char *op, double n, int32_t milliseconds)',
);
export const fill = library.func('int32_t fill(uint64_t handle, const char *op)');
export const joinOneWhoWants = library.func(
  'int32_t join_one_who_wants(uint64_t handle, const char *op, int32_t milliseconds)',
);
export const forkAndExit = library.func('int32_t fork_and_exit(uint64_t handle, uint64_t of)');

/** An object that counts, and does `act` in each handler. */
export class Counter {
  total = 0;
  act = () => {};
  add(n) {
    this.act(n);
    this.total += n;
    return this.total;
  }
  post(n) {
    this.act(n);
    this.total += n;
  }
  never() {
    return new Promise(() => {});
  }
}
const number = { args: ['f64'], returns: 'f64' };
export const CounterKind = kind(Counter, { add: number, post: { args: ['f64'] }, never: number });
