// A worker of logic.mjs with a realm of its own.
import { parentPort } from 'node:worker_threads';
import { Registry } from 'haft';
import { offer } from '../logic/objects.mjs';

const registry = new Registry().ref();
offer(registry, 'add', { args: ['f64', 'f64'], returns: 'f64' }, (one, other) => one + other);
offer(registry, 'hang', {}, () => {
  for (;;);
});
parentPort.postMessage(BigInt(registry.id));
