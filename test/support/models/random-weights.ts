// The data of random tensors for model files: seeded, in chunks, in every type that can be loaded. Does not depend on
// the model. Used by random-llama.ts and random-model.ts.
import type { GgufTensorSource } from '../../../src/checkpoint/gguf/write-gguf.js';
import { narrowAll, type SixteenBitFormat, sixteenBitFormats } from '../../../src/tensor/elements/half.js';
import { type BlockType, blockLayouts, blockTypes, randomBlocks } from '../oracles/ggml-blocks.js';

export type WeightType = 'F32' | 'F16' | 'BF16' | BlockType;

/** Marsaglia's xorshift32, which is good enough for weights. Gives numbers in [-1, 1). */
export function randomSource(seed: number): () => number {
  let state = Math.imul(seed, 0x9e3779b1) || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state / 2 ** 31;
  };
}

export interface Spread {
  readonly center: number;
  readonly spread: number;
  readonly seed: number;
}

const chunkElements = 1 << 18;
/** A prime: when blocks repeat after so many, rows still differ. */
const chunkBlocks = 4093;

/** A tensor of uniform random numbers around `center`. Quantized types are centred at 0. */
export function randomTensor(
  name: string,
  type: WeightType,
  shape: readonly number[],
  spread: Spread,
): GgufTensorSource {
  const count = shape.reduce((product, size) => product * size, 1);
  if ((blockTypes as readonly string[]).includes(type)) {
    return { name, type, shape, data: blocks(type as BlockType, count, spread) };
  }
  const floats = randomFloats(count, spread);
  if (type === 'F32') return { name, type, shape, data: floats };
  return { name, type, shape, data: narrowed(floats, sixteenBitFormats[type === 'F16' ? 'f16' : 'bf16']) };
}

/** Uniform random floats in chunks; each iteration starts from the beginning. */
function randomFloats(count: number, { center, spread, seed }: Spread): Iterable<Float32Array> {
  return {
    *[Symbol.iterator]() {
      const random = randomSource(seed);
      for (let left = count; left > 0; left -= chunkElements) {
        const chunk = new Float32Array(Math.min(left, chunkElements));
        for (let i = 0; i < chunk.length; i++) chunk[i] = center + spread * random();
        yield chunk;
      }
    },
  };
}

function narrowed(chunks: Iterable<Float32Array>, format: SixteenBitFormat): Iterable<Uint16Array> {
  return {
    *[Symbol.iterator]() {
      for (const chunk of chunks) {
        const bits = new Uint16Array(chunk.length);
        narrowAll(format, chunk, bits);
        yield bits;
      }
    },
  };
}

function blocks(type: BlockType, count: number, { spread, seed }: Spread): Iterable<Uint8Array> {
  const { elements, sizeBytes } = blockLayouts[type];
  if (count % elements !== 0) throw new RangeError(`${count} elements are no whole blocks of ${type}`);
  return {
    *[Symbol.iterator]() {
      // Root mean square of numbers that are uniform within the spread.
      const size = spread / Math.sqrt(3);
      const total = count / elements;
      const chunk = randomBlocks(type, Math.min(total, chunkBlocks), { seed, size });
      for (let left = total; left > 0; left -= chunkBlocks) {
        yield chunk.subarray(0, Math.min(left, chunkBlocks) * sizeBytes);
      }
    },
  };
}
