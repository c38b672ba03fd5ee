// Matrices that are packed once: in the type of their source, with the bits of products whose second operand is not packed.
import { describe, expect, test } from 'vitest';
import { firstBitDifference, Numbers } from '../../support/numbers.js';
import { isas, sharedEngines } from '../../support/running/engines.js';

const engineOf = sharedEngines();

/** [k, n] around a panel of 16 columns, a line of 32 elements and a block of k. */
const matrices: readonly (readonly [number, number])[] = [
  [1, 1],
  [1, 40],
  [7, 15],
  [31, 16],
  [33, 17],
  [64, 100],
  [1030, 48],
];
/** Around the micro-tiles of 6, 8 and 12 rows, and the rows from which panels of 16 bits are widened. */
const rows = [1, 2, 6, 9, 12, 13, 24, 25, 130];

describe.each(isas)('on %s', (isa) => {
  test.each(['f32', 'f16', 'bf16'] as const)('%s: the bits of matrices that are not packed', async (dtype) => {
    const engine = await engineOf({ isa, threads: 2 });
    const numbers = new Numbers(3);
    for (const transposeB of [false, true]) {
      for (const [k, n] of matrices) {
        using scope = engine.scope();
        const b = scope.tensor(transposeB ? [n, k] : [k, n], dtype, Array.from(numbers.floats(k * n)));
        using packed = await engine.pack(b, { transposeB });
        expect(packed.sizeBytes).toBe(k * Math.ceil(n / 16) * 16 * (dtype === 'f32' ? 4 : 2));
        for (const m of rows) {
          for (const transposeA of [false, true]) {
            const a = scope.tensor(transposeA ? [k, m] : [m, k], numbers.floats(k * m));
            const options = { transposeA, bias: scope.tensor([n], numbers.floats(n)), activation: 'silu' } as const;
            const expected = scope.track(await engine.matmul(a, b, { ...options, transposeB }));
            const got = scope.track(await engine.matmul(a, packed, options));
            const label = `${m} × ${k} × ${n} ${transposeA} ${transposeB}`;
            expect(firstBitDifference(got.toArray(), expected.toArray()), label).toBeUndefined();
          }
        }
      }
    }
  });

  test('a batch of f16 matrices, of which one is broadcast', async () => {
    const engine = await engineOf({ isa, threads: 2 });
    using scope = engine.scope();
    const numbers = new Numbers(4);
    const b = scope.tensor([3, 1, 50, 37], 'f16', Array.from(numbers.floats(3 * 50 * 37)));
    using packed = await engine.pack(b);
    const a = scope.tensor([3, 2, 5, 50], numbers.floats(3 * 2 * 5 * 50));
    const expected = scope.track(await engine.matmul(a, b));
    const got = scope.track(await engine.matmul(a, packed));
    expect(firstBitDifference(got.toArray(), expected.toArray())).toBeUndefined();
  });

  test('the bits of infinities, NaN, zeros and subnormal numbers are kept', async () => {
    const engine = await engineOf({ isa, threads: 1 });
    using scope = engine.scope();
    const values = [Infinity, -Infinity, NaN, -0, 6e-8, 65504, 1, -2];
    const b = scope.tensor(
      [8, 8],
      'f16',
      Array.from({ length: 64 }, (_, i) => (i % 9 === 0 ? values[i / 9] : 0) as number),
    );
    using packed = await engine.pack(b);
    const identity = scope.tensor(
      [8, 8],
      Array.from({ length: 64 }, (_, i) => (i % 9 === 0 ? 1 : 0)),
    );
    const expected = scope.track(await engine.matmul(identity, b));
    const got = scope.track(await engine.matmul(identity, packed));
    expect(firstBitDifference(got.toArray(), expected.toArray())).toBeUndefined();
  });
});
