// A culprit, whose handlers do everything wrong, and neighbours of it.
import { kind } from 'haft';
import koffi from 'koffi';
import objects, { offer } from './objects.mjs';

const SLOW_MILLISECONDS = 3; // longer than a drain stays

function spin(milliseconds) {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}

let culpritCalls = 0;
class Culprit {
  add(n) {
    culpritCalls++;
    return n;
  }
  fail(n) {
    culpritCalls++;
    throw culpritCalls % 2 ? new Error(`wanted ${n}`) : undefined;
  }
  async reject(n) {
    culpritCalls++;
    throw new Error(`wanted ${n}`);
  }
  wrong() {
    culpritCalls++;
    return 'no number';
  }
  slow(n) {
    culpritCalls++;
    spin(SLOW_MILLISECONDS);
    return n;
  }
  never() {
    culpritCalls++;
    return new Promise(() => {});
  }
  text(bytes) {
    culpritCalls += bytes.length > 0 ? 1 : 0;
  }
}
class Neighbour {
  total = 0;
  add(n) {
    this.total += n;
    return this.total;
  }
}
const number = { args: ['f64'], returns: 'f64' };
const CulpritKind = kind(Culprit, {
  add: number,
  fail: number,
  reject: number,
  wrong: number,
  slow: number,
  never: number,
  text: { args: ['bytes'] },
});
const NeighbourKind = kind(Neighbour, { add: number });

export default function isolation(registry) {
  objects(registry);
  const gate = koffi.load('build/Release/isolation.so').func('void gate_wait()');
  registry.on('error', () => {}); // the culprit's
  registry.publish('culprit', registry.create(new Culprit(), CulpritKind));
  registry.publish('neighbour', registry.create(new Neighbour(), NeighbourKind));
  offer(registry, 'make', { args: ['str'], returns: 'handle' }, () =>
    registry.create(new Neighbour(), NeighbourKind),
  );
  offer(registry, 'gate', {}, gate);
  offer(registry, 'culprit calls', { returns: 'f64' }, () => culpritCalls);
  let turns = 0;
  setInterval(() => turns++, 1);
  offer(registry, 'turns', { returns: 'f64' }, () => turns);
}
