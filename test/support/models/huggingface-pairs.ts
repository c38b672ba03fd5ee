// Random models of every architecture, each with the config and the tensor names of its Hugging Face folder. Used by
// the tests of such folders, and by those of the registry.
import { openGguf } from '../../../src/checkpoint/gguf/gguf-file.js';
import { tensorBytes } from './gguf-tensors.js';
import type { FolderTensor } from './huggingface-folder.js';
import { type RandomModel, text } from './random-model.js';

const rotaryNames: [RegExp, string][] = [
  [/^token_embd\./, 'model.embed_tokens.'],
  [/^output_norm\./, 'model.norm.'],
  [/^output\./, 'lm_head.'],
  [/^blk\.(\d+)\.attn_norm\./, 'model.layers.$1.input_layernorm.'],
  [/^blk\.(\d+)\.attn_output\./, 'model.layers.$1.self_attn.o_proj.'],
  [/^blk\.(\d+)\.attn_qkv\./, 'model.layers.$1.self_attn.qkv_proj.'],
  [/^blk\.(\d+)\.attn_([qk])_norm\./, 'model.layers.$1.self_attn.$2_norm.'],
  [/^blk\.(\d+)\.attn_([qkv])\./, 'model.layers.$1.self_attn.$2_proj.'],
  [/^blk\.(\d+)\.ffn_(gate|up|down)\./, 'model.layers.$1.mlp.$2_proj.'],
];
const plainNames: [RegExp, string][] = [
  ...rotaryNames,
  [/^blk\.(\d+)\.ffn_norm\./, 'model.layers.$1.post_attention_layernorm.'],
];
const gemmaNames: [RegExp, string][] = [
  ...rotaryNames,
  [/^blk\.(\d+)\.ffn_norm\./, 'model.layers.$1.pre_feedforward_layernorm.'],
  [/^blk\.(\d+)\.post_attention_norm\./, 'model.layers.$1.post_attention_layernorm.'],
  [/^blk\.(\d+)\.post_ffw_norm\./, 'model.layers.$1.post_feedforward_layernorm.'],
];
const gpt2Names: [RegExp, string][] = [
  [/^token_embd\./, 'wte.'],
  [/^position_embd\./, 'wpe.'],
  [/^output_norm\./, 'ln_f.'],
  [/^blk\.(\d+)\.attn_norm\./, 'h.$1.ln_1.'],
  [/^blk\.(\d+)\.ffn_norm\./, 'h.$1.ln_2.'],
  [/^blk\.(\d+)\.attn_qkv\./, 'h.$1.attn.c_attn.'],
  [/^blk\.(\d+)\.attn_output\./, 'h.$1.attn.c_proj.'],
  [/^blk\.(\d+)\.ffn_up\./, 'h.$1.mlp.c_fc.'],
  [/^blk\.(\d+)\.ffn_down\./, 'h.$1.mlp.c_proj.'],
];

const bertNames: [RegExp, string][] = [
  [/^token_embd\./, 'embeddings.word_embeddings.'],
  [/^position_embd\./, 'embeddings.position_embeddings.'],
  [/^token_types\./, 'embeddings.token_type_embeddings.'],
  [/^token_embd_norm\./, 'embeddings.LayerNorm.'],
  [/^blk\.(\d+)\.attn_q\./, 'encoder.layer.$1.attention.self.query.'],
  [/^blk\.(\d+)\.attn_k\./, 'encoder.layer.$1.attention.self.key.'],
  [/^blk\.(\d+)\.attn_v\./, 'encoder.layer.$1.attention.self.value.'],
  [/^blk\.(\d+)\.attn_output\./, 'encoder.layer.$1.attention.output.dense.'],
  [/^blk\.(\d+)\.attn_output_norm\./, 'encoder.layer.$1.attention.output.LayerNorm.'],
];
const nomicNames: [RegExp, string][] = [
  [/^token_embd_norm\./, 'emb_ln.'],
  ...bertNames.slice(0, 4),
  [/^blk\.(\d+)\.attn_qkv\./, 'encoder.layers.$1.attn.Wqkv.'],
  [/^blk\.(\d+)\.attn_output\./, 'encoder.layers.$1.attn.out_proj.'],
  [/^blk\.(\d+)\.attn_output_norm\./, 'encoder.layers.$1.norm1.'],
  [/^blk\.(\d+)\.ffn_up\./, 'encoder.layers.$1.mlp.fc11.'],
  [/^blk\.(\d+)\.ffn_gate\./, 'encoder.layers.$1.mlp.fc12.'],
  [/^blk\.(\d+)\.ffn_down\./, 'encoder.layers.$1.mlp.fc2.'],
  [/^blk\.(\d+)\.layer_output_norm\./, 'encoder.layers.$1.norm2.'],
];

