// GPT-2 (Radford et al. 2019): learned positions, LayerNorm with biases, one projection for queries, keys and values, and
// a feed-forward layer without a gate.
import type { Architecture } from '../architecture.js';
import { type BaseConfig, ConfigReader, readSizes } from '../config-reader.js';
import {
  attend,
  embed,
  feedForward,
  fusedQueriesKeysValues,
  layerNorm,
  layersOf,
  logits,
  project,
  tensorOf,
} from '../stages.js';
import { biased, layerNormVectors, matrix } from './decoder.js';

export const gpt2: Architecture<BaseConfig> = {
  kind: 'decoder',
  name: 'gpt2',

  readConfig: (metadata) => readSizes(new ConfigReader(metadata, 'gpt2'), 'layer'),

  weights({ layers, dim, ffn, heads, kvHeads, headDim, vocabulary, contextLength }) {
    const layer = (block: string) => [
      ...layerNormVectors(`${block}.attn_norm`, dim),
      ...biased(`${block}.attn_qkv`, (heads + 2 * kvHeads) * headDim, dim),
      ...biased(`${block}.attn_output`, dim, heads * headDim),
      ...layerNormVectors(`${block}.ffn_norm`, dim),
      ...biased(`${block}.ffn_up`, ffn, dim),
      ...biased(`${block}.ffn_down`, dim, ffn),
    ];
    return [
      matrix('token_embd', vocabulary, dim),
      matrix('position_embd', contextLength, dim, { asF32: true }),
      ...Array.from({ length: layers }, (_, index) => layer(`blk.${index}`)).flat(),
      ...layerNormVectors('output_norm', dim),
      // Without an output matrix the embedding serves for both ends.
      matrix('output', vocabulary, dim, { optional: true }),
    ];
  },

  constants: () => ({}),

  *recordHidden(p, config, weights, inputs) {
    const pass = { p, config, weights, inputs, prefix: '' };
    const positions = p.embedding(tensorOf(pass, 'position_embd'), inputs.positions);
    const tokens = embed(pass);
    const x = p.add(tokens, positions, { out: tokens });
    for (const at of layersOf(pass)) {
      const heads = fusedQueriesKeysValues(at, layerNorm(at, 'attn_norm', x));
      project(at, 'attn_output', attend(at, heads), { residual: x, out: x });
      feedForward(at, layerNorm(at, 'ffn_norm', x), { activation: 'geluTanh', residual: x, out: x });
      yield;
    }
    return layerNorm(pass, 'output_norm', x);
  },

  recordLogits: (p, _config, weights, hidden) => logits(p, weights, hidden),
};
