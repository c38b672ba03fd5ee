// attention: scaled dot-product attention with an online softmax, so that no tensor [tokens, tokens] is ever stored
// (native/kernels/attention.h). Checks the arguments and chooses the tiles, which change no bit of the result.
import { formatShape, TesseraeError } from '../../base/errors.js';
import { checkPositive } from '../../base/options.js';
import type { ParamWriter } from '../../program/param-writer.js';
import type { Recorder } from '../../program/recorder.js';
import type { Tensor } from '../../tensor/tensor.js';
import { type CallOptions, checkFlag, checkNumber, checkSameShape, checkTensor, checkVector, defineOp } from '../op.js';
import { recordCopy } from '../rowwise/copy.js';
import { broadcastTo, hasUnitRows, packed, withUnitRows } from '../rowwise/rows.js';

/** Options that depend on positions of query and key. Query i has position i + keys - queries, or `positions[i]`. */
export interface ScoreOptions {
  /** Each query sees only keys less than this many positions away: before it and, unless `causal`, after it. */
  readonly window?: number | undefined;
  /** Scores s become softcap · tanh(s / softcap), after scaling and before everything else. */
  readonly softcap?: number | undefined;
  /** f32 [heads]: slope · distance is subtracted from each score (ALiBi). */
  readonly slopes?: Tensor | undefined;
}

export interface AttentionOptions extends CallOptions, ScoreOptions {
  /** Query i sees the keys up to its own position: i + keys - queries or, if given, `positions[i]`. */
  readonly causal?: boolean | undefined;
  /** Multiplies the scores; 1 / √dim by default. */
  readonly scale?: number | undefined;
  /** f32, broadcast to [batch, heads, queries, keys], added to the scaled scores; -Infinity excludes a key. */
  readonly mask?: Tensor | undefined;
  /**
   * i32 [batch, queries] or [queries], with `causal`: the last key that each query sees. Keys after it may be
   * uninitialised, as in a KV cache that is not full.
   */
  readonly positions?: Tensor | undefined;
  /** i32 [batch]: the number of keys of each sequence in a padded batch. */
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
  parameters: ['q', 'k', 'v', 'causal', 'scale', 'mask', 'positions', 'kvLengths', 'window', 'softcap', 'slopes'],
  inPlace: () => false,
  args: (q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): AttentionArgs => ({ q, k, v, ...options }),
  operands: ({ q, k, v, mask, positions, kvLengths, slopes }) => [q, k, v, mask, positions, kvLengths, slopes],
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
    checkScoreOptions(args, heads, op);
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
  const to = hasUnitRows(out) ? out : recorder.temporary(out.shape);
  const [batch, heads, queries, dim] = q.shape as [number, number, number, number];
  const [, kvHeads, keys] = k.shape as [number, number, number];
  const vDim = v.shape[3] as number;
  const causal = args.causal === true;
  const mask = args.mask && withUnitRows(recorder, broadcastTo(args.mask, [batch, heads, queries, keys], op));
  const positions = args.positions && packed(recorder, args.positions);
  const kvLengths = args.kvLengths && packed(recorder, args.kvLengths);
  const slopes = args.slopes && packed(recorder, args.slopes);
  const sizes = { batch, heads, kvHeads, queries, keys, dim, vDim };
  const tiles = attentionTiles(sizes, recorder.threads);
  const seen = causal && positions === undefined ? Math.max(1, keys - (queries - 1) / 2) : keys;
  const inWindow = args.window === undefined ? seen : Math.min(seen, args.window * (causal ? 1 : 2));
  const step = {
    kernel: op,
    tiles: tiles.count,
    flops: 2 * batch * heads * queries * inWindow * (dim + vDim),
    reads: [q, k, v, mask, positions, kvLengths, slopes],
    writes: [to],
  };
  recorder.emit(step, (params) =>
    writeAttention(params, {
      sizes,
      tiles,
      tensors: { q, k, v, out: to, mask, positions, kvLengths, slopes },
      strides: {
        q: q.strides.slice(0, 3),
        k: k.strides.slice(0, 3),
        v: v.strides.slice(0, 3),
        out: to.strides.slice(0, 3),
        mask: mask?.strides.slice(0, 3),
        positions: positions?.rank === 2 ? (positions.strides[0] as number) : 0,
      },
      causal,
      options: args,
    }),
  );
  if (to !== out) recordCopy(recorder, to, out);
}

