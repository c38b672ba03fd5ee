// bench/random-model/random-weights.ts: the number, the mean and the variance of the weights in every type.
import { describe, expect, test } from 'vitest';
import { fits, randomMatrix, type WeightType } from '../../../bench/random-model/random-weights.js';
import { halfToNumber } from '../../../src/tensor/elements/half.js';
import { type BlockType, decodeBlocks } from '../../support/oracles/ggml-blocks.js';

const types: readonly WeightType[] = ['F32', 'F16', 'Q8_0', 'Q5_0', 'Q4_0', 'Q4_K'];

function valuesOf(type: WeightType, pieces: Iterable<ArrayBufferView>): number[] {
  return [...pieces].flatMap((piece) => {
    if (piece instanceof Float32Array) return [...piece];
    if (piece instanceof Uint16Array) return Array.from(piece, halfToNumber);
    const bytes = new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength);
    return [...decodeBlocks(type as BlockType, bytes)];
  });
}

describe.each(types)('weights in %s', (type) => {
  const [rows, columns] = [300, 1024];
  const values = valuesOf(type, randomMatrix(type, rows, columns, 5));

  test('are as many as asked for, around zero, with variance 1 / columns', () => {
    expect(values.length).toBe(rows * columns);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(0.02 / Math.sqrt(columns));
    expect(Math.abs(variance * columns - 1)).toBeLessThan(0.03);
  });

  test('are the same from the same seed, and others from another', () => {
    expect(valuesOf(type, randomMatrix(type, rows, columns, 5))).toEqual(values);
    expect(valuesOf(type, randomMatrix(type, rows, columns, 6))).not.toEqual(values);
  });
});

test('finds the types of which a row is whole blocks', () => {
  expect(types.filter((type) => fits(type, 576))).toEqual(['F32', 'F16', 'Q8_0', 'Q5_0', 'Q4_0']);
  expect(types.filter((type) => fits(type, 33))).toEqual(['F32', 'F16']);
});
