// A program of its own: objects that move between realms. Its argument is the case; the worker runs this file too.
import assert from 'node:assert/strict';
import { isMainThread } from 'node:worker_threads';
import { functionKind, kind, Registry } from 'haft';
import koffi from 'koffi';
import {
  actThrough,
  CALL,
  CHECK,
  CLOSED,
  callElsewhere,
  FULL,
  gate,
  MOVED,
  MOVED_TO,
  OK,
  openRealm,
  opOf,
  POST,
  REALM_OF,
  RELEASE,
  RETAIN,
  STALE,
  standAtGate,
  startWorker,
  stopFollowing,
  threadsFollow,
  until,
} from './realm-workers.mjs';

const act = actThrough('koffi');
const sendAll = koffi
  .load('build/Release/realms.so')
  .func('int32_t post_all(uint64_t h, uint32_t op, const char *text, int64_t big)');

class Account {
  log = [];
  constructor(owner, balance = 0) {
    this.owner = owner;
    this.balance = balance;
  }
  add(n) {
    this.balance += n;
    return this.balance;
  }
  note(n) {
    this.log.push(n);
  }
  all(text, bytes, big, yes, handle) {
    this.log.push(`${text} ${[...bytes]} ${big} ${yes} ${handle}`);
  }
}
const number = { args: ['f64'], returns: 'f64' };
const ops = {
  add: number,
  note: { args: ['f64'] },
  all: { args: ['str', 'bytes', 'i64', 'bool', 'handle'] },
};
/** What `serialize` and `deserialize` do is for the case to say. */
const how = {
  serialize: (account) => JSON.stringify({ ...account, log: account.log }),
  deserialize: (text) => Object.assign(new Account(), JSON.parse(text)),
};
const AccountKind = kind(Account, ops, {
  serialize: (account) => how.serialize(account),
  deserialize: (data) => how.deserialize(data),
});
class Parcel {
  constructor(bytes) {
    this.bytes = bytes;
  }
  size() {
    return this.bytes.length;
  }
}
const ParcelKind = kind(
  Parcel,
  { size: { returns: 'f64' } },
  { serialize: ({ bytes }) => bytes, deserialize: (bytes) => new Parcel(Uint8Array.from(bytes)) },
);
class Fixed {
  touch() {}
}
const FixedKind = kind(Fixed, { touch: {} });

const realm = openRealm('koffi');
const { registry } = realm;
registry.on('error', () => {});
const code = (wanted) => ({ name: 'HaftError', code: wanted });
const account = (...args) => registry.create(new Account(...args), AccountKind);
/** One whose reference is C's. */
const given = (...args) => registry.transfer(account(...args));
const opsOf = (handle) => {
  return { add: opOf(handle, 'add'), note: opOf(handle, 'note'), all: opOf(handle, 'all') };
};
/** The object of a handle of the worker's, as it is there. */
const look = (worker, handle) => worker.ask('look', handle);
const liveThere = (worker) => worker.ask('live');

/** Starts a worker that accepts accounts, and lets it stand at the gate. */
async function stopped(worker) {
  gate(0);
  worker.send('gate');
  await until(() => gate(0) === 1);
}
async function goOn(worker) {
  gate(1);
  await worker.answered();
}

