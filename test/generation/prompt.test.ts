// Prompts and stop sequences as callers give them: what is refused, with which code, and that what is taken is a copy.
import { describe, expect, test } from 'vitest';
import { checkIds, checkPromptFits, checkStops, isArrayOfIds, tokensOf } from '../../src/generation/prompt.js';
import { smallTokenizer } from '../support/tokenizers/small-tokenizer.js';

const fails = (code: string, message: RegExp) =>
  expect.objectContaining({ code, op: 'generate', message: expect.stringMatching(message) });

describe('stop sequences', () => {
  test('are copied, 64 at most, and none by default', () => {
    expect(checkStops(undefined, 'generate')).toEqual([]);
    const given = Array.from({ length: 64 }, (_, i) => `stop ${i}`);
    const stops = checkStops(given, 'generate');
    expect(stops).toEqual(given);
    given.length = 0;
    expect(stops).toHaveLength(64);
  });

  test.each<[unknown, RegExp]>([
    ['end', /must be an array of texts, got "end"/],
    [{ length: 1, 0: 'end' }, /must be an array/],
    [Array.from({ length: 65 }, () => 'x'), /65 sequences, more than 64/],
    [['a', 3], /texts that are not empty/],
    [['a', ''], /texts that are not empty/],
    [['a', 'b\udc00'], /lone surrogate/],
  ])('are refused: %s', (value, message) => {
    expect(() => checkStops(value, 'generate')).toThrow(fails('ERR_ARGUMENT', message));
  });

  test('may contain characters of two code units', () => {
    expect(checkStops(['\u{1f600}'], 'generate')).toEqual(['\u{1f600}']);
  });
});

describe('token ids', () => {
  const check = (ids: unknown, options: { most?: number; cutAt?: number } = {}) =>
    checkIds(ids as number[], 10, { op: 'generate', ...options });

  test.each<[string, ArrayLike<number>]>([
    ['an array', [0, 9]],
    ['32-bit integers', Int32Array.of(0, 9)],
    ['floating point numbers', Float64Array.of(0, 9)],
  ])('are copied from %s', (_, ids) => {
    const copy = check(ids);
    expect(copy).toEqual([0, 9]);
    expect(copy).not.toBe(ids);
  });

  test.each<[string, unknown]>([
    ['a number', 3],
    ['an object', { length: 1, 0: 3 }],
    ['a view without numbers', new DataView(new ArrayBuffer(4))],
    ['a buffer', new ArrayBuffer(4)],
  ])('are no %s', (_, ids) => {
    expect(() => check(ids)).toThrow(fails('ERR_ARGUMENT', /expected a string or an array of token ids/));
  });

  test.each([-1, 10, 0.5, Number.NaN, '3', undefined])('that are not in the vocabulary are refused: %s', (id) => {
    expect(() => check([1, id])).toThrow(fails('ERR_TOKENIZER', /is not a token of this vocabulary/));
  });

  test('are as many as fit, looked at before any of them is read', () => {
    expect(check([1, 2, 3], { most: 3 })).toEqual([1, 2, 3]);
    const long = new Array<number>(2 ** 32 - 1);
    expect(() => check(long, { most: 3 })).toThrow(fails('ERR_CONTEXT', /4294967295 tokens .* context of 3$/));
    expect(() => check(long)).toThrow(fails('ERR_ARGUMENT', /4294967295 ids is longer than 4194304/));
    expect(() => check(new Array(2 ** 22 + 1))).toThrow(fails('ERR_ARGUMENT', /longer than/));
  });

  test('are cut where that is wanted, and no others are looked at', () => {
    expect(check([1, 2, 30], { cutAt: 2 })).toEqual([1, 2]);
    expect(check([1, 2], { cutAt: 5 })).toEqual([1, 2]);
    expect(check([1, 2, 3], { most: 2, cutAt: 2 })).toEqual([1, 2]);
  });

  test('that throw when they are read are a wrong argument', () => {
    const ids = [1, 2];
    Object.defineProperty(ids, 1, {
      get() {
        throw new Error('no id');
      },
    });
    expect(() => check(ids)).toThrow(fails('ERR_ARGUMENT', /the token ids cannot be read: no id/));
  });

  test.each<[unknown, boolean]>([
    [[1, 'a'], true],
    [Int32Array.of(), true],
    [Float32Array.of(1), true],
    [[], false],
    [['a'], false],
    [[[1]], false],
    ['1', false],
    [{ 0: 1, length: 1 }, false],
    [new DataView(new ArrayBuffer(4)), false],
    [undefined, false],
  ])('are told from a list of prompts by the first of them: %s', (value, isIds) => {
    expect(isArrayOfIds(value)).toBe(isIds);
  });
});

test('a prompt has tokens, and no more than the context', () => {
  expect(() => checkPromptFits([], 4, 'generate')).toThrow(fails('ERR_ARGUMENT', /no tokens/));
  checkPromptFits([1, 2, 3, 4], 4, 'generate');
  expect(() => checkPromptFits([1, 2, 3, 4, 5], 4, 'generate')).toThrow(
    fails('ERR_CONTEXT', /5 tokens .* context of 4$/),
  );
});

describe('the tokens of a prompt', () => {
  const op = 'generate';

  test('are those of a text, with what the model expects around it', async () => {
    const tokenizer = await smallTokenizer(
      [],
      [
        { text: '<bos>', type: 3 },
        { text: '<eos>', type: 3 },
      ],
      {
        'tokenizer.ggml.bos_token_id': { type: 'u32', value: 256 },
        'tokenizer.ggml.eos_token_id': { type: 'u32', value: 257 },
        'tokenizer.ggml.add_bos_token': { type: 'bool', value: true },
      },
    );
    expect(await tokensOf('ab', tokenizer, 258, { op })).toEqual([256, 97, 98]);
    expect(await tokensOf('ab', tokenizer, 258, { op, addBos: false })).toEqual([97, 98]);
    expect(await tokensOf('ab', tokenizer, 258, { op, addEos: true })).toEqual([256, 97, 98, 257]);
    expect(await tokensOf('ab', tokenizer, 258, { op, limit: 2 })).toEqual([256, 97]);
    const reason = new Error('enough');
    await expect(tokensOf('ab', tokenizer, 258, { op, signal: AbortSignal.abort(reason) })).rejects.toMatchObject({
      code: 'ABORT_ERR',
      cause: reason,
    });
    expect(await tokensOf([97, 257], tokenizer, 258, { op })).toEqual([97, 257]);
    await expect(tokensOf([97, 258], tokenizer, 258, { op })).rejects.toEqual(fails('ERR_TOKENIZER', /258/));
    await expect(tokensOf([1, 2], tokenizer, 258, { op, most: 1 })).rejects.toEqual(fails('ERR_CONTEXT', /2 tokens/));
  });
});
