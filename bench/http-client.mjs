// The client of the bench `loop`, a process of its own: `fork('http-client.mjs', [port])`. Says 'ready'; for each message,
// so many milliseconds, it asks the server, one request after the other, and answers with the nanoseconds of each.
// A connection for each request, as somebody has who asks but now and then.
import { once } from 'node:events';
import http from 'node:http';

const port = Number(process.argv[2]);

async function ask() {
  const began = performance.now();
  const [response] = await once(http.get({ host: '127.0.0.1', port, agent: false }), 'response');
  await once(response.resume(), 'end');
  if (response.statusCode !== 200) throw new Error(`the server answered ${response.statusCode}`);
  return (performance.now() - began) * 1e6;
}

process.on('message', async (milliseconds) => {
  const each = [];
  const end = performance.now() + milliseconds;
  do each.push(await ask());
  while (performance.now() < end);
  process.send(each);
});
process.send('ready');
