// The end of the process while native threads are still calling: the exit code is the one that was asked for, and no
// signal ends it.
import { describe, expect, it } from 'vitest';
import { built, expectExit, logicFile, script } from './support/child.js';

const ROUNDS = 4;

/** Starts threads that never stop, then does `act`. With `stay` the host's own thread does not return either. */
async function ends(act: string, code: number, { stay = false } = {}) {
  const source = `
    import { HaftError, Registry, runHost } from 'haft';
    import objects, { offer } from ${JSON.stringify(logicFile('objects.mjs'))};
    const registry = new Registry();
    objects(registry);
    offer(registry, 'echo', { args: ['str'], returns: 'str' }, (text) => text);
    const host = runHost(${JSON.stringify(built('exits.so'))}, registry, [${stay ? "'stay'" : ''}]);
    if (${!stay}) await host;
    const bystander = registry.get(registry.find('bystander'));
    const later = (act) => (bystander.calls > 50 ? act() : setTimeout(later, 1, act)); // when they are at it
    ${act}
  `;
  const rounds = Array.from({ length: ROUNDS }, () => script(source));
  for (const ended of await Promise.all(rounds)) {
    expectExit(ended, code);
    if (code === 0 || code > 1) expect(ended.stderr).toBe('');
  }
}

describe('P25: native threads go on calling', () => {
  it('at the natural end', () => ends('', 0));
  it('at the natural end, with an exit code', () => ends('process.exitCode = 6;', 6));
  it('at the natural end after close', () => ends('registry.close();', 0));
  it('at process.exit', () => ends('process.exit(7);', 7));
  it('at process.exit later', () => ends('later(() => process.exit(7));', 7));
  it('at process.exit while the host runs', () => ends('later(() => process.exit(7));', 7, { stay: true }));
  it('at process.exit in a handler', () => ends('bystander.add = () => process.exit(9); registry.ref();', 9));
  it('at process.exit with every exit listener removed', () =>
    ends("later(() => { process.removeAllListeners('exit'); process.exit(5); });", 5, { stay: true }));
  it('at process.exit in an exit listener', () =>
    ends("process.on('exit', () => process.exit(4)); later(() => {});", 4));
  it('at an uncaught exception', () =>
    ends("later(() => { throw new Error('uncaught'); });", 1, { stay: true }));
  it('at an unhandled rejection', () => ends("Promise.reject(new Error('unhandled')); registry.ref();", 1));
  it('with many registries open', () =>
    ends('const more = Array.from({ length: 20 }, () => new Registry()); later(() => process.exit(3));', 3));
});

describe('what a post’s handler throws, without a listener', () => {
  const throwing = (more: string) =>
    script(`
      import { Registry, runHost } from 'haft';
      const registry = new Registry();
      registry.publish('fail', registry.fn({ args: ['f64'] }, (n) => { throw n === 0 ? undefined : new RangeError('mine ' + n); }));
      ${more}
      const code = await runHost(${JSON.stringify(built('failures.so'))}, registry, ['post']);
      await new Promise((resolve) => setTimeout(resolve, 20));
      console.log('code', code);
      process.exit(code);
    `);

  it('ends the process as an unhandled rejection does', async () => {
    const ended = expectExit(await throwing(''), 1);
    expect(ended.stderr).toMatch(/RangeError: mine 1|undefined/);
  });

  it('reaches process.on(unhandledRejection), each by itself, and the messages behind are served', async () => {
    const ended = expectExit(
      await throwing("process.on('unhandledRejection', (error) => console.log('heard', error?.message));"),
    );
    expect(ended.stdout).toBe('heard undefined\nheard mine 1\nheard mine 2\ncode 0\n');
  });

  it('reaches the listener where there is one; off takes it away again, once hears one', async () => {
    const ended = expectExit(
      await throwing(`
        process.on('unhandledRejection', (error) => console.log('unhandled', error?.message));
        const unheard = () => console.log('never');
        registry.on('error', unheard).off('error', unheard);
        registry.once('error', (error, { kind, op, handle }) =>
          console.log(error, kind, op, handle === registry.find('fail')));
      `),
    );
    expect(ended.stdout).toBe(
      'undefined fn(f64):void call true\nunhandled mine 1\nunhandled mine 2\ncode 0\n',
    );
  });

  it('a listener that throws does not end the drain', async () => {
    const ended = expectExit(
      await throwing(`
        process.on('unhandledRejection', (error) => console.log('unhandled', error.message));
        registry.on('error', () => { throw new Error('in the listener'); });
      `),
    );
    expect(ended.stdout).toBe(`${'unhandled in the listener\n'.repeat(3)}code 0\n`);
  });
});

describe('a C++ exception in a plugin', () => {
  it('that is caught in the plugin leaves haft as it was', async () => {
    const source = `
      import { Registry, runHost } from 'haft';
      const registry = new Registry();
      registry.publish('fail', registry.fn({ args: ['f64'], returns: 'f64' }, (n) => {
        if (n % 3 === 1) throw new Error('in JavaScript');
        return n;
      }));
      process.exit(await runHost(${JSON.stringify(built('failures.so'))}, registry, ['exceptions']));
    `;
    expectExit(await script(source));
  });
});
