// Qwen 2 and 2.5 (Yang et al. 2024): llama with biases on queries, keys and values, and rotations that pair the halves
// of a head.
import type { DecoderArchitecture } from '../architecture.js';
import { ropeConstants } from '../rope-scaling.js';
import { vector } from '../weight-specs.js';
import { type DecoderConfig, decoderWeights, layerMatrices, readDecoderConfig } from './decoder.js';
import { addDecoderMetadata, decoderTensorNames, refuseWindows } from './decoder-mapping.js';
import { llama } from './llama.js';

export const qwen2: DecoderArchitecture<DecoderConfig> = {
  kind: 'decoder',
  name: 'qwen2',

  huggingFace: {
    modelTypes: ['qwen2'],
    activations: ['silu'],
    addMetadata(config, metadata) {
      addDecoderMetadata(config, metadata);
      refuseWindows(config);
    },
    tensorNames: decoderTensorNames,
  },

  readConfig: (metadata) => readDecoderConfig(metadata, { architecture: 'qwen2', style: 'halfSplit' }),

  weights: (config) =>
    decoderWeights(config, (block) => [
      vector(`${block}.attn_norm.weight`, config.dim),
      vector(`${block}.ffn_norm.weight`, config.dim),
      ...layerMatrices(config, block, { queries: 'optional' }),
    ]),

  constants: ropeConstants,
  recordHidden: llama.recordHidden,
  recordLogits: llama.recordLogits,
};
