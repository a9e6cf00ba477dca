// Every type that an op may have, for typed.c and typed.cpp. As the logic of `haft run` it publishes one of each.
import { functionKind, kind } from 'haft';

let registry;

class Types {
  total = 0;
  echoF64(x) {
    return x;
  }
  echoI32(x) {
    return x;
  }
  echoU32(x) {
    return x;
  }
  echoI64(x) {
    return x;
  }
  echoBool(x) {
    return x;
  }
  // A reference goes with the result.
  echoHandle(x) {
    return x === 0 ? x : registry.retain(x);
  }
  echoStr(x) {
    return x;
  }
  echoBytes(x) {
    return x;
  }
  add(n) {
    this.total += n;
  }
  count() {
    return this.total;
  }
  join(...all) {
    return all.map((one) => (one instanceof Uint8Array ? `[${one}]` : String(one))).join(' ');
  }
  sum(...all) {
    return all.reduce((a, b) => a + b);
  }
  fail(why) {
    throw new RangeError(why);
  }
  // Names that a header has itself, or that are keywords.
  find() {
    return 'find';
  }
  delete() {
    return 'delete';
  }
  _2nd() {
    return '2nd';
  }
}

export const TypesKind = kind(Types, {
  echoF64: { args: ['f64'], returns: 'f64' },
  echoI32: { args: ['i32'], returns: 'i32' },
  echoU32: { args: ['u32'], returns: 'u32' },
  echoI64: { args: ['i64'], returns: 'i64' },
  echoBool: { args: ['bool'], returns: 'bool' },
  echoHandle: { args: ['handle'], returns: 'handle' },
  echoStr: { args: ['str'], returns: 'str' },
  echoBytes: { args: ['bytes'], returns: 'bytes' },
  add: { args: ['f64'] },
  count: { returns: 'f64' },
  join: { args: ['f64', 'i32', 'u32', 'i64', 'bool', 'str', 'bytes'], returns: 'str' },
  sum: { args: Array.from({ length: 16 }, () => 'f64'), returns: 'f64' },
  fail: { args: ['str'], returns: 'str' },
  find: { returns: 'str' },
  delete: { returns: 'str' },
  _2nd: { returns: 'str' },
});

class Other {}
export const OtherKind = kind(Other, {});

class Never {}
/** Of this kind there is no object. */
export const NeverKind = kind(Never, { nothing: {} });

export const inside = { ReportKind: functionKind({ args: ['str'] }), list: [OtherKind] };

export default function publish(opened) {
  registry = opened;
  const handles = [registry.create(new Types(), TypesKind), registry.create(new Other(), OtherKind)];
  registry.publish('types', handles[0]);
  registry.publish('other', handles[1]);
  return handles;
}
