// JavaScript that calls functions of the host: hosts/host_functions.c. A scenario tells what was not as it should be.
import assert from 'node:assert/strict';
import objects, { offer, Sample, SampleKind } from './objects.mjs';

const f64 = { args: ['f64'], returns: 'f64' };

export default function logic(registry) {
  objects(registry);
  const host = registry.host({
    twice: f64,
    slowly: f64,
    downSync: f64,
    downLater: f64,
    callLater: { returns: 'i32' },
    say: { args: ['f64', 'i32', 'u32', 'i64', 'bool', 'handle', 'str', 'bytes'], returns: 'str' },
    nothing: {},
    noteThread: {},
    fail: { args: ['i32', 'str'], returns: 'f64' },
    hold: { returns: 'str' },
    wrongly: { returns: 'f64' },
    absent: {},
    ['n'.repeat(112)]: {},
  });
  const echo = (type) => registry.host({ echo: { args: [type], returns: type } });
  const impatient = registry.host({ hold: { returns: 'handle' }, absent: {} }, { timeoutMilliseconds: 30 });
  const code = (name) => ({ name: 'HaftError', code: name });

  /** Both ways to call: `call(name, ...args)` gives a promise of what either came to. */
  const ways = {
    promise: (of, name, ...args) => of[name](...args),
    sync: async (of, name, ...args) => of.sync[name](...args),
  };

  const all = async (call) => {
    assert.equal(await call(host, 'twice', 21), 42);
    assert.equal(await call(host, 'nothing'), undefined);
    for (const [type, values] of [
      ['f64', [0, -0, 1.5, Number.NaN, Number.POSITIVE_INFINITY]],
      ['i32', [0, -(2 ** 31), 2 ** 31 - 1]],
      ['u32', [0, 2 ** 32 - 1]],
      ['i64', [0n, -(2n ** 63n), 2n ** 63n - 1n]],
      ['bool', [true, false]],
      [
        'str',
        ['', 'a', 'ä€😀', 'x'.repeat(207), 'x'.repeat(209), 'y'.repeat(5000), 'ü'.repeat(100_000), 'a\0b'],
      ],
      [
        'bytes',
        [[], [1, 2, 3], Array(300).fill(7), Array(70_000).fill(9)].map((list) => new Uint8Array(list)),
      ],
    ]) {
      for (const value of values) assert.deepEqual(await call(echo(type), 'echo', value), value);
    }
    assert.equal(await call(echo('handle'), 'echo', 0), 0);
    const handle = registry.create(new Sample(), SampleKind);
    assert.equal(await call(echo('handle'), 'echo', handle), handle);
    registry.release(handle); // the result's
    assert.ok(registry.has(handle));
    const bytes = new Uint8Array([1, 2, 3]);
    assert.equal(
      await call(host, 'say', 1.5, -2, 3, -4n, true, handle, 'text', bytes),
      'f64 1.5;i32 -2;u32 3;i64 -4;bool 1;handle 0;str 4 text;bytes 3 3;',
    );
    assert.match(
      await call(host, 'say', 1, 2, 3, 4n, false, 0, 'z'.repeat(9000), bytes),
      /str 9000 zzz.*bytes 3 3/,
    );
    registry.release(handle);
    registry.drain();
    assert.ok(!registry.has(handle)); // no call has kept a reference

    // Errors.
    await assert.rejects(call(host, 'absent'), { ...code('HAFT_E_NOT_FOUND'), message: /absent/ });
    await assert.rejects(call(host, 'fail', -13, 'of its own'), {
      ...code('HAFT_E_EXCEPTION'),
      message: /^HAFT_E_EXCEPTION: of its own;/,
    });
    await assert.rejects(call(host, 'fail', -6, ''), { ...code('HAFT_E_FORKED'), message: /fail/ });
    await assert.rejects(call(host, 'fail', -13, 'é'.repeat(400)), {
      ...code('HAFT_E_EXCEPTION'),
      message: /(é){400}/,
    });
    await assert.rejects(call(host, 'fail', -13, 'l'.repeat(5000)), code('HAFT_E_EXCEPTION'));
    await assert.rejects(call(host, 'fail', 77, ''), { ...code('HAFT_E_INTERNAL'), message: /77/ });
    await assert.rejects(call(host, 'fail', 0, ''), { ...code('HAFT_E_RESULT'), message: /void, not f64/ });
    const wrong = registry.host({ twice: { args: ['f64'], returns: 'str' }, echo: { args: ['str'] } });
    await assert.rejects(call(wrong, 'twice', 1), {
      ...code('HAFT_E_RESULT'),
      message: /twice.*f64, not str/,
    });
    assert.equal(await call(wrong, 'echo', 'dropped'), undefined);
    const whole = registry.host({ twice: { args: ['f64'], returns: 'i32' } });
    assert.equal(await call(whole, 'twice', 4), 8);
    await assert.rejects(call(whole, 'twice', 0.25), code('HAFT_E_RESULT'));
    await assert.rejects(call(host, 'twice'), {
      ...code('HAFT_E_ARGUMENT'),
      message: /takes 1 argument, not 0/,
    });
    for (const [type, values] of [
      ['f64', ['1', 1n]],
      ['i32', [1.5, 2 ** 31]],
      ['u32', [-1, 2 ** 32]],
      ['i64', [1, 2n ** 63n]],
      ['bool', [0]],
      ['str', [7, null]],
      ['bytes', ['text', [1]]],
      ['handle', [7, 'text']],
    ]) {
      for (const value of values)
        await assert.rejects(call(echo(type), 'echo', value), {
          ...code('HAFT_E_ARGUMENT'),
          message: /argument 1/,
        });
    }
    await assert.rejects(call(echo('handle'), 'echo', handle), code('HAFT_E_STALE'));
    // A handle that JavaScript did not ask for is given back.
    const lost = registry.create(new Sample(), SampleKind);
    const loses = registry.host({ echo: { args: ['handle'] } });
    assert.equal(await call(loses, 'echo', lost), undefined);
    registry.release(lost);
    registry.drain();
    assert.ok(!registry.has(lost));
  };

  const scenarios = {
    promises: () => all(ways.promise),
    waits: () => all(ways.sync),
    plain: async () => assert.equal(await host.twice(2), 4),
    noteThread: () => host.noteThread(),
    'twice is twice': async () => assert.equal(host.sync.twice(3), 6),
    'twice is gone': () => assert.rejects(host.twice(3), code('HAFT_E_NOT_FOUND')),
    'the longest name': () => host['n'.repeat(112)](),
    wrongly: async () => assert.equal(await host.wrongly(), 5),
    'at once': async () => {
      const numbers = Array.from({ length: 200 }, (_, i) => i);
      assert.deepEqual(
        await Promise.all(numbers.map((n) => host.twice(n))),
        numbers.map((n) => 2 * n),
      );
      const many = numbers.map((n) => host.twice(n)).concat(numbers.map((n) => host.twice(n)));
      const told = await Promise.allSettled(many);
      assert.ok(told.some(({ reason }) => reason?.code === 'HAFT_E_BUSY'));
      assert.ok(told.filter(({ status }) => status === 'fulfilled').length >= 256);
    },
    'nested, waits': async () => {
      for (const depth of [0, 1, 2, 10, 40, 63]) assert.equal(host.sync.downSync(depth), depth);
    },
    'nested, promises': async () => {
      for (const depth of [0, 1, 2, 10, 40, 63]) assert.equal(await host.downLater(depth), depth);
    },
    'nested too deep': async () => {
      assert.throws(() => host.sync.downSync(100), { message: /64 functions of the host/ });
      await assert.rejects(host.downLater(100), { message: /64 functions of the host/ });
    },
    'a promise that cannot settle': async () => {
      assert.equal(host.sync.callLater(), -15);
      assert.equal(await host.callLater(), 0);
    },
    'the surface': async () => {
      for (const name of ['sync', 'then'])
        assert.throws(() => registry.host({ [name]: {} }), code('HAFT_E_ARGUMENT'));
      assert.throws(() => registry.host({ ['n'.repeat(113)]: {} }), code('HAFT_E_ARGUMENT'));
      assert.throws(() => registry.host({ f: { args: ['nothing'] } }), code('HAFT_E_ARGUMENT'));
      assert.throws(() => registry.host({ f: { views: true, args: ['bytes'] } }), code('HAFT_E_ARGUMENT'));
      for (const timeoutMilliseconds of [0, -1, 1.5, '5'])
        assert.throws(() => registry.host({}, { timeoutMilliseconds }), code('HAFT_E_ARGUMENT'));
      assert.deepEqual(Object.keys(registry.host({ a: {}, b: {} })), ['a', 'b', 'sync']);
    },
  };
  const scenario = async (name) => {
    try {
      await scenarios[name]();
      return '';
    } catch (error) {
      return String(error?.stack ?? error);
    }
  };
  offer(registry, 'scenario', { args: ['str'], returns: 'str' }, scenario);
  offer(registry, 'later', {}, async () => {});
  offer(registry, 'downSync', f64, (n) => host.sync.downSync(n));
  offer(registry, 'downLater', f64, (n) => host.downLater(n));
  offer(registry, 'publishWhenAnswered', {}, async () => {
    assert.equal(await host.twice(1), 2);
    registry.publish('answered', registry.create({}));
  });

  let twice;
  offer(registry, 'beginTwice', {}, () => {
    twice = host.twice(21);
  });
  offer(registry, 'endOfTwice', { returns: 'f64' }, () => twice);

  // Nobody is answered before a call of each has been; each of those is run by one that sleeps.
  const arrived = [];
  offer(
    registry,
    'waitForAll',
    f64,
    (n) =>
      new Promise((resolve) => {
        arrived.push(resolve);
        if (arrived.length < 4) return;
        setTimeout(async () => {
          await Promise.all([1, 2, 3, 4].map((m) => host.slowly(m)));
          for (const each of arrived) each(n);
        }, 20);
      }),
  );

  const gaveUp = () => registry.publish('gave up', registry.create({}));
  offer(registry, 'givesUp', {}, async () => {
    await assert.rejects(impatient.hold(), code('HAFT_E_TIMEOUT'));
    gaveUp();
  });
  offer(registry, 'givesUpWaiting', {}, () => {
    assert.throws(() => impatient.sync.hold(), code('HAFT_E_TIMEOUT'));
    gaveUp();
  });

  offer(registry, 'holdPromise', {}, async () => {
    await assert.rejects(host.hold(), code('HAFT_E_CLOSED'));
    await assert.rejects(host.twice(1), code('HAFT_E_CLOSED'));
  });
  offer(registry, 'holdWaiting', {}, () => {
    assert.throws(() => host.sync.hold(), code('HAFT_E_CLOSED'));
    assert.throws(() => host.sync.twice(1), code('HAFT_E_CLOSED'));
  });
  offer(registry, 'close', {}, () => registry.close());

  offer(registry, 'sumSync', f64, (n) => host.sync.twice(n) + host.sync.twice(2 * n));
  offer(registry, 'sumLater', f64, async (n) => (await host.twice(n)) + (await host.twice(2 * n)));
}
