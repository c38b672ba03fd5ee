// The llama architecture (Touvron et al. 2023), which is also that of Mistral and SmolLM: RMSNorm before each part,
// rotary positions, grouped-query attention, a SwiGLU feed-forward layer. Names and keys are those of the GGUF format.
import type { ModelMetadata } from '../../metadata/model-metadata.js';
import type { Architecture } from '../architecture.js';
import {
  attend,
  embed,
  gatedFeedForward,
  layersOf,
  logits,
  project,
  queriesKeysValues,
  rmsNorm,
  rotate,
} from '../stages.js';
import {
  type DecoderConfig,
  decoderConstants,
  decoderWeights,
  layerMatrices,
  readDecoderConfig,
  vector,
} from './decoder.js';

/** Files from elsewhere than GGUF have the rows of q and k in the order of the paper, and pair halves of a head. */
const styleKey = 'tesserae.rope.style';

/** Of llama, or of a relative that pairs the elements of a head as llama does. */
export function readLlamaConfig(metadata: ModelMetadata, architecture: string): DecoderConfig {
  const style = metadata.string(styleKey, 'interleaved');
  if (style !== 'interleaved' && style !== 'halfSplit') {
    throw metadata.error(styleKey, 'must be "interleaved" or "halfSplit"');
  }
  return readDecoderConfig(metadata, { architecture, style });
}

export const llama: Architecture<DecoderConfig> = {
  kind: 'decoder',
  name: 'llama',

  readConfig: (metadata) => readLlamaConfig(metadata, 'llama'),

  weights: (config) =>
    decoderWeights(config, (block) => [
      vector(`${block}.attn_norm.weight`, config.dim),
      vector(`${block}.ffn_norm.weight`, config.dim),
      ...layerMatrices(config, block, { queries: 'optional', output: 'optional', feedForward: 'optional' }),
    ]),

  constants: decoderConstants,

  *recordHidden(p, config, weights, inputs) {
    const pass = { p, config, weights, inputs, prefix: '' };
    const x = embed(pass);
    for (const at of layersOf(pass)) {
      const heads = queriesKeysValues(at, rmsNorm(at, 'attn_norm', x));
      rotate(at, heads);
      project(at, 'attn_output', attend(at, heads), { residual: x, out: x });
      gatedFeedForward(at, rmsNorm(at, 'ffn_norm', x), { activation: 'silu', residual: x, out: x });
      yield;
    }
    return rmsNorm(pass, 'output_norm', x);
  },

  recordLogits: (p, _config, weights, hidden) => logits(p, weights, hidden),
};
