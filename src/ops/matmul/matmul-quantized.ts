// Products with quantized weights (native/kernels/matmul_quantized.h): activations are quantized to 8 bits by row, then
// multiplied in integers. Called by matmul for a QuantizedMatrix. No choice of tiles changes a bit of the result.
import { formatShape, TesseraeError } from '../../base/errors.js';
import type { Recorder, Step } from '../../program/recorder.js';
import { collapse } from '../../tensor/layout/layout.js';
import { storageOf, type Tensor } from '../../tensor/tensor.js';
import { imageOf } from '../matrix-image.js';
import { checkFlag } from '../op.js';
import type { QuantizedMatrix } from '../quantized/quantized-matrix.js';
import { recordQuantizeRows } from '../quantized/quantized-rows.js';
import { quantizedTypes } from '../quantized/quantized-type.js';
import { recordCopy } from '../rowwise/copy.js';
import { activationCodes } from '../rowwise/elementwise.js';
import { packed, withUnitOrNoStride } from '../rowwise/rows.js';
import type { MatmulArgs } from './matmul-args.js';
import { readingTiles } from './reading-tiles.js';

/** The most products in one step: kMostTargets. */
const mostTargets = 3;
/** 8-byte words of the struct QuantizedTarget. */
const targetWords = 12;

/** Checks the shapes and gives that of the result. */
export function inferQuantized(args: MatmulArgs, w: QuantizedMatrix, op: string): readonly number[] {
  if (!checkFlag(args.transposeB, op, 'transposeB')) {
    throw new TesseraeError('ERR_ARGUMENT', 'quantized weights are [n, k]: transposeB must be true', { op });
  }
  const x = rowsOfA(args);
  const [n, k] = w.shape;
  if (x.at(-1) !== k) {
    const message = `the inner dimensions differ, ${x.at(-1)} and ${k}: ${formatShape(args.a.shape)} × ${w.toString()}`;
    throw new TesseraeError('ERR_SHAPE', message, { op });
  }
  return [...x.slice(0, -1), n];
}

function rowsOfA({ a, transposeA }: MatmulArgs): number[] {
  return transposeA === true
    ? [...a.shape.slice(0, -2), a.shape.at(-1) as number, a.shape.at(-2) as number]
    : [...a.shape];
}

export function recordQuantized(recorder: Recorder, args: MatmulArgs, w: QuantizedMatrix, out: Tensor): void {
  const { a, bias, activation, residual } = args;
  const axes = a.shape.map((_, axis) => axis);
  const x = args.transposeA === true ? a.transpose(...axes.slice(0, -2), a.rank - 1, a.rank - 2) : a;
  const rows = recordQuantizeRows(recorder, x);
  const direct = rowStrideOf(out) === undefined ? recorder.temporary(out.shape) : out;
  const added = residual === undefined || rowStrideOf(residual) !== undefined ? residual : packed(recorder, residual);
  const product = {
    w,
    c: direct,
    bias: withUnitOrNoStride(recorder, bias),
    residual: added,
    activation: activationCodes[activation ?? 'none'],
  };
  recordProducts(recorder, rows, w.shape[1], joinedWithLast(recorder, rows, product));
  if (direct !== out) recordCopy(recorder, direct, out);
}

/** The common stride between all rows of the last dimension; undefined if there is none, or if rows are not packed. */
function rowStrideOf(tensor: Tensor): number | undefined {
  const columns = tensor.shape.at(-1) as number;
  if (columns > 1 && tensor.strides.at(-1) !== 1) return undefined;
  const { shape, strides } = collapse(tensor.shape.slice(0, -1), [tensor.strides.slice(0, -1)]);
  return shape.length <= 1 ? (strides[0]?.[0] ?? columns) : undefined;
}

interface Product {
  readonly w: QuantizedMatrix;
  /** Its rows have a common stride, as those of `residual`. */
  readonly c: Tensor;
  readonly bias: Tensor | undefined;
  readonly residual: Tensor | undefined;
  readonly activation: number;
}

/** The products of each step that has some. */
const productsOf = new WeakMap<Step, readonly Product[]>();

/**
 * The products to record as one step. If this product and those of the last step have the same rows and are independent,
 * removes the last step and gives all of them; else gives only this one.
 */
function joinedWithLast(recorder: Recorder, rows: Tensor, product: Product): readonly Product[] {
  const last = recorder.steps.at(-1);
  const before = last && productsOf.get(last);
  if (last === undefined || before === undefined || before.length === mostTargets) return [product];
  if (last.reads[0] !== rows) return [product];
  const { w, c, bias, residual } = product;
  const shares = (tensors: readonly Tensor[], own: Tensor | undefined) =>
    own !== undefined && tensors.some((tensor) => storageOf(tensor) === storageOf(own));
  const waits = [imageOf(w), c, bias, residual].some((tensor) => shares(last.writes, tensor));
  if (waits || shares(last.reads, c)) return [product];
  recorder.steps.pop();
  return [...before, product];
}

