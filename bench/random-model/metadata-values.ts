// Metadata values of the GGUF files with random weights, and their tokenizer: a made-up byte-level vocabulary. Used by
// model-file.ts and encoder-file.ts.
import { StringList } from '../../src/metadata/string-list.js';
import type { MetadataValue } from '../../src/metadata/value-types.js';
import { byteCharacters } from '../../src/tokenizer/bpe/byte-alphabet.js';

export type MetadataEntry = readonly [string, MetadataValue];

export const u32 = (value: number): MetadataValue => ({ type: 'u32', value });
export const f32 = (value: number): MetadataValue => ({ type: 'f32', value: Math.fround(value) });
export const flag = (value: boolean): MetadataValue => ({ type: 'bool', value });
export const string = (value: string): MetadataValue => ({ type: 'string', value });
const strings = (values: string[]): MetadataValue => ({
  type: 'array',
  element: 'string',
  value: StringList.from(values),
});

const control = 3;
const normal = 1;

/** A tokenizer of so many tokens. Its only control token, 0, begins and ends sequences. */
export function tokenizerMetadata(vocabulary: number): MetadataEntry[] {
  const { tokens, merges } = vocabularyOf(vocabulary);
  const types = Int32Array.from(tokens, (_, id) => (id === 0 ? control : normal));
  return [
    ['tokenizer.ggml.model', string('gpt2')],
    ['tokenizer.ggml.pre', string('gpt-2')],
    ['tokenizer.ggml.tokens', strings(tokens)],
    ['tokenizer.ggml.token_type', { type: 'array', element: 'i32', value: types }],
    ['tokenizer.ggml.merges', strings(merges)],
    ['tokenizer.ggml.bos_token_id', u32(0)],
    ['tokenizer.ggml.eos_token_id', u32(0)],
    ['tokenizer.ggml.add_bos_token', flag(true)],
  ];
}

/**
 * The end-of-text token, the bytes, then all words over a to z by length; each is merged from a shorter word and a
 * letter.
 */
function vocabularyOf(size: number): { tokens: string[]; merges: string[] } {
  const tokens = ['<|endoftext|>', ...byteCharacters];
  const merges: string[] = [];
  const letters = [...'abcdefghijklmnopqrstuvwxyz'];
  let beginnings = letters;
  while (tokens.length < size) {
    const words: string[] = [];
    for (const beginning of beginnings) {
      for (const letter of letters) {
        if (tokens.length === size) return { tokens, merges };
        tokens.push(beginning + letter);
        merges.push(`${beginning} ${letter}`);
        words.push(beginning + letter);
      }
    }
    beginnings = words;
  }
  return { tokens, merges };
}
