// registry.js: the part of haft's Registry and runHost that the stream uses, over one of the two classic tables.
import { createRequire } from 'node:module';

const addon = createRequire(import.meta.url)('../../../build/Release/baselines.node');

/** How many ended handles the native side hands over at once. */
const DROPPED = 1024;

export class Registry {
  /** The table in C++ has the references; this has the objects, which JavaScript reaches fastest in a Map. */
  #entries = new Map();
  #kinds = new Map();

  /** @param {'big-old-map' | 'sharded-map'} table */
  constructor(table) {
    const dropped = new Float64Array(DROPPED);
    const drop = (count) => {
      for (let i = 0; i < count; i++) this.#entries.delete(dropped[i]);
    };
    addon.open(table, drop, dropped);
  }

  create(object, kind) {
    const handle = addon.create(this.#kinds.get(kind) ?? this.#define(kind));
    this.#entries.set(handle, { object, kind });
    return handle;
  }

  get(handle, kind) {
    const entry = this.#entries.get(handle);
    if (entry === undefined) throw new Error(`the handle ${handle} has no object`);
    if (kind !== undefined && entry.kind !== kind) throw new Error(`the handle ${handle} is of another kind`);
    return entry.object;
  }

  delete(handle) {
    if (!addon.remove(handle)) throw new Error(`the handle ${handle} has no object`);
    this.#entries.delete(handle);
  }

  publish(name, handle) {
    addon.publish(name, handle);
  }

  stats() {
    return { live: this.#entries.size, created: addon.created() };
  }

  close() {
    addon.close();
  }

  /** Native code calls an op as a function of the handle and the arguments. */
  #define(kind) {
    const ops = Object.entries(kind.signatures).map(([name, { returns = 'void' }]) => ({
      name,
      returns,
      run: (handle, ...args) => this.get(handle, kind)[name](...args),
    }));
    const id = addon.define(kind.name, ops);
    this.#kinds.set(kind, id);
    return id;
  }
}

/** Runs the host on a thread of its own. Resolves to its exit code. */
export function runHost(path, _registry, args = []) {
  return new Promise((resolve) => addon.runHost(path, args, resolve));
}
