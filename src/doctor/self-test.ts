// A second's work of each sort, with figures: handles here, posts and calls of a native thread, misuse answered.
import { performance } from 'node:perf_hooks';
import type { Backend } from '../backend.js';
import type { SelfTestFigures } from '../binding.js';
import { STATUSES } from '../constants.js';
import { HaftError, statusName } from '../errors.js';
import type { Handle } from '../handle.js';
import { kind } from '../kind.js';
import { Registry } from '../registry.js';
import { type Finding, failure, ok, sentenceOf } from './finding.js';

const HANDLES_MILLISECONDS = 200;
const MESSAGES_MILLISECONDS = 350; // of posts, and as long of calls
const BATCH = 1000;
const OK = STATUSES.HAFT_OK.status;
const REPORT = 'this is a fault of haft or of the machine: report it with the output of haft doctor --json';

/** Figures of one machine at one moment; nanoseconds of one operation. */
export interface Figures {
  readonly createGetDelete: number;
  readonly post: number;
  readonly call: number;
  readonly posts: number;
  readonly calls: number;
}

class Sum {
  total = 0;
  note(n: number): void {
    this.total += n;
  }
  add(n: number): number {
    this.total += n;
    return this.total;
  }
}

const SumKind = kind(
  Sum,
  { note: { args: ['f64'] }, add: { args: ['f64'], returns: 'f64' } },
  { name: 'haft.doctor.Sum' },
);

/** @returns No figures where the test could not be run to its end. */
export async function selfTest(
  serves: Backend,
): Promise<[findings: Finding[], figures: Figures | undefined]> {
  let registry: Registry;
  try {
    registry = new Registry();
  } catch (error) {
    const [id, title] = ['self-test.open', 'open a registry'];
    const code = error instanceof HaftError ? error.code : undefined;
    if (code === 'HAFT_E_ARGUMENT') {
      return [[{ id, title, state: 'skipped', value: 'not run: the environment is wrong' }], undefined];
    }
    const refused = code === 'HAFT_E_NO_MEMORY';
    const value = refused ? 'the system does not give it the addresses that it reserves' : sentenceOf(error);
    const next = 'see the limits above, and the code in docs/errors.md';
    return [[failure(id, title, value, next)], undefined];
  }
  try {
    return await run(registry, serves);
  } catch (error) {
    return [[failure('self-test', 'self-test', sentenceOf(error), REPORT)], undefined];
  } finally {
    registry.close();
  }
}

async function run(registry: Registry, serves: Backend): Promise<[Finding[], Figures | undefined]> {
  const sum = new Sum();
  const handle = registry.create(sum, SumKind);
  const ended = registry.create(new Sum(), SumKind);
  registry.delete(ended);
  const createGetDelete = timeHandles(registry);

  registry.ref();
  const opNumber = (position: number) => SumKind.number * 0x10000 + position;
  let told: SelfTestFigures;
  try {
    told = await new Promise((done, failed) => {
      const args = [handle, opNumber(0), opNumber(1), ended, MESSAGES_MILLISECONDS] as const;
      const refused = serves.selfTest(...args, done);
      if (refused !== undefined) failed(new Error(refused));
    });
  } catch (error) {
    const next = 'see the limits of threads above';
    return [[failure('self-test.thread', 'native thread', sentenceOf(error), next)], undefined];
  }
  const [posts, postSeconds, postStatus, calls, callSeconds, callStatus, forged, stale] = told;
  const thread = serves.name === 'addon' ? 'by a native thread' : 'by this thread, through koffi';
  const figures = {
    createGetDelete,
    post: nanoseconds(postSeconds, posts),
    call: nanoseconds(callSeconds, calls),
    posts,
    calls,
  };
  const arrived = sum.total === posts + calls;
  const count = (n: number) => n.toLocaleString('en');
  const findings = [
    ok('self-test.handles', 'create, get, delete', `${figures.createGetDelete} ns together`),
    sent('self-test.post', 'post', postStatus, `${figures.post} ns, ${count(posts)} ${thread}`),
    sent('self-test.call', 'call and answer', callStatus, `${figures.call} ns, ${count(calls)} ${thread}`),
    arrived
      ? ok('self-test.delivered', 'delivered', `all ${count(posts + calls)} of them, once and in order`)
      : failure('self-test.delivered', 'delivered', `${count(sum.total)} of ${count(posts + calls)}`, REPORT),
    misuse(registry, ended, forged, stale),
  ];
  registry.delete(handle); // it is no leak
  return [findings, figures];
}

/** Nanoseconds of a create, a get and a delete. */
function timeHandles(registry: Registry): number {
  const object = new Sum();
  const began = performance.now();
  let rounds = 0;
  while (performance.now() - began < HANDLES_MILLISECONDS) {
    for (let i = 0; i < BATCH; i++) {
      const handle = registry.create(object, SumKind);
      if (registry.get(handle) !== object) throw new Error('get gave another object');
      registry.delete(handle);
    }
    rounds += BATCH;
  }
  return nanoseconds((performance.now() - began) / 1000, rounds);
}

function nanoseconds(seconds: number, count: number): number {
  return count === 0 ? 0 : Math.round((seconds * 1e9) / count);
}

function sent(id: string, title: string, status: number, value: string): Finding {
  if (status === OK) return ok(id, title, value);
  const name = statusName(status);
  return failure(id, title, `${name}: ${STATUSES[name].message}`, `${STATUSES[name].next}; ${REPORT}`);
}

function misuse(registry: Registry, ended: Handle, forgedInC: number, staleInC: number): Finding {
  const [id, title] = ['self-test.misuse', 'misuse'];
  const codeOf = (value: number) => {
    try {
      registry.get(value as Handle);
      return 'HAFT_OK';
    } catch (error) {
      return (error as { code?: string }).code ?? sentenceOf(error);
    }
  };
  const here = `${codeOf(42)} ${codeOf(ended)}`;
  const inC = `${nameOf(forgedInC)} ${nameOf(staleInC)}`;
  const right = 'HAFT_E_FORGED HAFT_E_STALE';
  if (here === right && inC === right)
    return ok(id, title, 'a forged and a stale handle are refused, in C and in JavaScript');
  return failure(id, title, `not ${right} but ${here} in JavaScript, ${inC} in C`, REPORT);
}

function nameOf(status: number): string {
  return status === OK ? 'HAFT_OK' : statusName(status);
}
