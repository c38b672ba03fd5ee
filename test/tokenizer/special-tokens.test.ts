// Special tokens in texts, for all kinds of tokenizers: which are found, where they stay plain text, the white space that
// they remove, BOS and EOS; and what a tokenizer tells about single tokens.
import { describe, expect, test } from 'vitest';
import { StringList } from '../../src/metadata/string-list.js';
import type { MetadataValue } from '../../src/metadata/value-types.js';
import { beginningOf } from '../../src/tokenizer/base-tokenizer.js';
import { createTokenizer } from '../../src/tokenizer/create-tokenizer.js';
import type { EncodeOptions, PlainPlaces, Tokenizer } from '../../src/tokenizer/tokenizer.js';
import { smallTokenizer } from '../support/tokenizers/small-tokenizer.js';
import { type SmallToken, tokenizerMetadata } from '../support/tokenizers/tokenizer-metadata.js';

const integers = (...value: number[]): MetadataValue => ({
  type: 'array',
  element: 'i32',
  value: Int32Array.from(value),
});
const texts = (...value: string[]): MetadataValue => ({
  type: 'array',
  element: 'string',
  value: StringList.from(value),
});
const count = (value: number): MetadataValue => ({ type: 'u32', value });
const flag = (value: boolean): MetadataValue => ({ type: 'bool', value });

/** The ids from 256 on. */
const more = [
  { text: '<s>', type: 3 },
  { text: '</s>', type: 3 },
  { text: '<u>', type: 4 },
  { text: '<u>x', type: 3 },
  { text: '<?>', type: 2 },
  { text: '', type: 3 },
  { text: '😀s', type: 3 },
  { text: '', type: 4 },
];
const [bos, eos, user, userX, unknown] = [256, 257, 258, 259, 260];
const ids = { 'tokenizer.ggml.bos_token_id': count(256), 'tokenizer.ggml.eos_token_id': count(257) };
const make = (overrides: Record<string, MetadataValue | undefined> = {}) =>
  smallTokenizer([], more, { ...ids, ...overrides });
const sentencePiece = (tokens: readonly SmallToken[], overrides: Record<string, MetadataValue> = {}) =>
  createTokenizer(tokenizerMetadata('llama', tokens, overrides));
/** The tokens of a text, of which those of one byte are joined. */
function split(tokenizer: Tokenizer, text: string, options: EncodeOptions = {}): (string | number)[] {
  const found: (string | number)[] = [];
  for (const id of tokenizer.encode(text, options)) {
    const last = found.at(-1);
    if (id >= 256) found.push(id);
    else if (typeof last === 'string') found[found.length - 1] = last + String.fromCharCode(id);
    else found.push(String.fromCharCode(id));
  }
  return found;
}

