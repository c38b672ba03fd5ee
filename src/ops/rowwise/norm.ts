// rmsNorm and layerNorm over the last dimension (native/kernels/rms_norm.h, layer_norm.h).
import type { ParamWriter } from '../../program/param-writer.js';
import type { Tensor } from '../../tensor/tensor.js';
import { type CallOptions, checkNumber, checkRank, checkTensor, checkVector, defineOp } from '../op.js';
import { noteNorm } from '../quantized/unnormed-rows.js';
import { packed, recordRows } from './rows.js';

export interface RmsNormOptions extends CallOptions {
  /** Added to the mean square before the root; 1e-5 by default. */
  readonly eps?: number | undefined;
}

export interface RmsNormArgs extends RmsNormOptions {
  readonly x: Tensor;
  readonly weight: Tensor | undefined;
}

/** How queries and keys are normalised, each head by itself: as rmsNorm does with these weights. */
export interface HeadNorms {
  /** f32 [headDim], of the queries. */
  readonly q: Tensor;
  /** f32 [headDim], of the keys. */
  readonly k: Tensor;
  /** As of rmsNorm. */
  readonly eps?: number | undefined;
}

export interface LayerNormOptions extends CallOptions {
  /** f32 [columns], multiplies the normalised row. */
  readonly weight?: Tensor | undefined;
  /** f32 [columns], added last. */
  readonly bias?: Tensor | undefined;
  /** Added to the variance before the root; 1e-5 by default. */
  readonly eps?: number | undefined;
}

export interface LayerNormArgs extends LayerNormOptions {
  readonly x: Tensor;
}

const defaultEps = 1e-5;

function checkNorm(
  args: { x: Tensor; weight?: Tensor | undefined; bias?: Tensor | undefined; eps?: number | undefined },
  op: string,
) {
  const { x, weight, bias, eps = defaultEps } = args;
  checkTensor(x, op, 'x', 'f32');
  checkRank(x, op, 'x', 1);
  const columns = x.shape.at(-1) as number;
  checkVector(weight, op, 'weight', columns);
  checkVector(bias, op, 'bias', columns);
  checkNumber(eps, op, 'eps');
  return { shape: x.shape, dtype: 'f32' } as const;
}

export const rmsNorm = defineOp({
  name: 'rmsNorm',
  parameters: ['x', 'weight', 'eps'],
  inPlace: () => true,
  args: (x: Tensor, weight?: Tensor, options: RmsNormOptions = {}): RmsNormArgs => ({ x, weight, ...options }),
  operands: ({ x, weight }) => [x, weight],
  infer: (args) => checkNorm(args, 'rmsNorm'),
  record(recorder, { x, weight, eps = defaultEps }, out) {
    const scale = weight && packed(recorder, weight);
    recordRows(recorder, {
      kernel: 'rms_norm',
      quantizes: true,
      flopsPerElement: 4,
      tensors: [x, out],
      alsoReads: [scale],
      write: (params, [from, to], { columns, outer, strides }, tileRows) =>
        params
          .pointer(from)
          .pointer(to)
          .pointer(scale)
          .double(eps)
          .int(columns)
          .int(tileRows)
          .ints(outer)
          .ints(strides.flat())
          .pointer(undefined),
    });
    noteNorm(recorder, { x, weight: scale, eps });
  },
});

/** @throws TesseraeError ERR_ARGUMENT, ERR_DTYPE, ERR_SHAPE unless heads of `dim` elements can be normalised so */
export function checkHeadNorms({ q, k, eps = defaultEps }: HeadNorms, dim: number, op: string): void {
  for (const [weight, name] of [
    [q, 'norms.q'],
    [k, 'norms.k'],
  ] as const) {
    checkTensor(weight, op, name, 'f32');
    checkVector(weight, op, name, dim);
  }
  checkNumber(eps, op, 'norms.eps');
}

/** Writes the struct HeadNorms of native/kernels/rms_norm.h; the weights are packed. */
export function writeHeadNorms(params: ParamWriter, norms: HeadNorms | undefined): ParamWriter {
  return params
    .pointer(norms?.q)
    .pointer(norms?.k)
    .double(norms?.eps ?? defaultEps);
}

export const layerNorm = defineOp({
  name: 'layerNorm',
  parameters: ['x', 'weight', 'bias', 'eps'],
  inPlace: () => true,
  args: (x: Tensor, options: LayerNormOptions = {}): LayerNormArgs => ({ x, ...options }),
  operands: ({ x, weight, bias }) => [x, weight, bias],
  infer: (args) => checkNorm(args, 'layerNorm'),
  record(recorder, { x, weight, bias, eps = defaultEps }, out) {
    const scale = weight && packed(recorder, weight);
    const shift = bias && packed(recorder, bias);
    recordRows(recorder, {
      kernel: 'layer_norm',
      flopsPerElement: 7,
      tensors: [x, out],
      alsoReads: [scale, shift],
      write: (params, [from, to], { columns, outer, strides }, tileRows) =>
        params
          .pointer(from)
          .pointer(to)
          .pointer(scale)
          .pointer(shift)
          .double(eps)
          .int(columns)
          .int(tileRows)
          .ints(outer)
          .ints(strides.flat()),
    });
  },
});
