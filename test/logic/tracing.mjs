// One counter, for hosts/tracing.c; a collection and a second registry besides.
import { kind, Registry } from 'haft';

class Counter {
  total = 0;
  note(n) {
    this.total += n;
  }
  add(n) {
    this.total += n;
    return this.total;
  }
}
const CounterKind = kind(Counter, { note: { args: ['f64'] }, add: { args: ['f64'], returns: 'f64' } });

export default async function tracing(registry) {
  const other = new Registry();
  await other.collect();
  other.close();
  registry.publish('counter', registry.create(new Counter(), CounterKind));
}
