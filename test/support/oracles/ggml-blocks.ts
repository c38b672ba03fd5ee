// GGUF's block types in plain float64, one element at a time, and random blocks of each: the oracle of all quantized
// kernels and models. Written from ggml's definition (ggml-common.h), independent of our kernels.
import { halfFromNumber, halfToNumber } from '../../../src/tensor/elements/half.js';
import { Numbers } from '../numbers.js';

export type BlockType =
  | 'Q4_0'
  | 'Q4_1'
  | 'Q5_0'
  | 'Q5_1'
  | 'Q8_0'
  | 'Q2_K'
  | 'Q3_K'
  | 'Q4_K'
  | 'Q5_K'
  | 'Q6_K'
  | 'IQ4_NL'
  | 'IQ4_XS';

export interface BlockLayout {
  /** Elements in a block. */
  readonly elements: number;
  readonly sizeBytes: number;
  /**
   * The offset in a block of the half-precision scale, and that of the scale of the minima, where the type has minima.
   */
  readonly scaleAt: number;
  readonly minimumAt?: number;
  /** Whether the quotients are spread around zero (then a scale may well be negative). */
  readonly centred: boolean;
  /** Element `index` of the block that begins at byte `at`. */
  element(bytes: Uint8Array, at: number, index: number): number;
}

/** The sixteen values of IQ4_NL and IQ4_XS. */
export const iq4Values = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

function byte(bytes: Uint8Array, at: number): number {
  const value = bytes[at];
  if (value === undefined) throw new RangeError(`byte ${at} of ${bytes.length}`);
  return value;
}

function signedByte(bytes: Uint8Array, at: number): number {
  return (byte(bytes, at) << 24) >> 24;
}

function half(bytes: Uint8Array, at: number): number {
  return halfToNumber(byte(bytes, at) | (byte(bytes, at + 1) << 8));
}

/** Bit `index` of a run of bits, the lowest bit of the first byte first. */
function bit(bytes: Uint8Array, at: number, index: number): number {
  return (byte(bytes, at + (index >> 3)) >> (index & 7)) & 1;
}

/** In blocks of 32: the low nibbles of 16 bytes are elements 0 to 15, the high ones 16 to 31. */
function nibble32(bytes: Uint8Array, at: number, index: number): number {
  return (byte(bytes, at + (index % 16)) >> (index < 16 ? 0 : 4)) & 15;
}

/** Q4_K and Q5_K: 32 bytes contain 64 elements, the low nibbles first. */
function nibble64(bytes: Uint8Array, at: number, index: number): number {
  return (byte(bytes, at + (index >> 6) * 32 + (index % 32)) >> (index & 32 ? 4 : 0)) & 15;
}

/** Q2_K and Q3_K: 32 bytes contain 128 elements, the lowest two bits first. */
function pair128(bytes: Uint8Array, at: number, index: number): number {
  return (byte(bytes, at + (index >> 7) * 32 + (index % 32)) >> (((index >> 5) & 3) * 2)) & 3;
}

/** Q4_K and Q5_K: scale and minimum of one of 8 groups, 6 bits each in 12 bytes. */
function scaleAndMinimum(bytes: Uint8Array, at: number, group: number): [scale: number, minimum: number] {
  if (group < 4) return [byte(bytes, at + group) & 63, byte(bytes, at + 4 + group) & 63];
  const nibbles = byte(bytes, at + 4 + group);
  const scaleTop = byte(bytes, at + group - 4) >> 6;
  const minimumTop = byte(bytes, at + group) >> 6;
  return [(nibbles & 15) | (scaleTop << 4), (nibbles >> 4) | (minimumTop << 4)];
}

/** Q3_K: the scale of one of 16 groups, 6 bits in 12 bytes: eight bytes of nibbles, four of the upper two bits. */
function scaleOfQ3(bytes: Uint8Array, at: number, group: number): number {
  const low = (byte(bytes, at + (group % 8)) >> (group < 8 ? 0 : 4)) & 15;
  const high = (byte(bytes, at + 8 + (group % 4)) >> ((group >> 2) * 2)) & 3;
  return (low | (high << 4)) - 32;
}

