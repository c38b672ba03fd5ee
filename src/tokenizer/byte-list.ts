// A growing list of bytes. Called by the readers of tokenizer.json and by unigram.ts.

export class ByteList {
  /** The first {@link length} of these are used. */
  bytes: Uint8Array;
  length = 0;

  constructor(capacity: number) {
    this.bytes = new Uint8Array(Math.max(capacity, 1));
  }

  push(byte: number): void {
    this.#reserve(1);
    this.bytes[this.length++] = byte;
  }

  /** Appends source[start, end). */
  append(source: Uint8Array, start = 0, end = source.length): void {
    this.#reserve(end - start);
    for (let at = start; at < end; at++) this.bytes[this.length++] = source[at] as number;
  }

  #reserve(count: number): void {
    if (this.length + count <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(2 * this.bytes.length, this.length + count));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
  }
}
