// src/tensor/layout/layout.ts: examples, and comparisons with slow and simple versions.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  broadcastShapes,
  broadcastStrides,
  byteExtent,
  checkShape,
  collapse,
  contiguousStrides,
  elementCount,
  isContiguous,
  reshapeStrides,
} from '../../../src/tensor/layout/layout.js';
import { expectError, indicesOf, smallShape } from '../support.js';

/** The position of each element in the storage, in row-major order. */
function positions(shape: readonly number[], strides: readonly number[]): number[] {
  return [...indicesOf(shape)].map((index) => index.reduce((sum, at, dim) => sum + at * (strides[dim] as number), 0));
}

/** A shape with strides as views have them: packed, then permuted, sliced with steps, and partly broadcast. */
const stridedShape = smallShape().chain((shape) =>
  fc
    .tuple(
      fc.shuffledSubarray([...shape.keys()], { minLength: shape.length }),
      fc.array(fc.constantFrom(1, 1, 2, 3), { minLength: shape.length, maxLength: shape.length }),
      fc.array(fc.constantFrom(1, 1, 1, 0), { minLength: shape.length, maxLength: shape.length }),
    )
    .map(([order, steps, keeps]) => {
      const packed = contiguousStrides(shape.map((size, dim) => size * (steps[dim] as number)));
      return {
        shape: order.map((dim) => shape[dim] as number),
        strides: order.map((dim) => (packed[dim] as number) * (steps[dim] as number) * (keeps[dim] as number)),
      };
    }),
);

describe('checkShape', () => {
  test('copies valid shapes, rank 0 and zero sizes among them', () => {
    const shape = [2, 0, 3];
    expect(checkShape(shape)).toEqual(shape);
    expect(checkShape(shape)).not.toBe(shape);
    expect(checkShape([])).toEqual([]);
    expect(checkShape([1, 1, 1, 1, 1, 1, 1, 1])).toHaveLength(8);
    // The most elements that there may be.
    expect(checkShape([2 ** 25, 2 ** 25])).toEqual([2 ** 25, 2 ** 25]);
  });

  test.each([
    ['a string', '2,3'],
    ['undefined', undefined],
    ['an array-like', { length: 1, 0: 2 }],
    ['a typed array', new Int32Array([2])],
    ['a negative size', [2, -1]],
    ['a fraction', [1.5]],
    ['NaN', [Number.NaN]],
    ['infinity', [Number.POSITIVE_INFINITY]],
    ['an unsafe integer', [2 ** 53]],
    ['a numeric string', ['2']],
    ['a hole', new Array(1)],
    ['nine dimensions', [1, 1, 1, 1, 1, 1, 1, 1, 1]],
    ['too many bytes', [2 ** 30, 2 ** 30]],
    ['one element too many', [2 ** 50 + 1]],
    ['strides too large in spite of a zero', [0, 2 ** 30, 2 ** 30]],
  ])('refuses %s', (_, value) => {
    expectError(() => checkShape(value, 'add'), 'ERR_SHAPE', /^add: /);
  });
});

describe('contiguousStrides and isContiguous', () => {
  test('examples', () => {
    expect(contiguousStrides([2, 3, 4])).toEqual([12, 4, 1]);
    expect(contiguousStrides([])).toEqual([]);
    expect(contiguousStrides([2, 0, 4])).toEqual([4, 4, 1]);
    expect(isContiguous([2, 3], [3, 1])).toBe(true);
    expect(isContiguous([2, 3], [1, 2])).toBe(false);
    expect(isContiguous([1, 3], [99, 1])).toBe(true);
    expect(isContiguous([2, 0], [7, 9])).toBe(true);
    expect(isContiguous([4], [0])).toBe(false);
    expect(isContiguous([], [])).toBe(true);
  });

  test('contiguous means that positions count up from 0', () => {
    fc.assert(
      fc.property(stridedShape, ({ shape, strides }) => {
        const counted = positions(shape, strides).every((position, index) => position === index);
        expect(isContiguous(shape, strides)).toBe(counted);
      }),
    );
  });
});

