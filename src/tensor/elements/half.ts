// Conversion between numbers and the 16-bit floating-point formats in JavaScript. Used where JavaScript reads and writes
// elements; kernels convert with CPU instructions.

/** A 16-bit binary floating-point format in the manner of IEEE 754. */
export interface SixteenBitFormat {
  /** The bits of the nearest value, ties to even. Rounded directly from float64, so only once. NaN becomes a quiet NaN. */
  fromNumber(value: number): number;
  /** The value of the bits. */
  toNumber(bits: number): number;
}

const signBit = 0x8000;
const bits = new Float64Array(1);
const words = new Uint32Array(bits.buffer);
const highWord = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 1 : 0;

function makeFormat(exponentBits: number, mantissaBits: number): SixteenBitFormat {
  const bias = 2 ** (exponentBits - 1) - 1;
  const smallestExponent = 1 - bias;
  const lastField = 2 ** exponentBits - 1;
  const infinity = lastField << mantissaBits;
  const nan = infinity | (1 << (mantissaBits - 1));
  const hidden = 2 ** mantissaBits;
  /** The least number that rounds to infinity: halfway between the largest value and the next step. */
  const overflow = (2 - 2 ** -(mantissaBits + 1)) * 2 ** bias;
  /** By exponent field: the value of one unit of the mantissa. Field 0 (subnormal) has the same as field 1. */
  const unitOfField = Float64Array.from({ length: lastField }, (_, field) => {
    return 2 ** (Math.max(field, 1) - bias - mantissaBits);
  });
  /** By exponent, counted from the smallest: how many units of the mantissa make 1. */
  const unitsPerOne = Float64Array.from({ length: 2 * bias }, (_, above) => {
    return 2 ** (mantissaBits - smallestExponent - above);
  });

  return {
    fromNumber(value) {
      if (Number.isNaN(value)) return nan;
      bits[0] = value;
      const high = words[highWord] as number;
      const sign = (high >>> 16) & signBit;
      const magnitude = Math.abs(value);
      if (magnitude >= overflow) return sign | infinity;
      const above = Math.max(((high >>> 20) & 0x7ff) - 1023 - smallestExponent, 0);
      // Scaling by a power of two is exact; adding 2^52 rounds to an integer, ties to even.
      const units = magnitude * (unitsPerOne[above] as number) + 2 ** 52 - 2 ** 52;
      // The units of a normal number include the hidden bit, which adds one to the exponent field, as a carry does.
      return sign | ((above << mantissaBits) + units);
    },
    toNumber(half) {
      const field = (half >>> mantissaBits) & lastField;
      const mantissa = half & (hidden - 1);
      const sign = half & signBit ? -1 : 1;
      if (field === lastField) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
      return sign * (field === 0 ? mantissa : mantissa + hidden) * (unitOfField[field] as number);
    },
  };
}

/** By element type: IEEE 754 half precision, and bfloat16, the upper half of a float. */
export const sixteenBitFormats = { f16: makeFormat(5, 10), bf16: makeFormat(8, 7) } as const;

export const { fromNumber: halfFromNumber, toNumber: halfToNumber } = sixteenBitFormats.f16;
export const { fromNumber: bfloatFromNumber, toNumber: bfloatToNumber } = sixteenBitFormats.bf16;

/** Rounds `source` into `target`, element by element; both have the same length. */
export function narrowAll(format: SixteenBitFormat, source: ArrayLike<number>, target: Uint16Array): void {
  for (let index = 0; index < target.length; index++) target[index] = format.fromNumber(source[index] as number);
}

/** Widens `source` into `target`, element by element; both have the same length. */
export function widenAll(format: SixteenBitFormat, source: ArrayLike<number>, target: Float32Array): void {
  for (let index = 0; index < target.length; index++) target[index] = format.toNumber(source[index] as number);
}
