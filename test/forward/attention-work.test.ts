// The plan of attention's work, for steps made at random: each row of a sequence once, no item across sequences, even lists.
import { describe, expect, test } from 'vitest';
import { attentionCut, planAttention, type WorkCut } from '../../src/forward/attention-work.js';
import { itemFields, mostItemRows } from '../../src/ops/paged/step-rows.js';

interface Step {
  readonly sequences: Int32Array;
  readonly positions: Int32Array;
}

/** A step of runs of rows; slot -1 is padding. */
function stepOf(runs: readonly { slot: number; count: number; first: number }[]): Step {
  const sequences = runs.flatMap(({ slot, count }) => Array.from({ length: count }, () => slot));
  const positions = runs.flatMap(({ count, first }) => Array.from({ length: count }, (_, index) => first + index));
  return { sequences: Int32Array.from(sequences), positions: Int32Array.from(positions) };
}

function plan(step: Step, cut: WorkCut) {
  const rows = step.sequences.length;
  const starts = new Int32Array(cut.lists + 1).fill(-7);
  const items = new Int32Array(rows * itemFields).fill(-7);
  planAttention(step, cut, { starts, items });
  const lists = Array.from({ length: cut.lists }, (_, list) =>
    Array.from({ length: (starts[list + 1] as number) - (starts[list] as number) }, (_, index) => {
      const at = ((starts[list] as number) + index) * itemFields;
      const [first, queries, slot, reserved] = items.subarray(at, at + itemFields) as unknown as [
        number,
        number,
        number,
        number,
      ];
      return { first, queries, slot, reserved };
    }),
  );
  return { starts, lists, items };
}

/** As the plan counts: the keys of each row, three times as many for reading them, and 16 keys for the row itself. */
function costOf(step: Step, { first, queries }: { first: number; queries: number }): number {
  let cost = 0;
  for (let row = first; row < first + queries; row++) {
    const begins = row === 0 || step.sequences[row - 1] !== step.sequences[row];
    cost += ((step.positions[row] as number) + 1) * (begins ? 4 : 1) + 16;
  }
  return cost;
}

const sumOf = (costs: readonly number[]) => costs.reduce((sum, cost) => sum + cost, 0);

function check(step: Step, cut: WorkCut): void {
  const { starts, lists } = plan(step, cut);
  const rows = step.sequences.length;
  expect(starts[0]).toBe(0);
  expect(starts.every((start, list) => list === 0 || start >= (starts[list - 1] as number))).toBe(true);
  expect(starts.at(-1)).toBeLessThanOrEqual(rows);
  const covered = new Int32Array(rows);
  const wrong: string[] = [];
  let next = 0;
  for (const { first, queries, slot, reserved } of lists.flat()) {
    const item = `${first} + ${queries} of ${slot}`;
    if (first < next) wrong.push(`${item} is out of order`);
    if (queries < 1 || queries > cut.most || reserved !== 0) wrong.push(`${item} is no item`);
    next = first + queries;
    for (let row = first; row < next; row++) {
      covered[row] = (covered[row] as number) + 1;
      if (step.sequences[row] !== slot) wrong.push(`${item} has a row of ${step.sequences[row]}`);
    }
  }
  expect(wrong).toEqual([]);
  expect(covered).toEqual(step.sequences.map((slot) => (slot < 0 ? 0 : 1)));
  const costs = lists.map((list) => sumOf(list.map((item) => costOf(step, item))));
  // What may not be cut: the rows up to where an item is long enough, and the rest where it would be too short to begin
  // the next list.
  const dearest = step.positions.reduce(
    (most, position, row) => ((step.sequences[row] as number) < 0 ? most : Math.max(most, position + 1)),
    0,
  );
  const uncut = (dearest + 16) * (2 * cut.least - 1) + 3 * dearest;
  expect(Math.max(...costs)).toBeLessThanOrEqual(sumOf(costs) / cut.lists + uncut);
}

/** Marsaglia's xorshift, so that a failure repeats. */
function randomsFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

