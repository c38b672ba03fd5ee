// The options of the command that say how tokens are chosen: each becomes the library's option of the same name, none is lost.
import { Command } from 'commander';
import { expect, test } from 'vitest';
import { addSamplingFlags, generateOptionsOf } from '../../src/cli/sampling-options.js';

const optionsOf = (...args: string[]) =>
  generateOptionsOf(addSamplingFlags(new Command()).parse(args, { from: 'user' }).opts());

test.each([
  ['--max-tokens', '7', { maxTokens: 7 }],
  ['--temperature', '1.5', { temperature: 1.5 }],
  ['--seed', '3', { seed: 3 }],
  ['--top-k', '30', { topK: 30 }],
  ['--typical-p', '0.8', { typicalP: 0.8 }],
  ['--top-p', '0.9', { topP: 0.9 }],
  ['--min-p', '0.01', { minP: 0.01 }],
  ['--repetition-penalty', '1.2', { repetitionPenalty: 1.2 }],
  ['--repetition-window', '32', { repetitionWindow: 32 }],
  ['--presence-penalty', '0.5', { presencePenalty: 0.5 }],
  ['--frequency-penalty', '0.25', { frequencyPenalty: 0.25 }],
  ['--logit-bias', '5=-inf', { logitBias: { 5: Number.NEGATIVE_INFINITY } }],
  ['--stop', ' the', { stop: [' the'] }],
  ['--logprobs', '2', { logprobs: 2 }],
  ['--regex', '[a-z]+', { format: { regex: '[a-z]+' } }],
])('%s %s', (flag, value, expected) => {
  const given = Object.entries(optionsOf(flag, value)).filter(([, one]) => one !== undefined);
  expect(Object.fromEntries(given)).toEqual({ maxTokens: 128, temperature: 0, ...expected });
});

test('the flags without a value', () => {
  expect(optionsOf('--json-value', '--ignore-eos')).toMatchObject({ format: { json: true }, ignoreEos: true });
});
