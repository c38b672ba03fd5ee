// A list of strings as UTF-8 in one buffer. A vocabulary of a hundred thousand JavaScript strings would cause garbage
// collection pauses of over 10 ms while it is read; this causes none. Called by readers and writers of checkpoints and
// by the tokenizers.

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

export class StringList implements Iterable<string> {
  readonly length: number;
  /** The strings' UTF-8, one after the other. */
  readonly bytes: Uint8Array;
  /** String i is bytes[offsets[i], offsets[i + 1]). */
  readonly offsets: Uint32Array;

  /** @param offsets where each string begins, then where the last one ends */
  constructor(bytes: Uint8Array, offsets: Uint32Array) {
    this.length = offsets.length - 1;
    this.bytes = bytes.subarray(0, offsets[this.length]);
    this.offsets = offsets;
  }

  static from(strings: readonly string[]): StringList {
    const offsets = new Uint32Array(strings.length + 1);
    strings.forEach((text, i) => {
      offsets[i + 1] = (offsets[i] as number) + Buffer.byteLength(text);
    });
    const bytes = new Uint8Array(offsets[strings.length] as number);
    const encoder = new TextEncoder();
    strings.forEach((text, i) => {
      encoder.encodeInto(text, bytes.subarray(offsets[i]));
    });
    return new StringList(bytes, offsets);
  }

  /** String `index`, which must be in the list. */
  at(index: number): string {
    return decoder.decode(this.bytesAt(index));
  }

  bytesAt(index: number): Uint8Array {
    return this.bytes.subarray(this.offsets[index], this.offsets[index + 1]);
  }

  *[Symbol.iterator](): Generator<string> {
    for (let i = 0; i < this.length; i++) yield this.at(i);
  }
}
