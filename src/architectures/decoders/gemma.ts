// What Gemma 2 and 3 have in common: their configuration, their tensors, the scaled embedding, norms after each part, the
// gated feed-forward layer, and the soft cap on logits. gemma2.ts and gemma3.ts say how their layers attend.

import type { ModelMetadata } from '../../metadata/model-metadata.js';
import type { ProgramBuilder } from '../../ops/calls/program-builder.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { ForwardInputs, WeightSpec, Weights } from '../architecture.js';
import { ConfigReader } from '../config-reader.js';
import { embed, gatedFeedForward, type Layer, logits, type Pass, project, rmsNorm } from '../stages.js';
import { type DecoderConfig, decoderWeights, layerMatrices, readDecoderConfig, vector } from './decoder.js';

export interface GemmaConfig extends DecoderConfig {
  /** Multiplies the scores. */
  readonly attentionScale: number;
  /** How many keys, its own included, a query of a local layer sees; undefined where no layer is local. */
  readonly window: number | undefined;
  /** Every so many layers one is global, the last of them; the others are local. */
  readonly period: number;
  /** Cap of the logits; 0 for none. */
  readonly logitCap: number;
}

export type GemmaPass = Pass<GemmaConfig, ForwardInputs>;
export type GemmaLayer = Layer<GemmaConfig, ForwardInputs>;

export interface GemmaDefaults {
  readonly architecture: string;
  readonly period: number;
  readonly window: number | undefined;
  readonly logitCap: number;
  /** Layers of the largest model, whose scores are scaled by dim / heads instead of the width of a head. */
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

/** The embedding of the tokens times √dim, as Gemma's own code has it. */
export function embedScaled(pass: GemmaPass): Tensor {
  const x = embed(pass);
  return pass.p.scale(x, Math.sqrt(pass.config.dim), { out: x });
}

/** Adds what attention gives, projected and normalised, to x. */
export function addAttended(at: GemmaLayer, mixed: Tensor, x: Tensor): void {
  addNormed(at, 'post_attention_norm', project(at, 'attn_output', mixed), x);
}

/** Adds what the feed-forward layer makes of x, normalised before and after. */
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
