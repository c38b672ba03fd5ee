// The attention and multiHeadAttention cases of the conformance suite: numbers of keys around the key block of
// native/kernels/attention.h, grouped heads, masks, caches that are not full, and padded batches.
import type { AttentionOptions } from '../../../src/ops/attention/attention.js';
import { Numbers } from '../numbers.js';
import {
  broadcastAt,
  floatOperand,
  halfOperand,
  indexOperand,
  type OpCase,
  type Operand,
  type Values,
} from './op-case.js';
import { type AttentionSizes, attentionOracle, matmulOracle } from './op-oracles.js';

interface AttentionSpec extends AttentionSizes {
  readonly half?: boolean;
  readonly causal?: boolean;
  readonly scale?: number;
  readonly mask?: readonly number[];
  /** Whether they are given for each query, or for each sequence and query. */
  readonly positions?: 'queries' | 'batch';
  readonly kvLengths?: boolean;
  readonly window?: number;
  readonly softcap?: number;
  readonly slopes?: boolean;
}

const small = { batch: 2, heads: 4, kvHeads: 2, queries: 5, keys: 7, dim: 8, vDim: 8 };

const specs: readonly AttentionSpec[] = [
  { batch: 1, heads: 1, kvHeads: 1, queries: 1, keys: 1, dim: 1, vDim: 1 },
  { ...small },
  { ...small, causal: true },
  { ...small, scale: 0.5, mask: [2, 4, 5, 7] },
  { ...small, mask: [5, 1] },
  { ...small, causal: true, mask: [2, 1, 1, 7], half: true },
  { ...small, causal: true, positions: 'queries' },
  { ...small, causal: true, positions: 'batch', kvLengths: true },
  { ...small, kvLengths: true, half: true },
  { ...small, queries: 7, keys: 3, causal: true },
  { ...small, keys: 0 },
  { ...small, queries: 0 },
  { ...small, vDim: 0 },
  { ...small, batch: 0 },
  { batch: 1, heads: 2, kvHeads: 1, queries: 3, keys: 255, dim: 16, vDim: 24 },
  { batch: 1, heads: 2, kvHeads: 2, queries: 2, keys: 256, dim: 64, vDim: 64, half: true },
  { batch: 1, heads: 3, kvHeads: 1, queries: 4, keys: 257, dim: 64, vDim: 33, causal: true },
  { batch: 1, heads: 1, kvHeads: 1, queries: 2, keys: 30, dim: 512, vDim: 511 },
  { batch: 2, heads: 6, kvHeads: 2, queries: 1, keys: 513, dim: 32, vDim: 32, causal: true, positions: 'batch' },
  { batch: 1, heads: 2, kvHeads: 1, queries: 130, keys: 513, dim: 16, vDim: 16, causal: true },
  { batch: 2, heads: 2, kvHeads: 2, queries: 129, keys: 129, dim: 24, vDim: 24, mask: [129, 129] },
  { ...small, window: 3 },
  { ...small, causal: true, window: 3, softcap: 0.5, slopes: true, mask: [5, 7] },
  { ...small, causal: true, positions: 'batch', window: 2, slopes: true },
  { batch: 1, heads: 4, kvHeads: 2, queries: 40, keys: 600, dim: 16, vDim: 16, causal: true, window: 70, half: true },
  { batch: 1, heads: 2, kvHeads: 1, queries: 300, keys: 300, dim: 16, vDim: 16, window: 9, softcap: 2 },
];

export const attentionCases: readonly OpCase[] = specs.map((spec, index) =>
  attentionCase(spec, new Numbers(300 + index)),
);

