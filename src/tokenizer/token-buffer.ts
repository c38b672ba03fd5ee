// Where tokenizers put the ids of a text: a growing list in chunks. Appending never copies earlier ids, which for an
// array of a million ids would block the event loop. Called by the kinds of tokenizers.

const CHUNK = 1 << 13;

/** Takes the ids of a text in order. */
export interface TokenSink {
  push(id: number): void;
}

export class TokenBuffer implements TokenSink {
  readonly #chunks: Int32Array[] = [];
  #last = new Int32Array(0);
  /** How many ids of the last chunk are used. */
  #used = 0;

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

  /** Copies all ids to `target`, which has the same length. Yields after each chunk. */
  *copyTo(target: number[]): Generator<undefined> {
    let at = 0;
    for (const chunk of this.#chunks) {
      const count = chunk === this.#last ? this.#used : CHUNK;
      for (let i = 0; i < count; i++) target[at++] = chunk[i] as number;
      yield;
    }
  }
}
