// The tokens of fixed texts with SentencePiece's byte-pair encoding: the space in front, bytes and unknown characters,
// words and long words, and tokens that text never becomes.
import { describe, expect, test } from 'vitest';
import type { MetadataValue } from '../../../src/metadata/value-types.js';
import { createTokenizer } from '../../../src/tokenizer/create-tokenizer.js';
import { createSentencePiece } from '../../../src/tokenizer/sentencepiece/sentencepiece.js';
import type { EncodeOptions, Tokenizer } from '../../../src/tokenizer/tokenizer.js';
import { workOn } from '../../support/tokenizers/pauses.js';
import { CountedSlice } from '../../support/tokenizers/plain-metadata.js';
import { count, flag, type SmallToken, tokenizerMetadata } from '../../support/tokenizers/tokenizer-metadata.js';

const specials: SmallToken[] = [
  { text: '<unk>', type: 2 },
  { text: '<s>', type: 3 },
  { text: '</s>', type: 3 },
];
const scored = (...texts: string[]): SmallToken[] => texts.map((text, at) => ({ text, score: -at }));
const word = (value: string) => ({ type: 'string', value }) as const;

async function make(tokens: readonly SmallToken[], more = {}): Promise<Tokenizer> {
  return createTokenizer(tokenizerMetadata('llama', [...specials, ...tokens], more));
}
const textsOf = (tokenizer: Tokenizer, text: string, options?: EncodeOptions) =>
  tokenizer.encode(text, options).map((id) => tokenizer.tokenText(id));

describe('the space in front', () => {
  const tokens = [...scored('▁a', '▁', 'a', 'b'), { text: '<u>', type: 4 }];
  const rule = (name: string) => ({ 'tesserae.tokenizer.space_prefix': word(name) });

  test('is always added, also behind a special token', async () => {
    for (const more of [{}, rule('always')]) {
      const tokenizer = await make(tokens, more);
      expect(textsOf(tokenizer, 'a')).toEqual(['▁a']);
      expect(textsOf(tokenizer, ' a')).toEqual(['▁', '▁a']);
      expect(textsOf(tokenizer, '▁a')).toEqual(['▁', '▁a']);
      expect(textsOf(tokenizer, 'a<u>a')).toEqual(['▁a', '<u>', '▁a']);
      expect(tokenizer.decode(tokenizer.encode('a'))).toBe('a');
    }
  });

  test('is added unless there is one, everywhere or at the beginning only', async () => {
    const everywhere = await make(tokens, rule('unless-there'));
    const first = await make(tokens, rule('first-unless-there'));
    for (const tokenizer of [everywhere, first]) {
      for (const text of ['a', ' a', '▁a']) expect(textsOf(tokenizer, text)).toEqual(['▁a']);
      expect(textsOf(tokenizer, 'a<u> a')).toEqual(['▁a', '<u>', '▁a']);
      expect(tokenizer.decode(tokenizer.encode('a'))).toBe('a');
    }
    expect(textsOf(everywhere, '<u>a')).toEqual(['<u>', '▁a']);
    expect(textsOf(first, '<u>a')).toEqual(['<u>', 'a']);
  });

  test('is never added if the metadata says so', async () => {
    const tokenizer = await make(tokens, { 'tokenizer.ggml.add_space_prefix': flag(false), ...rule('always') });
    expect(textsOf(tokenizer, 'a a')).toEqual(['a', '▁a']);
    expect(textsOf(tokenizer, ' a')).toEqual(['▁a']);
    expect(tokenizer.decode(tokenizer.encode(' a'))).toBe(' a');
  });

  test('has a known rule', async () => {
    for (const name of ['never', 'sometimes']) {
      const message = `small.gguf: metadata key "tesserae.tokenizer.space_prefix" is "${name}", which is not supported`;
      await expect(make(tokens, rule(name))).rejects.toMatchObject({ code: 'ERR_UNSUPPORTED', message });
    }
  });
});

test('BOS, EOS and the unknown token are usual, and BOS is added', async () => {
  const tokenizer = await make(scored('▁', 'a'));
  expect([tokenizer.kind, tokenizer.bosId, tokenizer.eosId]).toEqual(['llama', 1, 2]);
  expect([tokenizer.addsBos, tokenizer.addsEos]).toEqual([true, false]);
  expect(tokenizer.encode('x')).toEqual([3, 0]);
});

