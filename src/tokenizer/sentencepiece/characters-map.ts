// SentencePiece's precompiled map of characters (`tokenizer.ggml.precompiled_charsmap`): byte sequences and their
// replacements, applied before text is split. The file holds an XOR-compressed double-array trie (Kanda, 2018), then
// the replacements. Called by unigram.ts.
import type { ModelMetadata } from '../../metadata/model-metadata.js';

const key = 'tokenizer.ggml.precompiled_charsmap';
/** Limit of a replacement: a file must not be able to make a short text arbitrarily long. */
const MOST_BYTES = 256;

export class CharactersMap {
  readonly #units: Uint32Array;
  readonly #replacements: Uint8Array;
  /** The number of bytes that {@link match} found. */
  length = 0;
  /** Their replacement: replacements[start, end). */
  start = 0;
  end = 0;
  /** Whether {@link match} has looked at all bytes that there are, and might have found a longer sequence in more. */
  reachedEnd = false;

  private constructor(units: Uint32Array, replacements: Uint8Array) {
    this.#units = units;
    this.#replacements = replacements;
  }

  get replacements(): Uint8Array {
    return this.#replacements;
  }

  /** @throws TesseraeError ERR_MODEL_FILE when the map is cut off, or a replacement has no end or is too long */
  static read(metadata: ModelMetadata): CharactersMap | undefined {
    if (!metadata.has(key)) return undefined;
    const bytes = Uint8Array.from(metadata.integers(key));
    if (bytes.length === 0) return undefined;
    const view = new DataView(bytes.buffer);
    const sizeBytes = bytes.length < 4 ? Number.POSITIVE_INFINITY : view.getUint32(0, true);
    if (sizeBytes + 4 > bytes.length || sizeBytes % 4 !== 0) throw metadata.error(key, 'is cut off');
    const units = new Uint32Array(sizeBytes / 4);
    for (let i = 0; i < units.length; i++) units[i] = view.getUint32(4 + 4 * i, true);
    const replacements = bytes.subarray(4 + sizeBytes);
    let begun = 0;
    replacements.forEach((byte, at) => {
      if (at - begun > MOST_BYTES) throw metadata.error(key, `has a replacement of more than ${MOST_BYTES} bytes`);
      if (byte === 0) begun = at + 1;
    });
    if (begun !== replacements.length) throw metadata.error(key, 'has a replacement without an end');
    return new CharactersMap(units, replacements);
  }

  /** Finds the longest sequence from a byte on that has a replacement. @returns whether there is one */
  match(bytes: Uint8Array, from: number): boolean {
    this.length = 0;
    let value = 0;
    let node = baseOf(this.#unit(0));
    let at = from;
    for (; at < bytes.length; at++) {
      const byte = bytes[at] as number;
      if (byte === 0) break;
      node = (node ^ byte) >>> 0;
      const unit = this.#unit(node);
      // The label of a node is the byte that leads to it; leaves have the top bit set and no label.
      if ((unit & 0x800000ff) !== byte) break;
      node = (node ^ baseOf(unit)) >>> 0;
      if (((unit >>> 8) & 1) === 0) continue;
      this.length = at - from + 1;
      value = this.#unit(node) & 0x7fffffff;
    }
    this.reachedEnd = at === bytes.length;
    if (this.length === 0) return false;
    this.start = Math.min(value, this.#replacements.length);
    this.end = this.#replacements.indexOf(0, this.start);
    if (this.end < 0) this.end = this.start;
    return true;
  }

  /** Units beyond the array count as empty, so a damaged map matches less and does no harm. */
  #unit(index: number): number {
    return this.#units[index] ?? 0;
  }
}

function baseOf(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}
