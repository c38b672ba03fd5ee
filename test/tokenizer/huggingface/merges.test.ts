// The metadata of whole tokenizer.json files of each kind: the merges in both of their spellings, scores and tokens.
import { describe, expect, test } from 'vitest';
import { TimeSlice } from '../../../src/base/time-slice.js';
import { tokenizerMetadata } from '../../../src/tokenizer/huggingface/huggingface.js';
import { CountedSlice, plainMetadata } from '../../support/tokenizers/plain-metadata.js';

async function metadataOf(json: object, config: object = {}, timeSlice = new TimeSlice()) {
  return plainMetadata(await tokenizerMetadata(Buffer.from(JSON.stringify(json)), config, timeSlice));
}

const byteLevel = { type: 'ByteLevel', add_prefix_space: false };
const vocab = { a: 0, b: 1, c: 2, ab: 3, abc: 4, '▁': 5, '▁a': 6 };
const bpe = (merges: unknown, more: object = {}) => ({
  pre_tokenizer: byteLevel,
  model: { type: 'BPE', vocab, merges },
  ...more,
});
const marks = { normalizer: { type: 'Replace', pattern: { String: ' ' }, content: '▁' }, pre_tokenizer: null };
const refusal = (message: string) => ({ code: 'ERR_MODEL_FILE', message: `tokenizer.json: ${message}` });

describe('the merges of byte-level byte-pair encoding', () => {
  test('are lines, written as lines or as pairs', async () => {
    const metadata = await metadataOf(bpe(['a b', ['ab', 'c'], 'b c']));
    expect(metadata).toMatchObject({ model: 'gpt2', merges: ['a b', 'ab c', 'b c'], pre: 'gpt-2' });
    expect(metadata.tokens).toEqual(Object.keys(vocab));
    expect(metadata.token_type).toEqual(new Array(7).fill(1));
    expect(metadata).not.toHaveProperty('scores');
    expect((await metadataOf(bpe([]))).merges).toEqual([]);
    expect((await metadataOf(bpe([['', 'b'], ' b']))).merges).toEqual([' b', ' b']);
    // The shortest that there are, of which as many fit as in any file.
    const short = Array.from({ length: 200 }, () => 'a b');
    expect((await metadataOf(bpe(short))).merges).toEqual(short);
  });

  test.each<[string, unknown[], string]>([
    ['a single token', ['a b', 'ab'], 'has at 1 no pair of tokens'],
    ['three tokens', ['a b c'], 'has at 0 no pair of tokens'],
    ['a list of one', [['a', 'b'], ['a']], 'has at 1 no pair of tokens'],
    ['an empty list', [[]], 'has at 0 no pair of tokens'],
    ['a list of three', [['a', 'b', 'c']], 'has at 0 no pair of tokens'],
    ['a number', [7], 'has a token that is not a string'],
    ['a token with a space', ['a b', ['a', 'b c']], 'has a token with a space at 1'],
    ['a token that begins with a space', [['a', ' b']], 'has a token with a space at 0'],
  ])('are refused with %s', async (_, merges, problem) => {
    await expect(metadataOf(bpe(merges))).rejects.toMatchObject(refusal(`model: merges: ${problem}`));
  });

  test('make a BPE of a model without a type', async () => {
    const untyped = (merges?: string[]) => metadataOf({ pre_tokenizer: byteLevel, model: { vocab, merges } });
    expect((await untyped(['a b'])).model).toBe('gpt2');
    await expect(untyped()).rejects.toMatchObject({
      code: 'ERR_UNSUPPORTED',
      message: expect.stringContaining('the model ""'),
    });
  });

  test('may not be missing', async () => {
    const problem = refusal('model: merges: must be a list');
    await expect(metadataOf(bpe(undefined))).rejects.toMatchObject(problem);
    await expect(metadataOf(bpe(undefined, marks))).rejects.toMatchObject(problem);
    await expect(metadataOf(bpe({ a: 'b' }))).rejects.toMatchObject(refusal('model: merges: must be a list'));
  });

  test('are read in slices of 256', async () => {
    const reads = async (count: number) => {
      const slice = new CountedSlice();
      const merges = Array.from({ length: count }, () => 'a b');
      expect((await metadataOf(bpe(merges), {}, slice.asTimeSlice)).merges).toEqual(merges);
      return slice.looks;
    };
    const few = await reads(255);
    expect([await reads(256), await reads(511), await reads(512)]).toEqual([few + 1, few + 1, few + 2]);
  });
});