describe('a character without a token', () => {
  const byte = (value: number): SmallToken => ({ text: `<0x${value.toString(16).toUpperCase()}>`, type: 6 });

  test('becomes its bytes if all of them have a token, or else the unknown one', async () => {
    const others = [byte(0xc3), byte(0xa9), byte(0xaa), byte(0xe2), { text: 'abcC3' }];
    const tokenizer = await make([...scored('▁', 'a'), ...others]);
    expect(textsOf(tokenizer, 'éaê')).toEqual(['▁', '<0xC3>', '<0xA9>', 'a', '<0xC3>', '<0xAA>']);
    expect(textsOf(tokenizer, 'ë€')).toEqual(['▁', '<unk>', '<unk>']);
    expect(tokenizer.decode(tokenizer.encode('éaê'))).toBe('éaê');
  });

  test('becomes its byte also if that is the first token', async () => {
    const tokens = [byte(0x62), ...scored('▁', 'a'), { text: '<unk>', type: 2 }];
    const more = { 'tokenizer.ggml.unknown_token_id': count(3) };
    expect((await createTokenizer(tokenizerMetadata('llama', tokens, more))).encode('abc')).toEqual([1, 2, 0, 3]);
  });

  test('becomes the unknown token that the file names, or else the first one', async () => {
    const of = (more: Record<string, MetadataValue>) =>
      createTokenizer(tokenizerMetadata('llama', scored('▁', 'a'), more));
    expect((await of({})).encode('b')).toEqual([0, 0]);
    expect((await of({ 'tokenizer.ggml.unknown_token_id': count(1) })).encode('b')).toEqual([0, 1]);
  });

  test('becomes a byte that is only spelled in the text never', async () => {
    const tokenizer = await make([...scored('▁', '<', '0', 'x', 'C', '3', '>'), byte(0xc3), byte(0x20)]);
    expect(textsOf(tokenizer, '<0xC3>')).toEqual(['▁', '<', '0', 'x', 'C', '3', '>']);
    const merging = scored('▁', '<0', '<0x', '<0xC', '<0xC3', '<', '0', 'x', 'C', '3', '>');
    expect(textsOf(await make([...merging, byte(0xc3)]), '<0xC3>')).toEqual(['▁', '<0xC3', '>']);
  });
});

describe('text never becomes', () => {
  test('a control token, whatever it merges to', async () => {
    const tokenizer = await make(scored('</', 's>', '</s', '>', '<', '/', 's', '▁', '<s', '<s>x'));
    expect(textsOf(tokenizer, '</s>')).toEqual(['▁', '</', 's>']);
    expect(textsOf(tokenizer, '</s>', { special: true })).toEqual(['</s>']);
  });

  test('a token whose score is -Infinity by a merge, but by itself', async () => {
    const tokens = [...scored('▁', 'a', 'b'), { text: 'ab', score: Number.NEGATIVE_INFINITY }];
    expect(textsOf(await make(tokens), 'ab')).toEqual(['▁', 'a', 'b']);
    const single = [...scored('▁', 'a'), { text: 'c', score: Number.NEGATIVE_INFINITY }];
    expect(textsOf(await make(single), 'ac')).toEqual(['▁', 'a', 'c']);
  });
});

