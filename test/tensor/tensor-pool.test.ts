// src/tensor/tensor-pool.ts: what it returns, when it reuses, trims or refuses, and that its statistics are always right.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PooledStorage } from '../../src/tensor/memory/storage.js';
import type { TensorPool } from '../../src/tensor/tensor-pool.js';
import { expectError, makeAddressOf, makePool } from './support.js';

const KiB = 1024;
const MiB = 1024 * KiB;

describe('tensors', () => {
  test('are filled from data, with the type named or inferred', () => {
    const pool = makePool();
    expect(pool.tensor([2], [1, 2]).dtype).toBe('f32');
    expect(pool.tensor([2], new Float32Array(2)).dtype).toBe('f32');
    expect(pool.tensor([2], new Float64Array(2)).dtype).toBe('f32');
    expect(pool.tensor([2], new Int32Array(2)).dtype).toBe('i32');
    expect(pool.tensor([2], new Int8Array(2)).dtype).toBe('i8');
    expect(pool.tensor([2], new Uint16Array(2)).dtype).toBe('f16');
    expect([...pool.tensor([2, 1], 'i32', [5, 6]).data]).toEqual([5, 6]);
    expect(pool.tensor([], 'f32', [5]).shape).toEqual([]);
  });

  test('are refused for bad arguments, without taking memory', () => {
    const pool = makePool();
    expectError(() => pool.tensor([3], [1, 2]), 'ERR_SHAPE', /tensor: \[3\] has 3 elements, got 2 values/);
    expectError(() => pool.tensor([-1], 'f32'), 'ERR_SHAPE', /tensor/);
    expectError(() => pool.tensor([1], 'f64' as never), 'ERR_DTYPE', /tensor: .*f64/);
    expectError(() => pool.empty([1], 'toString' as never), 'ERR_DTYPE', /empty/);
    expectError(() => pool.tensor([1], new Uint8Array(1)), 'ERR_DTYPE', /Uint8Array/);
    expectError(() => pool.tensor([1], new BigInt64Array(1) as never), 'ERR_ARGUMENT', /array of numbers/);
    expectError(() => pool.tensor([1], {} as never), 'ERR_ARGUMENT', /array of numbers/);
    expectError(() => pool.tensor([1], null as never), 'ERR_ARGUMENT', /array of numbers/);
    expectError(() => pool.rent(-1), 'ERR_ARGUMENT', /-1/);
    expectError(() => pool.rent(0.5), 'ERR_ARGUMENT', /0\.5/);
    expectError(() => makePool({ budgetBytes: 0 }), 'ERR_ARGUMENT', /budget/);
    expectError(() => makePool({ budgetBytes: Number.NaN }), 'ERR_ARGUMENT', /budget/);
    expect(pool.stats()).toMatchObject({ heldBytes: 0, rents: 0, liveTensors: 0 });
  });

  test('without data are zero, in reused memory too; empty ones are not cleared', () => {
    const pool = makePool();
    for (const make of [
      () => pool.tensor([100]),
      () => pool.zeros([100]),
      () => pool.tensor([100], 'f32', undefined),
    ]) {
      const x = pool.empty([100]);
      x.data.fill(7);
      x.dispose();
      const y = make();
      expect(y.address).toBe(x.address);
      expect(y.data.every((value) => value === 0)).toBe(true);
      y.dispose();
    }
    const used = pool.tensor([100]);
    used.data.fill(7);
    used.dispose();
    expect(pool.empty([100]).data[99]).toBe(7);
    expect(pool.empty([0]).data).toHaveLength(0);
  });
});

