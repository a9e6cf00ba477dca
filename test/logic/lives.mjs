// Logic for the hosts of hosts/lives.c.
import objects, { offer } from './objects.mjs';

export default function lives(registry) {
  objects(registry);
  offer(registry, 'busy', {}, () => {
    for (;;);
  });
}
