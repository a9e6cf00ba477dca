// Memory that C may keep: pinned buffers, and buffers that were transferred. C looks through hosts/keeps.c.
import { type HaftError, type Handle, type Memory, type Pin, type Pinnable, Registry } from 'haft';
import koffi from 'koffi';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { built, expectExit, script } from './support/child.js';
import { turn } from './support/messages.js';
import { thrown } from './support/tables.js';

const c = koffi.load(built('keeps.so'));
const OK = 0;
const use = c.func('int use_api(uintptr_t api)');
const memoryOf = c.func('int memory_of(uint64_t h, _Out_ uint64_t *data, _Out_ uint64_t *size)');
const fill = c.func('int fill(uint64_t h, int byte)');
const sum = c.func('double sum(uint64_t h)');
const retain = c.func('int retain(uint64_t h)');
const release = c.func('int release_one(uint64_t h)');

let registry: Registry;
const errors: HaftError[] = [];
beforeEach(() => {
  registry = new Registry();
  errors.length = 0;
  registry.on('error', (error) => errors.push(error as HaftError));
  expect(use(registry.apiAddress)).toBe(OK);
});
afterEach(() => registry.close());

function where(handle: Handle<Memory>): { status: number; data: bigint; size: number } {
  const data = [0];
  const size = [0];
  const status = memoryOf(handle, data, size) as number;
  return { status, data: BigInt(data[0]!), size: Number(size[0]) };
}
const canTransfer = 'transfer' in ArrayBuffer.prototype;
/** Detaches even a buffer that was pinned, where this Node can. */
function detach(buffer: ArrayBuffer): boolean {
  try {
    (buffer as unknown as { transfer?: () => void }).transfer?.();
  } catch {
    // Node 24 refuses it
  }
  return buffer.byteLength === 0;
}
// What the types of the tests do not know yet.
interface Memories {
  readonly Memory: new (of: {
    initial: number;
  }) => { readonly buffer: ArrayBuffer; grow(pages: number): number };
}
const { WebAssembly } = globalThis as unknown as { readonly WebAssembly: Memories };
type Sized<B> = new (bytes: number, options: { maxByteLength: number }) => B;
const resizable = () => new (ArrayBuffer as Sized<ArrayBuffer>)(8, { maxByteLength: 16 });
const growable = () => new (SharedArrayBuffer as Sized<SharedArrayBuffer>)(8, { maxByteLength: 16 });

/** A buffer that WebAssembly detaches when its memory grows. */
function growing(): { buffer: ArrayBuffer; grow(): void } {
  const memory = new WebAssembly.Memory({ initial: 1 });
  return { buffer: memory.buffer, grow: () => void memory.grow(1) };
}

