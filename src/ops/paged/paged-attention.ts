// The two ops on a paged KV cache: storeKeyValues writes keys and values of tokens to their positions, pagedAttention
// attends to the stored ones (native/kernels/store_key_values.h, paged_attention.h). Not in the registry: only recorded
// programs of models use them.
import { formatShape, TesseraeError } from '../../base/errors.js';
import { unknownOption } from '../../base/options.js';
import type { ParamWriter } from '../../program/param-writer.js';
import type { Tensor } from '../../tensor/tensor.js';
import { attentionTiles, checkScoreOptions, type ScoreOptions, writeAttention } from '../attention/attention.js';
import { type CallOptions, checkNumber, checkSameShape, checkTensor, defineOp } from '../op.js';
import { blockElements } from '../quantized/quantized-rows.js';
import { recordCopy } from '../rowwise/copy.js';
import { packed } from '../rowwise/rows.js';
import { keyValueTypes, PagedKeyValues, positionsPerPage } from './key-value-pages.js';

export interface StoreKeyValuesOptions {
  readonly cache: PagedKeyValues;
}

/** `out` is the cache's table: the planner treats a write to the pages as a write to the table. */
export interface StoreKeyValuesArgs extends StoreKeyValuesOptions, CallOptions {
  readonly k: Tensor;
  readonly v: Tensor;
  readonly positions: Tensor;
}

/** Enough work to be worth the claim of a tile. */
const storedTokensPerTile = 16;

export const storeKeyValues = defineOp({
  name: 'storeKeyValues',
  parameters: ['k', 'v', 'positions', 'cache'],
  inPlace: () => false,
  args: (k: Tensor, v: Tensor, positions: Tensor, options: StoreKeyValuesOptions): StoreKeyValuesArgs => ({
    k,
    v,
    positions,
    out: options?.cache?.table,
    ...options,
  }),
  operands: ({ k, v, positions }) => [k, v, positions],
  infer({ k, v, positions, cache, out }) {
    const op = 'storeKeyValues';
    checkCache(cache, op);
    if (out !== cache.table) throw unknownOption('out', op);
    checkTensor(k, op, 'k', 'f32');
    checkTensor(v, op, 'v', 'f32');
    checkTensor(positions, op, 'positions', 'i32');
    const tokens = k.shape[0] ?? 0;
    checkSameShape(k, [tokens, cache.kvHeads, cache.headDim], op, 'k');
    checkSameShape(v, [tokens, cache.kvHeads, cache.vDim], op, 'v');
    checkSameShape(positions, [tokens], op, 'positions');
    return { shape: cache.table.shape, dtype: 'i32' };
  },
  record(recorder, args, out) {
    const { cache } = args;
    const k = withUnitRows(args.k) ? args.k : packed(recorder, args.k);
    const v = withUnitRows(args.v) ? args.v : packed(recorder, args.v);
    const positions = packed(recorder, args.positions);
    const tokens = k.shape[0] as number;
    const step = {
      kernel: 'store_key_values',
      tiles: Math.ceil(tokens / storedTokensPerTile),
      flops: 0,
      reads: [k, v, positions],
      writes: [out],
    };
    recorder.emit(step, (params) =>
      writeCache(
        params
          .pointer(k)
          .pointer(v)
          .pointer(positions)
          .ints([tokens, cache.kvHeads, cache.headDim, cache.vDim])
          .ints(k.strides.slice(0, 2))
          .ints(v.strides.slice(0, 2))
          .int(storedTokensPerTile),
        cache,
      ),
    );
  },
});

export interface PagedAttentionOptions extends CallOptions, ScoreOptions {
  readonly cache: PagedKeyValues;
  /** Multiplies the scores; 1 / √headDim by default. */
  readonly scale?: number | undefined;
}

export interface PagedAttentionArgs extends PagedAttentionOptions {
  readonly q: Tensor;
  readonly positions: Tensor;
}

export const pagedAttention = defineOp({
  name: 'pagedAttention',
  parameters: ['q', 'positions', 'cache', 'scale', 'window', 'softcap', 'slopes'],
  inPlace: () => false,
  args: (q: Tensor, positions: Tensor, options: PagedAttentionOptions): PagedAttentionArgs => ({
    q,
    positions,
    ...options,
  }),
  operands: ({ q, positions, cache, slopes }) => [q, positions, cache.table, slopes],
  infer(args) {
    const op = 'pagedAttention';
    const { q, positions, cache, scale } = args;
    checkCache(cache, op);
    checkTensor(q, op, 'q', 'f32');
    checkTensor(positions, op, 'positions', 'i32');
    const [tokens = 0, heads = 0] = q.shape;
    checkSameShape(q, [tokens, heads, cache.headDim], op, 'q');
    checkSameShape(positions, [tokens], op, 'positions');
    if (cache.kvHeads === 0 || heads % cache.kvHeads !== 0) {
      const message = `the heads of q ${formatShape(q.shape)} must be a multiple of the cache's ${cache.kvHeads}`;
      throw new TesseraeError('ERR_SHAPE', message, { op });
    }
    if (scale !== undefined) checkNumber(scale, op, 'scale');
    checkScoreOptions(args, heads, op);
    return { shape: [tokens, heads * cache.vDim], dtype: 'f32' };
  },
  record(recorder, args, out) {
    const { cache } = args;
    const q = withUnitRows(args.q) ? args.q : packed(recorder, args.q);
    const positions = packed(recorder, args.positions);
    const slopes = args.slopes && packed(recorder, args.slopes);
    const to = out.strides[1] === 1 || out.shape[1] === 1 ? out : recorder.temporary(out.shape);
    const [queries, heads, dim] = q.shape as [number, number, number];
    const { kvHeads, vDim } = cache;
    const sizes = { batch: 1, heads, kvHeads, queries, keys: cache.capacity, dim, vDim };
    const tiles = attentionTiles(sizes, recorder.threads);
    const step = {
      kernel: 'paged_attention',
      quantizes: vDim % blockElements === 0,
      tiles: tiles.count,
      // The number of keys is known only at run time; this counts a full cache.
      flops: 2 * heads * queries * Math.min(cache.capacity, args.window ?? cache.capacity) * (dim + vDim),
      reads: [q, positions, cache.table, slopes],
      writes: [to],
    };
    const [qRow, qHead] = q.strides as [number, number];
    recorder.emit(step, (params) => {
      writeAttention(params, {
        sizes,
        tiles,
        tensors: { q, positions, slopes, out: to },
        strides: { q: [0, qHead, qRow], out: [0, vDim, to.strides[0] as number] },
        causal: true,
        options: args,
      });
      writeCache(params, cache).pointer(undefined);
    });
    if (to !== out) recordCopy(recorder, to, out);
  },
});

function withUnitRows(tensor: Tensor): boolean {
  return tensor.strides[2] === 1 || tensor.shape[2] === 1;
}

function checkCache(cache: unknown, op: string): asserts cache is PagedKeyValues {
  if (cache instanceof PagedKeyValues) return;
  throw new TesseraeError('ERR_ARGUMENT', 'cache must be an instance of PagedKeyValues', { op });
}

/** Writes the struct KeyValuePages of native/kernels/key_value_pages.h. */
function writeCache(params: ParamWriter, cache: PagedKeyValues): ParamWriter {
  return params
    .pointer(cache.table)
    .int(cache.table.shape[0] as number)
    .ints([positionsPerPage, cache.keysOffset, cache.valuesOffset])
    .int(keyValueTypes[cache.type]);
}
