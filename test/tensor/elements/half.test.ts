// src/tensor/elements/half.ts, exhaustively against the rules of IEEE 754: every value, every tie, both sides of every tie.
import { describe, expect, test } from 'vitest';
import {
  bfloatFromNumber,
  bfloatToNumber,
  halfFromNumber,
  halfToNumber,
  narrowAll,
  sixteenBitFormats,
  widenAll,
} from '../../../src/tensor/elements/half.js';

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
  expect([65519, 65520, 65536, 65552, 1e9].map(halfFromNumber)).toEqual([0x7bff, 0x7c00, 0x7c00, 0x7c00, 0x7c00]);
});

test('known values of bfloat16', () => {
  expect(bfloatToNumber(0x3f80)).toBe(1);
  expect(bfloatToNumber(0xc000)).toBe(-2);
  expect(bfloatToNumber(0x7f7f)).toBe(2 ** 128 - 2 ** 120);
  expect(bfloatToNumber(0x0080)).toBe(2 ** -126);
  expect(bfloatToNumber(0x0001)).toBe(2 ** -133);
  expect(bfloatToNumber(0x7f80)).toBe(Number.POSITIVE_INFINITY);
  expect(bfloatToNumber(0x8000)).toBe(-0);
  expect(bfloatFromNumber(1 / 3)).toBe(0x3eab);
  expect([2 ** 128, -(2 ** 128), 1e300].map(bfloatFromNumber)).toEqual([0x7f80, 0xff80, 0x7f80]);
});

describe.each([
  { name: 'f16', infinity: 0x7c00, nan: 0x7e00, afterLast: 2 ** 16 },
  { name: 'bf16', infinity: 0x7f80, nan: 0x7fc0, afterLast: 2 ** 128 },
] as const)('every value of $name', ({ name, infinity, nan, afterLast }) => {
  const { toNumber, fromNumber } = sixteenBitFormats[name];

  test('is unchanged after conversion to a number and back', () => {
    for (let bits = 0; bits <= 0xffff; bits++) {
      const value = toNumber(bits);
      if ((bits & 0x7fff) > infinity) {
        expect(value).toBeNaN();
        expect(fromNumber(value)).toBe(nan);
      } else if (fromNumber(value) !== bits || Math.fround(value) !== value) {
        expect.fail(`0x${bits.toString(16)} became ${value} and 0x${fromNumber(value).toString(16)}`);
      }
    }
  });

  test('grows with its bits', () => {
    for (let bits = 1; bits <= infinity; bits++) {
      if (!(toNumber(bits) > toNumber(bits - 1))) expect.fail(`0x${bits.toString(16)}`);
    }
  });

  test('is rounded to, ties to even, from both sides of every tie', () => {
    for (let bits = 0; bits < infinity; bits++) {
      const below = toNumber(bits);
      // The step after the largest finite value has the size that a further exponent would give it.
      const above = bits + 1 === infinity ? afterLast : toNumber(bits + 1);
      const tie = (below + above) / 2;
      const little = (above - below) * 2 ** -40;
      const even = bits % 2 === 0 ? bits : bits + 1;
      for (const sign of [0, 0x8000]) {
        const signed = sign === 0 ? 1 : -1;
        const rounded = [tie - little, tie, tie + little].map((value) => fromNumber(signed * value) - sign);
        if (rounded[0] !== bits || rounded[1] !== even || rounded[2] !== bits + 1) {
          expect.fail(`around 0x${bits.toString(16)}: ${rounded.map((other) => other.toString(16))}`);
        }
      }
    }
  });
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
  narrowAll(sixteenBitFormats.f16, [1, -2, 0.5], halves);
  expect([...halves]).toEqual([0x3c00, 0xc000, 0x3800]);
  const floats = new Float32Array(3);
  widenAll(sixteenBitFormats.f16, halves, floats);
  expect([...floats]).toEqual([1, -2, 0.5]);
});