/** Records one step for all products of the same rows. */
function recordProducts(recorder: Recorder, rows: Tensor, k: number, products: readonly Product[]): void {
  const m = rows.shape[0] as number;
  const n = products.reduce((sum, { w }) => sum + w.shape[0], 0);
  const { threads } = recorder;
  const tileRows = m <= fewRows ? m : chooseTileRows(m, n, threads);
  const rowBlocks = Math.ceil(m / tileRows);
  const matrices = products.map(({ w }) => ({ columns: w.shape[0], columnBytes: w.sizeBytes / w.shape[0] }));
  const bytes = matrices.reduce((sum, { columns, columnBytes }) => sum + columns * columnBytes, 0);
  const work = {
    preparation: m === 1 ? 0 : Math.min(m, readingRows) * k * bytesToOrder,
    mostBytes: (mostTileFlops / (2 * m * n * k)) * bytes,
  };
  const fewRowTiles = m <= fewRows ? readingTiles(matrices, threads, work) : undefined;
  let tiles = 0;
  const targets = products.map(({ w, c, bias, residual, activation }, index) => {
    const tileColumns = fewRowTiles?.[index] ?? chooseTileColumns({ m, n, k, threads, tileRows });
    const firstTile = tiles;
    tiles += rowBlocks * Math.ceil(w.shape[0] / tileColumns);
    return { w, c, bias, residual, activation, tileColumns, firstTile };
  });
  const step = {
    kernel: 'matmul_quantized',
    tiles,
    flops: 2 * m * n * k,
    reads: [rows, ...products.flatMap(({ w, bias, residual }) => [imageOf(w), bias, residual])],
    writes: products.map(({ c }) => c),
  };
  recorder.emit(step, (params) => {
    params.pointer(rows).ints([m, k, tileRows, targets.length]);
    for (const { w, c, bias, residual, activation, tileColumns, firstTile } of targets) {
      params
        .pointer(imageOf(w))
        .pointer(c)
        .pointer(bias)
        .pointer(residual)
        .ints([quantizedTypes[w.type].code, w.shape[0]])
        .ints([
          rowStrideOf(c) as number,
          bias?.strides[0] ?? 0,
          residual === undefined ? 0 : (rowStrideOf(residual) as number),
        ])
        .ints([activation, tileColumns, firstTile]);
    }
    params.ints(new Array((mostTargets - targets.length) * targetWords).fill(0));
  });
  productsOf.set(recorder.steps.at(-1) as Step, products);
}

/** Up to this many rows, all rows are in one tile, and tiles are cut for reading the weights from memory once. */
const fewRows = 64;
/** Up to about this many rows a product takes the time of reading the weights. */
const readingRows = 16;
/**
 * A tile of several rows begins by writing its activations in another order (native/kernels/simd/quantized_ordered.h): the
 * time for one activation, as a number of bytes that could be read in that time.
 */
const bytesToOrder = 0.7;
/** The most rows of a tile: their sums fit into the workers' scratch. */
const mostTileRows = 256;
/** The fewest rows of a tile, if there are more: the weights are decoded in each tile. */
const leastTileRows = 32;
/** The columns for which ordering the activations takes little of a tile's time. */
const wideColumns = 256;
/** Weight rows of a panel: kPanelRows in native/kernels/simd/quantized_panel.h. */
const panelColumns = 32;
const tilesPerWorker = 8;
/** The most operations of a tile, so that it takes about a millisecond. */
const mostTileFlops = 2.5e8;

/** Rows of a tile: as many as fit, but fewer if tiles would be narrow then; blocks of about equal size. */
function chooseTileRows(m: number, n: number, threads: number): number {
  const fitting = Math.ceil(m / mostTileRows);
  const forWide = Math.ceil((wideColumns * threads * tilesPerWorker) / n);
  const blocks = Math.max(fitting, Math.min(forWide, Math.floor(m / leastTileRows)));
  return blocks === 1 ? m : Math.ceil(m / blocks / 8) * 8;
}

interface ColumnChoice {
  readonly m: number;
  /** Weight rows of all matrices of the step. */
  readonly n: number;
  readonly k: number;
  readonly threads: number;
  readonly tileRows: number;
}

/** Columns of a tile for more than {@link fewRows} rows: tiles of equal work. */
function chooseTileColumns({ m, n, k, threads, tileRows }: ColumnChoice): number {
  const shared = (n * Math.ceil(m / tileRows)) / (threads * tilesPerWorker);
  const columns = Math.min(shared, mostTileFlops / (2 * tileRows * k));
  return Math.max(1, Math.floor(columns / panelColumns)) * panelColumns;
}
