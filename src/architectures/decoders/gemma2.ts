// Gemma 2 (Gemma Team 2024): local and global layers in turn, soft caps on scores and logits, and norms before and
// after each part.
import type { DecoderArchitecture } from '../architecture.js';
import { ConfigReader } from '../config-reader.js';
import { ropeConstants } from '../rope-scaling.js';
import { attend, layersOf, queriesKeysValues, rmsNorm, rotated } from '../stages.js';
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

export interface Gemma2Config extends GemmaConfig {
  /** The cap of the scores. */
  readonly scoreCap: number;
}

const defaults = { architecture: 'gemma2', period: 2, window: 4096, logitCap: 30, layersOfLargest: 46 };

export const gemma2: DecoderArchitecture<Gemma2Config> = {
  kind: 'decoder',
  name: 'gemma2',

  huggingFace: {
    modelTypes: ['gemma2'],
    activations: ['gelu_pytorch_tanh', 'gelu'],
    tiedByDefault: true,
    addMetadata(config, metadata) {
      addGemmaMetadata(config, metadata);
      // GGUF has no key for the period.
      const period = readWindowPeriod(config) ?? defaults.period;
      if (period !== defaults.period) {
        throw config.at('layer_types').unsupported(`a window in ${period - 1} of ${period} layers`);
      }
    },
    tensorNames: gemmaTensorNames,
  },

  readConfig: (metadata) => ({
    ...readGemmaConfig(metadata, defaults),
    scoreCap: new ConfigReader(metadata, 'gemma2').positive('attn_logit_softcapping', 50),
  }),

  weights: (config) => gemmaWeights(config, () => []),

  constants: ropeConstants,

  *recordHidden(p, config, weights, inputs) {
    const pass = { p, config, weights, inputs, prefix: '' };
    const { attentionScale: scale, scoreCap: softcap, window } = config;
    const x = embedScaled(pass);
    for (const at of layersOf(pass)) {
      const heads = rotated(at, queriesKeysValues(at, rmsNorm(at, 'attn_norm', x)));
      addAttended(at, attend(at, heads, { scale, softcap, ...(isLocal(at) && { window }) }), x);
      addFed(at, x);
      yield;
    }
    return rmsNorm(pass, 'output_norm', x);
  },

  recordLogits: cappedLogits,
};
