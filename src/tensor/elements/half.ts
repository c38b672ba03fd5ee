// The 16-bit floating-point formats in JavaScript: bits to numbers and back. Only for what users read and write through
// Tensor; kernels convert with instructions of their own.

/** A binary floating-point format of IEEE 754's kind, in 16 bits. */
export interface SixteenBitFormat {
  /** The bits nearest to a number (ties to even, straight from float64, so never rounded twice). NaN is a quiet one. */
  fromNumber(value: number): number;
  /** The number that the bits stand for. */
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
  /** From here on numbers round to infinity: halfway between the largest and what would come after it. */
  const overflow = (2 - 2 ** -(mantissaBits + 1)) * 2 ** bias;
  /** By exponent field: what one unit of the mantissa is worth; the subnormal field 0 is worth as much as 1. */
  const unitOfField = Float64Array.from({ length: lastField }, (_, field) => {
    return 2 ** (Math.max(field, 1) - bias - mantissaBits);
  });
  /** By exponent counted from the smallest: how many such units make 1. */
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
      // A normal number's units include the hidden one, which counts the exponent field up by one, as does a carry.
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
