// What the programs with realms in workers share: a realm with one object, C that is called on its thread, and a way to
// ask a worker for something.
import { once } from 'node:events';
import { parentPort, Worker } from 'node:worker_threads';
import { kind, Registry } from 'haft';
import koffi from 'koffi';

export const [
  CALL,
  POST,
  CHECK,
  RETAIN,
  RELEASE,
  MOVED_TO,
  REALM_OF,
  HANG,
  POST_FULL,
  BLOCKING,
  CALL_THERE,
  JOIN_THERE,
  QUEUED,
] = Array(13).keys();
export const [OK, FORGED, STALE, KIND, REALM, CLOSED, TIMEOUT, DEADLOCK, MOVED, FULL] = [
  0, -1, -2, -3, -4, -5, -12, -15, -24, -9,
];

const LIBRARY = 'build/Release/realms.so';
const library = koffi.load(LIBRARY);
const useApi = library.func('int32_t use_api(void *api)');
const ops = koffi.load('build/Release/op_of.so');
const useApiForOps = ops.func('int32_t use_api(void *api)');
export const opOf = ops.func('uint32_t op_of(uint64_t h, const char *name)');
const send = library.func(
  'int32_t threads_send(uint64_t a, uint32_t add_a, uint32_t note_a, uint64_t b, uint32_t add_b, uint32_t note_b, int32_t threads, int32_t count)',
);
const follow = library.func(
  'double threads_follow(uint64_t h, uint32_t note, uint32_t add, int32_t threads)',
);
const calling = library.func('double call_elsewhere(uint64_t h, uint32_t op, double n)');
export const stopFollowing = library.func('void stop_following()');
export const nameRealm = library.func('void name_realm(double id)');
export const hanging = library.func('int32_t hanging()');
export const hangResult = library.func('int32_t hang_result()');
export const standAtGate = library.func('void stand_at_gate()');
/** Opens or closes the gate; tells how many stand at it. */
export const gate = library.func('int32_t gate(int32_t open)');

/** A function of koffi's on a thread of its own. */
const elsewhere = (func, ...args) =>
  new Promise((resolve, reject) =>
    func.async(...args, (error, value) => (error ? reject(error) : resolve(value))),
  );
export const threadsSend = (a, b, threads, count) =>
  elsewhere(send, a.handle, a.add, a.note, b.handle, b.add, b.note, threads, count);
export const callElsewhere = (handle, op, n) => elsewhere(calling, handle, op, n);
export const threadsFollow = (handle, note, add, threads) => elsewhere(follow, handle, note, add, threads);

/** `act` of hosts/realms.c, through koffi or as an addon. */
export function actThrough(way) {
  if (way !== 'addon') return library.func('double act(int32_t what, uint64_t h, uint32_t op, double n)');
  const module = { exports: {} };
  process.dlopen(module, LIBRARY);
  return module.exports.act;
}

export async function until(condition) {
  for (let i = 0; i < 10_000 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 2));
  if (!condition()) throw new Error(`it never came to pass: ${condition}`);
}

const number = { args: ['f64'], returns: 'f64' };

/** A registry of this thread, with one object. */
export function openRealm(way) {
  const act = actThrough(way);
  class Sample {
    total = 0;
    log = [];
    next = undefined;
    add(n) {
      this.total += n;
      return this.total;
    }
    note(n) {
      this.log.push(n);
    }
    async later(n) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      return n;
    }
    never() {
      return new Promise(() => {});
    }
    /** Asks the next realm in turn, so often; tells the status or 0. */
    ask(depth) {
      if (depth <= 0 || this.next === undefined) return 0;
      const { handle, op, what = CALL } = this.next;
      return act(what, handle, op, what === POST ? depth : depth - 1);
    }
  }
  const SampleKind = kind(Sample, {
    add: number,
    note: { args: ['f64'] },
    later: number,
    never: number,
    ask: number,
  });
  const registry = new Registry();
  if (way === 'koffi') registry.useKoffi(koffi);
  useApi(registry.apiAddress);
  useApiForOps(registry.apiAddress);
  const sample = new Sample();
  const handle = registry.create(sample, SampleKind);
  const tell = () => ({
    realm: registry.id,
    handle,
    ...Object.fromEntries(Object.keys(SampleKind.signatures).map((op) => [op, opOf(handle, op)])),
  });
  const realm = { registry, sample, handle, tell };
  /** In a worker: tells the main thread what is there, and does what it asks, until it asks for the end. */
  realm.serveRequests = (make) => {
    const answers = make(realm);
    parentPort.on('message', async ({ what, data }) => {
      if (what === 'end') parentPort.close();
      let answer;
      try {
        answer = { value: await answers[what](data) };
      } catch (error) {
        answer = { error: { code: error?.code, message: String(error?.message) } };
      }
      if (what !== 'end') parentPort.postMessage(answer);
    });
    parentPort.postMessage(tell());
  };
  return realm;
}

/** Starts a worker that runs this file; when this settles it has told what is there. */
export async function startWorker(file, data) {
  const worker = new Worker(new URL(file), { workerData: data });
  let failed;
  worker.on('error', (error) => {
    failed = error;
  });
  const [told] = await once(worker, 'message');
  let queue = Promise.resolve();
  const started = {
    worker,
    told,
    send: (what, sent) => worker.postMessage({ what, data: sent }),
    /** The answer to what was sent last, without `ask`. */
    answered: async () => (await once(worker, 'message'))[0].value,
    /** One question at a time. */
    ask: (what, sent) => {
      const asked = queue.then(async () => {
        const answered = once(worker, 'message');
        started.send(what, sent);
        const [{ value, error }] = await answered;
        if (error) throw Object.assign(new Error(error.message), error);
        return value;
      });
      queue = asked.catch(() => {});
      return asked;
    },
    end: async () => {
      const ended = once(worker, 'exit');
      started.send('end');
      const [code] = await ended;
      if (code !== 0) throw failed ?? new Error(`the worker ended with ${code}`);
    },
  };
  return started;
}
