// The sampler against naive oracles: which tokens can be chosen, and how often; a seed determines all choices.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RandomSource } from '../../src/sampling/random.js';
import type { SamplingOptions } from '../../src/sampling/sampling-options.js';
import { portableExp } from '../support/sampling/portable-exp.js';
import { portableLog } from '../support/sampling/portable-log.js';
import { Sampler } from '../support/sampling/sampler.js';

/** Oracle: the tokens that may be chosen, with their probabilities, found by sorting all of them. */
function naiveDistribution(logits: ArrayLike<number>, options: SamplingOptions) {
  const { temperature = 1, topK = 0, typicalP = 1, topP = 1, minP = 0 } = options;
  const ranked = Array.from(logits, (logit, id) => ({ id, logit }))
    .filter(({ logit }) => logit > Number.NEGATIVE_INFINITY)
    .sort((a, b) => b.logit - a.logit || a.id - b.id);
  let kept = topK > 0 ? ranked.slice(0, topK) : ranked;
  if (typicalP < 1) {
    const likely = withProbabilities(kept, 1);
    const entropy = likely.reduce((sum, { p }) => sum - p * Math.log(p), 0);
    const typical = likely
      .map((one, rank) => ({ ...one, rank, distance: Math.abs(-Math.log(one.p) - entropy) }))
      .sort((a, b) => a.distance - b.distance || a.rank - b.rank);
    const chosen = new Set(fewest(typical, typicalP).map(({ id }) => id));
    kept = kept.filter(({ id }) => chosen.has(id));
  }
  if (topP < 1) kept = fewest(withProbabilities(kept, 1), topP);
  const least = Math.log(minP) + (kept[0] as { logit: number }).logit;
  if (minP > 0) kept = kept.filter(({ logit }) => logit >= least);
  return new Map(withProbabilities(kept, temperature).map(({ id, p }) => [id, p]));
}

function withProbabilities(candidates: readonly { id: number; logit: number }[], temperature: number) {
  const highest = Math.max(...candidates.map(({ logit }) => logit));
  const weights = candidates.map(({ logit }) => Math.exp((logit - highest) / temperature));
  const total = weights.reduce((a, b) => a + b, 0);
  return candidates.map((one, i) => ({ ...one, p: (weights[i] as number) / total }));
}

/** The first tokens whose probabilities sum up to `bound`. */
function fewest<T extends { p: number }>(candidates: readonly T[], bound: number): T[] {
  let sum = 0;
  let count = 0;
  while (count < candidates.length && (sum < bound || count === 0)) sum += (candidates[count++] as T).p;
  return candidates.slice(0, count);
}

function draw(options: SamplingOptions, logits: Float32Array, count: number): number[] {
  const sampler = new Sampler(options);
  return Array.from({ length: count }, () => sampler.sample(logits));
}

function someLogits(length: number, seed: number): Float32Array {
  const random = new RandomSource(seed);
  return Float32Array.from({ length }, () => 10 * random.next() - 5);
}

describe('greedy', () => {
  test('takes the first of the highest logits, whatever the other options', () => {
    expect(new Sampler().sample(Float32Array.of(1, 3, 2, 3))).toBe(1);
    expect(new Sampler({ temperature: 0, topK: 3, topP: 0.5, seed: 9 }).sample(Float32Array.of(-5, -2, -2))).toBe(1);
    expect(new Sampler().sample(Float32Array.of(Number.NEGATIVE_INFINITY, -1e30))).toBe(1);
    expect(new Sampler().sample(Float32Array.of(7))).toBe(0);
    // The sampler relies on a given mostLikely.
    expect(new Sampler().sample(Float32Array.of(1, 3, 2), { mostLikely: 1 })).toBe(1);
  });
});

