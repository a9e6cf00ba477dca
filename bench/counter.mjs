// What the benches between C and JavaScript call: a counter, as an object of haft's and of its peers'.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { addon } from './addon.mjs';

export class Counter {
  total = 0;

  add(x) {
    this.total += x;
    return this.total;
  }
}

let haft = 'haft';

// From now on, haft is the one that was built in this folder.
export function useHaftOf(folder) {
  haft = pathToFileURL(createRequire(`${folder}/`).resolve('haft')).href;
}

// A registry that knows Counter, or the class given with its ops.
export async function openRegistry(Class = Counter, ops = { add: { args: ['f64'], returns: 'f64' } }) {
  const { Registry, kind } = await import(haft);
  const registry = new Registry();
  const counterKind = kind(Class, ops);
  addon().useHaft(registry.api);
  return { registry, counterKind };
}

export const addOp = (Class = Counter) => addon().findOp(Class.name, 'add');
