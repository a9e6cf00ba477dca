// What the programs of the trampolines share: the C library of test/hosts/callbacks.c through koffi, a registry that
// keeps what its `error` event tells, and the turns of the event loop.
import assert from 'node:assert/strict';
import { Registry } from 'haft';
import koffi from 'koffi';

export const LIBRARY = 'build/Release/callbacks.so';
const library = koffi.load(LIBRARY);
const c = (definition) => library.func(definition);

export const call = c('int32_t cb_call(void *function, void *userData, int32_t n)');
export const callU64 = c('int32_t cb_call_u64(void *function, uint64_t userData, int32_t n)');
export const sum = c('int64_t cb_sum(void *function, uint64_t userData, int32_t count)');
export const each = c('int64_t cb_each(void *function, const double *userData, int32_t count)');
export const destroy = c('void cb_destroy(void *destroy, void *userData)');
export const destroyElsewhere = c('void cb_destroy_elsewhere(void *destroy, uint64_t userData)');
export const result = c('uint64_t cb_result(const char *type, void *function, uint64_t userData)');
export const text = c('int32_t cb_text(void *function, uint64_t userData, int32_t which)');
export const textTooLong = c('int32_t cb_text_too_long(void *function, uint64_t userData)');
export const context = c('int32_t cb_context(void *function, uint64_t userData, int32_t n)');
export const userDataOf = koffi.address(library.symbol('cb_user_data_of', 'void *'));
export const start = c('void cb_start(void *function, uint64_t userData, int32_t threads, int32_t each)');
export const give = c('void cb_give(uint64_t userData)');
export const count = c('int64_t cb_count(int32_t which)');
export const end = c('void cb_end()');
export const join = c('void cb_join()');
export const leave = c('void cb_leave()');
export const callAndJoin = c('int32_t cb_call_and_join(void *function, uint64_t userData)');

/** What the threads of `start` count. */
export const RUNNING = 0;
export const ANSWERED = 1;
export const REFUSED = 2;
export const WRONG = 3;

export const ON_ERROR = -77;

/** `int (*)(int, void *)`, as most of C has it. */
export const ADD = { args: ['int', 'void *'], returns: 'int', userData: 1, onError: ON_ERROR };

export const turn = async () => {
  await new Promise((resolve) => setTimeout(resolve, 2));
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
};

/** The event loop turns until it is so; the test's own limit ends what never is. */
export async function until(isSo) {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 1));
}

/** Whatever its `error` event tells stands in `errors`. */
export function open() {
  const registry = new Registry();
  const errors = [];
  registry.on('error', (error, where) => errors.push({ error, ...where }));
  return { registry, errors };
}

/** Waits until the event has told so much, and takes it. */
export async function told(errors, howMany = 1) {
  await until(() => errors.length >= howMany);
  await turn();
  assert.equal(errors.length, howMany, errors.map(({ error }) => error?.message ?? typeof error).join('\n'));
  return errors.splice(0);
}

/** Waits for the threads of `start`, which end by themselves. */
export async function joined() {
  await until(() => count(RUNNING) === 0);
  join();
}

/** Runs the case of this name. */
export async function run(cases, name) {
  if (!Object.hasOwn(cases, name)) throw new Error(`there is no case ${name}`);
  await cases[name]();
}
