// Byte-pair merging of one word: always the pair of lowest rank first, of equal ones the leftmost, as llama.cpp and
// Hugging Face tokenizers do. A linked list of symbols and a heap of candidate pairs make it n log n in the word's
// length, and it can pause at any point. Called by byte-level-bpe.ts; knows nothing of text or words.
import type { MergeTable } from './merge-table.js';

/** Positions take the low 32 bits of a candidate's key, ranks the 21 bits above, up to 2^53. */
const RANK_UNIT = 2 ** 32;
export const MAX_MERGES = 2 ** 21;
const NONE = -1;

/** Takes a word's tokens in order. */
export interface TokenSink {
  push(id: number): void;
}

export class BpeMerger {
  readonly #merges: MergeTable;
  /** Token of the symbol at each position; NONE where a merge has swallowed it. */
  readonly #ids: Int32Array;
  readonly #previous: Int32Array;
  readonly #next: Int32Array;
  /** Binary heap of rank * RANK_UNIT + position of the left symbol. Holds stale candidates; see run(). */
  readonly #heap: Float64Array;
  #length = 0;
  #heapSize = 0;
  /** Where collect() goes on. */
  #collected = 0;

  /** @param capacity the most symbols that a word may begin with */
  constructor(merges: MergeTable, capacity: number) {
    this.#merges = merges;
    this.#ids = new Int32Array(capacity);
    this.#previous = new Int32Array(capacity);
    this.#next = new Int32Array(capacity);
    // At most one candidate for each neighbouring pair, and each of fewer than `capacity` merges takes one and adds two.
    this.#heap = new Float64Array(2 * capacity);
  }

  /** Begins a new word, to which at least one symbol must be appended. */
  reset(): void {
    this.#length = 0;
    this.#heapSize = 0;
    this.#collected = 0;
  }

  /** Adds a symbol at the end of the word. */
  append(id: number): void {
    const at = this.#length++;
    this.#ids[at] = id;
    this.#previous[at] = at - 1;
    this.#next[at] = NONE;
    if (at === 0) return;
    this.#next[at - 1] = at;
    this.#offer(at - 1, this.#ids[at - 1] as number, id);
  }

  /** Takes at most `steps` candidates. @returns whether nothing is left to merge */
  run(steps: number): boolean {
    const { left, right, merged } = this.#merges;
    for (let step = 0; step < steps; step++) {
      if (this.#heapSize === 0) return true;
      const key = this.#take();
      const rank = Math.floor(key / RANK_UNIT);
      const at = key - rank * RANK_UNIT;
      // A candidate is stale when one of its symbols has changed since; the pair that now stands here has its own.
      const taken = this.#next[at] as number;
      if (this.#ids[at] !== left[rank] || taken === NONE || this.#ids[taken] !== right[rank]) continue;
      this.#merge(at, taken, merged[rank] as number);
    }
    return this.#heapSize === 0;
  }

  /** Appends at most `steps` of the word's tokens to `ids`. @returns whether that was the last of them */
  collect(steps: number, ids: TokenSink): boolean {
    let at = this.#collected;
    for (let step = 0; step < steps && at !== NONE; step++) {
      ids.push(this.#ids[at] as number);
      at = this.#next[at] as number;
    }
    this.#collected = at;
    return at === NONE;
  }

  #merge(at: number, taken: number, id: number): void {
    const before = this.#previous[at] as number;
    const after = this.#next[taken] as number;
    this.#ids[at] = id;
    this.#ids[taken] = NONE;
    this.#next[at] = after;
    if (before !== NONE) this.#offer(before, this.#ids[before] as number, id);
    if (after === NONE) return;
    this.#previous[after] = at;
    this.#offer(at, id, this.#ids[after] as number);
  }

  #offer(at: number, left: number, right: number): void {
    const rank = this.#merges.rankOf(left, right);
    if (rank >= 0) this.#put(rank * RANK_UNIT + at);
  }

  #put(key: number): void {
    const heap = this.#heap;
    let at = this.#heapSize++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((heap[parent] as number) <= key) break;
      heap[at] = heap[parent] as number;
      at = parent;
    }
    heap[at] = key;
  }

  #take(): number {
    const heap = this.#heap;
    const smallest = heap[0] as number;
    const size = --this.#heapSize;
    const key = heap[size] as number;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && (heap[child + 1] as number) < (heap[child] as number)) child += 1;
      if ((heap[child] as number) >= key) break;
      heap[at] = heap[child] as number;
      at = child;
    }
    heap[at] = key;
    return smallest;
  }
}
