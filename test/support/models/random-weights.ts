// The data of random tensors for model files, seeded, in pieces, in every type that files can have. Knows nothing of
// models. Used by the makers of random models.
import type { GgufTensorSource } from '../../../src/checkpoint/gguf/write-gguf.js';
import { narrowAll, type SixteenBitFormat, sixteenBitFormats } from '../../../src/tensor/elements/half.js';
import { type BlockType, blockFormats, blockTypes, randomBlocks } from '../oracles/ggml-blocks.js';

export type WeightType = 'F32' | 'F16' | 'BF16' | BlockType;

/** Marsaglia's xorshift32: all that random weights need. Gives numbers in [-1, 1). */
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

const pieceElements = 1 << 18;
/** A prime: rows of blocks that repeat after so many are not the same rows. */
const pieceBlocks = 4093;

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

/** Uniform random floats in pieces; each iteration begins anew. */
function randomFloats(count: number, { center, spread, seed }: Spread): Iterable<Float32Array> {
  return {
    *[Symbol.iterator]() {
      const random = randomSource(seed);
      for (let left = count; left > 0; left -= pieceElements) {
        const piece = new Float32Array(Math.min(left, pieceElements));
        for (let i = 0; i < piece.length; i++) piece[i] = center + spread * random();
        yield piece;
      }
    },
  };
}

function narrowed(pieces: Iterable<Float32Array>, format: SixteenBitFormat): Iterable<Uint16Array> {
  return {
    *[Symbol.iterator]() {
      for (const piece of pieces) {
        const narrowPiece = new Uint16Array(piece.length);
        narrowAll(format, piece, narrowPiece);
        yield narrowPiece;
      }
    },
  };
}

function blocks(type: BlockType, count: number, { spread, seed }: Spread): Iterable<Uint8Array> {
  const { elements, sizeBytes } = blockFormats[type];
  if (count % elements !== 0) throw new RangeError(`${count} elements are no whole blocks of ${type}`);
  return {
    *[Symbol.iterator]() {
      // Root mean square of numbers that are uniform within the spread.
      const size = spread / Math.sqrt(3);
      const total = count / elements;
      const piece = randomBlocks(type, Math.min(total, pieceBlocks), { seed, size });
      for (let left = total; left > 0; left -= pieceBlocks) {
        yield piece.subarray(0, Math.min(left, pieceBlocks) * sizeBytes);
      }
    },
  };
}
