// A growing list of token ids in pieces: appending never copies what is there, which for an array of a million ids
// would stall the event loop. Called by the tokenizers.

const PIECE = 1 << 13;

export class TokenBuffer {
  readonly #pieces: Int32Array[] = [];
  #last = new Int32Array(0);
  /** How many ids of the last piece are used. */
  #used = 0;

  get length(): number {
    return this.#pieces.length === 0 ? 0 : (this.#pieces.length - 1) * PIECE + this.#used;
  }

  push(id: number): void {
    if (this.#used === this.#last.length) {
      this.#last = new Int32Array(PIECE);
      this.#pieces.push(this.#last);
      this.#used = 0;
    }
    this.#last[this.#used++] = id;
  }

  /** Copies all ids into `target`, which must be as long, pausing after each piece. */
  *copyTo(target: number[]): Generator<undefined> {
    let at = 0;
    for (const piece of this.#pieces) {
      const count = piece === this.#last ? this.#used : PIECE;
      for (let i = 0; i < count; i++) target[at++] = piece[i] as number;
      yield;
    }
  }
}
