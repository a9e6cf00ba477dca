// Logic for the hosts of hosts/lives.c.
import fs from 'node:fs';
import { Worker } from 'node:worker_threads';
import objects, { offer } from './objects.mjs';

export default function lives(registry) {
  objects(registry);
  offer(registry, 'busy', {}, () => {
    for (;;);
  });
  // Threads of Node's own are at work.
  offer(registry, 'load', {}, () => {
    setInterval(() => fs.readFile('/proc/self/status', () => {}), 1);
    new Worker('setInterval(() => JSON.parse(JSON.stringify(Array(500).fill("x"))), 1)', { eval: true });
  });
}
