// Finds all tokens that begin at a place, byte by byte: the tokens in the order of their bytes, and searches within them.
// So it takes memory by the number of tokens, whatever the length of their texts. Called by unigram.ts and wordpiece.ts.
import type { TimeSlice } from '../../base/time-slice.js';
import type { Vocabulary } from './vocabulary.js';

const TOKENS_PER_LOOK = 2048;
/** Fewer tokens are sorted by comparing them. */
const SMALL = 16;
/** Bytes that are compared one by one; longer texts that begin alike are compared at once. */
const COMPARED = 64;
/** Steps among more tokens are remembered. */
const CROWDED = 8;
const REMEMBERED_BITS = 14;
const REMEMBERED = 1 << REMEMBERED_BITS;

/** Where steps among many tokens lead, by where they begin, and by depth and byte: the last one of each slot. */
class StepMemory {
  readonly origins = new Int32Array(REMEMBERED).fill(-1);
  readonly edges = new Int32Array(REMEMBERED);
  readonly froms = new Int32Array(REMEMBERED);
  readonly tos = new Int32Array(REMEMBERED);
}

export class TokenTrie {
  /** Those that have a text, in the order of their bytes. */
  readonly #ids: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #offsets: Uint32Array;
  /** Made at the first step. */
  #steps: StepMemory | undefined;

  private constructor({ texts }: Vocabulary, ids: Int32Array) {
    this.#ids = ids;
    this.#bytes = texts.bytes;
    this.#offsets = texts.offsets;
  }

  /** Of the tokens that pass a test, in slices that leave the event loop free. */
  static async of(vocabulary: Vocabulary, isWanted: (id: number) => boolean, timeSlice: TimeSlice): Promise<TokenTrie> {
    const { offsets, length } = vocabulary.texts;
    const ids = new Int32Array(length);
    let count = 0;
    for (let id = 0; id < length; id++) {
      if (offsets[id] !== offsets[id + 1] && isWanted(id)) ids[count++] = id;
      if (id % TOKENS_PER_LOOK === 0 && timeSlice.isOver()) await timeSlice.yield();
    }
    const trie = new TokenTrie(vocabulary, ids.slice(0, count));
    await trie.#sort(timeSlice);
    return trie;
  }

  get size(): number {
    return this.#ids.length;
  }

  /** The id of the token at a place in the order, if it has `length` bytes; or -1. */
  idOf(place: number, length: number): number {
    const id = this.#ids[place] as number;
    return (this.#offsets[id + 1] as number) - (this.#offsets[id] as number) === length ? id : -1;
  }

  /**
   * Goes on by a byte: of the tokens that are alike in their first `depth` bytes to those that are alike in one more.
   * @returns whether there are any
   */
  step(walk: TrieWalk, byte: number): boolean {
    const { from, to, depth } = walk;
    if (to - from <= CROWDED) {
      this.#search(walk, byte);
    } else {
      // Tokens that are alike up to there begin at one place only.
      const edge = (depth << 8) | byte;
      const slot = (Math.imul(from, 0x9e3779b1) ^ Math.imul(edge, 0x85ebca6b)) >>> (32 - REMEMBERED_BITS);
      this.#steps ??= new StepMemory();
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

  #search(walk: TrieWalk, byte: number): void {
    const { from, to, depth } = walk;
    if (to - from === 1) {
      if (this.#byteAt(this.#ids[from] as number, depth) !== byte) walk.to = from;
      return;
    }
    walk.from = this.#lowerBound(from, to, depth, byte);
    const isThere = walk.from < to && this.#byteAt(this.#ids[walk.from] as number, depth) === byte;
    walk.to = isThere ? this.#lowerBound(walk.from + 1, to, depth, byte + 1) : walk.from;
  }

  /** The first of the tokens whose byte at a depth is at least this. */
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

  /** A byte of a token's text; -1 behind its end. */
  #byteAt(id: number, depth: number): number {
    const at = (this.#offsets[id] as number) + depth;
    return at < (this.#offsets[id + 1] as number) ? (this.#bytes[at] as number) : -1;
  }

  /** By the first byte, within each by the second, and so on; few are sorted by comparing them. */
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
      // From counts to where each byte begins; those that end here come first, and are sorted.
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

  /** Sorts a few tokens that are alike up to a depth. */
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

/** A way through a trie: `walk.begin(); while (walk.step(nextByte())) use(walk.id);`. */
export class TrieWalk {
  readonly #trie: TokenTrie;
  /** The tokens that begin as the way did: places in the order of the trie. */
  from = 0;
  to = 0;
  depth = 0;

  constructor(trie: TokenTrie) {
    this.#trie = trie;
  }

  begin(): void {
    this.from = 0;
    this.to = this.#trie.size;
    this.depth = 0;
  }

  /** Goes on by a byte; false where no token goes on so. */
  step(byte: number): boolean {
    return this.#trie.step(this, byte);
  }

  /** The token that ends here, or -1. */
  get id(): number {
    return this.#trie.idOf(this.from, this.depth);
  }
}
