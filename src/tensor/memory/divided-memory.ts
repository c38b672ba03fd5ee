// Memory that several storages divide among them, and that ends with the last of them. The base of mapped files and of the
// blocks that tensors share.

export abstract class DividedMemory {
  /** The number of parts in use, plus one until it is closed. */
  #users = 1;
  #closed = false;

  /** Makes no more parts. The memory stays for those that there are. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#leave();
  }

  /** Counts a part. @returns to be called once, when nothing uses it any more */
  protected enter(): () => void {
    this.#users++;
    return () => this.#leave();
  }

  /** Nothing uses the memory any more. Called once. */
  protected abstract end(): void;

  #leave(): void {
    this.#users--;
    if (this.#users === 0) this.end();
  }
}
