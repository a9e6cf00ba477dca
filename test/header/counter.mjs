// The kind of counter.h, which is what `haft header` has to make of it.
import { kind } from 'haft';

class Counter {
  total = 0;
  add(n) {
    this.total += n;
    return this.total;
  }
  describe(unit) {
    return `${this.total} ${unit}`;
  }
  reset() {
    this.total = 0;
  }
}

export const CounterKind = kind(Counter, {
  add: { args: ['f64'], returns: 'f64' },
  describe: { args: ['str'], returns: 'str' },
  reset: {},
});
