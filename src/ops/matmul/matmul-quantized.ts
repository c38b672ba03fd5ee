// Products with quantized weights (native/kernels/matmul_quantized.h): activations are quantized to 8 bits by row, then
// multiplied in integers. Called by matmul for a QuantizedMatrix. No choice of tiles changes a bit of the result.
import { formatShape, TesseraeError } from '../../base/errors.js';
import type { Recorder, Step } from '../../program/recorder.js';
import { collapse, elementCount } from '../../tensor/layout/layout.js';
import { storageOf, Tensor } from '../../tensor/tensor.js';
import { imageOf } from '../matrix-image.js';
import { checkFlag } from '../op.js';
import { gatedOpOf, offerGated } from '../quantized/gated-unit.js';
import type { QuantizedMatrix } from '../quantized/quantized-matrix.js';
import { blockElements, isSameRun, recordQuantizeRows } from '../quantized/quantized-rows.js';
import { quantizedTypes } from '../quantized/quantized-type.js';
import { type UnnormedRows, unnormedRows } from '../quantized/unnormed-rows.js';
import { recordCopy } from '../rowwise/copy.js';
import { activationCodes } from '../rowwise/elementwise.js';
import { packed, withUnitOrNoStride } from '../rowwise/rows.js';
import type { MatmulArgs } from './matmul-args.js';
import { type ReadMatrix, readingTiles } from './reading-tiles.js';

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
  const unnormed = unnormedRows(recorder, x);
  const rows = unnormed ?? recordQuantizeRows(recorder, x);
  const direct = rowStrideOf(out) === undefined ? recorder.temporary(out.shape) : out;
  const added = residual === undefined || rowStrideOf(residual) !== undefined ? residual : packed(recorder, residual);
  const product = {
    w,
    c: direct,
    bias: withUnitOrNoStride(recorder, bias),
    residual: added,
    activation: activationCodes[activation ?? 'none'],
  };
  const m = elementCount(x.shape.slice(0, -1));
  recordProducts(recorder, { rows, m, k: w.shape[1] }, joinedWithLast(recorder, rows, product));
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

/** What the products of a step multiply: blocks, or rows that they norm and quantize first. */
type Rows = Tensor | UnnormedRows;

interface Factor {
  readonly rows: Rows;
  readonly m: number;
  readonly k: number;
}

/** The products of each step to which more may be joined, and their rows. */
const productsOf = new WeakMap<Step, { readonly rows: Rows; readonly products: readonly Product[] }>();

/**
 * The products to record as one step. If this product and those of the last step have the same rows and are independent,
 * removes the last step and gives all of them; else gives only this one.
 */
function joinedWithLast(recorder: Recorder, rows: Rows, product: Product): readonly Product[] {
  const last = recorder.steps.at(-1);
  const { rows: sameRows, products: before } = (last && productsOf.get(last)) ?? {};
  if (last === undefined || before === undefined || before.length === mostTargets) return [product];
  if (sameRows !== rows) return [product];
  const { w, c, bias, residual } = product;
  const shares = (tensors: readonly Tensor[], own: Tensor | undefined) =>
    own !== undefined && tensors.some((tensor) => storageOf(tensor) === storageOf(own));
  const waits = [imageOf(w), c, bias, residual].some((tensor) => shares(last.writes, tensor));
  if (waits || shares(last.reads, c)) return [product];
  recorder.steps.pop();
  return [...before, product];
}

/**
 * Records one step for all products of the same rows.
 * @param isGated there are two, of which the first becomes the unit of both
 */
function recordProducts(recorder: Recorder, factor: Factor, products: readonly Product[], isGated = false): void {
  const { rows, m, k } = factor;
  const unnormed = rows instanceof Tensor ? undefined : rows;
  const n = products.reduce((sum, { w }) => sum + w.shape[0], 0);
  const tileRows = m <= fewRows ? m : chooseTileRows(m, n, recorder.threads);
  const { tileColumns, firstTiles, tiles } = cutColumns(recorder.threads, { ...factor, tileRows }, products, isGated);
  const columns = (products[0] as Product).w.shape[0];
  const step = {
    kernel: 'matmul_quantized',
    tiles,
    flops: 2 * m * n * k,
    quantizes: isGated && columns % blockElements === 0,
    reads: [
      ...(rows instanceof Tensor ? [rows] : [rows.x, rows.weight]),
      ...products.flatMap(({ w, bias, residual }) => [imageOf(w), bias, residual]),
    ],
    writes: products.map(({ c }) => c),
  };
  recorder.emit(step, (params) => {
    params.pointer(rows instanceof Tensor ? rows : undefined).ints([m, k, tileRows, products.length]);
    for (const [index, { w, c, bias, residual, activation }] of products.entries()) {
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
        .ints([activation, tileColumns[index] as number, firstTiles[index] as number]);
    }
    params.ints(new Array((mostTargets - products.length) * targetWords).fill(0));
    params.pointer(unnormed?.x).int(unnormed === undefined ? 0 : k);
    params.pointer(unnormed?.weight).double(unnormed?.eps ?? 0);
    params.int(isGated).pointer(undefined);
  });
  const recorded = recorder.steps.at(-1) as Step;
  if (isGated) return;
  productsOf.set(recorded, { rows, products });
  offerGated(recorded, (op, gate, up) => {
    const [first, second] = products;
    if (first === undefined || second === undefined || products.length > 2) return false;
    if (op !== gatedOpOf({ isActivated: first.activation !== activationCodes.none })) return false;
    if (first.w.shape[0] !== second.w.shape[0] || !isSameRun(first.c, gate) || !isSameRun(second.c, up)) return false;
    recorder.steps.pop();
    recordProducts(recorder, factor, products, true);
    return true;
  });
}

/** How the columns of each product are cut into tiles. */
function cutColumns(
  threads: number,
  { m, k, tileRows }: Factor & { readonly tileRows: number },
  products: readonly Product[],
  isGated: boolean,
) {
  const n = products.reduce((sum, { w }) => sum + w.shape[0], 0);
  const all = products.map(({ w }) => ({ columns: w.shape[0], columnBytes: w.sizeBytes / w.shape[0] }));
  const bytes = all.reduce((sum, { columns, columnBytes }) => sum + columns * columnBytes, 0);
  const columns = (all[0] as ReadMatrix).columns;
  // A tile of a gated unit has the same columns of both matrices.
  const matrices = isGated ? [{ columns, columnBytes: bytes / columns }] : all;
  const work = {
    preparation: m === 1 ? 0 : Math.min(m, readingRows) * k * bytesToOrder,
    mostBytes: (mostTileFlops / (2 * m * n * k)) * bytes,
    ...(isGated && { columnStep: blockElements }),
  };
  const reading = m <= fewRows ? readingTiles(matrices, threads, work) : undefined;
  const choice = isGated ? { m, n: columns, k: 2 * k, threads, tileRows } : { m, n, k, threads, tileRows };
  const rowBlocks = Math.ceil(m / tileRows);
  let tiles = 0;
  const firstTiles: number[] = [];
  const tileColumns = matrices.map((matrix, index) => {
    const own = reading?.[index] ?? chooseTileColumns(choice);
    firstTiles.push(tiles);
    tiles += rowBlocks * Math.ceil(matrix.columns / own);
    return own;
  });
  if (!isGated) return { tileColumns, firstTiles, tiles };
  return { tileColumns: [tileColumns[0], tileColumns[0]], firstTiles: [0, 0], tiles };
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