describe('blocks', () => {
  test.each([1, 63, 64, 65, 100 * KiB, 5 * MiB + 1])('of %i bytes start at cache lines', (sizeBytes) => {
    const addressOf = makeAddressOf();
    const pool = makePool({ addressOf });
    for (let count = 0; count < 5; count++) {
      const storage = pool.rent(sizeBytes);
      expect(storage.address % 64).toBe(0);
      expect(addressOf(new Uint8Array(storage.buffer, storage.byteOffset, 1))).toBe(storage.address);
      expect(storage.byteOffset + sizeBytes).toBeLessThanOrEqual(storage.buffer.byteLength);
    }
  });

  test('waste less than an eighth, except the smallest', () => {
    const pool = makePool({ budgetBytes: 2 ** 40 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 * MiB }), (sizeBytes) => {
        const storage = pool.rent(sizeBytes);
        const { rentedBytes } = pool.stats();
        expect(rentedBytes).toBeGreaterThanOrEqual(sizeBytes);
        expect(rentedBytes - sizeBytes).toBeLessThan(Math.max(64, sizeBytes / 8));
        expect(rentedBytes % 64).toBe(0);
        storage.release();
      }),
    );
  });

  test('small ones share a buffer, large ones have their own', () => {
    const pool = makePool();
    expect(pool.rent(1000).buffer).toBe(pool.rent(1000).buffer);
    expect(pool.rent(100 * KiB).buffer).not.toBe(pool.rent(100 * KiB).buffer);
  });

  test.each([100, 100 * KiB])('of %i bytes come back last in, first out', (sizeBytes) => {
    const pool = makePool();
    const [a, b, c] = [pool.rent(sizeBytes), pool.rent(sizeBytes), pool.rent(sizeBytes)];
    a.release();
    c.release();
    b.release();
    expect([1, 2, 3].map(() => pool.rent(sizeBytes).address)).toEqual([b.address, c.address, a.address]);
    expect(pool.stats()).toMatchObject({ rents: 6, reuses: 3, reuseRate: 0.5 });
  });

  test('can be released once only', () => {
    const storage = makePool().rent(10);
    storage.release();
    expectError(() => storage.release(), 'ERR_DISPOSED');
  });

  test('of 0 bytes take no memory', () => {
    const pool = makePool({ budgetBytes: 1 });
    const storage = pool.rent(0);
    storage.pin();
    storage.release();
    storage.unpin();
    expect(pool.stats()).toMatchObject({ rents: 0, heldBytes: 0 });
  });

  test('onAllocate and onTrim get each buffer once', () => {
    const shown: string[] = [];
    const pool = makePool({
      onAllocate: (bytes) => shown.push(`+${bytes.byteLength}`),
      onTrim: (bytes) => shown.push(`-${bytes.byteLength}`),
    });
    const storage = pool.rent(MiB);
    storage.release();
    pool.rent(MiB).release();
    expect(shown).toEqual([`+${storage.buffer.byteLength}`]);
    pool.trim();
    expect(shown).toEqual([`+${storage.buffer.byteLength}`, `-${storage.buffer.byteLength}`]);
  });
});

describe('trim', () => {
  test('drops idle blocks and returns the freed bytes', () => {
    const pool = makePool();
    const large = pool.rent(MiB);
    const small = pool.rent(100);
    expect(pool.trim()).toBe(0);
    large.release();
    const held = pool.stats().heldBytes;
    expect(pool.trim()).toBe(MiB + 64);
    expect(pool.stats()).toMatchObject({ heldBytes: held - MiB - 64, rentedBytes: 128 });
    const other = pool.rent(100);
    small.release();
    expect(pool.trim()).toBe(0);
    other.release();
    expect(pool.trim()).toBe(held - MiB - 64);
    expect(pool.stats()).toMatchObject({ heldBytes: 0, idleBytes: 0, rentedBytes: 0, classes: [] });
    expect(pool.rent(100).zeroed).toBe(true);
  });
});

