// For the suites of this folder that are vitest's.
export default {
  test: { include: ['test/suites/*.vitest.mjs'], server: { deps: { external: [/\/dist\//, /\.node$/] } } },
};
