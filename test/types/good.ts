// What must compile. Checked by ../types.test.ts, never run.
import { api, type Handle, HandleTable, kind, type NativeApi, type Plugin, Registry } from 'haft';

class Counter {
  total = 0;
  add(n: number): number {
    this.total += n;
    return this.total;
  }
  reset(): void {}
  rename(_name: string, _loud: boolean): Promise<string> {
    return Promise.resolve('');
  }
  big(n: bigint): bigint {
    return n;
  }
  bytes(data: Uint8Array): Uint8Array {
    return data;
  }
  link(other: Handle): Handle {
    return other;
  }
  optional(_a?: number, _b?: string): void {}
}
class Other {
  touch() {}
}

const CounterKind = kind(Counter, {
  add: { args: ['f64'], returns: 'f64' },
  reset: {},
  rename: { args: ['str', 'bool'], returns: 'str' },
  big: { args: ['i64'], returns: 'i64' },
  bytes: { args: ['bytes'], returns: 'bytes' },
  link: { args: ['handle'], returns: 'handle' },
  optional: { args: ['i32'] },
});
const OtherKind = kind(Other, { touch: {} }, { name: 'other' });

export const position: number = CounterKind.position('add');

for (const table of [new Registry(), new HandleTable()]) {
  const handle: Handle<Counter> = table.create(new Counter(), CounterKind);
  const plain: number = handle; // a handle is a number
  const total: number = table.get(handle).add(1);
  const again: Counter = table.get(plain, CounterKind);
  const big: Counter = table.get(10n, CounterKind);
  const maybe: Counter | undefined = table.tryGet(plain, CounterKind);
  const soft: Counter | undefined = table.tryGet(handle);
  const same: Handle<Counter> = table.retain(handle);
  const found: Handle<Counter> = table.find('counter', CounterKind);
  const interned: Handle<Counter> = table.intern(new Counter(), CounterKind);
  const text: Handle<string> = table.create('text');
  const upper: string = table.get(text).toUpperCase();
  const value: unknown = plain;
  if (table.has(value)) table.delete(value);
  table.release(plain);
  table.delete(10n);
  table.publish('counter', handle);
  const fn = table.fn(
    { args: ['str', 'f64', 'bool', 'i64', 'bytes', 'handle'], returns: 'bool' },
    (s, n, b, i, d, h) => {
      const types: [string, number, boolean, bigint, Uint8Array, Handle] = [s, n, b, i, d, h];
      return types.length > 0;
    },
  );
  const called: boolean | PromiseLike<boolean> = table.get(fn)('a', 1, true, 1n, new Uint8Array(), handle);
  table.fn({}, () => 'dropped');
  table.fn({ returns: 'f64' }, async () => 1);
  void [total, again, big, maybe, soft, same, found, interned, upper, called];
}

{
  using registry = new Registry();
  registry.on('error', (error, { handle, kind, op }) => {
    const where: string = `${handle} ${kind}.${op}`;
    void [error, where];
  });
  const other: Handle<Other> = registry.create(new Other(), OtherKind);
  registry
    .ref()
    .unref()
    .off('error', () => {});
  const { live, delivered }: { live: number; delivered: number } = registry.stats();
  const { path, version }: Plugin = registry.loadPlugin('plugin.so');
  const table: NativeApi[] = [api(), registry.api];
  void [other, live, delivered, path, version, table];
}
