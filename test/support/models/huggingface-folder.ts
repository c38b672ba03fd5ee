// Writes Hugging Face folders: safetensors files, config.json and tokenizer.json. Used by the tests of such folders,
// and by the fuzzer for its seeds.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomVocabulary } from './random-llama.js';

export interface FolderTensor {
  readonly dtype: 'F32' | 'F16' | 'BF16';
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** The bytes of a safetensors file. @param pad blanks at the end of the header, which misalign the tensors */
export function safetensorsBytes(tensors: ReadonlyMap<string, FolderTensor>, pad = 0): Buffer {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  let at = 0;
  for (const [name, { dtype, shape, bytes }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [at, at + bytes.length] };
    at += bytes.length;
  }
  const text = Buffer.from(JSON.stringify(header));
  const aligned = Math.ceil(text.length / 8) * 8 + pad;
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(aligned));
  const blanks = Buffer.alloc(aligned - text.length, ' ');
  return Buffer.concat([length, text, blanks, ...[...tensors.values()].map(({ bytes }) => bytes)]);
}

/** A tokenizer.json with the vocabulary of random models. */
export function tokenizerJson(vocab = 300, seed = 1): object {
  const { tokens, merges } = randomVocabulary(vocab, seed);
  return {
    added_tokens: [{ id: 0, content: '<|endoftext|>', special: true }],
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges },
  };
}

export interface FolderContent {
  readonly config: object;
  /** By file name. A single `model.safetensors` needs no index. */
  readonly files: ReadonlyMap<string, Buffer>;
  readonly index?: object;
  readonly tokenizer?: object;
}

export function writeFolder(path: string, { config, files, index, tokenizer = tokenizerJson() }: FolderContent): void {
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, 'config.json'), JSON.stringify(config));
  writeFileSync(join(path, 'tokenizer.json'), JSON.stringify(tokenizer));
  writeFileSync(
    join(path, 'tokenizer_config.json'),
    JSON.stringify({ bos_token: '<|endoftext|>', eos_token: '<|endoftext|>', add_bos_token: true }),
  );
  if (index !== undefined) writeFileSync(join(path, 'model.safetensors.index.json'), JSON.stringify(index));
  for (const [name, bytes] of files) writeFileSync(join(path, name), bytes);
}

const shards = 2;
const rotarySizes = {
  hidden_size: 16,
  num_hidden_layers: 1,
  intermediate_size: 16,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
};
const encoderSizes = {
  model_type: 'bert',
  hidden_size: 16,
  num_hidden_layers: 1,
  intermediate_size: 16,
  num_attention_heads: 2,
  max_position_embeddings: 64,
  type_vocab_size: 2,
  layer_norm_eps: 1e-12,
  hidden_act: 'gelu',
};

const added = (...texts: string[]) => texts.map((content, id) => ({ id, content, special: true }));
const letters = [...'abcdefghijklmnopqrstuvwxyz'];
const numbered = (texts: readonly string[]) => Object.fromEntries(texts.map((text, id) => [text, id]));

function gemmaTokenizer(): object {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  const vocab = numbered(['<pad>', '<bos>', '<unk>', ...bytes, ...letters, '▁', 'th', 'the', '▁the', 'an', '▁an']);
  return {
    added_tokens: added('<pad>', '<bos>', '<unk>'),
    normalizer: { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
    pre_tokenizer: { type: 'Split', pattern: { String: ' ' }, behavior: 'MergedWithPrevious', invert: false },
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<bos>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      special_tokens: { '<bos>': { id: '<bos>', ids: [1], tokens: ['<bos>'] } },
    },
    model: {
      type: 'BPE',
      unk_token: '<unk>',
      byte_fallback: true,
      vocab,
      merges: ['t h', 'th e', ['▁', 'the'], 'a n', '▁ an'],
    },
  };
}

export function bertTokenizer() {
  const vocab = numbered(['[PAD]', '[UNK]', '[CLS]', '[SEP]', ...letters, 'the', '##nd', 'band', '##s']);
  return {
    added_tokens: added('[PAD]', '[UNK]', '[CLS]', '[SEP]'),
    normalizer: { type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, lowercase: true },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: { type: 'BertProcessing', sep: ['[SEP]', 3], cls: ['[CLS]', 2] },
    model: { type: 'WordPiece', unk_token: '[UNK]', continuing_subword_prefix: '##', vocab },
  };
}

function unigramTokenizer(): object {
  const pieces = ['<s>', '<pad>', '</s>', '<unk>', ...letters, '▁', '▁the', 'th', '▁band'];
  const map = Buffer.from([16, 0, 0, 0, ...Array.from({ length: 16 }, (_, i) => (i * 89) & 255), 65, 0]);
  return {
    added_tokens: added('<s>', '<pad>', '</s>', '<unk>'),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Precompiled', precompiled_charsmap: map.toString('base64') },
        { type: 'Replace', pattern: { Regex: ' {2,}' }, content: ' ' },
      ],
    },
    pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always' },
    post_processor: { type: 'RobertaProcessing', sep: ['</s>', 2], cls: ['<s>', 0] },
    model: { type: 'Unigram', unk_id: 3, vocab: pieces.map((piece, id) => [piece, -id]) },
  };
}

