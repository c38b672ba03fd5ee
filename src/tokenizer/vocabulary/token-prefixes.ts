// Finds the tokens that a text begins with, byte by byte, like a trie: the tokens are sorted by their bytes, and each
// step is a binary search. So memory depends on the number of tokens and not on their lengths. Called by unigram.ts and
// wordpiece.ts.
import type { TimeSlice } from '../../base/time-slice.js';
import type { Vocabulary } from './vocabulary.js';

const TOKENS_PER_LOOK = 2048;
/** Up to this many tokens are sorted by insertion. */
const SMALL = 16;
/** This many bytes are compared one by one, the rest at once. */
const COMPARED = 64;
/** Steps among more tokens than this are cached. */
const CROWDED = 8;
const CACHE_BITS = 14;
const CACHE_SLOTS = 1 << CACHE_BITS;

/** A cache of steps: from the first token of a range, by depth and byte, to the next range. One step for each slot. */
class StepCache {
  readonly origins = new Int32Array(CACHE_SLOTS).fill(-1);
  readonly edges = new Int32Array(CACHE_SLOTS);
  readonly froms = new Int32Array(CACHE_SLOTS);
  readonly tos = new Int32Array(CACHE_SLOTS);
}

export class TokenPrefixes {
  /** The tokens that have a text, sorted by its bytes. */
  readonly #ids: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #offsets: Uint32Array;
  /** Allocated at the first step that uses it. */
  #steps: StepCache | undefined;

  private constructor({ texts }: Vocabulary, ids: Int32Array) {
    this.#ids = ids;
    this.#bytes = texts.bytes;
    this.#offsets = texts.offsets;
  }

  /** Of the tokens that pass a test. Works in time slices. */
  static async of(
    vocabulary: Vocabulary,
    isWanted: (id: number) => boolean,
    timeSlice: TimeSlice,
  ): Promise<TokenPrefixes> {
    const { offsets, length } = vocabulary.texts;
    const ids = new Int32Array(length);
    let count = 0;
    for (let id = 0; id < length; id++) {
      if (offsets[id] !== offsets[id + 1] && isWanted(id)) ids[count++] = id;
      if (id % TOKENS_PER_LOOK === 0 && timeSlice.isOver()) await timeSlice.yield();
    }
    const prefixes = new TokenPrefixes(vocabulary, ids.slice(0, count));
    await prefixes.#sort(timeSlice);
    return prefixes;
  }

  get size(): number {
    return this.#ids.length;
  }