const cases = {
  async 'there and back'(worker) {
    const handle = account('Ada', 5);
    const object = registry.get(handle);
    object.log.push(1, 2);
    const before = registry.stats().live;
    assert.equal(registry.moved(handle), handle);
    assert.equal(act(MOVED_TO, handle, 0, 0), handle);
    const there = await registry.moveTo(handle, worker.told.realm);
    assert.notEqual(there, handle);
    assert.equal(registry.stats().live, before - 1);
    // In JavaScript here,
    assert.equal(registry.has(handle), false);
    assert.equal(registry.moved(handle), there);
    for (const touch of ['get', 'delete', 'retain', 'release']) {
      assert.throws(() => registry[touch](handle), code('HAFT_E_MOVED'), touch);
    }
    assert.throws(() => registry.get(there), code('HAFT_E_REALM'));
    assert.throws(() => registry.publish('account', handle), code('HAFT_E_MOVED'));
    await assert.rejects(registry.moveTo(handle, worker.told.realm), code('HAFT_E_MOVED'));
    // in C,
    const { add } = opsOf(there);
    for (const what of [CHECK, RETAIN, RELEASE, REALM_OF]) assert.equal(act(what, handle, 0, 0), MOVED);
    assert.equal(act(CALL, handle, add, 1), MOVED);
    assert.equal(act(POST, handle, add, 1), MOVED);
    assert.equal(act(MOVED_TO, handle, 0, 0), there);
    assert.equal(act(MOVED_TO, there, 0, 0), there);
    assert.equal(act(REALM_OF, there, 0, 0), worker.told.realm);
    assert.equal(act(CALL, there, add, 7), 12);
    // and there.
    assert.deepEqual(await look(worker, there), { owner: 'Ada', balance: 12, log: [1, 2] });
    assert.equal(object.balance, 5); // the old one is nobody's
    const home = await worker.ask('move', { handle: there, to: registry.id });
    assert.equal(registry.get(home).balance, 12);
    assert.equal(registry.get(home) instanceof Account, true);
    assert.equal(act(MOVED_TO, there, 0, 0), home);
    assert.equal(act(MOVED_TO, handle, 0, 0), there); // one step
    assert.equal(await liveThere(worker), 0);
    assert.equal(registry.stats().live, before);
    assert.equal(await registry.moveTo(home, registry.id), home); // here already
    const bytes = Uint8Array.from({ length: 5000 }, (_, i) => i % 251);
    const parcel = await registry.moveTo(registry.create(new Parcel(bytes), ParcelKind), worker.told.realm);
    assert.deepEqual([...(await look(worker, parcel)).bytes], [...bytes]);
  },

  async references(worker) {
    for (const references of [1, 2, 7, 1000]) {
      const handle = given('Ada');
      for (let i = 1; i < references; i++) assert.equal(act(RETAIN, handle, 0, 0), OK);
      const there = await registry.moveTo(handle, worker.told.realm);
      for (let i = 0; i < references; i++) assert.equal(act(RELEASE, there, 0, 0), OK);
      assert.equal(act(RELEASE, there, 0, 0), STALE);
      assert.equal(act(CHECK, there, 0, 0), STALE);
      assert.equal(act(MOVED_TO, handle, 0, 0), there); // it says where, though nothing is there any more
      assert.equal(await liveThere(worker), 0);
    }
  },

  // What comes while the object is on its way waits, and is handled there: in order, with all its values.
  async 'messages meanwhile'(worker) {
    const handle = account('Ada');
    const { add, note, all } = opsOf(handle);
    for (const n of [1, 2, 3]) act(POST, handle, note, n); // before the move began: handled here
    registry.drain();
    await stopped(worker);
    const move = registry.moveTo(handle, worker.told.realm);
    const count = 500;
    for (let i = 10; i < 10 + count; i++) assert.equal(act(POST, handle, note, i), OK);
    assert.equal(sendAll(handle, all, 'grün', 2n ** 60n), OK);
    assert.equal(act(POST, handle, add, 5), OK);
    registry.drain();
    await new Promise((resolve) => setTimeout(resolve, 10));
    assert.deepEqual(registry.get(handle).log, [1, 2, 3]);
    assert.equal(registry.stats().shards[handle % 16].sent >= count, true); // they wait, and are counted so
    await goOn(worker);
    const there = await move;
    await until(() => act(CALL, there, add, 0) === 5);
    const { log } = await look(worker, there);
    const expected = [1, 2, 3, ...Array.from({ length: count }, (_, i) => i + 10)];
    assert.deepEqual(log.slice(0, -1), expected);
    assert.equal(log.at(-1), `grün\0! 1,2,0 ${2n ** 60n} true 0`);
    const { sent, delivered, refused, dropped, expired } = registry.stats();
    assert.equal(sent, delivered + refused + dropped + expired);
  },

  async 'calls meanwhile'(worker) {
    const handle = account('Ada');
    const { add } = opsOf(handle);
    await stopped(worker);
    const move = registry.moveTo(handle, worker.told.realm);
    const heard = callElsewhere(handle, add, 3);
    await new Promise((resolve) => setTimeout(resolve, 20));
    await goOn(worker);
    const there = await move;
    assert.equal(await heard, MOVED);
    assert.equal(act(CALL, there, add, 1), 1);
  },

  // More than its new mailbox holds: the rest is still here when the object has moved on, and follows it all the way.
  async 'more than there is room for'(worker) {
    let handle = account('Ada');
    const { note } = opsOf(handle);
    let full = 0;
    for (let round = 1; round <= 10; round++) {
      await stopped(worker);
      const move = registry.moveTo(handle, worker.told.realm);
      const posted = round * 3000;
      for (let n = posted - 3000; n < posted; n++) {
        while (act(POST, handle, note, n) === FULL) {
          full++;
          registry.drain();
        }
      }
      registry.drain();
      await goOn(worker);
      handle = await worker.ask('move', { handle: await move, to: registry.id });
      await until(() => registry.get(handle).log.length >= posted);
      const { log } = registry.get(handle);
      assert.equal(log.length, posted);
      assert.equal(new Set(log).size, posted);
    }
    assert.equal(registry.stats().refused, full);
  },

  // Threads that post for as long as it moves to and fro, and follow it: nothing is lost, nothing comes twice.
  async 'threads that follow'(worker) {
    let handle = account('Ada');
    const { note, add } = opsOf(handle);
    const THREADS = 3;
    const followed = threadsFollow(handle, note, add, THREADS);
    for (let i = 0; i < 20; i++) {
      handle = await registry.moveTo(handle, worker.told.realm);
      handle = await worker.ask('move', { handle, to: registry.id });
    }
    stopFollowing();
    const posted = await followed;
    assert.equal(posted > 0, true, `${-posted} checks failed`);
    await until(() => registry.get(handle).log.length >= posted);
    const { log } = registry.get(handle);
    assert.equal(log.length, posted);
    assert.equal(new Set(log).size, posted);
    const last = Array(THREADS).fill(-1);
    for (const note of [...log].sort((a, b) => a - b)) {
      const thread = Math.floor(note / 1_000_000);
      assert.equal(note % 1_000_000, last[thread] + 1);
      last[thread]++;
    }
  },

  async 'what fails'(worker) {
    const { realm: there } = worker.told;
    const handle = account('Ada', 3);
    const { add } = opsOf(handle);
    const stays = async (wanted, move) => {
      await assert.rejects(move, wanted);
      assert.equal(registry.get(handle).owner, 'Ada');
      assert.equal(act(CALL, handle, add, 0), 3);
      assert.equal(registry.moved(handle), handle);
      assert.equal(await liveThere(worker), 0);
    };
    await worker.ask('deserialize', 'throws');
    const failed = registry.moveTo(handle, there);
    act(POST, handle, add, 0);
    await stays({ ...code('HAFT_E_EXCEPTION'), message: /SyntaxError: not today/ }, failed);
    await worker.ask('deserialize', 'no object');
    await stays(code('HAFT_E_EXCEPTION'), registry.moveTo(handle, there));
    await worker.ask('deserialize', 'a promise');
    await stays(
      { ...code('HAFT_E_EXCEPTION'), message: /HAFT_E_RESULT.*promise/ },
      registry.moveTo(handle, there),
    );
    await worker.ask('deserialize', 'as usual');
    const serialize = how.serialize;
    how.serialize = () => {
      throw new RangeError('of mine');
    };
    await stays({ name: 'RangeError', message: 'of mine' }, registry.moveTo(handle, there));
    for (const wrong of [
      undefined,
      null,
      5,
      {},
      [1],
      new Uint16Array(1),
      new ArrayBuffer(1),
      Promise.resolve(''),
    ]) {
      how.serialize = () => wrong;
      await stays(code('HAFT_E_RESULT'), registry.moveTo(handle, there));
    }
    how.serialize = () => 'x'.repeat(16 * 2 ** 20);
    await stays(code('HAFT_E_TOO_LARGE'), registry.moveTo(handle, there));
    how.serialize = () => new Uint8Array(16 * 2 ** 20 + 1);
    await stays(code('HAFT_E_TOO_LARGE'), registry.moveTo(handle, there));
    how.serialize = () => {
      registry.delete(gone);
      return '{}';
    };
    const gone = account();
    await assert.rejects(registry.moveTo(gone, there), code('HAFT_E_STALE'));
    how.serialize = serialize;
    // Realms that are none, or take none.
    for (const bad of [0, -1, 1, 1.5, registry.id + 1, 2 ** 52, Number.NaN, Number.POSITIVE_INFINITY]) {
      await stays(code('HAFT_E_NOT_FOUND'), registry.moveTo(handle, bad));
    }
    const bare = new Registry();
    await stays(code('HAFT_E_NOT_FOUND'), registry.moveTo(handle, bare.id));
    bare.accept(ParcelKind);
    await assert.rejects(registry.moveTo(handle, bare.id), { message: /HAFT_E_KIND/ });
    assert.throws(() => bare.accept(FixedKind), code('HAFT_E_KIND'));
    bare.close();
    await stays(code('HAFT_E_NOT_FOUND'), registry.moveTo(handle, bare.id));
    // Kinds that do not move, times that are none, handles that are none.
    for (const fixed of [
      registry.create(new Fixed(), FixedKind),
      registry.create({}),
      registry.fn({}, () => {}),
    ]) {
      await assert.rejects(registry.moveTo(fixed, there), code('HAFT_E_KIND'));
      assert.equal(registry.has(fixed), true);
    }
    assert.throws(() => registry.accept(functionKind({})), code('HAFT_E_KIND'));
    for (const timeoutMilliseconds of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '1', 1n]) {
      await stays(code('HAFT_E_ARGUMENT'), registry.moveTo(handle, there, { timeoutMilliseconds }));
    }
    await assert.rejects(registry.moveTo(42, there), code('HAFT_E_FORGED'));
    await assert.rejects(registry.moveTo(gone, there), code('HAFT_E_STALE'));
    assert.throws(() => registry.moved(42), code('HAFT_E_FORGED'));
    assert.throws(() => registry.moved(gone), code('HAFT_E_STALE'));
    // After all that it moves.
    const now = await registry.moveTo(handle, there);
    assert.equal(act(CALL, now, add, 1), 4);
  },

  async 'one at a time'(worker) {
    const handle = account('Ada');
    await stopped(worker);
    const first = registry.moveTo(handle, worker.told.realm);
    await assert.rejects(registry.moveTo(handle, worker.told.realm), code('HAFT_E_BUSY'));
    await goOn(worker);
    assert.equal(act(REALM_OF, await first, 0, 0), worker.told.realm);
  },

  // Both ways at one time, many.
  async 'to and fro'(worker) {
    const mine = Array.from({ length: 50 }, (_, i) => account(`mine ${i}`, i));
    const theirs = await worker.ask('make', 50);
    const [gone, come] = await Promise.all([
      Promise.all(mine.map((handle) => registry.moveTo(handle, worker.told.realm))),
      worker.ask('move all', { handles: theirs, to: registry.id }),
    ]);
    for (const [i, handle] of gone.entries()) assert.equal(act(CALL, handle, opsOf(handle).add, 0), i);
    for (const [i, handle] of come.entries()) assert.equal(registry.get(handle).owner, `theirs ${i}`);
    assert.equal(await liveThere(worker), 50);
  },

  async 'no answer in time'(worker) {
    const handle = account('Ada', 1);
    const { add, note } = opsOf(handle);
    await stopped(worker);
    const late = registry.moveTo(handle, worker.told.realm, { timeoutMilliseconds: 20 });
    for (const n of [1, 2, 3]) act(POST, handle, note, n);
    await assert.rejects(late, code('HAFT_E_TIMEOUT'));
    await until(() => registry.get(handle).log.length === 3);
    assert.deepEqual(registry.get(handle).log, [1, 2, 3]); // held, and delivered to the object that stayed
    await goOn(worker);
    assert.equal(await liveThere(worker), 0); // P15: it never came to be there
    // It had begun: what it made goes with the late answer.
    gate(0);
    await worker.ask('deserialize', 'gate');
    const begun = registry.moveTo(handle, worker.told.realm, { timeoutMilliseconds: 30 });
    await assert.rejects(begun, code('HAFT_E_TIMEOUT'));
    await until(() => gate(0) === 1);
    gate(1);
    await until(() => gate(1) === 0);
    assert.equal(await liveThere(worker), 0);
    assert.equal(act(CALL, handle, add, 1), 2);
    const now = await registry.moveTo(handle, worker.told.realm);
    assert.equal(act(CALL, now, add, 1), 3);
  },

  async 'the other realm closes'(worker) {
    const handle = account('Ada', 1);
    const { add, note } = opsOf(handle);
    worker.send('close at gate');
    await until(() => gate(0) === 1);
    const move = registry.moveTo(handle, worker.told.realm);
    for (const n of [1, 2, 3]) act(POST, handle, note, n);
    gate(1);
    await assert.rejects(move, code('HAFT_E_CLOSED'));
    await until(() => registry.get(handle).log.length === 3);
    assert.deepEqual(registry.get(handle).log, [1, 2, 3]);
    assert.equal(act(CALL, handle, add, 1), 2);
    await assert.rejects(registry.moveTo(handle, worker.told.realm), code('HAFT_E_NOT_FOUND'));
  },

  async 'the other worker is terminated'(worker) {
    const moved = await registry.moveTo(account('first'), worker.told.realm);
    const gone = registry.create(new Account('again'), AccountKind);
    await registry.moveTo(gone, worker.told.realm);
    const handle = account('Ada', 1);
    const { add } = opsOf(handle);
    gate(0);
    worker.send('gate');
    await until(() => gate(0) === 1);
    const move = registry.moveTo(handle, worker.told.realm);
    const settled = move.catch((error) => error);
    const ended = worker.worker.terminate();
    gate(1);
    await ended;
    // It may have come there just before.
    const outcome = await settled;
    if (typeof outcome === 'number') assert.equal(act(MOVED_TO, handle, 0, 0), outcome);
    else {
      assert.equal(outcome.code, 'HAFT_E_CLOSED');
      assert.equal(act(CALL, handle, add, 1), 2);
    }
    assert.equal(act(CALL, moved, add, 1), CLOSED);
    assert.equal(act(CHECK, gone, 0, 0), MOVED);
    assert.equal(registry.moved(gone), act(MOVED_TO, gone, 0, 0));
  },

  async 'our realm closes'(worker) {
    const handle = account('Ada');
    await stopped(worker);
    const moves = [registry.moveTo(handle, worker.told.realm), registry.moveTo(account(), worker.told.realm)];
    act(POST, handle, opsOf(handle).note, 1);
    registry.drain();
    registry.close();
    for (const move of moves) await assert.rejects(move, code('HAFT_E_CLOSED'));
    await assert.rejects(registry.moveTo(handle, worker.told.realm), code('HAFT_E_CLOSED'));
    assert.throws(() => registry.moved(handle), code('HAFT_E_CLOSED'));
    assert.throws(() => registry.accept(AccountKind), code('HAFT_E_CLOSED'));
    await goOn(worker);
    for (let i = 0; i < 200 && (await liveThere(worker)) !== 0; i++);
    assert.equal(await liveThere(worker), 0); // the copies go with the answers that nobody waits for
    const { sent, delivered, refused, dropped, expired } = registry.stats();
    assert.equal(sent, delivered + refused + dropped + expired);
  },

  async 'serialize moves it'(worker) {
    const handle = account('Ada');
    const { serialize } = how;
    let again;
    how.serialize = (object) => {
      again = assert.rejects(registry.moveTo(handle, worker.told.realm), code('HAFT_E_BUSY'));
      return serialize(object);
    };
    const there = await registry.moveTo(handle, worker.told.realm);
    await again;
    assert.equal(registry.moved(handle), there);
    assert.equal(await liveThere(worker), 1);
  },

  async 'serialize closes'(worker) {
    const handle = account('Ada');
    how.serialize = () => {
      registry.close();
      return '{}';
    };
    await assert.rejects(registry.moveTo(handle, worker.told.realm), code('HAFT_E_CLOSED'));
    assert.equal(await liveThere(worker), 0);
  },

  // Its last reference goes, or it is deleted, while it is on its way.
  async 'it ends on the way'(worker) {
    for (const end of [
      (handle) => registry.delete(handle),
      (handle) => act(RELEASE, registry.transfer(handle), 0, 0),
    ]) {
      const handle = account('Ada');
      await stopped(worker);
      const move = assert.rejects(registry.moveTo(handle, worker.told.realm), code('HAFT_E_STALE'));
      end(handle);
      await new Promise((resolve) => setTimeout(resolve, 5));
      await goOn(worker);
      await move;
      assert.equal(act(CHECK, handle, 0, 0), STALE);
      for (let i = 0; i < 200 && (await liveThere(worker)) !== 0; i++);
      assert.equal(await liveThere(worker), 0);
    }
    // References that come and go meanwhile are those that it has there.
    const handle = given('Ada');
    await stopped(worker);
    const move = registry.moveTo(handle, worker.told.realm);
    for (let i = 0; i < 5; i++) act(RETAIN, handle, 0, 0);
    for (let i = 0; i < 3; i++) act(RELEASE, handle, 0, 0);
    await goOn(worker);
    const there = await move;
    for (let i = 0; i < 3; i++) assert.equal(act(RELEASE, there, 0, 0), OK);
    assert.equal(act(RELEASE, there, 0, 0), STALE);
  },

  async 'names and intern'(worker) {
    const object = new Account('Ada');
    const handle = registry.intern(object, AccountKind);
    registry.publish('ada', handle);
    const there = await registry.moveTo(handle, worker.told.realm);
    assert.throws(() => registry.find('ada'), code('HAFT_E_NOT_FOUND'));
    const again = registry.intern(object, AccountKind); // the old object is one like any other
    assert.notEqual(again, handle);
    assert.equal(registry.has(again), true);
    assert.equal(registry.intern(object), again);
    registry.publish('ada', again);
    assert.equal(registry.find('ada'), again);
    assert.equal(registry.moved(handle), there);
    registry.unpublish('ada');
    // A block with moved ones is not given back: their handles still tell.
    await registry.collect();
    assert.equal(act(MOVED_TO, handle, 0, 0), there);
  },

  // 4 blocks in the process, 3 of them ours: what is known of the oldest moves makes room for new objects.
  async 'many, where there are few slots'(worker) {
    const left = [];
    for (let i = 0; i < 3500; i++) {
      const handle = given(`number ${i}`);
      const there = await registry.moveTo(handle, worker.told.realm);
      assert.equal(act(RELEASE, there, 0, 0), OK);
      left.push([handle, there]);
    }
    const [handle, there] = left.at(-1);
    assert.equal(registry.moved(handle), there);
    const [oldest] = left[0];
    assert.equal(act(MOVED_TO, oldest, 0, 0), STALE);
    assert.throws(() => registry.moved(oldest), code('HAFT_E_STALE'));
    const known = left.filter(([old]) => act(MOVED_TO, old, 0, 0) !== STALE);
    assert.equal(known.length > 0, true);
    for (const [old, now] of known) assert.equal(registry.moved(old), now);
  },
};

