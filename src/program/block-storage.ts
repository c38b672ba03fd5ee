// The storage of constants of programs and of the page tables of models: shared memory that belongs to no pool. Garbage
// collection frees it; its owner may give its memory back before. Its buffer contains no tensor that callers can reach.
import type { Storage } from '../tensor/memory/storage.js';

export class BlockStorage implements Storage {
  readonly sizeBytes: number;
  readonly address: number;
  readonly disposed = false;
  readonly owner: object | undefined;
  readonly buffer: SharedArrayBuffer;
  readonly byteOffset: number;
  readonly #giveBack: (() => void) | undefined;
  #pins = 0;
  #isGivenBack = false;

  /**
   * @param bytes a 64-byte aligned view of shared memory; `address` is its address
   * @param owner the pool with whose tensors ops accept it
   * @param giveBack gives the memory of the bytes back to the system
   */
  constructor(bytes: Uint8Array, address: number, owner?: object, giveBack?: (bytes: Uint8Array) => void) {
    if (giveBack !== undefined) this.#giveBack = () => giveBack(bytes);
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
    if (this.#isGivenBack && this.#pins === 0) this.#giveBack?.();
  }

  /**
   * Gives the memory back to the system, at the end of the run that uses it. The address stays valid and reads as zeros. V8
   * does not count shared memory when it decides about a garbage collection: without this, the memory of hundreds of
   * disposed models would stay resident.
   */
  giveBack(): void {
    this.#isGivenBack = true;
    if (this.#pins === 0) this.#giveBack?.();
  }
}
