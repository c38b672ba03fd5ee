// Nomic's BERT (Nussbaum et al. 2024): rotary positions instead of learned ones, one projection for queries, keys and
// values, a SwiGLU feed-forward layer, and few biases.

import type { JsonView } from '../../base/json-view.js';
import type { EncoderArchitecture } from '../architecture.js';
import { ConfigReader } from '../config-reader.js';
import { firstPresent, type MetadataBuilder, requireFlag } from '../huggingface-mapping.js';
import { type RopeConfig, readRope, ropeConstants } from '../rope-scaling.js';
import {
  fusedQueriesKeysValues,
  gatedFeedForward,
  layerNorm,
  layersOf,
  normAndRotate,
  project,
  rotated,
} from '../stages.js';
import { layerNormVectors, matrix, vector } from '../weight-specs.js';
import { bertTensorNames } from './bert.js';
import { addEncoderMetadata, type EncoderConfig, embedTyped, encoderWeights, readEncoderConfig } from './encoder.js';

export interface NomicConfig extends EncoderConfig {
  readonly rope: RopeConfig;
}

export const nomicBert: EncoderArchitecture<NomicConfig> = {
  kind: 'encoder',
  name: 'nomic-bert',

  huggingFace: {
    modelTypes: ['nomic_bert'],
    activations: ['swiglu', 'silu'],
    addMetadata(config, metadata) {
      addNomicSizes(config, metadata);
      addEncoderMetadata(config, metadata);
      requireFlag(config, 'prenorm', false);
      requireFlag(config, 'rotary_emb_interleaved', false);
      const share = config.at('rotary_emb_fraction');
      if (!share.isAbsent && share.number() !== 1) throw share.unsupported(String(share.number()));
    },
    tensorNames: {
      prefix: 'bert.',
      layers: 'encoder.layers.',
      model: { ...bertTensorNames.model, emb_ln: 'token_embd_norm' },
      layer: {
        'attn.Wqkv': 'attn_qkv',
        'attn.out_proj': 'attn_output',
        norm1: 'attn_output_norm',
        'mlp.fc11': 'ffn_up',
        'mlp.fc12': 'ffn_gate',
        'mlp.fc2': 'ffn_down',
        norm2: 'layer_output_norm',
      },
      ignored: /^(bert\.)?(pooler\.|cls\.)/,
    },
  },

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

  constants: ropeConstants,

  *recordHidden(p, config, weights, inputs) {
    const pass = { p, config, weights, inputs, prefix: '' };
    const x = embedTyped(pass);
    for (const at of layersOf(pass)) {
      const heads = fusedQueriesKeysValues(at, x);
      normAndRotate(p, rotated(at, heads), inputs.positions);
      project(at, 'attn_output', inputs.attend(heads), { residual: x, out: x });
      layerNorm(at, 'attn_output_norm', x, { out: x });
      gatedFeedForward(at, x, { activation: 'silu', residual: x, out: x });
      layerNorm(at, 'layer_output_norm', x, { out: x });
      yield;
    }
    return x;
  },
};

function addNomicSizes(config: JsonView, metadata: MetadataBuilder): void {
  metadata.count('.context_length', firstPresent(config, 'n_positions', 'max_trained_positions'));
  metadata.count('.embedding_length', config.at('n_embd'));
  metadata.count('.block_count', config.at('n_layer'));
  metadata.count('.attention.head_count', config.at('n_head'));
  metadata.count('.feed_forward_length', config.at('n_inner'));
  metadata.number('.attention.layer_norm_epsilon', config.at('layer_norm_epsilon'));
  metadata.number('.rope.freq_base', config.at('rotary_emb_base'));
}
