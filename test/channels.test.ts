// What haft tells to node:diagnostics_channel.
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { type ChannelMessages, type ChannelName, HaftError, type Handle, kind, Registry } from 'haft';
import { afterEach, describe, expect, it } from 'vitest';
import { expectExit, script } from './support/child.js';
import { prelude } from './support/debugging.js';
import { Host, OK, Sender } from './support/messages.js';

class Row {
  constructor(readonly act: () => void = () => {}) {}
  add(_n: number): void {
    this.act();
  }
}
const RowKind = kind(Row, { add: { args: ['f64'] } });

const listeners: (() => void)[] = [];
afterEach(() => {
  for (const leave of listeners.splice(0)) leave();
});

/** All that a channel tells from now on. */
function heard<N extends ChannelName>(name: N): ChannelMessages[N][] {
  const messages: ChannelMessages[N][] = [];
  const keep = (message: unknown) => {
    messages.push(message as ChannelMessages[N]);
  };
  subscribe(name, keep);
  listeners.push(() => unsubscribe(name, keep));
  return messages;
}

describe('a registry', () => {
  it('that opens, and that closes: it can still be asked', () => {
    const opened = heard('haft:registry.open');
    const lives: number[] = [];
    const ask = (message: unknown) => {
      const { registry } = message as ChannelMessages['haft:registry.close'];
      lives.push(registry.report().totals.live);
      registry.close(); // it closes already
    };
    subscribe('haft:registry.close', ask);
    listeners.push(() => unsubscribe('haft:registry.close', ask));
    const registry = new Registry();
    expect(opened).toEqual([{ registry }]);
    registry.create(1);
    registry.close();
    registry.close();
    expect(lives).toEqual([1]);
    expect(() => registry.report()).toThrow(HaftError);
  });

  it('that opens can be used as a whole, closed too', () => {
    const use = (message: unknown) => {
      const { registry } = message as ChannelMessages['haft:registry.open'];
      const handles = [registry.create(1), registry.weak({}), registry.pin(new Uint8Array(1)).handle];
      expect(registry.report().totals.live).toBe(handles.length);
      registry.drain();
      registry.close();
    };
    subscribe('haft:registry.open', use);
    listeners.push(() => unsubscribe('haft:registry.open', use));
    const registry = new Registry();
    expect(() => registry.report()).toThrow(HaftError);
  });

  it('that had live handles when it closed', () => {
    const leaks = heard('haft:leak');
    const registry = new Registry();
    registry.create(new Row(), RowKind);
    registry.keep(registry.create('kept'));
    registry.close();
    new Registry().close();
    expect(leaks).toMatchObject([{ report: { at: 'close', leaked: 1, kinds: [{ kind: 'Row' }] } }]);
    expect(leaks[0]!.registry).toBe(registry);
  });
});

describe('haft:breach', () => {
  it('tells errors with a rule that methods throw, and no others', () => {
    const breaches = heard('haft:breach');
    const registry = new Registry();
    const handle = registry.create(1);
    registry.delete(handle);
    let thrown: unknown;
    try {
      registry.get(handle);
    } catch (error) {
      thrown = error;
    }
    expect(breaches).toEqual([{ error: thrown }]);
    expect(breaches[0]!.error).toMatchObject({ code: 'HAFT_E_STALE', rule: 2, handle });
    expect(() => registry.find('nothing')).toThrow(expect.objectContaining({ code: 'HAFT_E_NOT_FOUND' }));
    expect(registry.tryGet(handle)).toBeUndefined();
    expect(breaches).toHaveLength(1);
    registry.close();
  });

  it('tells what the error event tells of native code', () => {
    const host = new Host();
    const row = host.create(new Row(), RowKind);
    const sender = new Sender(row, RowKind, 'add');
    expect(sender.post(1)).toBe(OK);
    host.delete(row);
    const breaches = heard('haft:breach');
    host.drain();
    expect(breaches.map(({ error }) => error)).toEqual(host.errors);
    expect(breaches).toMatchObject([{ error: { code: 'HAFT_E_STALE', rule: 2 } }]);
    host.close();
  });
});

describe('haft:drain', () => {
  it('tells messages, time, and what is left', async () => {
    const host = new Host();
    const sender = new Sender(host.create(new Row(), RowKind), RowKind, 'add');
    for (let i = 0; i < 5; i++) sender.post(i);
    host.drain(); // nobody listens
    const drains = heard('haft:drain');
    for (let i = 0; i < 7; i++) sender.post(i);
    host.drain();
    expect(drains).toMatchObject([{ messages: 7, left: 0 }]);
    expect(drains[0]!.registry).toBe(host);
    expect(drains[0]!.milliseconds).toBeGreaterThanOrEqual(0);
    drains.length = 0;
    for (let i = 0; i < 3; i++) sender.post(i);
    while (!drains.some(({ messages }) => messages === 3))
      await new Promise((resolve) => setTimeout(resolve, 1));
    host.close();
  });

  it('also of a drain whose handler closed the registry', () => {
    const host = new Host();
    const closing = host.create(new Row(() => host.close()), RowKind);
    const drains = heard('haft:drain');
    new Sender(closing, RowKind, 'add').post(1);
    host.drain();
    expect(drains).toMatchObject([{ messages: 1, left: 0 }]);
  });
});

it('haft:overflow tells of a mailbox', () => {
  const host = new Host();
  const overflows = heard('haft:overflow');
  const row: Handle<Row> = host.create(new Row(), RowKind);
  const sender = new Sender(row, RowKind, 'add');
  for (let i = 0; i < 1030; i++) sender.post(i);
  host.drain();
  expect(overflows).toEqual([{ registry: host, overflow: host.report().overflows[0] }]);
  expect(overflows[0]!.overflow).toMatchObject({ what: 'mailbox', refused: 6 });
  host.close();
});

it('a subscriber that throws is an uncaught exception, and the registry goes on', async () => {
  const ended = await script(`${prelude}
    process.on('uncaughtException', (error) => console.log(error.message));
    channel('haft:registry.close').subscribe(() => { throw new Error('mine'); });
    registry.close();
    await turn();
    console.log(registry.stats().live);`);
  expect(expectExit(ended).stdout).toBe('mine\n0\n');
});
