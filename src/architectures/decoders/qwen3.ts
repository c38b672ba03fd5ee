// Qwen 3 (Yang et al. 2025): llama with queries and keys normalised head by head, and rotations that pair the halves of
// a head. Attention does both where it decodes, so that a layer has as many steps as one of llama.
import type { DecoderArchitecture } from '../architecture.js';
import { ropeConstants } from '../rope-scaling.js';
import {
  attend,
  embed,
  gatedFeedForward,
  layersOf,
  logits,
  normed,
  project,
  queriesKeysValues,
  rmsNorm,
  rotated,
} from '../stages.js';
import { vector } from '../weight-specs.js';
import { type DecoderConfig, decoderWeights, layerMatrices, readDecoderConfig } from './decoder.js';
import { addDecoderMetadata, decoderTensorNames, refuseWindows } from './decoder-mapping.js';

export const qwen3: DecoderArchitecture<DecoderConfig> = {
  kind: 'decoder',
  name: 'qwen3',

  huggingFace: {
    modelTypes: ['qwen3'],
    activations: ['silu'],
    addMetadata(config, metadata) {
      addDecoderMetadata(config, metadata);
      refuseWindows(config);
    },
    tensorNames: decoderTensorNames,
  },

  readConfig: (metadata) => readDecoderConfig(metadata, { architecture: 'qwen3', style: 'halfSplit' }),

  weights: (config) =>
    decoderWeights(config, (block) => [
      vector(`${block}.attn_norm.weight`, config.dim),
      vector(`${block}.attn_q_norm.weight`, config.headDim),
      vector(`${block}.attn_k_norm.weight`, config.headDim),
      vector(`${block}.ffn_norm.weight`, config.dim),
      ...layerMatrices(config, block),
    ]),

  constants: ropeConstants,

  *recordHidden(p, config, weights, inputs) {
    const pass = { p, config, weights, inputs, prefix: '' };
    const x = embed(pass);
    for (const at of layersOf(pass)) {
      const heads = normed(at, queriesKeysValues(at, rmsNorm(at, 'attn_norm', x)));
      project(at, 'attn_output', attend(at, rotated(at, heads)), { residual: x, out: x });
      gatedFeedForward(at, rmsNorm(at, 'ffn_norm', x), { activation: 'silu', residual: x, out: x });
      yield;
    }
    return rmsNorm(pass, 'output_norm', x);
  },

  recordLogits: (p, _config, weights, hidden) => logits(p, weights, hidden),
};
