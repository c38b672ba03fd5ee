// How the comparisons with llama.cpp run: `pnpm test:parity`. They need its libraries, which the first run installs.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/parity/**/*.test.ts'],
    globalSetup: ['test/support/house/build-check.ts', 'test/parity/prepare.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // .ci/run adds up the tests from the JSON report.
    reporters: process.env.CI ? ['default', ['json', { outputFile: 'build/vitest-parity.json' }]] : ['default'],
  },
});
