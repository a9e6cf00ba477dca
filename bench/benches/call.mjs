// Bench `call`: a thread that is not JavaScript's calls a method and waits for the result. The realm is awake (calls
// follow each other) or asleep (a pause before each, in which the event loop went to sleep; the caller spins, so
// that its own core stays awake). haft beside koffi's registered callback, beside a thread-safe function with a
// waiting caller, and beside the limit: one word to and fro between two threads.
import { addon } from '../addon.mjs';
import { makeCaller, timeCallers } from '../callers.mjs';

export const subjects = ['haft', 'koffi', 'napi-tsfn-wait', 'ping-pong'];

export const cases = () => [{ realm: 'awake' }, { realm: 'asleep' }];

// Two spinning threads have nothing that could sleep.
export const skips = (subject, { realm }) => subject === 'ping-pong' && realm === 'asleep';

export const needsCalm = true;
export const againstCommits = true;

const PAUSE_MICROSECONDS = 1000;

export async function measure(subject, params, { quick }) {
  const milliseconds = quick ? 60 : 600;
  if (subject === 'ping-pong') return [{ params, ns: addon().pingPong(milliseconds) }];

  const { start, close } = await makeCaller(subject);
  const pause = params.realm === 'asleep' ? PAUSE_MICROSECONDS : 0;
  await timeCallers(() => start(1, milliseconds / 4, pause)); // compiles
  const ns = await timeCallers(() => start(1, milliseconds, pause));
  close();
  return [{ params, ns }];
}
