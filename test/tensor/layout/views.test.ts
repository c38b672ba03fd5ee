// The view methods of Tensor: any chain of them gives the elements that naive index mapping gives, without a copy.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { storageOf, type Tensor } from '../../../src/tensor/tensor.js';
import { expectError, flatten, indicesOf, makePool, type Naive, naive, smallShape } from '../support.js';

interface Viewed {
  tensor: Tensor;
  oracle: Naive;
}

/** Applies one view method, which `choice` selects; the stream supplies its arguments. */
type Step = (viewed: Viewed, choose: (count: number) => number) => Viewed;

const steps: Record<string, Step> = {
  transpose({ tensor, oracle }, choose) {
    const rest = [...oracle.shape.keys()];
    const axes: number[] = [];
    while (rest.length > 0) axes.push(...rest.splice(choose(rest.length), 1));
    const given = choose(2) === 0 ? axes : axes.map((axis) => axis - oracle.shape.length);
    const shape = axes.map((axis) => oracle.shape[axis] as number);
    const at = (index: readonly number[]) =>
      oracle.at([...oracle.shape.keys()].map((dim) => index[axes.indexOf(dim)]!));
    return { tensor: tensor.transpose(...given), oracle: { shape, at } };
  },
  reverse({ tensor, oracle }) {
    const at = (index: readonly number[]) => oracle.at([...index].reverse());
    return { tensor: tensor.transpose(), oracle: { shape: [...oracle.shape].reverse(), at } };
  },
  slice({ tensor, oracle }, choose) {
    const ranges = oracle.shape.map((size) => {
      const start = choose(size + 1);
      return { start, end: start + choose(size - start + 1), step: 1 + choose(3), negative: choose(2) === 1 };
    });
    const shape = ranges.map(
      ({ start, end, step }) => [...Array(end - start).keys()].filter((at) => at % step === 0).length,
    );
    const at = (index: readonly number[]) =>
      oracle.at(index.map((at, dim) => ranges[dim]!.start + at * ranges[dim]!.step));
    const given = ranges.map(({ start, end, step, negative }, dim) => {
      const size = oracle.shape[dim] as number;
      const from = negative && start < size ? start - size : start;
      return [from, negative && end < size ? end - size : end, step] as const;
    });
    return { tensor: tensor.slice(...given), oracle: { shape, at } };
  },
  expand({ tensor, oracle }, choose) {
    const added = oracle.shape.length < 5 ? [...Array(choose(2))].map(() => choose(3)) : [];
    const shape = [...added, ...oracle.shape.map((size) => (size === 1 ? choose(3) : size))];
    const at = (index: readonly number[]) =>
      oracle.at(oracle.shape.map((size, dim) => (size === 1 ? 0 : index[dim + added.length]!)));
    return { tensor: tensor.expand(shape), oracle: { shape, at } };
  },
  unsqueeze({ tensor, oracle }, choose) {
    const rank = oracle.shape.length;
    if (rank > 5) return { tensor, oracle };
    const axis = choose(rank + 1);
    const at = (index: readonly number[]) => oracle.at(index.toSpliced(axis, 1));
    const given = choose(2) === 0 ? axis : axis - rank - 1;
    return { tensor: tensor.unsqueeze(given), oracle: { shape: oracle.shape.toSpliced(axis, 0, 1), at } };
  },
  squeeze({ tensor, oracle }) {
    const kept = [...oracle.shape.keys()].filter((dim) => oracle.shape[dim] !== 1);
    const at = (index: readonly number[]) =>
      oracle.at(oracle.shape.map((_, dim) => (kept.includes(dim) ? index[kept.indexOf(dim)]! : 0)));
    return { tensor: tensor.squeeze(), oracle: { shape: kept.map((dim) => oracle.shape[dim]!), at } };
  },
  squeezeOne({ tensor, oracle }) {
    const axis = oracle.shape.indexOf(1);
    if (axis < 0) return { tensor, oracle };
    const at = (index: readonly number[]) => oracle.at(index.toSpliced(axis, 0, 0));
    return { tensor: tensor.squeeze(axis), oracle: { shape: oracle.shape.toSpliced(axis, 1), at } };
  },
  flatten({ tensor, oracle }, choose) {
    const flat = naive([flatten(oracle).length], flatten(oracle));
    try {
      return { tensor: tensor.reshape(choose(2) === 0 ? flat.shape : [-1]), oracle: flat };
    } catch (error) {
      // The test of reshapeStrides covers whether a copy is needed.
      expect((error as { code: string }).code).toBe('ERR_SHAPE');
      expect(tensor.isContiguous).toBe(false);
      return { tensor, oracle };
    }
  },
};

const chain = fc.record({
  shape: smallShape({ min: 1, max: 4 }),
  names: fc.array(fc.constantFrom(...Object.keys(steps)), { maxLength: 6 }),
  choices: fc.infiniteStream(fc.nat()),
});

