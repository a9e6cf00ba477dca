// Objects that keep a record of what reaches them, in which order.

import { HaftError, kind } from 'haft';
import koffi from 'koffi';
import objects, { offer, Sample, SampleKind } from './objects.mjs';

const turn = () => new Promise((resolve) => setTimeout(resolve, 1));

export default function posts(registry) {
  objects(registry);
  const gate = koffi.load('build/Release/posts.so').func('void gate_wait()');
  let kept = 0;
  let held = 0;
  let waited = 0;
  let depth = 0;
  class Notes {
    log = [];
    sumOf = 0;
    note(n) {
      this.log.push(n);
    }
    noteText(n, bytes) {
      if (![0, 200, 900, 2500].includes(bytes.length)) throw new Error(`${bytes.length} bytes`);
      this.log.push(n);
    }
    noteAndDrain(n) {
      this.log.push(n);
      depth++;
      registry.drain();
      // All 900 were posted before the first handler ran. Inside other drains, this one may leave the rest to them.
      if (--depth === 0 && this.log.length !== 900) waited++;
    }
    count() {
      return this.log.length;
    }
    keep(handle) {
      if (registry.get(handle, SampleKind) instanceof Sample) kept++;
    }
    sum(n) {
      this.sumOf += n;
    }
    total() {
      return this.sumOf;
    }
  }
  const NotesKind = kind(Notes, {
    note: { args: ['f64'] },
    noteText: { args: ['f64', 'bytes'] },
    noteAndDrain: { args: ['f64'] },
    count: { returns: 'f64' },
    keep: { args: ['handle'] },
    sum: { args: ['f64'] },
    total: { returns: 'f64' },
  });
  class Suicidal {
    die() {
      registry.delete(this.handle);
    }
    lastWords() {
      registry.delete(this.handle);
      return 'farewell';
    }
  }
  const SuicidalKind = kind(Suicidal, { die: {}, lastWords: { returns: 'str' } });
  const makers = {
    notes: () => registry.create(new Notes(), NotesKind),
    live: () => registry.create(new Sample(), SampleKind),
    suicidal: () => {
      const object = new Suicidal();
      object.handle = registry.create(object, SuicidalKind);
      return object.handle;
    },
  };
  offer(registry, 'make', { args: ['str'], returns: 'handle' }, (what) => makers[what]());
  registry.publish('notes', makers.notes());
  offer(registry, 'gate', {}, gate);
  offer(registry, 'gate and close', {}, () => {
    gate();
    registry.close();
  });
  offer(registry, 'drain', {}, () => registry.drain());

  // Waits, in turns of the event loop, until so many have come: a call of another handle may overtake them.
  offer(registry, 'in order', { args: ['handle', 'f64'], returns: 'str' }, async (handle, count) => {
    const { log } = registry.get(handle, NotesKind);
    for (let i = 0; i < 10_000 && log.length < count; i++) await turn();
    const wrong = log.findIndex((n, i) => n !== i);
    if (log.length !== count) return `${log.length} messages, not ${count}`;
    return wrong < 0 ? '' : `${log[wrong]} in place of ${wrong}`;
  });
  offer(
    registry,
    'in order each',
    { args: ['handle', 'f64', 'f64'], returns: 'str' },
    async (handle, threads, count) => {
      const { log } = registry.get(handle, NotesKind);
      for (let i = 0; i < 10_000 && log.length < threads * count; i++) await turn();
      if (log.length !== threads * count) return `${log.length} messages, not ${threads * count}`;
      const next = Array.from({ length: threads }, () => 0);
      for (const n of log) {
        const thread = Math.floor(n / 1e6);
        if (n % 1e6 !== next[thread]++)
          return `${n % 1e6} of thread ${thread} in place of ${next[thread] - 1}`;
      }
      return '';
    },
  );
  offer(registry, 'kept', { returns: 'f64' }, async () => {
    for (let before = -1; before !== kept; ) {
      before = kept;
      for (let i = 0; i < 20; i++) await turn();
    }
    return kept;
  });
  offer(registry, 'hold', { args: ['handle'] }, (handle) => {
    gate();
    registry.drain();
    if (registry.get(handle, SampleKind) instanceof Sample) held++;
  });
  offer(registry, 'held', { returns: 'f64' }, () => held);
  offer(registry, 'waited', { returns: 'f64' }, () => waited);
  const bystander = registry.get(registry.find('bystander'), SampleKind);
  offer(registry, 'all arrived', { returns: 'f64' }, async () => {
    for (let i = 0; i < 10_000 && bystander.calls < 6000; i++) await turn();
    return bystander.calls;
  });

  const reported = [];
  registry.on('error', (error, { kind, op }) => {
    let text = typeof error;
    if (error instanceof HaftError) text = error.code;
    else if (error instanceof Error) text = String(error);
    else if (error === null) text = 'null';
    reported.push(`error ${kind}.${op} ${text}\n`);
  });
  const throws = (name, error) =>
    offer(registry, name, {}, () => {
      throw error;
    });
  throws('throws error', new RangeError('mine'));
  throws('throws null', null);
  throws('throws undefined', undefined);
  throws('throws what cannot be shown', {
    toString() {
      throw new Error('no');
    },
  });
  offer(registry, 'rejects', {}, async () => {
    await turn();
    await turn();
    throw new Error('rejected');
  });
  offer(registry, 'errors', { returns: 'str' }, async () => {
    for (let i = 0; i < 10_000 && reported.length < 9; i++) await turn();
    return reported.sort().join(''); // across handles there is no order
  });
}