describe('special tokens', () => {
  test('that are control tokens are found with the option alone, user-defined ones always', async () => {
    const tokenizer = await make();
    const text = 'a<s>b<u>c<?></s>';
    expect(split(tokenizer, text)).toEqual(['a<s>b', user, 'c<?></s>']);
    expect(split(tokenizer, text, { special: true })).toEqual(['a', bos, 'b', user, 'c', unknown, eos]);
    expect(split(tokenizer, '<s>', { special: true })).toEqual([bos]);
    expect(split(tokenizer, '<s><s>a', { special: true })).toEqual([bos, bos, 'a']);
    expect(split(tokenizer, '<u>x<u>', { special: true })).toEqual([userX, user]);
    expect(split(tokenizer, '<u>x<u>')).toEqual([user, 'x', user]);
    expect(split(tokenizer, '', { special: true })).toEqual([]);
  });

  test('are found wherever a part of the text that is looked at ends', async () => {
    const tokenizer = await make();
    for (const before of [0, 1, 2046, 2047, 2048, 2049, 4095, 4096]) {
      const text = `${'a'.repeat(before)}<s>${'b'.repeat(2046)}<u>`;
      const wanted = [...new Array(before).fill(0x61), bos, ...new Array(2046).fill(0x62), user];
      expect(tokenizer.encode(text, { special: true })).toEqual(wanted);
      expect(await tokenizer.encodeAsync(text, { special: true })).toEqual(wanted);
    }
    // Without any special tokens, too.
    const none = await smallTokenizer([]);
    expect(none.encode('a'.repeat(5000), { special: true })).toEqual(new Array(5000).fill(0x61));
  });

  test('stay plain text at plain places, but for user-defined ones that are no marks', async () => {
    const tokenizer = await make();
    const plain = (places: number[], ...marks: string[]): PlainPlaces => ({ places, marks: new Set(marks) });
    const of = (text: string, given: PlainPlaces) => split(tokenizer, text, { special: true, plain: given });
    const text = '<s>a<s>b<s>';
    expect(of(text, plain([]))).toEqual([bos, 'a', bos, 'b', bos]);
    expect(of(text, plain([0]))).toEqual(['<s>a', bos, 'b', bos]);
    expect(of(text, plain([4]))).toEqual([bos, 'a<s>b', bos]);
    expect(of(text, plain([1, 2, 3, 4, 5, 8]))).toEqual([bos, 'a<s>b<s>']);
    expect(of(text, plain([0, 4, 8]))).toEqual(['<s>a<s>b<s>']);
    // A control token that begins like a user-defined one.
    expect(of('<u>x<u>', plain([0, 4]))).toEqual([user, 'x', user]);
    expect(of('<u>x<u>', plain([0, 4], '<u>'))).toEqual(['<u>x<u>']);
    expect(of('<u>x<u>', plain([0], '<u>'))).toEqual(['<u>x', user]);
    expect(of('<u>x<u>', plain([4], '<s>'))).toEqual([userX, user]);
  });

  test.each(['t5', 'llama', 'gpt2'])('that are marks are never formed of plain text: %s', async (kind) => {
    const parts = ['<', 'm', '>', 'a', '▁', '<m', 'b'].map((text) => ({ text, score: -5 }));
    const marks = ['<m>', 'ab'].map((text) => ({ text, type: 4 }));
    const tokens = [{ text: '<unk>', type: 2 }, { text: '</s>', type: 3 }, ...parts, ...marks];
    const tokenizer = await createTokenizer(
      tokenizerMetadata(kind, tokens, {
        'tokenizer.ggml.pre': { type: 'string', value: 'gpt-2' },
        'tokenizer.ggml.merges': texts('< m', '<m >', 'a b'),
        'tesserae.tokenizer.ignore_merges': flag(true),
        'tokenizer.ggml.unknown_token_id': count(0),
        'tokenizer.ggml.add_space_prefix': flag(false),
      }),
    );
    const of = (...places: number[]) =>
      tokenizer
        .encode('ab<m>b', { special: true, plain: { places, marks: new Set(['<m>', 'ab']) } })
        .map((id) => tokens[id]?.text);
    expect(of()).toEqual(['ab', '<m>', 'b']);
    expect(of(0)).toEqual(['a', 'b', '<m>', 'b']);
    // Byte-level encoding cuts words where letters end.
    expect(of(0, 2)).toEqual(['a', 'b', ...(kind === 'gpt2' ? ['<', 'm'] : ['<m']), '>', 'b']);
  });

  test('are told from plain text also where a part of the text that is looked at ends', async () => {
    const tokenizer = await make();
    const text = `${'a'.repeat(2048)}<s><s>`;
    const plain = { places: [2048], marks: new Set<string>() };
    const wanted = [...new Array(2048).fill(0x61), ...Buffer.from('<s>'), bos];
    expect(tokenizer.encode(text, { special: true, plain })).toEqual(wanted);
  });

  test('may be the first token of the vocabulary', async () => {
    const tokens = ['<u>', '<u>x', 'x', '<'].map((text, id) => ({ text, type: [4, 3, 1, 2][id] as number }));
    const tokenizer = await sentencePiece(tokens, { 'tokenizer.ggml.add_space_prefix': flag(false) });
    expect(tokenizer.encode('<u>x', { special: true })).toEqual([1]);
    const plain = { places: [0], marks: new Set<string>() };
    expect(tokenizer.encode('<u>x', { special: true, plain })).toEqual([0, 2]);
  });

  test('remove the white space before or after them', async () => {
    const tokenizer = await make({
      'tesserae.tokenizer.strips_left': integers(bos, eos),
      'tesserae.tokenizer.strips_right': integers(bos, user),
    });
    const of = (text: string) => split(tokenizer, text, { special: true });
    expect(of('a \t\n\u000b\f\r <s> \t\n\u000b\f\r b')).toEqual(['a', bos, 'b']);
    expect(of('  <s>  ')).toEqual([bos]);
    expect(of('a </s> b')).toEqual(['a', eos, ' b']);
    expect(of('a <u> b')).toEqual(['a ', user, 'b']);
    expect(of('a <?> b')).toEqual(['a ', unknown, ' b']);
    expect(of('<s> <s> </s> a')).toEqual([bos, bos, eos, ' a']);
    // Only that of ASCII.
    expect(tokenizer.encode('\u00a0<s>\u00a0', { special: true })).toEqual([0xc2, 0xa0, bos, 0xc2, 0xa0]);
    expect(tokenizer.encode('\u0008<s>\u000e', { special: true })).toEqual([8, bos, 0x0e]);
    // The end of the text is none of them, whichever remove white space.
    expect(of('a  ')).toEqual(['a  ']);
    const strips = { 'tesserae.tokenizer.strips_left': integers(1) };
    for (const other of [await make(strips), await smallTokenizer([], [], strips)]) {
      expect(split(other, 'a  ', { special: true })).toEqual(['a  ']);
    }
    expect(of('<u>  a')).toEqual([user, 'a']);
  });
});

