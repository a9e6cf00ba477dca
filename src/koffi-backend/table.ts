// The table of functions for C, `haft_api`: one callback of koffi's an entry. They are never unregistered, and the
// table's memory is never freed: a thread may be on its way to them at any time. None of them may throw: koffi would
// answer 0, which is HAFT_OK.
import { checkSetting } from '../checks.js';
import { PAYLOAD_MAX, SHARDS, STATUSES, VERSION_MAJOR, VERSION_MINOR } from '../constants.js';
import { koffi } from '../koffi.js';
import { EVENT } from '../messages/events.js';
import { checked } from './checked.js';
import { Labels } from './labels.js';
import { messageOf, nameOf } from './last-error.js';
import {
  cString,
  Lasting,
  lastingText,
  load,
  type MaybePointer,
  type Pointer,
  scratch,
  store,
  storeUint32,
  storeUint64,
} from './memory.js';
import type { Process } from './process.js';
import { type Fields, Realm } from './realm.js';
import { isRelayed } from './thread.js';

const OK = STATUSES.HAFT_OK.status;
const ABI = STATUSES.HAFT_E_ABI.status;
const ARGUMENT = STATUSES.HAFT_E_ARGUMENT.status;
const BACKEND = STATUSES.HAFT_E_BACKEND.status;
const CLOSED = STATUSES.HAFT_E_CLOSED.status;
const COLLECTED = STATUSES.HAFT_E_COLLECTED.status;
const DEADLOCK = STATUSES.HAFT_E_DEADLOCK.status;
const INTERNAL = STATUSES.HAFT_E_INTERNAL.status;
const KIND = STATUSES.HAFT_E_KIND.status;
const NOT_FOUND = STATUSES.HAFT_E_NOT_FOUND.status;
const OWNER = STATUSES.HAFT_E_OWNER.status;
const REALM = STATUSES.HAFT_E_REALM.status;
const STALE = STATUSES.HAFT_E_STALE.status;
const TIMEOUT = STATUSES.HAFT_E_TIMEOUT.status;

const HEAD_BYTES = 8;
const POINTER_BYTES = 8;
const COUNTERS_BYTES = 56; // haft_counters
const ALL_SHARDS = 0xffffffff;
const USERS = 0xff0000;
const LEVELS = EVENT.empty | EVENT.full | EVENT.closing;
const EVENTS = EVENT.drained | EVENT.reclaimed | EVENT.collected | LEVELS | USERS;
const NO_LABEL = 'a label is a text of 1 to 63 bytes';
const BUSY = 'callers of other threads wait for the event loop, whatever is said here';
const WAITS = 'it would have to wait, for which koffi has no thread';

/** An integer of C's: koffi gives those beyond 2^53 as BigInts. */
type Integer = number | bigint;
// biome-ignore lint/suspicious/noExplicitAny: as koffi hands them over, by the signature beside it
type Entry = readonly [signature: string, act: (...args: any[]) => unknown, failed: unknown];

