// What objects.mjs has, and ways to publish, to define and to close from C.
import { kind } from 'haft';
import objects, { offer, SampleKind, StrangerKind } from './objects.mjs';

export default function names(registry) {
  objects(registry);
  offer(registry, 'publish', { args: ['str', 'handle'] }, (name, handle) => registry.publish(name, handle));
  offer(registry, 'unpublish', { args: ['str'] }, (name) => registry.unpublish(name));
  offer(registry, 'close', {}, () => registry.close());
  const prints = { Sample: SampleKind.fingerprint, Stranger: StrangerKind.fingerprint };
  offer(registry, 'fingerprint', { args: ['str'], returns: 'i64' }, (name) =>
    BigInt.asIntN(64, prints[name]),
  );
  offer(registry, 'define', { args: ['f64'], returns: 'i64' }, (version) => {
    class Version {
      first() {}
      second() {}
    }
    const args = Array(Math.max(0, version - 2)).fill('f64'); // no two are the same
    const made = kind(Version, version === 1 ? { first: {} } : { first: {}, second: { args } });
    registry.create(new Version(), made);
    return BigInt.asIntN(64, made.fingerprint);
  });
}
