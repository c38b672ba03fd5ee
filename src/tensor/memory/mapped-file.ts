// A file that is mapped to be read, and the storages that are parts of it. The mapping ends when it was closed and nothing uses
// its parts any more. Made by Compute, used for images of weights; JavaScript has no view of these bytes.
import { DividedMemory } from './divided-memory.js';
import { ReleasableStorage, type Storage } from './storage.js';

export interface MappingOptions {
  /** Of the first byte: a multiple of the page size. */
  readonly address: number;
  readonly sizeBytes: number;
  /** The pool with whose tensors ops accept the storages. */
  readonly owner: object;
  readonly unmap: (address: number, sizeBytes: number) => void;
}

export class MappedFile extends DividedMemory {
  readonly sizeBytes: number;
  readonly #options: MappingOptions;

  constructor(options: MappingOptions) {
    super();
    this.#options = options;
    this.sizeBytes = options.sizeBytes;
  }

  /** A part of the file. @param from a multiple of 64 */
  storage(from: number, sizeBytes: number): MappedStorage {
    const { address, owner } = this.#options;
    return new MappedStorage({ address: address + from, sizeBytes, owner, giveBack: this.enter() });
  }

  protected end(): void {
    this.#options.unmap(this.#options.address, this.sizeBytes);
  }
}

interface MappedStorageOptions {
  readonly address: number;
  readonly sizeBytes: number;
  readonly owner: object;
  readonly giveBack: () => void;
}

/** Part of a mapped file, which kernels read and nobody writes. Not pooled memory: it takes nothing of the budget. */
export class MappedStorage extends ReleasableStorage implements Storage {
  readonly address: number;
  readonly sizeBytes: number;
  readonly owner: object;
  readonly buffer = undefined;
  readonly byteOffset = 0;
  readonly #giveBack: () => void;

  constructor({ address, sizeBytes, owner, giveBack }: MappedStorageOptions) {
    super();
    this.address = address;
    this.sizeBytes = sizeBytes;
    this.owner = owner;
    this.#giveBack = giveBack;
  }

  protected giveBack(): void {
    this.#giveBack();
  }
}
