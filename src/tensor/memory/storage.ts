// The memory of tensors: the interface that Tensor and programs use, the base of storages that are released once, and the
// storage of pooled memory, which only TensorPool makes. A storage does not know what its bytes contain.

import { TesseraeError } from '../../base/errors.js';
import { argumentError } from '../layout/layout.js';
import { letGoOfIdlePins } from './kept-pins.js';
import type { Slab } from './slab.js';

/**
 * A run of bytes with an address. Implemented by {@link PooledStorage}, by blocks
 * and by the temporaries of programs (src/program).
 */
export interface Storage {
  readonly sizeBytes: number;
  /** Absolute byte address, a multiple of 64; NaN for a temporary without a place. */
  readonly address: number;
  readonly disposed: boolean;
  /** The pool that the bytes belong to, as an identity; undefined for a program's temporaries. */
  readonly owner: object | undefined;
  /** The buffer through which JavaScript reads the bytes; undefined for a program's temporaries. */
  readonly buffer: SharedArrayBuffer | undefined;
  /** Offset of the first byte in {@link buffer}. */
  readonly byteOffset: number;
  /** Keeps the bytes in place while a program runs on them, until the same number of {@link unpin} calls. */
  pin(): void;
  unpin(): void;
  /** Gives the bytes back. Called once, by the tensor that owns them when it is disposed. */
  release?(): void;
}

/** Counts pins, and gives the bytes back once they are released and no program has them pinned. */
export abstract class ReleasableStorage {
  #pins = 0;
  #released = false;

  get disposed(): boolean {
    return this.#released;
  }

  /** @throws TesseraeError ERR_DISPOSED if it was released */
  pin(): void {
    this.#checkAlive();
    this.#pins++;
  }

  unpin(): void {
    if (this.#pins === 0) throw argumentError('unpin without a pin');
    this.#pins--;
    if (this.#pins === 0 && this.#released) this.giveBack();
  }

  /** @throws TesseraeError ERR_DISPOSED if it was released before */
  release(): void {
    this.#checkAlive();
    letGoOfIdlePins();
    this.#released = true;
    this.onRelease();
    if (this.#pins === 0) this.giveBack();
  }

  /** The tensor was disposed; programs may still use the bytes. */
  protected onRelease(): void {}

  /** Nothing uses the bytes any more. Called once. */
  protected abstract giveBack(): void;

  #checkAlive(): void {
    if (this.#released) throw new TesseraeError('ERR_DISPOSED', 'this memory was already released');
  }
}

/** What a pooled storage reports to its pool. */
export interface StorageOwner {
  /** Its tensor was disposed; programs may still use the bytes. */
  released(storage: ReleasableStorage): void;
  /** Nothing uses the bytes any more. */
  takeBack(storage: PooledStorage): void;
}

export interface PooledStorageOptions {
  readonly owner: StorageOwner;
  readonly sizeBytes: number;
  /** Undefined for a storage of 0 bytes, which takes no block. */
  readonly slab: Slab | undefined;
  readonly block: number;
  readonly zeroed: boolean;
}

const noBytes = new SharedArrayBuffer(0);

/** A block of pooled shared memory. It returns to its pool once it is released and no program has it pinned. */
export class PooledStorage extends ReleasableStorage implements Storage {
  readonly owner: StorageOwner;
  readonly sizeBytes: number;
  readonly buffer: SharedArrayBuffer;
  readonly byteOffset: number;
  readonly address: number;
  readonly slab: Slab | undefined;
  readonly block: number;
  /** Whether the bytes were all zero when they were rented. */
  readonly zeroed: boolean;

  constructor({ owner, sizeBytes, slab, block, zeroed }: PooledStorageOptions) {
    super();
    const start = slab === undefined ? 0 : block * slab.blockBytes;
    this.owner = owner;
    this.sizeBytes = sizeBytes;
    this.buffer = slab?.buffer ?? noBytes;
    this.byteOffset = slab === undefined ? 0 : slab.byteOffset + start;
    this.address = slab === undefined ? 0 : slab.address + start;
    this.slab = slab;
    this.block = block;
    this.zeroed = zeroed;
  }

  protected override onRelease(): void {
    this.owner.released(this);
  }

  protected giveBack(): void {
    this.owner.takeBack(this);
  }
}
