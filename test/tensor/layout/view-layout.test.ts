// The layouts of views, on fixed examples: what each takes, and what it says when it refuses.
import { describe, expect, test } from 'vitest';
import {
  expandedLayout,
  reshapedLayout,
  type SliceRange,
  slicedLayout,
  squeezedLayout,
  transposedLayout,
  unsqueezedLayout,
} from '../../../src/tensor/layout/view-layout.js';
import { expectError } from '../support.js';

const packed = { shape: [2, 3, 4], strides: [12, 4, 1] };
const at = (shape: number[], strides: number[], offset = 0) => ({ shape, strides, offset });
const exactly = (message: string) => new RegExp(`^${message.replace(/[[\]().^$-]/g, '\\$&')}$`);

describe('reshape', () => {
  const of = (requested: unknown, source = packed) => reshapedLayout(source, requested as number[]);

  test('gives another shape of as many elements, of which one size may be left open', () => {
    expect(of([6, 4])).toEqual(at([6, 4], [4, 1]));
    expect(of([-1])).toEqual(at([24], [1]));
    expect(of([-1, 6])).toEqual(at([4, 6], [6, 1]));
    expect(of([2, -1, 2])).toEqual(at([2, 6, 2], [12, 2, 1]));
    expect(of([24, -1])).toEqual(at([24, 1], [1, 1]));
    const empty = { shape: [0, 3], strides: [3, 1] };
    expect(of([7, 0], empty).shape).toEqual([7, 0]);
    expect(of([-1, 5], empty).shape).toEqual([0, 5]);
    const given = [-1, 24];
    of(given);
    expect(given).toEqual([-1, 24]);
  });

  test('refuses other numbers of elements, and what needs a copy', () => {
    for (const requested of [[5, 5], [23], [-1, 5], [-1, 7], [0], [0, -1], []]) {
      const wanted = `reshape: [2, 3, 4] does not have the elements of [${requested.join(', ')}]`;
      expectError(() => of(requested), 'ERR_SHAPE', exactly(wanted));
    }
    expectError(() => of([-1, -1]), 'ERR_SHAPE', /^reshape: dimension 1 of a shape/);
    expectError(() => of([-2, 12]), 'ERR_SHAPE', /^reshape: dimension 0 of a shape/);
    for (const requested of ['24', undefined, 24])
      expectError(() => of(requested), 'ERR_SHAPE', /^reshape: expected a shape/);
    const turned = { shape: [4, 3], strides: [1, 4] };
    const copy = 'reshape: a view of shape [4, 3] with strides [1, 4] cannot be seen as [12] without a copy';
    expectError(() => of([12], turned), 'ERR_SHAPE', exactly(copy));
  });
});

describe('transpose', () => {
  const of = (...axes: unknown[]) => transposedLayout(packed, axes as number[]);

  test('permutes the dimensions, or reverses them', () => {
    expect(of()).toEqual(at([4, 3, 2], [1, 4, 12]));
    expect(of(1, 2, 0)).toEqual(at([3, 4, 2], [4, 1, 12]));
    expect(of(-3, -1, 1)).toEqual(at([2, 4, 3], [12, 1, 4]));
    expect(transposedLayout({ shape: [], strides: [] }, [])).toEqual(at([], []));
  });

  test('refuses axes that do not name each dimension once', () => {
    for (const axes of [[0], [0, 1], [0, 1, 1], [0, 1, -2], [0, 1, 2, 0]]) {
      const message = `transpose: axes [${axes.join(', ')}] do not name each of 3 dimensions once`;
      expectError(() => of(...axes), 'ERR_ARGUMENT', exactly(message));
    }
    for (const axis of [3, -4, 0.5, '1', null]) {
      expectError(() => of(0, 1, axis), 'ERR_ARGUMENT', /^transpose: .* is not one of 3 dimensions$/);
    }
  });
});

