// The WordPiece tokenizer of BERT with a small vocabulary, in both spellings that occur in files.
import { describe, expect, test } from 'vitest';
import { createTokenizer } from '../../../src/tokenizer/create-tokenizer.js';
import { count, flag, type SmallToken, tokenizerMetadata } from '../../support/tokenizers/tokenizer-metadata.js';

const specials: SmallToken[] = ['[PAD]', '[UNK]', '[CLS]', '[SEP]'].map((text) => ({ text, type: 3 }));
const words = ['hello', 'un', '##aff', '##able', ',', '!', '漢', '字', 'e', '##s', '$', 'cafe'];
const ids = {
  'tokenizer.ggml.bos_token_id': count(2),
  'tokenizer.ggml.unknown_token_id': count(1),
  'tokenizer.ggml.seperator_token_id': count(3),
};
const marked = words.map((text) => ({ text: text.startsWith('##') ? text.slice(2) : `▁${text}` }));

const wordPiece = (tokens: readonly SmallToken[], more = {}) =>
  createTokenizer(tokenizerMetadata('bert', [...specials, ...tokens], { ...ids, ...more }));

describe.each([
  ['marked with U+2581', marked],
  ['marked with ##', words.map((text) => ({ text }))],
])('tokens %s', (_, tokens) => {
  test('split words into the longest tokens that fit', async () => {
    const tokenizer = await wordPiece(tokens);
    const split = (text: string) => tokenizer.encode(text).map((id) => words[id - 4] ?? specials[id]?.text);
    expect(split('Hello, unaffable!')).toEqual(['hello', ',', 'un', '##aff', '##able', '!']);
    expect(split('hello漢字es')).toEqual(['hello', '漢', '字', 'e', '##s']);
    expect(split('unhello hello')).toEqual(['[UNK]', 'hello']);
    expect(split('Café CAFÉ cafe\u0301')).toEqual(['cafe', 'cafe', 'cafe']);
    expect(split('he\u0000ll\u00ado\t$e')).toEqual(['hello', '$', 'e']);
    expect(split(' \n ')).toEqual([]);
    expect(split('[CLS]')).toEqual(['[UNK]', '[UNK]', '[UNK]']);
    expect(tokenizer.encode('hello [SEP]', { special: true, addBos: true, addEos: true })).toEqual([2, 4, 3, 3]);
    expect([tokenizer.addsBos, tokenizer.addsEos]).toEqual([true, true]);
    expect(tokenizer.decode(tokenizer.encode('Hello, unaffable'))).toBe('hello , unaffable');
  });
});

test('case and accents are kept if the file has these options', async () => {
  const tokenizer = await wordPiece(marked, { 'tokenizer.ggml.normalizer.lowercase': flag(false) });
  expect(tokenizer.encode('Hello hello')).toEqual([1, 4]);
  expect(tokenizer.encode('café')).toEqual([1]);
});

test('control characters are dropped for a Hugging Face folder, and are white space for a GGUF file', async () => {
  const text = 'un\u000baff\u0085able hello\u000c';
  const exact = await wordPiece(marked, { 'tesserae.tokenizer.full_decomposition': flag(true) });
  expect(exact.encode(text)).toEqual(exact.encode('unaffable hello'));
  const plain = await wordPiece(marked);
  expect(plain.encode(text)).toEqual(plain.encode('un aff able hello'));
});

test('words over the limit are unknown; without a limit, long words take linear time', async () => {
  const limited = await wordPiece(marked, { 'tesserae.tokenizer.longest_word': count(4) });
  expect(limited.encode('hello cafe')).toEqual([1, 15]);
  const tokenizer = await wordPiece(marked);
  expect((await tokenizer.encodeAsync(`e${'s'.repeat(300_000)}`)).length).toBe(300_001);
});