describe('a pinned buffer', () => {
  const bytes = new Uint8Array(64).map((_, i) => i);
  it.each<[string, Pinnable, number, number]>([
    ['an ArrayBuffer', bytes.slice().buffer, 0, 64],
    ['a SharedArrayBuffer', new SharedArrayBuffer(64), 0, 64],
    ['a Uint8Array', bytes.slice(), 0, 64],
    ['a part of one', bytes.slice().subarray(5, 9), 5, 4],
    ['a Float64Array', new Float64Array(bytes.slice().buffer, 8, 3), 8, 24],
    ['a BigInt64Array over shared memory', new BigInt64Array(new SharedArrayBuffer(64), 16, 2), 16, 16],
    ['a DataView', new DataView(bytes.slice().buffer, 3, 7), 3, 7],
    ['a small Uint8Array', new Uint8Array([1, 2, 3]), 0, 3],
    ['a slice of the pool of Buffer', Buffer.from('pooled'), -1, 6],
    ['a Buffer of its own', Buffer.alloc(100, 7), 0, 100],
  ])('is memory of C: %s', (_, given, offset, size) => {
    const buffer = ArrayBuffer.isView(given) ? given.buffer : given;
    const view = new Uint8Array(buffer, ArrayBuffer.isView(given) ? given.byteOffset : 0, size);
    using pin = registry.pin(given);
    expect(pin.byteLength).toBe(size);
    expect(pin.isIntact).toBe(true);
    const { status, data, size: told } = where(pin.handle);
    expect([status, data, told]).toEqual([OK, pin.address, size]);
    using whole = registry.pin(buffer);
    if (offset >= 0) expect(pin.address - whole.address).toBe(BigInt(offset));
    expect(fill(pin.handle, 9)).toBe(OK);
    expect([...view]).toEqual(Array(size).fill(9));
    view.fill(2);
    expect(sum(pin.handle)).toBe(2 * size);
  });

  it('may be empty', () => {
    for (const given of [new ArrayBuffer(0), new Uint8Array(0), new SharedArrayBuffer(0), Buffer.alloc(0)]) {
      using pin = registry.pin(given);
      expect(where(pin.handle)).toMatchObject({ status: OK, size: 0 });
      expect(pin.isIntact).toBe(true);
    }
    expect(errors).toEqual([]);
  });

  it('may be larger than 4 GiB', ({ skip }) => {
    let buffer: ArrayBuffer;
    try {
      buffer = new ArrayBuffer(2 ** 32 + 4096);
    } catch {
      return skip('there is no room for such a buffer here');
    }
    const end = new Uint8Array(buffer, 2 ** 32 + 4000, 8).fill(3);
    using whole = registry.pin(buffer);
    using part = registry.pin(end);
    expect(where(whole.handle)).toMatchObject({ status: OK, size: 2 ** 32 + 4096 });
    expect(part.address - whole.address).toBe(BigInt(2 ** 32 + 4000));
    expect(sum(part.handle)).toBe(24);
    const handle = registry.transfer(new ArrayBuffer(2 ** 32 + 8));
    expect(where(handle)).toMatchObject({ status: OK, size: 2 ** 32 + 8 });
    expect(release(handle)).toBe(OK);
  });

  it('is no memory after unpin, and may be unpinned again', () => {
    const pin = registry.pin(bytes.slice());
    expect(retain(pin.handle)).toBe(OK);
    pin.unpin();
    expect(where(pin.handle)).toMatchObject({ status: -2, data: 0n, size: 0 });
    expect(pin.isIntact).toBe(false);
    expect(registry.stats().live).toBe(0);
    pin.unpin();
    pin[Symbol.dispose]();
  });

  it('twice is two pins', () => {
    const buffer = bytes.slice().buffer;
    const one = registry.pin(buffer);
    const two = registry.pin(buffer);
    expect(one.handle).not.toBe(two.handle);
    expect(one.address).toBe(two.address);
    one.unpin();
    expect(where(two.handle)).toMatchObject({ status: OK, size: 64 });
    two.unpin();
  });

  it('stays while nobody in JavaScript has it', async () => {
    const handle = (() => registry.pin(new Uint8Array(1 << 20).fill(1)).handle)();
    for (let i = 0; i < 5; i++) {
      globalThis.gc!();
      await turn();
    }
    expect(sum(handle)).toBe(1 << 20);
  });

  it('ends with the registry, and with the last release of C', () => {
    const ends = registry.pin(bytes.slice());
    expect(release(ends.handle)).toBe(OK);
    expect(where(ends.handle).status).toBe(-2);
    registry.drain();
    expect(registry.stats().live).toBe(0);
    ends.unpin();
    const pin = registry.pin(bytes.slice());
    registry.close();
    expect(where(pin.handle).status).toBe(-5);
    expect(pin.isIntact).toBe(false);
    pin.unpin();
    expect(errors).toEqual([]);
    thrown('HAFT_E_CLOSED', () => registry.pin(bytes));
  });

  it('keeps nothing of itself when C’s last release has ended it', async () => {
    const pins = Array.from({ length: 3 }, () => {
      const pin = registry.pin(bytes);
      expect(release(pin.handle)).toBe(OK);
      return new WeakRef(pin);
    });
    registry.drain();
    for (let i = 0; i < 20 && pins.some((pin) => pin.deref() !== undefined); i++) {
      await turn();
      globalThis.gc!();
    }
    expect(pins.map((pin) => pin.deref())).toEqual([undefined, undefined, undefined]);
  });

  it('ends with a scope, unless its handle is transferred', () => {
    const scope = registry.scope();
    const ends = scope.own(registry.pin(bytes.slice()));
    const stays = scope.own(registry.pin(bytes.slice()));
    registry.transfer(stays.handle);
    scope.end();
    expect([where(ends.handle).status, where(stays.handle).status]).toEqual([-2, OK]);
    expect(release(stays.handle)).toBe(OK);
    expect(where(stays.handle).status).toBe(-2);
  });

  it.each([
    [
      'detached',
      () => {
        const buffer = new ArrayBuffer(8);
        structuredClone(buffer, { transfer: [buffer] });
        return buffer;
      },
      'detached',
    ],
    [
      'a view of a detached one',
      () => {
        const view = new DataView(new ArrayBuffer(8), 4);
        structuredClone(view.buffer, { transfer: [view.buffer] });
        return view;
      },
      'detached',
    ],
    ['resizable', () => resizable(), 'resizable'],
    ['a view of a resizable one', () => new Uint8Array(resizable()), 'resizable'],
    ['growable', () => growable(), 'growable'],
  ])('is refused if it is %s: rule 11', (_, make, why) => {
    const error = thrown('HAFT_E_DETACHED', () => registry.pin(make()));
    expect(error.message).toContain(why);
    expect(error.rule).toBe(11);
    expect(registry.stats().live).toBe(0);
  });

  it('is refused if it is none', () => {
    for (const given of [
      undefined,
      null,
      7,
      'text',
      {},
      [1, 2],
      { buffer: new ArrayBuffer(1), byteLength: 1 },
    ])
      thrown('HAFT_E_ARGUMENT', () => registry.pin(given as never));
  });

  it('keeps its memory when JavaScript posts or clones it away', () => {
    const buffer = bytes.slice().buffer;
    using pin = registry.pin(buffer);
    const { port1, port2 } = new MessageChannel();
    for (const away of [
      () => structuredClone(buffer, { transfer: [buffer] }),
      () => port1.postMessage(buffer, [buffer]),
    ]) {
      try {
        away(); // Node 20 copies
      } catch (error) {
        expect((error as Error).name).toBe('DataCloneError');
      }
    }
    port1.close();
    port2.close();
    expect([buffer.byteLength, pin.isIntact, sum(pin.handle)]).toEqual([64, true, 2016]);
  });
});

