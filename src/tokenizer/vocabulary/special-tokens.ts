// Finds special tokens in raw text, before it is split into words: the longest one that matches at a place. Called by
// base-tokenizer.ts.

export class SpecialTokens {
  /** The lengths of the tokens by first code unit, longest first. */
  readonly #lengths = new Map<number, number[]>();
  readonly #ids = new Map<string, number>();
  /** A bit for each code unit that begins a token, so that the search uses the maps only at these. */
  readonly #begins = new Uint8Array(0x10000 / 8);
  /** The length in code units of the token that {@link match} found last. */
  matchedLength = 0;

  constructor(tokens: Iterable<readonly [id: number, text: string]>) {
    for (const [id, text] of tokens) {
      if (text === '') continue;
      this.#ids.set(text, id);
      const first = text.charCodeAt(0);
      this.#begins[first >> 3] = (this.#begins[first >> 3] as number) | (1 << (first & 7));
      const lengths = this.#lengths.get(first) ?? [];
      if (!lengths.includes(text.length)) lengths.push(text.length);
      this.#lengths.set(first, lengths);
    }
    for (const lengths of this.#lengths.values()) lengths.sort((a, b) => b - a);
  }

  get isEmpty(): boolean {
    return this.#ids.size === 0;
  }

  /** The first place in text[from, to) where a token begins, or `to`. The token itself may reach beyond `to`. */
  find(text: string, from: number, to: number): number {
    for (let at = from; at < to; at++) {
      const unit = text.charCodeAt(at);
      if (((this.#begins[unit >> 3] as number) >> (unit & 7)) & 1 && this.match(text, at) >= 0) return at;
    }
    return to;
  }

  /** The id of the longest token that begins at a place, or -1. */
  match(text: string, at: number): number {
    for (const length of this.#lengths.get(text.charCodeAt(at)) ?? []) {
      if (at + length > text.length) continue;
      const id = this.#ids.get(text.slice(at, at + length));
      if (id === undefined) continue;
      this.matchedLength = length;
      return id;
    }
    return -1;
  }
}