describe('broadcasting', () => {
  test('examples', () => {
    expect(broadcastShapes([2, 1, 4], [3, 1], 'add')).toEqual([2, 3, 4]);
    expect(broadcastShapes([], [3], 'add')).toEqual([3]);
    expect(broadcastShapes([1], [0], 'add')).toEqual([0]);
    expect(broadcastStrides([3, 1], [1, 1], [2, 3, 4])).toEqual([0, 1, 0]);
  });

  test('errors name both shapes', () => {
    expectError(() => broadcastShapes([2, 3], [2, 4], 'add'), 'ERR_SHAPE', /add: .*\[2, 3\].*\[2, 4\]/);
    expectError(() => broadcastShapes([0], [2], 'mul'), 'ERR_SHAPE', /mul/);
    expectError(() => broadcastStrides([2], [1], [3], 'add'), 'ERR_SHAPE', /add: .*\[2\].*\[3\]/);
    expectError(() => broadcastStrides([1, 2], [2, 1], [2]), 'ERR_SHAPE', /\[1, 2\].*\[2\]/);
  });

  test('an operand read at the common shape repeats its own elements', () => {
    const pair = smallShape().chain((shape) =>
      fc.tuple(
        fc.constant(shape),
        fc.array(fc.boolean(), { minLength: shape.length, maxLength: shape.length }),
        fc.nat({ max: shape.length }),
      ),
    );
    fc.assert(
      fc.property(pair, ([shape, ones, dropped]) => {
        const own = shape.map((size, dim) => (ones[dim] ? 1 : size)).slice(dropped);
        expect(broadcastShapes(own, shape)).toEqual(shape);
        expect(broadcastShapes(shape, own)).toEqual(shape);
        const strides = contiguousStrides(own);
        const expected = [...indicesOf(shape)].map((index) =>
          own.reduce((sum, size, dim) => {
            const at = index[dim + dropped] as number;
            return sum + (size === 1 ? 0 : at) * (strides[dim] as number);
          }, 0),
        );
        expect(positions(shape, broadcastStrides(own, strides, shape))).toEqual(expected);
      }),
    );
  });
});

describe('collapse', () => {
  test('examples', () => {
    expect(collapse([2, 3, 4], [[12, 4, 1]])).toEqual({ shape: [24], strides: [[1]] });
    expect(collapse([2, 1, 4], [[8, 99, 1]])).toEqual({ shape: [2, 4], strides: [[8, 1]] });
    // The second operand is broadcast over the rows, so the dimensions do not merge.
    expect(
      collapse(
        [2, 3, 4],
        [
          [12, 4, 1],
          [0, 0, 1],
        ],
      ),
    ).toEqual({
      shape: [6, 4],
      strides: [
        [4, 1],
        [0, 1],
      ],
    });
    expect(collapse([1, 1], [[5, 5]])).toEqual({ shape: [], strides: [[]] });
    expect(
      collapse(
        [3, 0],
        [
          [1, 1],
          [1, 1],
        ],
      ),
    ).toEqual({ shape: [0], strides: [[0], [0]] });
  });

  test('visits the elements of every operand in the same order, and cannot be collapsed further', () => {
    const operands = stridedShape.chain(({ shape, strides }) => {
      const subset = fc.array(fc.constantFrom(0, 1), { minLength: shape.length, maxLength: shape.length });
      const stretched = subset.map((keeps) => keeps.map((keep, dim) => keep * (strides[dim] as number)));
      return fc.record({ shape: fc.constant(shape), operands: fc.tuple(fc.constant(strides), stretched) });
    });
    fc.assert(
      fc.property(operands, ({ shape, operands }) => {
        const collapsed = collapse(shape, operands);
        operands.forEach((strides, index) => {
          expect(positions(collapsed.shape, collapsed.strides[index] as number[])).toEqual(positions(shape, strides));
        });
        expect(collapse(collapsed.shape, collapsed.strides)).toEqual(collapsed);
        expect(collapsed.shape).not.toContain(1);
      }),
    );
  });
});

