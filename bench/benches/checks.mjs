// Bench `checks`: what HAFTCHECK=1 and HAFTCHECK=2 cost over HAFTCHECK=0, on what C does most. A process has one level,
// so each is a subject with an environment of its own.
import { addon } from '../addon.mjs';
import { Callee, timeCallers } from '../callers.mjs';
import { addOp, Counter, openRegistry } from '../counter.mjs';
import { delivery, Receiver } from './post.mjs';

export const LEVELS = [0, 1, 2];

const subjectOf = (level) => `level ${level}`;

export const subjects = LEVELS.map(subjectOf);

export const cases = () => Object.keys(MEASURES).map((op) => ({ op }));

export const needsCalm = true;

export const environment = (subject) => ({ HAFTCHECK: String(subjects.indexOf(subject)) });

const HANDLES = 1000;

const many = (registry, create) => Float64Array.from({ length: HANDLES }, () => create(registry));

const median3 = async (run) => {
  const each = [];
  for (let i = 0; i < 3; i++) each.push(await run());
  return each.sort((a, b) => a - b)[1];
};

// The first run compiles; the second tells how many messages fill the time.
async function measurePosts(send, quick) {
  await send(20000);
  const guess = await send(quick ? 20000 : 200000);
  const messages = Math.ceil(((quick ? 20 : 200) * 1e6) / guess);
  return median3(() => send(messages));
}

// The first run compiles.
async function measureCalls(start, quick) {
  const milliseconds = quick ? 60 : 600;
  await timeCallers(() => start(milliseconds / 4));
  return timeCallers(() => start(milliseconds));
}

class Holder extends Receiver {
  take(_handle) {
    this.add(1);
  }
}

const TEXT = 'a text of thirty characters, ok';

class Speaker extends Callee {
  say(x) {
    this.add(x);
    return TEXT;
  }
}

// Of these the mailboxes hold as many, whatever handles they go to: a half of each.
const BURST = 8000;

const MEASURES = {
  // The checks are the sender's: what the receiver does is the same at each level, and the two threads together tell more
  // of the machine than of the checks. So this is the row that has to be met.
  async 'post, the sender alone'(quick) {
    const { registry, counterKind } = await openRegistry(Receiver);
    const handles = many(registry, () => registry.create(new Receiver(), counterKind));
    const op = addOp(Receiver);
    const bursts = [];
    for (let i = 0; i < (quick ? 50 : 500); i++) {
      bursts.push(addon().postAlone(handles, op, BURST));
      while (registry.stats().delivered < (i + 1) * BURST) registry.drain();
    }
    registry.close();
    return bursts.sort((a, b) => a - b)[bursts.length >> 1];
  },

  async post(quick) {
    const { registry, counterKind } = await openRegistry(Receiver);
    const handles = many(registry, () => registry.create(new Receiver(), counterKind));
    const op = addOp(Receiver);
    registry.ref();
    const send = (messages) =>
      delivery((n, each) => addon().postHaft(handles, op, n, each), addon().postJoin, 1, messages);
    const ns = await measurePosts(send, quick);
    registry.close();
    return ns;
  },

  // As above: one thread, which does both parts.
  async 'call, one thread'(quick) {
    const { registry, counterKind } = await openRegistry();
    const handle = registry.create(new Counter(), counterKind);
    const op = addOp();
    const loop = () => addon().sameThreadHaft(handle, op, quick ? 20000 : 500000);
    loop();
    const ns = await median3(loop);
    registry.close();
    return ns;
  },

  async call(quick) {
    const { registry, counterKind } = await openRegistry(Callee);
    const handle = registry.create(new Callee(), counterKind);
    const op = addOp(Callee);
    const ns = await measureCalls((milliseconds) => addon().callHaft(handle, op, 1, milliseconds, 0), quick);
    registry.close();
    return ns;
  },

  async 'retain + release'(quick) {
    const { registry, counterKind } = await openRegistry();
    const handles = many(registry, () => registry.create({}, counterKind));
    const run = () => addon().retainRelease(handles, quick ? 20 : 200);
    const ns = await median3(run);
    registry.close();
    return ns;
  },

  async 'post of a handle'(quick) {
    const { registry, counterKind } = await openRegistry(Holder, { take: { args: ['handle'] } });
    const handles = many(registry, () => registry.create(new Holder(), counterKind));
    const argument = registry.create({});
    const op = addon().findOp(Holder.name, 'take');
    registry.ref();
    const send = (messages) =>
      delivery(
        (_, each) => addon().postHandles(handles, op, each, argument),
        addon().postHandlesJoin,
        1,
        messages,
      );
    const ns = await measurePosts(send, quick);
    registry.close();
    return ns;
  },

  async 'call for a string'(quick) {
    const { registry, counterKind } = await openRegistry(Speaker, {
      say: { args: ['f64'], returns: 'str' },
    });
    const handle = registry.create(new Speaker(), counterKind);
    const op = addon().findOp(Speaker.name, 'say');
    const ns = await measureCalls((milliseconds) => addon().callText(handle, op, milliseconds), quick);
    registry.close();
    return ns;
  },
};

export async function measure(_, params, { quick }) {
  return [{ params, ns: await MEASURES[params.op](quick) }];
}
