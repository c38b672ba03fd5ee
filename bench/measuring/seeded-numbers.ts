// Pseudo-random operands, the same in every run. Used by the suites and the peers, whose C++ has the same numbers
// (fill_uniform in bench/peers/native/blas-probe.cpp).

/** Fills with uniform numbers in [-1, 1), by SplitMix32. */
export function fillUniform(values: Float32Array, seed: number): void {
  let state = seed >>> 0;
  for (let i = 0; i < values.length; i++) {
    state = (state + 0x9e3779b9) | 0;
    let bits = state ^ (state >>> 16);
    bits = Math.imul(bits, 0x21f0aaad);
    bits ^= bits >>> 15;
    bits = Math.imul(bits, 0x735a2d97);
    bits ^= bits >>> 15;
    values[i] = (bits >> 8) / 2 ** 23;
  }
}

/** Uniform whole numbers from 0 to `limit - 1`. */
export function integersBelow(limit: number, count: number, seed: number): number[] {
  const uniform = new Float32Array(count);
  fillUniform(uniform, seed);
  return Array.from(uniform, (value) => Math.min(limit - 1, Math.floor(((value + 1) / 2) * limit)));
}
