// How operands are seen as rows of unit stride, over at most four outer dimensions (native/kernels/rows.h), and how many
// rows make a tile. Pure functions. Called by the row-wise ops and by copy.
import { collapse, elementCount } from '../../tensor/layout/layout.js';
import type { Tensor } from '../../tensor/tensor.js';

export const outerDims = 4;

/** A tile of a row-wise op has at least this many elements, so that claiming it costs little beside it. */
const leastTileElements = 8192;
const mostTileElements = 1 << 18;
/** Tiles per worker, so that a slow core can be relieved of some. */
const tilesPerWorker = 4;

/** The outer dimensions, four of them, and the strides of each operand over them. */
export interface Rows {
  readonly rows: number;
  readonly columns: number;
  readonly outer: readonly number[];
  readonly strides: readonly (readonly number[])[];
}

/** The values with `filler` in front of them, `length` in all: kernels take a fixed number of dimensions. */
export function padFront(values: readonly number[], filler: number, length = outerDims): number[] {
  return [...new Array<number>(length - values.length).fill(filler), ...values];
}

/**
 * The rows of operands that all have `shape`, or undefined when an operand must be copied first. The last dimension is
 * the row.
 */
export function rowsOf(shape: readonly number[], operands: readonly Tensor[]): Rows | undefined {
  const last = shape.length - 1;
  const columns = shape[last] as number;
  if (columns > 1 && operands.some((operand) => operand.strides[last] !== 1)) return undefined;
  return outerOf(
    shape,
    operands.map((operand) => operand.strides),
  );
}

/** The same for operands of which only the outer dimensions matter. */
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

/** Rows per tile: few enough to give every worker several tiles, enough to be worth a claim. */
export function tileRowsFor(rows: number, columns: number, threads: number): number {
  const shared = Math.ceil(rows / (threads * tilesPerWorker));
  const least = Math.ceil(leastTileElements / columns);
  const most = Math.max(1, Math.floor(mostTileElements / columns));
  return Math.max(1, Math.min(rows, most, Math.max(least, shared)));
}
