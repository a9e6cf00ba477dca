// A suite of somebody else's, for vitest, with fake timers: the second test leaks. Run by ../testing.test.ts.
import { Registry } from 'haft';
import { expectNoLeaks } from 'haft/testing';
import { afterEach, beforeEach, test, vi } from 'vitest';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => expectNoLeaks());

test('ends what it makes', () => {
  const registry = new Registry();
  registry.delete(registry.create({}));
  registry.close();
});
test('leaks', () => {
  const registry = new Registry();
  registry.create({});
  registry.close();
});
test('ends what it makes again', () => {
  new Registry().close();
});
