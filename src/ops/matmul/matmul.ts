// matmul: batched matrix product with bias, activation and residual in one pass (native/kernels/matmul.h, pack_b.h).
// Here: checks, flattening to what the kernel takes, and the choice of path and tiles. No choice changes a bit of the
// result: every output is the same chain of fused multiply-adds over k.
import { formatShape, TesseraeError } from '../../base/errors.js';
import type { Recorder } from '../../program/recorder.js';
import { dtypes } from '../../tensor/elements/dtype.js';
import { broadcastShapes, broadcastStrides, collapse, elementCount } from '../../tensor/layout/layout.js';
import { Tensor } from '../../tensor/tensor.js';
import { checkChoice, checkFlag, checkRank, checkSameShape, checkTensor, checkVector, defineOp } from '../op.js';
import { QuantizedMatrix } from '../quantized/quantized-matrix.js';
import { recordCopy } from '../rowwise/copy.js';
import { activationCodes } from '../rowwise/elementwise.js';
import { outerDims, padFront } from '../rowwise/row-layout.js';
import { packed, withUnitOrNoStride } from '../rowwise/rows.js';
import type { MatmulArgs, MatmulOptions } from './matmul-args.js';
import { inferQuantized, recordQuantized } from './matmul-quantized.js';
import { choosePath, chooseTiles, pathCodes, type WideLayout } from './matmul-tiles.js';
import { imageSize, imageStrides, PackedMatrix, recordPack } from './pack.js';

const op = 'matmul';

export const matmul = defineOp({
  name: op,
  parameters: ['a', 'b', 'transposeA', 'transposeB', 'bias', 'activation', 'residual'],
  // The kernel reads the residual where it writes the result, and only there.
  inPlace: (operand, { a, b, bias, residual }) =>
    operand === residual && operand !== a && operand !== b && operand !== bias,
  args: (a: Tensor, b: MatmulArgs['b'], options: MatmulOptions = {}): MatmulArgs => ({ a, b, ...options }),
  operands: ({ a, b, bias, residual }) => [a, b instanceof Tensor ? b : b.image, bias, residual],
  infer(args) {
    const { a, b, bias, residual } = args;
    checkTensor(a, op, 'a', 'f32');
    checkRank(a, op, 'a', 2);
    checkChoice(args.activation, activationCodes, 'none', op, 'activation');
    checkFlag(args.transposeA, op, 'transposeA');
    const shape = b instanceof QuantizedMatrix ? inferQuantized(args, b, op) : inferDense(args, b);
    checkVector(bias, op, 'bias', shape.at(-1) as number);
    if (residual !== undefined) {
      checkTensor(residual, op, 'residual', 'f32');
      checkSameShape(residual, shape, op, 'residual');
    }
    return { shape, dtype: 'f32' };
  },
  record(recorder, args, out) {
    const { b } = args;
    if (b instanceof QuantizedMatrix) recordQuantized(recorder, args, b, out);
    else recordMatmul(recorder, { ...args, b }, out);
  },
});

/** The same where b is not quantized. */
type DenseArgs = MatmulArgs & { readonly b: Tensor | PackedMatrix };

function inferDense(args: MatmulArgs, b: Tensor | PackedMatrix): readonly number[] {
  const { a } = args;
  checkSecondOperand(b, args.transposeB);
  const [m, kOfA] = matrixOf(a, args.transposeA === true).shape;
  const [kOfB, n] = matrixOf(b, checkFlag(args.transposeB, op, 'transposeB')).shape;
  if (kOfA !== kOfB) {
    const transposed = [args.transposeA && 'transposeA', args.transposeB && 'transposeB'].filter(Boolean);
    const suffix = transposed.length > 0 ? ` (${transposed.join(', ')})` : '';
    const message = `the inner dimensions differ, ${kOfA} and ${kOfB}: ${formatShape(a.shape)} × ${formatShape(b.shape)}`;
    throw new TesseraeError('ERR_SHAPE', message + suffix, { op });
  }
  return [...broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2), op), m, n];
}

function checkSecondOperand(b: unknown, transposeB: boolean | undefined): void {
  if (!(b instanceof PackedMatrix)) {
    checkTensor(b, op, 'b', 'f32', 'f16', 'bf16');
    checkRank(b, op, 'b', 2);
  } else if (transposeB) {
    throw new TesseraeError('ERR_ARGUMENT', 'a packed b is transposed when it is packed', { op });
  }
}

