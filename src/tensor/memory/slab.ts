// One SharedArrayBuffer cut into blocks of one size class, and the count of its blocks. It does not decide when
// buffers come and go. Used by TensorPool alone.

/** Tensors start on cache lines. */
export const ALIGNMENT = 64;

export interface SlabOptions {
  readonly blockBytes: number;
  readonly blocks: number;
  readonly addressOf: (bytes: Uint8Array) => number;
}

export class Slab {
  readonly buffer: SharedArrayBuffer;
  readonly blockBytes: number;
  readonly blocks: number;
  /** Of the first block, within the buffer; V8 aligns buffers to less than {@link ALIGNMENT}. */
  readonly byteOffset: number;
  /** Of the first block, in the address space. */
  readonly address: number;
  rented = 0;
  /** The pool's clock when the last block came back; meaningless while a block is rented. */
  idleSince = 0;
  #untouched = 0;
  readonly #returned: number[] = [];

  constructor({ blockBytes, blocks, addressOf }: SlabOptions) {
    this.blockBytes = blockBytes;
    this.blocks = blocks;
    this.buffer = new SharedArrayBuffer(Slab.heldBytes(blockBytes, blocks));
    const start = addressOf(new Uint8Array(this.buffer, 0, 1));
    this.address = Math.ceil(start / ALIGNMENT) * ALIGNMENT;
    this.byteOffset = this.address - start;
  }

  /** What a slab's buffer takes, the slack for its alignment included. */
  static heldBytes(blockBytes: number, blocks: number): number {
    return blockBytes * blocks + ALIGNMENT;
  }

  get isFull(): boolean {
    return this.rented === this.blocks;
  }

  /** Whether the next block is one that was rented before; others are zero still. */
  get nextIsReused(): boolean {
    return this.#returned.length > 0;
  }

  /** The number of a block that is now rented: the one returned last, else one never rented before. */
  take(): number {
    this.rented++;
    return this.#returned.pop() ?? this.#untouched++;
  }

  giveBack(block: number): void {
    this.rented--;
    this.#returned.push(block);
  }
}
