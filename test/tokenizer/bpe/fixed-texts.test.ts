// The tokens of fixed texts with byte-level byte-pair encoding: merges, whole words that are tokens, characters of all
// lengths, long words, and how often work on them pauses.
import { describe, expect, test } from 'vitest';
import { TimeSlice } from '../../../src/base/time-slice.js';
import { ModelMetadata } from '../../../src/metadata/model-metadata.js';
import { StringList } from '../../../src/metadata/string-list.js';
import type { MetadataValue } from '../../../src/metadata/value-types.js';
import { byteCharacters } from '../../../src/tokenizer/bpe/byte-alphabet.js';
import { createByteLevelBpe } from '../../../src/tokenizer/bpe/byte-level-bpe.js';
import { createTokenizer } from '../../../src/tokenizer/create-tokenizer.js';
import type { Tokenizer } from '../../../src/tokenizer/tokenizer.js';
import { workOn } from '../../support/tokenizers/pauses.js';
import { CountedSlice } from '../../support/tokenizers/plain-metadata.js';
import { smallTokenizer } from '../../support/tokenizers/small-tokenizer.js';

const word = (value: string): MetadataValue => ({ type: 'string', value });
const flag = (value: boolean): MetadataValue => ({ type: 'bool', value });
const strings = (value: readonly string[]): MetadataValue => ({
  type: 'array',
  element: 'string',
  value: StringList.from(value),
});
const pre = (name: string) => ({ 'tokenizer.ggml.pre': word(name) });
const textsOf = (tokenizer: Tokenizer, text: string) => tokenizer.encode(text).map((id) => tokenizer.tokenText(id));
const metadataOf = (tokens: readonly string[], merges: readonly string[]) =>
  new ModelMetadata(
    [
      ['tokenizer.ggml.model', word('gpt2')],
      ['tokenizer.ggml.pre', word('gpt-2')],
      ['tokenizer.ggml.tokens', strings(tokens)],
      ['tokenizer.ggml.merges', strings(merges)],
    ],
    'small.gguf',
  );

describe('merges', () => {
  test('name two tokens and a third, with a blank between; one at the beginning belongs to the left', async () => {
    const tokens = [...byteCharacters, 'ab', ' a', ' ab', 'abab', ' ', ' a ', 'acb', 'bac'];
    await createTokenizer(metadataOf(tokens, [' a b', 'ab ab']));
    const refused = async (line: string) => {
      const message = `small.gguf: metadata key "tokenizer.ggml.merges" has ${JSON.stringify(line)} at 1, which does not merge two tokens to a third`;
      await expect(createTokenizer(metadataOf(tokens, ['a b', line]))).rejects.toMatchObject({
        code: 'ERR_MODEL_FILE',
        message,
      });
    };
    for (const line of ['ab', '', ' ', 'a ', ' a', ' ab', 'a c', 'ac b', 'b ac', 'a  b']) await refused(line);
  });

  test('may have the first token as any of the three', async () => {
    const tokenizer = await createTokenizer(metadataOf(['ab', 'a', 'b', 'aba', 'aab'], ['a b', 'ab a', 'a ab']));
    expect([tokenizer.encode('ab'), tokenizer.encode('aba'), tokenizer.encode('aab')]).toEqual([[0], [3], [4]]);
  });

  test('are read in slices of 128', async () => {
    const looks = async (count: number) => {
      const slice = new CountedSlice();
      const merges = new Array(count).fill('a b');
      await createByteLevelBpe(metadataOf([...byteCharacters, 'ab'], merges), slice.asTimeSlice);
      return slice.looks;
    };
    const few = await looks(128);
    expect([await looks(0), await looks(1), await looks(129), await looks(257)]).toEqual([
      few - 1,
      few,
      few + 1,
      few + 2,
    ]);
  });
});

test('a character of each length in UTF-8 is its bytes', async () => {
  const tokenizer = await smallTokenizer([]);
  expect(tokenizer.kind).toBe('gpt2');
  for (const text of [
    '\u0000',
    '\u007f',
    '\u0080',
    '\u07ff',
    '\u0800',
    '\uffff',
    '\u{10000}',
    '\u{10ffff}',
    'aé€😀',
    '\uffff\uffff',
  ]) {
    expect(tokenizer.encode(text)).toEqual([...Buffer.from(text)]);
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  }
});

