// bench/compare/compare-rounds.ts: ratios of two builds, from documents as `tesserae bench --json` prints them.
import { describe, expect, test } from 'vitest';
import {
  compareRounds,
  formatComparison,
  type Round,
  type SideRun,
  turnsOf,
} from '../../../bench/compare/compare-rounds.js';

interface Times {
  readonly [name: string]: number;
}

const wrong = (name: string): SideRun => ({ problem: `tesserae: ${name}: the result is wrong, so no figure is given` });

function matmul(times: Times, shape = '8×8 · 8×8'): SideRun {
  const rows = Object.entries(times).map(([name, medianMs]) => ({
    op: 'matmul',
    name,
    shape,
    workers: 2,
    medianMs,
    flops: 1024,
  }));
  return { document: { suites: [{ suite: 'matmul', rows }] } };
}

const round = (tree: SideRun, other: SideRun): Round => ({ tree, other });

test('the order of the sides is reversed each round', () => {
  expect(turnsOf(3)).toEqual([
    ['other', 'tree'],
    ['tree', 'other'],
    ['other', 'tree'],
  ]);
});

describe('compareRounds', () => {
  test('gives medians of both sides, and the median and the range of the ratios of each round', () => {
    const { rows, refused, problems } = compareRounds([
      round(matmul({ a: 1 }), matmul({ a: 2 })),
      round(matmul({ a: 4 }), matmul({ a: 4 })),
      round(matmul({ a: 2 }), matmul({ a: 3 })),
    ]);
    expect(rows).toEqual([
      {
        suite: 'matmul',
        name: 'a',
        workers: 2,
        unit: 'ms',
        tree: 2,
        other: 3,
        ratio: 1.5,
        ratioLow: 1,
        ratioHigh: 2,
        rounds: 3,
      },
    ]);
    expect({ refused, problems }).toEqual({ refused: [], problems: [] });
  });

  test('a slow minute that hits both sides does not change the ratio', () => {
    const { rows } = compareRounds([1, 10, 1].map((slow) => round(matmul({ a: slow }), matmul({ a: 1.1 * slow }))));
    expect(rows[0]?.ratio).toBeCloseTo(1.1, 12);
    expect(rows[0]?.ratioHigh).toBeCloseTo(1.1, 12);
  });

  test('rows of all suites are told apart, by worker count too', () => {
    const run: SideRun = {
      document: {
        suites: [
          { suite: 'latency', rows: [{ name: 'warm', what: 'w', workers: 2, unit: 'µs', median: 12 }] },
          {
            suite: 'model',
            rows: [1, 2].map((workers) => ({ phase: 'decode', model: 'm', workers, tokens: 9, medianMs: 5 })),
          },
        ],
      },
    };
    const { rows } = compareRounds([round(run, run)]);
    expect(rows.map(({ suite, name, workers, unit, ratio }) => [suite, name, workers, unit, ratio])).toEqual([
      ['latency', 'warm', 2, 'µs', 1],
      ['model', 'decode', 1, 'ms', 1],
      ['model', 'decode', 2, 'ms', 1],
    ]);
  });

  test('refuses every row of a side whose result was wrong in one of the rounds', () => {
    const good = matmul({ a: 1, b: 2 });
    const comparison = compareRounds([round(good, good), round(wrong('a'), good)]);
    expect(comparison.rows).toEqual([]);
    expect(comparison.refused.map(({ name, reason }) => [name, reason])).toEqual([
      ['a', 'no right result of the working tree in 1 of 2 rounds'],
      ['b', 'no right result of the working tree in 1 of 2 rounds'],
    ]);
    expect(comparison.problems).toEqual(['working tree: tesserae: a: the result is wrong, so no figure is given']);
    expect(formatComparison(comparison)).not.toContain('×');
  });

  test('refuses a row that one side does not have, and compares the others', () => {
    const { rows, refused } = compareRounds([round(matmul({ a: 1, b: 2 }), matmul({ a: 1 }))]);
    expect(rows.map(({ name }) => name)).toEqual(['a']);
    expect(refused).toMatchObject([{ name: 'b', reason: 'no right result of the other commit in 1 of 1 rounds' }]);
  });

  test('refuses a row whose name stands for other work in the other build', () => {
    const { rows, refused } = compareRounds([round(matmul({ a: 1 }), matmul({ a: 1 }, '9×9 · 9×9'))]);
    expect(rows).toEqual([]);
    expect(refused[0]?.reason).toContain('different work');
  });

  test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY * 0])('refuses a time of %d', (time) => {
    const { rows, refused } = compareRounds([round(matmul({ a: 1 }), matmul({ a: time }))]);
    expect(rows).toEqual([]);
    expect(refused[0]?.reason).toBe('a time of the other commit is no positive number');
  });

  test.each([null, [], 'text', { suites: 3 }, { suites: [null, { suite: 'matmul', rows: [null, { name: 3 }] }] }])(
    'a document that is none, such as %j, has no rows',
    (document) => {
      const { rows, refused } = compareRounds([round(matmul({ a: 1 }), { document })]);
      expect(rows).toEqual([]);
      expect(refused.map(({ name }) => name)).toEqual(['a']);
    },
  );
});

test('the table has each ratio with its range, and each row that was left out with the reason', () => {
  const text = formatComparison(
    compareRounds([
      round(matmul({ a: 1, b: 1 }), matmul({ a: 1.2 })),
      round(matmul({ a: 1, b: 1 }), matmul({ a: 1.4 })),
    ]),
  );
  expect(text).toMatch(/^matmul a +2 +1\.30 ms +1\.00 ms +1\.300× +1\.200 +1\.400$/m);
  expect(text).toMatch(/^ {2}matmul b, 2 workers: no right result of the other commit/m);
  expect(formatComparison({ rows: [], refused: [], problems: [] })).toBe('nothing was measured\n');
});
