// Logic for `haft run`: says what it was given.
export default async function run(registry, args) {
  console.log(`logic: ${JSON.stringify(args)}`);
  await new Promise((resolve) => setTimeout(resolve, 10));
  registry.publish(
    'greet',
    registry.fn({ returns: 'str' }, () => 'hello'),
  );
  setInterval(() => {}, 1000); // does not keep the command alive
}