describe('BOS and EOS', () => {
  test('are added only with the options', async () => {
    const tokenizer = await make();
    expect(split(tokenizer, 'a', { addBos: true })).toEqual([bos, 'a']);
    expect(split(tokenizer, 'a', { addEos: true })).toEqual(['a', eos]);
    expect(split(tokenizer, '', { addBos: true, addEos: true })).toEqual([bos, eos]);
    expect(split(tokenizer, 'ab', { addBos: true, addEos: true, limit: 2 })).toEqual([bos, 'a']);
    expect([tokenizer.bosId, tokenizer.eosId, [...tokenizer.endIds]]).toEqual([bos, eos, [eos]]);
    expect([tokenizer.addsBos, tokenizer.addsEos]).toEqual([false, false]);
    const adding = await make({
      'tokenizer.ggml.add_bos_token': flag(true),
      'tokenizer.ggml.add_eos_token': flag(true),
    });
    expect([adding.addsBos, adding.addsEos, split(adding, 'a')]).toEqual([true, true, ['a']]);
  });

  test('must be there', async () => {
    const tokenizer = await smallTokenizer([]);
    const refusal = (name: string) =>
      expect.objectContaining({ code: 'ERR_TOKENIZER', message: `the vocabulary has no ${name} token` });
    expect(() => tokenizer.encode('a', { addBos: true })).toThrow(refusal('BOS'));
    expect(() => tokenizer.encode('a', { addEos: true })).toThrow(refusal('EOS'));
    await expect(tokenizer.encodeAsync('a', { addEos: true })).rejects.toMatchObject({ code: 'ERR_TOKENIZER' });
  });
});

test('a text must be a string, and a limit a positive integer', async () => {
  const tokenizer = await make();
  expect(() => tokenizer.encode(7 as unknown as string)).toThrow(
    expect.objectContaining({ code: 'ERR_ARGUMENT', message: 'expected a text, got number' }),
  );
  expect(() => tokenizer.encode('a', { limit: 0 })).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }));
});

