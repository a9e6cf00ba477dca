// Level 2 without the addon: what native/core/checked.cc does to the table of functions for C. Each entry records what is done
// to the handle, goes on to the one beneath, and reports a breach.
import { STATUSES } from '../constants.js';
import { TYPES } from '../kind.js';
import { reportBreach } from './breach.js';
import type { Ledger } from './history.js';
import { Labels } from './labels.js';
import { load, type MaybePointer, type Pointer } from './memory.js';
import { handleOf } from './message.js';
import type { Process } from './process.js';

const OK = STATUSES.HAFT_OK.status;
const OWNER = STATUSES.HAFT_E_OWNER.status;
const VALUE_BYTES = 16;
const REQUEST_BYTES = 48;
const REQUEST_OP = 20;
const REQUEST_STATUS = 24;
const REQUEST_RESULT = 32;
const COMPLETION_BYTES = 32;
const COMPLETION_STATUS = 8;
const COMPLETION_RESULT = 16;
/** Of which no program is to blame that does what it may. */
const NO_BREACH: ReadonlySet<number> = new Set([
  OK,
  STATUSES.HAFT_E_CLOSED.status,
  STATUSES.HAFT_E_OVERFLOW.status,
  STATUSES.HAFT_E_COLLECTED.status,
  STATUSES.HAFT_E_MOVED.status,
]);

// biome-ignore lint/suspicious/noExplicitAny: as koffi hands them over
type Act = (...args: any[]) => unknown;

/** Which entry of haft_api it is, by its place in the table. */
const NAMES = [
  ['retain', 0],
  ['release', 1],
  ['find', 7],
  ['post', 9],
  ['call', 10],
  ['call_many', 11],
  ['call_async', 16],
  ['queue_next', 18],
  ['queue_close', 19],
  ['serve', 20],
  ['blocking', 21],
  ['wait', 22],
  ['signal', 23],
  ['retain_as', 26],
  ['release_as', 27],
] as const;

/** The entry at that place, checked; those that only ask stay as they are. */
export function checked(process: Process, ledger: Ledger, place: number, act: Act): Act {
  const name = NAMES.find(([, at]) => at === place)?.[0];
  if (name === undefined) return act;
  const { kinds } = process;
  const told = (status: unknown, what: string, handle: unknown) => {
    const { failure } = process.error;
    if (!NO_BREACH.has(status as number) && failure.status === status && failure.rule !== 0)
      reportBreach(what, failure, ledger.lines(failure.handle || handle));
    return status;
  };
  const opText = (op: number) => `haft_${name}(${kinds.typesOf(op)?.text ?? `op ${op}`})`;
  const received = (value: Value | undefined, what: string) => {
    if (value !== undefined && value.type === TYPES.handle) ledger.receive(value.handle, ledger.use(what));
  };
  switch (name) {
    case 'retain':
    case 'retain_as':
    case 'release':
    case 'release_as': {
      const what = `haft_${name}`;
      const by = name.startsWith('retain') ? 1 : -1;
      return (handle: unknown, ...rest: unknown[]) => {
        let ran = false;
        const run = () => {
          ran = true;
          return act(handle, ...rest) as number;
        };
        // Before who owns what, as at every level.
        if (name === 'release_as' && Labels.at(rest[0] as MaybePointer) === undefined) return run();
        const status = ledger.change(handle, 'native', by, ledger.use(what), run);
        if (!ran && status === OWNER)
          process.error.fail(OWNER, handle, ledger.describeOwners(handle, 'native'));
        return told(status, what, handle);
      };
    }
    case 'find':
      return (...args) => {
        const status = act(...args);
        if (status === OK) ledger.receive(readHandle(args[4] as Pointer), ledger.use('haft_find'));
        return status;
      };
    case 'post':
      return (handle, op, ...rest) => {
        ledger.used(handle, ledger.use(opText(op)));
        return told(act(handle, op, ...rest), opText(op), handle);
      };
    case 'call':
      return (handle, op, ...rest) => {
        const what = opText(op);
        ledger.used(handle, ledger.use(what));
        const status = act(handle, op, ...rest);
        const result = rest[3] as MaybePointer;
        if (status === OK && result !== null) received(readValue(result, 0, VALUE_BYTES), what);
        return told(status, what, handle);
      };
    case 'call_async':
      return (handle, op, ...rest) => {
        ledger.used(handle, ledger.use(opText(op)));
        return told(act(handle, op, ...rest), opText(op), handle);
      };
    case 'call_many':
      return (requests: MaybePointer, count: number | bigint, timeout) => {
        const status = act(requests, count, timeout);
        for (let i = 0; requests !== null && i < Number(count); i++) {
          const at = requests + BigInt(i * REQUEST_BYTES);
          const view = load(at, REQUEST_BYTES);
          const handle = handleOf(view.getBigUint64(0, true));
          const what = opText(view.getUint32(REQUEST_OP, true));
          ledger.used(handle, ledger.use(what));
          if (view.getInt32(REQUEST_STATUS, true) === OK)
            received(readValue(at, REQUEST_RESULT, REQUEST_BYTES), what);
        }
        return told(status, 'haft_call_many', 0);
      };
    case 'queue_next':
      return (queue, timeout, to: MaybePointer) => {
        const status = act(queue, timeout, to);
        if (status === OK && load(to!, COMPLETION_BYTES).getInt32(COMPLETION_STATUS, true) === OK)
          received(readValue(to!, COMPLETION_RESULT, COMPLETION_BYTES), 'haft_queue_next');
        return told(status, 'haft_queue_next', 0);
      };
    default:
      return (...args) => told(act(...args), `haft_${name}`, 0);
  }
}

interface Value {
  readonly type: number;
  readonly handle: unknown;
}

function readValue(at: Pointer, offset: number, bytes: number): Value {
  const view = load(at, bytes);
  return { type: view.getUint32(offset, true), handle: handleOf(view.getBigUint64(offset + 8, true)) };
}

function readHandle(at: Pointer): unknown {
  return handleOf(load(at, 8).getBigUint64(0, true));
}
