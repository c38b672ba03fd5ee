// multiHeadAttention: attention of a transformer layer with its projections, recorded as other ops.
import { formatShape, TesseraeError } from '../../base/errors.js';
import { checkPositive } from '../../base/options.js';
import type { Recorder } from '../../program/recorder.js';
import type { Tensor } from '../../tensor/tensor.js';
import { matmul } from '../matmul/matmul.js';
import { type CallOptions, checkFlag, checkNumber, checkTensor, checkVector, defineOp } from '../op.js';
import { broadcastTo } from '../rowwise/rows.js';
import { attention } from './attention.js';

export interface MultiHeadAttentionOptions extends CallOptions {
  /** [dim, heads · headDim]; like the other weights f32, f16 or bf16, with y = x · w. */
  readonly wq: Tensor;
  /** [dim, kvHeads · headDim]. */
  readonly wk: Tensor;
  /** [dim, kvHeads · headDim]. */
  readonly wv: Tensor;
  /** [heads · headDim, dim out]. */
  readonly wo: Tensor;
  readonly heads: number;
  /** Number of heads of k and v, each of which serves heads / kvHeads heads of q; `heads` by default. */
  readonly kvHeads?: number | undefined;
  readonly causal?: boolean | undefined;
  /** f32, broadcast to [batch, heads, tokens, tokens], added to the scaled scores. */
  readonly mask?: Tensor | undefined;
  /** A factor for the scores; 1 / √headDim by default. */
  readonly scale?: number | undefined;
  readonly bq?: Tensor | undefined;
  readonly bk?: Tensor | undefined;
  readonly bv?: Tensor | undefined;
  readonly bo?: Tensor | undefined;
}

export interface MultiHeadAttentionArgs extends MultiHeadAttentionOptions {
  readonly x: Tensor;
}

const op = 'multiHeadAttention';

export const multiHeadAttention = defineOp({
  name: op,
  parameters: ['x', 'wq', 'wk', 'wv', 'wo', 'heads', 'kvHeads', 'causal', 'mask', 'scale', 'bq', 'bk', 'bv', 'bo'],
  inPlace: () => false,
  /** x: f32 [batch, tokens, dim] or [tokens, dim]. */
  args: (x: Tensor, options: MultiHeadAttentionOptions): MultiHeadAttentionArgs => ({ x, ...options }),
  operands: ({ x, wq, wk, wv, wo, bq, bk, bv, bo, mask }) => [x, wq, wk, wv, wo, bq, bk, bv, bo, mask],
  infer(args) {
    const { x, wq, wk, wv, wo, bq, bk, bv, bo, heads, kvHeads = heads, mask, scale } = args;
    checkTensor(x, op, 'x', 'f32');
    if (x.rank !== 2 && x.rank !== 3) {
      throw shapeError(`x must be [batch, tokens, dim] or [tokens, dim], got ${formatShape(x.shape)}`);
    }
    checkPositive(heads, 'heads', op);
    checkPositive(kvHeads, 'kvHeads', op);
    checkFlag(args.causal, op, 'causal');
    if (heads % kvHeads !== 0) throw shapeError(`heads (${heads}) must be a multiple of kvHeads (${kvHeads})`);
    const dim = x.shape.at(-1) as number;
    for (const [name, weight] of Object.entries({ wq, wk, wv, wo })) {
      checkTensor(weight, op, name, 'f32', 'f16', 'bf16');
      if (weight.rank !== 2) throw shapeError(`${name} must be a matrix, got ${formatShape(weight.shape)}`);
    }
    const width = wq.shape[1] as number;
    if (width % heads !== 0) throw shapeError(`wq ${formatShape(wq.shape)} does not split into ${heads} heads`);
    const kvWidth = (width / heads) * kvHeads;
    checkWeight(wq, 'wq', [dim, width]);
    checkWeight(wk, 'wk', [dim, kvWidth]);
    checkWeight(wv, 'wv', [dim, kvWidth]);
    checkWeight(wo, 'wo', [width, wo.shape[1] as number]);
    checkVector(bq, op, 'bq', width);
    checkVector(bk, op, 'bk', kvWidth);
    checkVector(bv, op, 'bv', kvWidth);
    checkVector(bo, op, 'bo', wo.shape[1] as number);
    if (scale !== undefined) checkNumber(scale, op, 'scale');
    if (mask !== undefined) {
      checkTensor(mask, op, 'mask', 'f32');
      const [batch, tokens] = x.rank === 3 ? (x.shape as [number, number]) : [1, x.shape[0] as number];
      broadcastTo(mask, [batch, heads, tokens, tokens], op);
    }
    return { shape: [...x.shape.slice(0, -1), wo.shape[1] as number], dtype: 'f32' };
  },
  record(recorder, args, out) {
    const { x, wq, wk, wv, wo, heads, kvHeads = heads, causal, mask, scale } = args;
    const [batch, tokens] = x.rank === 3 ? (x.shape as [number, number]) : [1, x.shape[0] as number];
    /** Projects x; the result is a view [batch, heads, tokens, headDim]. */
    const project = (weight: Tensor, bias: Tensor | undefined, count: number): Tensor => {
      const width = weight.shape[1] as number;
      const projected = recorder.temporary([...x.shape.slice(0, -1), width]);
      matmul.record(recorder, { a: x, b: weight, bias }, projected);
      return asHeads(projected, batch, tokens, count);
    };
    const q = project(wq, args.bq, heads);
    const k = project(wk, args.bk, kvHeads);
    const v = project(wv, args.bv, kvHeads);
    const joined = recorder.temporary([...x.shape.slice(0, -1), wq.shape[1] as number]);
    recordAttention(recorder, { q, k, v, causal, mask, scale }, asHeads(joined, batch, tokens, heads));
    matmul.record(recorder, { a: joined, b: wo, bias: args.bo }, out);
  },
});

/** Records attention after its own checks, which refuse heads that are too wide. */
function recordAttention(recorder: Recorder, args: Parameters<typeof attention.infer>[0], out: Tensor): void {
  attention.infer(args);
  attention.record(recorder, args, out);
}

function asHeads(tensor: Tensor, batch: number, tokens: number, heads: number): Tensor {
  return tensor.reshape([batch, tokens, heads, -1]).transpose(0, 2, 1, 3);
}

function shapeError(message: string): TesseraeError {
  return new TesseraeError('ERR_SHAPE', message, { op });
}

function checkWeight(weight: Tensor, name: string, shape: readonly number[]): void {
  if (weight.shape.every((size, dim) => size === shape[dim])) return;
  throw shapeError(`${name} must be ${formatShape(shape)}, got ${formatShape(weight.shape)}`);
}
