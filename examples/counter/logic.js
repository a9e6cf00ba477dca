// The object lives here.
import { kind } from 'haft';

class Counter {
  total = 0;
  add(n) {
    this.total += n;
    return this.total;
  }
}
const CounterKind = kind(Counter, { add: { args: ['f64'], returns: 'f64' } });
export default (registry) => registry.publish('counter', registry.create(new Counter(), CounterKind));
