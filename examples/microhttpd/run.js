// Starts the server of server.js, asks it, and stops it while many clients are asking.
import { setImmediate } from 'node:timers/promises';
import { Registry } from 'haft';
import { Server } from './server.js';

const CLIENTS = 48;
const STOP_AFTER = 2000;

let handled = 0;
async function answer({ method, path, body }) {
  handled++;
  const [, name, argument] = path.split('/');
  if (name === 'hello') return { status: 200, body: `Hello, ${argument}!` };
  if (name !== 'sum') return { status: 404, body: 'no such page' };
  if (method !== 'POST') return { status: 405, body: 'POST numbers' };
  await setImmediate(); // handlers may wait, for a database or another server
  const numbers = JSON.parse(body);
  if (!Array.isArray(numbers)) throw new TypeError('these are no numbers');
  return { status: 200, body: String(numbers.reduce((a, b) => a + b, 0)) };
}

const registry = new Registry();
const server = new Server(registry, 4, answer);
const ask = async (path, body) => {
  const options = body && { method: 'POST', body: JSON.stringify(body) };
  const response = await fetch(`http://127.0.0.1:${server.port}${path}`, options);
  return `${response.status} ${await response.text()}`;
};

console.log(`GET /hello/Ada: ${await ask('/hello/Ada')}`);
const numbers = Array.from({ length: 100_000 }, (_, i) => i);
console.log(`POST /sum, ${JSON.stringify(numbers).length} bytes: ${await ask('/sum', numbers)}`);
console.log(`POST /sum, no numbers: ${await ask('/sum', 'text')}`);
console.log(`GET /else: ${await ask('/else')}`);

// Each client asks until there is no server any more.
handled = 0;
let asked = 0;
let answered = 0;
let refused = 0;
let stopped;
async function client(name) {
  for (let i = 0; ; i++) {
    asked++;
    const isHello = i % 2 === 1;
    const expected = isHello ? `200 Hello, ${name}.${i}!` : `200 ${name + i}`;
    try {
      const got = await (isHello ? ask(`/hello/${name}.${i}`) : ask('/sum', [name, i]));
      if (got !== expected) throw new Error(`${got} instead of ${expected}`);
    } catch (error) {
      if (error.cause?.code === undefined) throw error; // not an error of the connection
      refused++;
      return;
    }
    if (++answered === STOP_AFTER) stopped = server.stop();
  }
}
await Promise.all(Array.from({ length: CLIENTS }, (_, name) => client(name)));
await stopped;
console.log(`\n${CLIENTS} clients asked ${asked} times, the server stopped in the midst of it`);
console.log(`${answered} answered, ${refused} refused; the handler ran ${handled} times`);
console.log(`${registry.stats().live} live`);
registry.close();
