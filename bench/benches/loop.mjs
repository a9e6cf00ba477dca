// Bench `loop`: what else lives on the event loop while native threads send to it and never pause: a timer of 10 ms,
// from setTimeout to its run, and a request of another process to an HTTP server. Messages that meet a full mailbox
// are tried again at once, or wait for room. haft beside a thread-safe function; beside as many threads that only
// compute, which is what the operating system alone takes away; and beside nothing.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { addon } from '../addon.mjs';
import { addOp, Counter, openRegistry } from '../counter.mjs';
import { median, percentile } from '../median.mjs';

export const subjects = ['haft', 'napi-tsfn', 'computing', 'idle'];

const PRODUCERS = 8;
export const TIMER_MILLISECONDS = 10;
const OBJECTS = 1000;

export const cases = () => [
  { producers: PRODUCERS, full: 'fail' },
  { producers: PRODUCERS, full: 'block' },
  { producers: PRODUCERS },
];

// A mailbox that may be full is haft's; the thread-safe function's producers wait for room.
const KINDS = { haft: ['fail', 'block'], 'napi-tsfn': ['block'], computing: [undefined], idle: [undefined] };
export const skips = (subject, { full }) => !KINDS[subject].includes(full);

export const needsCalm = true;

const client = fileURLToPath(new URL('../http-client.mjs', import.meta.url));

class Receiver extends Counter {
  static received = 0;

  add(x) {
    Receiver.received++;
    return super.add(x);
  }
}

// After stop() the producers end, JavaScript receives what is left, and sent() is what they sent; -1 until they end.
async function startProducers(subject, { producers, full }) {
  const { unpausingHaft, unpausingTsfn, unpausingStop, unpausingSent, busyStart, busyStop } = addon();
  if (subject === 'idle') return { stop() {}, sent: () => 0, close() {} };
  if (subject === 'computing') {
    busyStart(producers);
    return { stop: busyStop, sent: () => 0, close() {} };
  }
  if (subject === 'napi-tsfn') {
    const objects = Array.from({ length: OBJECTS }, () => new Receiver());
    unpausingTsfn((object, x) => void objects[object].add(x), OBJECTS, producers);
    return { stop: unpausingStop, sent: unpausingSent, close() {} };
  }
  const { registry, counterKind } = await openRegistry(Receiver);
  const handles = Float64Array.from({ length: OBJECTS }, () => registry.create(new Receiver(), counterKind));
  unpausingHaft(handles, addOp(Receiver), producers, full === 'block' ? 1 : 0);
  return { stop: unpausingStop, sent: unpausingSent, close: () => registry.close() };
}

// Every message that was accepted must arrive.
async function stopProducers({ stop, sent, close }) {
  stop();
  let count;
  do {
    await sleep(1);
    count = sent();
  } while (count < 0);
  for (let patience = 1000; Receiver.received < count && patience > 0; patience--) await sleep(1);
  if (Receiver.received !== count) throw new Error(`received ${Receiver.received} messages of ${count}`);
  close();
}

async function timeTimers(milliseconds) {
  const each = [];
  const end = performance.now() + milliseconds;
  do {
    const began = performance.now();
    await sleep(TIMER_MILLISECONDS);
    each.push((performance.now() - began) * 1e6);
  } while (performance.now() < end);
  return each;
}

// The client is there before the producers are: it is not its start that is measured.
async function startServer() {
  const server = http.createServer((_, response) => response.end('as asked')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const child = fork(client, [String(server.address().port)]);
  await once(child, 'message');
  return {
    async time(milliseconds) {
      const answer = once(child, 'message');
      const ended = once(child, 'exit').then(([code]) => {
        throw new Error(`the client of the HTTP server ended with ${code}`);
      });
      child.send(milliseconds);
      const [each] = await Promise.race([answer, ended]);
      ended.catch(() => {}); // it may end now
      return each;
    },
    close() {
      child.disconnect();
      server.close();
    },
  };
}

export async function measure(subject, params, { quick }) {
  const milliseconds = quick ? 300 : 3000;
  const server = await startServer();
  await server.time(50); // compiles
  const producers = await startProducers(subject, params);
  await sleep(milliseconds / 10);

  const results = [];
  for (const [asked, time] of [
    ['timer', timeTimers],
    ['http', server.time],
  ]) {
    const received = Receiver.received;
    const began = performance.now();
    const each = await time(milliseconds);
    const perSecond = ((Receiver.received - received) * 1000) / (performance.now() - began);
    results.push({
      params: { asked, ...params, ...(subject === 'idle' ? { producers: 0 } : {}) },
      ns: median(each),
      perSecond,
      p99Microseconds: percentile(each, 0.99) / 1000,
    });
  }
  await stopProducers(producers);
  server.close();
  return results;
}
