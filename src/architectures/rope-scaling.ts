// The frequencies of rotary positions, scaled for longer contexts: linearly (Chen et al. 2023), by YaRN (Peng et al.
// 2023) or as Llama 3.1 does. Reads the `rope.*` metadata; records no op. Used by all architectures with rotary
// positions.
import { quote } from '../base/quote.js';
import { vectorIn, type Weights } from './architecture.js';
import type { ConfigReader } from './config-reader.js';

/** Which two elements of a head are rotated as a pair: see the op `rope`. */
export type RopeStyle = 'interleaved' | 'halfSplit';

export interface RopeConfig {
  readonly style: RopeStyle;
  /** How many elements of each head are rotated; the others stay as they are. */
  readonly dim: number;
  readonly base: number;
  /** Multiplies sines and cosines. */
  readonly magnitude: number;
  readonly scaling: RopeScaling;
  /** Positions that the model was trained for before its rotations were scaled. */
  readonly originalContext: number;
}

type RopeScaling =
  | { readonly type: 'linear'; readonly factor: number }
  | {
      readonly type: 'yarn';
      readonly factor: number;
      /** How much of the mix is applied: 1 is YaRN, 0 linear scaling. */
      readonly share: number;
      /** Pairs with more than `betaFast` turns in the original context keep their frequency; … */
      readonly betaFast: number;
      /** … those with fewer than `betaSlow` turns are slowed down by the whole factor. */
      readonly betaSlow: number;
    }
  | {
      readonly type: 'llama3';
      readonly factor: number;
      /** Bounds like YaRN's two, in turns as well. */
      readonly lowFactor: number;
      readonly highFactor: number;
    };

/** @throws TesseraeError ERR_MODEL_FILE for a number out of range, ERR_UNSUPPORTED for another kind of scaling */
export function readRope(
  reader: ConfigReader,
  { headDim, contextLength, style }: { headDim: number; contextLength: number; style: RopeStyle },
): RopeConfig {
  const dim = reader.size('rope.dimension_count', headDim);
  if (dim % 2 !== 0 || dim > headDim) {
    throw reader.error('rope.dimension_count', `must be even and at most ${headDim}`);
  }
  const originalContext = reader.size('rope.scaling.original_context_length', contextLength);
  const scaling = readScaling(reader);
  return {
    style,
    dim,
    base: reader.positive('rope.freq_base', 10_000),
    magnitude: reader.positive('rope.scaling.attn_factor', 1) * magnitudeOf(reader, scaling),
    scaling,
    originalContext,
  };
}

function readScaling(reader: ConfigReader): RopeScaling {
  const key = 'rope.scaling.type';
  // Files before GGUF 3 have the factor in `rope.scale_linear`, and no type. A factor of 0 means none.
  const name = reader.has('rope.scaling.factor') ? 'rope.scaling.factor' : 'rope.scale_linear';
  const factor = reader.number(name, 1) === 0 ? 1 : reader.positive(name, 1);
  const type = reader.string(key, 'linear');
  switch (type) {
    case 'none':
      return { type: 'linear', factor: 1 };
    case 'linear':
    // Its divisors are a tensor of the file, applied by phi3.ts; the rest is linear.
    case 'longrope':
      return { type: 'linear', factor };
    case 'yarn': {
      const share = reader.number('rope.scaling.yarn_ext_factor', 1);
      return {
        type,
        factor,
        share: share < 0 ? 1 : share,
        betaFast: reader.positive('rope.scaling.yarn_beta_fast', 32),
        betaSlow: reader.positive('rope.scaling.yarn_beta_slow', 1),
      };
    }
    case 'llama3':
      return {
        type,
        factor,
        lowFactor: reader.positive('rope.scaling.low_freq_factor', 1),
        highFactor: reader.positive('rope.scaling.high_freq_factor', 4),
      };
    default:
      throw reader.error(key, `asks for ${quote(type)}, which is not supported`, 'ERR_UNSUPPORTED');
  }
}

/** YaRN scales sines and cosines up with the factor; `yarn_log_multiplier` reduces this, as in llama.cpp. */
function magnitudeOf(reader: ConfigReader, scaling: RopeScaling): number {
  if (scaling.type !== 'yarn') return 1;
  if (scaling.share === 0) return reader.positive('rope.scaling.yarn_attn_factor', 1);
  const growth = (multiplier: number) => (scaling.factor <= 1 ? 1 : 1 + 0.1 * multiplier * Math.log(scaling.factor));
  const multiplier = reader.number('rope.scaling.yarn_log_multiplier', 0);
  return multiplier === 0 ? growth(1) : growth(1) / growth(multiplier);
}

/**
 * The radians per position of each rotated pair.
 * @param divisors one for each pair: the file's `rope_freqs` or `rope_factors_*`
 */
export function scaledFrequencies(
  { dim, base, scaling, originalContext }: Pick<RopeConfig, 'dim' | 'base' | 'scaling' | 'originalContext'>,
  divisors?: ArrayLike<number>,
): Float32Array {
  const shareKept = keptShare({ dim, base, scaling, originalContext });
  return Float32Array.from({ length: dim / 2 }, (_, pair) => {
    const frequency = base ** ((-2 * pair) / dim) / (divisors?.[pair] ?? 1);
    const kept = shareKept(pair, frequency);
    return frequency * kept + (frequency / scaling.factor) * (1 - kept);
  });
}

/** The constant `rope`: the frequencies, with the divisors that the file may have. */
export function ropeConstants({ rope }: { readonly rope: RopeConfig }, weights: Weights): { rope: Float32Array } {
  return { rope: scaledFrequencies(rope, vectorIn(weights, 'rope_freqs.weight')?.toArray()) };
}

/** Gives the share of a pair's own frequency that is kept, from 0 (slowed down by the whole factor) to 1. */
function keptShare({
  dim,
  base,
  scaling,
  originalContext,
}: Pick<RopeConfig, 'dim' | 'base' | 'scaling' | 'originalContext'>): (pair: number, frequency: number) => number {
  const turnLength = 2 * Math.PI;
  switch (scaling.type) {
    case 'linear':
      return () => 0;
    case 'llama3': {
      const { lowFactor, highFactor } = scaling;
      return (_, frequency) => {
        const turns = (originalContext * frequency) / turnLength;
        return clamp((turns - lowFactor) / (highFactor - lowFactor));
      };
    }
    case 'yarn': {
      const pairWithTurns = (turns: number) =>
        (dim * Math.log(originalContext / (turns * turnLength))) / (2 * Math.log(base));
      const first = Math.max(0, Math.floor(pairWithTurns(scaling.betaFast)));
      const last = Math.min(dim - 1, Math.ceil(pairWithTurns(scaling.betaSlow)));
      const leastWidth = 0.001;
      return (pair) => (1 - clamp((pair - first) / Math.max(leastWidth, last - first))) * scaling.share;
    }
  }
}

function clamp(value: number): number {
  return Math.min(1, Math.max(0, value));
}
