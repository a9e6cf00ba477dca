// One counter, for hosts/tracing.c; a collection, a second registry, and functions of the host besides.
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
  const host = registry.host({ answer: { args: ['f64'], returns: 'f64' }, refuse: {} });
  const ask = async () => {
    const answered = await host.answer(5);
    return host.refuse().then(
      () => 0,
      () => answered,
    );
  };
  registry.publish('ask', registry.fn({ returns: 'f64' }, ask));
}