  /** The id of the token at a place in the order if it has `length` bytes, else -1. */
  idOf(place: number, length: number): number {
    const id = this.#ids[place] as number;
    return (this.#offsets[id + 1] as number) - (this.#offsets[id] as number) === length ? id : -1;
  }

  /**
   * Narrows a walk's range of tokens, which have their first `depth` bytes in common, to those whose next byte is
   * `byte`.
   * @returns whether there are any
   */
  step(walk: PrefixWalk, byte: number): boolean {
    const { from, to, depth } = walk;
    if (to - from <= CROWDED) {
      this.#search(walk, byte);
    } else {
      // At a given depth, the first token identifies the range.
      const edge = (depth << 8) | byte;
      const slot = (Math.imul(from, 0x9e3779b1) ^ Math.imul(edge, 0x85ebca6b)) >>> (32 - CACHE_BITS);
      this.#steps ??= new StepCache();
      const { origins, edges, froms, tos } = this.#steps;
      if (origins[slot] === from && edges[slot] === edge) {
        walk.from = froms[slot] as number;
        walk.to = tos[slot] as number;
      } else {
        this.#search(walk, byte);
        origins[slot] = from;
        edges[slot] = edge;
        froms[slot] = walk.from;
        tos[slot] = walk.to;
      }
    }
    walk.depth += 1;
    return walk.from < walk.to;
  }

  #search(walk: PrefixWalk, byte: number): void {
    const { from, to, depth } = walk;
    if (to - from === 1) {
      if (this.#byteAt(this.#ids[from] as number, depth) !== byte) walk.to = from;
      return;
    }
    walk.from = this.#lowerBound(from, to, depth, byte);
    const isThere = walk.from < to && this.#byteAt(this.#ids[walk.from] as number, depth) === byte;
    walk.to = isThere ? this.#lowerBound(walk.from + 1, to, depth, byte + 1) : walk.from;
  }

  /** The first place in [from, to) of a token whose byte at `depth` is at least `byte`; or `to`. */
  #lowerBound(from: number, to: number, depth: number, byte: number): number {
    let low = from;
    let high = to;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#byteAt(this.#ids[middle] as number, depth) < byte) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** A byte of a token's text; -1 after its end. */
  #byteAt(id: number, depth: number): number {
    const at = (this.#offsets[id] as number) + depth;
    return at < (this.#offsets[id + 1] as number) ? (this.#bytes[at] as number) : -1;
  }

  /** Sorts by the first byte, within equal first bytes by the second, and so on; small ranges by insertion. */
  async #sort(timeSlice: TimeSlice): Promise<void> {
    const ids = this.#ids;
    const moved = new Int32Array(ids.length);
    const starts = new Int32Array(258);
    const open: number[] = [0, ids.length, 0];
    while (open.length > 0) {
      const depth = open.pop() as number;
      const to = open.pop() as number;
      const from = open.pop() as number;
      if (timeSlice.isOver()) await timeSlice.yield();
      if (to - from <= SMALL) {
        this.#insert(from, to, depth);
        continue;
      }
      starts.fill(0);
      for (let at = from; at < to; at++) {
        const slot = this.#byteAt(ids[at] as number, depth) + 2;
        starts[slot] = (starts[slot] as number) + 1;
        if (at % TOKENS_PER_LOOK === 0 && timeSlice.isOver()) await timeSlice.yield();
      }
      // Turns counts into starts. Tokens that end at this depth come first; there is at most one text of that kind.
      starts[0] = from;
      for (let slot = 1; slot < starts.length; slot++) {
        starts[slot] = (starts[slot] as number) + (starts[slot - 1] as number);
        if (slot >= 2) this.#open(open, starts[slot - 1] as number, starts[slot] as number, depth + 1);
      }
      for (let at = from; at < to; at++) {
        const id = ids[at] as number;
        const slot = this.#byteAt(id, depth) + 1;
        moved[starts[slot] as number] = id;
        starts[slot] = (starts[slot] as number) + 1;
        if (at % TOKENS_PER_LOOK === 0 && timeSlice.isOver()) await timeSlice.yield();
      }
      ids.set(moved.subarray(from, to), from);
    }
  }

  #open(open: number[], from: number, to: number, depth: number): void {
    if (to - from > 1) open.push(from, to, depth);
  }

  /** Sorts a few tokens whose first `depth` bytes are equal. */
  #insert(from: number, to: number, depth: number): void {
    const ids = this.#ids;
    for (let next = from + 1; next < to; next++) {
      const id = ids[next] as number;
      let at = next;
      for (; at > from && this.#isBefore(id, ids[at - 1] as number, depth); at--) ids[at] = ids[at - 1] as number;
      ids[at] = id;
    }
  }

  #isBefore(a: number, b: number, depth: number): boolean {
    for (let at = depth; at < depth + COMPARED; at++) {
      const [first, second] = [this.#byteAt(a, at), this.#byteAt(b, at)];
      if (first !== second) return first < second;
    }
    const rest = (id: number) =>
      this.#bytes.subarray((this.#offsets[id] as number) + depth, this.#offsets[id + 1] as number);
    return Buffer.compare(rest(a), rest(b)) < 0;
  }
}

/** Reads a text byte by byte: `walk.begin(); while (walk.step(nextByte())) use(walk.id);`. */
export class PrefixWalk {
  readonly #prefixes: TokenPrefixes;
  /** The tokens that begin with the bytes read so far: places in the sorted order. */
  from = 0;
  to = 0;
  /** How many bytes were read. */
  depth = 0;

  constructor(prefixes: TokenPrefixes) {
    this.#prefixes = prefixes;
  }

  begin(): void {
    this.from = 0;
    this.to = this.#prefixes.size;
    this.depth = 0;
  }

  /** Reads a byte. @returns whether any token begins with the bytes read so far */
  step(byte: number): boolean {
    return this.#prefixes.step(this, byte);
  }

  /** The token that has exactly the bytes read so far, or -1. */
  get id(): number {
    return this.#prefixes.idOf(this.from, this.depth);
  }
}
