// The blocks of a pool by their sizes, what is freed when the budget is used up, and each number of its statistics.
import { describe, expect, test } from 'vitest';
import { TesseraeError } from '../../src/base/errors.js';
import { classBytesFor, type ReliefStage } from '../../src/tensor/tensor-pool.js';
import { expectError, makePool } from './support.js';

const KiB = 1024;
const MiB = 1024 * KiB;

test('sizes are rounded up to classes, of which there are eight between two powers of two', () => {
  const classes: [size: number, classBytes: number][] = [
    [0, 0],
    [1, 64],
    [64, 64],
    [65, 128],
    [1000, 1024],
    [1024, 1024],
    [1025, 1152],
    [1152, 1152],
    [1153, 1280],
    [2048, 2048],
    [2049, 2304],
    [4097, 4608],
    [MiB, MiB],
    [MiB + 1, MiB + 128 * KiB],
  ];
  for (const [size, classBytes] of classes) expect([size, classBytesFor(size)]).toEqual([size, classBytes]);
});

describe('a buffer', () => {
  const heldBy = (sizeBytes: number, budgetBytes = 2 ** 30) => {
    const pool = makePool({ budgetBytes });
    pool.rent(sizeBytes);
    const { heldBytes, classes } = pool.stats();
    return [heldBytes, classes[0]?.rented, classes[0]?.idle];
  };

  test('is shared by as many blocks as fit into 256 KiB, if they are small', () => {
    const blocks = (classBytes: number) => Math.floor((256 * KiB - 64) / classBytes);
    for (const size of [64, 1024, 32 * KiB]) {
      expect(heldBy(size)).toEqual([blocks(size) * size + 64, 1, blocks(size) - 1]);
    }
    for (const size of [36 * KiB, 256 * KiB, 5 * MiB]) expect(heldBy(size)).toEqual([size + 64, 1, 0]);
  });

  test('is a 64th of a small budget, or one block', () => {
    // 1 MiB has parts of 16 KiB.
    expect(heldBy(1024, MiB)).toEqual([15 * 1024 + 64, 1, 14]);
    expect(heldBy(32 * KiB, MiB)).toEqual([32 * KiB + 64, 1, 0]);
  });

  test('has fewer blocks where the budget has no more room', () => {
    const pool = makePool({ budgetBytes: 16 * MiB + 3 * 64 + 32 });
    pool.rent(15 * MiB);
    pool.rent(0.5 * MiB);
    pool.rent(448 * KiB);
    // 64 KiB and 32 bytes are left: too few for two blocks of 32 KiB and their slack.
    pool.rent(32 * KiB);
    expect(pool.stats().classes.map(({ classBytes, rented, idle }) => [classBytes, rented, idle])).toEqual([
      [32 * KiB, 1, 0],
      [448 * KiB, 1, 0],
      [512 * KiB, 1, 0],
      [15 * MiB, 1, 0],
    ]);
    expectError(() => pool.rent(32 * KiB), 'ERR_BUDGET');
  });

  test('may fill the budget to the last byte, and not one more', () => {
    const exact = makePool({ budgetBytes: MiB + 64 });
    expect(exact.rent(MiB).sizeBytes).toBe(MiB);
    expect(exact.stats().heldBytes).toBe(exact.budgetBytes);
    expectError(() => makePool({ budgetBytes: MiB + 63 }).rent(MiB), 'ERR_BUDGET');
    const one = makePool({ budgetBytes: 128 });
    expect([one.rent(1).sizeBytes, one.freeBytes]).toEqual([1, 64]);
  });

  test('that is longer than a typed array may be is shown in parts', () => {
    const shown: string[] = [];
    const part = (sign: string) => (bytes: Uint8Array) =>
      void shown.push(`${sign}${bytes.byteOffset} ${bytes.byteLength}`);
    const pool = makePool({ budgetBytes: 2 ** 33, onAllocate: part('+'), onTrim: part('-') });
    pool.rent(2 ** 31 + 2 ** 28).release();
    pool.trim();
    const wanted = [`0 ${2 ** 31}`, `${2 ** 31} ${2 ** 28 + 64}`];
    expect(shown).toEqual([...wanted.map((text) => `+${text}`), ...wanted.map((text) => `-${text}`)]);
  });

  test('that cannot be made is a budget error if the system refused it, and the error itself otherwise', () => {
    const problem = new TypeError('broken');
    const broken = makePool({
      addressOf: () => {
        throw problem;
      },
    });
    expect(() => broken.rent(1)).toThrow(problem);
    const refusing = makePool({ budgetBytes: 2 ** 52 });
    const size = 2 ** 51;
    const error = (() => {
      try {
        refusing.rent(size);
      } catch (caught) {
        return caught as TesseraeError;
      }
      return undefined;
    })();
    expect(error).toMatchObject({
      code: 'ERR_BUDGET',
      message: `the system refused ${size + 64} bytes of shared memory`,
      cause: expect.any(RangeError),
    });
    expect(error).toBeInstanceOf(TesseraeError);
  });
});

