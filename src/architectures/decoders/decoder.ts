// What the decoders with RMSNorm and rotary positions share (llama and its relatives): their configuration, and the
// tensors of their layers. What each computes with them is in its own file; what their folders share, in
// decoder-mapping.ts.
import type { ModelMetadata } from '../../metadata/model-metadata.js';
import type { WeightSpec } from '../architecture.js';
import { type BaseConfig, ConfigReader, readSizes } from '../config-reader.js';
import { type RopeConfig, type RopeStyle, readRope } from '../rope-scaling.js';
import { biased, matrix, vector } from '../weight-specs.js';

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

export type BiasRule = 'none' | 'optional' | 'required';

/**
 * The projections of a layer: of queries, keys and values, of the attention's output, and of the gated feed-forward
 * layer.
 */
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

/** @param layer gives the tensors of the layer whose names begin with `block` */
export function decoderWeights(config: DecoderConfig, layer: (block: string) => readonly WeightSpec[]): WeightSpec[] {
  const { vocabulary, dim, layers, rope } = config;
  return [
    matrix('token_embd', vocabulary, dim, { isTable: true }),
    ...Array.from({ length: layers }, (_, index) => layer(`blk.${index}`)).flat(),
    vector('output_norm.weight', dim),
    // Without an output matrix the embedding serves as it (tied weights).
    matrix('output', vocabulary, dim, { optional: true }),
    // Llama 3.1 and later: a divisor for each frequency.
    vector('rope_freqs.weight', rope.dim / 2, { optional: true }),
  ];
}
