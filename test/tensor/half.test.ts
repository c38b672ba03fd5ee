// Half precision against what IEEE 754 says, exhaustively: every half, every tie, and both sides of every tie.
import { expect, test } from 'vitest';
import { halfFromNumber, halfToNumber, halvesFromNumbers, halvesToFloats } from '../../src/tensor/half.js';

const INFINITY_BITS = 0x7c00;

test('known values', () => {
  expect(halfToNumber(0x3c00)).toBe(1);
  expect(halfToNumber(0xc000)).toBe(-2);
  expect(halfToNumber(0x7bff)).toBe(65504);
  expect(halfToNumber(0x0400)).toBe(2 ** -14);
  expect(halfToNumber(0x03ff)).toBe(2 ** -14 - 2 ** -24);
  expect(halfToNumber(0x0001)).toBe(2 ** -24);
  expect(halfToNumber(0x3555)).toBe(0.333251953125);
  expect(halfToNumber(0x7c00)).toBe(Number.POSITIVE_INFINITY);
  expect(halfToNumber(0xfc00)).toBe(Number.NEGATIVE_INFINITY);
  expect(halfToNumber(0x8000)).toBe(-0);
  expect(halfFromNumber(1 / 3)).toBe(0x3555);
});

test('every half survives the way to a number and back', () => {
  for (let half = 0; half <= 0xffff; half++) {
    const value = halfToNumber(half);
    if ((half & 0x7fff) > INFINITY_BITS) {
      expect(value).toBeNaN();
      expect(halfFromNumber(value)).toBe(0x7e00);
    } else if (halfFromNumber(value) !== half || Math.fround(value) !== value) {
      expect.fail(`half 0x${half.toString(16)} became ${value} and 0x${halfFromNumber(value).toString(16)}`);
    }
  }
});

test('halves count up with their bits', () => {
  for (let half = 1; half <= INFINITY_BITS; half++) {
    if (!(halfToNumber(half) > halfToNumber(half - 1))) expect.fail(`0x${half.toString(16)}`);
  }
});

test('rounds to nearest, ties to even, on both sides of every tie', () => {
  for (let half = 0; half < INFINITY_BITS; half++) {
    const below = halfToNumber(half);
    // The step after the largest finite half is counted as if the exponent went on.
    const above = half + 1 === INFINITY_BITS ? 65536 : halfToNumber(half + 1);
    const tie = (below + above) / 2;
    const little = (above - below) * 2 ** -40;
    const even = half % 2 === 0 ? half : half + 1;
    for (const sign of [0, 0x8000]) {
      const signed = sign === 0 ? 1 : -1;
      const rounded = [tie - little, tie, tie + little].map((value) => halfFromNumber(signed * value) - sign);
      if (rounded[0] !== half || rounded[1] !== even || rounded[2] !== half + 1) {
        expect.fail(`around 0x${half.toString(16)}: ${rounded.map((bits) => bits.toString(16))}`);
      }
    }
  }
});

test('extremes', () => {
  expect(halfFromNumber(Number.MAX_VALUE)).toBe(INFINITY_BITS);
  expect(halfFromNumber(Number.NEGATIVE_INFINITY)).toBe(0x8000 | INFINITY_BITS);
  expect(halfFromNumber(Number.MIN_VALUE)).toBe(0);
  expect(halfFromNumber(-Number.MIN_VALUE)).toBe(0x8000);
  expect(halfFromNumber(-0)).toBe(0x8000);
  expect(halfFromNumber(2 ** -25)).toBe(0);
  expect(halfFromNumber(2 ** -25 * (1 + 2 ** -50))).toBe(1);
});

test('array forms', () => {
  const halves = new Uint16Array(3);
  halvesFromNumbers([1, -2, 0.5], halves);
  expect([...halves]).toEqual([0x3c00, 0xc000, 0x3800]);
  const floats = new Float32Array(3);
  halvesToFloats(halves, floats);
  expect([...floats]).toEqual([1, -2, 0.5]);
});
