// The logic of host_functions.c. Its argument says what it does while it loads.
const f64 = { args: ['f64'], returns: 'f64' };

export default async (registry, [start]) => {
  const host = registry.host({
    twice: f64,
    downSync: f64,
    downLater: f64,
    callLater: { returns: 'i32' },
    fail: { args: ['i32', 'str'] },
    absent: {},
    hold: {},
    pid: { returns: 'i32' },
  });
  const offer = (name, signature, handler) => registry.publish(name, registry.fn(signature, handler));
  /** What a failed call says, as "code: message". */
  const told = ({ code, message }) => `${code}: ${message}`;

  offer('twiceSync', f64, (n) => host.sync.twice(n));
  offer('twiceLater', f64, (n) => host.twice(n));
  offer('downSync', f64, (n) => host.sync.downSync(n));
  offer('downLater', f64, (n) => host.downLater(n));
  offer('callLaterSync', { returns: 'i32' }, () => host.sync.callLater());
  offer('callLaterLater', { returns: 'i32' }, () => host.callLater());
  offer('later', {}, async () => {});
  offer('failSync', { args: ['i32', 'str'], returns: 'str' }, (status, text) => {
    try {
      return `nothing: ${host.sync.fail(status, text)}`;
    } catch (error) {
      return told(error);
    }
  });
  offer('failLater', { args: ['i32', 'str'], returns: 'str' }, (status, text) =>
    host.fail(status, text).then(() => 'nothing', told),
  );
  offer('absentSync', { returns: 'str' }, () => {
    try {
      return `nothing: ${host.sync.absent()}`;
    } catch (error) {
      return told(error);
    }
  });
  offer('absentLater', { returns: 'str' }, () => host.absent().then(() => 'nothing', told));
  offer('holdSync', {}, () => host.sync.hold());
  offer('holdLater', {}, () => host.hold());
  offer('never', {}, () => new Promise(() => {}));
  offer('echo', f64, (n) => n);
  offer('hostsPid', { returns: 'i32' }, () => host.sync.pid());

  let early = 0;
  if (start === 'sync') early = host.sync.twice(4);
  if (start === 'await') early = await host.twice(4);
  if (start === 'both') early = host.sync.twice(1) + (await host.twice(1)) + host.sync.twice(2);
  if (start === 'absent') await host.absent();
  offer('early', { returns: 'f64' }, () => early);
};
