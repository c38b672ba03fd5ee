// What WordPiece makes of single characters, and of vocabularies in BERT's own spelling.
import { describe, expect, test } from 'vitest';
import { createTokenizer } from '../../../src/tokenizer/create-tokenizer.js';
import type { Tokenizer } from '../../../src/tokenizer/tokenizer.js';
import { workOn } from '../../support/tokenizers/pauses.js';
import { count, flag, type SmallToken, tokenizerMetadata } from '../../support/tokenizers/tokenizer-metadata.js';

const specials: SmallToken[] = ['[PAD]', '[UNK]', '[CLS]', '[SEP]'].map((text) => ({ text, type: 3 }));
const ids = {
  'tokenizer.ggml.bos_token_id': count(2),
  'tokenizer.ggml.unknown_token_id': count(1),
  'tokenizer.ggml.seperator_token_id': count(3),
};
/** Without BOS and separator, which are those of BERT by default. */
const noEndings = { 'tokenizer.ggml.bos_token_id': undefined, 'tokenizer.ggml.seperator_token_id': undefined };
const wordPiece = (texts: readonly string[], more = {}) =>
  createTokenizer(tokenizerMetadata('bert', [...specials, ...texts.map((text) => ({ text }))], { ...ids, ...more }));
const textsOf = (tokenizer: Tokenizer, text: string) =>
  tokenizer.encode(text).map((id) => tokenizer.tokenText(id).replace('▁', ''));

const options = (full: boolean, lowercase: boolean, accents: boolean) => ({
  'tesserae.tokenizer.full_decomposition': flag(full),
  'tokenizer.ggml.normalizer.lowercase': flag(lowercase),
  'tokenizer.ggml.normalizer.strip_accents': flag(accents),
});

/** What becomes of a text: each of its words has a token of its own. */
async function wordsOf(text: string, more: object, words: readonly string[]): Promise<string[]> {
  return textsOf(
    await wordPiece(
      [...new Set(words)].map((word) => `▁${word}`),
      more,
    ),
    text,
  );
}