test('a byte that has no token is named', async () => {
  const tokens = byteCharacters.filter((_, byte) => byte !== 0x0a && byte !== 0x7a);
  const tokenizer = await createTokenizer(metadataOf(tokens, []));
  const refused = (text: string, byte: string) =>
    expect(() => tokenizer.encode(text)).toThrow(
      expect.objectContaining({
        code: 'ERR_TOKENIZER',
        message: `the vocabulary has no token for the byte 0x${byte}`,
      }),
    );
  refused('a\n', '0a');
  refused('z', '7a');
});

describe('a whole word that is a token', () => {
  const more = [
    { text: 'xyz', type: 1 },
    { text: 'Ġab', type: 1 },
    { text: 'Ã©', type: 1 },
    { text: '<s>', type: 3 },
    { text: 'user', type: 4 },
  ];
  const make = (overrides: Record<string, MetadataValue | undefined>) => smallTokenizer(['a b'], more, overrides);

  test('is that token without merging, for some pre-tokenizers, or if the metadata says so', async () => {
    const key = 'tesserae.tokenizer.ignore_merges';
    for (const overrides of [pre('llama-bpe'), { [key]: flag(true) }]) {
      const tokenizer = await make(overrides);
      expect(textsOf(tokenizer, 'xyz ab')).toEqual(['xyz', 'Ġab']);
      expect(textsOf(tokenizer, 'é')).toEqual(['Ã©']);
      expect(textsOf(tokenizer, 'xyzxyz')).toEqual([...'xyzxyz']);
    }
    for (const overrides of [{}, { ...pre('llama-bpe'), [key]: flag(false) }]) {
      const tokenizer = await make(overrides);
      expect(textsOf(tokenizer, 'xyz ab')).toEqual(['x', 'y', 'z', 'Ġ', 'ab']);
    }
  });

  test('may be the first token of the vocabulary', async () => {
    const key = 'tesserae.tokenizer.ignore_merges';
    for (const text of ['xyz', 'x'.repeat(600)]) {
      const metadata = metadataOf([text, ...byteCharacters], []).with(key, flag(true));
      expect((await createTokenizer(metadata)).encode(`${text}.`)).toEqual([0, 1 + 0x2e]);
    }
  });

  test('is never a control token', async () => {
    const tokenizer = await smallTokenizer([], [{ text: 'xyz', type: 3 }], pre('llama-bpe'));
    expect(textsOf(tokenizer, 'xyz')).toEqual(['x', 'y', 'z']);
  });

  test('may be long', async () => {
    for (const length of [512, 513, 600, 5000]) {
      const long = 'a'.repeat(length);
      const tokenizer = await smallTokenizer(['a a'], [{ text: long, type: 1 }], pre('llama-bpe'));
      expect(tokenizer.encode(long)).toEqual([257]);
      expect(tokenizer.encode(`${long}a`)).toHaveLength(Math.ceil((length + 1) / 2));
      expect(tokenizer.encode(long.slice(1))).toHaveLength(Math.ceil((length - 1) / 2));
      const merged = await smallTokenizer(['a a'], [{ text: long, type: 1 }]);
      expect(merged.encode(long)).toHaveLength(Math.ceil(length / 2));
    }
    const accents = 'é'.repeat(600);
    const tokenizer = await smallTokenizer([], [{ text: 'Ã©'.repeat(600), type: 1 }], pre('llama-bpe'));
    expect([tokenizer.encode(accents), tokenizer.encode(`${accents}é`).length]).toEqual([[256], 1202]);
    expect(tokenizer.encode('b'.repeat(3000))).toHaveLength(3000);
  });
});

test('texts begin with BOS for some pre-tokenizers, if there is one and the metadata does not say otherwise', async () => {
  const bos: Record<string, MetadataValue> = { 'tokenizer.ggml.bos_token_id': { type: 'u32', value: 0 } };
  const adds = async (more: Record<string, MetadataValue>) => (await smallTokenizer([], [], more)).addsBos;
  expect([await adds({ ...bos, ...pre('llama-bpe') }), await adds(pre('llama-bpe')), await adds(bos)]).toEqual([
    true,
    false,
    false,
  ]);
  const key = 'tokenizer.ggml.add_bos_token';
  expect(await adds({ ...bos, ...pre('llama-bpe'), [key]: flag(false) })).toBe(false);
});

