// A suite of somebody else's with jest's globals, or what ./globals.mjs has in their place: the second test leaks. Run by
// ../testing.test.ts.
import { Registry } from 'haft';
import { expectNoLeaks } from 'haft/testing';

const { afterEach, test } = globalThis;
const registry = new Registry();
afterEach(expectNoLeaks);

test('ends what it makes', () => {
  registry.delete(registry.create({}));
});
test('leaks', () => {
  registry.create({});
});
test('ends what it makes again', () => {
  registry.delete(registry.create({}));
});
