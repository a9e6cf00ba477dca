// Bench `call-loaded`: calls from other threads while more threads than the machine has cores compute and never yield;
// and, beside it, while nothing else runs. haft beside koffi's registered callback.
import os from 'node:os';
import { addon } from '../addon.mjs';
import { makeCaller, timeCallers } from '../callers.mjs';

export const subjects = ['haft', 'koffi'];

export const BUSY = Math.max(4, 2 * os.availableParallelism());
export const CALLERS = [1, 2, 4];

export const cases = () => [0, BUSY].flatMap((busy) => CALLERS.map((callers) => ({ busy, callers })));

export const needsCalm = true;

export async function measure(subject, params, { quick }) {
  const { busy, callers } = params;
  const { start, close } = await makeCaller(subject);
  await timeCallers(() => start(callers, quick ? 20 : 150, 0)); // compiles
  if (busy > 0) addon().busyStart(busy);
  // A call may have to wait for its turn on a core, which takes milliseconds.
  const milliseconds = (quick ? 100 : 600) * (busy > 0 ? 4 : 1);
  const ns = await timeCallers(() => start(callers, milliseconds, 0));
  if (busy > 0) addon().busyStop();
  close();
  return [{ params, ns }];
}
