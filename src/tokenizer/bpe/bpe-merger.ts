// Merges the symbols of one word by rank: always the pair of the lowest rank, the leftmost among equals, like llama.cpp
// and Hugging Face tokenizers. A linked list of symbols and a queue of candidate pairs make this n log n in the word's
// length, and it can pause at any point. Called by byte-level-bpe.ts.
import type { TokenSink } from '../token-buffer.js';
import { MergeQueue } from './merge-queue.js';
import type { MergeTable } from './merge-table.js';

const NONE = -1;

export class BpeMerger {
  readonly #merges: MergeTable;
  /** The token of the symbol at each position; NONE if it was merged into its left neighbour. */
  readonly #ids: Int32Array;
  readonly #previous: Int32Array;
  readonly #next: Int32Array;
  /** Candidate pairs by rank and position of the left symbol. Some are stale; see run(). */
  readonly #queue: MergeQueue;
  #length = 0;
  /** The position of the next symbol that collect() appends. */
  #collected = 0;

  /** @param capacity the largest number of symbols that may be appended to a word */
  constructor(merges: MergeTable, capacity: number) {
    this.#merges = merges;
    this.#ids = new Int32Array(capacity);
    this.#previous = new Int32Array(capacity);
    this.#next = new Int32Array(capacity);
    // Fewer than `capacity` neighbouring pairs at first; each of fewer than `capacity` merges removes a candidate and
    // adds up to two.
    this.#queue = new MergeQueue(2 * capacity);
  }

  /** Begins a new word, to which at least one symbol must be appended. */
  reset(): void {
    this.#length = 0;
    this.#queue.clear();
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

  /** Processes at most `steps` candidates. @returns whether nothing is left to merge */
  run(steps: number): boolean {
    const { left, right, merged } = this.#merges;
    const queue = this.#queue;
    for (let step = 0; step < steps; step++) {
      if (queue.isEmpty) return true;
      queue.take();
      const { priority: rank, place: at } = queue;
      // A candidate is stale if one of its symbols has changed since; the new pair has a candidate of its own.
      const taken = this.#next[at] as number;
      if (this.#ids[at] !== left[rank] || taken === NONE || this.#ids[taken] !== right[rank]) continue;
      this.#merge(at, taken, merged[rank] as number);
    }
    return queue.isEmpty;
  }

  /** Appends at most `steps` of the word's tokens to `ids`. @returns whether these were the last */
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
    if (rank >= 0) this.#queue.put(rank, at);
  }
}
