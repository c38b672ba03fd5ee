// Pure functions that check the arguments of views and compute their layouts: reshape, transpose, slice, expand, squeeze,
// unsqueeze. Called by Tensor alone.
import { describe } from '../../base/describe.js';
import { formatShape } from '../../base/errors.js';
import {
  argumentError,
  broadcastStrides,
  checkShape,
  elementCount,
  MAX_RANK,
  reshapeStrides,
  shapeError,
} from './layout.js';

/** The layout of a view. `offset`, in elements, is added to the source's; without elements it has no meaning. */
export interface ViewLayout {
  shape: number[];
  strides: number[];
  offset: number;
}

interface Source {
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

/** One dimension of a slice: `[start, end, step]`, each optional; `null` or `[]` takes the whole dimension. */
export type SliceRange = readonly [start?: number, end?: number, step?: number] | null;

export function reshapedLayout(source: Source, requested: readonly number[]): ViewLayout {
  const shape = inferShape(source.shape, requested);
  const strides = reshapeStrides(source.shape, source.strides, shape);
  if (strides !== undefined) return { shape, strides, offset: 0 };
  const message = `a view of shape ${formatShape(source.shape)} with strides ${formatShape(source.strides)}`;
  throw shapeError(`${message} cannot be seen as ${formatShape(shape)} without a copy`, 'reshape');
}

/** Replaces a -1 in a requested shape by the size that fits, and checks that the numbers of elements are equal. */
function inferShape(shape: readonly number[], requested: readonly number[]): number[] {
  const free = Array.isArray(requested) ? requested.indexOf(-1) : -1;
  if (free < 0) {
    const fixed = checkShape(requested, 'reshape');
    if (elementCount(fixed) === elementCount(shape)) return fixed;
  } else {
    const fixed = checkShape(requested.with(free, 1), 'reshape');
    const known = elementCount(fixed);
    // No number is a multiple of 0: the remainder is NaN.
    if (elementCount(shape) % known === 0) return fixed.with(free, elementCount(shape) / known);
  }
  throw shapeError(`${formatShape(shape)} does not have the elements of ${formatShape(requested)}`, 'reshape');
}

export function transposedLayout(source: Source, axes: readonly number[]): ViewLayout {
  const rank = source.shape.length;
  const order =
    axes.length === 0
      ? source.shape.map((_, dim) => rank - 1 - dim)
      : axes.map((axis) => checkAxis(axis, rank, 'transpose'));
  if (order.length !== rank || new Set(order).size !== rank) {
    throw argumentError(`axes ${formatShape(axes)} do not name each of ${rank} dimensions once`, 'transpose');
  }
  return {
    shape: order.map((axis) => source.shape[axis] as number),
    strides: order.map((axis) => source.strides[axis] as number),
    offset: 0,
  };
}

export function slicedLayout(source: Source, ranges: readonly SliceRange[]): ViewLayout {
  if (ranges.length > source.shape.length) {
    throw shapeError(`${ranges.length} ranges for shape ${formatShape(source.shape)}`, 'slice');
  }
  const shape = [...source.shape];
  const strides = [...source.strides];
  let offset = 0;
  for (let dim = 0; dim < ranges.length; dim++) {
    const range = ranges[dim] ?? [];
    if (!Array.isArray(range) || range.length > 3) {
      throw argumentError(`range ${dim} must be [start, end, step] or null, got ${describe(range)}`, 'slice');
    }
    const size = source.shape[dim] as number;
    const stride = source.strides[dim] as number;
    const start = checkBound(range[0] ?? 0, dim, source.shape);
    const end = checkBound(range[1] ?? size, dim, source.shape);
    const step: unknown = range[2] ?? 1;
    if (typeof step !== 'number' || !Number.isSafeInteger(step) || step < 1) {
      throw argumentError(`the step of dimension ${dim} must be a positive integer, got ${describe(step)}`, 'slice');
    }
    if (end < start) throw shapeError(`range [${start}, ${end}) of dimension ${dim} ends before it starts`, 'slice');
    const taken = Math.ceil((end - start) / step);
    shape[dim] = taken;
    // The stride of a single element is not used; it keeps its value, so that a huge step cannot make it unsafe.
    if (taken > 1) strides[dim] = stride * step;
    offset += start * stride;
  }
  return { shape, strides, offset };
}

function checkBound(value: unknown, dim: number, shape: readonly number[]): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) {
    throw argumentError(`a bound of dimension ${dim} must be an integer, got ${describe(value)}`, 'slice');
  }
  const size = shape[dim] as number;
  const bound = value < 0 ? value + size : value;
  if (bound >= 0 && bound <= size) return bound;
  throw shapeError(`bound ${value} is outside dimension ${dim} of ${formatShape(shape)}`, 'slice');
}

export function expandedLayout(source: Source, to: readonly number[]): ViewLayout {
  const shape = checkShape(to, 'expand');
  return { shape, strides: broadcastStrides(source.shape, source.strides, shape, 'expand'), offset: 0 };
}

/** Without an axis, drops every dimension of size 1. */
export function squeezedLayout(source: Source, axis: number | undefined): ViewLayout {
  let keeps = (size: number, _dim: number): boolean => size !== 1;
  if (axis !== undefined) {
    const dropped = checkAxis(axis, source.shape.length, 'squeeze');
    if (source.shape[dropped] !== 1) {
      throw shapeError(`dimension ${dropped} of ${formatShape(source.shape)} is not of size 1`, 'squeeze');
    }
    keeps = (_size, dim) => dim !== dropped;
  }
  return {
    shape: source.shape.filter(keeps),
    strides: source.strides.filter((_, dim) => keeps(source.shape[dim] as number, dim)),
    offset: 0,
  };
}

export function unsqueezedLayout(source: Source, axis: number): ViewLayout {
  const rank = source.shape.length;
  if (rank === MAX_RANK) throw shapeError(`at most ${MAX_RANK} dimensions`, 'unsqueeze');
  const added = checkAxis(axis, rank + 1, 'unsqueeze');
  const stride = added === rank ? 1 : (source.strides[added] as number) * (source.shape[added] as number);
  return {
    shape: source.shape.toSpliced(added, 0, 1),
    strides: source.strides.toSpliced(added, 0, stride),
    offset: 0,
  };
}

/** The index of a dimension; a negative axis counts from the end. */
function checkAxis(axis: unknown, rank: number, op: string): number {
  if (typeof axis === 'number' && Number.isSafeInteger(axis) && axis >= -rank && axis < rank) {
    return axis < 0 ? axis + rank : axis;
  }
  throw argumentError(`${describe(axis)} is not one of ${rank} dimensions`, op);
}
