// `tesserae bench model --peers` as a command: it measures this library and llama.cpp, and its rows are complete.
// Speeds are not checked.
import { expect, test } from 'vitest';
import { runJson } from '../cli/run-cli.js';

test('bench model --peers', async () => {
  const args = [
    'bench',
    'model',
    '--peers',
    '--prompt-tokens',
    '32',
    '--max-tokens',
    '8',
    '--rounds',
    '2',
    '--threads',
    '2',
  ];
  const [report] = (await runJson(args)).suites;
  expect(report).toMatchObject({
    suite: 'model peers',
    workers: 2,
    rounds: 2,
    about: expect.stringMatching(/^llama\.cpp 0\.5/),
  });
  expect(report.difference).toBeLessThan(1e-6);
  expect(report.memory.ours).toBeGreaterThan(0);
  expect(report.memory.llama).toBeGreaterThan(0);
  expect(report.rows.map(({ phase, tokens }: Record<string, unknown>) => [phase, tokens])).toEqual([
    ['prefill', 32],
    ['decode', 8],
  ]);
  for (const { ours, plain, flash, ratio } of report.rows) {
    for (const figure of [ours, plain, flash, ratio]) expect(figure).toBeGreaterThan(0);
  }
});
