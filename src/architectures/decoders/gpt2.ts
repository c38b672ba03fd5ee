// GPT-2 (Radford et al. 2019): learned positions, LayerNorm with biases, one projection for queries, keys and values,
// and a feed-forward layer without a gate.
import { JsonView } from '../../base/json-view.js';
import type { DecoderArchitecture } from '../architecture.js';
import { type BaseConfig, ConfigReader, readSizes } from '../config-reader.js';
import { firstPresent, type MetadataBuilder, requireFlag, transposed } from '../huggingface-mapping.js';
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
import { biased, layerNormVectors, matrix } from '../weight-specs.js';

export const gpt2: DecoderArchitecture<BaseConfig> = {
  kind: 'decoder',
  name: 'gpt2',

  huggingFace: {
    modelTypes: ['gpt2'],
    activations: ['gelu_new', 'gelu_pytorch_tanh'],
    tiedByDefault: true,
    addMetadata(config, metadata) {
      addGpt2Sizes(config, metadata);
      requireFlag(config, 'scale_attn_weights', true);
      requireFlag(config, 'scale_attn_by_inverse_layer_idx', false);
    },
    tensorNames: {
      prefix: 'transformer.',
      layers: 'h.',
      model: { wte: 'token_embd', wpe: 'position_embd', ln_f: 'output_norm', lm_head: 'output' },
      // The projections are of Hugging Face's class Conv1D, which stores its matrix as [in, out].
      layer: {
        ln_1: 'attn_norm',
        'attn.c_attn': transposed('attn_qkv'),
        'attn.c_proj': transposed('attn_output'),
        ln_2: 'ffn_norm',
        'mlp.c_fc': transposed('ffn_up'),
        'mlp.c_proj': transposed('ffn_down'),
      },
      ignored: /\.attn\.(masked_)?bias$/,
    },
  },

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
      matrix('token_embd', vocabulary, dim, { isTable: true }),
      matrix('position_embd', contextLength, dim, { asF32: true }),
      ...Array.from({ length: layers }, (_, index) => layer(`blk.${index}`)).flat(),
      ...layerNormVectors('output_norm', dim),
      // Without an output matrix the embedding serves as it.
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

function addGpt2Sizes(config: JsonView, metadata: MetadataBuilder): void {
  const width = config.at('n_embd');
  const inner = config.at('n_inner');
  metadata.count('.context_length', firstPresent(config, 'n_positions', 'n_ctx'));
  metadata.count('.embedding_length', width);
  metadata.count('.block_count', config.at('n_layer'));
  metadata.count('.attention.head_count', config.at('n_head'));
  metadata.count('.feed_forward_length', inner.isAbsent ? new JsonView(4 * width.number(), width.place) : inner);
  metadata.number('.attention.layer_norm_epsilon', config.at('layer_norm_epsilon'));
}
