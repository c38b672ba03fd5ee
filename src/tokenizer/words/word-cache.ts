// Caches the tokens of short words. Called by the tokenizers that split text into words.

const ENTRIES = 1 << 15;
/** Words up to this many code units are cached. */
export const CACHED_WORD = 32;

export class WordCache {
  readonly #tokens = new Map<string, readonly number[]>();

  /** The tokens of a word; `merge` computes them if they are not cached. */
  get(word: string, merge: (word: string, ids: number[]) => void): readonly number[] {
    const known = this.#tokens.get(word);
    if (known !== undefined) return known;
    const ids: number[] = [];
    merge(word, ids);
    if (this.#tokens.size === ENTRIES) this.#tokens.clear();
    this.#tokens.set(word, ids);
    return ids;
  }
}
