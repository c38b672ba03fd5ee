// poolRows: the states of the tokens of texts become one vector each (native/kernels/pool_rows.h). Not in the registry: only
// recorded programs of models use it. Which rows belong to a text, and how they are pooled, is data, written before each run.
import { TesseraeError } from '../../base/errors.js';
import type { Tensor } from '../../tensor/tensor.js';
import { type CallOptions, checkSameShape, checkTensor, defineOp } from '../op.js';
import { withUnitRows } from './rows.js';

/** The numbers are those of `Pooling` in native/kernels/pool_rows.h. */
const poolingNumbers = { mean: 0, last: 1, first: 2 } as const;

export type PoolingKind = keyof typeof poolingNumbers;
export const poolingKinds = Object.keys(poolingNumbers) as readonly PoolingKind[];

export interface Pooling {
  readonly pooling: PoolingKind;
  /** Scale the vector to length 1. */
  readonly normalize: boolean;
  /** How many of the leading dimensions are wanted: cut first, then scaled. The others become 0. */
  readonly dimensions: number;
}

/** Fields of an item, as i32: those of {@link PoolItem} in their order, and 0. */
export const poolItemFields = 8;

/** Consecutive rows of x, which are consecutive tokens of one text. */
export interface PoolItem extends Pooling {
  readonly firstRow: number;
  readonly rows: number;
  /** The first row's index in its text. If it is above 0, the sums go on from those that the text has so far. */
  readonly from: number;
  /** Tokens of the text. Its vector is written with the last of them. */
  readonly total: number;
}

/** Writes an item to its place in `items`; undefined: the place is not used. */
export function writePoolItem(items: Int32Array, index: number, item: PoolItem | undefined): void {
  const at = index * poolItemFields;
  if (item === undefined) {
    items.fill(0, at, at + poolItemFields);
    return;
  }
  const { firstRow, rows, from, total, pooling, dimensions, normalize } = item;
  items[at] = firstRow;
  items[at + 1] = rows;
  items[at + 2] = from;
  items[at + 3] = total;
  items[at + 4] = poolingNumbers[pooling];
  items[at + 5] = dimensions;
  items[at + 6] = Number(normalize);
  items[at + 7] = 0;
}

export interface PoolRowsOptions extends CallOptions {
  /** i32 [count, {@link poolItemFields}]. */
  readonly items: Tensor;
  /**
   * i32 [count, 2 · dim], the bits of f64 [count, dim]: the sums of a text that is not at its end, read and written. Without
   * it every item must be a whole text.
   */
  readonly sums?: Tensor | undefined;
}

export interface PoolRowsArgs extends PoolRowsOptions {
  readonly x: Tensor;
}

const op = 'poolRows';
/** kPoolMaxColumns in the kernel. */
const mostColumns = 65_536;
const tilesPerThread = 4;

export const poolRows = defineOp({
  name: op,
  parameters: ['x', 'items', 'sums'],
  inPlace: () => false,
  args: (x: Tensor, options: PoolRowsOptions): PoolRowsArgs => ({ x, ...options }),
  operands: ({ x, items, sums }) => [x, items, sums],
  infer({ x, items, sums }) {
    checkTensor(x, op, 'x', 'f32');
    const [rows = 0, columns = 0] = x.shape;
    checkSameShape(x, [rows, columns], op, 'x');
    if (columns === 0 || columns > mostColumns) {
      throw new TesseraeError('ERR_SHAPE', `x must have 1 to ${mostColumns} columns, got ${x.toString()}`, { op });
    }
    checkTensor(items, op, 'items', 'i32');
    const count = items.shape[0] ?? 0;
    checkContiguous(items, [count, poolItemFields], 'items');
    if (sums !== undefined) {
      checkTensor(sums, op, 'sums', 'i32');
      checkContiguous(sums, [count, 2 * columns], 'sums');
    }
    return { shape: [count, columns], dtype: 'f32' };
  },
  record(recorder, { x, items, sums }, out) {
    if (!out.isContiguous) throw new TesseraeError('ERR_SHAPE', 'out must be contiguous', { op });
    const from = withUnitRows(recorder, x);
    const [rows, columns] = from.shape as [number, number];
    const count = items.shape[0] as number;
    const tiles = Math.min(count, tilesPerThread * recorder.threads);
    const step = {
      kernel: 'pool_rows',
      tiles,
      flops: rows * columns,
      reads: [from, items, sums],
      writes: sums === undefined ? [out] : [out, sums],
    };
    recorder.emit(step, (params) =>
      params
        .pointer(from)
        .pointer(items)
        .pointer(sums)
        .pointer(out)
        .ints([rows, columns, from.strides[0] as number, count, tiles]),
    );
  },
});

function checkContiguous(tensor: Tensor, shape: readonly number[], name: string): void {
  checkSameShape(tensor, shape, op, name);
  if (!tensor.isContiguous) throw new TesseraeError('ERR_SHAPE', `${name} must be contiguous`, { op });
}
