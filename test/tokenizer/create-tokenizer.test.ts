// Which kind of tokenizer a model's metadata gives, and what is refused.
import { expect, test } from 'vitest';
import { StringList } from '../../src/metadata/string-list.js';
import type { MetadataValue } from '../../src/metadata/value-types.js';
import { createTokenizer } from '../../src/tokenizer/create-tokenizer.js';
import { tokenizerMetadata } from '../support/tokenizers/tokenizer-metadata.js';

const tokens = Array.from({ length: 300 }, (_, id) => ({ text: `${id}` }));
const merges: MetadataValue = { type: 'array', element: 'string', value: StringList.from([]) };
const more = { 'tokenizer.ggml.pre': { type: 'string', value: 'gpt-2' }, 'tokenizer.ggml.merges': merges } as const;

test.each(['gpt2', 'llama', 't5', 'bert'])('%s is made', async (kind) => {
  const tokenizer = await createTokenizer(tokenizerMetadata(kind, tokens, more));
  expect([tokenizer.kind, tokenizer.vocabularySize]).toEqual([kind, 300]);
});

test('other kinds are refused by name', async () => {
  await expect(createTokenizer(tokenizerMetadata('rwkv', tokens))).rejects.toMatchObject({
    code: 'ERR_UNSUPPORTED',
    message:
      'small.gguf: metadata key "tokenizer.ggml.model" names the tokenizer "rwkv"; supported are gpt2, llama, t5, bert',
  });
});

test('none is made when the signal has fired', async () => {
  const signal = AbortSignal.abort(new Error('enough'));
  await expect(createTokenizer(tokenizerMetadata('llama', tokens), { signal })).rejects.toMatchObject({
    name: 'AbortError',
  });
});
