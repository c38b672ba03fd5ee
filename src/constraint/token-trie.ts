// A trie of the bytes of a model's tokens: constraint.ts walks it with an automaton, so that tokens with a common
// beginning share the steps for it. Built once for a model, in time slices, by constraint-compiler.ts.
import { TimeSlice } from '../base/time-slice.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import { controlBytes } from './control-bytes.js';

const NODES_PER_LOOK = 512;

/** Nodes in depth-first order: the descendants of node i are the nodes from i + 1 to ends[i] - 1. */
export interface TokenTrie {
  /** The byte that leads to each node. */
  readonly bytes: Uint8Array;
  /** The number of bytes before that one, from the root. */
  readonly depths: Uint16Array;
  readonly ends: Int32Array;
  readonly deepest: number;
  /** The tokens whose last byte leads to node i: tokens[tokenStarts[i], tokenStarts[i + 1]). */
  readonly tokenStarts: Int32Array;
  readonly tokens: Int32Array;
}

/** The bytes of a token in grammars. */
export function bytesOfToken(tokenizer: Tokenizer, id: number): Uint8Array {
  return tokenizer.isControl(id) ? controlBytes(tokenizer.tokenText(id)) : tokenizer.tokenBytes(id);
}

/** The trie of a vocabulary without end tokens, and tokens without bytes. */
export async function createTokenTrie(tokenizer: Tokenizer, signal: AbortSignal | undefined): Promise<TokenTrie> {
  const timeSlice = new TimeSlice(signal);
  const nodes = new Nodes();
  for (let id = 0; id < tokenizer.vocabularySize; id++) {
    if (id % NODES_PER_LOOK === 0 && timeSlice.isOver()) await timeSlice.yield();
    if (tokenizer.endIds.has(id)) continue;
    const bytes = bytesOfToken(tokenizer, id);
    // Depths have 16 bits. Longer tokens are left out: no model chooses them.
    if (bytes.length > 0 && bytes.length < 0xffff) nodes.add(bytes, id);
  }
  const count = nodes.count - 1;
  const trie = {
    bytes: new Uint8Array(count),
    depths: new Uint16Array(count),
    ends: new Int32Array(count),
    deepest: 0,
    tokenStarts: new Int32Array(count + 1),
    tokens: new Int32Array(nodes.tokenCount),
  };
  let tokens = 0;
  let at = 0;
  const path: { node: number; index: number }[] = [];
  for (let node = nodes.firstChild[0] as number; node > 0; ) {
    if (at % NODES_PER_LOOK === 0 && timeSlice.isOver()) await timeSlice.yield();
    trie.bytes[at] = nodes.byte[node] as number;
    trie.depths[at] = path.length;
    trie.tokenStarts[at] = tokens;
    for (let id = nodes.token[node] as number; id >= 0; id = nodes.twin.get(id) ?? -1) trie.tokens[tokens++] = id;
    path.push({ node, index: at++ });
    trie.deepest = Math.max(trie.deepest, path.length);
    node = nodes.firstChild[node] as number;
    while (node === 0) {
      const left = path.pop();
      if (left === undefined) break;
      trie.ends[left.index] = at;
      node = nodes.sibling[left.node] as number;
    }
  }
  trie.tokenStarts[count] = tokens;
  return trie;
}

/** The trie while it is built: each node has a list of its children. */
class Nodes {
  byte = new Uint8Array(1 << 12);
  firstChild = new Int32Array(1 << 12);
  sibling = new Int32Array(1 << 12);
  /** The token whose last byte leads to a node, or -1. */
  token = new Int32Array(1 << 12).fill(-1);
  /** For a token, the next one with the same bytes. */
  readonly twin = new Map<number, number>();
  /** The number of nodes; node 0 is the root. */
  count = 1;
  tokenCount = 0;

  add(bytes: Uint8Array, id: number): void {
    let node = 0;
    for (const byte of bytes) node = this.#child(node, byte);
    const other = this.token[node] as number;
    if (other >= 0) this.twin.set(id, other);
    this.token[node] = id;
    this.tokenCount += 1;
  }

  #child(node: number, byte: number): number {
    for (let child = this.firstChild[node] as number; child > 0; child = this.sibling[child] as number) {
      if (this.byte[child] === byte) return child;
    }
    if (this.count === this.byte.length) this.#grow();
    const child = this.count++;
    this.byte[child] = byte;
    this.sibling[child] = this.firstChild[node] as number;
    this.firstChild[node] = child;
    return child;
  }

  #grow(): void {
    const grown = <T extends Uint8Array | Int32Array>(old: T, into: T): T => {
      into.set(old);
      return into;
    };
    const size = 2 * this.count;
    this.byte = grown(this.byte, new Uint8Array(size));
    this.firstChild = grown(this.firstChild, new Int32Array(size));
    this.sibling = grown(this.sibling, new Int32Array(size));
    this.token = grown(this.token, new Int32Array(size).fill(-1));
  }
}
