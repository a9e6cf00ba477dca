// The self-test of `haft doctor` without the addon: this thread calls the table's functions as C would.
import type { SelfTestFigures } from '../binding.js';
import { STATUSES } from '../constants.js';
import { TYPES } from '../kind.js';
import { koffi } from '../koffi.js';
import { Lasting, load, type Pointer } from './memory.js';

const OK = STATUSES.HAFT_OK.status;
const FULL = STATUSES.HAFT_E_FULL.status;
const RESULT = STATUSES.HAFT_E_RESULT.status;
const TIMEOUT = STATUSES.HAFT_E_TIMEOUT.status;
const NO_HANDLE = 42; // never issued: handles begin at 2^52
// Where the functions stand in haft_api.
const CHECK = 24;
const REALM_OF = 40;
const POST = 80;
const CALL = 88;
const SERVE = 168;
// haft_value
const VALUE_BYTES = 16;
const VALUE_NUMBER = 8;

type Run = (...args: unknown[]) => unknown;

/** The function of the table at that place. */
function entry(table: Pointer, place: number, definition: string): Run {
  const k = koffi();
  const pointer = load(table + BigInt(place), 8).getBigUint64(0, true);
  const type = k.proto(definition);
  return (...args) => k.call(pointer, type, ...args);
}

interface Figures {
  count: number;
  seconds: number;
  status: number;
}

function repeat(milliseconds: number, send: () => number): Figures {
  const began = performance.now();
  const figures: Figures = { count: 0, seconds: 0, status: OK };
  while (figures.status === OK && performance.now() - began < milliseconds) {
    figures.status = send();
    if (figures.status === OK) figures.count++;
  }
  figures.seconds = (performance.now() - began) / 1000;
  return figures;
}

export function selfTest(
  table: Pointer,
  handle: number,
  toPost: number,
  toCall: number,
  ended: number,
  milliseconds: number,
): SelfTestFigures {
  const check = entry(table, CHECK, 'int32_t haft_doctor_check(uint64_t, uint32_t)');
  const realmOf = entry(table, REALM_OF, 'int32_t haft_doctor_realm_of(uint64_t, void *)');
  const post = entry(table, POST, 'int32_t haft_doctor_post(uint64_t, uint32_t, void *, size_t, int64_t)');
  const call = entry(
    table,
    CALL,
    'int32_t haft_doctor_call(uint64_t, uint32_t, void *, size_t, int64_t, void *)',
  );
  const serve = entry(table, SERVE, 'int32_t haft_doctor_serve(uint64_t, int64_t)');
  const one = new Lasting(VALUE_BYTES);
  one.view.setUint32(0, TYPES.f64, true);
  one.view.setFloat64(VALUE_NUMBER, 1, true);
  const out = new Lasting(VALUE_BYTES);
  realmOf(handle, out.at);
  const realm = out.view.getBigUint64(0, true);

  const posts = repeat(milliseconds, () => {
    let status = post(handle, toPost, one.at, 1, 0) as number;
    if (status !== FULL) return status;
    status = serve(realm, 0) as number; // nobody else drains the mailbox while this runs
    return status === OK ? (post(handle, toPost, one.at, 1, 0) as number) : status;
  });
  // On this thread a call runs at once, ahead of posts that wait.
  let served: number;
  do served = serve(realm, 0) as number;
  while (served === OK);
  if (posts.status === OK && served !== TIMEOUT) posts.status = served;
  let total = posts.count;
  const calls = repeat(milliseconds, () => {
    const status = call(handle, toCall, one.at, 1, 1000, out.at) as number;
    if (status !== OK) return status;
    total++;
    const isSum =
      out.view.getUint32(0, true) === TYPES.f64 && out.view.getFloat64(VALUE_NUMBER, true) === total;
    return isSum ? OK : RESULT;
  });
  const forged = check(NO_HANDLE, 0) as number;
  const stale = check(ended, 0) as number;
  return [posts.count, posts.seconds, posts.status, calls.count, calls.seconds, calls.status, forged, stale];
}
