// Numbers for tests: seeded random values, and the difference of a result from an oracle's. Used by the tests of ops,
// programs and models.
import { sixteenBitFormats } from '../../src/tensor/elements/half.js';

/** Random numbers from a seed, the same in every run (mulberry32). */
export class Numbers {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** Uniform in [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** An integer from `low` to `high`, both included. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  /** f32 values in [-scale, scale). */
  floats(count: number, scale = 1): Float32Array {
    return Float32Array.from({ length: count }, () => (2 * this.next() - 1) * scale);
  }

  /** Small integers, as f32: sums of their products are exact. */
  smallIntegers(count: number, most = 4): Float32Array {
    return Float32Array.from({ length: count }, () => this.integer(-most, most));
  }

  integers(count: number, low: number, high: number): Int32Array {
    return Int32Array.from({ length: count }, () => this.integer(low, high));
  }
}

/** The values of a 16-bit type nearest to the given ones. */
export function roundedToHalf(values: Float32Array, dtype: keyof typeof sixteenBitFormats = 'f16'): Float32Array {
  const { fromNumber, toNumber } = sixteenBitFormats[dtype];
  return values.map((value) => toNumber(fromNumber(value)));
}

/** Normalised mean squared error: Σ(actual - expected)² / Σ expected²; infinite when only one of them is finite. */
export function normalisedError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let error = 0;
  let power = 0;
  for (let index = 0; index < expected.length; index++) {
    const wanted = expected[index] as number;
    const got = actual[index] as number;
    if (Object.is(got, wanted) || got === wanted || (Number.isNaN(got) && Number.isNaN(wanted))) {
      if (Number.isFinite(wanted)) power += wanted ** 2;
      continue;
    }
    if (!Number.isFinite(wanted) || !Number.isFinite(got)) return Number.POSITIVE_INFINITY;
    error += (got - wanted) ** 2;
    power += wanted ** 2;
  }
  return error === 0 ? 0 : error / power;
}

/** Position and values of the first difference in bits, or undefined where there is none. */
export function firstBitDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): string | undefined {
  if (actual.length !== expected.length) return `${actual.length} elements instead of ${expected.length}`;
  if (actual instanceof Float32Array && expected instanceof Float32Array && hasSameWords(actual, expected))
    return undefined;
  for (let index = 0; index < expected.length; index++) {
    if (Object.is(actual[index], expected[index])) continue;
    return `element ${index} is ${actual[index]} instead of ${expected[index]}`;
  }
  return undefined;
}

function hasSameWords(actual: Float32Array, expected: Float32Array): boolean {
  const own = new Uint32Array(actual.buffer, actual.byteOffset, actual.length);
  const wanted = new Uint32Array(expected.buffer, expected.byteOffset, expected.length);
  for (let index = 0; index < own.length; index++) if (own[index] !== wanted[index]) return false;
  return true;
}
