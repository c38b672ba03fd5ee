// What the decoders with RMSNorm and rotary positions share (llama and its relatives): their configuration, the tensors
// of their layers, and the constants computed from both. Each of them says in a file of its own what it does with them.
import type { ModelMetadata } from '../../metadata/model-metadata.js';
import { vectorIn, type WeightSpec, type Weights } from '../architecture.js';
import { type BaseConfig, ConfigReader, readSizes } from '../config-reader.js';
import { type RopeConfig, type RopeStyle, readRope, scaledFrequencies } from '../rope-scaling.js';

export interface DecoderConfig extends BaseConfig {
  readonly rope: RopeConfig;
}

export function readDecoderConfig(
  metadata: ModelMetadata,
  { architecture, style }: { architecture: string; style: RopeStyle },
): DecoderConfig {
  const reader = new ConfigReader(metadata, architecture);
  const sizes = readSizes(reader, 'rms');
  return { ...sizes, rope: readRope(reader, { ...sizes, style }) };
}

/** A matrix keeps the file's type, unless it is looked up and added only. */
export function matrix(
  name: string,
  rows: number,
  columns: number,
  { optional = false, asF32 = false } = {},
): WeightSpec {
  return { name: `${name}.weight`, shape: [rows, columns], asF32, optional };
}

/** A vector, by its whole name: it is computed with in f32. */
export function vector(name: string, length: number, { optional = false } = {}): WeightSpec {
  return { name, shape: [length], asF32: true, optional };
}

/** Weight and bias of a layer norm. */
export function layerNormVectors(name: string, length: number, { optional = false } = {}): WeightSpec[] {
  return [vector(`${name}.weight`, length, { optional }), vector(`${name}.bias`, length, { optional })];
}

/** A projection with a bias, which the file may do without where `optionalBias` is set. */
export function biased(name: string, rows: number, columns: number, { optionalBias = false } = {}): WeightSpec[] {
  return [matrix(name, rows, columns), vector(`${name}.bias`, rows, { optional: optionalBias })];
}

export type BiasRule = 'none' | 'optional' | 'required';

/** The projections of queries, keys and values, of what comes of them, and of the gated feed-forward layer. */
export function layerMatrices(
  { dim, ffn, heads, kvHeads, headDim }: BaseConfig,
  block: string,
  biases: { queries?: BiasRule; output?: BiasRule; feedForward?: BiasRule } = {},
): WeightSpec[] {
  const { queries = 'none', output = 'none', feedForward = 'none' } = biases;
  const projection = (rule: BiasRule, name: string, rows: number, columns: number) =>
    rule === 'none'
      ? [matrix(`${block}.${name}`, rows, columns)]
      : biased(`${block}.${name}`, rows, columns, { optionalBias: rule === 'optional' });
  return [
    ...projection(queries, 'attn_q', heads * headDim, dim),
    ...projection(queries, 'attn_k', kvHeads * headDim, dim),
    ...projection(queries, 'attn_v', kvHeads * headDim, dim),
    ...projection(output, 'attn_output', dim, heads * headDim),
    ...projection(feedForward, 'ffn_gate', ffn, dim),
    ...projection(feedForward, 'ffn_up', ffn, dim),
    ...projection(feedForward, 'ffn_down', dim, ffn),
  ];
}

/** The tensors of a decoder whose layers have those that `layer` names. */
export function decoderWeights(config: DecoderConfig, layer: (block: string) => readonly WeightSpec[]): WeightSpec[] {
  const { vocabulary, dim, layers, rope } = config;
  return [
    matrix('token_embd', vocabulary, dim),
    ...Array.from({ length: layers }, (_, index) => layer(`blk.${index}`)).flat(),
    vector('output_norm.weight', dim),
    // Without an output matrix the embedding serves for both ends (tied weights).
    matrix('output', vocabulary, dim, { optional: true }),
    // Llama 3.1 and later: each frequency has a divisor in the file.
    vector('rope_freqs.weight', rope.dim / 2, { optional: true }),
  ];
}

/** The frequencies of the rotations: `rope`. */
export function decoderConstants({ rope }: Pick<DecoderConfig, 'rope'>, weights: Weights): { rope: Float32Array } {
  return { rope: scaledFrequencies(rope, vectorIn(weights, 'rope_freqs.weight')?.toArray()) };
}
