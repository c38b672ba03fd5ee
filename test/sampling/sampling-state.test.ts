// What a request keeps between its tokens: the window of the penalties against a naive count, biases in order, and random
// numbers that are used up by tokens alone.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RandomSource } from '../../src/sampling/random.js';
import { SamplingState } from '../../src/sampling/sampling-state.js';
import { TokenWindow } from '../../src/sampling/token-window.js';

function naiveCounts(history: readonly number[], length: number): [number, number][] {
  const counts = new Map<number, number>();
  for (const id of history.slice(-length)) counts.set(id, (counts.get(id) ?? 0) + 1);
  return [...counts].sort(([a], [b]) => a - b);
}

function countsOf({ pairs, size }: TokenWindow): [number, number][] {
  return Array.from({ length: size }, (_, i) => [pairs[2 * i] as number, pairs[2 * i + 1] as number]);
}

describe('the window', () => {
  const counted = (length: number, ...batches: readonly (readonly number[])[]) => {
    const window = new TokenWindow(length);
    for (const batch of batches) window.acceptAll(batch);
    expect(countsOf(window)).toEqual(naiveCounts(batches.flat(), length));
    return window;
  };
  const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

  test('of a few tokens forgets the oldest ones', () => {
    const window = new TokenWindow(3);
    const seen: number[] = [];
    for (const id of [5, 2, 5, 9, 2, 2, 2, 7, 5, 9, 1]) {
      window.accept(id);
      seen.push(id);
      expect(countsOf(window)).toEqual(naiveCounts(seen, 3));
    }
    expect(counted(1, [4, 4, 3]).size).toBe(1);
  });

  test('has room for 64 different tokens, and grows by twice as much', () => {
    const window = counted(1000, upTo(64));
    expect(window.pairs).toHaveLength(2 * 64);
    window.accept(7);
    expect(window.pairs).toHaveLength(2 * 64);
    window.accept(64);
    expect(window.pairs).toHaveLength(2 * 128);
    expect(countsOf(window)).toEqual(naiveCounts([...upTo(64), 7, 64], 1000));
    // The ids of a long prompt may all differ: there is room for as many.
    expect(counted(1000, upTo(300)).pairs).toHaveLength(2 * 300);
    expect(counted(1000, upTo(65)).pairs).toHaveLength(2 * 128);
  });

  test('takes a long prompt at once, and what follows it one by one', () => {
    const long = upTo(200).map((i) => (i * 37) % 50);
    for (const length of [1, 64, 65, 150, 199, 200, 201, 1000]) {
      counted(length, long);
      counted(length, long, [3, 3, 60]);
      counted(length, [3, 60], long);
      counted(length, long, long, long);
      const window = counted(length, long.slice(0, 65));
      for (const id of long) window.accept(id);
      expect(countsOf(window)).toEqual(naiveCounts([...long.slice(0, 65), ...long], length));
    }
  });
});

test('the window counts the last tokens, by id, however they come', () => {
  const length = fc.oneof(fc.integer({ min: 1, max: 100 }), fc.constantFrom(500, 2 ** 40));
  const ids = fc.oneof(fc.nat({ max: 5 }), fc.nat({ max: 1000 }));
  const batches = fc.array(fc.array(ids, { maxLength: 300 }), { maxLength: 4 });
  fc.assert(
    fc.property(length, batches, fc.array(ids, { maxLength: 150 }), (most, prompts, text) => {
      const window = new TokenWindow(most);
      for (const prompt of prompts) window.acceptAll(prompt);
      const history = prompts.flat();
      for (const id of text) {
        expect(countsOf(window)).toEqual(naiveCounts(history, most));
        window.accept(id);
        history.push(id);
      }
      expect(countsOf(window)).toEqual(naiveCounts(history, most));
      expect(window.pairs.buffer).toBeInstanceOf(SharedArrayBuffer);
    }),
  );
});

describe('the state', () => {
  test('draws one number for each token that is chosen', () => {
    const state = new SamplingState({ temperature: 1, seed: 5 });
    const source = new RandomSource(5);
    for (let token = 0; token < 5; token++) {
      const next = source.next();
      // A step that fails is run again with the same number.
      expect([state.random, state.random]).toEqual([next, next]);
      state.acceptChosen(token);
    }
  });

  test('draws none for a prompt, and none at temperature 0', () => {
    const state = new SamplingState({ temperature: 1, seed: 5, presencePenalty: 1 });
    state.acceptPrompt([1, 2, 2]);
    expect(state.random).toBe(new RandomSource(5).next());
    expect([...(state.window?.pairs.subarray(0, 4) ?? [])]).toEqual([1, 1, 2, 2]);
    const greedy = new SamplingState({ seed: 5 });
    greedy.acceptPrompt([1, 2]);
    greedy.acceptChosen(3);
    expect([greedy.random, greedy.window]).toEqual([0, undefined]);
  });

  test('has biases by id, and those of one id in the order that they came in', () => {
    const entries = [
      ['7', 1],
      [3, -2],
      [7, 0.5],
    ] as unknown as [number, number][];
    const { biases } = new SamplingState({ logitBias: new Map(entries) }, 8);
    expect([...(biases ?? [])]).toEqual([3, -2, 7, 1, 7, 0.5]);
    expect(new SamplingState({ logitBias: {} }).biases).toBeUndefined();
  });

  test('refuses options out of their range', () => {
    expect(() => new SamplingState({ topP: 0 })).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }));
    expect(() => new SamplingState({ logitBias: { 8: 1 } }, 8)).toThrow(/logitBias/);
  });
});
