// What must not compile: each line behind `@ts-expect-error` is an error, or that comment is one.
import { type ErrorCode, HaftError, type Handle, HandleTable, kind, Registry } from 'haft';

class Counter {
  total = 0;
  add(n: number): number {
    return n;
  }
  say(): string {
    return '';
  }
  later(): Promise<string> {
    return Promise.resolve('');
  }
}
class Other {
  different = true;
  touch() {}
}
const CounterKind = kind(Counter, { add: { args: ['f64'], returns: 'f64' } });
const OtherKind = kind(Other, { touch: {} });
const table = new Registry();
const plain = new HandleTable();

// A method that the class does not have.
// @ts-expect-error
kind(Counter, { subtract: { args: ['f64'] } });
// @ts-expect-error
kind(Counter, { total: {} });
// Arguments of another type, and too many.
// @ts-expect-error
kind(Counter, { add: { args: ['str'], returns: 'f64' } });
// @ts-expect-error
kind(Counter, { add: { args: ['i64'], returns: 'f64' } });
// @ts-expect-error
kind(Counter, { say: { args: ['f64'], returns: 'str' } });
// @ts-expect-error
kind(Counter, { add: { returns: 'f64' } });
// A result of another type.
// @ts-expect-error
kind(Counter, { add: { args: ['f64'], returns: 'str' } });
// @ts-expect-error
kind(Counter, { say: { returns: 'f64' } });
// @ts-expect-error
kind(Counter, { later: { returns: 'f64' } });
// Types that there are not.
// @ts-expect-error
kind(Counter, { add: { args: ['number'], returns: 'f64' } });
// @ts-expect-error
kind(Counter, { add: { args: ['void'], returns: 'f64' } });
// @ts-expect-error
kind(Counter, { say: { returns: 'string' } });
// @ts-expect-error
kind({}, {});

// An object of another class, a handle of another class.
// @ts-expect-error
table.create(new Other(), CounterKind);
// @ts-expect-error
table.intern('text', CounterKind);
// @ts-expect-error
export const wrong: Handle<Other> = table.create(new Counter(), CounterKind);
// @ts-expect-error
export const narrowed: Handle<Counter> = table.create('text');
// @ts-expect-error
export const branded: Handle<Counter> = 4503599627370496;
// A number without a kind has no type.
// @ts-expect-error
table.get(4503599627370496);
// @ts-expect-error
plain.tryGet(4503599627370496);
// @ts-expect-error
table.get(table.create(new Counter(), CounterKind)).touch();
// @ts-expect-error
table.get(1, OtherKind).add(1);
// @ts-expect-error
table.get('handle');
// @ts-expect-error
table.delete('handle');

// Functions.
// @ts-expect-error
table.fn({ args: ['f64'] }, (text: string) => text);
// @ts-expect-error
table.fn({ returns: 'f64' }, () => 'text');
// @ts-expect-error
table.fn({ returns: 'bool' }, async () => 1);
// @ts-expect-error
table.fn({ args: ['double'] }, () => 1);
// @ts-expect-error
table.get(table.fn({ args: ['str'] }, () => {}))(1);

// Names.
// @ts-expect-error
CounterKind.position('subtract');
// @ts-expect-error
table.on('errors', () => {});
// @ts-expect-error
export const code: ErrorCode = 'HAFT_E_NOTHING';
// @ts-expect-error
export const ok: ErrorCode = 'HAFT_OK';
// @ts-expect-error
new HandleTable({ generations: 2 });
// A HandleTable has no native side.
// @ts-expect-error
plain.drain();

// Trampolines.
const add = table.trampoline({ args: ['int', 'void *'], returns: 'int', userData: 1, onError: -1 });
// @ts-expect-error
add.bind((text: string) => text.length);
// @ts-expect-error
add.bind(() => 'text');
// @ts-expect-error
add.bind(async () => 1n);
// @ts-expect-error
add.bind(() => undefined);
// The user data is not passed.
// @ts-expect-error
add.bind((_n: number, _userData: bigint) => 1);
// @ts-expect-error
add.bind(5);
// @ts-expect-error
add.bind((n) => n, { twice: true });
// @ts-expect-error
table.trampoline({ args: ['int', 'void *'], returns: 'int', userData: 1 });
// @ts-expect-error
table.trampoline({ args: ['int', 'void *'], returns: 'int', userData: 1, onError: 'none' });
// @ts-expect-error
table.trampoline({ args: ['int', 'void *'], returns: 'bool', userData: 1, onError: 0 });
// @ts-expect-error
table.trampoline({ args: ['int', 'void *'], returns: 'int', userData: 1, onError: -1, mode: 'post' });
// @ts-expect-error
table.trampoline({ args: ['int', 'void *'], returns: 'int', userData: 1, onError: -1, mode: 'send' });
// @ts-expect-error
table.trampoline({ args: ['integer', 'void *'], userData: 1 });
// @ts-expect-error
table.trampoline({ args: ['int', 'void *'] });
// @ts-expect-error
table.trampoline({ args: ['int', 'void *'], userData: { argument: 1 } });
const longs = table.trampoline({ args: ['int64_t', 'void *'], returns: 'int64_t', userData: 1, onError: 0n });
// An integer of 64 bits is a bigint.
// @ts-expect-error
longs.bind((n: number) => n);
// @ts-expect-error
longs.bind((n) => n + 1);
// @ts-expect-error
longs.bind(() => null);
const groups = table.trampolines({ step: { args: ['void *', 'int'], userData: 0 } });
// @ts-expect-error
groups.bind({});
// @ts-expect-error
groups.bind({ step: (text: string) => text });
// @ts-expect-error
groups.bind(() => 1);
// @ts-expect-error
groups.bind({ step: () => {} }).pointer.other;
// @ts-expect-error
table.trampolines({ step: { args: ['void *'], returns: 'int', userData: 0 } });
// @ts-expect-error
table.invoke((n: number) => n, 'text');

// Functions of the host take and give what was declared, and `sync` no promise.
const host = table.host({ lookup: { args: ['str'], returns: 'f64' } });
// @ts-expect-error
host.lookup(1);
// @ts-expect-error
host.lookup();
// @ts-expect-error
host.other('key');
// @ts-expect-error
export const early: number = host.lookup('key');
// @ts-expect-error
export const text: string = host.sync.lookup('key');
// @ts-expect-error
host.sync.lookup('key').then();
// @ts-expect-error
table.host({ lookup: { args: ['string'] } });
// @ts-expect-error
table.host({ lookup: {} }, { timeout: 5 });

// The rule of an error is a number or nothing, and nobody's to change.
// @ts-expect-error
export const rule: number = new HaftError('HAFT_E_STALE').rule;
// @ts-expect-error
export const named: string | undefined = new HaftError('HAFT_E_STALE').rule;
// @ts-expect-error
new HaftError('HAFT_E_STALE').rule = 2;
// @ts-expect-error
new HaftError('HAFT_E_ARGUMENT', { rule: 'seven' });