describe('the tokens that may be chosen', () => {
  const logits = someLogits(200, 5);

  test.each<SamplingOptions>([
    { temperature: 1, topK: 1 },
    { temperature: 1, topK: 7 },
    { temperature: 0.7, topK: 200 },
    { temperature: 1, topK: 5000 },
    { temperature: 1, topP: 1e-9 },
    { temperature: 0.5, topP: 0.5 },
    { temperature: 1.3, topP: 0.9 },
    { temperature: 1, topK: 20, topP: 0.6 },
    { temperature: 2, topK: 50, topP: 0.999 },
    { temperature: 3, minP: 0.05 },
    { temperature: 1, topK: 30, minP: 0.3 },
    { temperature: 2, topP: 0.9, minP: 0.01 },
    { temperature: 1, typicalP: 0.3 },
    { temperature: 2, typicalP: 0.8, topP: 0.7 },
    { temperature: 1.5, topK: 60, typicalP: 0.5, topP: 0.9, minP: 0.1 },
  ])('are those of the naive oracle with %j', (options) => {
    const expected = naiveDistribution(logits, options);
    const seen = new Set(draw({ ...options, seed: 3 }, logits, 5_000));
    for (const id of seen) expect(expected.has(id)).toBe(true);
    const likely = [...expected].filter(([, probability]) => probability > 5e-3).map(([id]) => id);
    for (const id of likely) expect(seen.has(id)).toBe(true);
  });

  test('are, of equal logits, those of the lowest ids', () => {
    const equal = new Float32Array(10).fill(0.5);
    const chosen = (options: SamplingOptions) =>
      [...new Set(draw({ temperature: 1, seed: 1, ...options }, equal, 500))].sort();
    expect(chosen({ topK: 3 })).toEqual([0, 1, 2]);
    expect(chosen({ topP: 0.35 })).toEqual([0, 1, 2, 3]);
    expect(chosen({ topK: 4, topP: 0.5 })).toEqual([0, 1]);
    expect(chosen({ typicalP: 0.25 })).toEqual([0, 1, 2]);
    expect(chosen({ typicalP: 0.45, topP: 0.5 })).toEqual([0, 1, 2]);
    expect(chosen({ minP: 1 })).toHaveLength(10);
    expect(chosen({})).toHaveLength(10);
  });

  test('are never those of logit -Infinity', () => {
    const masked = Float32Array.from({ length: 100 }, (_, id) => (id % 10 === 3 ? 0.1 * id : Number.NEGATIVE_INFINITY));
    const nearlyAll = 0.999_999_999;
    const all = [{}, { topK: 50 }, { topP: nearlyAll }, { topK: 90, topP: nearlyAll }, { minP: 1e-30 }];
    for (const options of [...all, { typicalP: nearlyAll }, { topK: 90, typicalP: nearlyAll }]) {
      for (const id of draw({ temperature: 1.5, seed: 2, ...options }, masked, 2000)) expect(id % 10).toBe(3);
    }
  });

  test('match the oracle for random logits and options', () => {
    const options = fc.record({
      temperature: fc.double({ min: 0.1, max: 5, noNaN: true }),
      topK: fc.nat({ max: 40 }),
      typicalP: fc.oneof(fc.constant(1), fc.double({ min: 0.01, max: 0.99, noNaN: true })),
      topP: fc.oneof(fc.constant(1), fc.double({ min: 0.01, max: 0.99, noNaN: true })),
      minP: fc.oneof(fc.constant(0), fc.double({ min: 0.01, max: 0.99, noNaN: true })),
      seed: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
    });
    // Multiples of 1/4 give many ties.
    const quarters = fc.array(fc.integer({ min: -20, max: 20 }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(options, quarters, (chosen, values) => {
        const tied = Float32Array.from(values, (value) => value / 4);
        // Where a step ends exactly at a sum or a bound, rounding decides: two oracles, with slightly larger and
        // smaller bounds, allow both results.
        const hairs = [-1e-12, 0, 1e-12];
        const oracles = hairs.flatMap((typical) =>
          hairs.flatMap((top) => {
            const typicalP = chosen.typicalP === 1 ? 1 : chosen.typicalP + typical;
            const topP = chosen.topP === 1 ? 1 : chosen.topP + top;
            return naiveDistribution(tied, { ...chosen, typicalP, topP });
          }),
        );
        for (const id of draw(chosen, tied, 20)) expect(oracles.some((oracle) => oracle.has(id))).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});

describe('how often they are chosen', () => {
  test.each<SamplingOptions>([
    { temperature: 1 },
    { temperature: 0.6 },
    { temperature: 2, topK: 12 },
    { temperature: 1, topP: 0.8 },
    { temperature: 1.5, topK: 20, topP: 0.9 },
    { temperature: 2, minP: 0.02 },
    { temperature: 0.8, typicalP: 0.7 },
  ])('follows their probabilities with %j', (options) => {
    const logits = someLogits(30, 11);
    const count = 60_000;
    const counts = new Map<number, number>();
    for (const id of draw({ ...options, seed: 42 }, logits, count)) counts.set(id, (counts.get(id) ?? 0) + 1);
    for (const [id, probability] of naiveDistribution(logits, options)) {
      const deviation = Math.sqrt(probability * (1 - probability) * count);
      expect(Math.abs((counts.get(id) ?? 0) - probability * count)).toBeLessThanOrEqual(5 * deviation + 1);
    }
  });

  test('near temperature 0 is like greedy, and at very high temperature is uniform', () => {
    const logits = someLogits(8, 4);
    const best = new Sampler().sample(logits);
    expect(new Set(draw({ temperature: 1e-300, seed: 1 }, logits, 100))).toEqual(new Set([best]));
    const even = draw({ temperature: 1e9, seed: 1 }, logits, 8000);
    for (let id = 0; id < 8; id++) expect(even.filter((chosen) => chosen === id).length).toBeGreaterThan(850);
  });
});

describe('the seed', () => {
  const logits = someLogits(1000, 1);

  test('determines every choice, on every machine', () => {
    const options = { temperature: 0.9, topK: 100, topP: 0.95, seed: 1234 };
    expect(draw(options, logits, 50)).toEqual(draw(options, logits, 50));
    expect(draw(options, logits, 50)).not.toEqual(draw({ ...options, seed: 1235 }, logits, 50));
    // The upper bits are used, too.
    expect(draw(options, logits, 50)).not.toEqual(draw({ ...options, seed: 1234 + 2 ** 32 }, logits, 50));
    // Recorded results: a change breaks what users have generated with a seed.
    expect(draw({ temperature: 1, seed: 7 }, logits, 8)).toEqual([213, 862, 880, 60, 91, 297, 369, 214]);
    expect(draw({ temperature: 1, topK: 40, topP: 0.9, seed: 7 }, logits, 8)).toEqual([
      369, 340, 615, 425, 520, 39, 116, 369,
    ]);
  });

  test('is random by default, and can be read', () => {
    const first = new Sampler({ temperature: 1 });
    const second = new Sampler({ temperature: 1 });
    expect(first.seed).not.toBe(second.seed);
    const again = new Sampler({ temperature: 1, seed: first.seed });
    for (let i = 0; i < 20; i++) expect(again.sample(logits)).toBe(first.sample(logits));
  });

  test('drives xoshiro128**', () => {
    const mask = 0xffffffffn;
    const rotate = (word: bigint, by: bigint) => ((word << by) | (word >> (32n - by))) & mask;
    const splitmix = (seed: bigint) => {
      let state = seed;
      return () => {
        state = (state + 0x9e3779b9n) & mask;
        let word = ((state ^ (state >> 16n)) * 0x85ebca6bn) & mask;
        word = ((word ^ (word >> 13n)) * 0xc2b2ae35n) & mask;
        return word ^ (word >> 16n);
      };
    };
    for (const seed of [0, 1, 2 ** 32 - 1, 2 ** 32, 123_456_789_012_345, Number.MAX_SAFE_INTEGER]) {
      const [low, high] = [splitmix(BigInt(seed) & mask), splitmix(BigInt(seed) >> 32n)];
      const s = [low(), low(), high(), high() | 1n] as [bigint, bigint, bigint, bigint];
      const random = new RandomSource(seed);
      for (let i = 0; i < 1000; i++) {
        const expected = (rotate((s[1] * 5n) & mask, 7n) * 9n) & mask;
        const shifted = (s[1] << 9n) & mask;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = rotate(s[3], 11n);
        expect(random.next32()).toBe(Number(expected));
      }
      const fraction = random.next();
      expect(fraction >= 0 && fraction < 1).toBe(true);
    }
  });
});

describe('what is refused', () => {
  test.each<[string, SamplingOptions]>([
    ['temperature must be a number of at least 0, got -0.1', { temperature: -0.1 }],
    ['temperature', { temperature: Number.NaN }],
    ['temperature', { temperature: Number.POSITIVE_INFINITY }],
    ['temperature', { temperature: '1' as unknown as number }],
    ['topK must be an integer of at least 0, got 1.5', { topK: 1.5 }],
    ['topK', { topK: -1 }],
    ['topP must be a number above 0, up to 1, got 0', { topP: 0 }],
    ['topP', { topP: 1.01 }],
    ['topP', { topP: Number.NaN }],
    ['typicalP must be a number above 0, up to 1, got 0', { typicalP: 0 }],
    ['typicalP', { typicalP: 1.1 }],
    ['minP must be a number from 0 to 1, got -0.1', { minP: -0.1 }],
    ['minP', { minP: Number.NaN }],
    ['minP', { minP: '0.1' as unknown as number }],
    ['repetitionPenalty must be a number above 0, up to 1000, got 0', { repetitionPenalty: 0 }],
    ['repetitionPenalty', { repetitionPenalty: Number.POSITIVE_INFINITY }],
    ['repetitionWindow must be an integer of at least 1, got 0', { repetitionWindow: 0 }],
    ['presencePenalty must be a number from -1000 to 1000, got NaN', { presencePenalty: Number.NaN }],
    ['frequencyPenalty', { frequencyPenalty: 1001 }],
    ['frequencyPenalty', { frequencyPenalty: '1' as unknown as number }],
    ['logitBias must be a Map or an object', { logitBias: [1] as never }],
    ['logitBias must be', { logitBias: null as never }],
    ['a key of logitBias must be the id of a token, got "-1"', { logitBias: { [-1]: 1 } }],
    ['a key of logitBias', { logitBias: { x: 1 } as never }],
    ['a key of logitBias', { logitBias: new Map([[1.5, 1]]) }],
    ['a key of logitBias must be the id of a token, got "100"', { logitBias: { 100: 1 } }],
    ['logitBias of 3 must be a number from -1000 to 1000, or -Infinity, got Infinity', { logitBias: { 3: Infinity } }],
    ['logitBias of 3', { logitBias: { 3: '1' } as never }],
    ['seed must be an integer from 0 to 9007199254740991, got 0.5', { seed: 0.5 }],
    ['seed', { seed: -1 }],
    ['seed', { seed: 2 ** 53 }],
  ])('%s', (message, options) => {
    expect(() => new Sampler(options, 100)).toThrow(
      expect.objectContaining({ code: 'ERR_ARGUMENT', message: expect.stringContaining(message) }),
    );
  });

  test.each<SamplingOptions>([
    { temperature: 0 },
    { temperature: 1 },
    { temperature: 1, topK: 1 },
    { temperature: 1, topP: 0.5 },
  ])('logits that are NaN or Infinity, or all -Infinity, with %j', (options) => {
    const sampler = new Sampler(options);
    const refused = (logits: number[], message: string) =>
      expect(() => sampler.sample(Float32Array.from(logits))).toThrow(
        expect.objectContaining({ code: 'ERR_ARGUMENT', message: expect.stringContaining(message) }),
      );
    refused([1, Number.NaN, 2], 'the logit of token 1 is NaN');
    refused([Number.NaN], 'the logit of token 0 is NaN');
    refused([1, 2, Number.POSITIVE_INFINITY], 'the logit of token 2 is Infinity');
    refused([Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY], 'none of 2 logits');
    refused([], 'none of 0 logits');
    const known = (logits: number[]) => () => sampler.sample(Float32Array.from(logits), { mostLikely: 0 });
    for (const logit of [Number.NaN, Number.POSITIVE_INFINITY])
      expect(known([logit, 1])).toThrow(`token 0 is ${logit}`);
    expect(known([Number.NEGATIVE_INFINITY])).toThrow('none of 1 logits');
    expect(sampler.sample(Float32Array.of(0, 99))).toBe(1);
  });
});

test('steady sampling allocates next to nothing', () => {
  const logits = someLogits(32_000, 2);
  const samplers = [
    {},
    { topK: 40 },
    { topP: 0.9 },
    { minP: 0.05 },
    { typicalP: 0.9 },
    {
      topK: 40,
      typicalP: 0.9,
      topP: 0.9,
      minP: 0.05,
      repetitionPenalty: 1.1,
      frequencyPenalty: 0.1,
      logitBias: { 3: 1 },
    },
  ].map((options) => new Sampler({ temperature: 1, ...options }));
  const round = () => {
    for (const sampler of samplers) sampler.accept(sampler.sample(logits));
  };
  for (let i = 0; i < 40; i++) round();
  // The measurement itself allocates, and so does code that is not optimised yet, which a busy machine does when it
  // can: the best of several measurements counts.
  const rounds = 20;
  const buffers: number[] = [];
  const grown = Array.from({ length: 8 }, () => {
    const before = process.memoryUsage();
    for (let i = 0; i < rounds; i++) round();
    const after = process.memoryUsage();
    // After a garbage collection during the measurement the heap is smaller: such a measurement is ignored.
    const bytes = after.heapUsed - before.heapUsed;
    buffers.push(bytes < 0 ? Number.POSITIVE_INFINITY : after.arrayBuffers - before.arrayBuffers);
    return bytes < 0 ? Number.POSITIVE_INFINITY : bytes / (rounds * samplers.length);
  });
  expect(Math.min(...grown)).toBeLessThan(2000);
  expect(Math.min(...buffers)).toBeLessThanOrEqual(0);
});

test('portableExp is exact to about one unit in the last place', () => {
  const random = new RandomSource(1);
  let worst = 0;
  for (let i = 0; i < 200_000; i++) {
    const x = -708 * random.next() ** 3;
    worst = Math.max(worst, Math.abs(portableExp(x) / Math.exp(x) - 1));
  }
  expect(worst).toBeLessThan(2 ** -51);
  expect(portableExp(0)).toBe(1);
  expect(portableExp(-0)).toBe(1);
  expect(portableExp(-709)).toBe(0);
  expect(portableExp(Number.NEGATIVE_INFINITY)).toBe(0);
});

test('portableLog is exact to about one unit in the last place', () => {
  const random = new RandomSource(1);
  for (let i = 0; i < 20_000; i++) {
    const x = 2 ** (200 * random.next() - 100) * (1 + random.next());
    const exact = Math.log(x);
    expect(Math.abs(portableLog(x) - exact)).toBeLessThanOrEqual(2 ** -51 * Math.max(Math.abs(exact), 2 ** -3));
  }
  expect(portableLog(1)).toBe(0);
  expect(portableLog(0)).toBe(Number.NEGATIVE_INFINITY);
});
