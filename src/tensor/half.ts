// IEEE 754 half precision in JavaScript: f16 bits to numbers and back. Only for what users read and write through
// Tensor; kernels convert with instructions of their own.

const HALF_INFINITY = 0x7c00;
const HALF_NAN = 0x7e00;
const HALF_SIGN = 0x8000;
/** From here on numbers round to infinity: halfway between 65504 and what 65536 would be. */
const OVERFLOW = 65520;
const SMALLEST_EXPONENT = -14;

const bits = new Float64Array(1);
const words = new Uint32Array(bits.buffer);
const HIGH_WORD = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 1 : 0;

/** By exponent field: what one unit of the ten mantissa bits is worth; the subnormal field 0 is worth as much as 1. */
const unitOfField = Float64Array.from({ length: 31 }, (_, field) => 2 ** (Math.max(field, 1) - 25));
/** By exponent counted from {@link SMALLEST_EXPONENT}: how many such units make 1. */
const unitsPerOne = Float64Array.from({ length: 30 }, (_, above) => 2 ** (10 - SMALLEST_EXPONENT - above));

/**
 * The f16 bits nearest to a number (ties to even, straight from float64, so never rounded twice). NaN becomes 0x7e00.
 */
export function halfFromNumber(value: number): number {
  if (Number.isNaN(value)) return HALF_NAN;
  bits[0] = value;
  const high = words[HIGH_WORD] as number;
  const sign = (high >>> 16) & HALF_SIGN;
  const magnitude = Math.abs(value);
  if (magnitude >= OVERFLOW) return sign | HALF_INFINITY;
  const above = Math.max(((high >>> 20) & 0x7ff) - 1023 - SMALLEST_EXPONENT, 0);
  // Scaling by a power of two is exact; adding 2^52 rounds to an integer, ties to even.
  const units = magnitude * (unitsPerOne[above] as number) + 2 ** 52 - 2 ** 52;
  // A normal number's units include the implicit 1024, which counts the exponent field up by one, as does a carry.
  return sign | ((above << 10) + units);
}

/** The number that f16 bits stand for. */
export function halfToNumber(half: number): number {
  const field = (half >>> 10) & 0x1f;
  const mantissa = half & 0x3ff;
  const sign = half & HALF_SIGN ? -1 : 1;
  if (field === 31) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (field === 0 ? mantissa : mantissa + 1024) * (unitOfField[field] as number);
}

/** Rounds `source` into `target`, element by element; both have the same length. */
export function halvesFromNumbers(source: ArrayLike<number>, target: Uint16Array): void {
  for (let index = 0; index < target.length; index++) target[index] = halfFromNumber(source[index] as number);
}

/** Widens `source` into `target`, element by element; both have the same length. */
export function halvesToFloats(source: ArrayLike<number>, target: Float32Array): void {
  for (let index = 0; index < target.length; index++) target[index] = halfToNumber(source[index] as number);
}