const sizes = {
  hidden_size: 32,
  num_hidden_layers: 2,
  intermediate_size: 64,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 512,
  rms_norm_eps: 1e-5,
  hidden_act: 'silu',
};
const gemmaSizes = {
  ...sizes,
  head_dim: 8,
  query_pre_attn_scalar: 8,
  sliding_window: 7,
  hidden_act: 'gelu_pytorch_tanh',
};

const encoderSizes = {
  hidden_size: 32,
  num_hidden_layers: 2,
  intermediate_size: 64,
  num_attention_heads: 4,
  max_position_embeddings: 512,
  layer_norm_eps: 1e-12,
  type_vocab_size: 2,
  hidden_act: 'gelu',
};

/** A model, and what its folder would contain. */
export interface Pair {
  readonly names: readonly [RegExp, string][];
  readonly model: RandomModel;
  readonly config: object;
}

export const pairs: readonly [what: string, pair: Pair][] = [
  [
    'llama',
    {
      names: plainNames,
      // The GGUF file has the rows of q and k in a folder's order, too.
      model: { architecture: 'llama', kvHeads: 2, metadata: { 'tesserae.rope.style': text('halfSplit') } },
      config: { ...sizes, model_type: 'llama', tie_word_embeddings: true },
    },
  ],
  [
    'qwen3 in BF16, with an output matrix',
    {
      names: plainNames,
      model: {
        architecture: 'qwen3',
        kvHeads: 2,
        headDim: 16,
        type: 'BF16',
        optional: (name) => name === 'output.weight',
      },
      config: { ...sizes, model_type: 'qwen3', head_dim: 16 },
    },
  ],
  [
    'gemma2, whose norms add 1',
    {
      names: gemmaNames,
      model: { architecture: 'gemma2', kvHeads: 2 },
      config: { ...gemmaSizes, model_type: 'gemma2', attn_logit_softcapping: 5, final_logit_softcapping: 3 },
    },
  ],
  [
    'smollm3, in which some layers have no positions',
    {
      names: plainNames,
      model: { architecture: 'smollm3', layers: 5, metadata: { 'tesserae.rope.style': text('halfSplit') } },
      config: {
        ...sizes,
        num_hidden_layers: 5,
        num_key_value_heads: 4,
        model_type: 'smollm3',
        no_rope_layers: [1, 1, 1, 0, 1],
        no_rope_layer_interval: 4,
        layer_types: ['full_attention'],
        tie_word_embeddings: true,
      },
    },
  ],
  [
    'qwen2, whose projections have biases',
    {
      names: plainNames,
      model: { architecture: 'qwen2', kvHeads: 2, optional: (name) => !/rope/.test(name) },
      config: { ...sizes, model_type: 'qwen2', use_sliding_window: false },
    },
  ],
  [
    'phi3, whose projections are fused',
    {
      names: [[/^blk\.(\d+)\.ffn_up\./, 'model.layers.$1.mlp.gate_up_proj.'], ...plainNames],
      model: { architecture: 'phi3', kvHeads: 2, optional: (name) => name === 'output.weight' },
      config: { ...sizes, model_type: 'phi3', sliding_window: 2047, rope_scaling: null },
    },
  ],
  [
    'gemma3 in BF16, the text part of a vision model',
    {
      names: gemmaNames.map(([pattern, name]) => [pattern, `language_model.${name}`]),
      model: { architecture: 'gemma3', kvHeads: 2, layers: 7, headDim: 16, type: 'BF16' },
      config: {
        model_type: 'gemma3',
        vision_config: {},
        text_config: {
          ...gemmaSizes,
          model_type: 'gemma3_text',
          num_hidden_layers: 7,
          head_dim: 16,
          query_pre_attn_scalar: 16,
          rope_scaling: { rope_type: 'linear', factor: 8 },
          layer_types: Array.from({ length: 7 }, (_, index) => (index === 5 ? 'full_attention' : 'sliding_attention')),
        },
      },
    },
  ],
  [
    'bert',
    {
      names: [
        ...bertNames,
        [/^blk\.(\d+)\.ffn_up\./, 'encoder.layer.$1.intermediate.dense.'],
        [/^blk\.(\d+)\.ffn_down\./, 'encoder.layer.$1.output.dense.'],
        [/^blk\.(\d+)\.layer_output_norm\./, 'encoder.layer.$1.output.LayerNorm.'],
      ],
      model: { architecture: 'bert', optional: () => true },
      config: { ...encoderSizes, model_type: 'bert' },
    },
  ],
  [
    'jina-bert-v2, which is a bert by its config',
    {
      names: [
        ...bertNames,
        [/^blk\.(\d+)\.ffn_up\./, 'encoder.layer.$1.mlp.gated_layers.'],
        [/^blk\.(\d+)\.ffn_down\./, 'encoder.layer.$1.mlp.wo.'],
        [/^blk\.(\d+)\.layer_output_norm\./, 'encoder.layer.$1.mlp.layernorm.'],
      ],
      model: {
        architecture: 'jina-bert-v2',
        otherShapes: () => true,
        optional: (name) => name.startsWith('token_types'),
      },
      config: {
        ...encoderSizes,
        model_type: 'bert',
        position_embedding_type: 'alibi',
        feed_forward_type: 'geglu',
      },
    },
  ],
  [
    'nomic-bert',
    {
      names: nomicNames,
      model: { architecture: 'nomic-bert', optional: (name) => name.startsWith('token_types') },
      config: {
        model_type: 'nomic_bert',
        n_positions: 512,
        n_embd: 32,
        n_layer: 2,
        n_head: 4,
        n_inner: 64,
        layer_norm_epsilon: 1e-12,
        rotary_emb_base: 1000,
        rotary_emb_fraction: 1,
        type_vocab_size: 2,
        activation_function: 'swiglu',
      },
    },
  ],
  [
    'gpt2, whose matrices are transposed',
    {
      names: gpt2Names,
      model: { architecture: 'gpt2', type: 'F16' },
      config: {
        model_type: 'gpt2',
        n_positions: 512,
        n_embd: 32,
        n_layer: 2,
        n_head: 4,
        n_inner: 64,
        layer_norm_epsilon: 1e-5,
      },
    },
  ],
];

