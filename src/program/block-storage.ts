// The storage of constants of programs and of the page tables of models: shared memory that belongs to no pool and is never
// released; garbage collection frees it. Its buffer contains no tensor that callers can reach.
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
   * @param bytes a 64-byte aligned view of shared memory; `address` is its address
   * @param owner the pool with whose tensors ops accept it
   */
  constructor(bytes: Uint8Array, address: number, owner?: object) {
    this.sizeBytes = bytes.byteLength;
    this.address = address;
    this.owner = owner;
    this.buffer = bytes.buffer as SharedArrayBuffer;
    this.byteOffset = bytes.byteOffset;
  }

  /** Whether a running program uses the bytes. */
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
