// The exponential function with the same bits on every machine and JavaScript engine (Math.exp may differ in the last
// place): it uses additions and multiplications only, which IEEE 754 rounds exactly. Called by the sampler, since a
// seed must give the same tokens everywhere, and by logprobs.ts. Kernels have their own.

const INVERSE_LN2 = Math.LOG2E;
/** ln 2 in two parts. The first has 32 significant bits, so its multiples are exact. */
const LN2_HIGH = 0.6931471803691238;
const LN2_LOW = 1.9082149292705877e-10;
/** Below this the result would be subnormal. */
const SMALLEST = -708;
/** 1/n! from n = 13 down to 0. The next term is below half a unit in the last place. */
const coefficients = Float64Array.from({ length: 14 }, (_, i) => 1 / factorial(13 - i));

function factorial(n: number): number {
  return n < 2 ? 1 : n * factorial(n - 1);
}

const powerOfTwo = new DataView(new ArrayBuffer(8));

/** e to the power of `x`, for `x` up to 0, to about one unit in the last place; 0 where it would be subnormal. */
export function portableExp(x: number): number {
  if (x < SMALLEST) return 0;
  const power = Math.round(x * INVERSE_LN2);
  const rest = x - power * LN2_HIGH - power * LN2_LOW;
  let sum = 0;
  for (let i = 0; i < coefficients.length; i++) sum = sum * rest + (coefficients[i] as number);
  powerOfTwo.setUint32(0, (power + 1023) << 20);
  return sum * powerOfTwo.getFloat64(0);
}
