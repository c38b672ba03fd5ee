// Finds tokens by their text: a hash table of ids over the UTF-8 of a vocabulary, in typed arrays. It makes no
// JavaScript strings: those of a whole vocabulary would cause long garbage collections. Called by vocabulary.ts and by
// the reader of tokenizer.json.
import type { StringList } from '../../metadata/string-list.js';

export class TokenTable {
  readonly #texts: StringList;
  /** 1 + the id of a token that hashes to this slot or an earlier one (linear probing); 0 when free. */
  readonly #slots: Int32Array;
  readonly #mask: number;
  /** Random, so that nobody can make a file whose tokens all collide. */
  readonly #seed = Math.floor(Math.random() * 2 ** 32);

  constructor(texts: StringList) {
    this.#texts = texts;
    const slotCount = 2 ** Math.ceil(Math.log2(Math.max(2 * texts.length, 2)));
    this.#slots = new Int32Array(slotCount);
    this.#mask = slotCount - 1;
  }

  /** Adds the token `id`, unless there is one with its text. @returns the id of that one, or -1 */
  add(id: number): number {
    const { bytes, offsets } = this.#texts;
    const slot = this.#slot(bytes, offsets[id] as number, offsets[id + 1] as number);
    const twin = (this.#slots[slot] as number) - 1;
    if (twin < 0) this.#slots[slot] = id + 1;
    return twin;
  }

  /** The id of the token whose text is bytes[start, end), if `gap` is given without the byte at `gap`; or -1. */
  find(bytes: Uint8Array, start: number, end: number, gap = end): number {
    return (this.#slots[this.#slot(bytes, start, end, gap)] as number) - 1;
  }

  /** The slot that holds the token, or the free one where it belongs. */
  #slot(bytes: Uint8Array, start: number, end: number, gap = end): number {
    let hash = this.#seed;
    // FNV-1a, by Fowler, Noll and Vo.
    for (let i = start; i < end; i++) if (i !== gap) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
    let slot = (hash ^ (hash >>> 15)) & this.#mask;
    for (;;) {
      const id = (this.#slots[slot] as number) - 1;
      if (id < 0 || this.#is(id, bytes, start, end, gap)) return slot;
      slot = (slot + 1) & this.#mask;
    }
  }

  #is(id: number, bytes: Uint8Array, start: number, end: number, gap: number): boolean {
    const texts = this.#texts.bytes;
    let at = this.#texts.offsets[id] as number;
    const length = (this.#texts.offsets[id + 1] as number) - at;
    if (length !== end - start - (gap < end ? 1 : 0)) return false;
    for (let i = start; i < end; i++) if (i !== gap && bytes[i] !== texts[at++]) return false;
    return true;
  }
}