test('statistics count what is rented, idle and held, and the most of it', () => {
  const pool = makePool();
  expect(pool.stats()).toEqual({
    budgetBytes: 2 ** 26,
    rentedBytes: 0,
    idleBytes: 0,
    heldBytes: 0,
    peakRentedBytes: 0,
    peakHeldBytes: 0,
    rents: 0,
    reuses: 0,
    reuseRate: 0,
    leaks: 0,
    liveTensors: 0,
    classes: [],
  });
  const [large, small] = [pool.rent(MiB), pool.rent(100 * KiB)];
  expect([pool.budgetBytes, pool.freeBytes]).toEqual([2 ** 26, 2 ** 26 - MiB - 104 * KiB]);
  large.release();
  expect(pool.freeBytes).toBe(2 ** 26 - 104 * KiB);
  pool.rent(MiB - 1).release();
  small.release();
  const tensor = pool.tensor([25 * KiB]);
  const held = MiB + 104 * KiB + 2 * 64;
  expect(pool.stats()).toEqual({
    budgetBytes: 2 ** 26,
    rentedBytes: 104 * KiB,
    idleBytes: MiB,
    heldBytes: held,
    peakRentedBytes: MiB + 104 * KiB,
    peakHeldBytes: held,
    rents: 4,
    reuses: 2,
    reuseRate: 0.5,
    leaks: 0,
    liveTensors: 1,
    classes: [
      { classBytes: 104 * KiB, rented: 1, idle: 0 },
      { classBytes: MiB, rented: 0, idle: 1 },
    ],
  });
  expect(pool.trim()).toBe(MiB + 64);
  expect(pool.stats()).toMatchObject({ heldBytes: 104 * KiB + 64, peakHeldBytes: held });
  tensor.dispose();
  expect(pool.stats()).toMatchObject({ liveTensors: 0, rentedBytes: 0 });
});

describe('blocks of one size', () => {
  test('come from the buffer in which one was given back last, and from a new one only when all are full', () => {
    const pool = makePool({ budgetBytes: 2 ** 30 });
    const size = 32 * KiB;
    const first = Array.from({ length: 7 }, () => pool.rent(size));
    const second = Array.from({ length: 7 }, () => pool.rent(size));
    expect(new Set(first.map(({ buffer }) => buffer)).size).toBe(1);
    expect(new Set([...first, ...second].map(({ buffer }) => buffer)).size).toBe(2);
    first[3]?.release();
    second[2]?.release();
    expect(pool.rent(size).address).toBe(second[2]?.address);
    expect(pool.rent(size).address).toBe(first[3]?.address);
    expect(pool.rent(size).buffer).not.toBe(first[0]?.buffer);
  });

  test('are dropped with their buffer as soon as all are idle, after the pool is closed', () => {
    const pool = makePool();
    const [a, b] = [pool.rent(1000), pool.rent(1000)];
    pool.close();
    a.release();
    expect(pool.stats().heldBytes).toBeGreaterThan(0);
    b.release();
    expect(pool.stats().heldBytes).toBe(0);
  });

  test('stay while the pool is open', () => {
    const pool = makePool();
    pool.rent(1000).release();
    expect([pool.closed, pool.stats().heldBytes > 0]).toEqual([false, true]);
  });
});

