// Bench `table`: handles that only JavaScript uses. haft's HandleTable beside what one writes without it: a Map and
// a counter, with numbers, with BigInts, and in 64 shards.
//
// `get` visits live handles; `churn` is a whole life: create + get + delete, of the handle that has lived longest
// (order sequential) or of any (shuffled).

export const subjects = ['haft', 'map-number', 'map-bigint', 'sharded-map'];

export function cases({ quick }) {
  const lives = quick ? [1000, 10000] : [1000, 10000, 100000, 1000000, 10000000];
  return lives.flatMap((live) => ['sequential', 'shuffled'].map((order) => ({ live, order })));
}

// Room for ten million BigInts and their Map, for all subjects alike.
export const nodeFlags = ['--expose-gc', '--max-old-space-size=12000'];

class MapNumber {
  #objects = new Map();
  #last = 0;
  create(object) {
    this.#objects.set(++this.#last, object);
    return this.#last;
  }
  get(id) {
    return this.#objects.get(id);
  }
  delete(id) {
    this.#objects.delete(id);
  }
}

class MapBigInt {
  #objects = new Map();
  #last = 0n;
  create(object) {
    this.#objects.set(++this.#last, object);
    return this.#last;
  }
  get(id) {
    return this.#objects.get(id);
  }
  delete(id) {
    this.#objects.delete(id);
  }
}

class ShardedMap {
  #shards = Array.from({ length: 64 }, () => new Map());
  #last = 0;
  create(object) {
    const id = ++this.#last;
    this.#shards[id & 63].set(id, object);
    return id;
  }
  get(id) {
    return this.#shards[id & 63].get(id);
  }
  delete(id) {
    this.#shards[id & 63].delete(id);
  }
}

async function makeTable(subject) {
  if (subject === 'map-number') return new MapNumber();
  if (subject === 'map-bigint') return new MapBigInt();
  if (subject === 'sharded-map') return new ShardedMap();
  const { HandleTable } = await import('haft');
  return new HandleTable();
}

// Ids lie in memory beforehand, in the form that suits their table best: small integers and doubles unboxed. A
// BigInt is a new one at each use, as it is when it comes from C; the very object that is the Map's key would be
// found faster than any id that has been away.
const makeIds = (subject, live, sample) =>
  subject === 'map-bigint' ? new BigUint64Array(live) : new Array(live).fill(sample);

// One process has one kind of table, so these two are compiled for it alone. Both return how many objects they
// saw, which is checked: a loop whose results nobody wants may be optimised away.
function get(table, ids, from, to) {
  let seen = 0;
  for (let i = from; i < to; i++) seen += table.get(ids[i]).one;
  return seen;
}

function churn(table, ids, from, to, object) {
  let seen = 0;
  for (let i = from; i < to; i++) {
    const id = ids[i];
    seen += table.get(id).one;
    table.delete(id);
    ids[i] = table.create(object);
  }
  return seen;
}

// Nanoseconds an operation, over so many of them, round and round the ids. The mean, not a median of parts: a Map
// pays for its churn in rare, long rehashes, and they belong to it.
function time(work, table, ids, object, count) {
  const step = Math.min(ids.length, 100000);
  let done = 0;
  let seen = 0;
  const began = performance.now();
  for (let from = 0; done < count; from = from + step >= ids.length ? 0 : from + step) {
    const to = Math.min(from + step, ids.length);
    seen += work(table, ids, from, to, object);
    done += to - from;
  }
  const ns = ((performance.now() - began) * 1e6) / done;
  if (seen !== done) throw new Error(`saw ${seen} objects of ${done}`);
  return ns;
}

function shuffle(items) {
  let seed = 42;
  for (let i = items.length - 1; i > 0; i--) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    const j = Math.floor((seed / 2 ** 32) * (i + 1));
    [items[i], items[j]] = [items[j], items[i]];
  }
}

function usedBytes() {
  globalThis.gc();
  globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

export async function measure(subject, { live, order }, { quick }) {
  const table = await makeTable(subject);
  // Every handle names the same object: what the object costs, in bytes and in cache misses, is not the table's.
  const object = { one: 1 };

  const sample = table.create(object);
  const ids = makeIds(subject, live, sample);
  table.delete(sample);
  const before = usedBytes();
  for (let i = 0; i < live; i++) ids[i] = table.create(object);
  const bytesPerHandle = (usedBytes() - before) / live;

  if (order === 'shuffled') shuffle(ids);
  const least = quick ? 100000 : 5000000;
  const warmUp = Math.min(least, 1000000);
  const results = [];

  time(get, table, ids, object, warmUp);
  const row = {
    params: { op: 'get', live, order },
    ns: time(get, table, ids, object, Math.max(least, live)),
  };
  if (live >= 100000) row.bytesPerHandle = bytesPerHandle; // below, the process's own noise is larger
  results.push(row);

  const params = { op: 'churn', live, order };
  try {
    time(churn, table, ids, object, warmUp);
    results.push({ params, ns: time(churn, table, ids, object, Math.max(least, 2 * live)) });
  } catch (error) {
    // A Map holds 2^24 entries at most, deleted ones included until it rehashes.
    if (!(error instanceof RangeError)) throw error;
    results.push({ params, impossible: error.message });
  }
  return results;
}
