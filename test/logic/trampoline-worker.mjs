// A worker with trampolines of its own. Argument: what it does.
import { parentPort } from 'node:worker_threads';
import { Registry } from 'haft';
import koffi from 'koffi';
import { ADD, call, sum } from './callbacks.mjs';

const [what] = process.argv.slice(2);
const registry = new Registry();

if (what === 'short') {
  // Ends by itself, its registry with it.
  const trampoline = registry.trampoline({ ...ADD, ref: false });
  const plain = registry.trampoline(ADD);
  const bound = trampoline.bind((n) => n + 1);
  parentPort.postMessage({
    pointer: plain.pointer,
    native: plain.native && trampoline.native,
    answer: call(bound.pointer, bound.userData, 41),
  });
} else if (what === 'loop') {
  let calls = 0;
  const bound = registry.trampoline(ADD).bind((n) => {
    if (++calls === 1000) parentPort.postMessage('at work');
    return n;
  });
  sum(bound.pointer, bound.userData, 3_000_000);
} else if (what === 'struct') {
  try {
    registry.trampoline({ args: [koffi.struct({ x: 'double' }), 'void *'], userData: 1 });
  } catch ({ code }) {
    parentPort.postMessage({ code });
  }
} else if (what === 'serve') {
  // Answers until it is terminated, or told how to end.
  parentPort.on('message', (how) => {
    if (how === 'exit') process.exit(3);
    bound.unbind();
    parentPort.close();
  });
  const bound = registry.trampoline(ADD).bind((n) => n + 1);
  parentPort.postMessage({ pointer: bound.pointer, userData: bound.userData });
}
