// src/native/wasm/memory.ts: ranges of the one memory do not overlap, are used again, and end where the memory may not grow.
import { expect, test } from 'vitest';
import { RangeAllocator } from '../../src/native/wasm/memory.js';
import { pageBytes, type WasmMemory } from '../../src/native/wasm/webassembly.js';

/** As WebAssembly's: each growth makes another buffer object. */
class GrowingMemory implements WasmMemory {
  buffer: SharedArrayBuffer;

  constructor(pages: number) {
    this.buffer = new SharedArrayBuffer(pages * pageBytes);
  }

  grow(pages: number): number {
    const before = this.buffer.byteLength;
    this.buffer = new SharedArrayBuffer(before + pages * pageBytes);
    return before / pageBytes;
  }
}

const mostBytes = 2048 * pageBytes;

test('ranges begin at cache lines, are zero at first, and do not overlap', () => {
  const memory = new RangeAllocator(new GrowingMemory(4), 1000, mostBytes);
  const ranges = [1, 0, 64, 65, 100_000, 300_000].map((size) => memory.allocate(size));
  let end = 1000;
  for (const { byteOffset, sizeBytes, isZeroed } of ranges) {
    expect(byteOffset % 64).toBe(0);
    expect(byteOffset).toBeGreaterThanOrEqual(end);
    expect(isZeroed).toBe(true);
    end = byteOffset + Math.max(sizeBytes, 1);
  }
});

test('a freed range is used again, whole with its neighbours, and is not taken for zeros', () => {
  const memory = new RangeAllocator(new GrowingMemory(4), 0, mostBytes);
  const [a, b, c, d] = [640, 640, 640, 640].map((size) => memory.allocate(size));
  for (const range of [a, c, b]) if (range !== undefined) memory.free(range);
  const whole = memory.allocate(3 * 640);
  expect([whole.byteOffset, whole.isZeroed]).toEqual([a?.byteOffset, false]);
  expect(memory.allocate(64).byteOffset).toBeGreaterThan(d?.byteOffset ?? 0);
});

test('random ranges never share a byte', () => {
  const memory = new RangeAllocator(new GrowingMemory(4), 64, mostBytes);
  const live = new Map<number, ReturnType<RangeAllocator['allocate']>>();
  let state = 1;
  const random = (limit: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state % limit;
  };
  for (let step = 0; step < 3000; step++) {
    if (live.size > 40 || (live.size > 0 && random(2) === 0)) {
      const [key, range] = [...live][random(live.size)] ?? [];
      if (range !== undefined && key !== undefined) {
        memory.free(range);
        live.delete(key);
      }
    } else {
      const range = memory.allocate(random(3) === 0 ? random(2_000_000) : random(5000));
      for (const other of live.values()) {
        const apart =
          range.byteOffset >= other.byteOffset + Math.max(other.sizeBytes, 1) ||
          other.byteOffset >= range.byteOffset + Math.max(range.sizeBytes, 1);
        expect(apart).toBe(true);
      }
      expect(range.buffer.byteLength).toBeGreaterThanOrEqual(range.byteOffset + range.sizeBytes);
      expect(memory.owns(range.buffer)).toBe(true);
      live.set(step, range);
    }
  }
});

test('refuses what does not fit, and stays usable', () => {
  const memory = new RangeAllocator(new GrowingMemory(4), 0, 64 * pageBytes);
  expect(() => memory.allocate(65 * pageBytes)).toThrow(RangeError);
  const all = memory.allocate(64 * pageBytes);
  expect(() => memory.allocate(1)).toThrow(RangeError);
  memory.free(all);
  expect(memory.allocate(64 * pageBytes).byteOffset).toBe(0);
  expect(memory.owns(new SharedArrayBuffer(8))).toBe(false);
});
