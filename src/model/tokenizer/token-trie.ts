// A trie over the bytes of a vocabulary, to find all tokens that begin at a place. A hash table of edges in typed
// arrays. Called by unigram.ts and wordpiece.ts.
import type { Pace } from '../pace.js';
import type { Vocabulary } from './vocabulary.js';

const TOKENS_PER_LOOK = 128;
/** Edges are numbered node * 256 + byte, in 32 bits. */
const MOST_NODES = 2 ** 24 - 1;

export class TokenTrie {
  /** The node where every token begins. */
  readonly root = 0;
  /** The token that ends at a node, or -1. */
  readonly ids: Int32Array;
  /** 1 + edge, or 0 when free, and the node that it leads to. */
  readonly #edges: Uint32Array;
  readonly #targets: Int32Array;
  readonly #mask: number;
  /** Random, so that no file can be made whose edges all collide. */
  readonly #seed = Math.floor(Math.random() * 2 ** 32) | 1;
  #nodes = 1;

  /** @param capacity the most bytes that all tokens together may have */
  constructor(capacity: number) {
    this.ids = new Int32Array(capacity + 1).fill(-1);
    const slotCount = 2 ** Math.ceil(Math.log2(Math.max((4 * capacity) / 3, 2)));
    this.#edges = new Uint32Array(slotCount);
    this.#targets = new Int32Array(slotCount);
    this.#mask = slotCount - 1;
  }

  /**
   * A trie of the tokens that pass a test.
   * @throws TesseraeError ERR_MODEL_FILE when there are too many bytes
   */
  static async of(vocabulary: Vocabulary, isWanted: (id: number) => boolean, pace: Pace): Promise<TokenTrie> {
    const { texts } = vocabulary;
    if (texts.bytes.length >= MOST_NODES) throw vocabulary.errorAt(0, `begins more than ${MOST_NODES} bytes of tokens`);
    const trie = new TokenTrie(texts.bytes.length);
    for (let id = 0; id < texts.length; id++) {
      if (isWanted(id)) trie.#add(texts.bytes, texts.offsets[id] as number, texts.offsets[id + 1] as number, id);
      if (id % TOKENS_PER_LOOK === 0 && pace.due()) await pace.rest();
    }
    return trie;
  }

  /** The node after a byte, or -1. */
  next(node: number, byte: number): number {
    const slot = this.#slot(node * 256 + byte + 1);
    return this.#edges[slot] === 0 ? -1 : (this.#targets[slot] as number);
  }

  #add(bytes: Uint8Array, start: number, end: number, id: number): void {
    if (start === end) return;
    let node = this.root;
    for (let at = start; at < end; at++) {
      const edge = node * 256 + (bytes[at] as number) + 1;
      const slot = this.#slot(edge);
      if (this.#edges[slot] === 0) {
        this.#edges[slot] = edge;
        this.#targets[slot] = this.#nodes++;
      }
      node = this.#targets[slot] as number;
    }
    this.ids[node] = id;
  }

  /** The slot that holds an edge, or the free one where it belongs. */
  #slot(edge: number): number {
    let hash = Math.imul(edge ^ this.#seed, 0x9e3779b1);
    hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
    let slot = (hash ^ (hash >>> 13)) & this.#mask;
    while (this.#edges[slot] !== 0 && this.#edges[slot] !== edge) slot = (slot + 1) & this.#mask;
    return slot;
  }
}
