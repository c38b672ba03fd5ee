// Where weights are put: many in a block, large ones by themselves, each by itself near the budget.
import { expect, test } from 'vitest';
import { WeightMemory } from '../../src/checkpoint/weight-memory.js';
import { storageOf, type Tensor } from '../../src/tensor/tensor.js';
import { makePool } from '../tensor/support.js';

const MiB = 2 ** 20;

/** The weights, and how many of them each buffer has. */
function place(sizes: readonly number[], budgetBytes = 2 ** 30) {
  const pool = makePool({ budgetBytes });
  const memory = new WeightMemory(pool, sizes);
  const tensors: Tensor[] = sizes.map((size) => memory.empty([size], 'i8'));
  memory.end();
  const counts = new Map<unknown, number>();
  for (const { buffer } of tensors.map(storageOf)) counts.set(buffer, (counts.get(buffer) ?? 0) + 1);
  return { pool, tensors, counts: [...counts.values()] };
}

test('weights share blocks of 4 to 64 MiB; half of a block, and more, has a buffer of its own', () => {
  expect(place(new Array(20).fill(5 * MiB)).counts).toEqual([12, 8]);
  expect(place([1 * MiB, 32 * MiB, 2 * MiB, 100 * MiB, 31 * MiB, 3]).counts).toEqual([4, 1, 1]);
  expect(place([31 * MiB, 33 * MiB, 31 * MiB, 2 * MiB + 1]).counts).toEqual([2, 1, 1]);
  // A few bytes behind a full block are no block.
  expect(place([30 * MiB, 30 * MiB, 4 * MiB, MiB, 2 * MiB]).counts).toEqual([3, 1, 1]);
  expect(place([0, 2 * MiB, MiB]).counts).toEqual([1, 1, 1]);
});

test('what they take is known before, and all of it goes back', () => {
  for (const sizes of [
    [5, 1000, 3 * MiB, 663_552, 663_552, 1_769_472],
    [5, 1000, 3 * MiB + 1],
    [60 * MiB, 40 * MiB + 5, 17, 20 * MiB, 30 * MiB, 20 * MiB, 7],
  ]) {
    const { pool, tensors } = place(sizes);
    expect(pool.stats()).toMatchObject({ rentedBytes: WeightMemory.bytesFor(sizes), liveTensors: sizes.length });
    for (const tensor of tensors) tensor.dispose();
    expect(pool.stats()).toMatchObject({ rentedBytes: 0, liveTensors: 0 });
  }
  // A block has the bytes of its weights, each in whole cache lines.
  expect(WeightMemory.bytesFor([5 * MiB + 5, MiB])).toBe(6 * MiB + 64);
});

test('a block takes nothing of requests: what they leave may do for single weights', () => {
  const pool = makePool({ budgetBytes: 16 * MiB });
  const request = pool.rent(10 * MiB);
  let asked = 0;
  pool.onShortage('requests', () => {
    asked += 1;
    if (!request.disposed) request.release();
    return asked === 1;
  });
  const sizes = [3 * MiB, 2 * MiB, 2 * MiB];
  const memory = new WeightMemory(pool, sizes);
  const [first, second] = sizes.map((size) => memory.empty([size], 'i8'));
  memory.end();
  expect(storageOf(first as Tensor).buffer).not.toBe(storageOf(second as Tensor).buffer);
  expect(asked).toBe(1);
});
