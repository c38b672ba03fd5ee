// Where shared memory comes from: buffers of its own at first, then parts of the memory that replaces them.
import { expect, test } from 'vitest';
import {
  allocateShared,
  freeShared,
  type SharedMemory,
  type SharedRange,
  sharedArray,
  useSharedMemory,
} from '../../../src/base/memory/shared-memory.js';

test('each range has a buffer of its own, of zeros, until another memory is used', async () => {
  const own = allocateShared(100);
  expect(own).toMatchObject({ byteOffset: 0, sizeBytes: 100, isZeroed: true });
  expect([own.buffer.byteLength, own.buffer]).toEqual([100, expect.any(SharedArrayBuffer)]);
  freeShared(own);
  const array = sharedArray(Float32Array, 3);
  expect([...array, array.buffer.byteLength]).toEqual([0, 0, 0, 12]);

  const whole = new SharedArrayBuffer(1024);
  new Uint8Array(whole).fill(0xee);
  const freed: SharedRange[] = [];
  let next = 64;
  const source: SharedMemory = {
    allocate: (sizeBytes) => {
      const range = { buffer: whole, byteOffset: next, sizeBytes, isZeroed: next > 500 };
      next += 128;
      return range;
    },
    free: (range) => void freed.push(range),
  };
  useSharedMemory(source);
  const range = allocateShared(10);
  expect(range).toMatchObject({ byteOffset: 64, sizeBytes: 10 });
  freeShared(range);
  expect(freed).toEqual([range]);
  // What is undefined at first is made zeros, and nothing beside it is touched.
  const part = sharedArray(Int32Array, 2);
  expect([part.buffer, part.byteOffset, part.length, ...part]).toEqual([whole, 192, 2, 0, 0]);
  const bytes = new Uint8Array(whole);
  expect([bytes[191], bytes[200]]).toEqual([0xee, 0xee]);
  next = 512;
  expect([...sharedArray(Uint8Array, 2)]).toEqual([0xee, 0xee]);

  // The range of an array that nobody reaches any more is given back.
  if (globalThis.gc === undefined) return;
  (() => sharedArray(Uint8Array, 5))();
  const isFreed = () => freed.some(({ sizeBytes }) => sizeBytes === 5);
  for (let turn = 0; turn < 50 && !isFreed(); turn++) {
    globalThis.gc();
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  expect(isFreed()).toBe(true);
});
