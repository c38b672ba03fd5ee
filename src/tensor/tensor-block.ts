// A block of pooled memory that several tensors divide among them, such as the weights of a model: in one large buffer they
// are on huge pages, where the system has them, and each takes just its bytes. Made by TensorPool.
import { internal } from '../base/internal.js';
import { type DType, dtypes } from './elements/dtype.js';
import { argumentError, elementCount } from './layout/layout.js';
import { DividedMemory } from './memory/divided-memory.js';
import { ALIGNMENT } from './memory/slab.js';
import { type PooledStorage, ReleasableStorage, type Storage } from './memory/storage.js';
import { Tensor } from './tensor.js';

/** The pool of a block. */
export interface BlockOwner {
  /** Counts a tensor whose storage it does not rent by itself. */
  adopt(tensor: Tensor, storage: ReleasableStorage): void;
  released(storage: ReleasableStorage): void;
}

/** The bytes that a part of so many takes in a block. */
export function partBytes(sizeBytes: number): number {
  return Math.ceil(sizeBytes / ALIGNMENT) * ALIGNMENT;
}

export class TensorBlock extends DividedMemory {
  readonly #storage: PooledStorage;
  readonly #owner: BlockOwner;
  #usedBytes = 0;

  /** @param storage which the block releases at its end */
  constructor(storage: PooledStorage, owner: BlockOwner) {
    super();
    this.#storage = storage;
    this.#owner = owner;
  }

  /** A tensor with undefined contents in the next bytes of the block. @throws TesseraeError ERR_ARGUMENT if they do not suffice */
  empty<D extends DType>(shape: readonly number[], dtype: D): Tensor<D> {
    const sizeBytes = elementCount(shape) * dtypes[dtype].sizeBytes;
    const from = this.#usedBytes;
    if (from + sizeBytes > this.#storage.sizeBytes) throw argumentError(`${sizeBytes} bytes do not fit into the block`);
    this.#usedBytes += partBytes(sizeBytes);
    const storage = new PartStorage(this.#storage, from, sizeBytes, this.#owner, this.enter());
    const tensor = new Tensor(internal, { dtype, shape, storage });
    this.#owner.adopt(tensor, storage);
    return tensor;
  }

  protected end(): void {
    this.#storage.release();
  }
}

/** Part of a block. */
class PartStorage extends ReleasableStorage implements Storage {
  readonly owner: BlockOwner;
  readonly sizeBytes: number;
  readonly buffer: SharedArrayBuffer;
  readonly byteOffset: number;
  readonly address: number;
  readonly #giveBack: () => void;

  constructor(whole: PooledStorage, from: number, sizeBytes: number, owner: BlockOwner, giveBack: () => void) {
    super();
    this.owner = owner;
    this.sizeBytes = sizeBytes;
    this.buffer = whole.buffer;
    this.byteOffset = whole.byteOffset + from;
    this.address = whole.address + from;
    this.#giveBack = giveBack;
  }

  protected override onRelease(): void {
    this.owner.released(this);
  }

  protected giveBack(): void {
    this.#giveBack();
  }
}
