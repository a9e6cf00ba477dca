// What must compile. Checked by ../types.test.ts, never run.
import { api, HaftError, type Handle, HandleTable, kind, type NativeApi, type Plugin, Registry } from 'haft';

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

{
  const registry = new Registry();
  const compare = registry.trampoline({
    args: ['const void *', 'const void *', 'void *'],
    returns: 'int',
    userData: 2,
    onError: 0,
  });
  {
    using bound = compare.bind((a, b) => {
      const types: [bigint, bigint] = [a, b];
      return types[0] < types[1] ? -1 : 1;
    });
    const pointer: bigint = bound.pointer;
    const userData: Handle = bound.userData;
    void [pointer, userData];
  }
  const everything = registry.trampoline({
    args: [
      'bool',
      'int8_t',
      'unsigned int',
      'long',
      'size_t',
      'float',
      'double',
      'const char *',
      'struct s *',
      'void *',
    ],
    userData: 9,
    timeoutMilliseconds: 5,
    ref: false,
  });
  everything.bind((...args) => {
    const types: [boolean, number, number, bigint, bigint, number, number, string | null, bigint] = args;
    return types;
  });
  everything.bind(() => {});
  everything.bind(async () => {});
  everything.bind((yes) => yes, { once: true, scope: registry.scope() });
  // The first argument is the user data: the closure has the others.
  registry
    .trampoline({ args: ['void *', 'int'], returns: 'bool', userData: 0, onError: false })
    .bind((n: number) => n > 0);
  // What 64 bits take: a bigint, a safe integer, for pointers null.
  for (const answer of [1n, 1, null]) {
    registry
      .trampoline({ args: ['void *'], returns: 'void *', userData: 0, onError: answer })
      .bind(() => answer);
  }
  registry
    .trampoline({ args: ['void *'], returns: 'uint64_t', userData: 0, onError: 0 })
    .bind(async () => 1n);
  registry.trampoline({
    args: ['void *'],
    returns: 'int',
    userData: 0,
    onError: 0,
    mode: 'post',
    onPosted: 1,
  });
  // Found through a C function, it stays among the arguments.
  registry
    .trampoline({ args: ['void *', 'int'], userData: { argument: 0, through: 4096n } })
    .bind((context: bigint, n: number) => [context, n]);
  const group = registry.trampolines({
    step: { args: ['void *', 'int'], userData: 0 },
    final: { args: ['void *'], returns: 'double', userData: 0, onError: 0 },
  });
  const { pointer } = group.bind({ step: (n: number) => n, final: () => 1.5 });
  const both: bigint[] = [pointer.step, pointer.final];
  const notify: bigint = registry.destroyNotify;
  const sum: number = registry.invoke((a: number, b: number) => a + b, 1, 2);
  void [both, notify, sum];
}

/** Functions of the host: promises, and `sync` with the values themselves. */
export async function functionsOfTheHost(registry: Registry): Promise<void> {
  const host = registry.host(
    {
      lookup: { args: ['str'], returns: 'f64' },
      digest: { args: ['bytes', 'i64', 'handle'], returns: 'bytes' },
      log: { args: ['str', 'bool'] },
    },
    { timeoutMilliseconds: 5 },
  );
  const later: Promise<number> = host.lookup('key');
  const now: number = host.sync.lookup('key');
  const bytes: Uint8Array = await host.digest(new Uint8Array(1), 1n, registry.create({}));
  const nothing: undefined = host.sync.log('text', true) as undefined;
  void [later, now, bytes, nothing];
}

// The pointer rule that an error is about, if it is about one.
export const broken: number | undefined = new HaftError('HAFT_E_STALE').rule;
export const own: number | undefined = new HaftError('HAFT_E_ARGUMENT', { rule: 7 }).rule;

// The functions of the host have the types that they are declared with.
export async function hostFunctions(registry: Registry): Promise<void> {
  const host = registry.host(
    {
      lookup: { args: ['str', 'i64'], returns: 'str' },
      find: { args: ['bytes'], returns: 'handle' },
      told: {},
    },
    { timeoutMilliseconds: 1000 },
  );
  const text: string = await host.lookup('key', 1n);
  const same: string = host.sync.lookup('key', 1n);
  const found: Handle = await host.find(new Uint8Array(1));
  const promise: Promise<void> = host.told();
  host.sync.told();
  void [text, same, found, promise];
}
