// Pure functions on shapes and strides; no tensors, no memory. Strides count elements and are never negative. Called by
// Tensor for its views, and by ops to check and flatten their operands.
import { describe, unreadable } from '../../base/describe.js';
import { formatShape, TesseraeError } from '../../base/errors.js';
import { type DType, dtypes } from '../elements/dtype.js';

export const MAX_RANK = 8;

/** The most elements of a shape: no byte count of any element type then reaches 2^53. */
const MAX_ELEMENTS = 2 ** 50;

/** Where a tensor's elements are located in a storage. */
export interface Layout {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  /** Position of the first element, in elements from the storage's start. */
  readonly offset: number;
}

export function shapeError(message: string, op?: string): TesseraeError {
  return new TesseraeError('ERR_SHAPE', message, op === undefined ? {} : { op });
}

export function argumentError(message: string, op?: string): TesseraeError {
  return new TesseraeError('ERR_ARGUMENT', message, op === undefined ? {} : { op });
}

/** Product of the dimensions; 1 for rank 0. */
export function elementCount(shape: readonly number[]): number {
  let count = 1;
  for (const size of shape) count *= size;
  return count;
}

/** Row-major strides of a packed tensor. Dimensions of size 0 count as 1, so all strides are positive. */
export function contiguousStrides(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length).fill(1);
  let stride = 1;
  for (let dim = shape.length - 1; dim >= 0; dim--) {
    strides[dim] = stride;
    stride *= Math.max(shape[dim] as number, 1);
  }
  return strides;
}

/** Whether the elements are packed in row-major order. Strides of dimensions of size 1 do not matter. */
export function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  let packed = true;
  for (let dim = shape.length - 1; dim >= 0; dim--) {
    const size = shape[dim] as number;
    if (size === 0) return true;
    if (size === 1) continue;
    if (strides[dim] !== expected) packed = false;
    expected *= size;
  }
  return packed;
}

/**
 * A copy of a valid shape: an array of at most {@link MAX_RANK} non-negative safe integers; `[]` is a scalar.
 * @throws TesseraeError ERR_SHAPE for anything else, and for more elements than can be addressed
 */
export function checkShape(value: unknown, op?: string): number[] {
  try {
    return copyShape(value, op);
  } catch (cause) {
    throw unreadable(cause, 'the shape', op);
  }
}

function copyShape(value: unknown, op: string | undefined): number[] {
  if (!Array.isArray(value)) throw shapeError(`expected a shape (an array of sizes), got ${describe(value)}`, op);
  if (value.length > MAX_RANK) throw shapeError(`at most ${MAX_RANK} dimensions, got ${value.length}`, op);
  const shape: number[] = [];
  let elements = 1;
  for (let dim = 0; dim < value.length; dim++) {
    const size: unknown = value[dim];
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
      throw shapeError(`dimension ${dim} of a shape must be a non-negative integer, got ${describe(size)}`, op);
    }
    shape.push(size);
    // Sizes of 0 count as 1: strides are computed the same way and must be safe integers, too.
    elements *= Math.max(size, 1);
    if (elements > MAX_ELEMENTS) throw shapeError(`too many elements in ${formatShape(value as number[])}`, op);
  }
  return shape;
}

/**
 * The shape that both operands broadcast to: aligned at the last dimension; dimensions of size 1 are repeated.
 * @throws TesseraeError ERR_SHAPE if they do not broadcast
 */
export function broadcastShapes(a: readonly number[], b: readonly number[], op?: string): number[] {
  const rank = Math.max(a.length, b.length);
  const shape = new Array<number>(rank).fill(0);
  for (let fromEnd = 1; fromEnd <= rank; fromEnd++) {
    const sizeA = a[a.length - fromEnd] ?? 1;
    const sizeB = b[b.length - fromEnd] ?? 1;
    if (sizeA !== sizeB && sizeA !== 1 && sizeB !== 1) {
      throw shapeError(`shapes ${formatShape(a)} and ${formatShape(b)} do not broadcast`, op);
    }
    shape[rank - fromEnd] = sizeA === 1 ? sizeB : sizeA;
  }
  return shape;
}

/**
 * The strides that read `shape` as the larger shape `to`: 0 for each dimension that is repeated or added.
 * @throws TesseraeError ERR_SHAPE if `shape` does not broadcast to `to`
 */
export function broadcastStrides(
  shape: readonly number[],
  strides: readonly number[],
  to: readonly number[],
  op?: string,
): number[] {
  const added = to.length - shape.length;
  if (added < 0) throw shapeError(`${formatShape(shape)} does not broadcast to ${formatShape(to)}`, op);
  return to.map((size, dim) => {
    if (dim < added) return 0;
    const own = shape[dim - added] as number;
    if (own === size) return strides[dim - added] as number;
    if (own === 1) return 0;
    throw shapeError(`${formatShape(shape)} does not broadcast to ${formatShape(to)}`, op);
  });
}

/**
 * The fewest dimensions that visit the elements of all operands in the same order: dimensions of size 1 are dropped, and
 * neighbours merge if they merge in every operand. A shape of ones gives rank 0; a shape without elements gives `[0]`.
 */
export function collapse(
  shape: readonly number[],
  operands: readonly (readonly number[])[],
): { shape: number[]; strides: number[][] } {
  if (shape.includes(0)) return { shape: [0], strides: operands.map(() => [0]) };
  const merged: number[] = [];
  const strides: number[][] = operands.map(() => []);
  for (let dim = 0; dim < shape.length; dim++) {
    const size = shape[dim] as number;
    if (size === 1) continue;
    const last = merged.length - 1;
    const merges = last >= 0 && operands.every((own, index) => strides[index]?.[last] === (own[dim] as number) * size);
    if (merges) merged[last] = (merged[last] as number) * size;
    else merged.push(size);
    for (let index = 0; index < operands.length; index++) {
      (strides[index] as number[])[merged.length - 1] = (operands[index] as readonly number[])[dim] as number;
    }
  }
  return { shape: merged, strides };
}

/** Strides that give the same elements in the same order in `newShape`, or undefined if that needs a copy. */
export function reshapeStrides(
  shape: readonly number[],
  strides: readonly number[],
  newShape: readonly number[],
): number[] | undefined {
  if (elementCount(shape) !== elementCount(newShape)) return undefined;
  const reshaped = contiguousStrides(newShape);
  if (isContiguous(shape, strides)) return reshaped;
  // Each collapsed dimension must be the product of a run of new dimensions; matched from the last one backwards.
  const groups = collapse(shape, [strides]);
  let dim = newShape.length - 1;
  for (let group = groups.shape.length - 1; group >= 0; group--) {
    const size = groups.shape[group] as number;
    let covered = 1;
    while (covered < size) {
      reshaped[dim] = (groups.strides[0]?.[group] as number) * covered;
      covered *= newShape[dim--] as number;
    }
    if (covered !== size) return undefined;
  }
  return reshaped;
}

/** The range of bytes that a layout covers, from the storage's start: `[start, end)`; empty without elements. */
export function byteExtent(layout: Layout): { start: number; end: number } {
  const { sizeBytes } = dtypes[layout.dtype];
  const start = layout.offset * sizeBytes;
  let last = layout.offset;
  for (let dim = 0; dim < layout.shape.length; dim++) {
    const size = layout.shape[dim] as number;
    if (size === 0) return { start, end: start };
    last += (size - 1) * (layout.strides[dim] as number);
  }
  return { start, end: (last + 1) * sizeBytes };
}
