// The frequencies of rotary positions, stretched for longer contexts in the ways that GGUF files ask for: linear (Chen et
// al. 2023), YaRN (Peng et al. 2023) and that of Llama 3.1. Reads `rope.*` metadata; computes no tensor.
import { quote } from '../base/quote.js';
import type { ConfigReader } from './config-reader.js';

/** Which two elements of a head make a pair: see the op `rope`. */
export type RopeStyle = 'interleaved' | 'halfSplit';

export interface RopeConfig {
  readonly style: RopeStyle;
  /** Rotated elements of each head; the rest pass. */
  readonly dim: number;
  readonly base: number;
  /** Multiplies sines and cosines. */
  readonly magnitude: number;
  readonly scaling: RopeScaling;
  /** Positions that the model was made for before its rotations were stretched. */
  readonly originalContext: number;
}

type RopeScaling =
  | { readonly type: 'linear'; readonly factor: number }
  | {
      readonly type: 'yarn';
      readonly factor: number;
      /** How much of the mix is applied: 1 is YaRN, 0 linear scaling. */
      readonly share: number;
      /** Pairs that turn more often than `betaFast` in the original context keep their frequency; … */
      readonly betaFast: number;
      /** … those that turn less often than `betaSlow` are slowed down by the whole factor. */
      readonly betaSlow: number;
    }
  | {
      readonly type: 'llama3';
      readonly factor: number;
      /** As YaRN's two bounds, counted in turns too. */
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
  // Files before GGUF 3 name the factor `rope.scale_linear`, and no type. A factor of 0 stands for none.
  const name = reader.has('rope.scaling.factor') ? 'rope.scaling.factor' : 'rope.scale_linear';
  const factor = reader.number(name, 1) === 0 ? 1 : reader.positive(name, 1);
  const type = reader.string(key, 'linear');
  switch (type) {
    case 'none':
      return { type: 'linear', factor: 1 };
    case 'linear':
    // Its divisors are a tensor of the file; what remains is linear.
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

/** YaRN lets the scores grow with the factor, as llama.cpp computes it: `yarn_log_multiplier` takes a part of it back. */
function magnitudeOf(reader: ConfigReader, scaling: RopeScaling): number {
  if (scaling.type !== 'yarn') return 1;
  if (scaling.share === 0) return reader.positive('rope.scaling.yarn_attn_factor', 1);
  const growth = (multiplier: number) => (scaling.factor <= 1 ? 1 : 1 + 0.1 * multiplier * Math.log(scaling.factor));
  const multiplier = reader.number('rope.scaling.yarn_log_multiplier', 0);
  return multiplier === 0 ? growth(1) : growth(1) / growth(multiplier);
}

/**
 * Radians per position of each rotated pair.
 * @param divisors one for each pair: those of the file's `rope_freqs` or `rope_factors_*`
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

/** Gives how much of a pair's own frequency stays, from 0 (slowed down by the whole factor) to 1. */
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