describe('the scores of SentencePiece', () => {
  test('are the order in which merges make tokens; what no merge makes is never made', async () => {
    const never = Number.NEGATIVE_INFINITY;
    const metadata = await metadataOf(bpe(['▁ a', ['a', 'b'], 'a b', 'ab c'], marks));
    expect(metadata).toMatchObject({ model: 'llama', scores: [never, never, never, -1, -3, never, -0] });
    expect(metadata).not.toHaveProperty('merges');
    // Many merges of one token: the first counts.
    const many = await metadataOf(bpe([...new Array(600).fill('a b'), 'ab c'], marks));
    expect(many.scores).toEqual([never, never, never, -0, -600, never, never]);
  });

  test('may be of the first token, too', async () => {
    const json = { ...marks, model: { type: 'BPE', vocab: { ab: 0, a: 1, b: 2 }, merges: ['a b'] } };
    expect((await metadataOf(json)).scores).toEqual([-0, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]);
  });

  test('need tokens that the merges make', async () => {
    const wrong = metadataOf(bpe(['a b', 'b c'], marks));
    await expect(wrong).rejects.toMatchObject(refusal('model: merges: makes "b c", which is not a token'));
  });

  test('may have tokens with a space, given as pairs', async () => {
    const json = { ...marks, model: { type: 'BPE', vocab: { a: 0, ' b': 1, 'a b': 2 }, merges: [['a', ' b']] } };
    const never = Number.NEGATIVE_INFINITY;
    expect((await metadataOf(json)).scores).toEqual([never, never, -0]);
  });
});

describe('other kinds', () => {
  test('a unigram model has the scores of its list', async () => {
    const json = {
      model: {
        type: 'Unigram',
        unk_id: 0,
        vocab: [
          ['<unk>', 0],
          ['a', -1.5],
        ],
      },
    };
    expect(await metadataOf(json)).toMatchObject({ model: 't5', tokens: ['<unk>', 'a'], scores: [0, -1.5] });
    expect((await metadataOf(json)).token_type).toEqual([2, 1]);
    const without = { model: { ...json.model, vocab: { '<unk>': 0 } } };
    const problem = refusal('model: vocab: must be a list of tokens with scores');
    await expect(metadataOf(without)).rejects.toMatchObject(problem);
  });

  test('WordPiece has neither merges nor scores, and its words are marked', async () => {
    const json = {
      normalizer: { type: 'BertNormalizer' },
      model: { type: 'WordPiece', vocab: { a: 0, '##b': 1 }, merges: ['a b'] },
    };
    const metadata = await metadataOf(json, { sep_token: 'a' });
    expect(metadata).toMatchObject({ model: 'bert', tokens: ['▁a', 'b'], seperator_token_id: 0 });
    for (const key of ['merges', 'scores', 'clean_up_spaces']) expect(metadata).not.toHaveProperty(key);
  });

  test('spaces are cleaned up only if the config, or else a decoder of WordPiece, says so', async () => {
    const cleans = async (config: object, decoder?: object) =>
      (await metadataOf(bpe([], { decoder }), config)).clean_up_spaces;
    expect(await cleans({})).toBeUndefined();
    expect(await cleans({}, { type: 'WordPiece' })).toBe(true);
    expect(await cleans({}, { type: 'ByteLevel', cleanup: true })).toBeUndefined();
    expect(await cleans({ clean_up_tokenization_spaces: false }, { type: 'WordPiece' })).toBeUndefined();
    expect(await cleans({ clean_up_tokenization_spaces: true })).toBe(true);
  });
});