describe('slice', () => {
  const of = (...ranges: unknown[]) => slicedLayout(packed, ranges as SliceRange[]);

  test('takes a part of each dimension', () => {
    expect(of()).toEqual(at([2, 3, 4], [12, 4, 1]));
    expect(of(null, [], undefined)).toEqual(at([2, 3, 4], [12, 4, 1]));
    expect(of([1])).toEqual(at([1, 3, 4], [12, 4, 1], 12));
    expect(of([0, 1], [1, 3], [2])).toEqual(at([1, 2, 2], [12, 4, 1], 6));
    expect(of(null, null, [1, undefined, 2])).toEqual(at([2, 3, 2], [12, 4, 2], 1));
    expect(of(null, null, [0, 3, 2])).toEqual(at([2, 3, 2], [12, 4, 2]));
    expect(of(null, null, [0, 4, 3])).toEqual(at([2, 3, 2], [12, 4, 3]));
    expect(of(null, null, [undefined, -1])).toEqual(at([2, 3, 3], [12, 4, 1]));
    expect(of([-2, -1], [-1])).toEqual(at([1, 1, 4], [12, 4, 1], 8));
  });

  test('may take nothing, or one element with any step', () => {
    expect(of([0, 0])).toEqual(at([0, 3, 4], [12, 4, 1]));
    expect(of([2, 2])).toEqual(at([0, 3, 4], [12, 4, 1], 24));
    expect(of(null, [1, 1, 2]).shape).toEqual([2, 0, 4]);
    expect(of([0, 2, 2 ** 52])).toEqual(at([1, 3, 4], [12, 4, 1]));
    expect(of([0, 2, 2])).toEqual(at([1, 3, 4], [12, 4, 1]));
  });

  test('leaves its source as it is', () => {
    of([1], [1], [1, 4, 2]);
    expect(packed).toEqual({ shape: [2, 3, 4], strides: [12, 4, 1] });
  });

  test('refuses what is no range, and ranges outside of the dimension', () => {
    expectError(() => of(null, null, null, null), 'ERR_SHAPE', exactly('slice: 4 ranges for shape [2, 3, 4]'));
    for (const range of [1, 'a', {}, [0, 1, 1, 1]]) {
      expectError(() => of(null, range), 'ERR_ARGUMENT', /^slice: range 1 must be \[start, end, step\] or null, got /);
    }
    for (const bound of [0.5, '1', Number.NaN, 2 ** 53]) {
      const message = /^slice: a bound of dimension 0 must be an integer, got /;
      expectError(() => of([bound]), 'ERR_ARGUMENT', message);
      expectError(() => of([0, bound]), 'ERR_ARGUMENT', message);
    }
    for (const bound of [3, -3]) {
      const message = exactly(`slice: bound ${bound} is outside dimension 0 of [2, 3, 4]`);
      expectError(() => of([bound]), 'ERR_SHAPE', message);
      expectError(() => of([0, bound]), 'ERR_SHAPE', message);
    }
    for (const step of [0, -1, 0.5, '1', 2 ** 53]) {
      const message = /^slice: the step of dimension 0 must be a positive integer, got /;
      expectError(() => of([0, 2, step]), 'ERR_ARGUMENT', message);
    }
    expectError(() => of([2, 1]), 'ERR_SHAPE', exactly('slice: range [2, 1) of dimension 0 ends before it starts'));
  });
});

test('expand repeats dimensions of size 1, and adds some in front', () => {
  const source = { shape: [3, 1], strides: [5, 7] };
  expect(expandedLayout(source, [2, 3, 4])).toEqual(at([2, 3, 4], [0, 5, 0]));
  expect(expandedLayout(source, [3, 1])).toEqual(at([3, 1], [5, 7]));
  expect(expandedLayout(source, [3, 0])).toEqual(at([3, 0], [5, 0]));
  expectError(
    () => expandedLayout(source, [4, 1]),
    'ERR_SHAPE',
    exactly('expand: [3, 1] does not broadcast to [4, 1]'),
  );
  expectError(() => expandedLayout(source, [3]), 'ERR_SHAPE', /^expand: /);
  expectError(() => expandedLayout(source, [-1, 3, 1]), 'ERR_SHAPE', /^expand: dimension 0/);
});

describe('squeeze', () => {
  const source = { shape: [1, 3, 1, 0], strides: [9, 5, 7, 2] };

  test('drops a dimension of size 1, or all of them', () => {
    expect(squeezedLayout(source, undefined)).toEqual(at([3, 0], [5, 2]));
    expect(squeezedLayout(source, 0)).toEqual(at([3, 1, 0], [5, 7, 2]));
    expect(squeezedLayout(source, -2)).toEqual(at([1, 3, 0], [9, 5, 2]));
  });

  test('refuses others', () => {
    const message = exactly('squeeze: dimension 1 of [1, 3, 1, 0] is not of size 1');
    for (const axis of [1, -3]) expectError(() => squeezedLayout(source, axis), 'ERR_SHAPE', message);
    expectError(() => squeezedLayout(source, 3), 'ERR_SHAPE', /dimension 3 .* is not of size 1/);
    for (const axis of [4, -5, 0.5, null as unknown as number]) {
      expectError(() => squeezedLayout(source, axis), 'ERR_ARGUMENT', /^squeeze: .* is not one of 4 dimensions$/);
    }
  });
});

describe('unsqueeze', () => {
  test('adds a dimension of size 1 before another one, or at the end', () => {
    expect(unsqueezedLayout(packed, 0)).toEqual(at([1, 2, 3, 4], [24, 12, 4, 1]));
    expect(unsqueezedLayout(packed, 2)).toEqual(at([2, 3, 1, 4], [12, 4, 4, 1]));
    expect(unsqueezedLayout(packed, 3)).toEqual(at([2, 3, 4, 1], [12, 4, 1, 1]));
    expect(unsqueezedLayout(packed, -1)).toEqual(at([2, 3, 4, 1], [12, 4, 1, 1]));
    expect(unsqueezedLayout(packed, -4)).toEqual(at([1, 2, 3, 4], [24, 12, 4, 1]));
    expect(unsqueezedLayout({ shape: [], strides: [] }, 0)).toEqual(at([1], [1]));
  });

  test('refuses others, and a ninth dimension', () => {
    for (const axis of [4, -5, 0.5, '0' as unknown as number]) {
      expectError(() => unsqueezedLayout(packed, axis), 'ERR_ARGUMENT', /^unsqueeze: .* is not one of 4 dimensions$/);
    }
    const eight = { shape: new Array(8).fill(1), strides: new Array(8).fill(1) };
    expectError(() => unsqueezedLayout(eight, 0), 'ERR_SHAPE', exactly('unsqueeze: at most 8 dimensions'));
    const seven = { shape: new Array(7).fill(1), strides: new Array(7).fill(1) };
    expect(unsqueezedLayout(seven, 0).shape).toHaveLength(8);
  });
});