/** The functions in the order of haft_api: what koffi needs to know of each, and what it does. */
function entries(process: Process): readonly Entry[] {
  const { slots, kinds, calls, queues, labels } = process;
  const fail = (status: number, handle: unknown = 0, message?: string) =>
    process.error.fail(status, handle, message);
  /** A status of the slots', told. */
  const told = (status: number, handle: unknown) => (status === OK ? OK : fail(status, handle));
  const open = (realm: Integer) => process.realmOf(realm);

  const check = (handle: Integer, kind: number) => {
    const target = slots.live(handle);
    if (typeof target === 'number') return fail(target, handle);
    return kind !== 0 && slots.kindOf(target) !== kind ? fail(KIND, handle) : OK;
  };
  const kindOf = (handle: Integer, to: MaybePointer) => {
    if (to === null) return fail(ARGUMENT, handle);
    const target = slots.live(handle);
    storeUint32(to, typeof target === 'number' ? 0 : slots.kindOf(target));
    return typeof target === 'number' ? fail(target, handle) : OK;
  };
  const realmOf = (handle: Integer, to: MaybePointer) => {
    if (to === null) return fail(ARGUMENT, handle);
    const target = slots.live(handle);
    storeUint64(to, typeof target === 'number' ? 0 : target.realm.id);
    return typeof target === 'number' ? fail(target, handle) : OK;
  };
  const kindFind = (name: MaybePointer, fingerprint: Integer, to: MaybePointer) => {
    if (name === null || to === null) return fail(ARGUMENT);
    const text = cString(name, PAYLOAD_MAX).toString('utf8');
    const found = kinds.find(text, BigInt.asUintN(64, BigInt(fingerprint)));
    if (found < 0) return fail(found);
    storeUint32(to, found);
    return OK;
  };
  const opFind = (kind: number, name: MaybePointer, to: MaybePointer) => {
    if (name === null || to === null) return fail(ARGUMENT);
    const found = kinds.findOp(kind, cString(name, PAYLOAD_MAX).toString('utf8'));
    if (found < 0) return fail(found);
    storeUint32(to, found);
    return OK;
  };
  const find = (id: Integer, name: MaybePointer, kind: number, timeout: Integer, to: MaybePointer) => {
    if (name === null || to === null) return fail(ARGUMENT);
    storeUint64(to, 0);
    const realm = open(id);
    if (realm === undefined) return fail(CLOSED);
    const bytes = cString(name, 1024);
    if (!Realm.isName(bytes.length)) return fail(ARGUMENT);
    const handle = realm.named(bytes);
    let status: number = NOT_FOUND;
    if (handle !== undefined) {
      status = check(handle, kind);
      if (status === OK) status = slots.retain(handle);
    }
    if (status === OK) {
      storeUint64(to, handle!);
      return OK;
    }
    if (status !== NOT_FOUND && status !== STALE && status !== COLLECTED) return fail(status);
    const waits = process.relayed && timeout !== 0;
    return waits ? fail(BACKEND, 0, `nothing has that name, and ${WAITS}`) : fail(NOT_FOUND);
  };
  const realmCheck = (id: Integer) => (open(id) === undefined ? fail(CLOSED) : OK);

  const queueOpen = (to: MaybePointer, descriptorTo: MaybePointer) => {
    if (to === null || descriptorTo === null) return fail(ARGUMENT);
    storeUint64(to, 0);
    storeUint32(descriptorTo, 0xffffffff);
    const opened = queues.open();
    if (typeof opened === 'number')
      return opened === INTERNAL
        ? fail(INTERNAL, 0, 'the operating system has no descriptor left')
        : fail(opened);
    storeUint64(to, opened.queue);
    storeUint32(descriptorTo, opened.descriptor);
    return OK;
  };
  const queueNext = (queue: Integer, timeout: Integer, to: MaybePointer) =>
    to === null ? fail(ARGUMENT) : told(queues.next(queue, Number(timeout), to), 0);

  // On the own thread, for messages that this thread itself has sent: those of others come by the event loop.
  const serve = (id: Integer, timeout: Integer) => {
    const realm = open(id);
    if (realm === undefined) return fail(CLOSED);
    if (process.relayed) return fail(REALM);
    const handled = realm.serve();
    const { signalled } = realm;
    realm.signalled = false;
    if (!realm.isOpen) return fail(CLOSED);
    if (handled > 0 || signalled) return OK;
    return timeout === 0 ? fail(TIMEOUT) : fail(BACKEND, 0, `nothing waits to be handled, and ${WAITS}`);
  };
  const blocking = (id: Integer) => {
    if (open(id) === undefined) return fail(CLOSED);
    return process.relayed ? fail(REALM) : fail(BACKEND, 0, BUSY);
  };
  const wait = (id: Integer, events: number, timeout: Integer, to: MaybePointer) => {
    if (to !== null) storeUint32(to, 0);
    if (events === 0 || (events & ~EVENTS) !== 0) return fail(ARGUMENT);
    const realm = open(id);
    const happened = events & (realm === undefined ? EVENT.closing : realm.levels());
    if (happened !== 0) {
      if (to !== null) storeUint32(to, happened);
      return OK;
    }
    if (realm === undefined) return fail(CLOSED);
    if (timeout === 0) return fail(TIMEOUT);
    return process.relayed ? fail(BACKEND, 0, WAITS) : fail(DEADLOCK);
  };
  const signal = (id: Integer, events: number) => {
    if (events === 0 || (events & ~USERS) !== 0) return fail(ARGUMENT);
    const realm = open(id);
    if (realm === undefined) return fail(CLOSED);
    realm.signal(events);
    return OK;
  };
  const moved = (handle: Integer, to: MaybePointer) => {
    if (to === null) return fail(ARGUMENT, handle);
    const now = slots.moved(handle);
    storeUint64(to, Math.max(now, 0));
    return now < 0 ? fail(now, handle) : OK;
  };
  const countersRead = (id: Integer, shard: number, to: MaybePointer) => {
    if (to === null) return fail(ARGUMENT);
    const size = load(to, 4).getUint32(0, true);
    if (size < 4 || (shard >= SHARDS && shard !== ALL_SHARDS)) return fail(ARGUMENT);
    const realm = open(id);
    if (realm === undefined) return fail(CLOSED);
    const shards = shard === ALL_SHARDS ? [...Array(SHARDS).keys()] : [shard];
    storeCounters(
      to,
      Math.min(size, COUNTERS_BYTES),
      shards.map((of) => realm.countersOf(of)),
    );
    return OK;
  };

  const retainAs = (handle: Integer, text: MaybePointer) => {
    const label = Labels.at(text);
    if (label === undefined) return fail(ARGUMENT, handle, NO_LABEL);
    return told(labels.retain(handle, label), handle);
  };
  const releaseAs = (handle: Integer, text: MaybePointer) => {
    const label = Labels.at(text);
    if (label === undefined) return fail(ARGUMENT, handle, NO_LABEL);
    const status = labels.release(handle, label);
    if (status === OWNER) return fail(OWNER, handle, `the handle has no reference labelled "${label}"`);
    return told(status, handle);
  };
  const memory = (handle: Integer, dataTo: MaybePointer, sizeTo: MaybePointer) => {
    if (dataTo === null || sizeTo === null) return fail(ARGUMENT, handle);
    storeUint64(dataTo, 0);
    storeUint64(sizeTo, 0);
    const target = slots.live(handle);
    if (typeof target === 'number') return fail(target, handle);
    const pin = process.pins.get(target.handle);
    if (pin === undefined) return fail(KIND, handle, 'the handle names no pinned memory');
    storeUint64(dataTo, pin.data);
    storeUint64(sizeTo, pin.size);
    return OK;
  };
  const kindMatch = (name: MaybePointer, signatures: MaybePointer, to: MaybePointer) => {
    if (name === null || signatures === null || to === null) return fail(ARGUMENT);
    const text = (at: Pointer) => cString(at, PAYLOAD_MAX).toString('utf8');
    const found = kinds.match(text(name), text(signatures));
    if (typeof found === 'string') return fail(ABI, 0, found);
    if (found < 0) return fail(found);
    storeUint32(to, found);
    return OK;
  };

  // No thread of C's could wait for them: its calls come by the event loop.
  const noHost = () => fail(BACKEND, 0, 'functions of the host need the addon of haft');

  const STATUS = INTERNAL; // what an entry answers that failed in itself
  return [
    ['int32_t(uint64_t)', (handle: Integer) => told(slots.retain(handle), handle), STATUS],
    ['int32_t(uint64_t)', (handle: Integer) => told(slots.release(handle), handle), STATUS],
    ['int32_t(uint64_t, uint32_t)', check, STATUS],
    ['int32_t(uint64_t, void *)', kindOf, STATUS],
    ['int32_t(uint64_t, void *)', realmOf, STATUS],
    ['int32_t(void *, uint64_t, void *)', kindFind, STATUS],
    ['int32_t(uint32_t, void *, void *)', opFind, STATUS],
    ['int32_t(uint64_t, void *, uint32_t, int64_t, void *)', find, STATUS],
    ['int32_t(uint64_t)', realmCheck, STATUS],
    [
      'int32_t(uint64_t, uint32_t, void *, size_t, int64_t)',
      (handle: Integer, op: number, args: MaybePointer, count: Integer, whenFull: Integer) =>
        calls.post(handle, op, args, Number(count), whenFull),
      STATUS,
    ],
    [
      'int32_t(uint64_t, uint32_t, void *, size_t, int64_t, void *)',
      (
        handle: Integer,
        op: number,
        args: MaybePointer,
        count: Integer,
        timeout: Integer,
        result: MaybePointer,
      ) => calls.call(handle, op, args, Number(count), Number(timeout), result),
      STATUS,
    ],
    [
      'int32_t(void *, size_t, int64_t)',
      (requests: MaybePointer, count: Integer, timeout: Integer) =>
        calls.callMany(requests, Number(count), Number(timeout)),
      STATUS,
    ],
    ['void(void *)', (value: MaybePointer) => calls.free(value), undefined],
    ['void *()', () => process.error.write(process.hasMovedOn), null],
    ['void *(int32_t)', (status: number) => lastingText(nameOf(status)), null],
    ['void *(int32_t)', (status: number) => lastingText(messageOf(status)), null],
    [
      'int32_t(uint64_t, uint32_t, void *, size_t, int64_t, void *)',
      (
        handle: Integer,
        op: number,
        args: MaybePointer,
        count: Integer,
        timeout: Integer,
        completer: MaybePointer,
      ) => calls.callAsync(handle, op, args, Number(count), Number(timeout), completer),
      STATUS,
    ],
    ['int32_t(void *, void *)', queueOpen, STATUS],
    ['int32_t(uint64_t, int64_t, void *)', queueNext, STATUS],
    ['int32_t(uint64_t)', (queue: Integer) => told(queues.close(queue), 0), STATUS],
    ['int32_t(uint64_t, int64_t)', serve, STATUS],
    ['int32_t(uint64_t, bool)', blocking, STATUS],
    ['int32_t(uint64_t, uint32_t, int64_t, void *)', wait, STATUS],
    ['int32_t(uint64_t, uint32_t)', signal, STATUS],
    ['int32_t(uint64_t, void *)', moved, STATUS],
    ['int32_t(uint64_t, uint32_t, void *)', countersRead, STATUS],
    ['int32_t(uint64_t, void *)', retainAs, STATUS],
    ['int32_t(uint64_t, void *)', releaseAs, STATUS],
    ['int32_t(uint64_t, void *, void *)', memory, STATUS],
    ['int32_t(void *, void *, void *)', kindMatch, STATUS],
    ['int32_t()', () => checkSetting().level, STATUS],
    ['int32_t(uint64_t, void *, void *, void *)', noHost, STATUS],
    ['int32_t(void *, void *)', noHost, STATUS],
    ['int32_t(void *, void *)', noHost, STATUS],
  ];
}

