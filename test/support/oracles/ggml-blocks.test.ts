// Tests of the block oracle itself: blocks made by hand, every group and every bit of each block type, and random
// blocks.
import { describe, expect, test } from 'vitest';
import { tensorTypeCodes, tensorTypes } from '../../../src/checkpoint/gguf/tensor-types.js';
import { halfFromNumber, halfToNumber } from '../../../src/tensor/elements/half.js';
import {
  type BlockType,
  blockLayouts,
  blocksSizeBytes,
  blockTypes,
  decodeBlocks,
  iq4Values,
  randomBlockMatrix,
  randomBlocks,
} from './ggml-blocks.js';

/** Little-endian halves of the given numbers. */
function halves(...values: number[]): number[] {
  return values.flatMap((value) => [halfFromNumber(value) & 255, halfFromNumber(value) >> 8]);
}

function bytesOf(count: number, byteAt: (index: number) => number): number[] {
  return Array.from({ length: count }, (_, index) => byteAt(index));
}

function decode(type: BlockType, bytes: number[]): number[] {
  return [...decodeBlocks(type, Uint8Array.from(bytes))];
}

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

test('sizes are those of the format', () => {
  for (const type of blockTypes) {
    const known = tensorTypes.get(tensorTypeCodes.get(type) as number);
    expect({ type, elements: blockLayouts[type].elements, bytes: blockLayouts[type].sizeBytes }).toEqual({
      type,
      elements: known?.blockElements,
      bytes: known?.blockBytes,
    });
  }
  expect(blockTypes).toHaveLength(12);
  expect(blocksSizeBytes('Q6_K', 512)).toBe(420);
  expect(() => blocksSizeBytes('Q6_K', 128)).toThrow(RangeError);
});

describe('blocks of 32', () => {
  // Byte j has j in its low nibble and 15 - j in its high one.
  const nibbles = bytesOf(16, (j) => j | ((15 - j) << 4));
  const quotients = [...upTo(16), ...upTo(16).reverse()];

  test('Q4_0', () => {
    expect(decode('Q4_0', [...halves(0.5), ...nibbles])).toEqual(quotients.map((q) => (q - 8) * 0.5));
  });

  test('Q4_1', () => {
    expect(decode('Q4_1', [...halves(0.5, -3), ...nibbles])).toEqual(quotients.map((q) => q * 0.5 - 3));
  });

  // The fifth bits of elements 0, 9, 16 and 31.
  const fifth = [0x01, 0x02, 0x01, 0x80];
  const isHigh = (index: number) => [0, 9, 16, 31].includes(index);

  test('Q5_0', () => {
    const expected = quotients.map((q, index) => (q + (isHigh(index) ? 16 : 0) - 16) * 2);
    expect(decode('Q5_0', [...halves(2), ...fifth, ...nibbles])).toEqual(expected);
  });

  test('Q5_1', () => {
    const expected = quotients.map((q, index) => (q + (isHigh(index) ? 16 : 0)) * 2 + 0.25);
    expect(decode('Q5_1', [...halves(2, 0.25), ...fifth, ...nibbles])).toEqual(expected);
  });

  test('Q8_0', () => {
    const bytes = bytesOf(32, (j) => (j === 31 ? 0x80 : j === 30 ? 0x7f : (256 - j) & 255));
    const expected = upTo(32).map((j) => (j === 31 ? -128 : j === 30 ? 127 : 0 - j) * -0.125);
    expect(decode('Q8_0', [...halves(-0.125), ...bytes])).toEqual(expected);
  });

  test('IQ4_NL', () => {
    const expected = [...iq4Values, ...[...iq4Values].reverse()].map((value) => value * 0.5);
    expect(decode('IQ4_NL', [...halves(0.5), ...nibbles])).toEqual(expected);
  });
});

