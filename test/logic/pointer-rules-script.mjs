// Breaks the pointer rules in JavaScript, one way after the other, and prints what is thrown: "name: CODE N next step".
import { HaftError, kind, Registry } from 'haft';

class Counter {
  total = 0;
  add(n) {
    this.total += n;
    return this.total;
  }
}
class Other {
  touch() {}
}
const CounterKind = kind(Counter, { add: { args: ['f64'], returns: 'f64' } });
const OtherKind = kind(Other, { touch: {} });
const registry = new Registry();
const other = new Registry();
const counter = registry.create(new Counter(), CounterKind);

/** Collects garbage until `isDone`, whose looks keep the object for the turn. */
async function collectUntil(isDone) {
  const turn = () => new Promise((resolve) => setTimeout(resolve, 1));
  for (let round = 0; round < 1000 && !isDone(); round++) {
    await turn();
    globalThis.gc();
    await turn();
  }
}

const breaches = {
  'a number of one’s own': () => registry.get(7, CounterKind),
  'a handle cut to 32 bits': () => registry.get(counter % 2 ** 32, CounterKind),
  'used after the delete'() {
    const handle = registry.create(new Counter(), CounterKind);
    registry.delete(handle);
    registry.get(handle);
  },
  'released twice'() {
    const handle = registry.create(new Counter(), CounterKind);
    registry.release(handle);
    registry.release(handle);
  },
  'an object of another kind': () => registry.get(counter, OtherKind),
  'a handle of another registry': () => other.get(counter),
  'a transferred buffer pinned'() {
    const buffer = new ArrayBuffer(16);
    structuredClone(buffer, { transfer: [buffer] });
    registry.pin(buffer);
  },
  'a resizable buffer pinned': () => registry.pin(new ArrayBuffer(16, { maxByteLength: 32 })),
  async 'a collected object'() {
    const handle = (() => registry.weak(new Counter(), CounterKind))();
    await collectUntil(() => registry.tryGet(handle) === undefined);
    registry.get(handle);
  },
  async 'a moved object'() {
    const MovableKind = kind(
      Counter,
      {},
      { name: 'Movable', serialize: () => '', deserialize: () => new Counter() },
    );
    other.accept(MovableKind);
    const old = registry.create(new Counter(), MovableKind);
    await registry.moveTo(old, other.id);
    registry.get(old);
  },
  'a closed registry'() {
    const short = new Registry();
    const handle = short.create(new Counter(), CounterKind);
    short.close();
    short.get(handle);
  },
  'never released'() {
    const handle = registry.create(new Counter(), CounterKind);
    for (;;) registry.retain(handle);
  },
};

for (const [name, act] of Object.entries(breaches)) {
  if (process.argv[2] !== undefined && process.argv[2] !== name) continue;
  // At level 2 each of the four million retains keeps a stack, which takes minutes.
  if (name === 'never released' && process.env.HAFTCHECK === '2') continue;
  try {
    await act();
    console.log(`${name}: HAFT_OK 0`);
  } catch (error) {
    if (!(error instanceof HaftError)) console.log(`${name}: ${error}`);
    else
      console.log(
        `${name}: ${error.code} ${error.rule} ${error.message.slice(error.message.indexOf(error.next))}`,
      );
  }
}
registry.close();
other.close();
