// What events come from: handlers that wait at a gate, collect, let go, or close.
import koffi from 'koffi';
import objects, { offer } from './objects.mjs';

export default function waiting(registry) {
  objects(registry);
  offer(registry, 'gate', {}, koffi.load('build/Release/waiting.so').func('void gate_wait()'));
  offer(registry, 'collect', {}, () => void registry.collect());
  offer(registry, 'close', {}, () => registry.close());
  offer(registry, 'echo', { args: ['f64'], returns: 'f64' }, (n) => n);
}
