// The frequencies of rotary positions in float64, written after ggml's rope and llama.cpp's reading of the metadata,
// independent of the library's own. Used by model-oracle.ts and encoder-oracle.ts.
import type { ModelMetadata } from '../../../src/metadata/model-metadata.js';

export interface OracleRope {
  /** Radians per position of each pair: of global layers, and of local ones, which may have their own. */
  readonly global: readonly number[];
  readonly local: readonly number[];
  readonly magnitude: number;
}

interface RopeSource {
  readonly metadata: ModelMetadata;
  readonly architecture: string;
  readonly headDim: number;
  readonly weights: ReadonlyMap<string, ArrayLike<number>>;
  readonly context: number;
}

export function oracleFrequencies({ metadata, architecture, headDim, weights, context }: RopeSource): OracleRope {
  if (weights.has('position_embd.weight')) return { global: [], local: [], magnitude: 1 };
  const number = (name: string, fallback: number) => metadata.number(`${architecture}.rope.${name}`, fallback);
  const dim = number('dimension_count', headDim);
  const base = number('freq_base', 10_000);
  const type = metadata.string(`${architecture}.rope.scaling.type`, 'linear');
  const scale = type === 'none' ? 1 : 1 / number('scaling.factor', number('scale_linear', 1));
  const original = number('scaling.original_context_length', metadata.count(`${architecture}.context_length`));
  const longOrShort = weights.get(`rope_factors_${context > original ? 'long' : 'short'}.weight`);
  const divisors = weights.get('rope_freqs.weight') ?? longOrShort;
  const extension = type === 'yarn' ? number('scaling.yarn_ext_factor', 1) : 0;

  // rope_yarn and rope_yarn_corr_dims of ggml.
  const corrected = (rotations: number) =>
    (dim * Math.log(original / (rotations * 2 * Math.PI))) / (2 * Math.log(base));
  const low = Math.max(0, Math.floor(corrected(number('scaling.yarn_beta_fast', 32))));
  const high = Math.min(dim - 1, Math.ceil(corrected(number('scaling.yarn_beta_slow', 1))));
  const global = Array.from({ length: dim / 2 }, (_, pair) => {
    const extrapolated = base ** ((-2 * pair) / dim) / (divisors?.[pair] ?? 1);
    if (type === 'llama3') return llama3(extrapolated, number, original);
    const interpolated = extrapolated * scale;
    if (extension === 0) return interpolated;
    const ramp = 1 - Math.min(1, Math.max(0, (pair - low) / Math.max(0.001, high - low)));
    return interpolated * (1 - ramp * extension) + extrapolated * ramp * extension;
  });

  const localBase = number('freq_base_swa', 10_000);
  const local = global.map((_, pair) => localBase ** ((-2 * pair) / dim));

  const growth = (multiplier: number) => (scale >= 1 ? 1 : 0.1 * multiplier * Math.log(1 / scale) + 1);
  const multiplier = number('scaling.yarn_log_multiplier', 0);
  const grown = multiplier === 0 ? growth(1) : growth(1) / growth(multiplier);
  return { global, local, magnitude: number('scaling.attn_factor', 1) * (extension === 0 ? 1 : grown) };
}

/** As Llama 3.1's own code computes it, by wavelengths. */
function llama3(frequency: number, number: (name: string, fallback: number) => number, original: number): number {
  const [low, high] = [number('scaling.low_freq_factor', 1), number('scaling.high_freq_factor', 4)];
  const factor = number('scaling.factor', 1);
  const waveLength = (2 * Math.PI) / frequency;
  if (waveLength < original / high) return frequency;
  if (waveLength > original / low) return frequency / factor;
  const smooth = (original / waveLength - low) / (high - low);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}
