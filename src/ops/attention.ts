// attention: scaled dot-product attention with an online softmax (native/kernels/attention.h). Never holds tokens ×
// tokens of anything. Here: checks and the choice of tiles, which changes no bit of the result.
import { formatShape, TesseraeError } from '../errors.js';
import type { Recorder } from '../program/recorder.js';
import type { Tensor } from '../tensor/tensor.js';
import { recordCopy } from './copy.js';
import { type CallOptions, checkFlag, checkNumber, checkSameShape, checkTensor, defineOp } from './op.js';
import { broadcastTo, packed } from './rows.js';

export interface AttentionOptions extends CallOptions {
  /** Query i sees the keys up to its own position: i + keys - queries, or `positions` where given. */
  readonly causal?: boolean | undefined;
  /** Multiplies the scores; 1 / √dim by default. */
  readonly scale?: number | undefined;
  /** f32, broadcast to [batch, heads, queries, keys], added to the scaled scores; -Infinity excludes a key. */
  readonly mask?: Tensor | undefined;
  /**
   * i32 [batch, queries] or [queries], with `causal`: the last key that each query sees. Keys behind it may be
   * uninitialised: this is how a key-value cache with room to spare is read.
   */
  readonly positions?: Tensor | undefined;
  /** i32 [batch]: how many keys each sequence of a padded batch has. */
  readonly kvLengths?: Tensor | undefined;
}

export interface AttentionArgs extends AttentionOptions {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
}

const op = 'attention';
/** The widest head: kAttentionMaxDim in the kernel. */
export const mostHeadDim = 512;

export const attention = defineOp({
  name: op,
  parameters: ['q', 'k', 'v', 'causal', 'scale', 'mask', 'positions', 'kvLengths'],
  inPlace: () => false,
  args: (q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): AttentionArgs => ({ q, k, v, ...options }),
  operands: ({ q, k, v, mask, positions, kvLengths }) => [q, k, v, mask, positions, kvLengths],
  infer(args) {
    const { q, k, v, mask, positions, kvLengths, scale } = args;
    checkTensor(q, op, 'q', 'f32');
    checkTensor(k, op, 'k', 'f32', 'f16');
    checkTensor(v, op, 'v', k.dtype);
    for (const [name, tensor] of Object.entries({ q, k, v })) {
      if (tensor.rank === 4) continue;
      throw shapeError(`${name} must be [batch, heads, tokens, dim], got ${formatShape(tensor.shape)}`);
    }
    const [batch, heads, queries, dim] = q.shape as [number, number, number, number];
    const [kBatch, kvHeads, keys, kDim] = k.shape as [number, number, number, number];
    const [vBatch, vHeads, values, vDim] = v.shape as [number, number, number, number];
    const shapes = `q ${formatShape(q.shape)}, k ${formatShape(k.shape)}, v ${formatShape(v.shape)}`;
    if (kBatch !== batch || vBatch !== batch) throw shapeError(`the batches differ: ${shapes}`);
    if (kDim !== dim) throw shapeError(`the heads of q and k differ in width: ${shapes}`);
    if (vHeads !== kvHeads || values !== keys) throw shapeError(`k and v differ in heads or tokens: ${shapes}`);
    if (kvHeads === 0 ? heads !== 0 : heads % kvHeads !== 0) {
      throw shapeError(`the heads of q must be a multiple of those of k: ${shapes}`);
    }
    if (dim === 0) throw shapeError(`heads must have a width: ${shapes}`);
    if (dim > mostHeadDim || vDim > mostHeadDim)
      throw shapeError(`heads may be ${mostHeadDim} wide at most: ${shapes}`);
    if (scale !== undefined) checkNumber(scale, op, 'scale');
    const causal = checkFlag(args.causal, op, 'causal');
    if (mask !== undefined) {
      checkTensor(mask, op, 'mask', 'f32');
      broadcastTo(mask, [batch, heads, queries, keys], op);
    }
    if (positions !== undefined) {
      checkTensor(positions, op, 'positions', 'i32');
      if (!causal) throw new TesseraeError('ERR_ARGUMENT', 'positions need causal: true', { op });
      checkSameShape(positions, positions.rank === 1 ? [queries] : [batch, queries], op, 'positions');
    }
    if (kvLengths !== undefined) {
      checkTensor(kvLengths, op, 'kvLengths', 'i32');
      checkSameShape(kvLengths, [batch], op, 'kvLengths');
    }
    return { shape: [batch, heads, queries, vDim], dtype: 'f32' };
  },
  record: recordAttention,
});

