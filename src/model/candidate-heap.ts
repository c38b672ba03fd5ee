// Gives token ids from the highest logit down, of equal ones the lowest id first. Filling it is linear in the number of
// logits and each id taken logarithmic, so that choosing among few of many never sorts them all. Called by sampler.ts.

export class CandidateHeap {
  #logits: Float32Array = new Float32Array(0);
  /** A binary heap in front; behind it, the ids that were taken, the first one last. */
  #ids = new Int32Array(0);
  #size = 0;

  /** How many ids are left. */
  get size(): number {
    return this.#size;
  }

  /** Begins anew with all ids of `logits`, which must not change until the last one is taken. */
  fill(logits: Float32Array): this {
    const count = logits.length;
    if (this.#ids.length < count) this.#ids = new Int32Array(count);
    this.#logits = logits;
    this.#size = count;
    for (let id = 0; id < count; id++) this.#ids[id] = id;
    for (let at = (count >> 1) - 1; at >= 0; at--) this.#sink(at, this.#ids[at] as number);
    return this;
  }

  /** Takes the best candidate. */
  take(): number {
    const ids = this.#ids;
    const best = ids[0] as number;
    this.#size -= 1;
    const last = ids[this.#size] as number;
    ids[this.#size] = best;
    if (this.#size > 0) this.#sink(0, last);
    return best;
  }

  /** The candidate that was taken as number `rank`, from 0 on. */
  taken(rank: number): number {
    return this.#ids[this.#logits.length - 1 - rank] as number;
  }

  #sink(start: number, id: number): void {
    const ids = this.#ids;
    let at = start;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.#size) break;
      if (child + 1 < this.#size && this.#isBetter(ids[child + 1] as number, ids[child] as number)) child += 1;
      if (!this.#isBetter(ids[child] as number, id)) break;
      ids[at] = ids[child] as number;
      at = child;
    }
    ids[at] = id;
  }

  #isBetter(a: number, b: number): boolean {
    const difference = (this.#logits[a] as number) - (this.#logits[b] as number);
    // The difference of two infinities is NaN, and ranks as equal.
    return difference > 0 || (!(difference < 0) && a < b);
  }
}
