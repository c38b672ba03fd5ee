// The encoders of GGUF blocks against the float64 block oracle: the error for all kinds of groups and source types, and
// refusals. native/test has the tests of tiles and bits.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Engine } from '../../../src/engine.js';
import {
  type QuantizeSource,
  type QuantizeTarget,
  quantizeBlocks,
} from '../../../src/ops/quantized/quantize-blocks.js';
import { halfFromNumber, halfToNumber } from '../../../src/tensor/elements/half.js';
import { Numbers } from '../../support/numbers.js';
import { type BlockType, blockLayouts, decodeBlocks, randomBlocks } from '../../support/oracles/ggml-blocks.js';
import { expectRejection } from '../../support/rejections.js';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.create({ threads: 2 });
});
afterAll(async () => {
  await engine.close();
});

type Target = Exclude<QuantizeTarget, 'F16'>;
const targets: Target[] = ['Q4_0', 'Q5_0', 'Q5_1', 'Q8_0', 'Q4_K', 'Q5_K', 'Q6_K'];

async function encode(values: ArrayBufferView, from: QuantizeSource, to: QuantizeTarget): Promise<Uint8Array> {
  const bytes = new Int8Array(values.buffer, values.byteOffset, values.byteLength);
  using x = engine.tensor([bytes.length], 'i8', bytes);
  using out = await engine.call(quantizeBlocks, { x, from, to });
  return Uint8Array.from(out.toArray() as Int8Array);
}

/** Sum of squared differences over sum of squares. */
function error(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let difference = 0;
  let power = 0;
  for (let index = 0; index < expected.length; index++) {
    difference += ((actual[index] as number) - (expected[index] as number)) ** 2;
    power += (expected[index] as number) ** 2;
  }
  return difference / power;
}

/** Normally distributed values, like the weights of trained models, about. */
function normals(count: number, seed: number): Float32Array {
  const numbers = new Numbers(seed);
  return Float32Array.from({ length: count }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - numbers.next()));
    return 0.02 * radius * Math.cos(2 * Math.PI * numbers.next());
  });
}

describe('the error of normally distributed weights', () => {
  // The errors of ggml's quantizers on the same values. Ours are as good; a much lower one would be a mistake of this test.
  const ofGgml: Record<Target, number> = {
    Q4_0: 0.0073587,
    Q5_0: 0.0018128,
    Q5_1: 0.0014233,
    Q8_0: 0.000028523,
    Q4_K: 0.0050616,
    Q5_K: 0.0012979,
    Q6_K: 0.00031417,
  };
  const values = normals(1 << 18, 5);

  test.each(targets)('%s', async (to) => {
    const ratio = error(decodeBlocks(to, await encode(values, 'F32', to)), values) / ofGgml[to];
    expect(ratio).toBeLessThan(1.02);
    expect(ratio).toBeGreaterThan(0.9);
  });
});

describe.each(targets)('%s', (to) => {
  const { elements } = blockLayouts[to];

  test('values that the integers of a block represent exactly are kept', async () => {
    // Decoded blocks of one scale whose integers include both ends of the range: the search must find them again.
    const values = new Float32Array(4 * elements);
    const most = { Q4_0: 15, Q5_0: 31, Q5_1: 31, Q8_0: 254, Q4_K: 15, Q5_K: 31, Q6_K: 63 }[to];
    const numbers = new Numbers(2);
    for (let index = 0; index < values.length; index++) {
      const integer = index % 16 < 2 ? (index % 2) * most : numbers.integer(0, most);
      values[index] = (integer - Math.ceil(most / 2)) * 0.25;
    }
    expect(error(decodeBlocks(to, await encode(values, 'F32', to)), values)).toBeLessThan(1e-6);
  });

  test('f16 and bf16 elements give the same blocks as their values in f32', async () => {
    const values = normals(8 * elements, 6);
    const halves = Uint16Array.from(values, halfFromNumber);
    const widened = Float32Array.from(halves, halfToNumber);
    expect(await encode(halves, 'F16', to)).toEqual(await encode(widened, 'F32', to));
    const bfloats = Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16);
    const ofBfloats = new Float32Array(Uint32Array.from(bfloats, (bits) => bits << 16).buffer);
    expect(await encode(bfloats, 'BF16', to)).toEqual(await encode(ofBfloats, 'F32', to));
  });

  test('zeros stay zeros, and a group of large values does not affect the precision of others', async () => {
    const values = normals(4 * elements, 7);
    values.fill(0, elements, 2 * elements);
    for (let index = 2 * elements; index < 2 * elements + 16; index++) values[index] = 1000 * (values[index] as number);
    const decoded = decodeBlocks(to, await encode(values, 'F32', to));
    expect(decoded.subarray(elements, 2 * elements).every((value) => value === 0)).toBe(true);
    expect(error(decoded.subarray(3 * elements), values.subarray(3 * elements))).toBeLessThan(0.02);
    expect(error(decoded.subarray(0, elements), values.subarray(0, elements))).toBeLessThan(0.02);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e38])('%d is refused', async (value) => {
    const values = normals(4 * elements, 8);
    values[3 * elements - 1] = value;
    await expectRejection(encode(values, 'F32', to), 'ERR_ARGUMENT', /NaN, infinite, or too large/);
  });

  test('half a block is refused', async () => {
    await expectRejection(encode(new Float32Array(elements + 1), 'F32', to), 'ERR_SHAPE', /whole blocks/);
  });
});

test('F16 rounds to nearest', async () => {
  const values = normals(1000, 9);
  const halves = new Uint16Array((await encode(values, 'F32', 'F16')).buffer);
  expect(halves).toEqual(Uint16Array.from(values, halfFromNumber));
});

test('encoding decoded random blocks again loses no more than the rounding of their integers', async () => {
  for (const to of targets as BlockType[] as Target[]) {
    const values = Float32Array.from(decodeBlocks(to, randomBlocks(to, 64, { seed: 4 })));
    expect(error(decodeBlocks(to, await encode(values, 'F32', to)), values), to).toBeLessThan(0.01);
  }
});
