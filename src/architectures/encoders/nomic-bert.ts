// Nomic's BERT (Nussbaum et al. 2024): rotary positions in place of learned ones, one projection for queries, keys and
// values, a SwiGLU feed-forward layer, few biases.
import type { EncoderArchitecture } from '../architecture.js';
import { ConfigReader } from '../config-reader.js';
import { decoderConstants, layerNormVectors, matrix, vector } from '../decoders/decoder.js';
import { type RopeConfig, readRope } from '../rope-scaling.js';
import { fusedQueriesKeysValues, gatedFeedForward, layerNorm, layersOf, project, rotate } from '../stages.js';
import { attendWhole, type EncoderConfig, embedTyped, encoderWeights, readEncoderConfig } from './encoder-stages.js';

export interface NomicConfig extends EncoderConfig {
  readonly rope: RopeConfig;
}

export const nomicBert: EncoderArchitecture<NomicConfig> = {
  kind: 'encoder',
  name: 'nomic-bert',

  readConfig(metadata) {
    const config = readEncoderConfig(metadata, 'nomic-bert');
    const rope = readRope(new ConfigReader(metadata, 'nomic-bert'), { ...config, style: 'halfSplit' });
    return { ...config, rope };
  },

  weights(config) {
    const { dim, ffn, heads, headDim } = config;
    const width = heads * headDim;
    return encoderWeights(config, (block) => [
      matrix(`${block}.attn_qkv`, 3 * width, dim),
      vector(`${block}.attn_qkv.bias`, 3 * width, { optional: true }),
      matrix(`${block}.attn_output`, dim, width),
      vector(`${block}.attn_output.bias`, dim, { optional: true }),
      ...layerNormVectors(`${block}.attn_output_norm`, dim),
      matrix(`${block}.ffn_gate`, ffn, dim),
      matrix(`${block}.ffn_up`, ffn, dim),
      matrix(`${block}.ffn_down`, dim, ffn),
      ...layerNormVectors(`${block}.layer_output_norm`, dim),
    ]);
  },

  constants: decoderConstants,

  *recordHidden(p, config, weights, inputs) {
    const pass = { p, config, weights, inputs, prefix: '' };
    const x = embedTyped(pass);
    for (const at of layersOf(pass)) {
      const heads = fusedQueriesKeysValues(at, x);
      rotate(at, heads);
      project(at, 'attn_output', attendWhole(at, heads), { residual: x, out: x });
      layerNorm(at, 'attn_output_norm', x, { out: x });
      gatedFeedForward(at, x, { activation: 'silu', residual: x, out: x });
      layerNorm(at, 'layer_output_norm', x, { out: x });
      yield;
    }
    return x;
  },
};