function attentionCase(spec: AttentionSpec, numbers: Numbers): OpCase {
  const { batch, heads, kvHeads, queries, keys, dim, vDim, causal, scale, window, softcap } = spec;
  const kv = spec.half === true ? halfOperand : floatOperand;
  const operands: Record<string, Operand> = {
    q: floatOperand(numbers, [batch, heads, queries, dim], 2),
    k: kv(numbers, [batch, kvHeads, keys, dim]),
    v: kv(numbers, [batch, kvHeads, keys, vDim]),
  };
  if (spec.mask !== undefined) {
    const mask = floatOperand(numbers, spec.mask, 3);
    // Excludes some keys, but never all of them.
    mask.values.forEach((_, index) => {
      if (index % 5 === 3) mask.values[index] = Number.NEGATIVE_INFINITY;
    });
    operands.mask = mask;
  }
  if (spec.positions !== undefined) {
    operands.positions = indexOperand(numbers, spec.positions === 'batch' ? [batch, queries] : [queries], -1, keys - 1);
  }
  if (spec.kvLengths === true) operands.kvLengths = indexOperand(numbers, [batch], 0, keys);
  if (spec.slopes === true) operands.slopes = floatOperand(numbers, [heads]);
  const { positions, kvLengths, mask, slopes, q, k, v } = operands as Record<string, Operand> & {
    q: Operand;
    k: Operand;
    v: Operand;
  };
  const positionOf = (sequence: number, query: number) =>
    positions === undefined
      ? keys - queries + query
      : broadcastAt(positions, [batch, queries], sequence * queries + query);
  const limit = (sequence: number, query: number) =>
    Math.min(kvLengths?.values[sequence] ?? keys, causal === true ? positionOf(sequence, query) + 1 : keys);
  const maskAt =
    mask &&
    ((b: number, h: number, i: number, j: number) =>
      broadcastAt(mask, [batch, heads, queries, keys], ((b * heads + h) * queries + i) * keys + j));
  const adjust = (b: number, h: number, i: number, j: number, score: number) => {
    const distance = Math.abs(positionOf(b, i) - j);
    if (window !== undefined && distance >= window) return Number.NEGATIVE_INFINITY;
    const capped = softcap === undefined ? score : softcap * Math.tanh(score / softcap);
    return capped - (slopes?.values[h] ?? 0) * distance;
  };
  const options: AttentionOptions = {
    ...(causal && { causal }),
    ...(scale !== undefined && { scale }),
    ...(window !== undefined && { window }),
    ...(softcap !== undefined && { softcap }),
  };
  return {
    label: JSON.stringify(spec),
    operands,
    shape: [batch, heads, queries, vDim],
    dtype: 'f32',
    call: (host, t, out) =>
      host.attention(t.q!, t.k!, t.v!, {
        ...options,
        ...(t.mask && { mask: t.mask }),
        ...(t.positions && { positions: t.positions }),
        ...(t.kvLengths && { kvLengths: t.kvLengths }),
        ...(t.slopes && { slopes: t.slopes }),
        ...out,
      }),
    expected: () =>
      attentionOracle(spec, {
        q: q.values,
        k: k.values,
        v: v.values,
        scale: scale ?? 1 / Math.sqrt(dim),
        limit,
        adjust,
        mask: maskAt,
      }),
  };
}

interface MultiHeadSpec {
  /** [batch, tokens] or [tokens]. */
  readonly outer: readonly number[];
  readonly dim: number;
  readonly heads: number;
  readonly kvHeads?: number;
  readonly headDim: number;
  readonly dimOut: number;
  readonly half?: boolean;
  readonly causal?: boolean;
  readonly biases?: boolean;
  readonly mask?: readonly number[];
  readonly scale?: number;
}

const multiHeadSpecs: readonly MultiHeadSpec[] = [
  { outer: [1], dim: 1, heads: 1, headDim: 1, dimOut: 1 },
  { outer: [5], dim: 24, heads: 4, kvHeads: 2, headDim: 6, dimOut: 24, causal: true },
  { outer: [2, 9], dim: 20, heads: 3, headDim: 7, dimOut: 11, biases: true, half: true },
  { outer: [2, 6], dim: 16, heads: 4, kvHeads: 1, headDim: 4, dimOut: 16, mask: [6, 6], scale: 0.3, biases: true },
  { outer: [2, 200], dim: 48, heads: 4, kvHeads: 2, headDim: 12, dimOut: 48, causal: true, biases: true },
  { outer: [0], dim: 4, heads: 2, headDim: 2, dimOut: 4 },
];

