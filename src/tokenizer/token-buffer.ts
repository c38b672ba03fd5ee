// Where tokenizers put the ids of a text: a growing list in chunks. Appending never copies earlier ids, which for an
// array of a million ids would block the event loop. Called by the kinds of tokenizers.

const CHUNK = 1 << 13;

/** Takes the ids of a text in order. */
export interface TokenSink {
  push(id: number): void;
}

export class TokenBuffer implements TokenSink {
  /** How many ids are wanted. Appending more is harmless, and wasted. */
  readonly limit: number;
  readonly #chunks: Int32Array[] = [];
  #last = new Int32Array(0);
  /** How many ids of the last chunk are used. */
  #used = 0;

  constructor(limit = Number.POSITIVE_INFINITY) {
    this.limit = limit;
  }

  /** How many more ids are wanted. */
  get room(): number {
    return Math.max(0, this.limit - this.length);
  }

  get isFull(): boolean {
    return this.length >= this.limit;
  }

  get length(): number {
    return this.#chunks.length === 0 ? 0 : (this.#chunks.length - 1) * CHUNK + this.#used;
  }

  push(id: number): void {
    if (this.#used === this.#last.length) {
      this.#last = new Int32Array(CHUNK);
      this.#chunks.push(this.#last);
      this.#used = 0;
    }
    this.#last[this.#used++] = id;
  }

  /** The ids that are wanted. Yields after each chunk. */
  *toArray(): Generator<void, number[]> {
    const array = new Array<number>(Math.min(this.length, this.limit));
    for (let at = 0, chunk = 0; at < array.length; chunk++) {
      const ids = this.#chunks[chunk] as Int32Array;
      const count = Math.min(CHUNK, array.length - at);
      for (let i = 0; i < count; i++) array[at++] = ids[i] as number;
      yield;
    }
    return array;
  }
}
