// The two ops on a paged KV cache, over rows of many sequences: storeKeyValues writes each row's keys and values to its
// place, pagedAttention attends to those stored (native/kernels/store_key_values.h, paged_attention.h). Not in the
// registry: only recorded programs of models use them.
import { formatShape, TesseraeError } from '../../base/errors.js';
import { unknownOption } from '../../base/options.js';
import type { ParamWriter } from '../../program/param-writer.js';
import type { Recorder } from '../../program/recorder.js';
import type { Tensor } from '../../tensor/tensor.js';
import { checkScoreOptions, type ScoreOptions, writeAttention } from '../attention/attention.js';
import { type CallOptions, checkNumber, checkSameShape, checkTensor, defineOp } from '../op.js';
import { blockElements } from '../quantized/quantized-rows.js';
import { recordCopy } from '../rowwise/copy.js';
import { checkHeadNorms, type HeadNorms, writeHeadNorms } from '../rowwise/norm.js';
import { checkRotation, type Rotation, writeRotation } from '../rowwise/rope.js';
import { packed } from '../rowwise/rows.js';
import { type Parts, partsOf, recordMerge, writeParts } from './attention-parts.js';
import { keyValueTypes, PagedKeyValues, positionsPerPage } from './key-value-pages.js';
import { type AttentionWork, checkPlaces, checkWork, isInParts, mostItemRows, type StepRows } from './step-rows.js';

export interface StoreKeyValuesOptions {
  readonly cache: PagedKeyValues;
  readonly rows: StepRows;
}

/** `out` is the cache's table: the planner treats a write to the pages as a write to the table. */
export interface StoreKeyValuesArgs extends StoreKeyValuesOptions, CallOptions {
  readonly k: Tensor;
  readonly v: Tensor;
}

/** Enough work to be worth the claim of a tile. */
const storedRowsPerTile = 16;

export const storeKeyValues = defineOp({
  name: 'storeKeyValues',
  parameters: ['k', 'v', 'cache', 'rows'],
  inPlace: () => false,
  args: (k: Tensor, v: Tensor, options: StoreKeyValuesOptions): StoreKeyValuesArgs => ({
    k,
    v,
    out: options?.cache?.table,
    ...options,
  }),
  operands: ({ k, v, rows, cache }) => [k, v, rows.positions, rows.sequences, cache.directory],
  infer({ k, v, cache, rows, out }) {
    const op = 'storeKeyValues';
    checkCache(cache, op);
    if (out !== cache.table) throw unknownOption('out', op);
    checkTensor(k, op, 'k', 'f32');
    const count = k.shape[0] ?? 0;
    checkKeyValues({ k, v }, count, cache, op);
    checkRowsGiven(rows, op);
    checkPlaces(rows, count, op);
    return { shape: cache.table.shape, dtype: 'i32' };
  },
  record(recorder, args) {
    const { cache, rows } = args;
    const k = unitRows(recorder, args.k);
    const v = unitRows(recorder, args.v);
    const positions = packed(recorder, rows.positions);
    const sequences = packed(recorder, rows.sequences);
    const count = k.shape[0] as number;
    const step = {
      kernel: 'store_key_values',
      tiles: Math.ceil(count / storedRowsPerTile),
      flops: 0,
      reads: [k, v, positions, sequences, firstOf(cache.directory)],
      writes: [firstOf(cache.table)],
    };
    recorder.emit(step, (params) =>
      writeCache(
        params
          .pointer(k)
          .pointer(v)
          .pointer(positions)
          .pointer(sequences)
          .ints([count, cache.kvHeads, cache.headDim, cache.vDim])
          .ints(k.strides.slice(0, 2))
          .ints(v.strides.slice(0, 2))
          .int(storedRowsPerTile),
        cache,
      ),
    );
  },
});

/** Keys and values that are stored in the step that attends to them: f32 [rows, kvHeads, width]. */
export interface OwnKeyValues {
  readonly k: Tensor;
  readonly v: Tensor;
  /** Queries and keys are normalised first, head by head, in place. */
  readonly norms?: HeadNorms | undefined;
  /** Queries and keys are then rotated, in place. */
  readonly rotation?: Rotation | undefined;
}

