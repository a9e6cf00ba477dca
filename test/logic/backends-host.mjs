// The logic for ../backends.test.ts. With the host run.so, for ever: says that it noticed a signal. With backends.so: an
// error that nobody catches ends the process, while the host's thread calls; unless the host exits.
export default (registry, [what]) => {
  if (what === 'for ever') {
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => console.log('noticed'));
    return;
  }
  registry.publish(
    'double',
    registry.fn({ args: ['f64'], returns: 'f64' }, (n) => n * 2),
  );
  if (what === 'exit') return;
  setTimeout(() => {
    throw new Error('an error that nobody catches');
  }, 200);
};
