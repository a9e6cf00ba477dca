// Bench `publish`: create + get + delete of handles that native threads can use. haft's Registry beside an addon
// that keeps a Node-API reference an object and gives out its number.
import { addon } from '../addon.mjs';
import { Counter, openRegistry } from '../counter.mjs';

export const subjects = ['haft', 'napi-ref'];

export const cases = () => [{ live: 1000 }];

async function makeTable(subject) {
  if (subject === 'haft') {
    const { registry, counterKind } = await openRegistry();
    return {
      create: (object) => registry.create(object, counterKind),
      get: (id) => registry.get(id),
      delete: (id) => registry.delete(id),
      close: () => registry.close(),
    };
  }
  const { referenceCreate, referenceGet, referenceDelete } = addon();
  return { create: referenceCreate, get: referenceGet, delete: referenceDelete, close() {} };
}

function churn(table, ids, object) {
  let seen = 0;
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i];
    if (table.get(id) === object) seen++;
    table.delete(id);
    ids[i] = table.create(object);
  }
  return seen;
}

export async function measure(subject, { live }, { quick }) {
  const table = await makeTable(subject);
  const object = new Counter();
  const ids = Array.from({ length: live }, () => table.create(object));
  const passes = quick ? 100 : 2000;
  for (let pass = 0; pass < passes / 4; pass++) churn(table, ids, object);

  let seen = 0;
  const began = performance.now();
  for (let pass = 0; pass < passes; pass++) seen += churn(table, ids, object);
  const ns = ((performance.now() - began) * 1e6) / (passes * live);
  if (seen !== passes * live) throw new Error(`saw ${seen} objects of ${passes * live}`);

  table.close();
  return [{ params: { live }, ns }];
}
