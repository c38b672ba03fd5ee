// Makes small byte-level BPE tokenizers. Called by tests of tokenizers and of generation.
import { ModelMetadata } from '../../../src/metadata/model-metadata.js';
import { StringList } from '../../../src/metadata/string-list.js';
import type { MetadataValue } from '../../../src/metadata/value-types.js';
import { byteCharacters } from '../../../src/tokenizer/bpe/byte-alphabet.js';
import { createTokenizer } from '../../../src/tokenizer/create-tokenizer.js';
import type { Tokenizer } from '../../../src/tokenizer/tokenizer.js';

/** A tokenizer whose tokens are the bytes 0 to 255, then the products of the merges, then `more`. */
export async function smallTokenizer(
  merges: readonly string[],
  more: readonly { text: string; type: number }[] = [],
  overrides: Readonly<Record<string, MetadataValue | undefined>> = {},
): Promise<Tokenizer> {
  const tokens = [...byteCharacters, ...new Set(merges.map((merge) => merge.replace(' ', '')))];
  const types = [...tokens.map(() => 1), ...more.map(({ type }) => type)];
  tokens.push(...more.map(({ text }) => text));
  const values: Record<string, MetadataValue | undefined> = {
    'tokenizer.ggml.model': { type: 'string', value: 'gpt2' },
    'tokenizer.ggml.pre': { type: 'string', value: 'gpt-2' },
    'tokenizer.ggml.tokens': { type: 'array', element: 'string', value: StringList.from(tokens) },
    'tokenizer.ggml.token_type': { type: 'array', element: 'i32', value: Int32Array.from(types) },
    'tokenizer.ggml.merges': { type: 'array', element: 'string', value: StringList.from(merges) },
    ...overrides,
  };
  const entries = Object.entries(values).filter((entry): entry is [string, MetadataValue] => entry[1] !== undefined);
  return createTokenizer(new ModelMetadata(entries, 'small.gguf'));
}