export const multiHeadAttentionCases: readonly OpCase[] = multiHeadSpecs.map((spec, index) =>
  multiHeadCase(spec, new Numbers(400 + index)),
);

function multiHeadCase(spec: MultiHeadSpec, numbers: Numbers): OpCase {
  const { outer, dim, heads, kvHeads = heads, headDim, dimOut, causal, scale } = spec;
  const weight = spec.half === true ? halfOperand : floatOperand;
  const operands: Record<string, Operand> = {
    x: floatOperand(numbers, [...outer, dim]),
    wq: weight(numbers, [dim, heads * headDim]),
    wk: weight(numbers, [dim, kvHeads * headDim]),
    wv: weight(numbers, [dim, kvHeads * headDim]),
    wo: weight(numbers, [heads * headDim, dimOut]),
  };
  if (spec.biases === true) {
    operands.bq = floatOperand(numbers, [heads * headDim]);
    operands.bk = floatOperand(numbers, [kvHeads * headDim]);
    operands.bv = floatOperand(numbers, [kvHeads * headDim]);
    operands.bo = floatOperand(numbers, [dimOut]);
  }
  if (spec.mask !== undefined) operands.mask = floatOperand(numbers, spec.mask, 2);
  const options = {
    heads,
    ...(spec.kvHeads !== undefined && { kvHeads }),
    ...(causal && { causal }),
    ...(scale !== undefined && { scale }),
  };
  return {
    label: JSON.stringify(spec),
    operands,
    shape: [...outer, dimOut],
    dtype: 'f32',
    call: (host, { x, wq, wk, wv, wo, ...optional }, out) =>
      host.multiHeadAttention(x!, { wq: wq!, wk: wk!, wv: wv!, wo: wo!, ...optional, ...options, ...out }),
    expected: () => expectedMultiHead(spec, operands),
  };
}

function expectedMultiHead(spec: MultiHeadSpec, operands: Record<string, Operand>): Float64Array {
  const { outer, dim, heads, kvHeads = heads, headDim, dimOut, causal, scale } = spec;
  const [batch, tokens] = outer.length === 2 ? (outer as [number, number]) : [1, outer[0] as number];
  const values = (name: string) => (operands[name] as Operand).values;
  const project = (x: ArrayLike<number>, name: string, n: number, k: number): Float64Array => {
    const bias = operands[`b${name}`]?.values;
    const y = matmulOracle(x, values(`w${name}`), { m: batch * tokens, k, n });
    return y.map((value, position) => value + (bias?.[position % n] ?? 0));
  };
  /** From [batch, tokens, count, headDim] to [batch, count, tokens, headDim]; back with `tokens` and `count` exchanged. */
  const exchange = (from: ArrayLike<number>, outerCount: number, innerCount: number): Float64Array => {
    const to = new Float64Array(from.length);
    for (let b = 0; b < batch; b++) {
      for (let o = 0; o < outerCount; o++) {
        for (let i = 0; i < innerCount; i++) {
          for (let d = 0; d < headDim; d++) {
            const source = ((b * outerCount + o) * innerCount + i) * headDim + d;
            to[((b * innerCount + i) * outerCount + o) * headDim + d] = from[source] as number;
          }
        }
      }
    }
    return to;
  };
  const asHeads = (name: string, count: number) =>
    exchange(project(values('x'), name, count * headDim, dim), tokens, count);
  const mask = operands.mask as Operand | undefined;
  const joined = attentionOracle(
    { batch, heads, kvHeads, queries: tokens, keys: tokens, dim: headDim, vDim: headDim },
    {
      q: asHeads('q', heads),
      k: asHeads('k', kvHeads),
      v: asHeads('v', kvHeads),
      scale: scale ?? 1 / Math.sqrt(headDim),
      limit: (_, query) => (causal === true ? query + 1 : tokens),
      mask:
        mask &&
        ((b, h, i, j) =>
          broadcastAt(mask, [batch, heads, tokens, tokens], ((b * heads + h) * tokens + i) * tokens + j)),
    },
  );
  return project(exchange(joined, heads, tokens) as ArrayLike<number> as Values, 'o', dimOut, heads * headDim);
}
