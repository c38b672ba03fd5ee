// sequenceAttention: attention of rows of many sequences, one after the other without padding, each row to all rows of its
// own sequence (native/kernels/sequence_attention.h). Not in the registry: only recorded programs of models use it.
import { formatShape, TesseraeError } from '../../base/errors.js';
import type { Tensor } from '../../tensor/tensor.js';
import { type CallOptions, checkNumber, checkSameShape, checkTensor, defineOp } from '../op.js';
import { blockElements } from '../quantized/quantized-rows.js';
import { packed, withUnitRows } from '../rowwise/rows.js';
import { checkScoreOptions, mostHeadDim, type ScoreOptions, writeAttention } from './attention.js';

/** Fields of an item: its first row and its number of rows; the first row of its sequence, and that of its rows. */
export const sequenceItemFields = 4;

/** How the work is cut, written before each run. Results do not depend on it, as long as it covers each row once. */
export interface SequenceWork {
  /** i32 [lists + 1]: list l has the items from starts[l] up to starts[l + 1]. */
  readonly starts: Tensor;
  /** i32 [rows, {@link sequenceItemFields}]. A sequence of 0 rows: the item's rows are padding, and their outputs 0. */
  readonly items: Tensor;
}

export interface SequenceAttentionOptions extends CallOptions, ScoreOptions {
  readonly work: SequenceWork;
  /** Multiplies the scores; 1 / √dim by default. */
  readonly scale?: number | undefined;
}

export interface SequenceAttentionArgs extends SequenceAttentionOptions {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
}

const op = 'sequenceAttention';
/** Keys of a row for the estimate of the time: how many there are is not known before a run. */
const expectedKeys = 128;

export const sequenceAttention = defineOp({
  name: op,
  parameters: ['q', 'k', 'v', 'work', 'scale', 'window', 'softcap', 'slopes'],
  inPlace: () => false,
  args: (q: Tensor, k: Tensor, v: Tensor, options: SequenceAttentionOptions): SequenceAttentionArgs => ({
    q,
    k,
    v,
    ...options,
  }),
  operands: ({ q, k, v, work, slopes }) => [q, k, v, work.starts, work.items, slopes],
  infer(args) {
    const { q, k, v, work, scale } = args;
    checkTensor(q, op, 'q', 'f32');
    checkTensor(k, op, 'k', 'f32');
    checkTensor(v, op, 'v', 'f32');
    const [rows = 0, heads = 0, dim = 0] = q.shape;
    const [, kvHeads = 0] = k.shape;
    const vDim = v.shape[2] ?? 0;
    checkSameShape(q, [rows, heads, dim], op, 'q');
    checkSameShape(k, [rows, kvHeads, dim], op, 'k');
    checkSameShape(v, [rows, kvHeads, vDim], op, 'v');
    const isWidth = (width: number) => width > 0 && width <= mostHeadDim;
    if (kvHeads === 0 || heads % kvHeads !== 0 || !isWidth(dim) || !isWidth(vDim)) {
      const shapes = `q ${formatShape(q.shape)}, k ${formatShape(k.shape)}, v ${formatShape(v.shape)}`;
      const message = `heads of q must be a multiple of those of k, and 1 to ${mostHeadDim} wide: ${shapes}`;
      throw new TesseraeError('ERR_SHAPE', message, { op });
    }
    checkTensor(work.starts, op, 'starts', 'i32');
    checkSameShape(work.starts, [Math.max(2, work.starts.shape[0] ?? 0)], op, 'starts');
    checkTensor(work.items, op, 'items', 'i32');
    checkSameShape(work.items, [rows, sequenceItemFields], op, 'items');
    if (scale !== undefined) checkNumber(scale, op, 'scale');
    checkScoreOptions(args, heads, op);
    return { shape: [rows, heads * vDim], dtype: 'f32' };
  },
  record(recorder, args, out) {
    if (!out.isContiguous) throw new TesseraeError('ERR_SHAPE', 'out must be contiguous', { op });
    const q = withUnitRows(recorder, args.q);
    const k = withUnitRows(recorder, args.k);
    const v = withUnitRows(recorder, args.v);
    const starts = packed(recorder, args.work.starts);
    const items = packed(recorder, args.work.items);
    const slopes = args.slopes && packed(recorder, args.slopes);
    const [rows, heads, dim] = q.shape as [number, number, number];
    const [, kvHeads, vDim] = v.shape as [number, number, number];
    const lists = (starts.shape[0] as number) - 1;
    const step = {
      kernel: 'sequence_attention',
      quantizes: vDim % blockElements === 0,
      tiles: kvHeads * lists,
      flops: 2 * heads * rows * Math.min(rows, expectedKeys) * (dim + vDim),
      reads: [q, k, v, starts, items, slopes],
      writes: [out],
    };
    const stridesOf = ({ strides }: Tensor) => [0, strides[1] as number, strides[0] as number];
    recorder.emit(step, (params) => {
      writeAttention(params, {
        sizes: { batch: 1, heads, kvHeads, queries: rows, keys: rows, dim, vDim },
        tiles: { heads: heads / kvHeads, queries: rows, count: step.tiles },
        tensors: { q, k, v, slopes, out },
        strides: { q: stridesOf(q), k: stridesOf(k), v: stridesOf(v), out: [0, vDim, heads * vDim] },
        causal: false,
        options: args,
      });
      params.pointer(starts).pointer(items).int(lists).pointer(undefined);
    });
  },
});