describe('a buffer that is detached while it is pinned', () => {
  function broken(): Pin {
    const { buffer, grow } = growing();
    const pin = registry.pin(buffer);
    expect(pin.isIntact).toBe(true);
    grow();
    expect(pin.isIntact).toBe(false);
    return pin;
  }
  const isTold = () =>
    expect(errors.map(({ code, rule }) => [code, rule])).toEqual([['HAFT_E_DETACHED', 11]]);

  it('is HAFT_E_DETACHED at unpin, once', async () => {
    const pin = broken();
    const error = thrown('HAFT_E_DETACHED', () => pin.unpin());
    expect([error.handle, error.kind, error.rule]).toEqual([pin.handle, 'haft.memory', 11]);
    pin.unpin();
    await turn();
    expect(errors).toEqual([]);
    expect(registry.stats().live).toBe(0);
  });

  it('is told at the close of the registry', () => {
    broken();
    registry.close();
    isTold();
  });

  it('is told after the last release of C', async () => {
    expect(release(broken().handle)).toBe(OK);
    registry.drain();
    await turn();
    isTold();
  });

  it('is told where a test has replaced queueMicrotask', async () => {
    const real = globalThis.queueMicrotask;
    globalThis.queueMicrotask = () => {};
    try {
      registry.release(broken().handle);
      registry.drain();
      await turn();
    } finally {
      globalThis.queueMicrotask = real;
    }
    isTold();
  });

  it('leaves the rest of a scope alone', () => {
    const scope = registry.scope();
    const before = scope.own(registry.create('x'));
    scope.own(broken());
    thrown('HAFT_E_DETACHED', () => scope.end());
    expect(registry.has(before)).toBe(false);
  });

  it.runIf(canTransfer)('by ArrayBuffer.prototype.transfer: refused by Node, or found', () => {
    const buffer = new ArrayBuffer(16);
    const pin = registry.pin(buffer);
    if (detach(buffer)) thrown('HAFT_E_DETACHED', () => pin.unpin());
    else pin.unpin();
  });

  it('is told after a drain at level 2 of HAFTCHECK', async () => {
    const source = `
      import { Registry } from 'haft';
      const registry = new Registry().ref();
      const memory = new WebAssembly.Memory({ initial: 1 });
      registry.pin(memory.buffer);
      registry.on('error', (error) => { console.log(error.code); registry.close(); });
      memory.grow(1);
      registry.collect().catch(() => {}); // rings
    `;
    const ended = expectExit(await script(source, [], { env: { HAFTCHECK: '2' } }));
    expect(ended.stdout).toBe('HAFT_E_DETACHED\n');
  });
});