/** The tensors of a GGUF file, as a folder stores them. */
export async function translated(path: string, { names, model }: Pair): Promise<Map<string, FolderTensor>> {
  await using file = await openGguf(path);
  const tensors = new Map<string, FolderTensor>();
  for (const info of file.tensors.values()) {
    const bytes = await tensorBytes(file, info);
    const [pattern, replacement] = names.find(([candidate]) => candidate.test(info.name)) ?? [/^/, ''];
    const name = info.name.replace(pattern, replacement);
    let tensor: FolderTensor = { dtype: info.type as 'F32', shape: info.shape, bytes };
    if (model.architecture === 'gpt2' && /\.c_\w+\.weight$/.test(name)) tensor = transpose(tensor);
    if (model.architecture.startsWith('gemma') && info.name.endsWith('norm.weight')) {
      const less = new Float32Array(bytes.buffer).map((value) => value - 1);
      tensor = { ...tensor, bytes: new Uint8Array(less.buffer) };
    }
    tensors.set(name, tensor);
  }
  return tensors;
}

function transpose({ dtype, shape, bytes }: FolderTensor): FolderTensor {
  const [rows, columns] = shape as [number, number];
  const size = bytes.length / (rows * columns);
  const turned = new Uint8Array(bytes.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const from = (row * columns + column) * size;
      turned.set(bytes.subarray(from, from + size), (column * rows + row) * size);
    }
  }
  return { dtype, shape: [columns, rows], bytes: turned };
}
