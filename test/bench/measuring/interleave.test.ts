// bench/measuring: measurements in turns, as often as asked, ended by an abort or a failure. Durations are not checked.
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { workerCounts } from '../../../bench/measuring/context.js';
import { interleave } from '../../../bench/measuring/interleave.js';
import { largest, median, quantile, smallest } from '../../../bench/measuring/statistics.js';
import { renderTable } from '../../../bench/reports/table.js';

describe('interleave', () => {
  /** Variants that record their calls and take a few milliseconds. */
  function recorders(count: number, ms: number) {
    const calls: number[] = [];
    const variants = Array.from({ length: count }, (_, index) => ({
      run: async () => {
        calls.push(index);
        await sleep(ms);
      },
    }));
    /** The calls, with consecutive calls of one variant as one turn. */
    const turns = () => calls.filter((index, at) => index !== calls[at - 1]);
    return { calls, variants, turns };
  }

  test('takes turns, and gives every timed iteration', async () => {
    const { calls, variants, turns } = recorders(2, 3);
    const begun: number[] = [];
    const samples = await interleave(variants, { rounds: 3, turnMs: 1, onTurn: (turn) => begun.push(turn) });
    // Two estimates of each, then three rounds.
    expect(turns()).toEqual([0, 1, 0, 1, 0, 1, 0, 1, 0, 1]);
    expect(begun).toEqual([0, 1, 2, 3, 4, 5]);
    expect(samples.map((own) => own.length)).toEqual([3, 3]);
    // Each turn of one timed iteration has one to warm up.
    expect(calls.length).toBe(2 * (2 + 3 * 2));
    for (const own of samples) expect(smallest(own)).toBeGreaterThan(1);
  });

  test('iterates as often as a turn is long', async () => {
    const { variants } = recorders(1, 2);
    const [samples = []] = await interleave(variants, { rounds: 1, turnMs: 100 });
    expect(samples.length).toBeGreaterThan(3);
    expect(samples.length).toBeLessThanOrEqual(100);
  });

  test('ends with a failure of what it measures', async () => {
    const failing = { run: () => Promise.reject(new Error('broken')) };
    await expect(interleave([failing], { rounds: 1 })).rejects.toThrow('broken');
  });

  test('ends with an abort', async () => {
    const { variants } = recorders(2, 1);
    const controller = new AbortController();
    const begun: number[] = [];
    const onTurn = (turn: number) => {
      begun.push(turn);
      if (turn === 2) controller.abort();
    };
    await expect(
      interleave(variants, { rounds: 50, turnMs: 1, signal: controller.signal, onTurn }),
    ).rejects.toMatchObject({ name: 'AbortError' });
    expect(begun).toEqual([0, 1, 2]);
  });
});

test('worker counts', () => {
  expect(workerCounts(1)).toEqual([1]);
  expect(workerCounts(6)).toEqual([1, 6]);
  expect(workerCounts(1, true)).toEqual([1]);
  expect(workerCounts(3, true)).toEqual([1, 2, 3]);
  expect(workerCounts(24, true)).toEqual([1, 2, 4, 8, 16, 24]);
  expect(workerCounts(16, true)).toEqual([1, 2, 4, 8, 16]);
});

test('order statistics', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(quantile([0, 10], 0.99)).toBeCloseTo(9.9);
  expect([smallest([2, 1]), largest([1, 2])]).toEqual([1, 2]);
  expect(median([])).toBeNaN();
});

test('tables as text', () => {
  const columns = [
    { title: 'name', align: 'left', cell: (row: [string, number]) => row[0] },
    { title: 'n', align: 'right', cell: (row: [string, number]) => String(row[1]) },
  ] as const;
  const rows: [string, number][] = [
    ['a', 1],
    ['longer', 100],
  ];
  expect(renderTable(columns, rows, '  ')).toBe('  name      n\n  a         1\n  longer  100\n');
});
