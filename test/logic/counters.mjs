// One object whose messages are counted, handlers that end in every way, and what JavaScript has counted.
import { kind } from 'haft';
import koffi from 'koffi';
import objects, { offer } from './objects.mjs';

class Counted {
  handled = 0;
  add(n) {
    this.handled += n;
    return this.handled;
  }
  fail() {
    throw new Error('wanted');
  }
  wrong() {
    return 'no number';
  }
  async later(n) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    return n;
  }
  async reject() {
    throw new Error('wanted');
  }
  take() {}
  die() {
    this.registry.delete(this.handle);
  }
  slow() {
    this.gate();
    return 1;
  }
  end() {
    this.registry.close();
  }
}
const number = { args: ['f64'], returns: 'f64' };
const CountedKind = kind(Counted, {
  add: number,
  fail: { returns: 'f64' },
  wrong: { returns: 'f64' },
  later: number,
  reject: { returns: 'f64' },
  take: { args: ['bytes'] },
  die: {},
  slow: { returns: 'f64' },
  end: {},
});

export default function counters(registry) {
  objects(registry);
  registry.on('error', () => {});
  const gate = koffi.load('build/Release/counters.so').func('void gate_wait()');
  const make = () => {
    const counted = Object.assign(new Counted(), { registry, gate });
    counted.handle = registry.create(counted, CountedKind);
    return counted.handle;
  };
  offer(registry, 'counted', { returns: 'handle' }, make);
  offer(registry, 'gate', {}, gate);
  offer(registry, 'never', {}, () => new Promise(() => {}));
  offer(registry, 'stats', { returns: 'str' }, () => {
    const { shards, ...sum } = registry.stats();
    const row = ({ sent, delivered, refused, dropped, expired, highestFill }) =>
      [sent, delivered, refused, dropped, expired, highestFill].join(' ');
    return [...shards, sum].map(row).join('\n');
  });
  let asked = 0;
  offer(registry, 'the fourth closes', {}, () => {
    if (++asked === 4) setImmediate(() => registry.close());
    return new Promise(() => {});
  });
}
