// Merging of one word as SentencePiece's BPE does it: of all neighbouring symbols that together are a token, always
// those of the highest score first, of equal ones the leftmost. n log n in the word's length, and it can pause at any
// point. Called by sentencepiece.ts.
import type { TokenSink } from '../bpe/bpe-merger.js';
import { MergeQueue } from '../bpe/merge-queue.js';
import type { TokenTable } from '../vocabulary/token-table.js';

const NONE = -1;

export interface ScoredTokens {
  readonly ids: TokenTable;
  /** By id; NaN for tokens that no pair becomes. */
  readonly scores: Float32Array;
  /** By id: whether text may become this token at all. */
  readonly isText: Uint8Array;
  /** The length of the longest token in bytes. */
  readonly longest: number;
}

export class ScoreMerger {
  readonly #tokens: ScoredTokens;
  /** The symbol at each position begins here in the word, and ends where the next one begins. */
  readonly #starts: Int32Array;
  readonly #previous: Int32Array;
  readonly #next: Int32Array;
  /** Score of the token that the symbol and its right neighbour make; NaN when they make none. */
  readonly #pairScores: Float32Array;
  readonly #queue: MergeQueue;
  #bytes: Uint8Array = new Uint8Array(0);
  #length = 0;
  #collected = 0;

  /** @param capacity the most bytes that a word may have */
  constructor(tokens: ScoredTokens, capacity: number) {
    this.#tokens = tokens;
    this.#starts = new Int32Array(capacity);
    this.#previous = new Int32Array(capacity);
    this.#next = new Int32Array(capacity);
    this.#pairScores = new Float32Array(capacity);
    this.#queue = new MergeQueue(2 * capacity);
  }

  /** Begins a word, given as UTF-8, of which {@link append} then takes in the characters. */
  begin(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.#length = 0;
    this.#collected = 0;
    this.#queue.clear();
  }

  /** Takes in characters from a byte on, at most `steps`. @returns the byte after them */
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

  /** Takes at most `steps` candidates. @returns whether nothing is left to merge */
  run(steps: number): boolean {
    const queue = this.#queue;
    for (let step = 0; step < steps; step++) {
      if (queue.isEmpty) return true;
      queue.take();
      const at = queue.place;
      // A candidate is stale when another pair stands here now, or none.
      if (this.#pairScores[at] === -queue.priority) this.#merge(at, this.#next[at] as number);
    }
    return queue.isEmpty;
  }

  /** Gives at most `steps` symbols to `ids`: their tokens, or where they have none, `spell` spells them. */
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

  /** Offers the pair whose left symbol stands at `at`, and whose right one ends at byte `end`. */
  #offer(at: number, end: number): void {
    const { ids, scores, longest } = this.#tokens;
    const start = this.#starts[at] as number;
    const id = end - start > longest ? -1 : ids.find(this.#bytes, start, end);
    const score = id < 0 ? Number.NaN : (scores[id] as number);
    this.#pairScores[at] = score;
    if (!Number.isNaN(score)) this.#queue.put(-score, at);
  }
}

/** Where the UTF-8 character ends that begins at a byte. */
export function characterEnd(bytes: Uint8Array, start: number): number {
  const first = bytes[start] as number;
  if (first < 0x80) return start + 1;
  return Math.min(start + (first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4), bytes.length);
}
