// Products with quantized weights (native/kernels/matmul_quantized.h): activations are brought to 8 bits by row, then
// multiplied in integers. Part of matmul, which comes here with a QuantizedMatrix; no choice of tiles changes a bit.
import { formatShape, TesseraeError } from '../../base/errors.js';
import type { Recorder, Step } from '../../program/recorder.js';
import { collapse } from '../../tensor/layout/layout.js';
import type { Tensor } from '../../tensor/tensor.js';
import { checkFlag } from '../op.js';
import type { QuantizedMatrix } from '../quantized/quantized-matrix.js';
import { recordQuantizeRows } from '../quantized/quantized-rows.js';
import { quantizedFormats } from '../quantized/quantized-type.js';
import { recordCopy } from '../rowwise/copy.js';
import { activationCodes } from '../rowwise/elementwise.js';
import { packed, withUnitOrNoStride } from '../rowwise/rows.js';
import type { MatmulArgs } from './matmul-args.js';
import { readingTiles } from './reading-tiles.js';

/** Matrices of one op, at most: kMostTargets. */
const mostTargets = 3;
/** Words of a QuantizedTarget. */
const targetWords = 12;

/** [m, k] of `a` and n, checked. */
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

/** The one stride between all rows of the last dimension, or undefined where there is none, or rows are not packed. */
function rowStrideOf(tensor: Tensor): number | undefined {
  const columns = tensor.shape.at(-1) as number;
  if (columns > 1 && tensor.strides.at(-1) !== 1) return undefined;
  const { shape, strides } = collapse(tensor.shape.slice(0, -1), [tensor.strides.slice(0, -1)]);
  return shape.length <= 1 ? (strides[0]?.[0] ?? columns) : undefined;
}

interface Product {
  readonly w: QuantizedMatrix;
  /** Of one stride between rows, as is `residual`. */
  readonly c: Tensor;
  readonly bias: Tensor | undefined;
  readonly residual: Tensor | undefined;
  readonly activation: number;
}

/** The products of a step. */
const productsOf = new WeakMap<Step, readonly Product[]>();

/** Takes back the last step if its products and this one can be computed together: of the same rows, and independent. */
function joinedWithLast(recorder: Recorder, rows: Tensor, product: Product): readonly Product[] {
  const last = recorder.steps.at(-1);
  const before = last && productsOf.get(last);
  if (last === undefined || before === undefined || before.length === mostTargets) return [product];
  if (last.reads[0] !== rows) return [product];
  const { w, c, bias, residual } = product;
  const shares = (tensors: readonly Tensor[], own: Tensor | undefined) =>
    tensors.some(({ storage }) => storage === own?.storage);
  const waits = [w.image, c, bias, residual].some((tensor) => shares(last.writes, tensor));
  if (waits || shares(last.reads, c)) return [product];
  recorder.steps.pop();
  return [...before, product];
}

/** One op for all products of the same rows. */
function recordProducts(recorder: Recorder, rows: Tensor, k: number, products: readonly Product[]): void {
  const m = rows.shape[0] as number;
  const n = products.reduce((sum, { w }) => sum + w.shape[0], 0);
  const tileRows = chooseTileRows(m);
  const rowBlocks = Math.ceil(m / tileRows);
  const matrices = products.map(({ w }) => ({ columns: w.shape[0], columnBytes: w.sizeBytes / w.shape[0] }));
  const { threads } = recorder;
  const fewRowTiles = m <= fewRows ? readingTiles(matrices, threads) : undefined;
  let tiles = 0;
  const targets = products.map(({ w, c, bias, residual, activation }, index) => {
    const tileColumns = fewRowTiles?.[index] ?? chooseTileColumns({ m, n, k, threads });
    const firstTile = tiles;
    tiles += rowBlocks * Math.ceil(w.shape[0] / tileColumns);
    return { w, c, bias, residual, activation, tileColumns, firstTile };
  });
  const step = {
    kernel: 'matmul_quantized',
    tiles,
    flops: 2 * m * n * k,
    reads: [rows, ...products.flatMap(({ w, bias, residual }) => [w.image, bias, residual])],
    writes: products.map(({ c }) => c),
  };
  recorder.emit(step, (params) => {
    params.pointer(rows).ints([m, k, tileRows, targets.length]);
    for (const { w, c, bias, residual, activation, tileColumns, firstTile } of targets) {
      params
        .pointer(w.image)
        .pointer(c)
        .pointer(bias)
        .pointer(residual)
        .ints([quantizedFormats[w.type].code, w.shape[0]])
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

/** Up to so many rows weights are read once, straight from memory: kFewRows in native/kernels/avx2/quantized_few.h. */
const fewRows = 8;
/** Sums of so many rows rest in the workers' scratch. */
const mostTileRows = 256;
/** Weight rows of the widest panel: kPanelRows in native/kernels/avx2/quantized_panel.h. */
const panelColumns = 32;
const tilesPerWorker = 8;
/** A tile takes a millisecond or so, at most. */
const mostTileFlops = 2.5e8;

/** All rows in one tile as long as they fit; then blocks of even size. */
function chooseTileRows(m: number): number {
  const blocks = Math.ceil(m / mostTileRows);
  return blocks === 1 ? m : Math.ceil(m / blocks / 4) * 4;
}

interface ColumnChoice {
  readonly m: number;
  /** Weight rows of all matrices of the op. */
  readonly n: number;
  readonly k: number;
  readonly threads: number;
}

/** For more than a few rows: tiles of equal work. */
function chooseTileColumns({ m, n, k, threads }: ColumnChoice): number {
  const rows = chooseTileRows(m);
  const shared = (n * Math.ceil(m / rows)) / (threads * tilesPerWorker);
  const columns = Math.min(shared, mostTileFlops / (2 * rows * k));
  return Math.max(1, Math.floor(columns / panelColumns)) * panelColumns;
}
