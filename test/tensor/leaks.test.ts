// Tensors that are garbage-collected without being disposed give their memory back and are counted; reachable ones are kept.

import { expect, test } from 'vitest';
import { internal } from '../../src/base/internal.js';
import { storageOf } from '../../src/tensor/tensor.js';
import { TensorScope } from '../../src/tensor/tensor-scope.js';
import { collectGarbage, makePool } from './support.js';

test('a dropped tensor returns its memory and is counted', async () => {
  const pool = makePool();
  (() => {
    for (let count = 0; count < 10; count++) pool.tensor([100]);
    pool.tensor([100]).reshape([10, 10]);
    pool.tensor([0]);
  })();
  expect(pool.stats()).toMatchObject({ liveTensors: 12, leaks: 0 });
  await collectGarbage(() => pool.stats().leaks === 12);
  expect(pool.stats()).toMatchObject({ liveTensors: 0, leaks: 12, rentedBytes: 0 });
});

test('a disposed tensor is not counted as a leak', async () => {
  const pool = makePool();
  (() => {
    for (let count = 0; count < 10; count++) pool.tensor([100]).dispose();
    using scope = new TensorScope(internal, pool);
    scope.tensor([100]);
  })();
  await collectGarbage();
  expect(pool.stats()).toMatchObject({ liveTensors: 0, leaks: 0, rentedBytes: 0 });
});

test('the array from data keeps the memory as long as it is reachable', async () => {
  const pool = makePool();
  let data: Float32Array | undefined = (() => pool.tensor([3], [1, 2, 3]).data)();
  let viewData: Float32Array | undefined = (() => pool.tensor([3], [4, 5, 6]).reshape([3, 1]).slice([1]).data)();
  await collectGarbage();
  expect(pool.stats()).toMatchObject({ liveTensors: 2, leaks: 0 });
  expect([...data, ...viewData]).toEqual([1, 2, 3, 5, 6]);
  data = undefined;
  viewData = undefined;
  await collectGarbage(() => pool.stats().leaks === 2);
  expect(pool.stats()).toMatchObject({ liveTensors: 0, leaks: 2, rentedBytes: 0 });
});

test('a view keeps its owner alive', async () => {
  const pool = makePool();
  let view = (() => pool.tensor([2, 2], [1, 2, 3, 4]).transpose().slice([1]))();
  await collectGarbage();
  expect([...view.toArray()]).toEqual([2, 4]);
  expect(pool.stats()).toMatchObject({ liveTensors: 1, leaks: 0 });
  view = undefined as never;
  await collectGarbage(() => pool.stats().leaks === 1);
  expect(pool.stats()).toMatchObject({ liveTensors: 0, leaks: 1 });
});

test('the memory of a leaked tensor that a program uses returns at the last unpin', async () => {
  const pool = makePool();
  const storage = (() => storageOf(pool.tensor([100])))();
  storage.pin();
  await collectGarbage(() => pool.stats().leaks === 1);
  expect(pool.stats()).toMatchObject({ liveTensors: 0, leaks: 1, rentedBytes: 448 });
  storage.unpin();
  expect(pool.stats().rentedBytes).toBe(0);
});

test('a scope that is not disposed leaks its tensors', async () => {
  const pool = makePool();
  (() => {
    const scope = new TensorScope(internal, pool);
    scope.tensor([100]);
    scope.scope().tensor([100]);
  })();
  await collectGarbage(() => pool.stats().leaks === 2);
  expect(pool.stats()).toMatchObject({ liveTensors: 0, leaks: 2, rentedBytes: 0 });
});

test('a scope does not keep references to what was disposed early', async () => {
  using scope = new TensorScope(internal, makePool());
  const gone = (() => {
    const tensor = scope.tensor([100]);
    const nested = scope.scope();
    tensor.dispose();
    nested.dispose();
    return [new WeakRef(tensor), new WeakRef(nested)];
  })();
  // deref() keeps the target alive for the rest of the turn, so call it once, at the end.
  await collectGarbage();
  expect(gone.map((ref) => ref.deref())).toEqual([undefined, undefined]);
});
