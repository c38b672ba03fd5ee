// SentencePiece's byte-pair encoding and its unigram model, on vocabularies small enough to follow by hand.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createTokenizer } from '../../../src/tokenizer/create-tokenizer.js';
import type { Tokenizer } from '../../../src/tokenizer/tokenizer.js';
import { count, flag, type SmallToken, tokenizerMetadata } from '../../support/tokenizers/tokenizer-metadata.js';

const bytes: SmallToken[] = Array.from({ length: 256 }, (_, byte) => ({
  text: `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
  type: 6,
}));
const specials: SmallToken[] = [
  { text: '<unk>', type: 2 },
  { text: '<s>', type: 3 },
  { text: '</s>', type: 3 },
];
const textTokens: SmallToken[] = [
  ...['▁', 'a', 'b', 'c', '<', 's', '>', '/'].map((text, i) => ({ text, score: -100 - i })),
  { text: 'ab', score: -2 },
  { text: 'bc', score: -1 },
  { text: 'aa', score: -3 },
  { text: '▁a', score: -4 },
  { text: '▁▁', score: -5 },
  { text: 's>', score: -6 },
  { text: '<user>', type: 4 },
];
const spmTokens = [...specials, ...bytes, ...textTokens];

async function spm(more = {}, tokens: readonly SmallToken[] = spmTokens): Promise<Tokenizer> {
  return createTokenizer(tokenizerMetadata('llama', tokens, more));
}

const textsOf = (tokenizer: Tokenizer, ids: readonly number[]) => ids.map((id) => tokenizer.tokenText(id));

describe('the SentencePiece tokenizer', () => {
  test('merges by score, of equal scores the leftmost, with a space in front', async () => {
    const tokenizer = await spm();
    const split = (text: string) => textsOf(tokenizer, tokenizer.encode(text));
    expect(split('abc')).toEqual(['▁a', 'bc']);
    expect(split('aaab')).toEqual(['▁', 'aa', 'ab']);
    expect(split('  c')).toEqual(['▁▁', '▁', 'c']);
    expect(split('')).toEqual([]);
    expect(tokenizer.encode('c', { addBos: true })[0]).toBe(1);
    expect(tokenizer.encode('c', { addEos: true }).at(-1)).toBe(2);
    expect([tokenizer.addsBos, tokenizer.addsEos]).toEqual([true, false]);
  });

  test('falls back to bytes, or to the unknown token if there are no byte tokens', async () => {
    const tokenizer = await spm();
    expect(textsOf(tokenizer, tokenizer.encode('é'))).toEqual(['▁', '<0xC3>', '<0xA9>']);
    const bare = await spm({}, [...specials, ...textTokens]);
    expect(textsOf(bare, bare.encode('éa'))).toEqual(['▁', '<unk>', 'a']);
  });

  test('never encodes plain text as control tokens, or as byte tokens that it spells', async () => {
    const tokenizer = await spm();
    expect(textsOf(tokenizer, tokenizer.encode('<s>'))).toEqual(['▁', '<', 's>']);
    expect(textsOf(tokenizer, tokenizer.encode('<s>a', { special: true }))).toEqual(['<s>', '▁a']);
    expect(textsOf(tokenizer, tokenizer.encode('a<user>a'))).toEqual(['▁a', '<user>', '▁a']);
    expect(tokenizer.encode('<0x41>').some((id) => id === 3 + 0x41)).toBe(false);
  });

  test('decode undoes encode; a stream of a continued text keeps its space', async () => {
    const text = fc.array(fc.constantFrom('a', 'b', ' ', '  ', 'é', '😀', '\n', '<s>'), { maxLength: 40 });
    for (const tokenizer of [await spm(), await spm({ 'tokenizer.ggml.add_space_prefix': flag(false) })]) {
      fc.assert(
        fc.property(text, (parts) => {
          const given = parts.join('');
          const ids = tokenizer.encode(given);
          expect(tokenizer.decode(ids)).toBe(given);
          const decoder = tokenizer.decoder();
          for (let round = 0; round < 2; round++) {
            const streamed = ids.map((id) => decoder.push(id));
            for (const part of streamed) expect(part).not.toMatch(/\ufffd/);
            expect(streamed.join('') + decoder.end()).toBe(given);
          }
        }),
      );
    }
    const tokenizer = await spm();
    expect(tokenizer.decode(tokenizer.encode('a b'), { continues: true })).toBe(' a b');
    expect(tokenizer.decode([1, ...tokenizer.encode('a')])).toBe('a');
  });

  test('gives the same tokens in steps and at once, and word by word as for the whole text', async () => {
    const whole = await spm({}, [...spmTokens, { text: 'c▁', score: -999 }, { text: 'c▁b', score: -1000 }]);
    const inWords = await spm();
    const longWord = 'abcab'.repeat(3000);
    for (const text of [longWord, `${'ab '.repeat(3000)}`, 'é'.repeat(4000), ' '.repeat(5000)]) {
      expect(await inWords.encodeAsync(text)).toEqual(inWords.encode(text));
      expect(textsOf(whole, whole.encode(text))).toEqual(textsOf(inWords, inWords.encode(text)));
      expect(inWords.decode(inWords.encode(text))).toBe(text);
    }
    expect(textsOf(whole, whole.encode('c b'))).toEqual(['▁', 'c▁b']);
  });

  test('takes time in proportion to the text', { retry: 2 }, async () => {
    const tokenizer = await spm();
    const time = (text: string) => {
      const start = performance.now();
      tokenizer.encode(text);
      return performance.now() - start;
    };
    time('a'.repeat(50_000));
    expect(time('a'.repeat(400_000)) / Math.max(time('a'.repeat(50_000)), 1)).toBeLessThan(8 * 4);
  });

  test('refuses lone surrogates, and files without scores or with bad ones', async () => {
    const tokenizer = await spm();
    expect(() => tokenizer.encode('a\ud800')).toThrow(expect.objectContaining({ code: 'ERR_TOKENIZER' }));
    await expect(spm({ 'tokenizer.ggml.scores': undefined })).rejects.toMatchObject({ code: 'ERR_MODEL_FILE' });
    await expect(
      spm({ 'tokenizer.ggml.scores': { type: 'array', element: 'f32', value: new Float32Array(3) } }),
    ).rejects.toMatchObject({ code: 'ERR_MODEL_FILE', message: expect.stringContaining('has 3 entries') });
    await expect(spm({}, [...specials, { text: 'a', score: Number.NaN }])).rejects.toMatchObject({
      code: 'ERR_MODEL_FILE',
    });
    await expect(spm({}, [...specials, { text: '<0x4>', type: 6 }])).rejects.toMatchObject({ code: 'ERR_MODEL_FILE' });
  });
});

describe('the unigram tokenizer', () => {
  const tokens: SmallToken[] = [
    { text: '<pad>', type: 3 },
    { text: '</s>', type: 3 },
    { text: '<unk>', type: 2 },
    { text: '▁', score: -3 },
    { text: 'a', score: -4 },
    { text: 'b', score: -4 },
    { text: '▁a', score: -5 },
    { text: 'ab', score: -5.5 },
    { text: '▁ab', score: -9 },
    { text: 'abab', score: -20 },
  ];
  const joined = {
    'tokenizer.ggml.add_space_prefix': flag(true),
    'tokenizer.ggml.remove_extra_whitespaces': flag(true),
  };
  const unigram = (more = {}) => createTokenizer(tokenizerMetadata('t5', tokens, { ...joined, ...more }));

  test('takes the split with the highest sum of scores', async () => {
    const tokenizer = await unigram();
    const split = (text: string) => textsOf(tokenizer, tokenizer.encode(text));
    expect(split('ab')).toEqual(['▁', 'ab']);
    expect(split('abab')).toEqual(['▁', 'ab', 'ab']);
    expect(split('  a   b ')).toEqual(['▁a', '▁', 'b']);
    expect(split('aéüb')).toEqual(['▁a', '<unk>', 'b']);
    expect(tokenizer.addsEos).toBe(true);
    expect(tokenizer.encode('a', { addEos: true })).toEqual([6, 1]);
    expect(tokenizer.decode(tokenizer.encode('ab a'))).toBe('ab a');
    expect(split('')).toEqual([]);
    expect(split('   ')).toEqual([]);
  });

  test('of splits with the same sum takes that whose last token begins first', async () => {
    const ties = [
      ...['c', 'd', 'e'].map((text, i) => ({ text, score: -2 - i })),
      { text: 'cd', score: -5 },
      { text: 'de', score: -7 },
      { text: 'cde', score: -9 },
    ];
    const tokenizer = await createTokenizer(tokenizerMetadata('t5', [...tokens, ...ties], joined));
    const split = (text: string) => textsOf(tokenizer, tokenizer.encode(text));
    expect(split('cd')).toEqual(['▁', 'cd']);
    expect(split('cde')).toEqual(['▁', 'cde']);
    expect(split('dede')).toEqual(['▁', 'de', 'de']);
    expect(await tokenizer.encodeAsync('cd'.repeat(3000))).toEqual(tokenizer.encode('cd'.repeat(3000)));
  });

  test('agrees with the best of all splits', async () => {
    const tokenizer = await unigram();
    const scores = new Map(tokens.filter(({ score }) => score !== undefined).map((t) => [t.text, t.score as number]));
    const best = (text: string): number => {
      const totals = [0];
      for (let end = 1; end <= text.length; end++) {
        let most = Number.NEGATIVE_INFINITY;
        for (let start = 0; start < end; start++) {
          const score = scores.get(text.slice(start, end));
          if (score !== undefined) most = Math.max(most, (totals[start] as number) + score);
        }
        totals.push(most);
      }
      return totals.at(-1) as number;
    };
    fc.assert(
      fc.property(fc.array(fc.constantFrom('a', 'b', 'a b'), { minLength: 1, maxLength: 20 }), (parts) => {
        const text = parts.join('');
        const total = tokenizer.encode(text).reduce((sum, id) => sum + (tokens[id]?.score as number), 0);
        expect(total).toBeCloseTo(best(`▁${text.replaceAll(' ', '▁')}`), 6);
      }),
    );
  });

  test('refuses a damaged map of characters, and a vocabulary without an unknown token', async () => {
    const map = (...value: number[]) => ({
      'tokenizer.ggml.precompiled_charsmap': { type: 'array', element: 'u8', value: Uint8Array.from(value) },
    });
    await expect(unigram(map(8, 0, 0, 0, 1, 2))).rejects.toMatchObject({ code: 'ERR_MODEL_FILE' });
    await expect(unigram(map(4, 0, 0, 0, 1, 2, 3, 4, 65))).rejects.toMatchObject({ code: 'ERR_MODEL_FILE' });
    // A map of random bytes may match anything, but does no harm.
    const noise = await unigram(map(16, 0, 0, 0, ...Array.from({ length: 16 }, (_, i) => (i * 89) & 255), 65, 0));
    expect(noise.encode('abc def').length).toBeGreaterThan(0);
    await expect(unigram({ 'tokenizer.ggml.unknown_token_id': count(99) })).rejects.toMatchObject({
      code: 'ERR_MODEL_FILE',
    });
  });
});
