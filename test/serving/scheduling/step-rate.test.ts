// How long a step is expected to take, by hand: what was measured, between two measurements, and beyond them.
import { describe, expect, test } from 'vitest';
import { StepRate } from '../../../src/serving/scheduling/step-rate.js';

/** After steps of so many rows have taken so many milliseconds. */
function measured(...steps: readonly (readonly [rows: number, ms: number])[]): StepRate {
  const rate = new StepRate();
  for (const [rows, ms] of steps) rate.observe(rows, ms);
  return rate;
}

describe('the expected time of a step', () => {
  test('is unknown before one was measured: then a step has 64 rows, whatever it may take', () => {
    expect(measured().expectedMs(1)).toBeUndefined();
    expect(measured().rowsWithin(0)).toBe(64);
    expect(measured().rowsWithin(1e9)).toBe(64);
  });

  test('is that of the program with as many rows: the middle of the last three, of two the shorter', () => {
    const rate = measured([9, 40]);
    expect([9, 10, 12].map((rows) => rate.expectedMs(rows))).toEqual([40, 40, 40]);
    for (const [rows, ms, expected] of [
      [12, 20, 20],
      [11, 10, 20],
      [10, 90, 20],
      [10, 15, 15],
      [10, 80, 80],
    ] as const) {
      rate.observe(rows, ms);
      expect(rate.expectedMs(12)).toBe(expected);
    }
  });

  test('lies on the line between the nearest programs that were measured', () => {
    const rate = measured([1, 10], [5, 18], [12, 39]);
    expect([2, 3, 4].map((rows) => rate.expectedMs(rows))).toEqual([12, 14, 16]);
    expect([6, 7, 8].map((rows) => rate.expectedMs(rows))).toEqual([21, 24, 27]);
  });

  test('of fewer rows than any that was measured has 32 rows less than no time', () => {
    const rate = measured([32, 64], [64, 1000]);
    expect([1, 8, 28].map((rows) => rate.expectedMs(rows))).toEqual([33, 40, 60]);
  });

  test('of more rows goes on with the slope of the last two measurements', () => {
    expect(measured([1, 10], [5, 30]).expectedMs(8)).toBe(45);
    expect(measured([1, 5], [2, 10], [5, 30]).expectedMs(8)).toBe(30 + (3 * 20) / 3);
  });

  test('doubles with 32 rows more than the only measurement, and grows by a quarter of that at least', () => {
    expect(measured([1, 33]).expectedMs(12)).toBe(44);
    expect(measured([32, 64]).expectedMs(96)).toBe(128);
    const least = 10 / (32 + 5) / 4;
    expect(measured([1, 10], [5, 10]).expectedMs(8)).toBeCloseTo(10 + 3 * least, 12);
    expect(measured([1, 20], [5, 10]).expectedMs(8)).toBeCloseTo(10 + 3 * least, 12);
  });
});

describe('a time that was measured 16 steps ago', () => {
  const repeat = (times: number, rows: number, ms: number) => Array.from({ length: times }, () => [rows, ms] as const);

  test('is at most that for each row of a step of fewer rows since', () => {
    expect(measured([64, 100], ...repeat(15, 32, 20)).expectedMs(64)).toBe(100);
    expect(measured([64, 100], ...repeat(16, 32, 20)).expectedMs(64)).toBe(40);
    expect(measured([64, 30], ...repeat(16, 32, 20)).expectedMs(64)).toBe(30);
    // The least of several.
    expect(measured([64, 100], ...repeat(16, 32, 20), [40, 24], [8, 8]).expectedMs(64)).toBeCloseTo(38.4, 12);
  });

  test('stays if steps of fewer rows were measured before it, or of more rows since', () => {
    expect(measured([32, 20], [64, 100], ...repeat(16, 128, 120)).expectedMs(64)).toBe(100);
  });

  test('so a number of rows that took too long is tried again, and given up again if it still does', () => {
    const rate = measured([64, 100], ...repeat(15, 32, 20));
    expect(rate.rowsWithin(40)).toBeLessThan(64);
    rate.observe(32, 20);
    expect(rate.rowsWithin(40)).toBe(64);
    rate.observe(64, 50);
    rate.observe(64, 50);
    expect(rate.rowsWithin(40)).toBeLessThan(64);
  });
});

describe('the rows of a step', () => {
  test('are the most that are expected to end in time', () => {
    // 1 ms a row, and 32 for the weights.
    const rate = measured([1, 33], [32, 64]);
    expect(rate.rowsWithin(160)).toBe(128);
    expect(rate.rowsWithin(159.9)).toBe(112);
    expect(rate.rowsWithin(1e9)).toBe(256);
  });

  test('are as many as end within four times the time of a single row, however little time there is', () => {
    const rate = measured([1, 33], [32, 64]);
    expect(rate.rowsWithin(1)).toBe(96);
    expect(rate.rowsWithin(131.9)).toBe(96);
  });

  test('are one where two take too long', () => {
    const rate = measured([1, 10], [2, 41]);
    expect(rate.rowsWithin(40)).toBe(1);
    expect(rate.rowsWithin(41)).toBe(2);
  });
});
