// A realm at work, and the host whose threads work with it: the same for every round, on whatever thread it is opened.
import { kind, Registry, runHost } from 'haft';

const OBJECTS = 4;

/**
 * Opens it and starts the host with these arguments. `inside.act`, once it is set, runs in every handler, and
 * `inside.promise` makes the promises.
 */
export function openRealm(inside, args) {
  class Busy {
    total = 0;
    add(n) {
      inside.act?.();
      this.total += n;
      return this.total;
    }
    note(text) {
      inside.act?.();
      this.total += text.length;
    }
    echo(text) {
      return text;
    }
    later(n) {
      return inside.promise?.() ?? new Promise((resolve) => setTimeout(resolve, 1, n));
    }
    fail() {
      throw new Error('wanted');
    }
  }
  const text = { args: ['str'], returns: 'str' };
  const number = { args: ['f64'], returns: 'f64' };
  const BusyKind = kind(Busy, { add: number, note: { args: ['str'] }, echo: text, later: number, fail: {} });

  const registry = new Registry();
  registry.on('error', () => {}); // of `fail`
  for (let i = 0; i < OBJECTS; i++) {
    registry.publish(`object ${i}`, registry.create(new Busy(), BusyKind));
  }
  return { registry, host: runHost('build/Release/ends.so', registry, args) };
}
