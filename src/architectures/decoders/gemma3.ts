// The text part of Gemma 3 (Gemma Team 2025): queries and keys normalised head by head, and five local layers for each
// global one. Global layers rotate with another base, and only their rotations are scaled.

import { JsonView } from '../../base/json-view.js';
import type { DecoderArchitecture } from '../architecture.js';
import { ConfigReader } from '../config-reader.js';
import { firstPresent, type MetadataBuilder, withDefaults } from '../huggingface-mapping.js';
import { ropeConstants, scaledFrequencies } from '../rope-scaling.js';
import { attend, layersOf, normed, queriesKeysValues, rmsNorm, rotated } from '../stages.js';
import { vector } from '../weight-specs.js';
import {
  addAttended,
  addFed,
  addGemmaMetadata,
  cappedLogits,
  embedScaled,
  type GemmaConfig,
  gemmaTensorNames,
  gemmaWeights,
  isLocal,
  readGemmaConfig,
  readWindowPeriod,
} from './gemma.js';

export interface Gemma3Config extends GemmaConfig {
  /** The base of the rotations in local layers. */
  readonly localBase: number;
}

const defaults = { architecture: 'gemma3', period: 6, window: undefined, logitCap: 0, layersOfLargest: 62 };

/** The values of members that configs of Gemma 3 may leave out. */
const configDefaults = {
  num_attention_heads: 8,
  num_key_value_heads: 4,
  head_dim: 256,
  max_position_embeddings: 131_072,
  rms_norm_eps: 1e-6,
  query_pre_attn_scalar: 256,
  sliding_window: 4096,
};
/** The base of the rotations in global layers. */
const defaultBase = 1e6;

export const gemma3: DecoderArchitecture<Gemma3Config> = {
  kind: 'decoder',
  name: 'gemma3',

  huggingFace: {
    modelTypes: ['gemma3_text', 'gemma3'],
    activations: ['gelu_pytorch_tanh'],
    tiedByDefault: true,
    addMetadata: addGemma3Metadata,
    tensorNames: {
      ...gemmaTensorNames,
      // The vision part is left out.
      ignored: /\.rotary_emb\.inv_freq$|^(model\.)?(vision_tower|multi_modal_projector)\./,
    },
  },

  readConfig: (metadata) => ({
    ...readGemmaConfig(metadata, defaults),
    localBase: new ConfigReader(metadata, 'gemma3').positive('rope.freq_base_swa', 10_000),
  }),

  weights: (config) =>
    gemmaWeights(config, (block) => [
      vector(`${block}.attn_q_norm.weight`, config.headDim),
      vector(`${block}.attn_k_norm.weight`, config.headDim),
    ]),

  constants: (config, weights) => ({
    ...ropeConstants(config, weights),
    localRope: scaledFrequencies({ ...config.rope, base: config.localBase, scaling: { type: 'linear', factor: 1 } }),
  }),

  *recordHidden(p, config, weights, inputs) {
    const pass = { p, config, weights, inputs, prefix: '' };
    const { attentionScale: scale, window } = config;
    const x = embedScaled(pass);
    for (const at of layersOf(pass)) {
      const heads = normed(at, queriesKeysValues(at, rmsNorm(at, 'attn_norm', x)));
      const placed = rotated(at, heads, isLocal(at) ? 'localRope' : 'rope');
      addAttended(at, attend(at, placed, { scale, ...(isLocal(at) && { window }) }), x);
      addFed(at, x);
      yield;
    }
    return rmsNorm(pass, 'output_norm', x);
  },

  recordLogits: cappedLogits,
};

function addGemma3Metadata(given: JsonView, metadata: MetadataBuilder): void {
  const config = withDefaults(given, configDefaults);
  addGemmaMetadata(config, metadata);
  const pattern = firstPresent(config, 'sliding_window_pattern', '_sliding_window_pattern');
  const listed = new JsonView(readWindowPeriod(config), pattern.place);
  metadata.count('.attention.sliding_window_pattern', pattern.isAbsent ? listed : pattern);
  metadata.number('.rope.freq_base_swa', config.at('rope_local_base_freq'));
  if (!metadata.has('.rope.freq_base')) metadata.number('.rope.freq_base', defaultBase);
}
