// Handlers for calls whose callers do not wait: slow, late, failing, with results of every type, or in promises.

import { Registry } from 'haft';
import koffi from 'koffi';
import objects, { offer, Sample, SampleKind } from './objects.mjs';

const number = { args: ['f64'], returns: 'f64' };

export default function async(registry) {
  objects(registry);
  const host = koffi.load('build/Release/async.so');
  const gate = host.func('void gate_wait()');
  const send = host.func('int32_t send_on_own_thread(uint64_t h, uint32_t op, double n)');
  registry.on('error', () => {});
  offer(registry, 'gate', {}, gate);
  offer(registry, 'echo', number, (n) => n);
  offer(registry, 'say', { args: ['f64'], returns: 'str' }, (n) => 'ü'.repeat(n));
  offer(registry, 'bytes', { args: ['f64'], returns: 'bytes' }, (n) => new Uint8Array(n).fill(7));
  offer(registry, 'sample', { returns: 'handle' }, () => registry.create(new Sample(), SampleKind));
  offer(registry, 'nothing', {}, () => {});
  offer(registry, 'throws', number, (n) => {
    throw new RangeError(`out of reach ${n}`);
  });
  offer(registry, 'wrong', number, () => 'text');
  offer(registry, 'closes', {}, () => registry.close());

  // Promises that settle when asked to.
  let settle = [];
  const later = (name, returns, value) =>
    offer(
      registry,
      name,
      { returns },
      () => new Promise((resolve, reject) => settle.push(() => value(resolve, reject))),
    );
  later('later', 'f64', (resolve) => resolve(5));
  later('later sample', 'handle', (resolve) => resolve(registry.create(new Sample(), SampleKind)));
  later('later text', 'str', (resolve) => resolve('x'.repeat(100_000)));
  later('rejects', 'f64', (_, reject) => reject(new TypeError('not yet')));
  offer(registry, 'never', {}, () => new Promise(() => {}));
  offer(registry, 'waiting', { returns: 'f64' }, () => settle.length);
  offer(registry, 'settle', {}, () => {
    for (const act of settle) act();
    settle = [];
  });

  const slow = (name, returns, act) => {
    offer(registry, `slow ${name}`, { returns }, () => {
      gate();
      return act();
    });
  };
  slow('number', 'f64', () => 1);
  slow('text', 'str', () => 'x'.repeat(100_000));
  slow('sample', 'handle', () => registry.create(new Sample(), SampleKind));

  let realm;
  offer(registry, 'brief', { returns: 'handle' }, () => {
    realm = new Registry();
    return realm.fn(number, (n) => n);
  });
  offer(registry, 'end brief', {}, () => realm.close());

  // C on JavaScript's own thread sends three calls: they are run in their turn, not inside.
  const order = [];
  const noted = (n) => {
    order.push(n);
    return n;
  };
  const target = registry.fn(number, noted);
  registry.publish('noted', target);
  offer(registry, 'send here', { args: ['u32'], returns: 'str' }, (op) => {
    for (const n of [1, 2, 3]) order.push(`sent ${n}: ${send(target, op, n)}`);
    order.push('returned');
    return '';
  });
  offer(registry, 'order', { returns: 'str' }, () => order.join(', '));
}
