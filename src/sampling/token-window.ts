// The window of the penalties: the last tokens of a request, and how often each occurs. Sorted, in shared memory, where
// the kernel `sample` reads it. Called by sampling-state.ts.
import { sharedArray } from '../base/memory/shared-memory.js';

const leastCapacity = 64;

export class TokenWindow {
  /** Pairs of a token's id and count, sorted by id, in [0, 2 · size). Replaced by a larger array when it grows. */
  pairs = shared(leastCapacity);
  /** The number of different tokens. */
  size = 0;
  readonly #length: number;
  /** The last tokens: a ring buffer once there are `length` of them. */
  #ring = new Int32Array(0);
  #seen = 0;

  /** @param length the size of the window, in tokens */
  constructor(length: number) {
    this.#length = length;
  }

  accept(id: number): void {
    if (this.#seen >= this.#ring.length && this.#ring.length < this.#length) this.#growRing(1);
    const at = this.#seen % this.#ring.length;
    if (this.#seen >= this.#length) this.#forget(this.#ring[at] as number);
    this.#ring[at] = id;
    this.#seen += 1;
    this.#count(id);
  }

  /** Adds tokens like {@link accept}, but in less than quadratic time. */
  acceptAll(ids: readonly number[]): void {
    // Earlier tokens would leave the window again.
    const last = ids.length > this.#length ? ids.slice(-this.#length) : ids;
    if (this.#seen > 0 || last.length <= leastCapacity) {
      for (const id of last) this.accept(id);
      return;
    }
    this.#growRing(last.length);
    this.#ring.set(last);
    this.#seen = last.length;
    const sorted = Int32Array.from(last).sort();
    this.#growPairs(sorted.length);
    for (let i = 0; i < sorted.length; i++) {
      if (sorted[i] !== sorted[i - 1]) {
        this.pairs[2 * this.size] = sorted[i] as number;
        this.pairs[2 * this.size + 1] = 0;
        this.size += 1;
      }
      this.pairs[2 * this.size - 1]! += 1;
    }
  }

  #count(id: number): void {
    const at = this.#find(id);
    if (at < this.size && this.pairs[2 * at] === id) {
      this.pairs[2 * at + 1]! += 1;
      return;
    }
    this.#growPairs(this.size + 1);
    this.pairs.copyWithin(2 * at + 2, 2 * at, 2 * this.size);
    this.pairs[2 * at] = id;
    this.pairs[2 * at + 1] = 1;
    this.size += 1;
  }

  #forget(id: number): void {
    const at = this.#find(id);
    this.pairs[2 * at + 1]! -= 1;
    if ((this.pairs[2 * at + 1] as number) > 0) return;
    this.pairs.copyWithin(2 * at, 2 * at + 2, 2 * this.size);
    this.size -= 1;
  }

  /** The index of the first pair with an id of at least `id`. */
  #find(id: number): number {
    let low = 0;
    let high = this.size;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.pairs[2 * middle] as number) < id) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #growRing(by: number): void {
    const least = this.#ring.length + by;
    const grown = new Int32Array(Math.min(this.#length, Math.max(leastCapacity, least, 2 * this.#ring.length)));
    grown.set(this.#ring);
    this.#ring = grown;
  }

  #growPairs(least: number): void {
    if (2 * least <= this.pairs.length) return;
    const grown = shared(Math.max(least, this.pairs.length));
    grown.set(this.pairs);
    this.pairs = grown;
  }
}

function shared(pairs: number): Int32Array<SharedArrayBuffer> {
  return sharedArray(Int32Array, 2 * pairs) as unknown as Int32Array<SharedArrayBuffer>;
}