/** Rows and columns of the last two dimensions, and the strides over them. */
function matrixOf(
  tensor: Tensor | PackedMatrix,
  transposed: boolean,
): { shape: [number, number]; strides: [number, number] } {
  const [rows, columns] = tensor.shape.slice(-2) as [number, number];
  const [rowStride, columnStride] = tensor.strides.slice(-2) as [number, number];
  return transposed
    ? { shape: [columns, rows], strides: [columnStride, rowStride] }
    : { shape: [rows, columns], strides: [rowStride, columnStride] };
}

/** A product as the kernel takes it. */
interface Product {
  readonly a: Tensor;
  readonly b: Tensor | PackedMatrix;
  readonly c: Tensor;
  readonly residual: Tensor | undefined;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly aStrides: readonly [number, number];
  readonly bStrides: readonly [number, number];
  readonly cRowStride: number;
  readonly residualRowStride: number;
  /** Up to four batch dimensions, outermost first, and the strides of a, b, c and residual over them. */
  readonly batch: readonly number[];
  readonly batchStrides: readonly (readonly number[])[];
}

function recordMatmul(recorder: Recorder, args: DenseArgs, out: Tensor): void {
  if (matrixOf(args.a, args.transposeA === true).shape[1] === 0) {
    recordEmptySum(recorder, args, out);
    return;
  }
  const direct = out.strides.at(-1) === 1 || out.shape.at(-1) === 1 ? out : recorder.temporary(out.shape);
  const product = flatten(recorder, args, direct);
  recordProduct(recorder, product, args);
  if (product.c !== out) recordCopy(recorder, product.c, out);
}

/** Finds the fewest batch dimensions; with one b for the whole batch, the batch becomes rows of one product. */
function flatten(recorder: Recorder, args: DenseArgs, c: Tensor): Product {
  const { a, b } = args;
  const residual = withUnitColumns(recorder, args.residual);
  const aMatrix = matrixOf(a, args.transposeA === true);
  const bMatrix = matrixOf(b, args.transposeB === true);
  const [m, k] = aMatrix.shape;
  const n = bMatrix.shape[1];
  if (c.rank === 2) {
    return {
      a,
      b,
      c,
      residual,
      m,
      n,
      k,
      aStrides: aMatrix.strides,
      bStrides: bMatrix.strides,
      cRowStride: c.strides[0] as number,
      residualRowStride: residual?.strides[0] ?? 0,
      batch: [],
      batchStrides: [[], [], [], []],
    };
  }
  const outerShape = c.shape.slice(0, -2);
  const own = (tensor: Tensor | PackedMatrix | undefined) =>
    tensor === undefined
      ? outerShape.map(() => 0)
      : broadcastStrides(tensor.shape.slice(0, -2), tensor.strides.slice(0, -2), outerShape, op);
  const outer = [own(a), own(b), own(c), own(residual)] as [number[], number[], number[], number[]];
  const common = { a, b, c, residual, n, k, bStrides: bMatrix.strides };
  const residualRow = residual?.strides.at(-2) ?? 0;
  if (outer[1].every((stride, dim) => stride === 0 || outerShape[dim] === 1)) {
    const rowStrides = [
      [...outer[0], aMatrix.strides[0]],
      [...outer[2], c.strides.at(-2) as number],
      [...outer[3], residualRow],
    ];
    const rows = collapse([...outerShape, m], rowStrides);
    if (rows.shape.length <= 1) {
      const stride = (index: number) => rows.strides[index]?.[0] ?? 0;
      return {
        ...common,
        m: rows.shape[0] ?? 1,
        aStrides: [stride(0), aMatrix.strides[1]],
        cRowStride: stride(1),
        residualRowStride: stride(2),
        batch: [],
        batchStrides: [[], [], [], []],
      };
    }
  }
  const merged = collapse(outerShape, outer);
  if (merged.shape.length > outerDims) {
    // So many unrelated batch dimensions that copies are needed; packed operands always merge.
    if (b instanceof PackedMatrix) {
      throw new TesseraeError('ERR_SHAPE', `the batch of ${formatShape(a.shape)} does not merge for a packed b`, {
        op,
      });
    }
    const shape = (tensor: Tensor) => [...outerShape, ...tensor.shape.slice(-2)];
    const copies = {
      a: packed(recorder, a.expand(shape(a))),
      b: packed(recorder, b.expand(shape(b))),
      residual: residual && packed(recorder, residual),
    };
    const target = c.isContiguous ? c : recorder.temporary(c.shape);
    return flatten(recorder, { ...args, ...copies }, target);
  }
  return {
    ...common,
    m,
    aStrides: aMatrix.strides,
    cRowStride: c.strides.at(-2) as number,
    residualRowStride: residualRow,
    batch: merged.shape,
    batchStrides: merged.strides,
  };
}

