// The merges of a byte-pair encoding: which pair of tokens becomes which token, and their order. A hash table in typed
// arrays, because a Map of a quarter million pairs would block the event loop each time it grows. Called by
// byte-level-bpe.ts and bpe-merger.ts.

export class MergeTable {
  /** The merges by rank: left and right token, and the token that they become. */
  readonly left: Int32Array;
  readonly right: Int32Array;
  readonly merged: Int32Array;
  /** 1 + the rank of a pair that hashes to this slot or an earlier one (linear probing); 0 when free. */
  readonly #slots: Int32Array;
  readonly #mask: number;
  /** Random, so that nobody can make a file whose pairs all collide. */
  readonly #seed = Math.floor(Math.random() * 2 ** 32);

  constructor(count: number) {
    this.left = new Int32Array(count);
    this.right = new Int32Array(count);
    this.merged = new Int32Array(count);
    const slotCount = 2 ** Math.ceil(Math.log2(Math.max(2 * count, 2)));
    this.#slots = new Int32Array(slotCount);
    this.#mask = slotCount - 1;
  }

  /** Adds the merge of a rank. Of two merges of the same pair, the first one counts. */
  add(rank: number, left: number, right: number, merged: number): void {
    this.left[rank] = left;
    this.right[rank] = right;
    this.merged[rank] = merged;
    const slot = this.#find(left, right);
    if (this.#slots[slot] === 0) this.#slots[slot] = rank + 1;
  }

  /** The rank of a pair, or -1 if it does not merge. */
  rankOf(left: number, right: number): number {
    return (this.#slots[this.#find(left, right)] as number) - 1;
  }

  /** The slot that holds the pair, or the free one where it belongs. */
  #find(left: number, right: number): number {
    let hash = Math.imul(left ^ this.#seed, 0x9e3779b1);
    hash = Math.imul(hash ^ (hash >>> 15) ^ right, 0x85ebca6b);
    hash ^= hash >>> 13;
    let slot = hash & this.#mask;
    for (;;) {
      const rank = (this.#slots[slot] as number) - 1;
      if (rank < 0 || (this.left[rank] === left && this.right[rank] === right)) return slot;
      slot = (slot + 1) & this.#mask;
    }
  }
}
