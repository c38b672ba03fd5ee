// How the tests run. They transform the sources under src/, while worker threads run what `pnpm build` put into dist/.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    globalSetup: ['test/support/house/build-check.ts'],
    // Processes, because the addon is loaded by many threads at once within a test, and few of them, because the tests
    // start workers of their own.
    pool: 'forks',
    maxWorkers: 2,
    execArgv: ['--expose-gc'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'tests',
          include: ['test/**/*.test.ts'],
          exclude: ['test/**/*.timing.test.ts', 'test/parity/**', 'test/vocabularies/**'],
        },
      },
      // The oldest BullMQ that is supported.
      {
        extends: true,
        resolve: { alias: { bullmq: 'bullmq-5' } },
        test: { name: 'bullmq 5', include: ['test/bullmq/bullmq.test.ts'], env: { TESSERAE_BULLMQ: '5' } },
      },
      // What asserts a time runs after all else, alone on the machine.
      {
        extends: true,
        test: { name: 'timing', include: ['test/**/*.timing.test.ts'], maxWorkers: 1, sequence: { groupOrder: 1 } },
      },
    ],
    // .ci/run adds up the tests from the JSON report.
    reporters: process.env.CI ? ['default', ['json', { outputFile: 'build/vitest.json' }]] : ['default'],
  },
});
