// What a tokenizer reports about single tokens, and which tokens end a generation.
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { openGguf } from '../../../src/checkpoint/gguf/gguf-file.js';
import type { MetadataValue } from '../../../src/metadata/value-types.js';
import { createTokenizer } from '../../../src/tokenizer/create-tokenizer.js';
import type { Tokenizer } from '../../../src/tokenizer/tokenizer.js';
import { bundledModelPath, card } from '../../support/models/bundled-model.js';
import { smallTokenizer } from '../../support/tokenizers/small-tokenizer.js';

const anyText = fc.string({ unit: 'binary', maxLength: 200 });

let tokenizer: Tokenizer;

beforeAll(async () => {
  await using file = await openGguf(bundledModelPath);
  tokenizer = await createTokenizer(file.metadata);
});

describe('single tokens', () => {
  test('have bytes, which joined are those of the text; control tokens have none', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const ids = tokenizer.encode(text);
        expect(Buffer.concat(ids.map((id) => tokenizer.tokenBytes(id)))).toEqual(Buffer.from(text));
        expect(ids.some((id) => tokenizer.isControl(id))).toBe(false);
      }),
    );
    expect(tokenizer.isControl(0)).toBe(true);
    expect(tokenizer.tokenBytes(0).length).toBe(0);
    expect([...tokenizer.endIds]).toEqual([0]);
    for (const id of [-1, card.vocabulary, 0.5]) {
      const refusal = expect.objectContaining({ code: 'ERR_TOKENIZER' });
      expect(() => tokenizer.tokenBytes(id)).toThrow(refusal);
      expect(() => tokenizer.isControl(id)).toThrow(refusal);
    }
  });

  test('end a generation by a key or by their well-known text, whatever their type in the file', async () => {
    const u32 = (value: number): MetadataValue => ({ type: 'u32', value });
    const more = ['<|im_end|>', '<|fim_pad|>', '<x>', '<y>', '<|fim_prefix|>'].map((text) => ({ text, type: 1 }));
    const small = await smallTokenizer([], more, {
      'tokenizer.ggml.eos_token_id': u32(258),
      'tokenizer.ggml.eot_token_id': u32(259),
    });
    expect([...small.endIds].sort((a, b) => a - b)).toEqual([256, 257, 258, 259]);
    expect([256, 257, 258, 259, 260].map((id) => small.isControl(id))).toEqual([true, true, false, false, true]);

    const harmony = ['<|return|>', '<|call|>', '<|end|>', '<|channel|>'].map((text) => ({ text, type: 3 }));
    const open = await smallTokenizer([], harmony);
    expect([...open.endIds]).toEqual([256, 257]);
    expect(open.decode([258, 259])).toBe('<|end|><|channel|>');
  });
});