export interface PagedAttentionOptions extends CallOptions, ScoreOptions {
  readonly cache: PagedKeyValues;
  readonly rows: StepRows;
  /** Those of the rows, if nothing has stored them. All rows of a sequence must be one item of the work list then, or one row. */
  readonly own?: OwnKeyValues | undefined;
  /** Multiplies the scores; 1 / √headDim by default. */
  readonly scale?: number | undefined;
}

export interface PagedAttentionArgs extends PagedAttentionOptions {
  readonly q: Tensor;
}

export const pagedAttention = defineOp({
  name: 'pagedAttention',
  parameters: ['q', 'cache', 'rows', 'own', 'scale', 'window', 'softcap', 'slopes'],
  inPlace: () => false,
  args: (q: Tensor, options: PagedAttentionOptions): PagedAttentionArgs => ({ q, ...options }),
  operands: ({ q, rows, cache, own, slopes }) => [
    q,
    own?.k,
    own?.v,
    own?.norms?.q,
    own?.norms?.k,
    own?.rotation?.frequencies,
    rows.positions,
    rows.sequences,
    rows.work.starts,
    ...(isInParts(rows.work) ? [rows.work.runs, rows.work.partStarts] : [rows.work.items]),
    cache.directory,
    cache.table,
    slopes,
  ],
  infer(args) {
    const op = 'pagedAttention';
    const { q, cache, rows, own, scale } = args;
    checkCache(cache, op);
    checkTensor(q, op, 'q', 'f32');
    const [count = 0, heads = 0] = q.shape;
    checkSameShape(q, [count, heads, cache.headDim], op, 'q');
    if (own !== undefined) checkKeyValues(own, count, cache, op);
    if (own?.norms !== undefined) checkHeadNorms(own.norms, cache.headDim, op);
    if (own?.rotation !== undefined) checkRotation(own.rotation, cache.headDim, op);
    checkRowsGiven(rows, op);
    checkPlaces(rows, count, op);
    checkWork(rows, count, op);
    if (cache.kvHeads === 0 || heads % cache.kvHeads !== 0) {
      const message = `the heads of q ${formatShape(q.shape)} must be a multiple of the cache's ${cache.kvHeads}`;
      throw new TesseraeError('ERR_SHAPE', message, { op });
    }
    if (scale !== undefined) checkNumber(scale, op, 'scale');
    checkScoreOptions(args, heads, op);
    return { shape: [count, heads * cache.vDim], dtype: 'f32' };
  },
  record(recorder, args, out) {
    const { cache, rows } = args;
    const q = unitRows(recorder, args.q);
    const own = args.own && ownKeyValues(recorder, args.own);
    const positions = packed(recorder, rows.positions);
    const sequences = packed(recorder, rows.sequences);
    const starts = packed(recorder, rows.work.starts);
    const slopes = args.slopes && packed(recorder, args.slopes);
    const to = out.strides[1] === 1 || out.shape[1] === 1 ? out : recorder.temporary(out.shape);
    const [count, heads, dim] = q.shape as [number, number, number];
    const { kvHeads, vDim } = cache;
    const lists = (starts.shape[0] as number) - 1;
    const work = isInParts(rows.work) ? partsOf(recorder, rows.work, heads, vDim) : undefined;
    const items = packed(recorder, work?.runs ?? (rows.work as AttentionWork).items);
    const step = {
      kernel: work === undefined ? 'paged_attention' : 'paged_attention_parts',
      quantizes: work === undefined && vDim % blockElements === 0,
      tiles: kvHeads * lists,
      // An upper bound, for a full cache: the number of keys is not known before a run.
      flops: 2 * heads * count * Math.min(cache.capacity, args.window ?? cache.capacity) * (dim + vDim),
      reads: [
        ...[q, own?.k, own?.v, own?.norms?.q, own?.norms?.k, own?.rotation?.frequencies],
        ...[positions, sequences, starts, items, work?.starts],
        ...[firstOf(cache.directory), firstOf(cache.table), slopes],
      ],
      writes: [work?.lines ?? to, ...(own ? [firstOf(cache.table)] : []), ...writtenInPlace(own, q, work)],
    };
    recorder.emit(step, (params) => {
      writeAttention(params, {
        sizes: { batch: 1, heads, kvHeads, queries: count, keys: cache.capacity, dim, vDim },
        tiles: { heads: heads / kvHeads, queries: mostItemRows, count: step.tiles },
        tensors: { q, k: own?.k, v: own?.v, positions, slopes, out: work === undefined ? to : undefined },
        strides: {
          q: headStrides(q),
          k: own && headStrides(own.k),
          v: own && headStrides(own.v),
          out: work === undefined ? [0, vDim, to.strides[0] as number] : undefined,
        },
        causal: true,
        options: args,
      });
      writeCache(params, cache).pointer(sequences).pointer(starts).pointer(items).int(lists);
      writeHeadNorms(params, own?.norms);
      if (own?.rotation === undefined) params.pointer(undefined).double(1).ints([0, 0]);
      else writeRotation(params, own.rotation);
      if (work === undefined) params.pointer(undefined);
      else writeParts(params, work);
    });
    if (work !== undefined) recordMerge(recorder, work, { rows: count, heads, vDim, out: to });
    if (to !== out) recordCopy(recorder, to, out);
  },
});

