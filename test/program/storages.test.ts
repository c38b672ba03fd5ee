// The storages of programs, alone: memory that is given back once no run uses it, temporaries with and without memory of
// their own, and the arena that several programs share.
import { describe, expect, test } from 'vitest';
import { BlockStorage } from '../../src/program/block-storage.js';
import { SharedArena } from '../../src/program/shared-arena.js';
import { TemporaryStorage } from '../../src/program/temporary-storage.js';
import type { PooledStorage } from '../../src/tensor/memory/storage.js';

describe('the storage of a block', () => {
  const bytes = new Uint8Array(new SharedArrayBuffer(256), 64, 128);

  test('has the bytes that it was given, and their owner', () => {
    const owner = {};
    const storage = new BlockStorage(bytes, 4096, owner);
    expect(storage).toMatchObject({ sizeBytes: 128, address: 4096, byteOffset: 64, disposed: false });
    expect(storage.buffer).toBe(bytes.buffer);
    expect(storage.owner).toBe(owner);
    expect(new BlockStorage(bytes, 4096).owner).toBeUndefined();
  });

  test('gives its memory back at once, or at the end of the last run that uses it', () => {
    const given: Uint8Array[] = [];
    const storage = () => new BlockStorage(bytes, 0, undefined, (back) => void given.push(back));
    const idle = storage();
    expect(idle.isPinned).toBe(false);
    idle.giveBack();
    expect(given).toEqual([bytes]);
    const used = storage();
    used.pin();
    used.pin();
    used.giveBack();
    used.unpin();
    expect([given.length, used.isPinned]).toEqual([1, true]);
    used.unpin();
    expect([given.length, used.isPinned]).toEqual([2, false]);
    // A run that ends before gives nothing back.
    const kept = storage();
    kept.pin();
    kept.unpin();
    expect(given).toHaveLength(2);
  });

  test('leaves its memory to the garbage collector where nobody takes it back', () => {
    const storage = new BlockStorage(bytes, 0);
    storage.pin();
    storage.giveBack();
    storage.unpin();
    storage.giveBack();
    expect(storage.isPinned).toBe(false);
  });
});

describe('a temporary', () => {
  test('has a size alone, until a plan gives it a place', () => {
    const storage = new TemporaryStorage(100);
    expect(storage).toMatchObject({ sizeBytes: 100, arenaOffset: -1, address: Number.NaN, byteOffset: 0 });
    expect([storage.owner, storage.buffer, storage.disposed]).toEqual([undefined, undefined, false]);
    storage.pin();
    storage.unpin();
    storage.dispose();
    expect(storage.disposed).toBe(true);
    const error = { code: 'ERR_DISPOSED', message: 'the program of this tensor was disposed' };
    expect(() => storage.pin()).toThrow(expect.objectContaining(error));
    storage.unpin();
  });

  test('that is an output has the memory behind it, and is disposed with that', () => {
    const owner = {};
    const block = new BlockStorage(new Uint8Array(new SharedArrayBuffer(256), 64, 128), 4096, owner);
    const storage = new TemporaryStorage(100);
    storage.back(block);
    expect(storage).toMatchObject({ sizeBytes: 100, address: 4096, byteOffset: 64, disposed: false });
    expect([storage.owner, storage.buffer]).toEqual([owner, block.buffer]);
    storage.pin();
    expect(block.isPinned).toBe(true);
    storage.unpin();
    expect(block.isPinned).toBe(false);
    const gone = new TemporaryStorage(100);
    gone.back({ ...block, disposed: true, pin() {}, unpin() {} });
    expect(gone.disposed).toBe(true);
    expect(() => gone.pin()).toThrow(expect.objectContaining({ code: 'ERR_DISPOSED' }));
  });
});

test('an arena grows to what the largest program needs, and gives back before it takes', () => {
  const log: string[] = [];
  const rent = (sizeBytes: number) => {
    log.push(`rent ${sizeBytes}`);
    return {
      sizeBytes,
      address: 1000 + sizeBytes,
      release: () => log.push(`release ${sizeBytes}`),
    } as unknown as PooledStorage;
  };
  const arena = new SharedArena({ rent, freeBytes: 0 });
  expect(arena.isHeld).toBe(false);
  arena.dispose();
  expect([arena.place(64), arena.place(64), arena.place(1)]).toEqual([1064, 1064, 1064]);
  expect([arena.isHeld, log]).toEqual([true, ['rent 64']]);
  expect(arena.place(65)).toBe(1065);
  expect(log).toEqual(['rent 64', 'release 64', 'rent 65']);
  arena.dispose();
  arena.dispose();
  expect([arena.isHeld, log.at(-1), log.length]).toEqual([false, 'release 65', 4]);
  expect(arena.place(0)).toBe(1000);
});

test('an arena is reserved from what the budget has to spare, with what the arena has now, and from nothing else', () => {
  const log: string[] = [];
  const pool = {
    freeBytes: 100,
    rent: (sizeBytes: number) => {
      log.push(`rent ${sizeBytes}`);
      pool.freeBytes -= sizeBytes;
      return { sizeBytes, address: 0, release: () => (pool.freeBytes += sizeBytes) } as unknown as PooledStorage;
    },
  };
  const arena = new SharedArena(pool);
  arena.reserve(101);
  expect(arena.isHeld).toBe(false);
  arena.reserve(60);
  for (const sizeBytes of [60, 59, 101, 100]) arena.reserve(sizeBytes);
  expect(log).toEqual(['rent 60', 'rent 100']);
});
