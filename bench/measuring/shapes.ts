// The named shapes of the benchmarks and their tests, with the flops and bytes of each. Measures nothing.

/** What limits the speed of a shape: arithmetic, or reading each operand once from memory. */
export type Bound = 'compute' | 'memory';

/** c [m, n] = a [m, k] · b, where b is [k, n], or [n, k] when transposed. */
export interface MatmulShape {
  readonly name: string;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** The number of independent products, 1 by default. */
  readonly batch?: number;
  readonly transposeB?: boolean;
  readonly bound: Bound;
}

export interface AttentionShape {
  readonly name: string;
  readonly batch: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly queries: number;
  readonly keys: number;
  readonly dim: number;
  readonly causal: boolean;
  readonly bound: Bound;
}

const square = (size: number): MatmulShape => ({ name: `square_${size}`, m: size, n: size, k: size, bound: 'compute' });

export const matmulShapes: readonly MatmulShape[] = [
  ...[64, 128, 256, 512, 1024, 2048, 4096].map(square),
  // No multiples of any block; the second is one less than a power of two.
  { name: 'odd_1000', m: 1000, n: 1000, k: 1000, bound: 'compute' },
  { name: 'odd_511', m: 511, n: 511, k: 511, bound: 'compute' },
  // 256 tokens through the feed-forward layer of a transformer 768 wide.
  { name: 'ffn_up', m: 256, n: 3072, k: 768, transposeB: true, bound: 'compute' },
  { name: 'ffn_down', m: 256, n: 768, k: 3072, transposeB: true, bound: 'compute' },
  // One token: every weight is read once. More than the last cache of most machines holds.
  { name: 'gemv', m: 1, n: 8192, k: 4096, transposeB: true, bound: 'memory' },
  { name: 'small_batch', m: 8, n: 4096, k: 4096, transposeB: true, bound: 'compute' },
  { name: 'tall', m: 16_384, n: 128, k: 128, bound: 'compute' },
  { name: 'wide', m: 128, n: 16_384, k: 128, bound: 'compute' },
  { name: 'deep', m: 128, n: 128, k: 16_384, bound: 'compute' },
  // The scores of twelve heads, as separate products.
  { name: 'batch_12', m: 512, n: 512, k: 64, batch: 12, bound: 'compute' },
];

const twelveHeads = { batch: 1, heads: 12, kvHeads: 12, dim: 64 } as const;

export const attentionShapes: readonly AttentionShape[] = [
  { ...twelveHeads, name: 'attention_128', queries: 128, keys: 128, causal: false, bound: 'compute' },
  { ...twelveHeads, name: 'attention_512', queries: 512, keys: 512, causal: false, bound: 'compute' },
  { ...twelveHeads, name: 'attention_1024', queries: 1024, keys: 1024, causal: false, bound: 'compute' },
  { ...twelveHeads, name: 'attention_prefill', queries: 1024, keys: 1024, causal: true, bound: 'compute' },
  // One token after a long conversation: every key and value is read once.
  { ...twelveHeads, name: 'attention_decode', queries: 1, keys: 16_384, causal: true, bound: 'memory' },
  {
    name: 'attention_grouped',
    batch: 1,
    heads: 32,
    kvHeads: 8,
    queries: 512,
    keys: 512,
    dim: 64,
    causal: true,
    bound: 'compute',
  },
  // No multiple of a block in any dimension.
  {
    name: 'attention_odd',
    batch: 2,
    heads: 5,
    kvHeads: 5,
    queries: 131,
    keys: 257,
    dim: 40,
    causal: true,
    bound: 'compute',
  },
];

/** @throws RangeError for a name that is not in the list */
export function shapeNamed<T extends { readonly name: string }>(shapes: readonly T[], name: string): T {
  const shape = shapes.find((candidate) => candidate.name === name);
  if (shape === undefined) throw new RangeError(`there is no shape ${name}`);
  return shape;
}

/** A multiplication and an addition count as two. */
export function matmulFlops({ m, n, k, batch = 1 }: MatmulShape): number {
  return 2 * batch * m * n * k;
}

/** Bytes of a, b and c in f32, each counted once. */
export function matmulBytes({ m, n, k, batch = 1 }: MatmulShape): number {
  return 4 * batch * (m * k + k * n + m * n);
}

/** The products of each query with the keys and the values that it sees; softmax is not counted. */
export function attentionFlops({ batch, heads, queries, keys, dim, causal }: AttentionShape): number {
  const all = queries * keys;
  const hidden = causal ? (queries * (queries - 1)) / 2 : 0;
  return 4 * batch * heads * dim * (all - hidden);
}

/** Bytes of q, k, v and the result in f32, each counted once. */
export function attentionBytes({ batch, heads, kvHeads, queries, keys, dim }: AttentionShape): number {
  return 4 * batch * dim * 2 * (heads * queries + kvHeads * keys);
}

/** The sizes as text: `512×768 · 768×3072`, or `12 × 512×64 · 64×512`. */
export function describeMatmul({ m, n, k, batch = 1 }: MatmulShape): string {
  return `${batch > 1 ? `${batch} × ` : ''}${m}×${k} · ${k}×${n}`;
}

/** The sizes as text: `12 heads × 64, 1024 tokens, causal`. */
export function describeAttention({ batch, heads, kvHeads, queries, keys, dim, causal }: AttentionShape): string {
  const grouped = kvHeads === heads ? `${heads} heads` : `${heads}/${kvHeads} heads`;
  const tokens = queries === keys ? `${queries} tokens` : `${queries} of ${keys} tokens`;
  return `${batch > 1 ? `${batch} × ` : ''}${grouped} × ${dim}, ${tokens}${causal ? ', causal' : ''}`;
}