describe('when the budget is used up', () => {
  test('things are freed stage by stage, one at a time, until there is room', () => {
    const pool = makePool({ budgetBytes: 4 * MiB });
    const freed: string[] = [];
    const hold = (stage: ReliefStage, name: string) => {
      const storage = pool.rent(896 * KiB);
      let isHeld = true;
      pool.onShortage(stage, () => {
        if (!isHeld) return false;
        isHeld = false;
        storage.release();
        freed.push(name);
        return true;
      });
    };
    hold('requests', 'request');
    hold('caches', 'cache 1');
    hold('programs', 'program');
    hold('caches', 'cache 2');
    pool.rent(896 * KiB).release();
    expect(freed).toEqual(['program']);
    pool.rent(2 * MiB).release();
    expect(freed).toEqual(['program', 'cache 1']);
    pool.rent(3.5 * MiB).release();
    expect(freed).toEqual(['program', 'cache 1', 'cache 2', 'request']);
    expectError(() => pool.rent(4 * MiB), 'ERR_BUDGET');
  });

  test('only what comes before a stage, or in it, is freed for a rent that says so', () => {
    for (const [relief, freeable] of [
      ['programs', ['programs']],
      ['caches', ['programs', 'caches']],
      ['requests', ['programs', 'caches', 'requests']],
      [undefined, ['programs', 'caches', 'requests']],
    ] as const) {
      const asked: string[] = [];
      const pool = makePool({ budgetBytes: MiB });
      for (const stage of ['requests', 'programs', 'caches'] as const) {
        pool.onShortage(stage, () => {
          asked.push(stage);
          return false;
        });
      }
      expectError(() => pool.rent(2 * MiB, relief), 'ERR_BUDGET');
      expectError(() => pool.empty([MiB], 'f32', relief), 'ERR_BUDGET');
      expect(asked).toEqual([...freeable, ...freeable]);
    }
  });

  test('a block that was given back meanwhile is taken', () => {
    const pool = makePool({ budgetBytes: 2 * MiB });
    const [held, other] = [pool.rent(MiB), pool.rent(0.5 * MiB)];
    pool.onShortage('caches', () => {
      held.release();
      return true;
    });
    expect(pool.rent(MiB).address).toBe(held.address);
    expect(other.disposed).toBe(false);
  });

  test('what has been taken back is not asked', () => {
    const pool = makePool({ budgetBytes: MiB });
    let asked = 0;
    const takeBack = pool.onShortage('programs', () => {
      asked += 1;
      return false;
    });
    expectError(() => pool.rent(2 * MiB), 'ERR_BUDGET');
    takeBack();
    expectError(() => pool.rent(2 * MiB), 'ERR_BUDGET');
    expect(asked).toBe(1);
  });

  test('nothing is freed for an error of another kind', () => {
    const pool = makePool({
      onAllocate: () => {
        throw new TesseraeError('ERR_DISPOSED', 'other');
      },
    });
    let asked = 0;
    pool.onShortage('programs', () => {
      asked += 1;
      return asked < 3;
    });
    expectError(() => pool.rent(1000), 'ERR_DISPOSED', /other/);
    expect(asked).toBe(0);
  });
});

test('idle buffers are dropped for a block that fits exactly, and no more of them', () => {
  const pool = makePool({ budgetBytes: 3.5 * MiB + 2 * 64 });
  const [older, newer] = [pool.rent(MiB), pool.rent(1.5 * MiB)];
  older.release();
  newer.release();
  pool.rent(2 * MiB).release();
  expect(pool.stats()).toMatchObject({ heldBytes: 3.5 * MiB + 2 * 64, idleBytes: 3.5 * MiB });
  const small = makePool({ budgetBytes: 2 * MiB + 64 });
  small.rent(MiB).release();
  expect(small.rent(2 * MiB).sizeBytes).toBe(2 * MiB);
});

test('the budget is a positive number', () => {
  for (const budgetBytes of [0, -1, Number.NaN, '5' as unknown as number]) {
    expectError(
      () => makePool({ budgetBytes }),
      'ERR_ARGUMENT',
      /^the memory budget must be a positive number of bytes/,
    );
  }
});

test('a tensor has its type named, or that of its data', () => {
  const pool = makePool();
  expect([...pool.tensor([2], 'i8', Int32Array.of(5, -6)).data]).toEqual([5, -6]);
  expect([...pool.tensor([2], Float64Array.of(0.5, 2)).data]).toEqual([0.5, 2]);
  expect([...pool.zeros([2], 'i32').data]).toEqual([0, 0]);
  expect([pool.empty([2]).dtype, pool.empty([2], 'bf16').sizeBytes]).toEqual(['f32', 4]);
  expectError(() => pool.tensor([2], 'f32', [1]), 'ERR_SHAPE', /^tensor: /);
  expectError(() => pool.tensor([1.5]), 'ERR_SHAPE', /^tensor: /);
  expectError(() => pool.empty([1.5]), 'ERR_SHAPE', /^empty: /);
  expectError(() => pool.empty([1], 'f64' as 'f32'), 'ERR_DTYPE', /^empty: /);
  expectError(() => pool.tensor([1], 'f64' as 'f32'), 'ERR_DTYPE', /^tensor: /);
});
