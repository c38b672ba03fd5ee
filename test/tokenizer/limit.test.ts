// `limit` of encode: for every kind of tokenizer exactly the first tokens of the whole text's encoding, and what is behind
// them is not looked at.
import { describe, expect, test } from 'vitest';
import { createTokenizer } from '../../src/tokenizer/create-tokenizer.js';
import type { EncodeOptions, Tokenizer } from '../../src/tokenizer/tokenizer.js';
import { normalizedPieces } from '../../src/tokenizer/words/text-normalizer.js';
import { randomVocabulary } from '../support/models/random-llama.js';
import { expectRejection } from '../support/rejections.js';
import { difficultText } from '../support/tokenizers/difficult-text.js';
import { smallTokenizer } from '../support/tokenizers/small-tokenizer.js';
import { count, flag, type SmallToken, tokenizerMetadata } from '../support/tokenizers/tokenizer-metadata.js';

const word = (value: string) => ({ type: 'string', value }) as const;
const user = { text: '<user>', type: 4 };

const byteLevel = (more = {}) =>
  smallTokenizer(randomVocabulary(600, 3).merges, [user, { text: '<end>', type: 3 }], more);

const bytes: SmallToken[] = Array.from({ length: 256 }, (_, byte) => ({
  text: `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
  type: 6,
}));
const specials: SmallToken[] = [
  { text: '<unk>', type: 2 },
  { text: '<s>', type: 3 },
  { text: '</s>', type: 3 },
];
const pieces = ['▁', 'a', 'b', 'c', 'o', 'r', 'd', 'W', '1', '2', 'ab', 'bc', 'ord', '▁a', '▁▁', 'or', '漢', '12', 'e'];
const scored = pieces.map((text, index) => ({ text, score: -1 - ((index * 7) % 19) }));

const sentencePiece = (more = {}, tokens: readonly SmallToken[] = []) =>
  createTokenizer(tokenizerMetadata('llama', [...specials, ...bytes, ...scored, user, ...tokens], more));

const unigram = (more = {}) =>
  createTokenizer(
    tokenizerMetadata(
      't5',
      [{ text: '<pad>', type: 3 }, specials[2] as SmallToken, specials[0] as SmallToken, ...scored, user],
      {
        'tokenizer.ggml.add_space_prefix': flag(true),
        ...more,
      },
    ),
  );
/** A map of random bytes: it replaces some sequences by others. */
const charactersMap = (seed: number) => {
  const units = Array.from({ length: 1024 }, (_, i) => (i * 89 * seed + 31 * (i % 7)) & 255);
  return {
    type: 'array',
    element: 'u8',
    value: Uint8Array.from([0, 4, 0, 0, ...units, 97, 98, 0, 65, 32, 0]),
  } as const;
};

const words = [
  'hello',
  'un',
  'aff',
  '▁un',
  '▁hello',
  '▁a',
  '▁1',
  '2',
  '▁.',
  '▁漢',
  '▁e',
  's',
  '▁word',
  'b',
  '▁o',
  'rd',
];
const wordPiece = (more = {}) =>
  createTokenizer(
    tokenizerMetadata(
      'bert',
      [
        ...['[PAD]', '[UNK]', '[CLS]', '[SEP]'].map((text) => ({ text, type: 3 })),
        ...words.map((text) => ({ text })),
        user,
      ],
      {
        'tokenizer.ggml.bos_token_id': count(2),
        'tokenizer.ggml.unknown_token_id': count(1),
        'tokenizer.ggml.seperator_token_id': count(3),
        ...more,
      },
    ),
  );

const kinds: [string, () => Promise<Tokenizer>][] = [
  ...['gpt-2', 'llama-bpe', 'gpt-4o', 'deepseek-llm', 'falcon'].map((pre): [string, () => Promise<Tokenizer>] => [
    `byte-level, ${pre}`,
    () => byteLevel({ 'tokenizer.ggml.pre': word(pre) }),
  ]),
  ['byte-level, normalized', () => byteLevel({ 'tesserae.tokenizer.normalizer': word('NFC') })],
  ['SentencePiece', () => sentencePiece()],
  ['SentencePiece, no space in front', () => sentencePiece({ 'tokenizer.ggml.add_space_prefix': flag(false) })],
  [
    'SentencePiece, a space where none is',
    () => sentencePiece({ 'tesserae.tokenizer.space_prefix': word('first-unless-there') }),
  ],
  ['SentencePiece, tokens with spaces within', () => sentencePiece({}, [{ text: 'a▁b', score: -2 }])],
  ['unigram', () => unigram()],
  ['unigram, spaces joined', () => unigram({ 'tokenizer.ggml.remove_extra_whitespaces': flag(true) })],
  ...[1, 2].map((seed): [string, () => Promise<Tokenizer>] => [
    `unigram, with a map of characters, ${seed}`,
    () => unigram({ 'tokenizer.ggml.precompiled_charsmap': charactersMap(seed) }),
  ]),
  ['WordPiece', () => wordPiece()],
  ['WordPiece, as in a folder', () => wordPiece({ 'tesserae.tokenizer.full_decomposition': flag(true) })],
];

/** Long texts of all kinds of parts, one of one long word, and one of one character. */
const texts = [
  ...[1, 2].map((seed) =>
    Array.from({ length: 250 }, (_, i) => difficultText(seed * 1000 + i, ['<user>', '<end>'])).join(' '),
  ),
  Array.from({ length: 250 }, (_, i) => difficultText(i, ['<user>'])).join(''),
  'Words of a plain text, one after the other. '.repeat(100),
  'abcab'.repeat(600),
  `${'e\u0301'.repeat(2000)} a`,
  ' '.repeat(3000),
  'a b',
  '',
];
const options: EncodeOptions[] = [{}, { special: true, addBos: true, addEos: true }];

describe.each(kinds)('%s', (_, make) => {
  test('gives the first tokens of the whole encoding', async () => {
    const tokenizer = await make();
    for (const text of texts) {
      for (const given of options) {
        if (given.addBos && (tokenizer.bosId === undefined || tokenizer.eosId === undefined)) continue;
        const whole = tokenizer.encode(text, given);
        const { length } = whole;
        for (const limit of [1, 2, 17, 130, 500, length - 1, length + 1]) {
          if (limit < 1) continue;
          const wanted = whole.slice(0, limit);
          expect(tokenizer.encode(text, { ...given, limit })).toEqual(wanted);
        }
        expect(await tokenizer.encodeAsync(text, { ...given, limit: 9 })).toEqual(whole.slice(0, 9));
      }
    }
  });
});

test('does not look at what is behind the last word', async () => {
  const text = `${'Words of a plain text. '.repeat(4000)}\ud800`;
  for (const make of [byteLevel, sentencePiece, unigram, wordPiece]) {
    const tokenizer = await make();
    expect(() => tokenizer.encode(text)).toThrow(/lone surrogate/);
    expect(tokenizer.encode(text, { limit: 100 })).toEqual(tokenizer.encode(text.slice(0, 4000)).slice(0, 100));
  }
});

test('a text that is normalized in pieces is that of the whole', async () => {
  for (const text of [
    ...texts,
    '가\u1100\uac00\u11a8'.repeat(9000),
    '\u1100\u1161\u11a8'.repeat(9000),
    'e\u0301'.repeat(9000),
  ]) {
    for (const form of ['NFC', 'NFD', 'NFKC', 'NFKD'] as const) {
      const normalize = (part: string) => part.normalize(form);
      expect([...normalizedPieces(text, 0, text.length, normalize)].join('')).toBe(normalize(text));
    }
  }
});

test('is a positive integer', async () => {
  const tokenizer = await byteLevel();
  for (const limit of [0, -1, 1.5, '3', Number.NaN, null]) {
    await expectRejection(tokenizer.encodeAsync('a', { limit } as object), 'ERR_ARGUMENT', /limit/);
  }
});
