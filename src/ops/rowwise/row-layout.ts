// Operands as rows of unit stride over at most four outer dimensions (native/kernels/rows.h), and the number of rows in a
// tile. Pure functions. Called by all ops whose kernels take rows, and by copy.
import { collapse, elementCount } from '../../tensor/layout/layout.js';
import type { Tensor } from '../../tensor/tensor.js';

/** Outer dimensions that the kernels take: kOuterDims. */
export const outerDims = 4;

/** A tile of a row-wise op has at least this many elements, so that its work is large compared to its claim. */
const leastTileElements = 8192;
const mostTileElements = 1 << 18;
/** Tiles per worker, so that fast cores can take tiles from slow ones. */
const tilesPerWorker = 4;

/** Rows of operands: the sizes of the four outer dimensions, and the strides of each operand over them. */
export interface Rows {
  readonly rows: number;
  readonly columns: number;
  readonly outer: readonly number[];
  readonly strides: readonly (readonly number[])[];
}

/** The values after as many `filler`s as make `length`: kernels take a fixed number of dimensions. */
export function padFront(values: readonly number[], filler: number, length = outerDims): number[] {
  return [...new Array<number>(length - values.length).fill(filler), ...values];
}

/** The rows of operands that all have `shape`, along its last dimension; undefined if an operand must be copied first. */
export function rowsOf(shape: readonly number[], operands: readonly Tensor[]): Rows | undefined {
  const last = shape.length - 1;
  const columns = shape[last] as number;
  if (columns > 1 && operands.some((operand) => operand.strides[last] !== 1)) return undefined;
  return outerOf(
    shape,
    operands.map((operand) => operand.strides),
  );
}

/** The same for operands whose strides along the row do not matter. */
export function outerOf(shape: readonly number[], strides: readonly (readonly number[])[]): Rows | undefined {
  const last = shape.length - 1;
  const outerShape = shape.slice(0, last);
  const merged = collapse(
    outerShape,
    strides.map((own) => own.slice(0, last)),
  );
  if (merged.shape.length > outerDims) return undefined;
  return {
    rows: elementCount(merged.shape),
    columns: shape[last] as number,
    outer: padFront(merged.shape, 1),
    strides: merged.strides.map((own) => padFront(own, 0)),
  };
}

/** Rows per tile: few enough to give every worker several tiles, and enough to be worth the claim of a tile. */
export function tileRowsFor(rows: number, columns: number, threads: number): number {
  const shared = Math.ceil(rows / (threads * tilesPerWorker));
  const least = Math.ceil(leastTileElements / columns);
  const most = Math.max(1, Math.floor(mostTileElements / columns));
  return Math.max(1, Math.min(rows, most, Math.max(least, shared)));
}
