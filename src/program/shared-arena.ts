// Memory for the intermediate tensors of several programs, of which one runs at a time: as large as the largest of them
// needs. Owned by whoever owns the programs.
import type { PooledStorage } from '../tensor/memory/storage.js';
import type { TensorPool } from '../tensor/tensor-pool.js';

export class SharedArena {
  readonly #pool: Pick<TensorPool, 'rent' | 'freeBytes'>;
  #storage: PooledStorage | undefined;

  constructor(pool: Pick<TensorPool, 'rent' | 'freeBytes'>) {
    this.#pool = pool;
  }

  /** Whether it has memory now. */
  get isHeld(): boolean {
    return this.#storage !== undefined;
  }

  /**
   * The address of at least so many bytes, for a run that begins. Grows only here, where none of its programs runs.
   * @throws TesseraeError ERR_BUDGET
   */
  place(sizeBytes: number): number {
    if (this.#storage === undefined || this.#storage.sizeBytes < sizeBytes) {
      // Given back first: the old and the new one together may not fit.
      this.dispose();
      this.#storage = this.#pool.rent(sizeBytes);
    }
    return this.#storage.address;
  }

  /**
   * Takes at least so many bytes for runs to come, if the budget has them to spare: others give up nothing for it. Not while a
   * program runs on it.
   */
  reserve(sizeBytes: number): void {
    const heldBytes = this.#storage?.sizeBytes ?? 0;
    if (sizeBytes - heldBytes <= this.#pool.freeBytes) this.place(sizeBytes);
  }

  /** Gives the memory back; a later run takes some anew. Not while a program runs on it. */
  dispose(): void {
    this.#storage?.release();
    this.#storage = undefined;
  }
}
