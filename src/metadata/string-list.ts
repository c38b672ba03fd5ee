// A list of strings as UTF-8 in one piece of memory. A vocabulary of a hundred thousand JavaScript strings costs the
// garbage collector pauses of over 10 ms while it is read; this costs none. Called by the reader, the writer and the
// tokenizers.

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

export class StringList implements Iterable<string> {
  readonly length: number;
  /** The strings' UTF-8, one after the other. */
  readonly bytes: Uint8Array;
  /** String i is bytes[offsets[i], offsets[i + 1]). */
  readonly offsets: Uint32Array;

  /** @param offsets one more than there are strings; the last one is where the bytes end */
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
