// Tests import the built package by its own name, `haft`, as a user does; scripts/test.mjs builds it first.
import os from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    // Most of a test's time is that of the processes it starts, and some wait.
    maxWorkers: Math.max(2, os.availableParallelism()),
    execArgv: ['--expose-gc'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 20_000,
    // The package is run as it is, not transformed: it is what is tested.
    server: { deps: { external: [/\/dist\//, /\.node$/] } },
  },
});
