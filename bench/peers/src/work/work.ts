// The kinds of work, their encoding as the words of a request, their operands (the same numbers in every process, made
// from seeds), flops and bytes. Computes nothing itself.
import { fillUniform, integersBelow } from '../../../../dist/bench/measuring/seeded-numbers.js';

export interface MatmulWork {
  readonly op: 'matmul';
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** b is the same in every call, like weights: a contender may pack it beforehand. */
  readonly constantB: boolean;
}

/** softmax(q · kᵀ / √dim) · v, all f32 [batch, heads, tokens, dim]. */
export interface AttentionWork {
  readonly op: 'attention';
  readonly batch: number;
  readonly heads: number;
  readonly tokens: number;
  readonly dim: number;
  readonly causal: boolean;
}

/** Multi-head attention of x [batch, tokens, width] with its four projections and their biases, all constant. */
export interface LayerWork {
  readonly op: 'layer';
  readonly batch: number;
  readonly tokens: number;
  readonly width: number;
  readonly heads: number;
}

/** The layers of BERT over x [batch, tokens, width]: peers in f32, ours with weights in Q8_0. */
export interface EncoderWork {
  readonly op: 'encoder';
  readonly batch: number;
  readonly tokens: number;
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly ffn: number;
}

/** Embeddings of texts of different lengths by an encoder: mean over the tokens, normalised. Peers compute in f32. */
export interface TextsWork {
  readonly op: 'texts';
  readonly count: number;
  /** Tokens of a text, at least and at most. */
  readonly fewest: number;
  readonly most: number;
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly ffn: number;
  /** Ours has weights in Q8_0, else in f32. */
  readonly isQuantized: boolean;
}

/** x [size] times -1, `ops` times, each an op of its own. */
export interface NegateWork {
  readonly op: 'negate';
  readonly size: number;
  readonly ops: number;
}

/** `tasks` empty tasks at once, each for a worker thread of its own; awaited. */
export interface RoundTripWork {
  readonly op: 'roundtrip';
  readonly tasks: number;
  /** Ours: computed by the workers alone, or by the team, in which the calling thread may help. */
  readonly by: 'team' | 'workers';
}

export type Work = MatmulWork | AttentionWork | LayerWork | EncoderWork | TextsWork | NegateWork | RoundTripWork;

/** Encodes work as words: `op=matmul m=64 n=64 k=64 constantB=0`. */
export function encodeWork(work: Work): string {
  return Object.entries(work)
    .map(([key, value]) => `${key}=${typeof value === 'boolean' ? Number(value) : value}`)
    .join(' ');
}

const flags = new Set(['constantB', 'causal', 'isQuantized']);
const names = new Set(['op', 'by']);

export function decodeWork(words: readonly string[]): Work {
  const entries = words.map((word) => {
    const [key = '', text = ''] = word.split('=');
    if (names.has(key)) return [key, text];
    return [key, flags.has(key) ? text === '1' : Number(text)];
  });
  return Object.fromEntries(entries) as Work;
}

export function uniform(size: number, seed: number): Float32Array {
  const values = new Float32Array(size);
  fillUniform(values, seed);
  return values;
}

/** Seeds of the operands, the same in every process; native/blas-probe.cpp repeats those of a and b. */
export const seeds = {
  a: 1,
  b: 2,
  q: 3,
  k: 4,
  v: 5,
  x: 6,
  wq: 7,
  wk: 8,
  wv: 9,
  wo: 10,
  bq: 11,
  bk: 12,
  bv: 13,
  bo: 14,
  lengths: 15,
};

/** A projection's weights [width, width]: small enough that scores do not saturate the softmax. */
export function projection(width: number, seed: number): Float32Array {
  return uniform(width * width, seed).map((value) => value / Math.sqrt(width));
}

/** How many tokens each text has. */
export function textLengths({ count, fewest, most }: TextsWork): number[] {
  return integersBelow(most - fewest + 1, count, seeds.lengths).map((more) => fewest + more);
}

/** A multiplication and an addition count as two; softmax is not counted. */
export function flopsOf(work: Work): number {
  switch (work.op) {
    case 'matmul':
      return 2 * work.m * work.n * work.k;
    case 'attention': {
      const { batch, heads, tokens, dim, causal } = work;
      return 4 * batch * heads * dim * (causal ? (tokens * (tokens + 1)) / 2 : tokens * tokens);
    }
    case 'layer': {
      const { batch, tokens, width } = work;
      return 8 * batch * tokens * width * width + 4 * batch * tokens * tokens * width;
    }
    case 'encoder': {
      const { batch, tokens, layers, width, ffn } = work;
      const projections = 2 * width * (4 * width + 2 * ffn);
      return layers * batch * tokens * (projections + 4 * tokens * width);
    }
    case 'texts': {
      const { layers, width, ffn } = work;
      const projections = 2 * width * (4 * width + 2 * ffn);
      const flops = (tokens: number) => layers * tokens * (projections + 4 * tokens * width);
      return textLengths(work).reduce((sum, tokens) => sum + flops(tokens), 0);
    }
    case 'negate':
      return work.size * work.ops;
    case 'roundtrip':
      return 0;
  }
}

/** Bytes of operands and results, each counted once. */
export function bytesOf(work: Work): number {
  switch (work.op) {
    case 'matmul':
      return 4 * (work.m * work.k + work.k * work.n + work.m * work.n);
    case 'attention':
      return 16 * work.batch * work.heads * work.tokens * work.dim;
    case 'layer':
      return 4 * (2 * work.batch * work.tokens * work.width + 4 * work.width * (work.width + 1));
    case 'encoder':
      return (
        4 * (2 * work.batch * work.tokens * work.width + work.layers * work.width * (4 * work.width + 2 * work.ffn))
      );
    case 'texts':
      return 4 * (work.count * work.width + work.layers * work.width * (4 * work.width + 2 * work.ffn));
    case 'negate':
      return 8 * work.size;
    case 'roundtrip':
      return 0;
  }
}

/** Transposes [batch, heads, tokens, dim] to [batch, tokens, heads, dim]; with heads and tokens swapped, back again. */
export function swapHeadsAndTokens(
  values: Float32Array,
  { batch, heads, tokens, dim }: { batch: number; heads: number; tokens: number; dim: number },
): Float32Array {
  const result = new Float32Array(values.length);
  for (let item = 0; item < batch; item++) {
    for (let head = 0; head < heads; head++) {
      for (let token = 0; token < tokens; token++) {
        const from = ((item * heads + head) * tokens + token) * dim;
        const to = ((item * tokens + token) * heads + head) * dim;
        result.set(values.subarray(from, from + dim), to);
      }
    }
  }
  return result;
}
