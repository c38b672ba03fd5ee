// The operands of the work `texts`, the same numbers for us and for the peers: token ids, and the embeddings of tokens,
// positions and types that an encoder adds. The layers are those of encoder-operands.ts.
import { integersBelow } from '../../../../dist/bench/measuring/seeded-numbers.js';
import type { Norm } from './encoder-operands.js';
import { type TextsWork, textLengths, uniform } from './work.js';

export const textVocabulary = 1024;
export const mostPositions = 512;
export const tokenTypes = 2;
/** The epsilon of all norms: the default of ONNX's LayerNormalization. */
export const normEpsilon = 1e-5;

export interface Embeddings {
  /** [textVocabulary, width] */
  readonly tokens: Float32Array;
  /** [mostPositions, width] */
  readonly positions: Float32Array;
  /** [tokenTypes, width] */
  readonly types: Float32Array;
  readonly norm: Norm;
}

export function embeddingsOf({ width }: TextsWork): Embeddings {
  return {
    tokens: uniform(textVocabulary * width, 50),
    positions: uniform(mostPositions * width, 51),
    types: uniform(tokenTypes * width, 52),
    norm: { weight: uniform(width, 53).map((value) => 1 + value / 4), bias: uniform(width, 54) },
  };
}

/** The token ids of each text. */
export function textIds(work: TextsWork): number[][] {
  return textLengths(work).map((tokens, index) => integersBelow(textVocabulary, tokens, 1000 + index));
}

/** Writes the input of the first layer for one text, [tokens, width], to `x` from `at` on. */
export function embedTokens(
  ids: readonly number[],
  width: number,
  embeddings: Embeddings,
  x: Float32Array,
  at: number,
) {
  const { tokens, positions, types, norm } = embeddings;
  const sum = new Float32Array(width);
  for (const [position, id] of ids.entries()) {
    let mean = 0;
    for (let d = 0; d < width; d++) {
      const token = tokens[id * width + d] as number;
      sum[d] = token + (positions[position * width + d] as number) + (types[d] as number);
      mean += (sum[d] as number) / width;
    }
    let variance = 0;
    for (const value of sum) variance += (value - mean) ** 2 / width;
    const scale = 1 / Math.sqrt(variance + normEpsilon);
    const to = at + position * width;
    for (let d = 0; d < width; d++) {
      x[to + d] = ((sum[d] as number) - mean) * scale * (norm.weight[d] as number) + (norm.bias[d] as number);
    }
  }
}

/** Scales each vector of `width` numbers to length 1. */
export function normalizeAll(vectors: Float32Array, width: number): void {
  for (let at = 0; at < vectors.length; at += width) {
    const vector = vectors.subarray(at, at + width);
    const length = Math.hypot(...vector);
    for (let d = 0; d < width; d++) (vector[d] as number) /= length;
  }
}
