// The plan of attention's work for whole sequences, made at random: each row once, with the keys of its own sequence, in even
// lists.
import { describe, expect, test } from 'vitest';
import type { WorkCut } from '../../src/forward/attention-work.js';
import { planSequences, sequenceCut } from '../../src/forward/encoder/sequence-work.js';
import { sequenceItemFields } from '../../src/ops/attention/sequence-attention.js';
import { Numbers } from '../support/numbers.js';

/** Checks a plan; gives the cost of each list, in keys. */
function check(lengths: readonly number[], padding: number, cut: WorkCut): number[] {
  const rows = lengths.reduce((sum, length) => sum + length, padding);
  const starts = new Int32Array(cut.lists + 1).fill(-7);
  const items = new Int32Array(rows * sequenceItemFields).fill(-7);
  planSequences(lengths, rows, cut, { starts, items });
  const firstKeys = lengths.flatMap((length, index) => {
    const first = lengths.slice(0, index).reduce((sum, before) => sum + before, 0);
    return Array.from({ length }, () => ({ first, keys: length }));
  });
  expect(starts[0]).toBe(0);
  let next = 0;
  const costs = Array.from({ length: cut.lists }, (_, list) => {
    let cost = 0;
    expect(starts[list + 1]).toBeGreaterThanOrEqual(starts[list] as number);
    for (let item = starts[list] as number; item < (starts[list + 1] as number); item++) {
      const at = item * sequenceItemFields;
      const [row = -1, queries = 0, firstKey, keys = -1] = items.subarray(at, at + sequenceItemFields);
      expect(row).toBe(next);
      expect(queries).toBeGreaterThan(0);
      expect(queries).toBeLessThanOrEqual(cut.most);
      for (const end of [row, row + queries - 1]) {
        const own = firstKeys[end];
        expect(keys).toBe(own?.keys ?? 0);
        if (own !== undefined) expect(firstKey).toBe(own.first);
      }
      cost += queries * (keys + 16) + (firstKey === row ? 3 * keys : 0);
      next += queries;
    }
    return cost;
  });
  expect(next).toBe(rows);
  return costs;
}

describe('the work of whole sequences', () => {
  test('covers each row once, whatever the lengths', () => {
    const numbers = new Numbers(5);
    for (let round = 0; round < 300; round++) {
      const lengths = Array.from({ length: numbers.integer(0, 11) }, () =>
        numbers.integer(1, round % 5 === 0 ? 700 : 90),
      );
      const padding = numbers.integer(0, 39);
      if (lengths.length === 0 && padding === 0) continue;
      const cut = { lists: numbers.integer(1, 9), most: numbers.integer(1, 300), least: numbers.integer(1, 60) };
      check(lengths, padding, cut);
    }
  });

  test('is shared out evenly: a list costs an even share, and one piece at most', () => {
    const cut = { lists: 4, most: 256, least: 48 };
    for (const lengths of [
      [512],
      [256, 256],
      [128, 128, 128, 128],
      [500, 3, 3, 6],
      Array.from({ length: 64 }, () => 8),
    ]) {
      const costs = check(lengths, 0, cut);
      const total = costs.reduce((sum, cost) => sum + cost, 0);
      const piece = 3 * Math.max(...lengths) + 2 * cut.least * (Math.max(...lengths) + 16);
      expect(Math.max(...costs)).toBeLessThanOrEqual(total / cut.lists + piece);
    }
  });

  test('is as many lists as threads and heads ask for', () => {
    expect(sequenceCut({ heads: 12, kvHeads: 12 }, 512, 2)).toEqual({ lists: 1, most: 256, least: 48 });
    expect(sequenceCut({ heads: 12, kvHeads: 4 }, 512, 16)).toEqual({ lists: 24, most: 85, least: 16 });
    expect(sequenceCut({ heads: 4, kvHeads: 4 }, 8, 16).lists).toBe(8);
  });
});
