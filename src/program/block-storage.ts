// A block of shared memory that belongs to no pool and is never released: constants of programs, and the page tables of
// models. No tensor that a user can reach shares its buffer. Garbage collection frees it with the last reference.
import type { Storage } from '../tensor/memory/storage.js';

export class BlockStorage implements Storage {
  readonly sizeBytes: number;
  readonly address: number;
  readonly disposed = false;
  readonly owner: object | undefined;
  readonly buffer: SharedArrayBuffer;
  readonly byteOffset: number;
  #pins = 0;

  /**
   * @param bytes a 64-byte aligned view, and its address
   * @param owner the pool beside whose tensors ops accept it
   */
  constructor(bytes: Uint8Array, address: number, owner?: object) {
    this.sizeBytes = bytes.byteLength;
    this.address = address;
    this.owner = owner;
    this.buffer = bytes.buffer as SharedArrayBuffer;
    this.byteOffset = bytes.byteOffset;
  }

  /** Whether a program runs on the bytes. */
  get isPinned(): boolean {
    return this.#pins > 0;
  }

  pin(): void {
    this.#pins++;
  }

  unpin(): void {
    this.#pins--;
  }
}