describe('chains of views', () => {
  test('give the elements that naive index mapping gives', () => {
    fc.assert(
      fc.property(chain, fc.constantFrom('f32', 'f16', 'bf16', 'i8', 'i32'), ({ shape, names, choices }, dtype) => {
        const pool = makePool();
        const values = [...indicesOf(shape)].map((_, index) => index % 120);
        using owner = pool.tensor(shape, dtype, values);
        const choose = (count: number): number => choices.next().value % count;
        let viewed: Viewed = { tensor: owner, oracle: naive(shape, values) };
        for (const name of names) viewed = steps[name]!(viewed, choose);
        const { tensor, oracle } = viewed;
        expect(tensor.shape).toEqual(oracle.shape);
        expect([...tensor.toArray()]).toEqual(flatten(oracle));
        expect(storageOf(tensor)).toBe(storageOf(owner));
        expect(pool.stats().rents).toBe(1);
        if (tensor.isContiguous && dtype !== 'f16' && dtype !== 'bf16')
          expect([...tensor.data]).toEqual(flatten(oracle));
      }),
      { numRuns: 1000 },
    );
  });

  test('are written through, and no other element changes', () => {
    fc.assert(
      fc.property(chain, ({ shape, names, choices }) => {
        const pool = makePool();
        const positions = [...indicesOf(shape)].map((_, index) => index);
        using owner = pool.tensor(shape, 'f32', positions);
        const choose = (count: number): number => choices.next().value % count;
        let viewed: Viewed = { tensor: owner, oracle: naive(shape, positions) };
        for (const name of names) if (name !== 'expand') viewed = steps[name]!(viewed, choose);
        const touched = flatten(viewed.oracle);
        viewed.tensor.set(touched.map((position) => -1 - position));
        const expected = positions.map((position) => (touched.includes(position) ? -1 - position : position));
        expect([...owner.data]).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });
});

describe('refused views', () => {
  const pool = makePool();
  const x = pool.tensor([2, 3, 4]);

  test('reshape', () => {
    expect(x.reshape([4, -1]).shape).toEqual([4, 6]);
    expect(x.reshape([-1, 24]).shape).toEqual([1, 24]);
    expectError(() => x.reshape([5, 5]), 'ERR_SHAPE', /reshape: .*\[2, 3, 4\].*\[5, 5\]/);
    expectError(() => x.reshape([-1, 5]), 'ERR_SHAPE', /\[-1, 5\]/);
    expectError(() => x.reshape([-1, -1]), 'ERR_SHAPE', /reshape/);
    expectError(() => x.reshape([0, -1]), 'ERR_SHAPE', /reshape/);
    expectError(() => x.reshape('24' as unknown as number[]), 'ERR_SHAPE', /reshape/);
    expectError(() => x.transpose().reshape([24]), 'ERR_SHAPE', /copy/);
  });

  test('transpose', () => {
    expect(x.transpose().shape).toEqual([4, 3, 2]);
    expect(x.transpose(0, -1, 1).shape).toEqual([2, 4, 3]);
    expectError(() => x.transpose(0, 1), 'ERR_ARGUMENT', /3 dimensions/);
    expectError(() => x.transpose(0, 1, 1), 'ERR_ARGUMENT', /3 dimensions/);
    expectError(() => x.transpose(0, 1, -2), 'ERR_ARGUMENT', /3 dimensions/);
    expectError(() => x.transpose(0, 1, 3), 'ERR_ARGUMENT', /transpose: 3/);
    expectError(() => x.transpose(0, 1, 0.5), 'ERR_ARGUMENT', /0\.5/);
  });

  test('slice', () => {
    expect(x.slice().shape).toEqual([2, 3, 4]);
    expect(x.slice(null, [], [1]).shape).toEqual([2, 3, 3]);
    expect(x.slice([0, 0]).shape).toEqual([0, 3, 4]);
    expect(x.slice([2]).toArray()).toHaveLength(0);
    expect(x.slice([0, 2, 2 ** 52]).shape).toEqual([1, 3, 4]);
    expect(x.slice([2], [3], [4]).slice([0, 0]).data).toHaveLength(0);
    expectError(() => x.slice([0, 3]), 'ERR_SHAPE', /slice: .*3.*\[2, 3, 4\]/);
    expectError(() => x.slice([-3]), 'ERR_SHAPE', /-3/);
    expectError(() => x.slice([1, 0]), 'ERR_SHAPE', /ends before/);
    expectError(() => x.slice([0, 1, 0]), 'ERR_ARGUMENT', /step/);
    expectError(() => x.slice([0, 1, -1]), 'ERR_ARGUMENT', /step/);
    expectError(() => x.slice([0.5]), 'ERR_ARGUMENT', /0\.5/);
    expectError(() => x.slice(1 as never), 'ERR_ARGUMENT', /range 0/);
    expectError(() => x.slice([0, 1, 1, 1] as never), 'ERR_ARGUMENT', /range 0/);
    expectError(() => x.slice(null, null, null, null), 'ERR_SHAPE', /4 ranges/);
  });

  test('expand, squeeze and unsqueeze', () => {
    expect(x.expand([5, 2, 3, 4]).shape).toEqual([5, 2, 3, 4]);
    expectError(() => x.expand([2, 3]), 'ERR_SHAPE', /expand: /);
    expectError(() => x.expand([4, 3, 4]), 'ERR_SHAPE', /\[2, 3, 4\].*\[4, 3, 4\]/);
    expectError(() => x.squeeze(0), 'ERR_SHAPE', /not of size 1/);
    expectError(() => x.squeeze(3), 'ERR_ARGUMENT', /squeeze/);
    expectError(() => x.unsqueeze(4), 'ERR_ARGUMENT', /unsqueeze/);
    expect(x.unsqueeze(-1).shape).toEqual([2, 3, 4, 1]);
    expectError(() => x.reshape([1, 1, 1, 1, 1, 2, 3, 4]).unsqueeze(0), 'ERR_SHAPE', /8 dimensions/);
  });
});
