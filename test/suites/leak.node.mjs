// A suite of somebody else's, for node:test: the second test leaks. Run by ../testing.test.ts.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { HandleTable, Registry } from 'haft';
import { expectNoLeaks } from 'haft/testing';

const registry = new Registry();
afterEach(() => expectNoLeaks());

test('ends what it makes', () => {
  registry.delete(registry.create({}));
  assert.equal(new HandleTable().create({}) > 0, true);
});
test('leaks', () => {
  registry.create({});
});
test('ends what it makes again', () => {
  registry.delete(registry.create({}));
});
