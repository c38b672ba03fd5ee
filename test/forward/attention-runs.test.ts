// The plan of attention that is cut by key blocks: each block of each row once, even lists, parts in order; and which steps
// are cut.
import { describe, expect, test } from 'vitest';
import { planRuns, RunChoice, runCut } from '../../src/forward/attention-runs.js';
import { blockKeys, runFields } from '../../src/ops/paged/step-rows.js';
import { Numbers } from '../support/numbers.js';

function plan(sequences: readonly number[], positions: readonly number[], lists: number, window?: number) {
  const rows = sequences.length;
  const starts = new Int32Array(lists + 1).fill(-7);
  const runs = new Int32Array((rows + lists) * runFields).fill(-7);
  const partStarts = new Int32Array(rows + 1).fill(-7);
  const placed = { sequences: Int32Array.from(sequences), positions: Int32Array.from(positions) };
  planRuns(placed, window, { starts, runs, partStarts });
  const runAt = (index: number) => [...runs.subarray(index * runFields, (index + 1) * runFields)];
  const of = Array.from({ length: lists }, (_, list) => {
    const [begin = 0, end = 0] = starts.subarray(list, list + 2);
    return Array.from({ length: end - begin }, (_unused, index) => runAt(begin + index));
  });
  return { lists: of, partStarts: [...partStarts] };
}

describe('the plan', () => {
  test('of one row', () => {
    const one = plan([4], [4 * blockKeys + 9], 2);
    expect(one.lists).toEqual([[[0, 4, 0, 2]], [[0, 4, 2, 3]]]);
    expect(one.partStarts).toEqual([0, 5]);
    // Of the window's keys only.
    expect(plan([0], [4 * blockKeys + 9], 1, 300).lists).toEqual([[[0, 0, 2, 3]]]);
  });

  test('of any rows has each block once, and lists that differ by a block at most', () => {
    const numbers = new Numbers(3);
    for (let round = 0; round < 300; round++) {
      const [rows = 1, lists = 1, most = 1, kind = 0] = [
        ...numbers.integers(2, 1, 12),
        ...numbers.integers(1, 1, 5000),
        ...numbers.integers(1, 0, 2),
      ];
      const window = kind === 0 ? 700 : undefined;
      const sequences = [...numbers.integers(rows, -1, 30)];
      const positions = [...numbers.integers(rows, 0, most)].map((at, row) =>
        (sequences[row] as number) < 0 ? 0 : at,
      );
      const planned = plan(sequences, positions, lists, window);
      const seen = planned.lists.flat().flatMap(([row = 0, slot, first = 0, blocks = 0]) => {
        expect(blocks).toBeGreaterThan(0);
        expect(slot).toBe(sequences[row]);
        return Array.from({ length: blocks }, (_, index) => [row, first + index]);
      });
      const expected = positions.flatMap((position, row) => {
        const first = Math.floor(Math.max(0, position + 1 - (window ?? Number.POSITIVE_INFINITY)) / blockKeys);
        const count = (sequences[row] as number) < 0 ? 0 : Math.floor(position / blockKeys) + 1 - first;
        expect((planned.partStarts[row + 1] as number) - (planned.partStarts[row] as number)).toBe(count);
        return Array.from({ length: count }, (_, index) => [row, first + index]);
      });
      expect(seen).toEqual(expected);
      const keysOf = ([row = 0, , first = 0, blocks = 0]: readonly number[]) =>
        Math.min((first + blocks) * blockKeys, (positions[row] as number) + 1) - first * blockKeys;
      const costs = planned.lists.map((runs) => runs.reduce((cost, run) => cost + keysOf(run), 0));
      const total = costs.reduce((sum, cost) => sum + cost, 0);
      expect(Math.max(...costs)).toBeLessThanOrEqual(total / lists + blockKeys + 16 * rows);
    }
  });
});

test('lists are as many that each thread has as many tiles', () => {
  for (const kvHeads of [1, 2, 3, 5, 8]) {
    for (let threads = 1; threads <= 16; threads++) {
      const cut = runCut({ heads: 3 * kvHeads, kvHeads }, 2, threads, { vDim: 64, capacity: 1000 });
      expect((cut.lists * kvHeads) % threads).toBe(0);
      expect(cut.lists * kvHeads).toBeGreaterThanOrEqual(4 * threads);
      expect(cut.mostParts).toBe(8);
    }
  }
  // 4 MiB, or the parts of one row.
  expect(runCut({ heads: 32, kvHeads: 8 }, 64, 2, { vDim: 112, capacity: 2048 }).mostParts).toBe(256);
  expect(runCut({ heads: 32, kvHeads: 8 }, 64, 2, { vDim: 112, capacity: 1 << 17 }).mostParts).toBe(512);
});

describe('a step is cut', () => {
  const isWorthIt = (kvHeads: number, threads: number, keys: readonly number[], most = 1000) =>
    new RunChoice({ heads: kvHeads, kvHeads }, threads, 64).isWorthIt(
      keys.length,
      (row) => (keys[row] as number) - 1,
      most,
    );

  test('where a thread would wait for others for long', () => {
    expect(isWorthIt(1, 2, [2000])).toBe(true);
    expect(isWorthIt(3, 2, [2000])).toBe(true);
    expect(isWorthIt(8, 64, [2000, 10])).toBe(true);
    expect(isWorthIt(1, 2, [5000, 10, 20])).toBe(true);
  });

  test('and no other', () => {
    expect(isWorthIt(1, 1, [100_000])).toBe(false);
    expect(isWorthIt(2, 2, [100_000])).toBe(false);
    expect(isWorthIt(1, 2, [200])).toBe(false);
    expect(isWorthIt(3, 2, [600])).toBe(false);
    expect(isWorthIt(3, 2, new Array(8).fill(512))).toBe(false);
    expect(isWorthIt(1, 2, [2000, 2000])).toBe(false);
    // There is no memory for so many parts.
    expect(isWorthIt(1, 2, [2000], 7)).toBe(false);
  });
});
