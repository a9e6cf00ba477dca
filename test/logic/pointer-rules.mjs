// What the host that breaks the pointer rules needs: objects to break them with, and the handlers that break their own.

import { kind, Registry } from 'haft';
import koffi from 'koffi';
import objects, { offer, Sample, SampleKind } from './objects.mjs';

/** A handle as bytes: not judged on its way, as a result of type handle is. */
const bytesOf = (handle) => new Uint8Array(BigUint64Array.of(BigInt(handle)).buffer);

/** Collects garbage until `isDone`, whose looks keep the object for the turn. */
async function collectUntil(isDone) {
  const turn = () => new Promise((resolve) => setTimeout(resolve, 1));
  for (let round = 0; round < 1000 && !isDone(); round++) {
    await turn();
    globalThis.gc();
    await turn();
  }
}

export default async function pointerRules(registry) {
  objects(registry);
  registry.on('error', () => {}); // posts that only JavaScript finds wrong
  const spare = new Sample();
  registry.publish('spare', registry.create(spare, SampleKind));
  offer(registry, 'text', { returns: 'str' }, () => 'a result');
  offer(registry, 'length', { args: ['str'], returns: 'f64' }, (text) => text.length);
  offer(registry, 'wrong result', { returns: 'i32' }, () => 1.5);

  offer(registry, 'unpinned', { returns: 'bytes' }, () => {
    const pin = registry.pin(new ArrayBuffer(16));
    pin.unpin();
    return bytesOf(pin.handle);
  });
  offer(registry, 'weak', { returns: 'bytes' }, () => {
    const handle = registry.weak(new Sample(), SampleKind);
    void collectUntil(() => registry.tryGet(handle) === undefined);
    return bytesOf(handle);
  });
  offer(registry, 'full', { returns: 'handle' }, () => {
    const handle = registry.create(new Sample(), SampleKind);
    for (let references = 1; references < 4194303; references++) registry.retain(handle);
    return handle;
  });

  const MovableKind = kind(
    Sample,
    { touch: {} },
    { name: 'Movable', serialize: () => '', deserialize: () => new Sample() },
  );
  const there = new Registry();
  there.accept(MovableKind);
  registry.publish('movable', registry.create(new Sample(), MovableKind));
  const old = registry.create(new Sample(), MovableKind);
  await registry.moveTo(old, there.id);
  offer(registry, 'moved', { returns: 'bytes' }, () => bytesOf(old));

  offer(
    registry,
    'wait there',
    {},
    koffi.load('build/Release/pointer_rules.so').func('void wait_for_oneself()'),
  );
}
