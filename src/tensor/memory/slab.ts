// A range of shared memory that is divided into blocks of one size, and the list of its free blocks. TensorPool, its only
// user, decides when slabs are made and dropped.

import { allocateShared, freeShared, type SharedRange } from '../../base/memory/shared-memory.js';

/** Blocks start at cache lines. */
export const ALIGNMENT = 64;

export interface SlabOptions {
  readonly blockBytes: number;
  readonly blocks: number;
  readonly addressOf: (bytes: Uint8Array) => number;
}

export class Slab {
  readonly range: SharedRange;
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
    this.range = allocateShared(Slab.heldBytes(blockBytes, blocks));
    const { buffer, byteOffset } = this.range;
    const start = addressOf(new Uint8Array(buffer, byteOffset, 1));
    this.address = Math.ceil(start / ALIGNMENT) * ALIGNMENT;
    this.byteOffset = byteOffset + this.address - start;
  }

  get buffer(): SharedArrayBuffer {
    return this.range.buffer;
  }

  get sizeBytes(): number {
    return this.range.sizeBytes;
  }

  /** No block is used any more. */
  free(): void {
    freeShared(this.range);
  }

  /** Size of a slab, with the slack for the alignment. */
  static heldBytes(blockBytes: number, blocks: number): number {
    return blockBytes * blocks + ALIGNMENT;
  }

  get isFull(): boolean {
    return this.rented === this.blocks;
  }

  /** Whether the next block was rented before. */
  get nextIsReused(): boolean {
    return this.#returned.length > 0;
  }

  /** Whether all bytes of the next block are zero. */
  get nextIsZeroed(): boolean {
    return !this.nextIsReused && this.range.isZeroed;
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
