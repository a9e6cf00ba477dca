// jest's `test` and `afterEach`, as far as hooks go: a function with a parameter waits for the callback that it is given.
// node globals.mjs FILE
import { pathToFileURL } from 'node:url';

const tests = [];
const hooks = [];
globalThis.test = (name, run) => tests.push({ name, run });
globalThis.afterEach = (run) => hooks.push(run);
await import(pathToFileURL(process.argv[2]).href);

const finish = (run) =>
  run.length === 0
    ? run()
    : new Promise((resolve, reject) => run((error) => (error === undefined ? resolve() : reject(error))));
let failed = 0;
for (const { name, run } of tests) {
  try {
    await finish(run);
    for (const hook of hooks) await finish(hook);
    console.log(`passed: ${name}`);
  } catch (error) {
    failed++;
    console.log(`failed: ${name}\n${error.message}`);
  }
}
process.exit(failed === 0 ? 0 : 1);
