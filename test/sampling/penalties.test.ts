// Bias and penalties against a naive oracle, and their effect on greedy and sampled choices.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PenaltyOptions } from '../../src/sampling/sampling-options.js';
import { Penalties } from '../support/sampling/penalties.js';
import { Sampler } from '../support/sampling/sampler.js';

function naive(logits: readonly number[], history: readonly number[], options: PenaltyOptions): Float32Array {
  const { repetitionPenalty = 1, repetitionWindow = 64, presencePenalty = 0, frequencyPenalty = 0 } = options;
  const window = history.slice(-repetitionWindow);
  return Float32Array.from(logits, (logit, id) => {
    const biased = Math.fround(logit + ((options.logitBias as Record<number, number> | undefined)?.[id] ?? 0));
    const count = window.filter((seen) => seen === id).length;
    if (count === 0) return biased;
    const repeated = biased > 0 ? biased / repetitionPenalty : biased * repetitionPenalty;
    return repeated - count * frequencyPenalty - presencePenalty;
  });
}

test('bias and penalties agree with the naive oracle at every step', () => {
  const options = fc.record({
    repetitionPenalty: fc.constantFrom(1, 0.5, 1.25, 4),
    repetitionWindow: fc.integer({ min: 1, max: 100 }),
    presencePenalty: fc.constantFrom(0, 0.5, -1),
    frequencyPenalty: fc.constantFrom(0, 0.25, -0.5),
    logitBias: fc.dictionary(fc.constantFrom('0', '3', '7'), fc.constantFrom(1, -2, Number.NEGATIVE_INFINITY)),
  });
  const logits = fc.array(fc.integer({ min: -8, max: 8 }), { minLength: 8, maxLength: 8 });
  fc.assert(
    fc.property(options, logits, fc.array(fc.nat({ max: 7 }), { maxLength: 300 }), (chosen, values, history) => {
      const penalties = new Penalties(chosen as PenaltyOptions, 8);
      for (const [at, id] of history.entries()) {
        penalties.accept(id);
        if (at % 37 !== 0 && at !== history.length - 1) continue;
        const changed = Float32Array.from(values);
        penalties.apply(changed);
        expect(changed).toEqual(naive(values, history.slice(0, at + 1), chosen as PenaltyOptions));
      }
    }),
  );
});

describe('bias and penalties', () => {
  const logits = Float32Array.of(1, 3, 2.5, -1);
  const greedy = (options: PenaltyOptions, ...seen: number[]) => {
    const sampler = new Sampler(options, 4);
    for (const id of seen) sampler.accept(id);
    return sampler.sample(logits);
  };

  test('change greedy choices', () => {
    expect(greedy({}, 1, 1, 1)).toBe(1);
    expect(greedy({ repetitionPenalty: 1.5 }, 1)).toBe(2);
    expect(greedy({ repetitionPenalty: 1.1 }, 1)).toBe(1);
    expect(greedy({ presencePenalty: 0.6 }, 1)).toBe(2);
    expect(greedy({ frequencyPenalty: 0.3 }, 1)).toBe(1);
    expect(greedy({ frequencyPenalty: 0.3 }, 1, 1)).toBe(2);
    expect(greedy({ presencePenalty: -3 }, 0)).toBe(0);
    expect(greedy({ logitBias: { 3: 5 } })).toBe(3);
    expect(greedy({ logitBias: new Map([[1, Number.NEGATIVE_INFINITY]]) })).toBe(2);
  });

  test('end for a token that has left the window', () => {
    expect(greedy({ repetitionPenalty: 2, repetitionWindow: 2 }, 1, 0, 0)).toBe(1);
    expect(greedy({ repetitionPenalty: 2, repetitionWindow: 3 }, 1, 0, 0)).toBe(2);
  });

  test('never let a banned token be drawn, and leave the given logits unchanged', () => {
    const sampler = new Sampler({ temperature: 5, seed: 1, logitBias: { 1: Number.NEGATIVE_INFINITY } }, 4);
    const before = Float32Array.from(logits);
    for (let i = 0; i < 500; i++) expect(sampler.sample(logits)).not.toBe(1);
    expect(logits).toEqual(before);
  });

  test('that ban all tokens make the sampler fail', () => {
    const banned = Object.fromEntries([0, 1, 2, 3].map((id) => [id, Number.NEGATIVE_INFINITY]));
    expect(() => greedy({ logitBias: banned })).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }));
  });
});
