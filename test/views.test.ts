// Bytes as views of haft's memory, which end with the handler.
import { functionKind, kind } from 'haft';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { child, expectExit } from './support/child.js';
import { Host, OK, Sender, turn, until } from './support/messages.js';
import { thrown } from './support/tables.js';

const ARGUMENT = -17;
const SHORT = 100;
/** More than a message carries itself. */
const LONG = 100_000;
const LARGEST = 16 * 1024 * 1024;

class Sink {
  readonly kept: Uint8Array[] = [];
  readonly seen: [length: number, first: number | undefined, last: number | undefined][] = [];
  #note(bytes: Uint8Array): void {
    this.kept.push(bytes);
    this.seen.push([bytes.length, bytes[0], bytes[bytes.length - 1]]);
  }
  take(bytes: Uint8Array): number {
    this.#note(bytes);
    return bytes.reduce((sum, byte) => sum + byte, 0);
  }
  pair(a: Uint8Array, b: Uint8Array): void {
    this.#note(a);
    this.#note(b);
  }
  mixed(a: Uint8Array, _text: string): void {
    this.#note(a);
  }
  many(...all: Uint8Array[]): void {
    for (const bytes of all) this.#note(bytes);
  }
  echo(bytes: Uint8Array): Uint8Array {
    this.#note(bytes);
    return bytes;
  }
  fail(bytes: Uint8Array): void {
    this.#note(bytes);
    throw new Error('mine');
  }
  async later(bytes: Uint8Array): Promise<number> {
    this.#note(bytes);
    await turn();
    return bytes.length;
  }
  close(bytes: Uint8Array): void {
    this.#note(bytes);
    host.close();
    this.seen.push([bytes.length, bytes[0], bytes[bytes.length - 1]]);
  }
  drain(bytes: Uint8Array): void {
    this.#note(bytes);
    host.drain();
    this.seen.push([bytes.length, bytes[0], bytes[bytes.length - 1]]);
  }
}
const views = true;
const ops = {
  take: { args: ['bytes'], returns: 'f64', views },
  pair: { args: ['bytes', 'bytes'], views },
  mixed: { args: ['bytes', 'str'], views },
  many: { args: ['bytes', 'bytes', 'bytes', 'bytes', 'bytes', 'bytes', 'bytes'], views },
  echo: { args: ['bytes'], returns: 'bytes', views },
  fail: { args: ['bytes'], views },
  later: { args: ['bytes'], returns: 'f64', views },
  close: { args: ['bytes'], views },
  drain: { args: ['bytes'], views },
} as const;
const SinkKind = kind(Sink, ops);

let host: Host;
beforeEach(() => {
  host = new Host();
});
afterEach(() => host.close());

function made() {
  const sink = new Sink();
  const handle = host.create(sink, SinkKind);
  return { sink, handle, to: (op: keyof typeof ops) => new Sender(handle, SinkKind, op) };
}
const ended = (sink: Sink) => sink.kept.every((bytes) => bytes.length === 0 && bytes.buffer.byteLength === 0);

describe.each([
  ['short', SHORT],
  ['long', LONG],
])('views of %s bytes', (_, length) => {
  it('show what was sent, and end with the handler', () => {
    const { sink, to } = made();
    to('take').postBytes(length, 7);
    host.drain();
    expect(sink.seen).toEqual([[length, 7, 7]]);
    expect(ended(sink)).toBe(true);
  });

  it('are as many as there are arguments', () => {
    const { sink, to } = made();
    to('pair').postBytes(length, 7, 2);
    to('many').postBytes(length, 20, 7);
    host.drain();
    expect(sink.seen.map(([size, first]) => [size, first])).toEqual(
      [7, 8, 20, 21, 22, 23, 24, 25, 26].map((filler) => [length, filler]),
    );
    expect(ended(sink)).toBe(true);
  });

  it('end when the handler throws', () => {
    const { sink, to } = made();
    to('fail').postBytes(length, 7);
    host.drain();
    expect(host.told).toEqual(['mine']);
    expect(sink.seen.length).toBe(1);
    expect(ended(sink)).toBe(true);
  });

  it('end at the first await', async () => {
    const { sink, to } = made();
    const call = to('later').beginBytes(length, 7);
    await until(() => sink.seen.length === 1);
    expect(ended(sink)).toBe(true);
    expect(await call.end()).toEqual([OK, 0]);
  });

  it('come with calls, of other threads and the same', async () => {
    const { sink, to } = made();
    expect(await to('take').beginBytes(length, 7).end()).toEqual([OK, 7 * length]);
    expect(to('take').callBytes(length, 3)).toEqual([OK, 3 * length]);
    expect(ended(sink)).toBe(true);
  });

  it('can be the result', async () => {
    const { sink, to } = made();
    // -1 stands for a result that is no number: bytes.
    expect(await to('echo').beginBytes(length, 7).end()).toEqual([OK, -1]);
    expect(to('echo').callBytes(length, 7)).toEqual([OK, -1]);
    expect(ended(sink)).toBe(true);
  });

  it('end when the handler closes the registry, before its memory goes', () => {
    const { sink, to } = made();
    to('close').postBytes(length, 7);
    host.drain();
    expect(sink.seen).toEqual([
      [length, 7, 7],
      [0, undefined, undefined],
    ]);
    expect(ended(sink)).toBe(true);
  });

  it('last while the handler drains, and others come and go', () => {
    const { sink, to } = made();
    to('drain').postBytes(length, 7);
    to('take').postBytes(length, 9);
    host.drain();
    expect(sink.seen).toEqual([
      [length, 7, 7],
      [length, 9, 9],
      [length, 7, 7],
    ]);
    expect(ended(sink)).toBe(true);
  });

  it('are given back when the object is gone, or the message does not fit', async () => {
    const { handle, to } = made();
    const take = to('take');
    const mixed = to('mixed');
    // At level 2 of HAFTCHECK it is not even sent.
    const isSent = process.env.HAFTCHECK !== '2';
    // Far more than there is memory for, if any of it stayed.
    for (let i = 0; i < 40; i++) {
      expect(mixed.postBytes(length === LONG ? LARGEST / 8 : length, 1, 2)).toBe(isSent ? OK : ARGUMENT);
      host.drain();
    }
    for (let i = 0; i < 3; i++) take.postBytes(length, 1);
    host.delete(handle);
    host.drain();
    expect(host.stats()).toMatchObject(
      isSent ? { sent: 43, delivered: 0, refused: 43 } : { sent: 3, delivered: 0, refused: 3 },
    );
  });
});

