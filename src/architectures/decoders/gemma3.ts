// Gemma 3 (Gemma Team 2025), its text part: queries and keys normalised head by head, and five layers with a window for
// each without one. Only these rotate with the long base, and only theirs is stretched.
import type { Architecture } from '../architecture.js';
import { ConfigReader } from '../config-reader.js';
import { scaledFrequencies } from '../rope-scaling.js';
import { attend, layersOf, normHeads, queriesKeysValues, rmsNorm, rotate } from '../stages.js';
import { decoderConstants, vector } from './decoder.js';
import {
  addAttended,
  addFed,
  cappedLogits,
  embedScaled,
  type GemmaConfig,
  gemmaWeights,
  isLocal,
  readGemmaConfig,
} from './gemma.js';

export interface Gemma3Config extends GemmaConfig {
  /** Base of the rotations in layers with a window. */
  readonly localBase: number;
}

const defaults = { architecture: 'gemma3', period: 6, window: undefined, logitCap: 0, layersOfLargest: 62 };

export const gemma3: Architecture<Gemma3Config> = {
  kind: 'decoder',
  name: 'gemma3',

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
    ...decoderConstants(config, weights),
    localRope: scaledFrequencies({ ...config.rope, base: config.localBase, scaling: { type: 'linear', factor: 1 } }),
  }),

  *recordHidden(p, config, weights, inputs) {
    const pass = { p, config, weights, inputs, prefix: '' };
    const { attentionScale: scale, window } = config;
    const x = embedScaled(pass);
    for (const at of layersOf(pass)) {
      const heads = queriesKeysValues(at, rmsNorm(at, 'attn_norm', x));
      normHeads(at, heads);
      rotate(at, heads, isLocal(at) ? 'localRope' : 'rope');
      addAttended(at, attend(at, heads, { scale, ...(isLocal(at) && { window }) }), x);
      addFed(at, x);
      yield;
    }
    return rmsNorm(pass, 'output_norm', x);
  },

  recordLogits: cappedLogits,
};