describe('reshapeStrides', () => {
  test('examples', () => {
    expect(reshapeStrides([2, 6], [6, 1], [3, 4])).toEqual([4, 1]);
    expect(reshapeStrides([2, 6], [12, 1], [2, 3, 2])).toEqual([12, 2, 1]);
    expect(reshapeStrides([2, 6], [12, 1], [12])).toBeUndefined();
    expect(reshapeStrides([3, 2], [1, 3], [6])).toBeUndefined();
    expect(reshapeStrides([4, 5], [0, 0], [20])).toEqual([0]);
    expect(reshapeStrides([2, 2], [2, 1], [5])).toBeUndefined();
    expect(reshapeStrides([2, 0], [5, 5], [0, 7])).toEqual([7, 1]);
    expect(reshapeStrides([1], [5], [])).toEqual([]);
  });

  /** Strides that give these positions in `shape`, found by trying; undefined if there are none. */
  function searchedStrides(order: readonly number[], shape: readonly number[]): number[] | undefined {
    const packed = contiguousStrides(shape);
    const strides = shape.map((size, dim) => (size > 1 ? (order[packed[dim] as number] as number) : 1));
    const found = positions(shape, strides);
    return found.every((position, index) => position === order[index]) ? strides : undefined;
  }

  test('finds strides exactly when there are some', () => {
    const reshapes = stridedShape.chain((source) => {
      const factors = source.shape.flatMap((size) => (size === 4 ? [2, 2] : [size]));
      // New shapes regroup the prime factors in a random order, so that both outcomes are frequent.
      const grouped = fc
        .tuple(
          fc.shuffledSubarray(factors, { minLength: factors.length }),
          fc.boolean(),
          fc.infiniteStream(fc.boolean()),
        )
        .map(([shuffled, keepsOrder, joins]) => {
          const shape: number[] = [];
          for (const factor of keepsOrder ? factors : shuffled) {
            if (shape.length > 0 && joins.next().value === true) shape.push((shape.pop() as number) * factor);
            else shape.push(factor);
          }
          return shape;
        });
      return fc.record({ source: fc.constant(source), shape: grouped });
    });
    let found = 0;
    let refused = 0;
    fc.assert(
      fc.property(reshapes, ({ source, shape }) => {
        const order = positions(source.shape, source.strides);
        const strides = reshapeStrides(source.shape, source.strides, shape);
        if (strides === undefined) {
          refused++;
          expect(searchedStrides(order, shape)).toBeUndefined();
        } else {
          found++;
          expect(positions(shape, strides)).toEqual(order);
        }
      }),
      { numRuns: 1000 },
    );
    expect(Math.min(found, refused)).toBeGreaterThan(30);
  });
});

test('byteExtent is the range from the first to the last element', () => {
  expect(byteExtent({ dtype: 'f32', shape: [2, 3], strides: [10, 2], offset: 4 })).toEqual({ start: 16, end: 76 });
  expect(byteExtent({ dtype: 'i8', shape: [5], strides: [0], offset: 3 })).toEqual({ start: 3, end: 4 });
  expect(byteExtent({ dtype: 'f16', shape: [2, 0], strides: [9, 9], offset: 3 })).toEqual({ start: 6, end: 6 });
  fc.assert(
    fc.property(stridedShape, fc.nat({ max: 9 }), ({ shape, strides }, offset) => {
      const { start, end } = byteExtent({ dtype: 'f32', shape, strides, offset });
      const touched = positions(shape, strides).map((position) => (offset + position) * 4);
      expect(start).toBe(offset * 4);
      expect(end).toBe(elementCount(shape) === 0 ? start : Math.max(...touched) + 4);
    }),
  );
});