describe('words', () => {
  test('begin at spaces, unless a token has a space within', async () => {
    const inner: [string[], string, string[]][] = [
      [['▁', 'a▁', '▁a', 'a'], 'a a', ['▁', 'a▁', 'a']],
      [['▁a', '▁', 'a'], 'a a', ['▁a', '▁a']],
      [['▁', 'a▁a', 'a▁', 'a', '▁a'], 'a a', ['▁', 'a▁a']],
      // Spaces at the beginning are none within.
      [['▁▁a', '▁▁', '▁a', '▁', 'a'], ' a  a', ['▁▁a', '▁▁a']],
      [['▁▁', '▁▁▁▁', '▁', 'a'], '   a', ['▁▁▁▁', 'a']],
      // Only in front of one character.
      [['é▁', '▁', 'é'], 'é é', ['▁', 'é▁', 'é']],
    ];
    for (const [tokens, text, wanted] of inner) {
      expect(textsOf(await make(scored(...tokens)), text)).toEqual(wanted);
    }
  });

  test('may begin with U+2581 in the text, which is a space', async () => {
    const tokenizer = await make(scored('▁a', '▁', 'a'));
    expect(textsOf(tokenizer, 'a▁a')).toEqual(['▁a', '▁a']);
    expect(textsOf(tokenizer, 'a ▁a')).toEqual(['▁a', '▁', '▁a']);
  });

  test('of any length give the same tokens at once and in slices', async () => {
    const tokenizer = await make(scored('ab', '▁', 'a', 'b'));
    for (const length of [509, 510, 511, 512, 513, 1000, 5000]) {
      const text = 'ab'.repeat(length).slice(0, length);
      const wanted = [4, ...new Array(Math.floor(length / 2)).fill(3), ...(length % 2 === 1 ? [5] : [])];
      expect(tokenizer.encode(text)).toEqual(wanted);
      expect(await tokenizer.encodeAsync(text)).toEqual(wanted);
      expect(tokenizer.encode(text, { limit: 3 })).toEqual([4, 3, 3]);
    }
    const many = 'ab '.repeat(3000);
    expect(tokenizer.encode(many)).toEqual(new Array(3000).fill([4, 3]).flat().concat([4]));
  });

  test('with characters of three bytes fit, up to 512 units', async () => {
    const tokenizer = await make(scored('漢', '▁', '漢漢'));
    for (const length of [511, 512, 513]) {
      expect(tokenizer.encode('漢'.repeat(length)).length).toBe(1 + Math.ceil(length / 2));
    }
  });

  test('are checked for lone surrogates', async () => {
    const tokenizer = await make(scored('a', '▁'));
    for (const text of ['\ud800', 'a \ud800', 'a \udc00b', `${'a '.repeat(9000)}\ud800`]) {
      expect(() => tokenizer.encode(text)).toThrow(expect.objectContaining({ code: 'ERR_TOKENIZER' }));
    }
    expect(textsOf(tokenizer, 'a 😀')).toEqual(['▁', 'a', '▁', '<unk>']);
  });
});

describe('work on a text', () => {
  const pauses = (tokenizer: Tokenizer, text: string) => workOn(tokenizer, text).pauses;

  test('pauses about every 2048 units: while words are found, and after those in which the next 2048 begin', async () => {
    const tokenizer = await make(scored('ab', '▁', 'a', 'b', '▁▁', '▁▁a'));
    expect(pauses(tokenizer, 'ab '.repeat(682))).toBe(0);
    // At 2048, 4096 and 8192; and behind the words that 2048, 4096, 6144 and 8192 end or are in.
    expect(pauses(tokenizer, 'ab '.repeat(3000))).toBe(3 + 4);
  });

  test('is done at once for words of up to 512 units, with the space in front', async () => {
    const tokenizer = await make(scored('ab', '▁', 'a', 'b'));
    expect([510, 511].map((length) => pauses(tokenizer, 'a'.repeat(length)))).toEqual([0, 0]);
    // One to make its bytes, one for each 2048 characters.
    expect(pauses(tokenizer, 'a'.repeat(512))).toBe(1 + 1);
    // Its end is found, its characters are added, merged and collected, 2048 at a time.
    expect(pauses(tokenizer, 'ab'.repeat(2500))).toBe(9);
  });

  test('is done word by word, as many as are wanted, unless a token has a space within', async () => {
    const words = scored('ab', '▁', 'a', 'b', '▁▁', '▁▁a', '▁a', '漢', '▁漢');
    const [text, limit] = ['ab '.repeat(3000), 3];
    expect(workOn(await make(words), text, { limit })).toMatchObject({ pauses: 0, made: 4 });
    for (const inner of ['a▁', '▁a▁', 'a▁b', '漢▁', '▁漢▁▁']) {
      const { made } = workOn(await make([...words, { text: inner, score: -99 }]), text, { limit });
      expect(made).toBeGreaterThan(1000);
    }
  });
});

test('tokens are looked at in slices', async () => {
  const slice = new CountedSlice();
  const tokens = Array.from({ length: 1100 }, (_, id) => ({ text: `t${id}` }));
  await createSentencePiece(tokenizerMetadata('llama', tokens), slice.asTimeSlice);
  // 3 looks of the vocabulary, 9 of the bytes, and 2 here: the first token is the unknown one.
  expect([slice.looks, slice.yields]).toEqual([3 + 9 + 3, 7]);
});
