// The tests of one room, for StrykerJS (scripts/mutation.mjs), which names them and runs them for each mutant.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: (process.env.TESSERAE_MUTATION_TESTS ?? '').split(' '),
    exclude: ['test/**/*.timing.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
