// BERT (Devlin et al. 2019), and with it the sentence encoders built upon it: learned positions and token types, each
// part followed by its residual and a LayerNorm, the exact GELU.
import type { EncoderArchitecture } from '../architecture.js';
import { biased, layerNormVectors, matrix } from '../decoders/decoder.js';
import { feedForward, layerNorm, layersOf, project, queriesKeysValues, tensorOf } from '../stages.js';
import { attendWhole, type EncoderConfig, embedTyped, encoderWeights, readEncoderConfig } from './encoder-stages.js';

export const bert: EncoderArchitecture<EncoderConfig> = {
  kind: 'encoder',
  name: 'bert',

  readConfig: (metadata) => readEncoderConfig(metadata, 'bert'),

  weights(config) {
    const { dim, ffn, heads, headDim, contextLength } = config;
    const width = heads * headDim;
    return [
      matrix('position_embd', contextLength, dim, { asF32: true }),
      ...encoderWeights(config, (block) => [
        ...['attn_q', 'attn_k', 'attn_v'].flatMap((name) => biased(`${block}.${name}`, width, dim)),
        ...biased(`${block}.attn_output`, dim, width),
        ...layerNormVectors(`${block}.attn_output_norm`, dim),
        ...biased(`${block}.ffn_up`, ffn, dim),
        ...biased(`${block}.ffn_down`, dim, ffn),
        ...layerNormVectors(`${block}.layer_output_norm`, dim),
      ]),
    ];
  },

  constants: () => ({}),

  *recordHidden(p, config, weights, inputs) {
    const pass = { p, config, weights, inputs, prefix: '' };
    const x = embedTyped(pass, p.embedding(tensorOf(pass, 'position_embd'), inputs.positions));
    for (const at of layersOf(pass)) {
      const mixed = attendWhole(at, queriesKeysValues(at, x));
      project(at, 'attn_output', mixed, { residual: x, out: x });
      layerNorm(at, 'attn_output_norm', x, { out: x });
      feedForward(at, x, { activation: 'gelu', residual: x, out: x });
      layerNorm(at, 'layer_output_norm', x, { out: x });
      yield;
    }
    return x;
  },
};
