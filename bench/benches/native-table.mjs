// Bench `native-table`: C++ uses a handle: retain + check + release, over 1,000 live handles in each thread's own
// order. haft beside the two classic tables, those of examples/stream.
import { addon } from '../addon.mjs';
import { addOp, Counter, openRegistry } from '../counter.mjs';

export const subjects = ['haft', 'big-old-map', 'sharded-map'];

export const cases = () => [1, 2, 8].map((threads) => ({ threads, live: 1000 }));

export const needsCalm = true;

export async function measure(subject, { threads, live }, { quick }) {
  const milliseconds = quick ? 50 : 300;
  const params = { threads, live };
  if (subject !== 'haft') return [{ params, ns: addon().nativeTable(subject, threads, milliseconds, live) }];

  const { registry, counterKind } = await openRegistry();
  const handles = Float64Array.from({ length: live }, () => registry.create(new Counter(), counterKind));
  const ns = addon().nativeTable(subject, threads, milliseconds, handles, addOp());
  registry.close();
  return [{ params, ns }];
}
