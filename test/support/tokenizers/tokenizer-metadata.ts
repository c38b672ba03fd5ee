// Makes the metadata of small tokenizers with scores. Called by tests of tokenizers and of generation.
import { ModelMetadata } from '../../../src/metadata/model-metadata.js';
import { StringList } from '../../../src/metadata/string-list.js';
import type { MetadataValue } from '../../../src/metadata/value-types.js';

export interface SmallToken {
  readonly text: string;
  /** As in `tokenizer.ggml.token_type`; 1 (normal) by default. */
  readonly type?: number;
  readonly score?: number;
}

export const flag = (value: boolean): MetadataValue => ({ type: 'bool', value });
export const count = (value: number): MetadataValue => ({ type: 'u32', value });

export function tokenizerMetadata(
  kind: string,
  tokens: readonly SmallToken[],
  more: Readonly<Record<string, MetadataValue | undefined>> = {},
): ModelMetadata {
  const values: Record<string, MetadataValue | undefined> = {
    'tokenizer.ggml.model': { type: 'string', value: kind },
    'tokenizer.ggml.tokens': {
      type: 'array',
      element: 'string',
      value: StringList.from(tokens.map(({ text }) => text)),
    },
    'tokenizer.ggml.token_type': {
      type: 'array',
      element: 'i32',
      value: Int32Array.from(tokens, ({ type = 1 }) => type),
    },
    'tokenizer.ggml.scores': {
      type: 'array',
      element: 'f32',
      value: Float32Array.from(tokens, ({ score = 0 }) => score),
    },
    ...more,
  };
  const entries = Object.entries(values).filter((entry): entry is [string, MetadataValue] => entry[1] !== undefined);
  return new ModelMetadata(entries, 'small.gguf');
}
