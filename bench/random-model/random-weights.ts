// Random weights in the tensor types in which models are measured, made part by part, so that a file of gigabytes needs
// little memory. Their mean is zero and their variance 1 / columns, so that activations keep their size.
import { halfFromNumber, narrowAll, sixteenBitFormats } from '../../src/tensor/elements/half.js';

/** The types of {@link randomMatrix}, as GGUF names them. */
export type WeightType = 'F32' | 'F16' | 'Q8_0' | 'Q5_0' | 'Q4_0' | 'Q4_K';

interface BlockLayout {
  readonly blockElements: number;
  readonly blockBytes: number;
  /** Turns random bytes at `at` into a block whose values have the standard deviation `spread`. */
  readonly shape: (bytes: Uint8Array, at: number, spread: number) => void;
}

/** The standard deviation of uniform whole numbers with `levels` values. */
const deviation = (levels: number) => Math.sqrt((levels ** 2 - 1) / 12);

const setHalf = (bytes: Uint8Array, at: number, value: number) => {
  const half = halfFromNumber(value);
  bytes[at] = half & 0xff;
  bytes[at + 1] = half >> 8;
};

const scaled = (blockBytes: number, levels: number): BlockLayout => ({
  blockElements: 32,
  blockBytes,
  // The mean of the quotients is not quite 0, so the sign of the scale is random too.
  shape: (bytes, at, spread) => {
    const sign = ((bytes[at] as number) & 1) === 0 ? 1 : -1;
    setHalf(bytes, at, (sign * spread) / deviation(levels));
  },
});

const blockLayouts: Readonly<Record<Exclude<WeightType, 'F32' | 'F16'>, BlockLayout>> = {
  Q8_0: scaled(34, 256),
  Q5_0: scaled(22, 32),
  Q4_0: scaled(18, 16),
  Q4_K: {
    blockElements: 256,
    blockBytes: 144,
    // Scale and minimum of every 32 values are 32 of 63. Subtracting the minimum centres the quotients 0 to 15.
    shape: (bytes, at, spread) => {
      const scale = 32;
      setHalf(bytes, at, spread / deviation(16) / scale);
      setHalf(bytes, at + 2, (7.5 * spread) / deviation(16) / scale);
      // Low six bits of the first four scales and minima, whose high two bits complete the last four (low nibbles here
      // 0).
      bytes.fill(scale | ((scale >> 4) << 6), at + 4, at + 12);
      bytes.fill(0, at + 12, at + 16);
    },
  },
};

const partElements = 1 << 18;

/** Whether a row of `columns` is whole blocks of the type. */
export function fits(type: WeightType, columns: number): boolean {
  return type === 'F32' || type === 'F16' || columns % blockLayouts[type].blockElements === 0;
}

/** The bytes of a matrix as a file has them, part by part. Each iteration gives the same bytes. */
export function randomMatrix(type: WeightType, rows: number, columns: number, seed: number): Iterable<ArrayBufferView> {
  const spread = 1 / Math.sqrt(columns);
  return {
    *[Symbol.iterator]() {
      const words = xorshift(seed);
      for (let left = rows * columns; left > 0; left -= partElements) {
        yield part(type, Math.min(left, partElements), spread, words);
      }
    },
  };
}

/** f32 values around a centre, for norms and biases. */
export function randomVector(length: number, centre: number, seed: number): Float32Array {
  const words = xorshift(seed);
  return Float32Array.from({ length }, () => centre + (0.1 * words()) / 2 ** 31);
}

function part(type: WeightType, count: number, spread: number, words: () => number): ArrayBufferView {
  if (type === 'F32' || type === 'F16') {
    const factor = (spread * Math.sqrt(3)) / 2 ** 31;
    const values = new Float32Array(count);
    for (let i = 0; i < count; i++) values[i] = words() * factor;
    if (type === 'F32') return values;
    const halves = new Uint16Array(count);
    narrowAll(sixteenBitFormats.f16, values, halves);
    return halves;
  }
  const { blockElements, blockBytes, shape } = blockLayouts[type];
  const sizeBytes = (count / blockElements) * blockBytes;
  const random = new Int32Array(Math.ceil(sizeBytes / 4));
  for (let i = 0; i < random.length; i++) random[i] = words();
  const bytes = new Uint8Array(random.buffer, 0, sizeBytes);
  for (let at = 0; at < sizeBytes; at += blockBytes) shape(bytes, at, spread);
  return bytes;
}

/** Signed whole numbers of 32 bits, by xorshift (Marsaglia 2003). */
function xorshift(seed: number): () => number {
  let state = Math.imul(seed, 0x9e3779b1) || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state;
  };
}
