// Objects for the hosts of the tests, and `make`, a function that hands out handles of every sort, good and bad.
import { kind, Registry } from 'haft';

export class Sample {
  calls = 0;
  log = [];
  touch() {
    this.calls++;
  }
  add(n) {
    this.calls += n;
    return this.calls;
  }
  take(handle) {
    this.log.push(handle);
  }
  note(n) {
    this.log.push(n);
  }
}
export const SampleKind = kind(Sample, {
  touch: {},
  add: { args: ['f64'], returns: 'f64' },
  take: { args: ['handle'] },
  note: { args: ['f64'] },
});
export class Stranger {
  touch() {}
}
export const StrangerKind = kind(Stranger, { touch: {} });
class Empty {}
export const EmptyKind = kind(Empty, {});

/** Publishes a function under a name. */
export function offer(registry, name, signature, handler) {
  registry.publish(name, registry.fn(signature, handler));
}

export default function objects(registry) {
  const other = new Registry();
  const bystander = new Sample();
  registry.publish('bystander', registry.create(bystander, SampleKind));
  registry.publish('stranger', registry.create(new Stranger(), StrangerKind));
  registry.publish('empty', registry.create(new Empty(), EmptyKind));
  registry.publish('plain', registry.create({}));
  const make = {
    live: () => registry.create(new Sample(), SampleKind),
    plain: () => registry.create('of no kind'),
    stranger: () => registry.create(new Stranger(), StrangerKind),
    other: () => other.create(new Sample(), SampleKind),
  };
  // Handles that have ended, as integers.
  const ended = {
    deleted: () => {
      const handle = registry.create(new Sample(), SampleKind);
      registry.delete(handle);
      return handle;
    },
    reused: () => {
      const handle = ended.deleted();
      const next = registry.create(new Sample(), SampleKind); // in the same slot
      if (next % 2 ** 26 !== handle % 2 ** 26) throw new Error('not the same slot');
      return handle;
    },
    released: () => {
      const handle = registry.create(new Sample(), SampleKind);
      registry.release(handle);
      return handle;
    },
    closed: () => {
      const short = new Registry();
      const handle = short.create(new Sample(), SampleKind);
      short.close();
      return handle;
    },
    'closed and deleted before': () => {
      const short = new Registry();
      const handle = short.create(new Sample(), SampleKind);
      short.delete(handle);
      short.close();
      return handle;
    },
    'closed and its slot in use': () => {
      const short = new Registry();
      const handle = short.create(new Sample(), SampleKind);
      short.close();
      const next = new Registry();
      if (next.create({}) % 2 ** 26 !== handle % 2 ** 26) throw new Error('not the same slot');
      return handle;
    },
  };
  offer(registry, 'make', { args: ['str'], returns: 'handle' }, (what) => make[what]());
  offer(registry, 'ended', { args: ['str'], returns: 'i64' }, (what) => BigInt(ended[what]()));
  offer(registry, 'live', { returns: 'f64' }, () => registry.stats().live);
  offer(registry, 'delivered', { returns: 'f64' }, () => registry.stats().delivered);
  offer(registry, 'gone', { returns: 'f64' }, () => registry.stats().gone);
  offer(registry, 'bystander calls', { returns: 'f64' }, () => bystander.calls);
  offer(registry, 'end', { args: ['handle'] }, (handle) => registry.delete(handle));
  offer(registry, 'drop', { args: ['handle'] }, (handle) => registry.release(handle));
  offer(
    registry,
    'calls of',
    { args: ['handle'], returns: 'f64' },
    (handle) => registry.get(handle, SampleKind).calls,
  );
  offer(registry, 'valid', { args: ['handle'], returns: 'bool' }, (handle) => registry.has(handle));
}
