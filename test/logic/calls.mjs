// Handlers that are slow, throw, never answer, or close the registry.

import { kind } from 'haft';
import koffi from 'koffi';
import objects, { offer, Sample, SampleKind } from './objects.mjs';

class Incomplete {
  constructor() {
    this.missing = undefined;
  }
}

export default function calls(registry) {
  objects(registry);
  const host = koffi.load('build/Release/calls.so');
  const gate = host.func('void gate_wait()');
  const join = host.func('int32_t join_answered()');
  let joined = 0;
  offer(registry, 'gate', {}, gate);
  // One object, so that its messages come in order.
  class Pair {
    answer(x) {
      return x;
    }
    join() {
      joined += join();
    }
  }
  const PairKind = kind(Pair, { answer: { args: ['f64'], returns: 'f64' }, join: {} });
  registry.publish('pair', registry.create(new Pair(), PairKind));
  offer(registry, 'joined', { returns: 'f64' }, () => joined);
  offer(registry, 'echo', { args: ['f64'], returns: 'f64' }, (x) => x);
  offer(registry, 'say', { returns: 'str' }, () => 'said');
  offer(registry, 'close', {}, () => registry.close());

  const slow = (name, returns, act) => {
    offer(registry, `slow ${name}`, { returns }, () => {
      gate();
      return act();
    });
  };
  slow('number', 'f64', () => 1);
  slow('text', 'str', () => 'x'.repeat(100_000));
  slow('bytes', 'bytes', () => new Uint8Array(100_000));
  slow('throw', 'f64', () => {
    throw new Error('x'.repeat(2000));
  });
  slow('wrong', 'f64', () => 'wrong');
  slow('promise', 'str', async () => 'x'.repeat(100_000));
  slow('handle', 'handle', () => registry.create(new Sample(), SampleKind));

  const throws = (name, what) =>
    offer(registry, name, { returns: 'f64' }, () => {
      throw what();
    });
  throws('throws', () => new RangeError('out of reach'));
  throws('throws undefined', () => undefined);
  throws('throws null', () => null);
  throws('throws a number', () => -0.5);
  throws('throws a string', () => 'just text');
  throws('throws a symbol', () => Symbol('s'));
  throws('throws an object', () => ({}));
  throws('throws without a prototype', () => Object.create(null));
  throws('throws what cannot be shown', () => ({
    toString() {
      throw new Error('no');
    },
  }));
  throws('throws a liar', () =>
    Object.defineProperties(new Error('x'), {
      name: { value: Symbol('name') },
      message: {
        get() {
          throw new Error('no');
        },
      },
      stack: { value: { toString: null } },
    }),
  );
  throws('throws a proxy', () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  });
  throws('throws a NUL', () => new Error('a\0b'));
  throws('throws no message', () => new Error());
  throws('throws a long one', () => new Error('ü'.repeat(100_000)));
  offer(registry, 'throws a stale handle', { returns: 'f64' }, () =>
    registry.get(registry.create(1) + 2 ** 30),
  );
  offer(registry, 'overflows', { returns: 'f64' }, function deeper() {
    return deeper() + 1;
  });
  registry.publish('incomplete', registry.create(new Incomplete(), kind(Incomplete, { missing: {} })));

  offer(registry, 'never', {}, () => new Promise(() => {}));
  offer(registry, 'later', { args: ['f64'], returns: 'f64' }, async (n) => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    return 2 * n;
  });
  offer(registry, 'rejects', { returns: 'f64' }, async () => {
    throw new Error('rejected');
  });
  offer(registry, 'later wrong', { returns: 'f64' }, async () => 'wrong');
  offer(registry, 'settles twice', { returns: 'f64' }, () => ({
    // biome-ignore lint/suspicious/noThenProperty: a thenable that keeps to no rule
    then(good, bad) {
      good(1);
      good(2);
      bad(new Error('late'));
    },
  }));
  offer(registry, 'then throws', { returns: 'f64' }, () => ({
    // biome-ignore lint/suspicious/noThenProperty: a thenable that keeps to no rule
    then() {
      throw new Error('no');
    },
  }));
}
