// The natural logarithm with the same bits on every machine and JavaScript engine, like portable-exp.ts: it uses only
// operations that IEEE 754 rounds exactly. Called by sampler.ts and logprobs.ts.

/** ln 2 in two parts. The first has 32 significant bits, so its multiples are exact. */
const LN2_HIGH = 0.6931471803691238;
const LN2_LOW = 1.9082149292705877e-10;
/**
 * 2/(2n+1) from n = 11 down to 0: ln((1+s)/(1-s)) is the sum of these times s^(2n+1). The next term is below half a
 * unit in the last place.
 */
const coefficients = Float64Array.from({ length: 12 }, (_, i) => 2 / (2 * (11 - i) + 1));

const word = new DataView(new ArrayBuffer(8));

/** The logarithm of a positive, normal, finite `x`, to about one unit in the last place; -Infinity for 0. */
export function portableLog(x: number): number {
  if (x === 0) return Number.NEGATIVE_INFINITY;
  word.setFloat64(0, x);
  const high = word.getUint32(0);
  let power = (high >>> 20) - 1023;
  word.setUint32(0, (high & 0xfffff) | 0x3ff00000);
  let mantissa = word.getFloat64(0);
  if (mantissa > Math.SQRT2) {
    mantissa /= 2;
    power += 1;
  }
  const s = (mantissa - 1) / (mantissa + 1);
  const square = s * s;
  let sum = 0;
  for (let i = 0; i < coefficients.length; i++) sum = sum * square + (coefficients[i] as number);
  return power * LN2_HIGH + (power * LN2_LOW + s * sum);
}
