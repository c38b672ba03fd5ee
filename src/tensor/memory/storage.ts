// Memory that tensors stand on: the interface that Tensor and programs see, and the pooled kind. A storage knows its
// bytes and whether it is alive, not what lies in it. Pooled ones are made by TensorPool alone.

import { TesseraeError } from '../../base/errors.js';
import { argumentError } from '../layout/layout.js';
import type { Slab } from './slab.js';

/**
 * A run of bytes with an address. Implemented by {@link PooledStorage}, by mapped files, and by programs for their
 * temporaries.
 */
export interface Storage {
  readonly sizeBytes: number;
  /** Absolute byte address, a multiple of 64 but in a mapped file; NaN while not placed. */
  readonly address: number;
  readonly disposed: boolean;
  /** Identity of the pool that the bytes belong to; undefined for a program's temporaries. */
  readonly owner: object | undefined;
  /** What JavaScript reads the bytes through; undefined for a program's temporaries and for a mapped file. */
  readonly buffer: SharedArrayBuffer | undefined;
  /** Of the first byte, within {@link buffer}. */
  readonly byteOffset: number;
  /** A program runs on these bytes: they must stay where they are until as many {@link unpin}s. */
  pin(): void;
  unpin(): void;
  /** Programs may read the bytes, but not write them. */
  readonly readOnly?: boolean;
  /** Gives the bytes back, once, when the tensor that owns them is disposed. */
  release?(): void;
}

/** What a pooled storage tells its pool. */
export interface StorageOwner {
  /** The user is done with it. */
  released(storage: PooledStorage): void;
  /** Nobody uses the bytes any more, running programs included. */
  takeBack(storage: PooledStorage): void;
}

export interface PooledStorageOptions {
  readonly owner: StorageOwner;
  readonly sizeBytes: number;
  /** Undefined for a storage of no bytes, which takes no block. */
  readonly slab: Slab | undefined;
  readonly block: number;
  readonly zeroed: boolean;
}

const noBytes = new SharedArrayBuffer(0);

/** A block of pooled shared memory. It goes back to its pool once it is released and no program has it pinned. */
export class PooledStorage implements Storage {
  readonly owner: StorageOwner;
  readonly sizeBytes: number;
  readonly buffer: SharedArrayBuffer;
  /** Of the first byte, within {@link buffer}. */
  readonly byteOffset: number;
  readonly address: number;
  readonly slab: Slab | undefined;
  readonly block: number;
  /** Whether the bytes were all zero when they were rented. */
  readonly zeroed: boolean;
  #pins = 0;
  #released = false;

  constructor({ owner, sizeBytes, slab, block, zeroed }: PooledStorageOptions) {
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

  get disposed(): boolean {
    return this.#released;
  }

  /** @throws TesseraeError ERR_DISPOSED when it was released. */
  pin(): void {
    if (this.#released) throw new TesseraeError('ERR_DISPOSED', 'this memory was already released');
    this.#pins++;
  }

  unpin(): void {
    if (this.#pins === 0) throw argumentError('unpin without a pin');
    this.#pins--;
    if (this.#pins === 0 && this.#released) this.owner.takeBack(this);
  }

  /** @throws TesseraeError ERR_DISPOSED when it was released before. */
  release(): void {
    if (this.#released) throw new TesseraeError('ERR_DISPOSED', 'this memory was already released');
    this.#released = true;
    this.owner.released(this);
    if (this.#pins === 0) this.owner.takeBack(this);
  }
}
