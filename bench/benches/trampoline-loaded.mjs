// Bench `trampoline-loaded`: C calls a closure from other threads while more threads than the machine has cores compute
// and never yield; and, beside it, while nothing else runs. haft's trampoline beside koffi's registered callback.
import { addon } from '../addon.mjs';
import { timeCallers } from '../callers.mjs';
import { makeTrampoline } from '../trampolines.mjs';

export { cases, needsCalm } from './call-loaded.mjs';

export const subjects = ['haft', 'koffi'];

export async function measure(subject, params, { quick }) {
  const { busy, callers } = params;
  const { start, close } = await makeTrampoline(subject);
  await timeCallers(() => start(callers, quick ? 20 : 150)); // compiles
  if (busy > 0) addon().busyStart(busy);
  // A call may have to wait for its turn on a core, which takes milliseconds.
  const milliseconds = (quick ? 100 : 600) * (busy > 0 ? 4 : 1);
  const ns = await timeCallers(() => start(callers, milliseconds));
  if (busy > 0) addon().busyStop();
  close();
  return [{ params, ns }];
}
