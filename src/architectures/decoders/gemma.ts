// What Gemma 2 and 3 have in common: configuration, tensors, folders, the scaled embedding, the norm after each part,
// the gated feed-forward layer, and the soft cap on logits. gemma2.ts and gemma3.ts define how their layers attend.

import type { JsonView } from '../../base/json-view.js';
import { quote } from '../../base/quote.js';
import type { ModelMetadata } from '../../metadata/model-metadata.js';
import type { ProgramBuilder } from '../../ops/calls/program-builder.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { ForwardInputs, WeightSpec, Weights } from '../architecture.js';
import { ConfigReader } from '../config-reader.js';
import { type MetadataBuilder, plusOne, type TensorNames } from '../huggingface-mapping.js';
import { embed, gatedFeedForward, type Layer, logits, type Pass, project, rmsNorm } from '../stages.js';
import { vector } from '../weight-specs.js';
import { type DecoderConfig, decoderWeights, layerMatrices, readDecoderConfig } from './decoder.js';
import { addDecoderMetadata, decoderTensorNames } from './decoder-mapping.js';

export interface GemmaConfig extends DecoderConfig {
  /** Multiplies the scores. */
  readonly attentionScale: number;
  /** How many keys a query of a local layer attends to, its own included; `undefined` where no layer is local. */
  readonly window: number | undefined;
  /** The last layer of every so many is global, the others are local. */
  readonly period: number;
  /** The cap of the logits; 0 for none. */
  readonly logitCap: number;
}

export type GemmaPass = Pass<GemmaConfig, ForwardInputs>;
export type GemmaLayer = Layer<GemmaConfig, ForwardInputs>;

export interface GemmaDefaults {
  readonly architecture: string;
  readonly period: number;
  readonly window: number | undefined;
  readonly logitCap: number;
  /**
   * The number of layers of the largest model, which scales its scores by dim / heads instead of the width of a head.
   */
  readonly layersOfLargest: number;
}

export function readGemmaConfig(metadata: ModelMetadata, defaults: GemmaDefaults): GemmaConfig {
  const { architecture, layersOfLargest } = defaults;
  const reader = new ConfigReader(metadata, architecture);
  const config = readDecoderConfig(metadata, { architecture, style: 'halfSplit' });
  const window = reader.count('attention.sliding_window', defaults.window ?? 0);
  const logitCap = reader.number('final_logit_softcapping', defaults.logitCap);
  if (logitCap < 0) throw reader.error('final_logit_softcapping', 'must not be negative');
  const scaleOf = config.layers === layersOfLargest ? config.dim / config.heads : config.headDim;
  return {
    ...config,
    attentionScale: 1 / Math.sqrt(scaleOf),
    window: window === 0 ? undefined : window,
    period: reader.size('attention.sliding_window_pattern', defaults.period),
    logitCap,
  };
}

export function isLocal({ config, index }: GemmaLayer): boolean {
  return config.window !== undefined && index % config.period < config.period - 1;
}

export function gemmaWeights(config: GemmaConfig, more: (block: string) => readonly WeightSpec[]): WeightSpec[] {
  return decoderWeights(config, (block) => [
    ...['attn_norm', 'post_attention_norm', 'ffn_norm', 'post_ffw_norm'].map((name) =>
      vector(`${block}.${name}.weight`, config.dim),
    ),
    ...layerMatrices(config, block),
    ...more(block),
  ]);
}

/** The embedding of the tokens, times √dim. */
export function embedScaled(pass: GemmaPass): Tensor {
  const x = embed(pass);
  return pass.p.scale(x, Math.sqrt(pass.config.dim), { out: x });
}

/** x += norm(projection(mixed)), where `mixed` is the output of attention. */
export function addAttended(at: GemmaLayer, mixed: Tensor, x: Tensor): void {
  addNormed(at, 'post_attention_norm', project(at, 'attn_output', mixed), x);
}

/** x += norm(feedForward(norm(x))). */
export function addFed(at: GemmaLayer, x: Tensor): void {
  addNormed(at, 'post_ffw_norm', gatedFeedForward(at, rmsNorm(at, 'ffn_norm', x), { activation: 'geluTanh' }), x);
}

function addNormed(at: GemmaLayer, norm: string, y: Tensor, x: Tensor): void {
  at.p.add(rmsNorm(at, norm, y, { out: y }), x, { out: x });
}

/** cap · tanh(logits / cap), where the model has a cap. */
export function cappedLogits(p: ProgramBuilder, { logitCap }: GemmaConfig, weights: Weights, hidden: Tensor): Tensor {
  const rated = logits(p, weights, hidden);
  if (logitCap === 0) return rated;
  p.scale(rated, 1 / logitCap, { out: rated });
  p.tanh(rated, { out: rated });
  return p.scale(rated, logitCap, { out: rated });
}

/** Gemma's norms multiply by 1 + weight; GGUF files store the sum. */
export const gemmaTensorNames: TensorNames = {
  ...decoderTensorNames,
  model: { ...decoderTensorNames.model, norm: plusOne('output_norm') },
  layer: {
    ...decoderTensorNames.layer,
    input_layernorm: plusOne('attn_norm'),
    'self_attn.q_norm': plusOne('attn_q_norm'),
    'self_attn.k_norm': plusOne('attn_k_norm'),
    post_attention_layernorm: plusOne('post_attention_norm'),
    pre_feedforward_layernorm: plusOne('ffn_norm'),
    post_feedforward_layernorm: plusOne('post_ffw_norm'),
  },
};

/** What the configs of both give. */
export function addGemmaMetadata(config: JsonView, metadata: MetadataBuilder): void {
  addDecoderMetadata(config, metadata);
  metadata.count('.attention.sliding_window', config.at('sliding_window'));
  metadata.number('.attn_logit_softcapping', config.at('attn_logit_softcapping'));
  metadata.number('.final_logit_softcapping', config.at('final_logit_softcapping'));
  checkAttentionScale(config);
}

/** GGUF has no key for `query_pre_attn_scalar`: readGemmaConfig takes it from the sizes, so it must be one of these. */
function checkAttentionScale(config: JsonView): void {
  const scalar = config.at('query_pre_attn_scalar');
  if (scalar.isAbsent) return;
  const share = config.at('hidden_size').number() / config.at('num_attention_heads').number();
  const known = [share, config.at('head_dim').isAbsent ? share : config.at('head_dim').number()];
  if (!known.includes(scalar.number())) throw scalar.unsupported(String(scalar.number()));
}

/**
 * The period of the layers, as {@link GemmaConfig} has it; `undefined` where the config does not list their kinds.
 * @throws TesseraeError ERR_UNSUPPORTED where local and global layers alternate otherwise
 */
export function readWindowPeriod(config: JsonView): number | undefined {
  const types = config.at('layer_types');
  const kinds = types.list().map((type) => type.string());
  const firstFull = kinds.indexOf('full_attention');
  if (firstFull === -1) return undefined;
  const period = firstFull + 1;
  kinds.forEach((kind, index) => {
    const expected = index % period === firstFull ? 'full_attention' : 'sliding_attention';
    if (kind !== expected) throw types.unsupported(`${quote(kind)} at ${index}`);
  });
  return period;
}
