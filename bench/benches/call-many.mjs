// Bench `call-many`: the same calls from one thread that is not JavaScript's, each after the answer to the one before
// (haft_call), or all sent before the first answer is awaited (haft_call_many). The realm is awake.
import { addon } from '../addon.mjs';
import { Callee, timeCallers } from '../callers.mjs';
import { addOp, openRegistry } from '../counter.mjs';

export const subjects = ['haft'];

export const cases = () =>
  [1, 64].flatMap((handles) => [
    { handles, calls: 64, sent: 'singly' },
    ...[8, 64, 256].map((calls) => ({ handles, calls, sent: 'at once' })),
  ]);

export const needsCalm = true;
export const againstCommits = true;

export async function measure(_, params, { quick }) {
  const milliseconds = quick ? 60 : 600;
  const { registry, counterKind } = await openRegistry(Callee);
  const handles = Float64Array.from({ length: params.handles }, () =>
    registry.create(new Callee(), counterKind),
  );
  const op = addOp(Callee);
  const start = (time) =>
    addon().callManyHaft(handles, op, time, params.calls, params.sent === 'at once' ? 1 : 0);
  await timeCallers(() => start(milliseconds / 4)); // compiles
  const ns = await timeCallers(() => start(milliseconds));
  registry.close();
  return [{ params, ns }];
}
