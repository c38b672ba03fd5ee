// What a folder's config.json becomes under GGUF's keys, where two values are easily taken for one another.
import { expect, test } from 'vitest';
import { translateConfig } from '../../../src/checkpoint/huggingface/config.js';

const gemma = {
  model_type: 'gemma3_text',
  hidden_size: 32,
  num_hidden_layers: 6,
  intermediate_size: 64,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 8,
  query_pre_attn_scalar: 8,
  sliding_window: 7,
  max_position_embeddings: 512,
  hidden_activation: 'gelu_pytorch_tanh',
};

test.each([
  [
    'in one object for each kind of layer',
    { rope_parameters: { full_attention: { rope_theta: 1_000_000 }, sliding_attention: { rope_theta: 10_000 } } },
  ],
  ['beside each other', { rope_theta: 1_000_000, rope_local_base_freq: 10_000 }],
])('the rotations of full and of sliding layers of Gemma 3 are told apart, %s', (_, ropes) => {
  const { metadata } = translateConfig({ ...gemma, ...ropes }, 'config.json');
  expect(metadata.get('gemma3.rope.freq_base')?.value).toBe(1_000_000);
  expect(metadata.get('gemma3.rope.freq_base_swa')?.value).toBe(10_000);
});
