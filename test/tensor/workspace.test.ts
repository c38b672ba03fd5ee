// src/tensor/workspace.ts: the same tensor for the same request, the same memory for a smaller one, growth in large steps.

import { expect, test } from 'vitest';
import { TesseraeError } from '../../src/base/errors.js';
import { internal } from '../../src/base/internal.js';
import { storageOf } from '../../src/tensor/tensor.js';
import { Workspace } from '../../src/tensor/workspace.js';
import { expectError, makePool } from './support.js';

test('the same request gives the same tensor with its contents', () => {
  const pool = makePool();
  using workspace = new Workspace(internal, pool);
  const x = workspace.tensor('x', [2, 3]);
  x.set([1, 2, 3, 4, 5, 6]);
  expect(workspace.tensor('x', [2, 3], 'f32')).toBe(x);
  expect([...x.data]).toEqual([1, 2, 3, 4, 5, 6]);
  expect(workspace.tensor('y', [2, 3]).address).not.toBe(x.address);
  expect(pool.stats().rents).toBe(2);
});

test('another shape or type reuses the memory and disposes the previous tensor', () => {
  const pool = makePool();
  using workspace = new Workspace(internal, pool);
  const x = workspace.tensor('x', [100]);
  const y = workspace.tensor('x', [2, 50], 'i32');
  expect(y).toMatchObject({ dtype: 'i32', shape: [2, 50], address: x.address });
  expectError(() => x.data, 'ERR_DISPOSED');
  expect(workspace.tensor('x', [2, 50], 'f32')).toMatchObject({ dtype: 'f32', shape: [2, 50] });
  expect(workspace.tensor('x', [2])).toMatchObject({ shape: [2] });
  const z = workspace.tensor('x', [3], 'f16');
  expect(z.address).toBe(x.address);
  expect(workspace.tensor('x', [100]).address).toBe(x.address);
  expect(pool.stats().rents).toBe(1);
});

test('growth is geometric: few rents, and old buffers are returned', () => {
  const pool = makePool();
  using workspace = new Workspace(internal, pool);
  for (let length = 1; length <= 10_000; length++) {
    const x = workspace.tensor('x', [length]);
    expect(x.size).toBe(length);
  }
  expect(pool.stats().rents).toBeLessThan(30);
  expect(pool.stats()).toMatchObject({ liveTensors: 1 });
  expect(pool.stats().rentedBytes).toBeLessThan(40_000 * 1.75);
});

test('growth takes only what is needed if the budget allows no more', () => {
  const pool = makePool({ budgetBytes: 2 ** 20 });
  using workspace = new Workspace(internal, pool);
  workspace.tensor('x', [200_000]);
  const x = workspace.tensor('x', [240_000]);
  expect(x.size).toBe(240_000);
  expectError(() => workspace.tensor('x', [2 ** 20]), 'ERR_BUDGET');
  expect(pool.stats().rentedBytes).toBe(0);
  expectError(() => x.data, 'ERR_DISPOSED');
  expect(workspace.tensor('x', [10]).size).toBe(10);
});

test('only where the budget allows no more, and less is enough, growth is tried again', () => {
  const asked: number[] = [];
  const tryGrowth = (error: Error, length: number) => {
    const pool = makePool();
    using workspace = new Workspace(internal, pool);
    workspace.tensor('x', [100]);
    asked.length = 0;
    const empty = (shape: readonly number[]) => {
      asked.push(shape[0] as number);
      throw error;
    };
    Object.assign(pool, { empty });
    expect(() => workspace.tensor('x', [length])).toThrow(error);
    return [...asked];
  };
  const budget = new TesseraeError('ERR_BUDGET', 'too much');
  expect(tryGrowth(budget, 120)).toEqual([600, 480]);
  expect(tryGrowth(budget, 150)).toEqual([600]);
  expect(tryGrowth(budget, 500)).toEqual([2000]);
  expect(tryGrowth(new TesseraeError('ERR_ENGINE_CLOSED', 'closed'), 120)).toEqual([600]);
  expect(tryGrowth(new Error('other'), 120)).toEqual([600]);
});

test('a buffer that a program runs on is not reused until it ends', () => {
  const pool = makePool();
  using workspace = new Workspace(internal, pool);
  const x = workspace.tensor('x', [100]);
  storageOf(x).pin();
  workspace.tensor('x', [1000]);
  expect(pool.rent(400).address).not.toBe(x.address);
  storageOf(x).unpin();
  expect(pool.rent(400).address).toBe(x.address);
});

test('tensors that the caller disposed are replaced', () => {
  const pool = makePool();
  using workspace = new Workspace(internal, pool);
  const x = workspace.tensor('x', [4]);
  x.dispose();
  const y = workspace.tensor('x', [4]);
  expect(y.address).toBe(x.address);
  y.base?.dispose();
  expect([...workspace.tensor('x', [4]).shape]).toEqual([4]);
  expect(pool.stats().liveTensors).toBe(1);
});

test('tensors without elements, and bad requests', () => {
  const pool = makePool();
  using workspace = new Workspace(internal, pool);
  expect(workspace.tensor('x', [0, 3]).data).toHaveLength(0);
  expect(workspace.tensor('x', [1, 3]).data).toHaveLength(3);
  expectError(() => workspace.tensor('x', [-1]), 'ERR_SHAPE', /workspace/);
  expectError(() => workspace.tensor('x', [1], 'f8' as never), 'ERR_DTYPE', /workspace/);
});

test('disposal frees everything, and the workspace is unusable afterwards', () => {
  const pool = makePool();
  const workspace = new Workspace(internal, pool);
  const [x, y] = [workspace.tensor('x', [4]), workspace.tensor('y', [4])];
  workspace.dispose();
  expect(workspace.disposed && x.disposed && y.disposed).toBe(true);
  expect(pool.stats()).toMatchObject({ rentedBytes: 0, liveTensors: 0 });
  expectError(() => workspace.tensor('x', [4]), 'ERR_DISPOSED', /^workspace: the workspace was disposed$/);
  expectError(() => workspace.dispose(), 'ERR_DISPOSED');
  workspace[Symbol.dispose]();
});
