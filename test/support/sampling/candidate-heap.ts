// A heap that gives positions from the highest key down, the lowest position first among equal keys. Filling takes
// linear time and each take() logarithmic time, so the first few of many candidates are found without sorting all.
// Called by sampler.ts.

export class CandidateHeap {
  #keys: Float64Array = new Float64Array(0);
  /** The heap at the beginning; behind it the taken positions, the first taken one last. */
  #heap = new Int32Array(0);
  #size = 0;
  #count = 0;

  /** How many positions are left to take. */
  get size(): number {
    return this.#size;
  }

  /** Starts over with the first `count` of `keys`, which must not change until the last take(). */
  fill(keys: Float64Array, count: number): this {
    if (this.#heap.length < count) this.#heap = new Int32Array(count);
    this.#keys = keys;
    this.#size = count;
    this.#count = count;
    for (let position = 0; position < count; position++) this.#heap[position] = position;
    for (let at = (count >> 1) - 1; at >= 0; at--) this.#sink(at, this.#heap[at] as number);
    return this;
  }

  /** Removes and returns the position of the highest key; there must be one. */
  take(): number {
    const heap = this.#heap;
    const best = heap[0] as number;
    this.#size -= 1;
    const last = heap[this.#size] as number;
    heap[this.#size] = best;
    if (this.#size > 0) this.#sink(0, last);
    return best;
  }

  /** The position that the take() number `rank` returned, counted from 0. */
  taken(rank: number): number {
    return this.#heap[this.#count - 1 - rank] as number;
  }

  #sink(start: number, position: number): void {
    const heap = this.#heap;
    let at = start;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.#size) break;
      if (child + 1 < this.#size && this.#isBetter(heap[child + 1] as number, heap[child] as number)) child += 1;
      if (!this.#isBetter(heap[child] as number, position)) break;
      heap[at] = heap[child] as number;
      at = child;
    }
    heap[at] = position;
  }

  #isBetter(a: number, b: number): boolean {
    const left = this.#keys[a] as number;
    const right = this.#keys[b] as number;
    return left > right || (left === right && a < b);
  }
}
