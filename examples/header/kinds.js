// What C may call: `haft header` makes the header of the plugins from these.
import { functionKind, kind } from 'haft';

export class Counter {
  total = 0;

  add(n) {
    this.total += n;
    return this.total;
  }

  describe(unit) {
    return `${this.total} ${unit}`;
  }
}

export const CounterKind = kind(Counter, {
  add: { args: ['f64'], returns: 'f64' },
  describe: { args: ['str'], returns: 'str' },
});

export const ReportKind = functionKind({ args: ['str'] });
