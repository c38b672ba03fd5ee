// Jina's BERT v2 (Günther et al. 2023): ALiBi instead of positions, so that scores decrease with the distance in both
// directions, and a GEGLU feed-forward layer. The models for code have norms of queries and keys, and a second norm
// after the attention.
import { quote } from '../../base/quote.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { EncoderArchitecture } from '../architecture.js';
import { ConfigReader } from '../config-reader.js';
import {
  asHeads,
  feedForward,
  gatedFeedForward,
  hasWeight,
  layerNorm,
  layersOf,
  project,
  projectMany,
} from '../stages.js';
import { biased, gateAndUp, layerNormVectors, matrix, vector } from '../weight-specs.js';
import { addBertMetadata, bertTensorNames, hasAlibi } from './bert.js';
import {
  alibiSlopes,
  type EncoderConfig,
  type EncoderLayer,
  embedTyped,
  encoderWeights,
  readEncoderConfig,
} from './encoder.js';

export interface JinaConfig extends EncoderConfig {
  /** Determines the steepest slope: see {@link alibiSlopes}. */
  readonly maxBias: number;
}

const queryNorm = 'attn_q_norm';
const keyNorm = 'attn_k_norm';

export const jinaBertV2: EncoderArchitecture<JinaConfig> = {
  kind: 'encoder',
  name: 'jina-bert-v2',

  huggingFace: {
    modelTypes: ['bert'],
    accepts: hasAlibi,
    activations: ['gelu'],
    addMetadata(config, metadata) {
      addBertMetadata(config, metadata);
      const feedForward = config.at('feed_forward_type');
      const kind = feedForward.string('original');
      if (kind !== 'geglu') throw feedForward.unsupported(quote(kind));
    },
    tensorNames: {
      ...bertTensorNames,
      layer: {
        ...bertTensorNames.layer,
        'mlp.gated_layers': 'ffn_up',
        'mlp.wo': 'ffn_down',
        'mlp.layernorm': 'layer_output_norm',
      },
    },
  },

  readConfig: (metadata) => ({
    ...readEncoderConfig(metadata, 'jina-bert-v2'),
    maxBias: new ConfigReader(metadata, 'jina-bert-v2').positive('attention.max_alibi_bias', 8),
  }),

  weights(config) {
    const { dim, ffn, heads, headDim } = config;
    const width = heads * headDim;
    return encoderWeights(config, (block) => [
      ...['attn_q', 'attn_k', 'attn_v'].flatMap((name) => biased(`${block}.${name}`, width, dim)),
      ...[queryNorm, keyNorm].flatMap((name) => layerNormVectors(`${block}.${name}`, width, { optional: true })),
      ...biased(`${block}.attn_output`, dim, width),
      ...layerNormVectors(`${block}.attn_output_norm`, dim),
      ...layerNormVectors(`${block}.attn_norm_2`, dim, { optional: true }),
      // Some models have gate and up in one matrix, gate first.
      matrix(`${block}.ffn_gate`, ffn, dim, { optional: true }),
      { ...matrix(`${block}.ffn_up`, ffn, dim), otherShape: [2 * ffn, dim], parts: gateAndUp(block, ffn) },
      vector(`${block}.ffn_up.bias`, ffn, { optional: true }),
      ...biased(`${block}.ffn_down`, dim, ffn),
      ...layerNormVectors(`${block}.layer_output_norm`, dim),
    ]);
  },

  constants: (config) => ({ slopes: alibiSlopes(config, config.maxBias) }),

  *recordHidden(p, config, weights, inputs) {
    const pass = { p, config, weights, inputs, prefix: '' };
    const slopes = inputs.constants.get('slopes') as Tensor;
    let x = embedTyped(pass);
    for (const at of layersOf(pass)) {
      const attended = project(at, 'attn_output', inputs.attend(normedQueries(at, x), slopes), { residual: x });
      layerNorm(at, 'attn_output_norm', attended, { out: attended });
      if (hasWeight(at, 'attn_norm_2')) {
        p.add(attended, x, { out: attended });
        layerNorm(at, 'attn_norm_2', attended, { out: attended });
      }
      x = feed(at, attended);
      layerNorm(at, 'layer_output_norm', x, { out: x });
      yield;
    }
    return x;
  },
};

/** h += feedForward(h). */
function feed(at: EncoderLayer, h: Tensor): Tensor {
  const options = { activation: 'gelu', residual: h, out: h } as const;
  return hasWeight(at, 'ffn_gate') ? gatedFeedForward(at, h, options) : feedForward(at, h, options);
}

/** Queries, keys and values; the first two normalised over all heads where the model has the norms. */
function normedQueries(at: EncoderLayer, x: Tensor) {
  const [q, k, v] = projectMany(at, ['attn_q', 'attn_k', 'attn_v'], x);
  if (hasWeight(at, queryNorm)) layerNorm(at, queryNorm, q, { out: q });
  if (hasWeight(at, keyNorm)) layerNorm(at, keyNorm, k, { out: k });
  const heads = (part: Tensor) => asHeads(at, part, at.config.heads);
  return { q: heads(q), k: heads(k), v: heads(v) };
}
