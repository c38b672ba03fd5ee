// What the Hugging Face folders of decoders with RMSNorm and rotary positions share (llama and its relatives): the keys
// of their config.json and the names of their tensors. Each decoder's file states what is its own.

import type { JsonView } from '../../base/json-view.js';
import { quote } from '../../base/quote.js';
import { addSizes, firstPresent, type MetadataBuilder, type TensorNames } from '../huggingface-mapping.js';

export const decoderTensorNames: TensorNames = {
  prefix: 'model.',
  layers: 'layers.',
  model: { embed_tokens: 'token_embd', norm: 'output_norm', lm_head: 'output' },
  layer: {
    input_layernorm: 'attn_norm',
    'self_attn.q_proj': 'attn_q',
    'self_attn.k_proj': 'attn_k',
    'self_attn.v_proj': 'attn_v',
    'self_attn.o_proj': 'attn_output',
    'self_attn.q_norm': 'attn_q_norm',
    'self_attn.k_norm': 'attn_k_norm',
    post_attention_layernorm: 'ffn_norm',
    'mlp.gate_proj': 'ffn_gate',
    'mlp.up_proj': 'ffn_up',
    'mlp.down_proj': 'ffn_down',
  },
  ignored: /\.rotary_emb\.inv_freq$/,
};

/** Sizes, norms and rotations. */
export function addDecoderMetadata(config: JsonView, metadata: MetadataBuilder): void {
  addSizes(config, metadata);
  metadata.count('.attention.head_count_kv', config.at('num_key_value_heads'));
  metadata.count('.attention.key_length', config.at('head_dim'));
  metadata.count('.attention.value_length', config.at('head_dim'));
  metadata.number('.attention.layer_norm_rms_epsilon', config.at('rms_norm_eps'));
  const ropes = firstPresent(config, 'rope_parameters', 'rope_scaling');
  // Newer configs have one object for each kind of layer.
  const rope = ropes.at('full_attention').isAbsent ? ropes : ropes.at('full_attention');
  metadata.number('.rope.freq_base_swa', ropes.at('sliding_attention').at('rope_theta'));
  metadata.number('.rope.freq_base', firstOf(rope.at('rope_theta'), config.at('rope_theta')));
  addRopeScaling(config, rope, metadata);
}

/** Refuses configs whose layers attend within a window, for decoders that have none. */
export function refuseWindows(config: JsonView): void {
  const window = config.at('use_sliding_window');
  if (window.boolean(false)) throw window.unsupported('a sliding window');
  const types = config.at('layer_types');
  const other = types.list().find((type) => type.string() !== 'full_attention');
  if (other !== undefined) throw types.unsupported(quote(other.string()));
}

/** @param rope the config's `rope_scaling`, which newer configs call `rope_parameters` */
function addRopeScaling(config: JsonView, rope: JsonView, metadata: MetadataBuilder): void {
  if (rope.isAbsent) return;
  const type = firstPresent(rope, 'rope_type', 'type');
  const name = type.string('default');
  if (name === 'default') return;
  if (!['linear', 'yarn', 'llama3'].includes(name)) throw type.unsupported(quote(name));
  metadata.string('.rope.scaling.type', name);
  const factor = rope.at('factor').number();
  metadata.number('.rope.scaling.factor', factor);
  if (name === 'linear') return;
  const originalContext = firstOf(rope.at('original_max_position_embeddings'), config.at('max_position_embeddings'));
  metadata.count('.rope.scaling.original_context_length', originalContext);
  if (name === 'llama3') {
    metadata.number('.rope.scaling.low_freq_factor', rope.at('low_freq_factor'));
    metadata.number('.rope.scaling.high_freq_factor', rope.at('high_freq_factor'));
  } else {
    addYarn(rope, factor, metadata);
  }
}

function addYarn(rope: JsonView, factor: number, metadata: MetadataBuilder): void {
  metadata.number('.rope.scaling.yarn_beta_fast', rope.at('beta_fast'));
  metadata.number('.rope.scaling.yarn_beta_slow', rope.at('beta_slow'));
  for (const other of ['mscale', 'mscale_all_dim']) {
    if (!rope.at(other).isAbsent) throw rope.at(other).unsupported(other);
  }
  const attention = rope.at('attention_factor');
  if (attention.isAbsent) return;
  // rope-scaling.ts multiplies by YaRN's own growth, which a config's factor includes.
  const growth = 1 + 0.1 * Math.log(Math.max(1, factor));
  metadata.number('.rope.scaling.attn_factor', attention.number() / growth);
}

function firstOf(view: JsonView, other: JsonView): JsonView {
  return view.isAbsent ? other : view;
}