/** @throws TesseraeError ERR_ARGUMENT, ERR_DTYPE, ERR_SHAPE */
export function checkScoreOptions({ window, softcap, slopes }: ScoreOptions, heads: number, op: string): void {
  if (window !== undefined) checkPositive(window, 'window', op);
  if (softcap !== undefined) checkNumber(softcap, op, 'softcap', { positive: true });
  checkVector(slopes, op, 'slopes', heads);
}

export interface AttentionSizes {
  readonly batch: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly queries: number;
  readonly keys: number;
  readonly dim: number;
  readonly vDim: number;
}

/** One step of attention in the form that its kernel takes. Strides are those over batch, head and row. */
export interface AttentionStep {
  readonly sizes: AttentionSizes;
  readonly tiles: AttentionTiles;
  readonly tensors: {
    readonly q: Tensor;
    /** Left out by ops whose keys and values are not tensors. */
    readonly k?: Tensor | undefined;
    readonly v?: Tensor | undefined;
    /** Left out by a step that computes parts of it. */
    readonly out?: Tensor | undefined;
    readonly mask?: Tensor | undefined;
    readonly positions?: Tensor | undefined;
    readonly kvLengths?: Tensor | undefined;
    readonly slopes?: Tensor | undefined;
  };
  readonly strides: {
    readonly q: readonly number[];
    readonly k?: readonly number[] | undefined;
    readonly v?: readonly number[] | undefined;
    readonly out?: readonly number[] | undefined;
    readonly mask?: readonly number[] | undefined;
    readonly positions?: number;
  };
  readonly causal: boolean;
  readonly options: Pick<AttentionOptions, 'scale' | 'window' | 'softcap'>;
}

const noStrides = [0, 0, 0];

/** Writes the struct AttentionParams of native/kernels/attention.h. */
export function writeAttention(params: ParamWriter, step: AttentionStep): void {
  const { sizes, tiles, tensors, strides, causal, options } = step;
  const { batch, heads, kvHeads, queries, keys, dim, vDim } = sizes;
  params
    .pointer(tensors.q)
    .pointer(tensors.k)
    .pointer(tensors.v)
    .pointer(tensors.out)
    .pointer(tensors.mask)
    .pointer(tensors.positions)
    .pointer(tensors.kvLengths)
    .double(options.scale ?? 1 / Math.sqrt(dim))
    .dtype(tensors.k ?? tensors.q)
    .int(causal)
    .ints([batch, heads, kvHeads, queries, keys, dim, vDim])
    .ints([tiles.heads, tiles.queries])
    .ints(strides.q)
    .ints(strides.k ?? noStrides)
    .ints(strides.v ?? noStrides)
    .ints(strides.out ?? noStrides)
    .ints(strides.mask ?? noStrides)
    .int(strides.positions ?? 0)
    .pointer(tensors.slopes)
    .double(options.softcap ?? 0)
    .int(options.window ?? 0);
}

/** Queries in a tile, which share one packing of the keys: with more, load balance suffers; with fewer, packing costs more. */
const mostQueries = 256;
/** The most rows of a tile that has several heads of a group. */
const mostSharedRows = 128;
const leastQueries = 48;
const tilesPerWorker = 4;

export interface AttentionTiles {
  readonly heads: number;
  readonly queries: number;
  readonly count: number;
}

/** The size of tiles. If the rows are few, all heads of a group are in one tile, so that their keys are read only once. */
export function attentionTiles(sizes: AttentionSizes, threads: number): AttentionTiles {
  const { batch, kvHeads, queries } = sizes;
  const group = sizes.heads / kvHeads;
  const heads = Math.max(1, Math.min(group, Math.floor(mostSharedRows / queries)));
  const wanted = threads * tilesPerWorker;
  const perBlock = batch * kvHeads * Math.ceil(group / heads);
  const blocks = Math.max(Math.ceil(queries / mostQueries), Math.ceil(wanted / perBlock));
  const tileQueries = Math.max(Math.min(leastQueries, queries), Math.ceil(queries / blocks));
  return { heads, queries: tileQueries, count: perBlock * Math.ceil(queries / tileQueries) };
}
