// Pooling by its definition, in doubles and in the order of the tokens: the oracle of the op poolRows.

import type { Pooling } from '../../../src/ops/rowwise/pool-rows.js';

/** Sums up the states of a text's tokens, as far as its pooling looks at them. */
export class PooledStates {
  readonly #sums: Float64Array;
  readonly #length: number;
  readonly #pooling: Pooling;
  #row = 0;

  constructor(dim: number, length: number, pooling: Pooling) {
    this.#sums = new Float64Array(dim);
    this.#length = length;
    this.#pooling = pooling;
  }

  /** The states of the next tokens, f32 [tokens, dim]. */
  add(rows: Float32Array): void {
    const sums = this.#sums;
    const { pooling } = this.#pooling;
    for (let at = 0; at < rows.length; at += sums.length, this.#row++) {
      if (pooling === 'first' && this.#row > 0) continue;
      if (pooling === 'last' && this.#row < this.#length - 1) continue;
      for (let column = 0; column < sums.length; column++) {
        sums[column] = (sums[column] as number) + (rows[at + column] as number);
      }
    }
  }

  vector(): Float32Array {
    const { pooling, normalize, dimensions } = this.#pooling;
    const sums = this.#sums.subarray(0, dimensions);
    const count = pooling === 'mean' ? this.#length : 1;
    const scale = normalize ? Math.sqrt(sums.reduce((sum, value) => sum + value * value, 0)) : count;
    return Float32Array.from(sums, (value) => (scale === 0 ? 0 : value / scale));
  }
}