/** Operands that the step changes in place; in parts it changes copies. */
function writtenInPlace(own: OwnKeyValues | undefined, q: Tensor, parts: Parts | undefined): Tensor[] {
  const isChanged = own?.norms !== undefined || own?.rotation !== undefined;
  return isChanged && parts === undefined ? [q, own.k] : [];
}

/** The tensor [rows, heads, width] itself if its heads have unit stride, else a packed copy. */
function unitRows(recorder: Recorder, tensor: Tensor): Tensor {
  return tensor.strides[2] === 1 || tensor.shape[2] === 1 ? tensor : packed(recorder, tensor);
}

function ownKeyValues(recorder: Recorder, { k, v, norms, rotation }: OwnKeyValues): OwnKeyValues {
  const frequencies = rotation && packed(recorder, rotation.frequencies);
  return {
    k: unitRows(recorder, k),
    v: unitRows(recorder, v),
    norms: norms && { ...norms, q: packed(recorder, norms.q), k: packed(recorder, norms.k) },
    rotation: rotation && { ...rotation, frequencies: frequencies as Tensor },
  };
}

/** Of [rows, heads, width]: over the batch, heads and rows, as attention's parameters have them. */
function headStrides({ strides }: Tensor): number[] {
  return [0, strides[1] as number, strides[0] as number];
}

/**
 * What a step lists as read or written for all pages. A whole table or directory would count as so many bytes of work,
 * of which a run reads a few lines.
 */
function firstOf(tensor: Tensor): Tensor {
  return tensor.slice([0, 1], [0, 1]);
}

function checkCache(cache: unknown, op: string): asserts cache is PagedKeyValues {
  if (cache instanceof PagedKeyValues) return;
  throw new TesseraeError('ERR_ARGUMENT', 'cache must be an instance of PagedKeyValues', { op });
}

function checkKeyValues({ k, v }: OwnKeyValues, count: number, cache: PagedKeyValues, op: string): void {
  checkTensor(k, op, 'k', 'f32');
  checkTensor(v, op, 'v', 'f32');
  checkSameShape(k, [count, cache.kvHeads, cache.headDim], op, 'k');
  checkSameShape(v, [count, cache.kvHeads, cache.vDim], op, 'v');
}

function checkRowsGiven(rows: unknown, op: string): asserts rows is StepRows {
  if (typeof rows === 'object' && rows !== null) return;
  throw new TesseraeError('ERR_ARGUMENT', 'rows must be the rows of a step', { op });
}

/** KeyValuePages of native/kernels/key_value_pages.h. */
function writeCache(params: ParamWriter, cache: PagedKeyValues): ParamWriter {
  const { directory, table } = cache;
  const [slots, slotPages] = table.shape as [number, number];
  return params
    .pointer(directory)
    .int(directory.shape[0] as number)
    .pointer(table)
    .ints([slots, slotPages, positionsPerPage, cache.keysOffset, cache.valuesOffset])
    .int(keyValueTypes[cache.type]);
}
