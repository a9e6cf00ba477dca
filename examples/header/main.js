// Loads the plugins of one build. Argument: its folder.
import { join, resolve } from 'node:path';
import { Registry } from 'haft';
import { Counter, CounterKind, ReportKind } from './kinds.js';

const registry = new Registry();
const counter = new Counter();
registry.publish('counter', registry.create(counter, CounterKind));
registry.publish(
  'report',
  registry.create((text) => console.log(text), ReportKind),
);
for (const name of ['plugin_c.so', 'plugin_cpp.so'])
  registry.loadPlugin(resolve(join(process.argv[2], name)));
registry.drain(); // what was posted
console.log(`JavaScript: total ${counter.total}`);
registry.close();
