// SmolLM 3 (Bakouch et al. 2025): llama, but that every fourth layer leaves its queries and keys as they are (NoPE, Yang et
// al. 2025).
import type { Architecture } from '../architecture.js';
import { attend, embed, gatedFeedForward, layersOf, project, queriesKeysValues, rmsNorm, rotate } from '../stages.js';
import type { DecoderConfig } from './decoder.js';
import { llama, readLlamaConfig } from './llama.js';

/** One layer of so many has no positions, the last of them. */
export const periodWithoutPositions = 4;

export const smollm3: Architecture<DecoderConfig> = {
  kind: 'decoder',
  name: 'smollm3',

  readConfig: (metadata) => readLlamaConfig(metadata, 'smollm3'),
  weights: llama.weights,
  constants: llama.constants,

  *recordHidden(p, config, weights, inputs) {
    const pass = { p, config, weights, inputs, prefix: '' };
    const x = embed(pass);
    for (const at of layersOf(pass)) {
      const heads = queriesKeysValues(at, rmsNorm(at, 'attn_norm', x));
      if ((at.index + 1) % periodWithoutPositions !== 0) rotate(at, heads);
      project(at, 'attn_output', attend(at, heads), { residual: x, out: x });
      gatedFeedForward(at, rmsNorm(at, 'ffn_norm', x), { activation: 'silu', residual: x, out: x });
      yield;
    }
    return rmsNorm(pass, 'output_norm', x);
  },

  recordLogits: llama.recordLogits,
};
