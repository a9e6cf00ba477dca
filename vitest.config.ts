// Tests import the built package by its own name, `haft`, as a user does; scripts/test.mjs builds it first.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    execArgv: ['--expose-gc'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 20_000,
    // The package is run as it is, not transformed: it is what is tested.
    server: { deps: { external: [/\/dist\//, /\.node$/] } },
  },
});