describe('long words', () => {
  test('have the tokens that short ones have, wherever a part of them ends', async () => {
    const tokenizer = await smallTokenizer(['a b']);
    for (const length of [511, 512, 513, 2047, 2048, 2049, 4096, 5000]) {
      const text = 'ab'.repeat(length).slice(0, length);
      const wanted = [...new Array(Math.floor(length / 2)).fill(256), ...(length % 2 === 1 ? [0x61] : [])];
      expect(tokenizer.encode(text)).toEqual(wanted);
      expect(await tokenizer.encodeAsync(text)).toEqual(wanted);
      expect(tokenizer.encode(text, { limit: 7 })).toEqual(wanted.slice(0, 7));
    }
    const characters = await smallTokenizer([]);
    for (const lead of ['', 'a']) {
      for (const unit of ['é', '漢', '𝒳']) {
        const text = lead + unit.repeat(3000);
        expect(characters.encode(text)).toEqual([...Buffer.from(text)]);
      }
    }
  });

  test('of up to 512 characters of three bytes are merged at once', async () => {
    const tokenizer = await smallTokenizer([]);
    for (const length of [511, 512]) {
      const { pauses, ids } = workOn(tokenizer, '漢'.repeat(length));
      expect([pauses, ids.length]).toEqual([0, 3 * length]);
    }
    expect(workOn(tokenizer, '漢'.repeat(513)).pauses).toBeGreaterThan(0);
  });

  test('with lone surrogates are refused', async () => {
    const tokenizer = await smallTokenizer([]);
    for (const text of ['\ud800', `${'a'.repeat(2047)}\ud800${'a'.repeat(9)}`, `${'a'.repeat(5000)}\udc00`]) {
      expect(() => tokenizer.encode(text)).toThrow(expect.objectContaining({ code: 'ERR_TOKENIZER' }));
    }
  });
});

describe('work on a text', () => {
  test('pauses about every 2048 units', async () => {
    const tokenizer = await smallTokenizer([]);
    const pauses = (text: string, limit?: number) => workOn(tokenizer, text, { limit }).pauses;
    const words = (units: number) => 'abc '.repeat(units / 4);
    expect([pauses(words(2000)), pauses(words(2048)), pauses(words(4400)), pauses(words(40_960))]).toEqual([
      0, 1, 2, 19,
    ]);
    // From the place on where it begins.
    expect(workOn(tokenizer, words(6000), { start: 3000, end: 5000 }).pauses).toBe(0);
    // The word is found in parts; its bytes are counted, appended and collected in 5 each, with a pause between.
    expect(pauses('a'.repeat(10_000))).toBe(2 + 5 + 5 + 4 + 1);
    // No more is done than is wanted.
    expect(pauses(words(40_960), 100)).toBe(0);
    expect(pauses(`${'a'.repeat(10_000)} ${words(40_960)}`, 100)).toBeLessThan(pauses('a'.repeat(10_000)));
  });

  test('on a text that is normalized gives the tokens of the normal form', async () => {
    const tokenizer = await smallTokenizer(['a b'], [], { 'tesserae.tokenizer.normalizer': word('NFC') });
    expect(tokenizer.encode('xe\u0301ab')).toEqual([0x78, 0xc3, 0xa9, 256]);
    expect(workOn(tokenizer, 'abe\u0301xe\u0301ab', { start: 2, end: 7 }).ids).toEqual([0xc3, 0xa9, 0x78, 0xc3, 0xa9]);
  });
});

test('a word in a time slice that has been aborted is not read', async () => {
  const aborted = new AbortController();
  const timeSlice = new TimeSlice(aborted.signal, 0);
  aborted.abort(new Error('enough'));
  const reading = createByteLevelBpe(metadataOf([...byteCharacters, 'ab'], ['a b']), timeSlice);
  await expect(reading).rejects.toMatchObject({ name: 'AbortError' });
});