export const blockLayouts: Readonly<Record<BlockType, BlockLayout>> = {
  // half d, nibbles[16]
  Q4_0: {
    elements: 32,
    sizeBytes: 18,
    scaleAt: 0,
    centred: true,
    element: (bytes, at, i) => half(bytes, at) * (nibble32(bytes, at + 2, i) - 8),
  },
  // half d, half m, nibbles[16]
  Q4_1: {
    elements: 32,
    sizeBytes: 20,
    scaleAt: 0,
    minimumAt: 2,
    centred: false,
    element: (bytes, at, i) => half(bytes, at) * nibble32(bytes, at + 4, i) + half(bytes, at + 2),
  },
  // half d, fifth bits[4], nibbles[16]
  Q5_0: {
    elements: 32,
    sizeBytes: 22,
    scaleAt: 0,
    centred: true,
    element: (bytes, at, i) => half(bytes, at) * (nibble32(bytes, at + 6, i) + 16 * bit(bytes, at + 2, i) - 16),
  },
  // half d, half m, fifth bits[4], nibbles[16]
  Q5_1: {
    elements: 32,
    sizeBytes: 24,
    scaleAt: 0,
    minimumAt: 2,
    centred: false,
    element: (bytes, at, i) =>
      half(bytes, at) * (nibble32(bytes, at + 8, i) + 16 * bit(bytes, at + 4, i)) + half(bytes, at + 2),
  },
  // half d, int8[32]
  Q8_0: {
    elements: 32,
    sizeBytes: 34,
    scaleAt: 0,
    centred: true,
    element: (bytes, at, i) => half(bytes, at) * signedByte(bytes, at + 2 + i),
  },
  // (scale, minimum) nibbles[16], pairs[64], half d, half dmin
  Q2_K: {
    elements: 256,
    sizeBytes: 84,
    scaleAt: 80,
    minimumAt: 82,
    centred: false,
    element(bytes, at, i) {
      const group = byte(bytes, at + (i >> 4));
      return half(bytes, at + 80) * (group & 15) * pair128(bytes, at + 16, i) - half(bytes, at + 82) * (group >> 4);
    },
  },
  // third bits[32], pairs[64], scales[12], half d
  Q3_K: {
    elements: 256,
    sizeBytes: 110,
    scaleAt: 108,
    centred: true,
    element(bytes, at, i) {
      // The third bit of element i is bit i / 32 of byte i % 32.
      const third = (byte(bytes, at + (i % 32)) >> (i >> 5)) & 1;
      const quotient = pair128(bytes, at + 32, i) + 4 * third - 4;
      return half(bytes, at + 108) * scaleOfQ3(bytes, at + 96, i >> 4) * quotient;
    },
  },
  // half d, half dmin, scales[12], nibbles[128]
  Q4_K: {
    elements: 256,
    sizeBytes: 144,
    scaleAt: 0,
    minimumAt: 2,
    centred: false,
    element(bytes, at, i) {
      const [scale, minimum] = scaleAndMinimum(bytes, at + 4, i >> 5);
      return half(bytes, at) * scale * nibble64(bytes, at + 16, i) - half(bytes, at + 2) * minimum;
    },
  },
  // half d, half dmin, scales[12], fifth bits[32], nibbles[128]
  Q5_K: {
    elements: 256,
    sizeBytes: 176,
    scaleAt: 0,
    minimumAt: 2,
    centred: false,
    element(bytes, at, i) {
      const [scale, minimum] = scaleAndMinimum(bytes, at + 4, i >> 5);
      // The fifth bit of element i is bit i / 32 of byte i % 32.
      const fifth = (byte(bytes, at + 16 + (i % 32)) >> (i >> 5)) & 1;
      const quotient = nibble64(bytes, at + 48, i) + 16 * fifth;
      return half(bytes, at) * scale * quotient - half(bytes, at + 2) * minimum;
    },
  },
  // low nibbles[128], upper pairs[64], int8 scales[16], half d
  Q6_K: {
    elements: 256,
    sizeBytes: 210,
    scaleAt: 208,
    centred: true,
    element(bytes, at, i) {
      // Of each 128 elements: 64 bytes of nibbles, the low ones for elements 0 to 63, and 32 bytes of four pairs.
      const [upper, within] = [i >> 7, i % 128];
      const low = (byte(bytes, at + upper * 64 + (within % 64)) >> (within < 64 ? 0 : 4)) & 15;
      const high = pair128(bytes, at + 128, i);
      return half(bytes, at + 208) * signedByte(bytes, at + 192 + (i >> 4)) * ((low | (high << 4)) - 32);
    },
  },
  // half d, nibbles[16], indices of a table
  IQ4_NL: {
    elements: 32,
    sizeBytes: 18,
    scaleAt: 0,
    centred: true,
    element: (bytes, at, i) => half(bytes, at) * (iq4Values[nibble32(bytes, at + 2, i)] as number),
  },
  // half d, upper pairs of the scales (u16), low nibbles of the scales[4], nibbles[128], indices of a table
  IQ4_XS: {
    elements: 256,
    sizeBytes: 136,
    scaleAt: 0,
    centred: true,
    element(bytes, at, i) {
      const group = i >> 5;
      const low = (byte(bytes, at + 4 + (group >> 1)) >> (group & 1 ? 4 : 0)) & 15;
      const high = (byte(bytes, at + 2 + (group >> 2)) >> ((group % 4) * 2)) & 3;
      const value = iq4Values[nibble32(bytes, at + 8 + group * 16, i % 32)] as number;
      return half(bytes, at) * ((low | (high << 4)) - 32) * value;
    },
  },
};

