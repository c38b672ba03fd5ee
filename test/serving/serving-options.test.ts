// The options of serving, and figures of several servers added up.
import { describe, expect, test } from 'vitest';
import {
  addStats,
  noServing,
  type ServingOptions,
  type ServingStats,
  servingOptionsOf,
  sumOfStats,
} from '../../src/serving/serving-options.js';

describe('the options', () => {
  test('have defaults, each of which another value replaces', () => {
    const defaults = { maxQueued: 4096, stepMs: 40, prefixCache: true };
    expect(servingOptionsOf(undefined, 'loadModel')).toEqual(defaults);
    expect(servingOptionsOf({}, 'loadModel')).toEqual(defaults);
    const given = { maxQueued: 1, stepMs: 2, prefixCache: false };
    expect(servingOptionsOf(given, 'loadModel')).toEqual(given);
  });

  test.each<[object, RegExp]>([
    [{ maxQueued: 0 }, /serving\.maxQueued/],
    [{ stepMs: -1 }, /serving\.stepMs/],
    [{ prefixCache: 'no' }, /serving\.prefixCache/],
    [{ steps: 1 }, /no option steps/],
  ])('are checked: %j', (given, message) => {
    const error = { code: 'ERR_ARGUMENT', op: 'loadModel', message: expect.stringMatching(message) };
    expect(() => servingOptionsOf(given as Partial<ServingOptions>, 'loadModel')).toThrow(
      expect.objectContaining(error),
    );
  });
});

describe('the figures of servers', () => {
  const one: ServingStats = {
    queued: 1,
    running: 2,
    pagesUsed: 3,
    pagesCached: 4,
    pagesFree: 50,
    prefixTokens: 5,
    preemptions: 6,
    recomputedTokens: 7,
    steps: 10,
    rowsPerStep: 4,
    computeMs: 8,
    overheadMs: 9,
    declinedTokens: 10,
    expectedWaitMs: 300,
  };

  test('add up, but for free memory, rows per step, and the time to wait', () => {
    const other = { ...one, pagesFree: 20, steps: 30, rowsPerStep: 8, expectedWaitMs: 100 };
    const both = {
      queued: 2,
      running: 4,
      pagesUsed: 6,
      pagesCached: 8,
      pagesFree: 20,
      prefixTokens: 10,
      preemptions: 12,
      recomputedTokens: 14,
      steps: 40,
      rowsPerStep: 7,
      computeMs: 16,
      overheadMs: 18,
      declinedTokens: 20,
      expectedWaitMs: 300,
    };
    expect(addStats(one, other)).toEqual(both);
    expect(sumOfStats([other, one])).toEqual(both);
  });

  test('of one are its own, and of none are zeros', () => {
    expect(sumOfStats([one])).toEqual(one);
    expect(sumOfStats([])).toEqual({ ...noServing, pagesFree: 0 });
    // Servers that have done no step have no rows per step.
    expect(sumOfStats([noServing, noServing])).toEqual({ ...noServing, pagesFree: 0 });
    expect(Object.values(sumOfStats([])).every((value) => value === 0)).toBe(true);
  });
});
