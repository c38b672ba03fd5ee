// src/sampling/logprobs.ts: numbers of the kernel and texts of a tokenizer, put together.
import { expect, test } from 'vitest';
import { withTexts } from '../../src/sampling/logprobs.js';
import type { Tokenizer } from '../../src/tokenizer/tokenizer.js';

test('each token has its own text, as it is written: that of a control token, and spaces before punctuation, too', () => {
  const asked: unknown[] = [];
  const decode: Tokenizer['decode'] = ([id], options) => {
    asked.push(options);
    return `text of ${id}`;
  };
  const numbers = { logprob: -1.5, ids: Int32Array.of(7, 3), logprobs: Float64Array.of(-0.5, -1.5) };
  expect(withTexts(numbers, { decode } as Tokenizer)).toEqual({
    logprob: -1.5,
    top: [
      { id: 7, text: 'text of 7', logprob: -0.5 },
      { id: 3, text: 'text of 3', logprob: -1.5 },
    ],
  });
  expect(asked).toEqual(new Array(2).fill({ special: true, cleanUp: false }));
});