describe('budget', () => {
  test('is never exceeded, and the error says which bytes are rented and idle', () => {
    const pool = makePool({ budgetBytes: 4 * MiB });
    const storages = [pool.rent(MiB), pool.rent(MiB), pool.rent(MiB)];
    const before = pool.stats();
    expectError(() => pool.rent(MiB), 'ERR_BUDGET', /1048640 bytes.*budget of 4194304.*3145728 are rented and 0 idle/);
    expectError(() => pool.tensor([MiB / 4]), 'ERR_BUDGET');
    expect(pool.stats()).toEqual(before);
    storages[1]?.release();
    expect(pool.rent(MiB).address).toBe(storages[1]?.address);
  });

  test('trims idle blocks of other classes first, least recently used before others', () => {
    const pool = makePool({ budgetBytes: 4 * MiB });
    const [older, newer] = [pool.rent(MiB), pool.rent(2 * MiB)];
    older.release();
    newer.release();
    const rented = pool.rent(1.5 * MiB);
    expect(pool.stats().classes.map(({ classBytes, idle }) => [classBytes, idle])).toEqual([
      [1.5 * MiB, 0],
      [2 * MiB, 1],
    ]);
    pool.rent(2 * MiB);
    rented.release();
    pool.rent(1.75 * MiB);
    expect(pool.stats()).toMatchObject({ rentedBytes: 3.75 * MiB, idleBytes: 0 });
  });

  test('an impossible rent drops nothing', () => {
    const pool = makePool({ budgetBytes: 4 * MiB });
    pool.rent(MiB).release();
    expectError(() => pool.rent(5 * MiB), 'ERR_BUDGET', /0 are rented and 1048576 idle; trimming would free 1048640$/);
    expect(pool.stats().idleBytes).toBe(MiB);
  });

  test('the last bytes of the budget serve small blocks', () => {
    const pool = makePool({ budgetBytes: 300 * KiB });
    for (let count = 0; count < 9; count++) pool.rent(32 * KiB);
    expect(pool.stats().rentedBytes).toBe(288 * KiB);
    expectError(() => pool.rent(32 * KiB), 'ERR_BUDGET');
    pool.rent(10 * KiB);
    expect(pool.stats().heldBytes).toBeLessThanOrEqual(300 * KiB);
  });

  test('an allocation that the system refuses is a budget error, too', () => {
    const pool = makePool({ budgetBytes: 2 ** 52 });
    expectError(() => pool.rent(2 ** 51), 'ERR_BUDGET', /system refused/);
    expect(pool.stats()).toMatchObject({ heldBytes: 0, rentedBytes: 0, classes: [] });
  });
});

test('close refuses rents, keeps live tensors readable, and frees each one at its disposal', () => {
  const pool = makePool();
  const x = pool.tensor([MiB], [...new Float32Array(MiB)]);
  const y = pool.tensor([3], [1, 2, 3]);
  const pinned = pool.rent(100);
  pool.rent(10 * KiB).release();
  pool.close();
  pool.close();
  expect(pool.closed).toBe(true);
  expectError(() => pool.rent(1), 'ERR_ENGINE_CLOSED');
  expectError(() => pool.tensor([0]), 'ERR_ENGINE_CLOSED');
  expect([...y.data]).toEqual([1, 2, 3]);
  pinned.pin();
  pinned.release();
  y.dispose();
  x.dispose();
  expect(pool.stats().rentedBytes).toBe(128);
  pinned.unpin();
  expect(pool.stats()).toMatchObject({ heldBytes: 0, rentedBytes: 0, idleBytes: 0, liveTensors: 0 });
});

