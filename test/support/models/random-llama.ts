// Writes llama models of any size with seeded random weights and a made-up byte-level vocabulary. They compute like
// trained models; their text has no meaning. Used by tests.

import { type GgufContent, type GgufTensorSource, writeGguf } from '../../../src/checkpoint/gguf/write-gguf.js';
import { StringList } from '../../../src/metadata/string-list.js';
import type { MetadataValue } from '../../../src/metadata/value-types.js';
import { byteCharacters } from '../../../src/tokenizer/bpe/byte-alphabet.js';
import { randomSource, randomTensor } from './random-weights.js';

export interface RandomLlama {
  readonly layers: number;
  readonly dim: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly ffn: number;
  /** At least 257: the end-of-text token and the bytes; the rest are merges. */
  readonly vocab: number;
  readonly context: number;
  /** Type of the matrices; norms are always F32. */
  readonly type: 'F32' | 'F16';
  /** Whether the output matrix is the embedding. */
  readonly tied: boolean;
  readonly ropeBase?: number;
  /** Width of a head; dim / heads by default. */
  readonly headDim?: number;
  /** Rotated elements of each head; all by default. */
  readonly ropeDim?: number;
  readonly seed?: number;
}

const SMALLEST_VOCABULARY = 257;

/** The contents of a file, which a test may change before they are written. */
export interface LlamaContent extends GgufContent {
  readonly metadata: Map<string, MetadataValue>;
  readonly tensors: GgufTensorSource[];
}

/** Writes the model to `path`. The same options give the same bytes. @param change may damage the model first */
export async function writeRandomLlama(
  path: string,
  model: RandomLlama,
  change: (content: LlamaContent) => void = () => {},
): Promise<void> {
  const content = { metadata: new Map(llamaMetadata(model)), tensors: llamaTensors(model) };
  change(content);
  await writeGguf(path, content);
}

function llamaMetadata(model: RandomLlama): (readonly [string, MetadataValue])[] {
  const u32 = (value: number): MetadataValue => ({ type: 'u32', value });
  const f32 = (value: number): MetadataValue => ({ type: 'f32', value: Math.fround(value) });
  const string = (value: string): MetadataValue => ({ type: 'string', value });
  const { tokens, merges } = randomVocabulary(model.vocab, model.seed ?? 1);
  const endOfText = 0;
  return [
    ['general.architecture', string('llama')],
    ['general.name', string('random')],
    ['llama.context_length', u32(model.context)],
    ['llama.embedding_length', u32(model.dim)],
    ['llama.block_count', u32(model.layers)],
    ['llama.feed_forward_length', u32(model.ffn)],
    ['llama.attention.head_count', u32(model.heads)],
    ['llama.attention.head_count_kv', u32(model.kvHeads)],
    ['llama.attention.layer_norm_rms_epsilon', f32(1e-5)],
    ['llama.rope.freq_base', f32(model.ropeBase ?? 10_000)],
    ...(model.headDim === undefined ? [] : [['llama.attention.key_length', u32(model.headDim)] as const]),
    ...(model.headDim === undefined ? [] : [['llama.attention.value_length', u32(model.headDim)] as const]),
    ['llama.rope.dimension_count', u32(model.ropeDim ?? model.headDim ?? model.dim / model.heads)],
    ['llama.vocab_size', u32(model.vocab)],
    ['tokenizer.ggml.model', string('gpt2')],
    ['tokenizer.ggml.pre', string('gpt-2')],
    ['tokenizer.ggml.tokens', { type: 'array', element: 'string', value: StringList.from(tokens) }],
    [
      'tokenizer.ggml.token_type',
      { type: 'array', element: 'i32', value: Int32Array.from(tokens, (_, id) => (id === endOfText ? 3 : 1)) },
    ],
    ['tokenizer.ggml.merges', { type: 'array', element: 'string', value: StringList.from(merges) }],
    ['tokenizer.ggml.bos_token_id', u32(endOfText)],
    ['tokenizer.ggml.eos_token_id', u32(endOfText)],
    ['tokenizer.ggml.add_bos_token', { type: 'bool', value: true }],
  ];
}

/** The end-of-text token, the bytes, and random merges of letters, some with a blank before them. */
export function randomVocabulary(size: number, seed: number): { tokens: string[]; merges: string[] } {
  if (size < SMALLEST_VOCABULARY) throw new Error(`a vocabulary needs ${SMALLEST_VOCABULARY} tokens, got ${size}`);
  const random = randomSource(seed);
  const tokens = ['<|endoftext|>', ...byteCharacters];
  const known = new Set(tokens);
  const merges: string[] = [];
  const letters = [...'abcdefghijklmnopqrstuvwxyz'];
  const blank = byteCharacters[0x20] as string;
  const lefts = [blank, ...letters];
  const rights = [...letters];
  const longestPart = 6;
  const pick = (from: readonly string[]) => from[Math.floor((random() + 1) * 0.5 * from.length)] as string;
  while (tokens.length < size) {
    const [left, right] = [pick(lefts), pick(rights)];
    const merged = left + right;
    if (known.has(merged)) continue;
    known.add(merged);
    tokens.push(merged);
    merges.push(`${left} ${right}`);
    if (merged.length > longestPart) continue;
    lefts.push(merged);
    if (!merged.startsWith(blank)) rights.push(merged);
  }
  return { tokens, merges };
}

function llamaTensors(model: RandomLlama): GgufTensorSource[] {
  const { dim, ffn, vocab, layers, tied } = model;
  const headDim = model.headDim ?? dim / model.heads;
  const qDim = headDim * model.heads;
  const kvDim = headDim * model.kvHeads;
  let seed = (model.seed ?? 1) * 1000;
  const norm = (name: string): GgufTensorSource =>
    randomTensor(name, 'F32', [dim], { center: 1, spread: 0.1, seed: seed++ });
  // A uniform spread of sqrt(3 / columns) has variance 1 / columns: activations keep their magnitude.
  const matrix = (name: string, rows: number, columns: number): GgufTensorSource =>
    randomTensor(name, model.type, [rows, columns], { center: 0, spread: Math.sqrt(3 / columns), seed: seed++ });
  const blocks = Array.from({ length: layers }, (_, layer) => [
    norm(`blk.${layer}.attn_norm.weight`),
    norm(`blk.${layer}.ffn_norm.weight`),
    matrix(`blk.${layer}.attn_q.weight`, qDim, dim),
    matrix(`blk.${layer}.attn_k.weight`, kvDim, dim),
    matrix(`blk.${layer}.attn_v.weight`, kvDim, dim),
    matrix(`blk.${layer}.attn_output.weight`, dim, qDim),
    matrix(`blk.${layer}.ffn_gate.weight`, ffn, dim),
    matrix(`blk.${layer}.ffn_up.weight`, ffn, dim),
    matrix(`blk.${layer}.ffn_down.weight`, dim, ffn),
  ]);
  return [
    matrix('token_embd.weight', vocab, dim),
    ...blocks.flat(),
    norm('output_norm.weight'),
    ...(tied ? [] : [matrix('output.weight', vocab, dim)]),
  ];
}
