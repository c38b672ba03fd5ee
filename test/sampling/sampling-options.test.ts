// Which values of the options of sampling are accepted, to the ends of their ranges, and what they are by default.
import { expect, test } from 'vitest';
import { MAX_SEED } from '../../src/sampling/random.js';
import {
  checkPenalties,
  checkSampling,
  type SamplingOptions,
  usesWindow,
} from '../../src/sampling/sampling-options.js';

const vocabulary = 10;

test('defaults', () => {
  const { seed, ...others } = checkSampling({}, vocabulary);
  expect(others).toEqual({
    temperature: 0,
    topK: 0,
    typicalP: 1,
    topP: 1,
    minP: 0,
    repetitionPenalty: 1,
    repetitionWindow: 64,
    presencePenalty: 0,
    frequencyPenalty: 0,
    biases: [],
  });
  expect(Number.isSafeInteger(seed)).toBe(true);
  expect(checkSampling({}, vocabulary).seed).not.toBe(seed);
});

const ranges: readonly (readonly [
  name: keyof SamplingOptions,
  taken: readonly unknown[],
  refused: readonly unknown[],
])[] = [
  ['temperature', [0, 0.5, 1e300], [-0.01, Number.NaN, Number.POSITIVE_INFINITY, '1']],
  ['topK', [0, 1, 2 ** 53 - 1], [-1, 0.5, 2 ** 53, '1']],
  ['typicalP', [1e-300, 1], [0, -0.1, 1.01, Number.NaN, '1']],
  ['topP', [1e-300, 1], [0, -0.1, 1.01, Number.NaN, '1']],
  ['minP', [0, 1], [-0.01, 1.01, Number.NaN, '0']],
  ['seed', [0, MAX_SEED], [-1, 0.5, MAX_SEED + 1, '1']],
  ['repetitionPenalty', [1e-300, 1000], [0, -1, 1000.1, Number.NaN, '1']],
  ['repetitionWindow', [1, 2 ** 53 - 1], [0, -1, 1.5, 2 ** 53, '1']],
  ['presencePenalty', [-1000, 1000], [-1000.1, 1000.1, Number.NaN, '1']],
  ['frequencyPenalty', [-1000, 1000], [-1000.1, 1000.1, Number.NaN, '1']],
];

test.each(ranges)('%s', (name, taken, refused) => {
  for (const value of taken) expect(checkSampling({ [name]: value }, vocabulary)).toHaveProperty(name, value);
  for (const value of refused) {
    const expected = expect.objectContaining({ code: 'ERR_ARGUMENT', message: expect.stringContaining(name) });
    expect(() => checkSampling({ [name]: value as never }, vocabulary)).toThrow(expected);
  }
});

test('biases are read from maps and objects, in order', () => {
  const biases = (logitBias: unknown) => checkPenalties({ logitBias: logitBias as never }, vocabulary).biases;
  expect(biases({ 3: 1, 9: -1000, 0: Number.NEGATIVE_INFINITY })).toEqual([
    [0, Number.NEGATIVE_INFINITY],
    [3, 1],
    [9, -1000],
  ]);
  expect(
    biases(
      new Map<unknown, number>([
        [9, 1000],
        ['0', 2],
        ['9', 3],
      ]),
    ),
  ).toEqual([
    [9, 1000],
    [0, 2],
    [9, 3],
  ]);
  for (const wrong of [
    null,
    5,
    'a',
    [1],
    [],
    { a: 1 },
    { '1a': 1 },
    { a1: 1 },
    { ' 1': 1 },
    { '1 ': 1 },
    { '1e0': 1 },
    new Map([[['1'], 1]]),
    { '-1': 1 },
    { '': 1 },
    { 10: 1 },
    { 1.5: 1 },
  ]) {
    expect(() => biases(wrong)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }));
  }
  for (const bias of [1000.1, -1000.1, Number.NaN, Number.POSITIVE_INFINITY, '1', null, undefined]) {
    expect(() => biases({ 1: bias })).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }));
    expect(() => biases(new Map([[-1, 1]]))).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }));
  }
});

test('each penalty uses the window', () => {
  const uses = (options: SamplingOptions) => usesWindow(checkPenalties(options, vocabulary));
  expect([uses({}), uses({ logitBias: { 1: 1 }, repetitionWindow: 5 })]).toEqual([false, false]);
  for (const one of ['repetitionPenalty', 'presencePenalty', 'frequencyPenalty'])
    expect(uses({ [one]: 0.5 })).toBe(true);
});
