// Merges the symbols of one word like SentencePiece's BPE: of all neighbouring pairs that form a token, always the one
// with the highest score, the leftmost among equals. Takes n log n time in the word's length, and can pause at any
// point. Called by sentencepiece.ts.
import { MergeQueue } from '../bpe/merge-queue.js';
import type { TokenSink } from '../token-buffer.js';
import type { TokenTable } from '../vocabulary/token-table.js';

const NONE = -1;

export interface ScoredTokens {
  readonly ids: TokenTable;
  /** By id; NaN for tokens that no pair may form. */
  readonly scores: Float32Array;
  /** By id: whether text may become this token. */
  readonly isText: Uint8Array;
  /** The length of the longest token in bytes. */
  readonly longest: number;
}

export class ScoreMerger {
  readonly #tokens: ScoredTokens;
  /** Where the symbol at each position begins in the word; it ends where the next one begins. */
  readonly #starts: Int32Array;
  readonly #previous: Int32Array;
  readonly #next: Int32Array;
  /** The score of the token that each symbol forms with its right neighbour; NaN if they form none. */
  readonly #pairScores: Float32Array;
  readonly #queue: MergeQueue;
  #bytes: Uint8Array = new Uint8Array(0);
  #length = 0;
  #collected = 0;

  /** @param capacity the longest word, in bytes */
  constructor(tokens: ScoredTokens, capacity: number) {
    this.#tokens = tokens;
    this.#starts = new Int32Array(capacity);
    this.#previous = new Int32Array(capacity);
    this.#next = new Int32Array(capacity);
    this.#pairScores = new Float32Array(capacity);
    this.#queue = new MergeQueue(2 * capacity);
  }

  /** Begins a word, given as UTF-8. Its characters are then added by {@link append}. */
  begin(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.#length = 0;
    this.#collected = 0;
    this.#queue.clear();
  }

  /** Adds at most `steps` characters from a byte on. @returns the byte after them */
  append(from: number, steps: number): number {
    const bytes = this.#bytes;
    let start = from;
    for (let step = 0; step < steps && start < bytes.length; step++) {
      const at = this.#length++;
      this.#starts[at] = start;
      this.#previous[at] = at - 1;
      this.#next[at] = NONE;
      this.#pairScores[at] = Number.NaN;
      start = characterEnd(bytes, start);
      if (at === 0) continue;
      this.#next[at - 1] = at;
      this.#offer(at - 1, start);
    }
    return start;
  }

  /** Processes at most `steps` candidates. @returns whether nothing is left to merge */
  run(steps: number): boolean {
    const queue = this.#queue;
    for (let step = 0; step < steps; step++) {
      if (queue.isEmpty) return true;
      queue.take();
      const at = queue.place;
      // A candidate is stale if the pair at its place has changed since.
      if (this.#pairScores[at] === -queue.priority) this.#merge(at, this.#next[at] as number);
    }
    return queue.isEmpty;
  }

  /**
   * Appends the tokens of at most `steps` symbols to `ids`; `spell` is called for a symbol without a token.
   * @returns whether these were the last
   */
  collect(steps: number, ids: TokenSink, spell: (bytes: Uint8Array, start: number, end: number) => void): boolean {
    let at = this.#collected;
    for (let step = 0; step < steps && at !== NONE; step++) {
      const start = this.#starts[at] as number;
      const end = this.#endOf(at);
      const id = this.#tokens.ids.find(this.#bytes, start, end);
      if (id < 0 || this.#tokens.isText[id] === 0) spell(this.#bytes, start, end);
      else ids.push(id);
      at = this.#next[at] as number;
    }
    this.#collected = at;
    return at === NONE;
  }

  #merge(at: number, taken: number): void {
    const after = this.#next[taken] as number;
    this.#next[at] = after;
    this.#pairScores[taken] = Number.NaN;
    this.#pairScores[at] = Number.NaN;
    const before = this.#previous[at] as number;
    if (before !== NONE) this.#offer(before, this.#endOf(at));
    if (after === NONE) return;
    this.#previous[after] = at;
    this.#offer(at, this.#endOf(after));
  }

  #endOf(at: number): number {
    const next = this.#next[at] as number;
    return next === NONE ? this.#bytes.length : (this.#starts[next] as number);
  }

  /** Queues the pair of the symbol at `at` and its right neighbour, which ends at byte `end`, if it forms a token. */
  #offer(at: number, end: number): void {
    const { ids, scores, longest } = this.#tokens;
    const start = this.#starts[at] as number;
    const id = end - start > longest ? -1 : ids.find(this.#bytes, start, end);
    const score = id < 0 ? Number.NaN : (scores[id] as number);
    this.#pairScores[at] = score;
    if (!Number.isNaN(score)) this.#queue.put(-score, at);
  }
}

/** The end of the UTF-8 character that begins at a byte. */
export function characterEnd(bytes: Uint8Array, start: number): number {
  const first = bytes[start] as number;
  if (first < 0x80) return start + 1;
  return Math.min(start + (first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4), bytes.length);
}
