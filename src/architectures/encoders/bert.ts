// BERT (Devlin et al. 2019) and the sentence encoders based on it: learned positions and token types, a residual and a
// LayerNorm after each part, the exact GELU.
import type { JsonView } from '../../base/json-view.js';
import { quote } from '../../base/quote.js';
import type { EncoderArchitecture } from '../architecture.js';
import { addSizes, type MetadataBuilder, type TensorNames } from '../huggingface-mapping.js';
import { feedForward, layerNorm, layersOf, project, queriesKeysValues, tensorOf } from '../stages.js';
import { biased, layerNormVectors, matrix } from '../weight-specs.js';
import { addEncoderMetadata, type EncoderConfig, embedTyped, encoderWeights, readEncoderConfig } from './encoder.js';

export const bertTensorNames: TensorNames = {
  prefix: 'bert.',
  layers: 'encoder.layer.',
  model: {
    'embeddings.word_embeddings': 'token_embd',
    'embeddings.position_embeddings': 'position_embd',
    'embeddings.token_type_embeddings': 'token_types',
    'embeddings.LayerNorm': 'token_embd_norm',
  },
  layer: {
    'attention.self.query': 'attn_q',
    'attention.self.key': 'attn_k',
    'attention.self.value': 'attn_v',
    'attention.output.dense': 'attn_output',
    'attention.output.LayerNorm': 'attn_output_norm',
    'intermediate.dense': 'ffn_up',
    'output.dense': 'ffn_down',
    'output.LayerNorm': 'layer_output_norm',
  },
  ignored: /^(bert\.)?(embeddings\.position_ids$|pooler\.|cls\.)/,
};

/** What the config of BERT gives, or that of a relative with the same keys. */
export function addBertMetadata(config: JsonView, metadata: MetadataBuilder): void {
  addSizes(config, metadata);
  metadata.number('.attention.layer_norm_epsilon', config.at('layer_norm_eps'));
  addEncoderMetadata(config, metadata);
}

/** Whether a config of this `model_type` is jina-bert-v2's, which has ALiBi instead of learned positions. */
export function hasAlibi(config: JsonView): boolean {
  return config.at('position_embedding_type').value === 'alibi';
}

export const bert: EncoderArchitecture<EncoderConfig> = {
  kind: 'encoder',
  name: 'bert',

  huggingFace: {
    modelTypes: ['bert'],
    accepts: (config) => !hasAlibi(config),
    activations: ['gelu'],
    addMetadata(config, metadata) {
      addBertMetadata(config, metadata);
      const positions = config.at('position_embedding_type');
      if (positions.string('absolute') !== 'absolute') throw positions.unsupported(quote(positions.string()));
    },
    tensorNames: bertTensorNames,
  },

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
      const mixed = inputs.attend(queriesKeysValues(at, x));
      project(at, 'attn_output', mixed, { residual: x, out: x });
      layerNorm(at, 'attn_output_norm', x, { out: x });
      feedForward(at, x, { activation: 'gelu', residual: x, out: x });
      layerNorm(at, 'layer_output_norm', x, { out: x });
      yield;
    }
    return x;
  },
};
