// Llama (Touvron et al. 2023), and with it Mistral and SmolLM: RMSNorm before each part, rotary positions,
// grouped-query attention, a SwiGLU feed-forward layer.
import type { JsonView } from '../../base/json-view.js';
import type { ModelMetadata } from '../../metadata/model-metadata.js';
import type { DecoderArchitecture } from '../architecture.js';
import type { MetadataBuilder } from '../huggingface-mapping.js';
import { ropeConstants } from '../rope-scaling.js';
import {
  attend,
  embed,
  gatedFeedForward,
  layersOf,
  logits,
  project,
  queriesKeysValues,
  rmsNorm,
  rotated,
} from '../stages.js';
import { vector } from '../weight-specs.js';
import { type DecoderConfig, decoderWeights, layerMatrices, readDecoderConfig } from './decoder.js';
import { addDecoderMetadata, decoderTensorNames } from './decoder-mapping.js';

/**
 * Which elements of a head are rotated as a pair. GGUF files have the rows of q and k reordered so that neighbours are
 * pairs; in Hugging Face folders the pairs are the halves of a head.
 */
const styleKey = 'tesserae.rope.style';

/** The configuration of llama, or of a relative whose GGUF files have reordered rows too. */
export function readLlamaConfig(metadata: ModelMetadata, architecture: string): DecoderConfig {
  const style = metadata.string(styleKey, 'interleaved');
  if (style !== 'interleaved' && style !== 'halfSplit') {
    throw metadata.error(styleKey, 'must be "interleaved" or "halfSplit"');
  }
  return readDecoderConfig(metadata, { architecture, style });
}

/** What the config of such a folder gives. */
export function addLlamaMetadata(config: JsonView, metadata: MetadataBuilder): void {
  addDecoderMetadata(config, metadata);
  metadata.string(styleKey, 'halfSplit');
}

export const llama: DecoderArchitecture<DecoderConfig> = {
  kind: 'decoder',
  name: 'llama',

  huggingFace: {
    // Mistral's window is not applied: llama.cpp does not apply it either.
    modelTypes: ['llama', 'mistral'],
    activations: ['silu'],
    addMetadata: addLlamaMetadata,
    tensorNames: decoderTensorNames,
  },

  readConfig: (metadata) => readLlamaConfig(metadata, 'llama'),

  weights: (config) =>
    decoderWeights(config, (block) => [
      vector(`${block}.attn_norm.weight`, config.dim),
      vector(`${block}.ffn_norm.weight`, config.dim),
      ...layerMatrices(config, block, { queries: 'optional', output: 'optional', feedForward: 'optional' }),
    ]),

  constants: ropeConstants,

  *recordHidden(p, config, weights, inputs) {
    const pass = { p, config, weights, inputs, prefix: '' };
    const x = embed(pass);
    for (const at of layersOf(pass)) {
      const heads = queriesKeysValues(at, rmsNorm(at, 'attn_norm', x));
      project(at, 'attn_output', attend(at, rotated(at, heads)), { residual: x, out: x });
      gatedFeedForward(at, rmsNorm(at, 'ffn_norm', x), { activation: 'silu', residual: x, out: x });
      yield;
    }
    return rmsNorm(pass, 'output_norm', x);
  },

  recordLogits: (p, _config, weights, hidden) => logits(p, weights, hidden),
};
