// Byte-pair merging of one word: always the pair of lowest rank first, of equal ones the leftmost, as llama.cpp and
// Hugging Face tokenizers do. A linked list of symbols and a queue of candidate pairs make it n log n in the word's
// length, and it can pause at any point. Called by byte-level-bpe.ts; knows nothing of text or words.
import { MergeQueue } from './merge-queue.js';
import type { MergeTable } from './merge-table.js';

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
  /** Ranks and positions of left symbols. Holds stale candidates; see run(). */
  readonly #queue: MergeQueue;
  #length = 0;
  /** Where collect() goes on. */
  #collected = 0;

  /** @param capacity the most symbols that a word may begin with */
  constructor(merges: MergeTable, capacity: number) {
    this.#merges = merges;
    this.#ids = new Int32Array(capacity);
    this.#previous = new Int32Array(capacity);
    this.#next = new Int32Array(capacity);
    // At most one candidate for each neighbouring pair, and each of fewer than `capacity` merges takes one and adds two.
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

  /** Takes at most `steps` candidates. @returns whether nothing is left to merge */
  run(steps: number): boolean {
    const { left, right, merged } = this.#merges;
    const queue = this.#queue;
    for (let step = 0; step < steps; step++) {
      if (queue.isEmpty) return true;
      queue.take();
      const { priority: rank, place: at } = queue;
      // A candidate is stale when one of its symbols has changed since; the pair that now stands here has its own.
      const taken = this.#next[at] as number;
      if (this.#ids[at] !== left[rank] || taken === NONE || this.#ids[taken] !== right[rank]) continue;
      this.#merge(at, taken, merged[rank] as number);
    }
    return queue.isEmpty;
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
    if (rank >= 0) this.#queue.put(rank, at);
  }
}
