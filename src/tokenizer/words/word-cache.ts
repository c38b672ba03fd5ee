// Caches the tokens of short words. Called by the tokenizers that split text into words.
import type { TokenSink } from '../token-buffer.js';

const ENTRIES = 1 << 15;
/** Words up to this many code units are cached. */
export const CACHED_WORD = 32;

export class WordCache {
  readonly #tokens = new Map<string, readonly number[]>();

  /** Appends the tokens of a word of any length to `ids`; `encode` computes them if they are not cached. */
  append(word: string, ids: TokenSink, encode: (word: string, ids: TokenSink) => void): void {
    if (word.length > CACHED_WORD) {
      encode(word, ids);
      return;
    }
    const tokens = this.get(word, encode);
    for (let i = 0; i < tokens.length; i++) ids.push(tokens[i] as number);
  }

  /** The tokens of a word of up to CACHED_WORD code units; `encode` computes them if they are not cached. */
  get(word: string, encode: (word: string, ids: number[]) => void): readonly number[] {
    const known = this.#tokens.get(word);
    if (known !== undefined) return known;
    const ids: number[] = [];
    encode(word, ids);
    if (this.#tokens.size === ENTRIES) this.#tokens.clear();
    this.#tokens.set(word, ids);
    return ids;
  }
}
