// A product of dense matrices in the form that the kernel takes: with as few batch dimensions as possible, at most four.
// If the whole batch has one b, the batch becomes rows of a single product. Called by matmul.ts.
import { formatShape, TesseraeError } from '../../base/errors.js';
import type { Recorder } from '../../program/recorder.js';
import { broadcastStrides, collapse } from '../../tensor/layout/layout.js';
import type { Tensor } from '../../tensor/tensor.js';
import { outerDims } from '../rowwise/row-layout.js';
import { packed, withUnitRows } from '../rowwise/rows.js';
import type { MatmulArgs } from './matmul-args.js';
import { PackedMatrix } from './pack.js';

/** The arguments of matmul if b is not quantized. */
export type DenseArgs = MatmulArgs & { readonly b: Tensor | PackedMatrix };

export interface DenseProduct {
  readonly a: Tensor;
  readonly b: Tensor | PackedMatrix;
  readonly c: Tensor;
  readonly residual: Tensor | undefined;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Strides of a along m and k, and of b along k and n. */
  readonly aStrides: readonly [number, number];
  readonly bStrides: readonly [number, number];
  readonly cRowStride: number;
  readonly residualRowStride: number;
  /** The batch dimensions, outermost first, and the strides of a, b, c and residual over them. */
  readonly batch: readonly number[];
  readonly batchStrides: readonly (readonly number[])[];
}

/** Sizes and strides of the last two dimensions, after transposition. */
export function matrixOf(
  tensor: Tensor | PackedMatrix,
  transposed: boolean,
): { shape: [number, number]; strides: [number, number] } {
  const [rows, columns] = tensor.shape.slice(-2) as [number, number];
  const [rowStride, columnStride] = tensor.strides.slice(-2) as [number, number];
  return transposed
    ? { shape: [columns, rows], strides: [columnStride, rowStride] }
    : { shape: [rows, columns], strides: [rowStride, columnStride] };
}

/**
 * The product in the kernel's form; records the copies that it needs.
 * @param c the result; its rows have unit stride. The product's `c` is a temporary if this layout does not fit
 */
export function flatten(recorder: Recorder, args: DenseArgs, c: Tensor): DenseProduct {
  const { a, b } = args;
  const residual = args.residual && withUnitRows(recorder, args.residual);
  const aMatrix = matrixOf(a, args.transposeA === true);
  const bMatrix = matrixOf(b, args.transposeB === true);
  const single: DenseProduct = {
    a,
    b,
    c,
    residual,
    m: aMatrix.shape[0],
    n: bMatrix.shape[1],
    k: aMatrix.shape[1],
    aStrides: aMatrix.strides,
    bStrides: bMatrix.strides,
    cRowStride: c.strides.at(-2) as number,
    residualRowStride: residual?.strides.at(-2) ?? 0,
    batch: [],
    batchStrides: [[], [], [], []],
  };
  if (c.rank === 2) return single;
  const outerShape = c.shape.slice(0, -2);
  const outer = [a, b, c, residual].map((operand) => outerStrides(operand, outerShape));
  return (
    withBatchAsRows(single, outerShape, outer) ??
    withMergedBatch(single, outerShape, outer) ??
    flattenCopies(recorder, args, single)
  );
}

/** An operand's strides over the batch dimensions of the result; 0 for an operand that is left out. */
function outerStrides(operand: Tensor | PackedMatrix | undefined, outerShape: readonly number[]): readonly number[] {
  if (operand === undefined) return outerShape.map(() => 0);
  return broadcastStrides(operand.shape.slice(0, -2), operand.strides.slice(0, -2), outerShape, 'matmul');
}

/** One product with the rows of the whole batch; undefined if b differs in the batch or the rows have no common stride. */
function withBatchAsRows(
  product: DenseProduct,
  outerShape: readonly number[],
  outer: readonly (readonly number[])[],
): DenseProduct | undefined {
  const [aOuter, bOuter, cOuter, residualOuter] = outer as [number[], number[], number[], number[]];
  if (!bOuter.every((stride, dim) => stride === 0 || outerShape[dim] === 1)) return undefined;
  const rows = collapse(
    [...outerShape, product.m],
    [
      [...aOuter, product.aStrides[0]],
      [...cOuter, product.cRowStride],
      [...residualOuter, product.residualRowStride],
    ],
  );
  if (rows.shape.length > 1) return undefined;
  const stride = (index: number) => rows.strides[index]?.[0] ?? 0;
  return {
    ...product,
    m: rows.shape[0] ?? 1,
    aStrides: [stride(0), product.aStrides[1]],
    cRowStride: stride(1),
    residualRowStride: stride(2),
  };
}

/** The product with merged batch dimensions; undefined if more remain than the kernel takes. */
function withMergedBatch(
  product: DenseProduct,
  outerShape: readonly number[],
  outer: readonly (readonly number[])[],
): DenseProduct | undefined {
  const merged = collapse(outerShape, outer);
  if (merged.shape.length > outerDims) return undefined;
  return { ...product, batch: merged.shape, batchStrides: merged.strides };
}

/** The product of packed copies, whose batch dimensions always merge. */
function flattenCopies(recorder: Recorder, args: DenseArgs, { a, b, c, residual }: DenseProduct): DenseProduct {
  if (b instanceof PackedMatrix) {
    const message = `the batch of ${formatShape(a.shape)} does not merge for a packed b`;
    throw new TesseraeError('ERR_SHAPE', message, { op: 'matmul' });
  }
  const expanded = (tensor: Tensor) => tensor.expand([...c.shape.slice(0, -2), ...tensor.shape.slice(-2)]);
  const copies = {
    a: packed(recorder, expanded(a)),
    b: packed(recorder, expanded(b)),
    residual: residual && packed(recorder, residual),
  };
  return flatten(recorder, { ...args, ...copies }, c.isContiguous ? c : recorder.temporary(c.shape));
}