export const blockTypes = Object.keys(blockLayouts) as BlockType[];

/** Bytes of `elements` elements, which must be whole blocks. */
export function blocksSizeBytes(type: BlockType, elements: number): number {
  const format = blockLayouts[type];
  if (elements % format.elements !== 0) throw new RangeError(`${elements} elements are no whole blocks of ${type}`);
  return (elements / format.elements) * format.sizeBytes;
}

/** All elements of a run of blocks, in float64. */
export function decodeBlocks(type: BlockType, bytes: Uint8Array): Float64Array {
  const format = blockLayouts[type];
  if (bytes.length % format.sizeBytes !== 0) throw new RangeError(`${bytes.length} bytes are no blocks of ${type}`);
  const values = new Float64Array((bytes.length / format.sizeBytes) * format.elements);
  for (let to = 0, at = 0; to < values.length; to += format.elements, at += format.sizeBytes) {
    for (let index = 0; index < format.elements; index++) values[to + index] = format.element(bytes, at, index);
  }
  return values;
}

export interface RandomBlocksOptions {
  readonly seed?: number;
  /** The root mean square of the elements, approximately. */
  readonly size?: number;
}

/**
 * Blocks of random bits with finite scales, whose elements have the wanted magnitude around zero: a different scale for
 * each block, sometimes negative where the type allows that. The same options give the same bytes.
 */
export function randomBlocks(
  type: BlockType,
  blocks: number,
  { seed = 1, size = 1 }: RandomBlocksOptions = {},
): Uint8Array {
  const numbers = new Numbers(seed);
  const unit = size / unitSize(type);
  return makeBlocks(type, blocks, numbers, () => {
    const sign = blockLayouts[type].centred && numbers.next() < 0.5 ? -1 : 1;
    return sign * unit * (0.5 + numbers.next());
  });
}

/** Random blocks of a matrix [rows, columns] whose product with a vector has about the vector's magnitude. */
export function randomBlockMatrix(type: BlockType, rows: number, columns: number, seed = 1): Uint8Array {
  const blocksPerRow = columns / blockLayouts[type].elements;
  if (!Number.isInteger(blocksPerRow)) throw new RangeError(`rows of ${columns} are no whole blocks of ${type}`);
  return randomBlocks(type, rows * blocksPerRow, { seed, size: 1 / Math.sqrt(columns) });
}

function makeBlocks(type: BlockType, blocks: number, numbers: Numbers, nextScale: () => number): Uint8Array {
  const { sizeBytes, scaleAt, minimumAt } = blockLayouts[type];
  const bytes = new Uint8Array(blocks * sizeBytes);
  for (let index = 0; index < bytes.length; index++) bytes[index] = numbers.integer(0, 255);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += sizeBytes) {
    const scale = nextScale();
    view.setUint16(at + scaleAt, halfFromNumber(scale), true);
    if (minimumAt !== undefined) view.setUint16(at + minimumAt, halfFromNumber(scale * minimumPerScale(type)), true);
  }
  return bytes;
}

/** The minimum that makes the mean of random elements zero. */
function minimumPerScale(type: BlockType): number {
  switch (type) {
    case 'Q4_1':
      return -7.5;
    case 'Q5_1':
      return -15.5;
    case 'Q2_K':
      return 1.5;
    case 'Q4_K':
      return 7.5;
    case 'Q5_K':
      return 15.5;
    default:
      return 0;
  }
}

const unitSizes = new Map<BlockType, number>();

/** The root mean square of random elements whose scale is 1. */
function unitSize(type: BlockType): number {
  let size = unitSizes.get(type);
  if (size === undefined) {
    const values = decodeBlocks(
      type,
      makeBlocks(type, 64, new Numbers(0), () => 1),
    );
    size = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
    unitSizes.set(type, size);
  }
  return size;
}