function shapeError(message: string): TesseraeError {
  return new TesseraeError('ERR_SHAPE', message, { op });
}

function recordAttention(recorder: Recorder, args: AttentionArgs, out: Tensor): void {
  const q = withUnitRows(recorder, args.q);
  const k = withUnitRows(recorder, args.k);
  const v = withUnitRows(recorder, args.v);
  const to = out.strides[3] === 1 || out.shape[3] === 1 ? out : recorder.temporary(out.shape);
  const [batch, heads, queries, dim] = q.shape as [number, number, number, number];
  const [, kvHeads, keys] = k.shape as [number, number, number];
  const vDim = v.shape[3] as number;
  const causal = args.causal === true;
  const mask = args.mask && withUnitRows(recorder, broadcastTo(args.mask, [batch, heads, queries, keys], op));
  const positions = args.positions && packed(recorder, args.positions);
  const kvLengths = args.kvLengths && packed(recorder, args.kvLengths);
  const tiles = chooseTiles({ batch, kvHeads, group: heads / kvHeads, queries, threads: recorder.threads });
  const seen = causal && positions === undefined ? Math.max(1, keys - (queries - 1) / 2) : keys;
  const step = {
    kernel: op,
    tiles: batch * kvHeads * Math.ceil(heads / kvHeads / tiles.heads) * Math.ceil(queries / tiles.queries),
    flops: 2 * batch * heads * queries * seen * (dim + vDim),
    reads: [q, k, v, mask, positions, kvLengths],
    writes: [to],
  };
  recorder.emit(step, (params) =>
    params
      .pointer(q)
      .pointer(k)
      .pointer(v)
      .pointer(to)
      .pointer(mask)
      .pointer(positions)
      .pointer(kvLengths)
      .double(args.scale ?? 1 / Math.sqrt(dim))
      .dtype(k)
      .int(causal)
      .ints([batch, heads, kvHeads, queries, keys, dim, vDim])
      .ints([tiles.heads, tiles.queries])
      .ints(q.strides.slice(0, 3))
      .ints(k.strides.slice(0, 3))
      .ints(v.strides.slice(0, 3))
      .ints(to.strides.slice(0, 3))
      .ints(mask?.strides.slice(0, 3) ?? [0, 0, 0])
      .int(positions?.rank === 2 ? (positions.strides[0] as number) : 0),
  );
  if (to !== out) recordCopy(recorder, to, out);
}

function withUnitRows(recorder: Recorder, tensor: Tensor): Tensor {
  return tensor.strides[3] === 1 || tensor.shape[3] === 1 ? tensor : packed(recorder, tensor);
}

/** Queries that share one packing of the keys: more cost balance, fewer cost packing. */
const mostQueries = 128;
const leastQueries = 48;
const tilesPerWorker = 4;

interface AttentionSize {
  readonly batch: number;
  readonly kvHeads: number;
  readonly group: number;
  readonly queries: number;
  readonly threads: number;
}

/** All heads of a group share a tile, and so the reading of their keys, where the rows are few. */
function chooseTiles({ batch, kvHeads, group, queries, threads }: AttentionSize): { heads: number; queries: number } {
  const heads = Math.max(1, Math.min(group, Math.floor(mostQueries / queries)));
  const wanted = threads * tilesPerWorker;
  const perBlock = batch * kvHeads * Math.ceil(group / heads);
  const blocks = Math.max(Math.ceil(queries / mostQueries), Math.ceil(wanted / perBlock));
  return { heads, queries: Math.max(Math.min(leastQueries, queries), Math.ceil(queries / blocks)) };
}
