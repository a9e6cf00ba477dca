// Loads the library that is named first, by the kinds of kinds.mjs, and prints what it reports; then what is left when each
// creator has given its reference back.
import { Registry } from 'haft';
import publish, { inside } from './kinds.mjs';

const registry = new Registry();
const handles = publish(registry);
let ended;
const end = new Promise((resolve) => {
  ended = resolve;
});
const report = registry.create((text) => {
  console.log(text);
  if (text === 'end') ended();
}, inside.ReportKind);
registry.publish('report', report);
registry.loadPlugin(process.argv[2]);
registry.ref(); // what C sends comes by the event loop
await end;
registry.unref();
for (const handle of [...handles, report]) registry.release(handle);
registry.drain();
console.log(`${registry.stats().live} live`);
registry.close();