describe('a tokenizer tells', () => {
  test('the texts of user-defined tokens, and with what control tokens begin', async () => {
    const tokenizer = await make();
    expect(tokenizer.userTexts).toEqual(['<u>', '']);
    expect([...tokenizer.controlBeginnings]).toEqual(['<', '😀']);
    expect(tokenizer.vocabularySize).toBe(264);
    expect(['', 'ab', '😀x'].map(beginningOf)).toEqual(['', 'a', '😀']);
  });

  test('text, bytes and kind of a token that is in the vocabulary', async () => {
    const tokenizer = await make();
    expect([0x61, bos, user].map((id) => tokenizer.tokenText(id))).toEqual(['a', '<s>', '<u>']);
    expect([0x61, bos, user].map((id) => Buffer.from(tokenizer.tokenBytes(id)).toString())).toEqual(['a', '', '<u>']);
    expect([0x61, bos, user, unknown].map((id) => tokenizer.isControl(id))).toEqual([false, true, false, true]);
    for (const id of [-1, 264, 0.5, Number.NaN]) {
      const refusal = expect.objectContaining({ code: 'ERR_TOKENIZER' });
      for (const ask of ['tokenText', 'tokenBytes', 'isControl'] as const) {
        expect(() => tokenizer[ask](id)).toThrow(refusal);
      }
      expect(() => tokenizer.decode([id])).toThrow(refusal);
    }
  });
});

describe('decoding', () => {
  test('gives control tokens text with the option alone', async () => {
    const tokenizer = await make();
    const given = [bos, 0x61, user, eos];
    expect(tokenizer.decode(given)).toBe('a<u>');
    expect(tokenizer.decode(given, { special: true })).toBe('<s>a<u></s>');
    const decoder = tokenizer.decoder({ special: true });
    expect(given.map((id) => decoder.push(id)).join('') + decoder.end()).toBe('<s>a<u></s>');
    const plain = tokenizer.decoder();
    expect(given.map((id) => plain.push(id))).toEqual(['', 'a', '<u>', '']);
  });

  test('removes the space that encoding has added in front of a text, unless it continues another', async () => {
    const tokenizer = await sentencePiece(
      ['<unk>', '▁a', '▁', '<s>'].map((text, id) => ({ text, type: [2, 1, 1, 3][id] as number })),
    );
    const decoder = (options = {}) => {
      const stream = tokenizer.decoder(options);
      return [1, 2].map(() => [3, 1, 1].map((id) => stream.push(id)).join('') + stream.end());
    };
    expect([tokenizer.decode([3, 1, 1]), decoder()]).toEqual(['a a', ['a a', 'a a']]);
    expect([tokenizer.decode([3, 1, 1], { continues: true }), decoder({ continues: true })]).toEqual([
      ' a a',
      [' a a', ' a a'],
    ]);
    const plain = await make();
    expect(plain.decode([0x20, 0x61])).toBe(' a');
    expect(plain.decode([0x20, 0x61], { continues: true })).toBe(' a');
  });

  test('removes spaces before punctuation as the model says, or as the option says', async () => {
    const given = [...Buffer.from('a . b')];
    const plain = await make();
    const cleaning = await make({ 'tesserae.tokenizer.clean_up_spaces': flag(true) });
    const streamed = (tokenizer: Tokenizer, options = {}) => {
      const decoder = tokenizer.decoder(options);
      return given.map((id) => decoder.push(id)).join('') + decoder.end();
    };
    for (const decode of [(tokenizer: Tokenizer, options = {}) => tokenizer.decode(given, options), streamed]) {
      expect([decode(plain), decode(cleaning)]).toEqual(['a . b', 'a. b']);
      expect([decode(plain, { cleanUp: true }), decode(cleaning, { cleanUp: false })]).toEqual(['a. b', 'a . b']);
      expect([decode(cleaning, { continues: true }), decode(cleaning, { continues: true, cleanUp: true })]).toEqual([
        'a . b',
        'a. b',
      ]);
    }
    // What is held back comes at the end.
    const [decoder, ids] = [cleaning.decoder(), [...Buffer.from("a '")]];
    expect(ids.map((id) => decoder.push(id)).join('')).toBe('a');
    expect(decoder.end()).toBe(" '");
    expect(cleaning.decode(ids)).toBe("a '");
  });
});
