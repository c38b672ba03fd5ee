// Blocks of the pool that several tensors divide: where the tensors are, when the block goes back, and what is counted.
import { expect, test } from 'vitest';
import { bytesOf, storageOf, type Tensor } from '../../src/tensor/tensor.js';
import { partBytes } from '../../src/tensor/tensor-block.js';
import { collectGarbage, expectError, makePool } from './support.js';

const KiB = 1024;

test('tensors are one after the other, each at a cache line, and keep their own bytes', () => {
  const pool = makePool();
  const block = pool.block(partBytes(40) + partBytes(12) + partBytes(64));
  const tensors = [block.empty([10], 'f32'), block.empty([3, 4], 'i8'), block.empty([32], 'f16')];
  const addresses = tensors.map((tensor) => storageOf(tensor).address);
  expect(addresses.map((address) => address - (addresses[0] as number))).toEqual([0, 64, 128]);
  expect((addresses[0] as number) % 64).toBe(0);
  for (const [index, tensor] of tensors.entries()) bytesOf(tensor, 0, tensor.sizeBytes).fill(index + 1);
  for (const [index, tensor] of tensors.entries()) {
    expect([...bytesOf(tensor, 0, tensor.sizeBytes)].every((byte) => byte === index + 1)).toBe(true);
    expect(storageOf(tensor).buffer).toBe(storageOf(tensors[0] as Tensor).buffer);
  }
});

test('the block goes back when it is closed and its last tensor is disposed, in any order', () => {
  const pool = makePool();
  const before = pool.stats().rentedBytes;
  for (const closesFirst of [true, false]) {
    const block = pool.block(256 * KiB);
    const [first, second] = [block.empty([1000], 'f32'), block.empty([1000], 'f32')];
    expect(pool.stats()).toMatchObject({ rentedBytes: before + 256 * KiB, liveTensors: 2 });
    if (closesFirst) block.close();
    second.dispose();
    first.dispose();
    expect(pool.stats().liveTensors).toBe(0);
    if (!closesFirst) {
      expect(pool.stats().rentedBytes).toBe(before + 256 * KiB);
      block.close();
      block.close();
    }
    expect(pool.stats().rentedBytes).toBe(before);
    expectError(() => first.dispose(), 'ERR_DISPOSED');
  }
});

test('a tensor that a program has pinned keeps the block', () => {
  const pool = makePool();
  const block = pool.block(64);
  const tensor = block.empty([16], 'f32');
  block.close();
  storageOf(tensor).pin();
  tensor.dispose();
  expect(pool.stats()).toMatchObject({ rentedBytes: 64, liveTensors: 0 });
  storageOf(tensor).unpin();
  expect(pool.stats().rentedBytes).toBe(0);
});

test('tensors that are collected without being disposed are leaks, and give the block back', async () => {
  const pool = makePool();
  const leave = () => {
    const block = pool.block(128);
    block.empty([4], 'f32');
    block.empty([4], 'f32');
    block.close();
  };
  leave();
  await collectGarbage(() => pool.stats().leaks === 2);
  expect(pool.stats()).toMatchObject({ leaks: 2, liveTensors: 0, rentedBytes: 0 });
});

test('what does not fit is refused, and takes nothing', () => {
  const pool = makePool({ budgetBytes: 4 * KiB });
  const block = pool.block(128);
  block.empty([32], 'f32');
  expectError(() => block.empty([1], 'i8'), 'ERR_ARGUMENT', /1 bytes do not fit into the block/);
  expect(pool.stats()).toMatchObject({ rentedBytes: 128, liveTensors: 1 });
  expectError(() => pool.block(8 * KiB), 'ERR_BUDGET');
});
