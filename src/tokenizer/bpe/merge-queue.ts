// A priority queue of places where two neighbouring symbols may merge: the lowest priority first, the leftmost place
// among equals. A binary heap in typed arrays. Called by bpe-merger.ts and score-merger.ts.

export class MergeQueue {
  readonly #priorities: Float64Array;
  readonly #places: Int32Array;
  #size = 0;
  /** The priority of the entry that {@link take} removed last, and its place. */
  priority = 0;
  place = 0;

  /** @param capacity the largest number of entries at a time */
  constructor(capacity: number) {
    this.#priorities = new Float64Array(capacity);
    this.#places = new Int32Array(capacity);
  }

  get isEmpty(): boolean {
    return this.#size === 0;
  }

  clear(): void {
    this.#size = 0;
  }

  put(priority: number, place: number): void {
    let at = this.#size++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#isBefore(priority, place, parent)) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#priorities[at] = priority;
    this.#places[at] = place;
  }

  /** Removes the first entry; there must be one. */
  take(): void {
    this.priority = this.#priorities[0] as number;
    this.place = this.#places[0] as number;
    const size = --this.#size;
    const priority = this.#priorities[size] as number;
    const place = this.#places[size] as number;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      const other = child + 1;
      if (other < size && this.#isBefore(this.#priorities[other] as number, this.#places[other] as number, child)) {
        child = other;
      }
      if (this.#isBefore(priority, place, child)) break;
      this.#move(child, at);
      at = child;
    }
    this.#priorities[at] = priority;
    this.#places[at] = place;
  }

  #isBefore(priority: number, place: number, entry: number): boolean {
    const other = this.#priorities[entry] as number;
    return priority < other || (priority === other && place < (this.#places[entry] as number));
  }

  #move(from: number, to: number): void {
    this.#priorities[to] = this.#priorities[from] as number;
    this.#places[to] = this.#places[from] as number;
  }
}