/** What the worker does when it is asked. */
function inWorker({ registry, tell }) {
  registry.accept(AccountKind, ParcelKind);
  const usual = how.deserialize;
  const own = registry.stats().live;
  return {
    look: (handle) => ({ ...registry.get(handle) }),
    live: () => {
      registry.drain();
      return registry.stats().live - own;
    },
    gate: () => standAtGate(),
    'close at gate': () => {
      standAtGate();
      registry.close();
    },
    make: (count) => Array.from({ length: count }, (_, i) => account(`theirs ${i}`)),
    move: ({ handle, to }) => registry.moveTo(handle, to),
    'move all': ({ handles, to }) => Promise.all(handles.map((handle) => registry.moveTo(handle, to))),
    deserialize: (what) => {
      how.deserialize = {
        throws: () => {
          throw new SyntaxError('not today');
        },
        'no object': () => 5,
        'a promise': async (text) => usual(text),
        gate: (text) => {
          standAtGate();
          how.deserialize = usual;
          return usual(text);
        },
        'as usual': usual,
      }[what];
    },
    call: ({ handle, op, n }) => act(CALL, handle, op, n),
    tell,
    end: () => registry.close(),
  };
}

if (isMainThread) {
  registry.accept(AccountKind);
  registry.delete(realm.handle);
  const name = process.argv[2];
  const worker = await startWorker(import.meta.url, {});
  await cases[name](worker);
  registry.close();
  if (!['the other realm closes', 'the other worker is terminated'].includes(name)) await worker.end();
  else await worker.worker.terminate();
} else {
  realm.serveRequests(inWorker);
}
