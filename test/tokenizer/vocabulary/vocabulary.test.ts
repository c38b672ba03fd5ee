// The vocabulary that a model's metadata describes: types, scores, what is added to texts, and the white space that
// special tokens remove; and the metadata that is refused.
import { describe, expect, test } from 'vitest';
import { TimeSlice } from '../../../src/base/time-slice.js';
import type { MetadataValue } from '../../../src/metadata/value-types.js';
import { BYTE, CONTROL, NORMAL, UNKNOWN, UNUSED, USER_DEFINED } from '../../../src/tokenizer/vocabulary/special-ids.js';
import {
  checkTokenId,
  isControlType,
  readScores,
  readVocabulary,
  type VocabularyDefaults,
} from '../../../src/tokenizer/vocabulary/vocabulary.js';
import { CountedSlice } from '../../support/tokenizers/plain-metadata.js';
import { count, flag, type SmallToken, tokenizerMetadata } from '../../support/tokenizers/tokenizer-metadata.js';

const word = (value: string): MetadataValue => ({ type: 'string', value });
const integers = (...value: number[]): MetadataValue => ({
  type: 'array',
  element: 'i32',
  value: Int32Array.from(value),
});
const floats = (...value: number[]): MetadataValue => ({
  type: 'array',
  element: 'f32',
  value: Float32Array.from(value),
});
const key = (name: string) => `tokenizer.ggml.${name}`;
const tokens: SmallToken[] = ['a', 'b', 'c'].map((text) => ({ text }));

const read = (
  given: readonly SmallToken[] = tokens,
  more: Record<string, MetadataValue | undefined> = {},
  defaults?: VocabularyDefaults,
) => readVocabulary(tokenizerMetadata('gpt2', given, more), new TimeSlice(), defaults);
const refusal = (name: string, problem: string) => ({
  code: 'ERR_MODEL_FILE',
  message: `small.gguf: metadata key "${key(name)}" ${problem}`,
});

test('two tokens may not have one text, but several may have none', async () => {
  const twice = read(['a', 'b', 'a'].map((text) => ({ text })));
  await expect(twice).rejects.toMatchObject(refusal('tokens', 'has "a" twice, at 0 and 2'));
  const vocabulary = await read(['', 'a', '', 'b'].map((text) => ({ text })));
  expect(['a', 'b', ''].map((text) => vocabulary.ids.find(Buffer.from(text), 0, text.length))).toEqual([1, 3, -1]);
  await expect(read([])).rejects.toMatchObject(refusal('tokens', 'is empty'));
  expect(vocabulary.errorAt(3, 'is bad')).toMatchObject(refusal('tokens', 'at 3 is bad'));
});

test('tokens are read in slices of 512', async () => {
  const slice = new CountedSlice();
  const many = Array.from({ length: 1025 }, (_, id) => ({ text: `${id}` }));
  await readVocabulary(tokenizerMetadata('gpt2', many), slice.asTimeSlice);
  expect([slice.looks, slice.yields]).toEqual([3, 1]);
});

test('tokens have the types of the file, or are normal', async () => {
  const typed = [0, NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE].map((type) => ({ text: `t${type}`, type }));
  expect([...(await read(typed)).types]).toEqual([0, 1, 2, 3, 4, 5, 6]);
  expect([...(await read(tokens, { [key('token_type')]: undefined })).types]).toEqual([NORMAL, NORMAL, NORMAL]);
  for (const [types, problem] of [
    [[1, 7, 1], 'has the unknown type 7 at 1'],
    [[1, 1, -1], 'has the unknown type -1 at 2'],
    [[1, 1], 'has 2 entries, but the vocabulary has 3 tokens'],
    [[1, 1, 1, 1], 'has 4 entries, but the vocabulary has 3 tokens'],
  ] as const) {
    const wrong = read(tokens, { [key('token_type')]: integers(...types) });
    await expect(wrong).rejects.toMatchObject(refusal('token_type', problem));
  }
});

describe('what is added to a text', () => {
  const ids = {
    [key('bos_token_id')]: count(0),
    [key('eos_token_id')]: count(1),
    [key('seperator_token_id')]: count(2),
  };
  const adds = async (more: Record<string, MetadataValue>, defaults?: VocabularyDefaults) => {
    const { addsBos, addsEos, endId } = await read(tokens, more, defaults);
    return [addsBos, addsEos, endId];
  };

  test('is what the file says, or else what is usual for the kind, if there are such tokens', async () => {
    const usual = { addsBos: true, addsEos: true };
    expect(await adds({})).toEqual([false, false, undefined]);
    expect(await adds({}, usual)).toEqual([false, false, undefined]);
    expect(await adds(ids)).toEqual([false, false, 1]);
    expect(await adds(ids, usual)).toEqual([true, true, 1]);
    const said = (value: boolean) => ({
      ...ids,
      [key('add_bos_token')]: flag(value),
      [key('add_eos_token')]: flag(value),
    });
    expect(await adds(said(true))).toEqual([true, true, 1]);
    expect(await adds(said(false), usual)).toEqual([false, false, 1]);
  });

  test('ends with a separator for some kinds', async () => {
    const separated = { endsWithSeparator: true, addsEos: true };
    expect(await adds(ids, separated)).toEqual([false, true, 2]);
    expect(await adds({ ...ids, [key('add_eos_token')]: flag(false) }, separated)).toEqual([false, true, 2]);
    expect(await adds({ ...ids, [key('add_sep_token')]: flag(false) }, separated)).toEqual([false, false, 2]);
  });

  test('must be tokens of the vocabulary', async () => {
    for (const [name, text, defaults] of [
      ['bos', 'BOS', {}],
      ['eos', 'EOS', {}],
      ['sep', 'SEP', { endsWithSeparator: true }],
    ] as const) {
      const wrong = read(tokens, { [key(`add_${name}_token`)]: flag(true) }, defaults);
      await expect(wrong).rejects.toMatchObject(refusal(`add_${name}_token`, `is true, but there is no ${text} token`));
      expect(await adds({ [key(`add_${name}_token`)]: flag(false) }, defaults)).toEqual([false, false, undefined]);
    }
  });
});