describe('blocks of 256', () => {
  // Chosen so that each group of 32 elements differs from the others, and each element from its neighbours.
  const twoBits = bytesOf(
    64,
    (j) => (j % 4) | (((j >> 2) % 4) << 2) | ((j < 32 ? 1 : 2) << 4) | ((j < 32 ? 3 : 0) << 6),
  );
  const pairs = upTo(256).map((i) => {
    const [upper, quarter, l] = [i >> 7, (i >> 5) % 4, i % 32];
    if (quarter === 0) return l % 4;
    if (quarter === 1) return (l >> 2) % 4;
    if (quarter === 2) return upper === 0 ? 1 : 2;
    return upper === 0 ? 3 : 0;
  });
  // Byte j < 128: 64 elements from 32 bytes.
  const fourBits = bytesOf(128, (j) => (j % 16) | ((j >> 5) << 4));
  const nibbles = upTo(256).map((i) => ((i >> 5) % 2 === 0 ? i % 16 : i >> 6));

  test('Q2_K', () => {
    const scales = bytesOf(16, (group) => group | ((15 - group) << 4));
    const expected = pairs.map((q, i) => 0.5 * (i >> 4) * q - 0.25 * (15 - (i >> 4)));
    expect(decode('Q2_K', [...scales, ...twoBits, ...halves(0.5, 0.25)])).toEqual(expected);
  });

  test('Q3_K', () => {
    // Scales 3 g + 1 - 32 of 16 groups: nibbles of groups 0-7 low and 8-15 high, upper bits two and two.
    const scale = (group: number) => 3 * group + 1;
    const low = bytesOf(8, (j) => (scale(j) & 15) | ((scale(j + 8) & 15) << 4));
    const high = bytesOf(4, (j) =>
      upTo(4).reduce((bits, quarter) => bits | ((scale(j + 4 * quarter) >> 4) << (2 * quarter)), 0),
    );
    // The third bit is set in elements whose 32 is even and whose place in it is not a multiple of 3.
    const mask = bytesOf(32, (j) => (j % 3 === 0 ? 0 : 0b01010101));
    const expected = pairs.map((q, i) => {
      const isSet = (i >> 5) % 2 === 0 && (i % 32) % 3 !== 0;
      return 2 * (scale(i >> 4) - 32) * (isSet ? q : q - 4) + 0;
    });
    const actual = decode('Q3_K', [...mask, ...twoBits, ...low, ...high, ...halves(2)]);
    expect(actual.map((value) => value + 0)).toEqual(expected);
  });

  // Scales 9, 11 … and minima 63, 60 … of 8 groups in 12 bytes.
  const scale = (group: number) => 9 + 7 * group;
  const minimum = (group: number) => 63 - 5 * group;
  const scales = [
    ...bytesOf(4, (j) => scale(j) | ((scale(j + 4) >> 4) << 6)),
    ...bytesOf(4, (j) => minimum(j) | ((minimum(j + 4) >> 4) << 6)),
    ...bytesOf(4, (j) => (scale(j + 4) & 15) | ((minimum(j + 4) & 15) << 4)),
  ];

  test('Q4_K', () => {
    const expected = nibbles.map((q, i) => 0.5 * scale(i >> 5) * q - 2 * minimum(i >> 5));
    expect(decode('Q4_K', [...halves(0.5, 2), ...scales, ...fourBits])).toEqual(expected);
  });

  test('Q5_K', () => {
    // Byte j has the fifth bits of elements j, j + 32 …: here of those 32s whose number equals j % 8.
    const fifth = bytesOf(32, (j) => 1 << (j % 8));
    const expected = nibbles.map((q, i) => {
      const isSet = (i % 32) % 8 === i >> 5;
      return 0.5 * scale(i >> 5) * (q + (isSet ? 16 : 0)) - 2 * minimum(i >> 5);
    });
    expect(decode('Q5_K', [...halves(0.5, 2), ...scales, ...fifth, ...fourBits])).toEqual(expected);
  });

  test('Q6_K', () => {
    const low = bytesOf(128, (j) => (j % 16) | (((j * 5) % 16) << 4));
    const groupScale = (group: number) => (group % 2 === 0 ? group + 1 : -8 * group);
    const scaleBytes = bytesOf(16, (group) => groupScale(group) & 255);
    const expected = upTo(256).map((i) => {
      const [upper, within] = [i >> 7, i % 128];
      const j = upper * 64 + (within % 64);
      const lowBits = within < 64 ? j % 16 : (j * 5) % 16;
      return 0.25 * groupScale(i >> 4) * (lowBits + 16 * (pairs[i] as number) - 32);
    });
    expect(decode('Q6_K', [...low, ...twoBits, ...scaleBytes, ...halves(0.25)])).toEqual(expected);
  });

  test('IQ4_XS', () => {
    const groupScale = (group: number) => 9 * group;
    const high = upTo(8).reduce((bits, group) => bits | ((groupScale(group) >> 4) << (2 * group)), 0);
    const low = bytesOf(4, (j) => (groupScale(2 * j) & 15) | ((groupScale(2 * j + 1) & 15) << 4));
    const table = bytesOf(128, (j) => (j % 16) | (((j + (j >> 4)) % 16) << 4));
    const expected = upTo(256).map((i) => {
      const j = (i >> 5) * 16 + (i % 16);
      const number = i % 32 < 16 ? j % 16 : (j + (j >> 4)) % 16;
      return 0.5 * (groupScale(i >> 5) - 32) * (iq4Values[number] as number);
    });
    expect(decode('IQ4_XS', [...halves(0.5), high & 255, high >> 8, ...low, ...table])).toEqual(expected);
  });
});

test('blocks follow one another, and half blocks are refused', () => {
  const blocks = randomBlocks('Q5_K', 3, { seed: 7 });
  const second = decodeBlocks('Q5_K', blocks.subarray(176, 352));
  expect(decodeBlocks('Q5_K', blocks).subarray(256, 512)).toEqual(second);
  expect(() => decodeBlocks('Q5_K', blocks.subarray(1))).toThrow(RangeError);
});

test.each(blockTypes)('random blocks of %s are finite, of the wanted size, around zero, and seeded', (type) => {
  const { sizeBytes, scaleAt, elements } = blockLayouts[type];
  const bytes = randomBlocks(type, 65_536 / elements, { seed: 3, size: 0.1 });
  const values = decodeBlocks(type, bytes);
  const size = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  expect(size).toBeGreaterThan(0.09);
  expect(size).toBeLessThan(0.12);
  expect(Math.abs(mean)).toBeLessThan(0.02);
  const scale = (block: number) =>
    halfToNumber(
      (bytes[block * sizeBytes + scaleAt] as number) | ((bytes[block * sizeBytes + scaleAt + 1] as number) << 8),
    );
  expect(new Set(upTo(8).map(scale)).size).toBeGreaterThan(4);
  expect(randomBlocks(type, 65_536 / elements, { seed: 3, size: 0.1 })).toEqual(bytes);
  expect(randomBlocks(type, 65_536 / elements, { seed: 4, size: 0.1 })).not.toEqual(bytes);
});

test('a random matrix keeps the size of a vector', () => {
  const values = decodeBlocks('Q4_K', randomBlockMatrix('Q4_K', 16, 512));
  expect(values).toHaveLength(16 * 512);
  expect(values.reduce((sum, value) => sum + value * value, 0) / 16).toBeGreaterThan(0.7);
  expect(() => randomBlockMatrix('Q4_K', 16, 128)).toThrow(RangeError);
});
