// Bench `post`: native threads send messages to methods of JavaScript objects and go on. haft beside a Node-API
// thread-safe function, and beside the limit: such a ring from C++ to C++.
//
// Counted where the work completes: from the start line of the producers to the last call of `add`.
import { addon } from '../addon.mjs';
import { addOp, openRegistry } from '../counter.mjs';

export const subjects = ['haft', 'napi-tsfn', 'ring'];

// A realm has 16 shards; the ring has as many. The thread-safe function has one queue whatever it says here.
const SHARDS = 16;

export const cases = () =>
  [1000, 1].flatMap((handles) => [1, 2, 8].map((producers) => ({ producers, shards: SHARDS, handles })));

export const needsCalm = true;
export const againstCommits = true;

let left = 0;
let allDelivered;

export class Receiver {
  total = 0;

  add(x) {
    this.total += x;
    if (--left === 0) allDelivered();
    return this.total;
  }
}

// Starts producers, awaits all of their messages; nanoseconds a message. `join` tells when they began.
export async function delivery(start, join, producers, messages) {
  const each = Math.ceil(messages / producers);
  left = each * producers;
  const end = new Promise((resolve) => {
    allDelivered = () => resolve(addon().now());
  });
  start(producers, each);
  const ended = await end;
  return (ended - join()) / (each * producers);
}

async function makeSender(subject, count) {
  if (subject === 'napi-tsfn') {
    const objects = Array.from({ length: count }, () => new Receiver());
    const dispatch = (object, x) => {
      objects[object].add(x);
    };
    return {
      send: (producers, messages) =>
        delivery(
          (n, each) => addon().postTsfn(dispatch, count, n, each),
          addon().postJoin,
          producers,
          messages,
        ),
      close() {},
    };
  }
  if (subject === 'ring') {
    return {
      send: (producers, messages) =>
        addon().postRing(count, producers, Math.ceil(messages / producers), SHARDS),
      close() {},
    };
  }
  const { registry, counterKind } = await openRegistry(Receiver);
  const handles = Float64Array.from({ length: count }, () => registry.create(new Receiver(), counterKind));
  const op = addOp(Receiver);
  registry.ref();
  return {
    send: (producers, messages) =>
      delivery((n, each) => addon().postHaft(handles, op, n, each), addon().postJoin, producers, messages),
    close: () => registry.close(),
  };
}

export async function measure(subject, params, { quick }) {
  const { send, close } = await makeSender(subject, params.handles);
  const milliseconds = quick ? 20 : 200;
  // The first run compiles; the second tells how many messages fill the time.
  await send(params.producers, 20000);
  const guess = await send(params.producers, quick ? 20000 : 200000);
  const messages = Math.ceil((milliseconds * 1e6) / guess);
  const each = [];
  for (let i = 0; i < 3; i++) each.push(await send(params.producers, messages));
  close();
  return [{ params, ns: each.sort((a, b) => a - b)[1] }];
}
