// matmul: batched matrix product with bias, activation and residual in one pass (native/kernels/matmul.h, pack_b.h).
// Checks the arguments and records the steps. The form for the kernel (dense-product.ts), the path and the tiles
// (matmul-tiles.ts) change no bit of the result: every output is the same chain of fused multiply-adds over k.
import { formatShape, TesseraeError } from '../../base/errors.js';
import type { Recorder } from '../../program/recorder.js';
import { dtypes } from '../../tensor/elements/dtype.js';
import { broadcastShapes, elementCount } from '../../tensor/layout/layout.js';
import { Tensor } from '../../tensor/tensor.js';
import { imageOf } from '../matrix-image.js';
import { checkChoice, checkFlag, checkRank, checkSameShape, checkTensor, checkVector, defineOp } from '../op.js';
import { QuantizedMatrix } from '../quantized/quantized-matrix.js';
import { recordCopy } from '../rowwise/copy.js';
import { activationCodes } from '../rowwise/elementwise.js';
import { padFront } from '../rowwise/row-layout.js';
import { hasUnitRows, withUnitOrNoStride } from '../rowwise/rows.js';
import { normToJoin, offerFactor } from './around-product.js';
import { type DenseArgs, type DenseProduct, flatten, matrixOf } from './dense-product.js';
import type { MatmulArgs, MatmulOptions } from './matmul-args.js';
import { inferQuantized, recordQuantized } from './matmul-quantized.js';
import { choosePath, chooseTiles, pathCodes, type WideLayout } from './matmul-tiles.js';
import { imageSize, imageStrides, PackedMatrix, recordPack } from './pack.js';

const op = 'matmul';

export const matmul = defineOp({
  name: op,
  parameters: ['a', 'b', 'transposeA', 'transposeB', 'bias', 'activation', 'residual'],
  // The kernel reads an element of the residual only when it writes the same element of the result.
  inPlace: (operand, { a, b, bias, residual }) =>
    operand === residual && operand !== a && operand !== b && operand !== bias,
  args: (a: Tensor, b: MatmulArgs['b'], options: MatmulOptions = {}): MatmulArgs => ({ a, b, ...options }),
  operands: ({ a, b, bias, residual }) => [a, b instanceof Tensor ? b : imageOf(b), bias, residual],
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

function recordMatmul(recorder: Recorder, args: DenseArgs, out: Tensor): void {
  if (matrixOf(args.a, args.transposeA === true).shape[1] === 0) {
    recordEmptySum(recorder, args, out);
    return;
  }
  const direct = hasUnitRows(out) ? out : recorder.temporary(out.shape);
  const product = flatten(recorder, args, direct);
  recordProduct(recorder, product, args);
  if (product.c !== out) recordCopy(recorder, product.c, out);
}

/** @param up the second factor of a gated unit, whose first one is the product's */
function recordProduct(recorder: Recorder, product: DenseProduct, args: DenseArgs, up?: DenseProduct): void {
  const { b, c, residual, m, n, k, batch, batchStrides } = product;
  const batches = elementCount(batch);
  const blocks = recorder.blockSizes;
  const { threads, products } = recorder;
  const source = b instanceof PackedMatrix ? imageOf(b) : b;
  const size = {
    m,
    n,
    k: up === undefined ? k : 2 * k,
    batches,
    threads,
    nc: blocks.nc,
    wide: wideLayout(product),
    wideBytes: dtypes[(m <= n || b instanceof PackedMatrix ? source : product.a).dtype].sizeBytes,
    isFirst: recorder.steps.length === 0,
    isPacked: b instanceof PackedMatrix,
    thinAcross: products.thinAcross,
  };
  const path = b instanceof PackedMatrix ? 'sharedPack' : choosePath(size);
  const tiles = chooseTiles(size, path);
  const norm = normToJoin(recorder, product, tiles);
  const a = norm?.x ?? product.a;
  const image = path === 'sharedPack' ? packedImage(recorder, product) : undefined;
  const bias = withUnitOrNoStride(recorder, args.bias);
  const [aBatch, bBatch, cBatch, residualBatch] = batchStrides as [number[], number[], number[], number[]];
  const upImage = up && imageOf(up.b as PackedMatrix);
  const step = {
    kernel: op,
    tiles: Math.ceil(batches / tiles.batches) * Math.ceil(m / tiles.m) * Math.ceil(n / tiles.n),
    flops: 2 * batches * m * n * size.k,
    reads: [a, norm?.weight, image?.packed ?? source, upImage, bias, residual],
    writes: up === undefined ? [c] : [c, up.c],
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
      .ints(norm === undefined ? product.aStrides : [k, 1])
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
      .ints(padFront(residualBatch, 0))
      .int(norm !== undefined)
      .pointer(norm?.weight)
      .double(norm?.eps ?? 0)
      .pointer(upImage)
      .pointer(up?.c),
  );
  if (up !== undefined) return;
  offerFactor(recorder, product, args, (first, second, activation) =>
    recordProduct(recorder, first, { a: first.a, b: first.b, activation }, second),
  );
}

/** The layout of the wide operand: b, or a if it has more rows than b has columns. */
function wideLayout({ m, n, aStrides, bStrides }: DenseProduct): WideLayout {
  const [along, across] = m <= n ? [bStrides[1], bStrides[0]] : [aStrides[0], aStrides[1]];
  return along === 1 ? 'along' : across === 1 ? 'across' : 'strided';
}

/** The packed panels of b: those of a PackedMatrix, or made in a step before this product, for all of its tiles. */
function packedImage(recorder: Recorder, { b, n, k, batch, batchStrides, bStrides }: DenseProduct) {
  const bBatch = batchStrides[1] as readonly number[];
  if (b instanceof PackedMatrix) return { packed: imageOf(b), batchStrides: bBatch };
  const distinct = batch.map((size, dim) => (bBatch[dim] === 0 ? 1 : size));
  const size = imageSize(k, n);
  const packed = recorder.temporary([elementCount(distinct) * size], b.dtype);
  recordPack(recorder, { b, k, n, bStrides, batch: distinct, batchStrides: bBatch }, packed);
  return { packed, batchStrides: imageStrides(distinct, size) };
}

/** For k = 0, the sums are 0: records a product of zeros with k = 1, so that bias, activation and residual apply. */
function recordEmptySum(recorder: Recorder, args: DenseArgs, out: Tensor): void {
  const { zero } = recorder;
  const [m, n] = out.shape.slice(-2) as [number, number];
  const batch = out.shape.slice(0, -2);
  const { transposeA: _a, transposeB: _b, ...rest } = args;
  recordMatmul(recorder, { ...rest, a: zero.expand([...batch, m, 1]), b: zero.expand([1, n]) }, out);
}