test('scores are numbers, at least as many as tokens', () => {
  const scores = (value: MetadataValue | undefined) =>
    readScores(tokenizerMetadata('t5', tokens, { [key('scores')]: value }), 3);
  expect([...scores(floats(-1, Number.NEGATIVE_INFINITY, 0.5))]).toEqual([-1, Number.NEGATIVE_INFINITY, 0.5]);
  expect([...scores(integers(3, -2, 1, 9))]).toEqual([3, -2, 1, 9]);
  const doubles: MetadataValue = { type: 'array', element: 'f64', value: Float64Array.of(1, 2, 3) };
  for (const [value, problem] of [
    [undefined, 'is missing'],
    [count(3), 'must be an array of f32 or i32'],
    [doubles, 'must be an array of f32 or i32'],
    [floats(1, 2), 'has 2 entries, but the vocabulary has 3 tokens'],
    [floats(1, 2, Number.NaN), 'is NaN at 2'],
    [floats(Number.POSITIVE_INFINITY, 2, 3), 'is Infinity at 0'],
  ] as const) {
    expect(() => scores(value)).toThrow(expect.objectContaining(refusal('scores', problem)));
  }
});

describe('the white space around special tokens', () => {
  const special: SmallToken[] = [
    { text: 'a' },
    { text: '<mask>', type: CONTROL },
    { text: '[MASK]', type: USER_DEFINED },
    { text: '</s>' },
    { text: '<unk>', type: UNKNOWN },
    { text: '<s>', type: CONTROL },
    { text: '<|endoftext|>', type: CONTROL },
    { text: '<0x0A>', type: BYTE },
    { text: '<|user|>', type: USER_DEFINED },
    { text: 'old', type: UNUSED },
  ];
  const strips = async (more: Record<string, MetadataValue>) => {
    const { stripsLeft, stripsRight } = await read(special, more);
    return [[...stripsLeft].sort(), [...stripsRight].sort()];
  };

  test('is removed by the tokens that the metadata lists', async () => {
    expect(await strips({})).toEqual([[], []]);
    const listed = { 'tesserae.tokenizer.strips_left': integers(2, 5), 'tesserae.tokenizer.strips_right': integers(5) };
    expect(await strips(listed)).toEqual([[2, 5], [5]]);
    expect(await strips({ ...listed, 'general.name': word('modern-bert') })).toEqual([[2, 5], [5]]);
  });

  test('is removed before the mask of some encoders', async () => {
    for (const pre of ['jina-v2-de', 'jina-v2-es', 'jina-v2-code']) {
      expect(await strips({ [key('pre')]: word(pre) })).toEqual([[1], []]);
    }
    for (const architecture of ['nomic-bert-moe', 'jina-bert-v3']) {
      expect(await strips({ 'general.architecture': word(architecture) })).toEqual([[1], []]);
    }
    expect(await strips({ 'general.name': word('My Modern-BERT base') })).toEqual([[2], []]);
    for (const other of [
      { [key('pre')]: word('jina-v2') },
      { [key('pre')]: count(2) },
      { 'general.architecture': word('nomic-bert') },
      { 'general.name': word('bert') },
      { 'general.name': count(1) },
    ]) {
      expect(await strips(other)).toEqual([[], []]);
    }
  });

  test('is removed behind the marks of Phi-3', async () => {
    for (const name of ['Phi-3 mini', 'phi3', 'my PHI-3.5']) {
      expect(await strips({ 'general.name': word(name) })).toEqual([[], [1, 2, 3, 8, 9]]);
    }
    for (const name of ['phi-2', 'phi--3', 'ph3']) {
      expect(await strips({ 'general.name': word(name) })).toEqual([[], []]);
    }
  });
});

test('spaces are cleaned up only if the metadata says so', async () => {
  expect((await read()).cleansUp).toBe(false);
  expect((await read(tokens, { 'tesserae.tokenizer.clean_up_spaces': flag(true) })).cleansUp).toBe(true);
});

test('control and unknown tokens are marks for the model', () => {
  const types = [undefined, 0, NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE];
  expect(types.map(isControlType)).toEqual([false, false, false, true, true, false, false, false]);
});

test('a token id is an integer below the size of the vocabulary', () => {
  expect([checkTokenId(0, 3), checkTokenId(2, 3)]).toEqual([0, 2]);
  for (const id of [-1, 3, 1.5, Number.NaN]) {
    const message = `token id ${id} is not in the vocabulary of 3 tokens`;
    expect(() => checkTokenId(id, 3)).toThrow(expect.objectContaining({ code: 'ERR_TOKENIZER', message }));
  }
});
