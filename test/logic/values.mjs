// Functions of every type: `echo TYPE` gives its argument back, `show TYPE` says what it received.
import koffi from 'koffi';
import objects, { offer } from './objects.mjs';

const TYPES = ['f64', 'i32', 'u32', 'i64', 'bool', 'handle', 'str', 'bytes'];

function show(value) {
  if (value instanceof Uint8Array) return `bytes ${[...value]}`;
  if (typeof value === 'string') return `string ${JSON.stringify(value)}`;
  return `${typeof value} ${value}`;
}

export default function values(registry) {
  objects(registry);
  for (const type of TYPES) {
    offer(registry, `echo ${type}`, { args: [type], returns: type }, (x) => x);
    offer(registry, `show ${type}`, { args: [type], returns: 'str' }, show);
  }
  offer(registry, 'nothing', {}, () => 'dropped');
  offer(registry, 'retained', { args: ['handle'], returns: 'handle' }, (h) => registry.retain(h));
  offer(registry, 'no handle', { returns: 'handle' }, () => 0);
  for (let n = 0; n <= 16; n++) {
    const args = Array.from({ length: n }, () => 'i32');
    offer(registry, `sum of ${n}`, { args, returns: 'str' }, (...all) => all.join());
  }
  // Shortened for a name that fits: the kind of a function is named by its signature.
  const nameOf = (value) => {
    if (value instanceof Uint8Array)
      return `bytes ${value.every((byte) => byte === 98) ? value.length : 'torn'}`;
    if (typeof value === 'bigint') return `${value}n`;
    if (typeof value === 'number' && value >= 2 ** 52) return 'make';
    if (typeof value === 'string') return `str ${/^b*$/.test(value) ? value.length : 'torn'}`;
    return String(value);
  };
  for (let shift = 0; shift < 8; shift++) {
    const args = Array.from({ length: 16 }, (_, i) => TYPES[(i + shift) % 8]);
    offer(registry, `mixed ${shift}`, { args, returns: 'str' }, (...all) => all.map(nameOf).join(' '));
  }
  const lengthOf = (value) => value.length;
  offer(registry, 'length of bytes', { args: ['bytes'], returns: 'f64' }, lengthOf);
  for (let i = 0; i < 32; i++) offer(registry, `length ${i}`, { args: ['bytes'], returns: 'f64' }, lengthOf);
  offer(registry, 'length of two', { args: ['str', 'bytes'], returns: 'f64' }, (a, b) => a.length + b.length);
  offer(registry, 'string of', { args: ['f64'], returns: 'str' }, (n) => 'x'.repeat(n));
  const gate = koffi.load('build/Release/values.so').func('void gate_wait()');
  offer(registry, 'gate', {}, gate);
  offer(registry, 'gate and close', {}, () => {
    gate();
    registry.close();
  });
  offer(registry, 'drop str', { args: ['str'] }, () => {});
  const texts = { args: Array.from({ length: 16 }, () => 'str'), returns: 'f64' };
  offer(registry, '16 texts', texts, (...all) => all.reduce((sum, text) => sum + text.length, 0));
  const repeated = (name, text) =>
    offer(registry, name, { args: ['f64'], returns: 'str' }, (n) => text.repeat(n));
  repeated('lone high', 'a\ud800z');
  repeated('lone low', '\udc00');
  repeated('swapped', '\udc00\ud83d-');
  repeated('pair', '\ud83d\udc22');

  const wrong = {
    f64: [undefined, null, '1', 1n, true, {}, []],
    i32: [undefined, 0.5, 2 ** 31, -(2 ** 31) - 1, Number.NaN, '1', 1n],
    u32: [undefined, -1, 0.5, 2 ** 32, Number.NaN],
    i64: [undefined, 1, 2n ** 63n, -(2n ** 63n) - 1n, '1'],
    bool: [undefined, null, 0, 1, 'true'],
    handle: [undefined, null, 1, -1, 0.5, 2 ** 53, Number.NaN, 2n ** 60n, 'handle'],
    str: [undefined, null, 1, {}, Symbol('s'), new String('s'), new Uint8Array(1)],
    bytes: [
      undefined,
      null,
      'text',
      [1],
      new ArrayBuffer(1),
      new Uint16Array(1),
      new DataView(new ArrayBuffer(1)),
    ],
  };
  const names = [];
  for (const [type, list] of Object.entries(wrong)) {
    list.forEach((value, i) => {
      names.push(`${type} as ${i}: ${typeof value}`);
      offer(registry, names.at(-1), { returns: type }, () => value);
    });
  }
  offer(registry, 'name of result', { args: ['f64'], returns: 'str' }, (i) => names[i] ?? '');
}