it('no memory stays taken, whatever the handlers do', () => {
  const { sink, to } = made();
  // There is room for four.
  for (let i = 0; i < 5; i++) {
    for (const op of ['drain', 'fail', 'later', 'echo'] as const) {
      expect(to(op).postBytes(LARGEST, i)).toBe(OK);
      host.drain();
    }
  }
  expect(sink.kept.length).toBe(20);
  expect(sink.seen.every(([length]) => length === LARGEST)).toBe(true);
  expect(ended(sink)).toBe(true);
});

it('views of no bytes are empty', () => {
  const { sink, to } = made();
  to('take').postBytes(0, 7);
  to('many').postBytes(0, 7, 7);
  host.drain();
  expect(sink.seen).toEqual(Array.from({ length: 8 }, () => [0, undefined, undefined]));
});

it.each([
  ['short', SHORT],
  ['long', LONG],
])('a buffer of %s bytes that the handler gave away shows no later message', (_, length) => {
  const given: Uint8Array[] = [];
  class Giver {
    give(bytes: Uint8Array): void {
      const buffer = bytes.buffer as ArrayBuffer & { transfer?(): ArrayBuffer }; // from Node 22 on
      const take = () => structuredClone(buffer, { transfer: [buffer] });
      for (const way of [take, () => buffer.transfer!()]) {
        try {
          given.push(new Uint8Array(way()));
        } catch {} // Node refuses, or does not have it, or it was taken already
      }
    }
  }
  const GiverKind = kind(Giver, { give: { args: ['bytes'], views: true } });
  const give = new Sender(host.create(new Giver(), GiverKind), GiverKind, 'give');
  give.postBytes(length, 1);
  host.drain();
  const first = given.splice(0);
  expect(first.length).toBe(1);
  for (let i = 2; i < 9; i++) give.postBytes(length, i);
  host.drain();
  expect(host.errors).toEqual([]);
  for (const bytes of first) {
    expect(bytes.length).toBe(length);
    expect(bytes.every((byte) => byte === 1)).toBe(true);
  }
});

it('functions may ask for them', () => {
  const kept: Uint8Array[] = [];
  const signature = { args: ['bytes'], views: true } as const;
  const handle = host.fn(signature, (bytes) => {
    expect(bytes.length).toBe(LONG);
    kept.push(bytes);
  });
  expect(new Sender(handle, functionKind(signature) as never, 'call').postBytes(LONG, 7)).toBe(OK);
  host.drain();
  expect(host.errors).toEqual([]);
  expect(kept.map(({ length }) => length)).toEqual([0]);
});

it('they are not in the fingerprint', () => {
  const copies = kind(Sink, { take: { args: ['bytes'], returns: 'f64' } });
  const seen = kind(Sink, { take: { args: ['bytes'], returns: 'f64', views: true } });
  expect(seen.fingerprint).toBe(copies.fingerprint);
  host.create(new Sink(), copies);
  thrown('HAFT_E_ARGUMENT', () => host.create(new Sink(), seen));
});

it('they do not go with batches and retries, nor without bytes', () => {
  class Batched {
    take(_batch: unknown): void {}
  }
  const take = { args: ['bytes'], views: true } as const;
  const batch = { max: 2, withinMilliseconds: 1 };
  expect(thrown('HAFT_E_ARGUMENT', () => kind(Batched, { take }, { batch })).message).toContain('views');
  expect(thrown('HAFT_E_ARGUMENT', () => kind(Sink, { take }, { retries: { times: 1 } })).message).toContain(
    'views',
  );
  thrown('HAFT_E_ARGUMENT', () => kind(Batched, { take: { args: ['f64'], views: true } }));
  thrown('HAFT_E_ARGUMENT', () => kind(Batched, { take: { args: ['bytes'], views: 1 as never } }));
});

it('the process ends as usual while a handler holds one', async () => {
  expectExit(
    await child([
      '--input-type=module',
      '--eval',
      `
      import { kind, Registry } from 'haft';
      import koffi from 'koffi';
      const library = koffi.load('build/Release/messages.so');
      const registry = new Registry();
      library.func('int32_t use_api(void *api)')(registry.apiAddress);
      const post = library.func('int32_t post_bytes(uint64_t h, uint32_t op, uint32_t length, int32_t filler, int32_t copies)');
      class Exit { take() { process.exit(7); } }
      const ExitKind = kind(Exit, { take: { args: ['bytes'], views: true } });
      post(registry.create(new Exit(), ExitKind), ExitKind.number * 65536, 100000, 1, 1);
      registry.drain();
      `,
    ]),
    7,
  );
});