const tinyKinds = {
  llama: { config: { ...rotarySizes, model_type: 'llama', rope_scaling: { type: 'linear', factor: 2 } } },
  gemma2: {
    config: {
      ...rotarySizes,
      model_type: 'gemma2',
      head_dim: 8,
      sliding_window: 8,
      attn_logit_softcapping: 50,
      final_logit_softcapping: 30,
      query_pre_attn_scalar: 8,
      hidden_activation: 'gelu_pytorch_tanh',
    },
    tokenizer: gemmaTokenizer(),
  },
  bert: { config: encoderSizes, tokenizer: bertTokenizer() },
  'bert with a unigram tokenizer': { config: encoderSizes, tokenizer: unigramTokenizer() },
} as const;

/**
 * Writes a valid folder with every kind of file, for mutation. Its weights are split into two files.
 * @param vocab of the byte-level tokenizer
 */
export function tinyFolder(path: string, kind: keyof typeof tinyKinds, vocab?: number): void {
  const { config, tokenizer = tokenizerJson(vocab) } = { tokenizer: undefined, ...tinyKinds[kind] };
  const vocabulary = sizeOf(tokenizer);
  const tensors = kind.startsWith('bert') ? bertTensors(vocabulary) : rotaryTensors(vocabulary, kind === 'gemma2');
  const parts = Array.from({ length: shards }, (_, part) => tensors.filter((_tensor, at) => at % shards === part));
  const nameOf = (part: number) => `model-${part}.safetensors`;
  const files = new Map(parts.map((part, at) => [nameOf(at), safetensorsBytes(new Map(part))]));
  const weight_map = Object.fromEntries(parts.flatMap((part, at) => part.map(([name]) => [name, nameOf(at)])));
  writeFolder(path, { config, files, index: { metadata: {}, weight_map }, tokenizer });
  if (!kind.startsWith('bert')) return;
  mkdirSync(join(path, '1_Pooling'), { recursive: true });
  writeFileSync(join(path, '1_Pooling', 'config.json'), JSON.stringify({ pooling_mode_mean_tokens: true }));
}

function sizeOf(tokenizer: object): number {
  const { vocab } = (tokenizer as { model: { vocab: object } }).model;
  return Object.keys(vocab).length;
}

type NamedTensor = [name: string, tensor: FolderTensor];

function zeros(name: string, ...shape: number[]): NamedTensor {
  const count = shape.reduce((product, size) => product * size, 1);
  return [name, { dtype: 'F16', shape, bytes: new Uint8Array(2 * count) }];
}

function rotaryTensors(vocabulary: number, isGemma: boolean): NamedTensor[] {
  const layer = 'model.layers.0.';
  const more = isGemma ? ['pre_feedforward_layernorm', 'post_feedforward_layernorm'] : [];
  return [
    zeros('model.embed_tokens.weight', vocabulary, 16),
    zeros('model.norm.weight', 16),
    ...(isGemma ? [] : [zeros('lm_head.weight', vocabulary, 16)]),
    ...['input_layernorm', 'post_attention_layernorm', ...more].map((norm) => zeros(`${layer}${norm}.weight`, 16)),
    zeros(`${layer}self_attn.q_proj.weight`, 16, 16),
    zeros(`${layer}self_attn.k_proj.weight`, 8, 16),
    zeros(`${layer}self_attn.v_proj.weight`, 8, 16),
    zeros(`${layer}self_attn.o_proj.weight`, 16, 16),
    ...['gate', 'up', 'down'].map((matrix) => zeros(`${layer}mlp.${matrix}_proj.weight`, 16, 16)),
  ];
}

function bertTensors(vocabulary: number): NamedTensor[] {
  const layer = 'encoder.layer.0.';
  const norm = (name: string) => [zeros(`${name}.weight`, 16), zeros(`${name}.bias`, 16)];
  const linear = (name: string) => [zeros(`${name}.weight`, 16, 16), zeros(`${name}.bias`, 16)];
  return [
    zeros('embeddings.word_embeddings.weight', vocabulary, 16),
    zeros('embeddings.position_embeddings.weight', 64, 16),
    zeros('embeddings.token_type_embeddings.weight', 2, 16),
    ...norm('embeddings.LayerNorm'),
    ...['attention.self.query', 'attention.self.key', 'attention.self.value'].flatMap((name) => linear(layer + name)),
    ...['attention.output.dense', 'intermediate.dense', 'output.dense'].flatMap((name) => linear(layer + name)),
    ...['attention.output.LayerNorm', 'output.LayerNorm'].flatMap((name) => norm(layer + name)),
  ];
}
