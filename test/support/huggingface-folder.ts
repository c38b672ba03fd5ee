// Writes folders as Hugging Face has them: safetensors files, config.json and a byte-level tokenizer.json. Used by the
// tests of such folders, and as seeds by the fuzzer.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomVocabulary } from './random-model.js';

export interface FolderTensor {
  readonly dtype: 'F32' | 'F16' | 'BF16';
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** The bytes of a safetensors file. `pad` blanks at the end of the header misplace the tensors. */
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

/** The vocabulary of random models, as tokenizer.json spells it. */
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
  /** By the names of the files; one `model.safetensors` has no index. */
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

/** A small safetensors file and its config, to be mutated. */
export function safetensorsSeed(): { safetensors: Buffer; config: Buffer } {
  const tensors = new Map<string, FolderTensor>();
  for (const [index, name] of ['model.embed_tokens.weight', 'model.norm.weight', 'lm_head.weight'].entries()) {
    const shape = index === 1 ? [8] : [300, 8];
    const count = shape.reduce((product, size) => product * size, 1);
    tensors.set(name, { dtype: 'F16', shape, bytes: new Uint8Array(2 * count).fill(index + 1) });
  }
  const config = {
    model_type: 'llama',
    hidden_size: 8,
    num_hidden_layers: 1,
    intermediate_size: 8,
    num_attention_heads: 1,
    max_position_embeddings: 64,
    rms_norm_eps: 1e-5,
  };
  return { safetensors: safetensorsBytes(tensors), config: Buffer.from(JSON.stringify(config)) };
}