describe('a buffer that is transferred', () => {
  it('is C’s, and not JavaScript’s', () => {
    const buffer = new Uint8Array(64).fill(3).buffer;
    using before = registry.pin(new Uint8Array(1)); // another's
    const handle = registry.transfer(buffer);
    expect(buffer.byteLength).toBe(0);
    expect(where(handle)).toMatchObject({ status: OK, size: 64 });
    expect(sum(handle)).toBe(192);
    expect(before.isIntact).toBe(true);
    globalThis.gc!();
    expect(sum(handle)).toBe(192);
    expect(release(handle)).toBe(OK);
    expect(where(handle).status).toBe(-2);
    registry.drain();
    expect(registry.stats().live).toBe(1);
  });

  it('is not copied', () => {
    const bytes = new Uint8Array(1 << 20);
    const address = koffi.address(bytes);
    const handle = registry.transfer(bytes);
    expect(where(handle).data).toBe(address);
    expect(bytes.length).toBe(0);
  });

  it('may be empty, or resizable', () => {
    expect(where(registry.transfer(new ArrayBuffer(0)))).toMatchObject({ status: OK, size: 0 });
    const buffer = resizable();
    expect(where(registry.transfer(buffer))).toMatchObject({ status: OK, size: 8 });
    expect(buffer.byteLength).toBe(0);
  });

  it('is refused where it cannot change hands as a whole', () => {
    const pinned = new ArrayBuffer(8);
    registry.pin(pinned).unpin();
    const whole = new ArrayBuffer(8);
    for (const given of [
      new SharedArrayBuffer(8),
      new Uint8Array(whole, 1),
      new Uint8Array(whole, 0, 7),
      new DataView(whole),
      Buffer.from('pooled'),
      pinned,
      growing().buffer,
      {},
      [],
    ])
      thrown('HAFT_E_ARGUMENT', () => registry.transfer(given as ArrayBuffer));
    expect([whole.byteLength, pinned.byteLength]).toEqual([8, 8]);
    const gone = new ArrayBuffer(8);
    structuredClone(gone, { transfer: [gone] });
    thrown('HAFT_E_DETACHED', () => registry.transfer(gone));
    expect(registry.stats().live).toBe(0);
  });

  it('ends with the registry', () => {
    const handle = registry.transfer(new ArrayBuffer(8));
    registry.close();
    expect(where(handle).status).toBe(-5);
    const buffer = new ArrayBuffer(8);
    thrown('HAFT_E_CLOSED', () => registry.transfer(buffer));
    expect(buffer.byteLength).toBe(8);
  });
});

it('a handle of another kind names no memory', () => {
  expect(where(registry.create({}) as unknown as Handle<Memory>).status).toBe(-3);
});