function recordProduct(recorder: Recorder, product: Product, args: DenseArgs): void {
  const { a, b, c, residual, m, n, k, batch, batchStrides } = product;
  const batches = elementCount(batch);
  const blocks = recorder.blockSizes;
  const { threads, products } = recorder;
  const source = b instanceof PackedMatrix ? b.image : b;
  const size = {
    m,
    n,
    k,
    batches,
    threads,
    nc: blocks.nc,
    wide: wideLayout(product),
    wideBytes: dtypes[(m <= n ? source : a).dtype].sizeBytes,
    isFirst: recorder.steps.length === 0,
    thinAcross: products.thinAcross,
  };
  const path = b instanceof PackedMatrix ? 'sharedPack' : choosePath(size);
  const tiles = chooseTiles(size, path);
  const image = path === 'sharedPack' ? packedImage(recorder, product) : undefined;
  const bias = withUnitOrNoStride(recorder, args.bias);
  const [aBatch, bBatch, cBatch, residualBatch] = batchStrides as [number[], number[], number[], number[]];
  const step = {
    kernel: op,
    tiles: Math.ceil(batches / tiles.batches) * Math.ceil(m / tiles.m) * Math.ceil(n / tiles.n),
    flops: 2 * batches * m * n * k,
    reads: [a, image?.packed ?? source, bias, residual],
    writes: [c],
  };
  recorder.emit(step, (params) =>
    params
      .pointer(a)
      .pointer(source)
      .pointer(image?.packed)
      .pointer(c)
      .pointer(bias)
      .pointer(residual)
      .ints([m, n, k])
      .ints(product.aStrides)
      .ints(product.bStrides)
      .int(product.cRowStride)
      .int(bias?.strides[0] ?? 0)
      .int(product.residualRowStride)
      .dtype(source)
      .int(pathCodes[path])
      .int(checkChoice(args.activation, activationCodes, 'none', op, 'activation'))
      .ints([tiles.m, tiles.n, tiles.batches])
      .ints([blocks.kc, blocks.nc, blocks.mc])
      .ints(padFront(batch, 1))
      .ints(padFront(aBatch, 0))
      .ints(padFront(bBatch, 0))
      .ints(padFront(image?.batchStrides ?? batch.map(() => 0), 0))
      .ints(padFront(cBatch, 0))
      .ints(padFront(residualBatch, 0)),
  );
}

/** How the wide operand lies: b, or a if it has more rows than b columns. */
function wideLayout({ m, n, aStrides, bStrides }: Product): WideLayout {
  const [along, across] = m <= n ? [bStrides[1], bStrides[0]] : [aStrides[0], aStrides[1]];
  return along === 1 ? 'along' : across === 1 ? 'across' : 'strided';
}

/** Where the packed panels are: made once before (a PackedMatrix), or now for all tiles of this product. */
function packedImage(recorder: Recorder, { b, n, k, batch, batchStrides, bStrides }: Product) {
  const bBatch = batchStrides[1] as readonly number[];
  if (b instanceof PackedMatrix) return { packed: b.image, batchStrides: bBatch };
  const distinct = batch.map((size, dim) => (bBatch[dim] === 0 ? 1 : size));
  const size = imageSize(k, n);
  const packed = recorder.temporary([elementCount(distinct) * size]);
  recordPack(recorder, { b, k, n, bStrides, batch: distinct, batchStrides: bBatch }, packed);
  return { packed, batchStrides: imageStrides(distinct, size) };
}

/** A sum over nothing is 0: one product of zeros, so that bias, activation and residual apply as ever. */
function recordEmptySum(recorder: Recorder, args: DenseArgs, out: Tensor): void {
  const { zero } = recorder;
  const [m, n] = out.shape.slice(-2) as [number, number];
  const batch = out.shape.slice(0, -2);
  const { transposeA: _a, transposeB: _b, ...rest } = args;
  recordMatmul(recorder, { ...rest, a: zero.expand([...batch, m, 1]), b: zero.expand([1, n]) }, out);
}

function withUnitColumns(recorder: Recorder, tensor: Tensor | undefined): Tensor | undefined {
  if (tensor === undefined || tensor.strides.at(-1) === 1 || tensor.shape.at(-1) === 1) return tensor;
  return packed(recorder, tensor);
}
