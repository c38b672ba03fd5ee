// Naive computations of ops in float64 on arrays, by their definitions: the oracles of the conformance suite.

/** The error function by its Taylor series near 0 and a continued fraction elsewhere, to about 1e-15. */
function erf(x: number): number {
  const size = Math.abs(x);
  if (Number.isNaN(x)) return x;
  if (size > 6) return Math.sign(x);
  if (size < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; n < 80; n++) {
      term *= -(x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let n = 80; n >= 1; n--) fraction = n / 2 / (size + fraction);
  return Math.sign(x) * (1 - Math.exp(-x * x) / Math.sqrt(Math.PI) / (size + fraction));
}

export const activations = {
  none: (x: number) => x,
  relu: (x: number) => Math.max(x, 0),
  silu: (x: number) => x / (1 + Math.exp(-x)),
  gelu: (x: number) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  geluTanh: (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  sigmoid: (x: number) => 1 / (1 + Math.exp(-x)),
  tanh: Math.tanh,
  exp: Math.exp,
} as const;

export type ActivationName = keyof typeof activations;

export function softmaxRow(row: ArrayLike<number>): number[] {
  const values = Array.from(row);
  const most = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const weights = values.map((value) => Math.exp(value - most));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

export function rmsNormRow(row: ArrayLike<number>, weight: ArrayLike<number> | undefined, eps: number): number[] {
  const values = Array.from(row);
  const mean = values.reduce((sum, value) => sum + value * value, 0) / values.length;
  return values.map((value, column) => (value / Math.sqrt(mean + eps)) * (weight?.[column] ?? 1));
}

export function layerNormRow(
  row: ArrayLike<number>,
  weight: ArrayLike<number> | undefined,
  bias: ArrayLike<number> | undefined,
  eps: number,
): number[] {
  const values = Array.from(row);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return values.map(
    (value, column) => ((value - mean) / Math.sqrt(variance + eps)) * (weight?.[column] ?? 1) + (bias?.[column] ?? 0),
  );
}

/** Applies a function to each row of a packed matrix and joins the results. */
export function eachRow(
  values: ArrayLike<number>,
  columns: number,
  compute: (row: number[], index: number) => ArrayLike<number>,
): number[] {
  const all = Array.from(values);
  const result: number[] = [];
  for (let start = 0, index = 0; start < all.length; start += columns, index++) {
    for (const value of Array.from(compute(all.slice(start, start + columns), index))) result.push(value);
  }
  return result;
}

/** [m, k] · [k, n]; with `transposed`, b is [n, k]. */
export function matmulOracle(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  { m, k, n, transposed = false }: { m: number; k: number; n: number; transposed?: boolean },
): Float64Array {
  const c = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let p = 0; p < k; p++) {
      const factor = a[i * k + p] as number;
      for (let j = 0; j < n; j++) {
        (c[i * n + j] as number) += factor * (b[transposed ? j * k + p : p * n + j] as number);
      }
    }
  }
  return c;
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

export interface AttentionInputs {
  readonly q: ArrayLike<number>;
  readonly k: ArrayLike<number>;
  readonly v: ArrayLike<number>;
  readonly scale: number;
  /** The number of keys that a query sees. */
  readonly limit: (batch: number, query: number) => number;
  readonly mask?: ((batch: number, head: number, query: number, key: number) => number) | undefined;
  /** Applied to a scaled score, before the mask. */
  readonly adjust?: (batch: number, head: number, query: number, key: number, score: number) => number;
}

/** q, k and v are packed [batch, heads, tokens, dim]. The result of a query without keys is 0. */
export function attentionOracle(sizes: AttentionSizes, inputs: AttentionInputs): Float64Array {
  const { batch, heads, kvHeads, queries, keys, dim, vDim } = sizes;
  const { q, k, v, scale, limit, mask, adjust } = inputs;
  const out = new Float64Array(batch * heads * queries * vDim);
  for (let row = 0; row < batch * heads * queries; row++) {
    const query = row % queries;
    const head = Math.floor(row / queries) % heads;
    const sequence = Math.floor(row / queries / heads);
    const firstKey = (sequence * kvHeads + Math.floor(head / (heads / kvHeads))) * keys;
    const scores: number[] = [];
    for (let key = 0; key < Math.min(keys, limit(sequence, query)); key++) {
      let score = 0;
      for (let d = 0; d < dim; d++) score += (q[row * dim + d] as number) * (k[(firstKey + key) * dim + d] as number);
      const adjusted = adjust?.(sequence, head, query, key, score * scale) ?? score * scale;
      scores.push(adjusted + (mask?.(sequence, head, query, key) ?? 0));
    }
    if (scores.every((score) => score === Number.NEGATIVE_INFINITY)) continue;
    softmaxRow(scores).forEach((weight, key) => {
      for (let d = 0; d < vDim; d++) {
        (out[row * vDim + d] as number) += weight * (v[(firstKey + key) * vDim + d] as number);
      }
    });
  }
  return out;
}