describe('a character', () => {
  test.each<[string, string[]]>([
    ['a,b', ['a', ',', 'b']],
    ['a\u2014b', ['a', '\u2014', 'b']],
    // ASCII symbols are words, others are not.
    ['a+b~c', ['a', '+', 'b', '~', 'c']],
    ['a\u20acb', ['a\u20acb']],
    ['a\u00b1b', ['a\u00b1b']],
    // Dropped: replacement characters, controls, formats and private ones.
    ['a\ufffdb\u0000c\u00add\ue000e\u200df', ['abcdef']],
    // White space.
    ['a b\tc\nd\re\u00a0f\u3000g\u2028h', ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']],
    ['1½', ['1½']],
  ])('is white space, a word, part of one, or dropped: %j', async (text, words) => {
    for (const full of [false, true]) {
      for (const accents of [false, true]) {
        expect(await wordsOf(text, options(full, false, accents), words)).toEqual(words);
      }
    }
  });

  test('that is a control is white space in a GGUF file only, but for tabs and line breaks', async () => {
    for (const control of ['\u000b', '\u000c', '\u0085']) {
      const text = `a${control}b`;
      expect(await wordsOf(text, options(false, true, true), ['a', 'b'])).toEqual(['a', 'b']);
      expect(await wordsOf(text, options(true, true, true), ['ab'])).toEqual(['ab']);
    }
    expect(await wordsOf('a\u000bb', {}, ['a', 'b'])).toEqual(['a', 'b']);
    for (const control of ['\u0001', '\u001b', '\u007f', '\u009f']) {
      for (const full of [true, false]) {
        expect(await wordsOf(`a${control}b`, options(full, true, true), ['ab'])).toEqual(['ab']);
      }
    }
  });

  test('of Chinese is a word, in the blocks of BERT', async () => {
    const tokenizer = await wordPiece(['▁a', '▁b']);
    const splits = (code: number) => tokenizer.encode(`a${String.fromCodePoint(code)}b`).length === 3;
    for (const [first, last] of [
      [0x4e00, 0x9fff],
      [0x3400, 0x4dbf],
      [0x20000, 0x2a6df],
      [0x2a700, 0x2b73f],
      [0x2b740, 0x2b81f],
      [0x2b920, 0x2ceaf],
    ] as const) {
      expect([first, last].map(splits)).toEqual([true, true]);
      const isNext = (code: number) => code === 0x2b73f || code === 0x2b740;
      expect([first - 1, last + 1].map((code) => splits(code) && !isNext(code))).toEqual([false, false]);
    }
    // These decompose to characters of other blocks, unless accents are kept.
    const kept = await wordPiece(['▁a', '▁b'], options(true, true, false));
    const splitsKept = (code: number) => kept.encode(`a${String.fromCodePoint(code)}b`).length === 3;
    for (const [first, last] of [
      [0xf900, 0xfaff],
      [0x2f800, 0x2fa1f],
    ] as const) {
      expect([first - 1, first, last, last + 1].map(splitsKept)).toEqual([false, true, true, false]);
    }
  });
});

describe('accents', () => {
  test('are removed as Unicode decomposes characters in a folder', async () => {
    const of = (text: string, word: string) => wordsOf(text, options(true, true, true), [word]);
    expect(await of('Ǖé', 'ue')).toEqual(['ue']);
    expect(await of('e\u0301\u0323x', 'ex')).toEqual(['ex']);
    // A syllable of Korean has three letters; a spacing mark is no accent.
    expect(await of('각', '\u1100\u1161\u11a8')).toEqual(['\u1100\u1161\u11a8']);
    expect(await of('क\u093e', 'क\u093e')).toEqual(['क\u093e']);
    expect(await of('a\u20dd', 'a\u20dd')).toEqual(['a\u20dd']);
  });

  test('are removed like llama.cpp does in a GGUF file: the first code point of a decomposition is kept', async () => {
    const of = (text: string, word: string) => wordsOf(text, options(false, true, true), [word]);
    expect(await of('Ǖé', 'ue')).toEqual(['ue']);
    expect(await of('각', '\u1100')).toEqual(['\u1100']);
    // All marks are removed.
    expect(await of('क\u093e', 'क')).toEqual(['क']);
    expect(await of('a\u20dd', 'a')).toEqual(['a']);
  });

  test('are kept if the options say so, and characters are not decomposed', async () => {
    for (const full of [true, false]) {
      const of = (text: string, word: string) => wordsOf(text, options(full, true, false), [word]);
      expect(await of('É', 'é')).toEqual(['é']);
      expect(await of('e\u0301', 'e\u0301')).toEqual(['e\u0301']);
      expect(await of('각', '각')).toEqual(['각']);
    }
  });

  test('go with the case if no option names them', async () => {
    const key = 'tokenizer.ggml.normalizer.lowercase';
    expect(await wordsOf('É', {}, ['e'])).toEqual(['e']);
    expect(await wordsOf('É', { [key]: flag(false) }, ['É'])).toEqual(['É']);
    expect(await wordsOf('É', { [key]: flag(true) }, ['e'])).toEqual(['e']);
  });
});

test('lower case may have more characters, of which a GGUF file keeps the first', async () => {
  expect(await wordsOf('İ', options(true, true, false), ['i\u0307'])).toEqual(['i\u0307']);
  expect(await wordsOf('İ', options(false, true, false), ['i'])).toEqual(['i']);
  expect(await wordsOf('ABC', options(false, false, false), ['ABC'])).toEqual(['ABC']);
});

describe('a word', () => {
  test('that is longer than the limit, in characters, is unknown', async () => {
    const tokenizer = await wordPiece(['▁', 'a', '😀'], { 'tesserae.tokenizer.longest_word': count(3) });
    expect(tokenizer.encode('aaa')).toEqual([4, 5, 5, 5]);
    expect(tokenizer.encode('aaaa')).toEqual([1]);
    expect(tokenizer.encode('😀😀😀')).toEqual([4, 6, 6, 6]);
    expect(tokenizer.encode('😀😀😀😀')).toEqual([1]);
  });

  test('becomes the longest tokens from its beginning on, or the unknown token', async () => {
    const tokenizer = await wordPiece(['▁ab', '▁abcd', 'c', 'cde', 'f', '▁x']);
    const split = (text: string) => textsOf(tokenizer, text);
    expect(split('ab')).toEqual(['ab']);
    expect(split('abc')).toEqual(['ab', 'c']);
    expect(split('abcf')).toEqual(['ab', 'c', 'f']);
    // The longest first token leaves an end that has none.
    expect(split('abcde')).toEqual(['[UNK]']);
    expect(split('abccde')).toEqual(['ab', 'c', 'cde']);
    expect(split('x')).toEqual(['x']);
    expect(split('c')).toEqual(['[UNK]']);
    expect(split('a')).toEqual(['[UNK]']);
    // No text becomes a control token.
    expect((await wordPiece(['▁x'])).encode('[PAD]')).not.toContain(0);
  });

  test('that is long gives the same in slices', async () => {
    const tokenizer = await wordPiece(['▁a', 'b', 'bb', '▁.']);
    const text = `a${'b'.repeat(9001)} ${'a.'.repeat(3000)}`;
    const wanted = [4, ...new Array(4500).fill(6), 5, ...new Array(3000).fill([4, 7]).flat()];
    expect(tokenizer.encode(text)).toEqual(wanted);
    expect(await tokenizer.encodeAsync(text)).toEqual(wanted);
    expect(tokenizer.encode(text, { limit: 2 })).toEqual([4, 6]);
  });

  test('may go on behind a piece of a text that is normalized in pieces', async () => {
    const tokenizer = await wordPiece(['▁a', 'a', '▁b'], options(true, true, true));
    const long = 'a'.repeat(40_000);
    expect(tokenizer.encode(`${long} b`)).toEqual([4, ...new Array(39_999).fill(5), 6]);
  });
});

describe('work on a text', () => {
  test('pauses about every 2048 units, and after as many tokens of a long word', async () => {
    const tokenizer = await wordPiece(['▁a', 'b']);
    const pauses = (text: string) => workOn(tokenizer, text).pauses;
    expect([1023, 1024, 2047, 2048, 5000].map((words) => pauses('a '.repeat(words)))).toEqual([0, 1, 1, 2, 4]);
    expect(workOn(tokenizer, 'a '.repeat(3000), { start: 3000, end: 5000 }).pauses).toBe(0);
    expect([2046, 2047, 4095, 5000].map((length) => pauses(`a${'b'.repeat(length)}`))).toEqual([0, 2, 4, 4]);
  });

  test('ends where no more is wanted', async () => {
    const folder = options(true, true, true);
    for (const more of [{}, folder]) {
      const tokenizer = await wordPiece(['▁a', 'b'], more);
      const text = `ab${' ab'.repeat(20_000)}`;
      expect(workOn(tokenizer, text, { limit: 3 })).toEqual({ pauses: 0, ids: [4, 5, 4], made: 4 });
    }
  });
});

test('the first token of the vocabulary is one like others', async () => {
  const texts = ['▁a', '[UNK]', 'b'].map((text) => ({ text }));
  const first = await createTokenizer(
    tokenizerMetadata('bert', texts, { 'tokenizer.ggml.unknown_token_id': count(1), ...noEndings }),
  );
  expect([first.encode('ab'), first.encode('a'), first.encode('b')]).toEqual([[0, 2], [0], [1]]);
});

describe('the vocabulary', () => {
  test('must have an unknown token; the ids of BERT are usual', async () => {
    const key = 'tokenizer.ggml.unknown_token_id';
    const none = {
      [key]: undefined,
      'tokenizer.ggml.bos_token_id': undefined,
      'tokenizer.ggml.seperator_token_id': undefined,
    };
    await expect(wordPiece(['▁a'], none)).rejects.toMatchObject({
      code: 'ERR_MODEL_FILE',
      message: `small.gguf: metadata key "${key}" is missing, but this tokenizer needs it`,
    });
    const many = Array.from({ length: 99 }, (_, id) => `▁${id}`);
    const tokenizer = await wordPiece(many, none);
    expect([tokenizer.bosId, tokenizer.eosId, tokenizer.addsBos, tokenizer.addsEos]).toEqual([
      101,
      undefined,
      true,
      true,
    ]);
    expect(tokenizer.encode('x', { addBos: true, addEos: true })).toEqual([101, 100, 102]);
  });

  test('in which tokens within a word have ## is marked where words begin', async () => {
    const texts = ['a', '##b', '##', '[MASK]', '[a]', '', '漢', '##漢', 'a##b', '[A]x', 'x[A]'];
    const tokenizer = await wordPiece(texts);
    expect(texts.map((_, at) => tokenizer.tokenText(4 + at))).toEqual([
      '▁a',
      'b',
      '▁##',
      '[MASK]',
      '▁[a]',
      '',
      '▁漢',
      '漢',
      '▁a##b',
      '▁[A]x',
      '▁x[A]',
    ]);
    expect(tokenizer.encode('ab')).toEqual([4, 5]);
    // Without types, too; those that are no text stay as they are.
    const types = { 'tokenizer.ggml.token_type': undefined };
    const untyped = await wordPiece(texts, types);
    expect([0, 4, 5].map((id) => untyped.tokenText(id))).toEqual(['[PAD]', '▁a', 'b']);
    const user = await createTokenizer(
      tokenizerMetadata('bert', [...specials, { text: '##b' }, { text: 'user', type: 4 }, { text: 'c' }], ids),
    );
    expect([4, 5, 6].map((id) => user.tokenText(id))).toEqual(['b', 'user', '▁c']);
  });

  test('in which one token has a mark already, or none has ##, stays as it is', async () => {
    for (const texts of [
      ['a', '##b', '▁c'],
      ['▁c', '##b'],
      ['a', '#b', 'c#', '#', 'd'],
    ]) {
      const tokenizer = await wordPiece(texts);
      expect(texts.map((_, at) => tokenizer.tokenText(4 + at))).toEqual(texts);
    }
  });

  test('decodes to words with a space between, without one in front', async () => {
    const tokenizer = await wordPiece(['▁a', 'b']);
    expect(tokenizer.kind).toBe('bert');
    expect(tokenizer.decode([4, 5, 4])).toBe('ab a');
    expect(tokenizer.decode([4, 5], { continues: true })).toBe(' ab');
  });
});