test('lists are as many that each thread has as many tiles, if there are rows for them', () => {
  for (const kvHeads of [1, 2, 3, 5, 8]) {
    for (let threads = 1; threads <= 16; threads++) {
      const { lists } = attentionCut({ heads: 3 * kvHeads, kvHeads }, 256, threads);
      expect((lists * kvHeads) % threads).toBe(0);
      expect(lists * kvHeads).toBeGreaterThanOrEqual(4 * threads);
      expect(lists * kvHeads).toBeLessThan(4 * threads + threads * kvHeads);
    }
  }
  expect(attentionCut({ heads: 9, kvHeads: 3 }, 2, 2).lists).toBe(2);
});

describe('the plan of attention', () => {
  test('covers each row of a sequence once, in even lists, whatever the step', () => {
    const random = randomsFrom(88_172_645);
    for (let round = 0; round < 2000; round++) {
      const runs = Array.from({ length: 1 + random(20) }, () => ({
        slot: random(5) === 0 ? -1 : random(6),
        count: 1 + (random(3) === 0 ? random(200) : 0),
        first: random(3000),
      }));
      const step = stepOf(runs);
      const lists = 1 + random(Math.min(40, step.sequences.length));
      const most = 1 + random(100);
      check(step, { lists, most, least: 1 + random(most) });
    }
  });

  test('gives lists within twice an even share where single rows can be cut off', () => {
    const random = randomsFrom(2_463_534_242);
    for (let round = 0; round < 200; round++) {
      const step = stepOf(
        Array.from({ length: 8 + random(120) }, (_, slot) => ({ slot, count: 1, first: 500 + random(500) })),
      );
      const { lists } = plan(step, { lists: 1 + random(8), most: 85, least: 16 });
      const costs = lists.map((list) => sumOf(list.map((item) => costOf(step, item))));
      const even = sumOf(costs) / lists.length;
      expect(Math.max(...costs)).toBeLessThanOrEqual(2 * even);
    }
  });

  test('cuts a prompt into lists of the same work, and lists into items of the same size', () => {
    const step = stepOf([{ slot: 3, count: 256, first: 0 }]);
    const { lists } = plan(step, { lists: 3, most: 85, least: 16 });
    expect(lists.map((list) => list.map(({ queries }) => queries))).toEqual([[71, 71], [65], [49]]);
    expect(lists.flat().every(({ slot }) => slot === 3)).toBe(true);
  });

  test('gives a row that outweighs a whole share a list of its own', () => {
    const step = stepOf([
      { slot: 0, count: 1, first: 10_000 },
      { slot: 1, count: 1, first: 10 },
      { slot: 2, count: 1, first: 10 },
    ]);
    const { lists } = plan(step, { lists: 3, most: 1, least: 1 });
    expect(lists.map((list) => list.map(({ slot }) => slot))).toEqual([[0], [], [1, 2]]);
  });

  test('leaves the lists of a step without rows empty', () => {
    for (const runs of [[], [{ slot: -1, count: 9, first: 0 }]]) {
      const { starts } = plan(stepOf(runs), { lists: 4, most: 8, least: 2 });
      expect([...starts]).toEqual([0, 0, 0, 0, 0]);
    }
  });

  test('is the same each time', () => {
    const step = stepOf([
      { slot: 0, count: 100, first: 7 },
      { slot: -1, count: 2, first: 0 },
      { slot: 1, count: 50, first: 90 },
    ]);
    const cut = { lists: 5, most: 20, least: 4 };
    expect(plan(step, cut)).toEqual(plan(step, cut));
  });

  test('is cut by heads, rows and threads', () => {
    for (const [heads, kvHeads] of [
      [9, 3],
      [8, 8],
      [32, 1],
      [64, 8],
      [300, 1],
    ] as const) {
      for (const rows of [1, 7, 256]) {
        for (const threads of [1, 2, 64]) {
          const { lists, most, least } = attentionCut({ heads, kvHeads }, rows, threads);
          expect(lists).toBeGreaterThanOrEqual(1);
          expect(lists).toBeLessThanOrEqual(rows);
          expect(most).toBeLessThanOrEqual(mostItemRows);
          expect(least).toBeGreaterThanOrEqual(1);
          expect(most).toBeGreaterThanOrEqual(least);
        }
      }
    }
    // One row of one sequence: a tile for each key-value head.
    expect(attentionCut({ heads: 9, kvHeads: 3 }, 1, 2)).toMatchObject({ lists: 1 });
  });
});
