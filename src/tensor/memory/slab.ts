// One SharedArrayBuffer that is divided into blocks of one size, and the list of its free blocks. TensorPool, its only
// user, decides when slabs are made and dropped.

/** Blocks start at cache lines. */
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
  /** Offset of the first block in the buffer; V8 aligns buffers to less than {@link ALIGNMENT}. */
  readonly byteOffset: number;
  /** Absolute address of the first block. */
  readonly address: number;
  /** Blocks in use. */
  rented = 0;
  /** The pool's clock when the last block was given back; meaningless while a block is rented. */
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

  /** Size of a slab's buffer, with the slack for the alignment. */
  static heldBytes(blockBytes: number, blocks: number): number {
    return blockBytes * blocks + ALIGNMENT;
  }

  get isFull(): boolean {
    return this.rented === this.blocks;
  }

  /** Whether the next block was rented before; a block that was not is still zero. */
  get nextIsReused(): boolean {
    return this.#returned.length > 0;
  }

  /** Rents a block and returns its index: the one given back last, else one that was never rented. */
  take(): number {
    this.rented++;
    return this.#returned.pop() ?? this.#untouched++;
  }

  giveBack(block: number): void {
    this.rented--;
    this.#returned.push(block);
  }
}
