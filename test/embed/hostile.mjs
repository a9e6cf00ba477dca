// The logic of hostile.c. With arguments it loads a plugin that scribbles over the arena: PLUGIN SEED REGION MANNER.
export default (registry, [plugin, seed, region, manner]) => {
  const twice = registry.fn({ args: ['f64'], returns: 'f64' }, (x) => x * 2);
  const text = registry.fn({ args: ['str'], returns: 'str' }, (s) => s + s);
  const never = registry.fn({ returns: 'void' }, () => new Promise(() => {}));
  registry.publish('twice', twice);
  registry.publish('text', text);
  registry.publish('never', never);
  if (plugin === undefined) return;
  Object.assign(process.env, { SCRIBBLE_SEED: seed, SCRIBBLE_REGION: region, SCRIBBLE_MANNER: manner });
  setTimeout(() => registry.loadPlugin(plugin), 100);
};