describe('any sequence of rents, releases, pins and trims', () => {
  type Action =
    | { kind: 'rent'; sizeBytes: number }
    | { kind: 'release' | 'pin' | 'unpin'; which: number }
    | { kind: 'trim' };

  const action: fc.Arbitrary<Action> = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('rent'), sizeBytes: fc.oneof(fc.nat(600), fc.nat(MiB)) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('release'), which: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('pin', 'unpin'), which: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('trim') }) },
  );

  interface Rented {
    storage: PooledStorage;
    pins: number;
    released: boolean;
    mark: number;
  }

  /** Asserts what must be true of the pool, given what is rented from it. */
  function checkInvariants(pool: TensorPool, rented: readonly Rented[]): void {
    const stats = pool.stats();
    const windows = rented
      .filter(({ storage }) => storage.sizeBytes > 0)
      .map(({ storage }) => ({ start: storage.address, end: storage.address + storage.sizeBytes }))
      .sort((a, b) => a.start - b.start);
    windows.slice(1).forEach((next, index) => {
      expect(next.start).toBeGreaterThanOrEqual(windows[index]!.end);
    });
    for (const { storage, mark } of rented) {
      const bytes = new Uint8Array(storage.buffer, storage.byteOffset, storage.sizeBytes);
      expect(storage.sizeBytes === 0 || (bytes[0] === mark && bytes.at(-1) === mark)).toBe(true);
    }
    const sum = (count: (own: (typeof stats.classes)[number]) => number) =>
      stats.classes.reduce((total, own) => total + count(own), 0);
    expect(sum((own) => own.rented)).toBe(windows.length);
    expect(sum((own) => own.rented * own.classBytes)).toBe(stats.rentedBytes);
    expect(sum((own) => own.idle * own.classBytes)).toBe(stats.idleBytes);
    expect(stats.rentedBytes).toBeGreaterThanOrEqual(
      rented.reduce((total, { storage }) => total + storage.sizeBytes, 0),
    );
    expect(stats.heldBytes).toBeGreaterThanOrEqual(stats.rentedBytes + stats.idleBytes);
    expect(stats.heldBytes).toBeLessThanOrEqual(stats.budgetBytes);
    expect(stats.peakHeldBytes).toBeGreaterThanOrEqual(stats.heldBytes);
    expect(stats.peakRentedBytes).toBeGreaterThanOrEqual(stats.rentedBytes);
    expect(stats.reuses).toBeLessThanOrEqual(stats.rents);
  }

  test('keeps blocks disjoint and statistics right', () => {
    let refusals = 0;
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60, size: 'max' }), (actions) => {
        const pool = makePool({ budgetBytes: 4 * MiB });
        let rented: Rented[] = [];
        let mark = 0;
        const pick = (which: number): Rented | undefined => rented[which % rented.length];
        for (const step of actions) {
          if (step.kind === 'rent') {
            try {
              const storage = pool.rent(step.sizeBytes);
              mark = (mark + 1) % 255;
              new Uint8Array(storage.buffer, storage.byteOffset, storage.sizeBytes).fill(mark);
              rented.push({ storage, pins: 0, released: false, mark });
            } catch {
              refusals++;
              // Refused only if it would not fit even after trimming everything.
              pool.trim();
              expectError(() => pool.rent(step.sizeBytes), 'ERR_BUDGET');
            }
          } else if (step.kind === 'trim') {
            const before = pool.stats().heldBytes;
            expect(pool.trim()).toBe(before - pool.stats().heldBytes);
          } else {
            const chosen = pick(step.which);
            if (chosen === undefined) continue;
            if (step.kind === 'release' && !chosen.released) {
              chosen.storage.release();
              chosen.released = true;
            } else if (step.kind === 'pin' && !chosen.released) {
              chosen.storage.pin();
              chosen.pins++;
            } else if (step.kind === 'unpin' && chosen.pins > 0) {
              chosen.storage.unpin();
              chosen.pins--;
            }
          }
          rented = rented.filter(({ released, pins }) => !released || pins > 0);
          checkInvariants(pool, rented);
        }
        for (const { storage, pins, released } of rented) {
          if (!released) storage.release();
          for (let pin = 0; pin < pins; pin++) storage.unpin();
        }
        pool.trim();
        expect(pool.stats()).toMatchObject({ heldBytes: 0, rentedBytes: 0, idleBytes: 0, classes: [] });
      }),
      { numRuns: 100 },
    );
    expect(refusals).toBeGreaterThan(0);
  });
});

test('room is made by dropping the buffer first that has been idle the longest', () => {
  const pool = makePool({ budgetBytes: 5 * MiB });
  // Two sizes, and so two buffers; the first one is used again last.
  const [early, late] = [pool.rent(MiB), pool.rent(2 * MiB)];
  early.release();
  late.release();
  pool.rent(MiB).release();
  const held = () => pool.stats().classes.map(({ classBytes }) => classBytes);
  expect(held()).toEqual([MiB, 2 * MiB]);
  pool.rent(3 * MiB);
  expect(held()).toEqual([MiB, 3 * MiB]);
});