/** Makes the table, once for the process; its address. */
export function makeTable(process: Process): Pointer {
  const k = koffi();
  const list = entries(process);
  const table = Lasting.emptyInChildren(HEAD_BYTES + list.length * POINTER_BYTES);
  table.view.setUint32(0, table.bytes.length, true);
  table.view.setUint16(4, VERSION_MAJOR, true);
  table.view.setUint16(6, VERSION_MINOR, true);
  const types = new Map<string, ReturnType<typeof k.pointer>>(); // koffi keeps every type that is made
  const { ledger } = process;
  for (const [i, [signature, plain, failed]] of list.entries()) {
    const act = ledger === undefined ? plain : checked(process, ledger, i, plain);
    let type = types.get(signature);
    if (type === undefined) {
      type = k.pointer(k.proto(signature));
      types.set(signature, type);
    }
    // Those that give no status change no error.
    const callback = k.register(guarded(process, act, failed, signature.startsWith('int32_t')), type);
    table.view.setBigUint64(HEAD_BYTES + i * POINTER_BYTES, callback, true);
  }
  return table.at;
}

// Knows on which thread it began, and does not throw.
function guarded(
  process: Process,
  act: Entry[1],
  failed: unknown,
  isCounted: boolean,
): (...args: unknown[]) => unknown {
  return function entry(...args) {
    const outer = process.relayed;
    try {
      process.relayed = isRelayed(entry);
      if (isCounted && process.relayed) process.relays++;
      return act(...args);
    } catch (error) {
      // Of haft's own, or the stack is full.
      if (typeof failed === 'number') process.error.fail(failed, 0, describe(error));
      return failed;
    } finally {
      process.relayed = outer;
    }
  };
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : 'the stack is full';
}

function storeCounters(to: Pointer, bytes: number, shards: readonly Fields[]): void {
  const { view } = scratch();
  const sum = (field: number) => shards.reduce((all, fields) => all + fields[field]!, 0);
  const most = (field: number) => Math.max(...shards.map((fields) => fields[field]!));
  view.setUint32(0, bytes, true);
  view.setUint32(4, most(6), true);
  for (let field = 0; field < 5; field++) view.setBigUint64(8 + field * 8, BigInt(sum(field)), true);
  view.setBigUint64(48, BigInt(most(5)), true);
  store(to, bytes);
}
