// TensorPool: rents out blocks of shared memory by size class within a byte budget, reuses them, and counts them. Does
// not depend on what computes on the tensors. Each engine has one.
import { describe } from '../base/describe.js';
import { TesseraeError } from '../base/errors.js';
import { internal } from '../base/internal.js';
import type { SharedRange } from '../base/memory/shared-memory.js';
import { checkDType, type DType, dtypes } from './elements/dtype.js';
import { checkData, type DTypeOfData, inferDType, type TensorData, writeElements } from './elements/elements.js';
import { argumentError, checkShape, elementCount } from './layout/layout.js';
import { ALIGNMENT, Slab } from './memory/slab.js';
import { PooledStorage, type ReleasableStorage, type StorageOwner } from './memory/storage.js';
import { storageOf, Tensor } from './tensor.js';
import { type BlockOwner, partBytes, TensorBlock } from './tensor-block.js';

/** Size classes between two powers of two: less than an eighth of a large block is wasted. */
const CLASSES_PER_OCTAVE = 8;

/** Size of a buffer that small blocks share: those up to an eighth of it. Larger blocks have a buffer each. */
const SLAB_BYTES = 256 * 1024;
/** A slab of several blocks takes at most such a part of the budget. */
const LEAST_SLABS = 64;
const LARGEST_SHARED_BYTES = SLAB_BYTES / 8;

/** The longest typed array that every supported Node.js version can make. */
const WINDOW_BYTES = 2 ** 31;

export interface TensorPoolOptions {
  /** Upper limit of the pool's shared memory in bytes, with idle blocks and the slack for alignment. */
  readonly budgetBytes: number;
  /** The absolute address of the first byte of a typed array. */
  readonly addressOf: (bytes: Uint8Array) => number;
  /** Called once for each buffer, before its first use; several times, in parts, for a huge one. */
  readonly onAllocate?: (bytes: Uint8Array) => void;
  /**
   * Called for each buffer that the pool drops, so that its pages can be given back at once: V8 does not count shared
   * memory when it decides about a garbage collection, and would keep it resident for long.
   */
  readonly onTrim?: (bytes: Uint8Array) => void;
}

/** Blocks of one size. */
export interface SizeClassStats {
  readonly classBytes: number;
  readonly rented: number;
  readonly idle: number;
}

export interface PoolStats {
  readonly budgetBytes: number;
  /** Bytes of the rented blocks, each rounded up to its size class. */
  readonly rentedBytes: number;
  /** Bytes of the blocks that wait for their next use. */
  readonly idleBytes: number;
  /** All shared memory: rented, idle, and slack for alignment. Never more than the budget. */
  readonly heldBytes: number;
  readonly peakRentedBytes: number;
  readonly peakHeldBytes: number;
  /** Rents so far; a tensor without elements rents no block. */
  readonly rents: number;
  /** Rents that were served with a reused block. */
  readonly reuses: number;
  /** `reuses / rents`; 0 before the first rent. */
  readonly reuseRate: number;
  /** Tensors that were garbage-collected without being disposed. */
  readonly leaks: number;
  /** Tensors that are neither disposed nor garbage-collected; views are not counted. */
  readonly liveTensors: number;
  /** The size classes that have blocks, in ascending order. */
  readonly classes: readonly SizeClassStats[];
}

interface SizeClass {
  readonly classBytes: number;
  /** Slabs with a free block; the last one serves the next rent. */
  readonly available: Slab[];
  /** Blocks in all slabs of the class. */
  blocks: number;
  rented: number;
}

/** The size of the blocks that serve `sizeBytes`: a multiple of the alignment; 0 for 0 bytes. */
export function classBytesFor(sizeBytes: number): number {
  let step = ALIGNMENT;
  while (step * 2 * CLASSES_PER_OCTAVE < sizeBytes) step *= 2;
  return Math.ceil(sizeBytes / step) * step;
}

/**
 * What the pool may ask for when the budget is used up, in this order: programs that are only kept for replay, prefixes that
 * are only cached, and the pages of requests, which are computed anew later.
 */
export const reliefStages = ['programs', 'caches', 'requests'] as const;
export type ReliefStage = (typeof reliefStages)[number];

export class TensorPool implements StorageOwner, BlockOwner {
  readonly #options: TensorPoolOptions;
  readonly #classes = new Map<number, SizeClass>();
  readonly #slabs = new Set<Slab>();
  readonly #registry: FinalizationRegistry<ReleasableStorage>;
  readonly #relievers: Readonly<Record<ReliefStage, Set<() => boolean>>> = {
    programs: new Set(),
    caches: new Set(),
    requests: new Set(),
  };
  #closed = false;
  #clock = 0;
  #rentedBytes = 0;
  #blockBytes = 0;
  #heldBytes = 0;
  #peakRentedBytes = 0;
  #peakHeldBytes = 0;
  #rents = 0;
  #reuses = 0;
  #leaks = 0;
  #liveTensors = 0;

  constructor(options: TensorPoolOptions) {
    if (typeof options.budgetBytes !== 'number' || !(options.budgetBytes > 0)) {
      throw argumentError(`the memory budget must be a positive number of bytes, got ${describe(options.budgetBytes)}`);
    }
    this.#options = options;
    this.#registry = new FinalizationRegistry((storage) => {
      this.#leaks++;
      this.#liveTensors--;
      if (!storage.disposed) storage.release();
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  get budgetBytes(): number {
    return this.#options.budgetBytes;
  }

  /** Bytes of the budget that are not in rented blocks. */
  get freeBytes(): number {
    return this.#options.budgetBytes - this.#rentedBytes;
  }

  /**
   * A block of at least `sizeBytes` with undefined contents, to be given back with `release()`.
   * @param relief the last stage of what may be freed for it
   * @throws TesseraeError ERR_BUDGET, ERR_ENGINE_CLOSED, ERR_ARGUMENT
   */
  rent(sizeBytes: number, relief: ReliefStage = 'requests'): PooledStorage {
    this.#checkOpen();
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) {
      throw argumentError(`a size in bytes must be a non-negative integer, got ${describe(sizeBytes)}`);
    }
    if (sizeBytes === 0) return new PooledStorage({ owner: this, sizeBytes, slab: undefined, block: 0, zeroed: true });
    return this.#rentOfClass(classBytesFor(sizeBytes), sizeBytes, relief);
  }

  #rentOfClass(classBytes: number, sizeBytes: number, relief: ReliefStage): PooledStorage {
    const sizeClass = this.#sizeClass(classBytes);
    const slab = sizeClass.available.at(-1) ?? this.#slabWithRelief(sizeClass, relief);
    const reused = slab.nextIsReused;
    const zeroed = slab.nextIsZeroed;
    const block = slab.take();
    if (slab.isFull) sizeClass.available.pop();
    sizeClass.rented++;
    this.#rents++;
    if (reused) this.#reuses++;
    this.#rentedBytes += slab.blockBytes;
    this.#peakRentedBytes = Math.max(this.#peakRentedBytes, this.#rentedBytes);
    return new PooledStorage({ owner: this, sizeBytes, slab, block, zeroed });
  }

  /**
   * Registers what can free memory when the budget is used up: one thing at each call, false when there is nothing left.
   * @returns takes the registration back
   */
  onShortage(stage: ReliefStage, relieve: () => boolean): () => void {
    this.#relievers[stage].add(relieve);
    return () => this.#relievers[stage].delete(relieve);
  }

  /** A tensor with undefined contents. `relief`: as for {@link rent}. */
  empty<D extends DType = 'f32'>(
    shape: readonly number[],
    dtype: D = 'f32' as D,
    relief: ReliefStage = 'requests',
  ): Tensor<D> {
    const checkedShape = checkShape(shape, 'empty');
    const type = checkDType(dtype, 'empty') as D;
    const storage = this.rent(elementCount(checkedShape) * dtypes[type].sizeBytes, relief);
    const tensor = new Tensor(internal, { dtype: type, shape: checkedShape, storage });
    this.adopt(tensor, storage);
    return tensor;
  }

  /**
   * One block for several tensors, to be closed when all of them are made. It has its own size class: it is large, and its
   * user knows how large.
   * @param sizeBytes the sum of their {@link partBytes}
   * @param relief as for {@link rent}
   * @throws TesseraeError ERR_BUDGET, ERR_ENGINE_CLOSED
   */
  block(sizeBytes: number, relief: ReliefStage = 'requests'): TensorBlock {
    this.#checkOpen();
    return new TensorBlock(this.#rentOfClass(partBytes(sizeBytes), sizeBytes, relief), this);
  }

  /**
   * A tensor with the given values in row-major order; without data, of zeros. The element type may be left out: it is
   * then that of the typed array, f32 for number[] and Float64Array, f16 for Uint16Array (which contains f16 bits).
   * @throws TesseraeError ERR_SHAPE if shape and data do not fit, ERR_ARGUMENT for values that do not fit the type,
   * ERR_DTYPE, ERR_BUDGET, ERR_ENGINE_CLOSED
   */
  tensor(shape: readonly number[]): Tensor<'f32'>;
  tensor<D extends DType>(shape: readonly number[], dtype: D, data?: TensorData): Tensor<D>;
  tensor<A extends TensorData>(shape: readonly number[], data: A): Tensor<DTypeOfData<A>>;
  tensor(shape: readonly number[], dtypeOrData?: DType | TensorData, data?: TensorData): Tensor;
  tensor(shape: readonly number[], dtypeOrData: DType | TensorData = 'f32', data?: TensorData): Tensor {
    const named = typeof dtypeOrData === 'string';
    const dtype = named ? checkDType(dtypeOrData, 'tensor') : inferDType(dtypeOrData, 'tensor');
    const values = named ? data : dtypeOrData;
    const checkedShape = checkShape(shape, 'tensor');
    if (values !== undefined) checkData(values, dtype, checkedShape, 'tensor');
    const tensor = this.empty(checkedShape, dtype);
    if (values !== undefined) writeElements(values, tensor.data, tensor);
    else if (!(storageOf(tensor) as PooledStorage).zeroed) tensor.data.fill(0);
    return tensor;
  }

  /** A tensor of zeros. */
  zeros<D extends DType = 'f32'>(shape: readonly number[], dtype: D = 'f32' as D): Tensor<D> {
    return this.tensor(shape, dtype);
  }

  /** Drops all buffers without a rented block. @returns the bytes freed */
  trim(): number {
    const before = this.#heldBytes;
    for (const slab of this.#slabs) if (slab.rented === 0) this.#drop(slab);
    return before - this.#heldBytes;
  }

  stats(): PoolStats {
    const classes: SizeClassStats[] = [];
    for (const { classBytes, blocks, rented } of this.#classes.values()) {
      if (blocks > 0) classes.push({ classBytes, rented, idle: blocks - rented });
    }
    classes.sort((a, b) => a.classBytes - b.classBytes);
    return {
      budgetBytes: this.#options.budgetBytes,
      rentedBytes: this.#rentedBytes,
      idleBytes: this.#blockBytes - this.#rentedBytes,
      heldBytes: this.#heldBytes,
      peakRentedBytes: this.#peakRentedBytes,
      peakHeldBytes: this.#peakHeldBytes,
      rents: this.#rents,
      reuses: this.#reuses,
      reuseRate: this.#rents === 0 ? 0 : this.#reuses / this.#rents,
      leaks: this.#leaks,
      liveTensors: this.#liveTensors,
      classes,
    };
  }

  /**
   * Ends renting and frees idle memory. Tensors that are still alive stay readable; each frees its memory when it is
   * disposed or garbage-collected. Closing twice is harmless.
   */
  close(): void {
    this.#closed = true;
    this.trim();
  }

  /** @internal Called for each tensor of the pool's memory. */
  adopt(tensor: Tensor, storage: ReleasableStorage): void {
    this.#registry.register(tensor, storage, storage);
    this.#liveTensors++;
  }

  /** @internal Called by a storage. */
  released(storage: ReleasableStorage): void {
    if (this.#registry.unregister(storage)) this.#liveTensors--;
  }

  /** @internal Called by a storage. */
  takeBack({ slab, block }: PooledStorage): void {
    if (slab === undefined) return;
    const sizeClass = this.#sizeClass(slab.blockBytes);
    if (slab.isFull) sizeClass.available.push(slab);
    slab.giveBack(block);
    slab.idleSince = ++this.#clock;
    sizeClass.rented--;
    this.#rentedBytes -= slab.blockBytes;
    if (this.#closed && slab.rented === 0) this.#drop(slab);
  }

  #checkOpen(): void {
    if (this.#closed) throw new TesseraeError('ERR_ENGINE_CLOSED', 'the tensor pool is closed');
  }

  #sizeClass(classBytes: number): SizeClass {
    let sizeClass = this.#classes.get(classBytes);
    if (sizeClass === undefined) {
      sizeClass = { classBytes, available: [], blocks: 0, rented: 0 };
      this.#classes.set(classBytes, sizeClass);
    }
    return sizeClass;
  }

  /** A slab with a free block, for which as much is freed as it takes. */
  #slabWithRelief(sizeClass: SizeClass, relief: ReliefStage): Slab {
    for (;;) {
      try {
        return sizeClass.available.at(-1) ?? this.#addSlab(sizeClass);
      } catch (error) {
        if (!(error instanceof TesseraeError && error.code === 'ERR_BUDGET') || !this.#relieve(relief)) throw error;
      }
    }
  }

  /** Frees one thing of the first stage that has any. */
  #relieve(last: ReliefStage): boolean {
    for (const stage of reliefStages.slice(0, reliefStages.indexOf(last) + 1)) {
      for (const relieve of this.#relievers[stage]) if (relieve()) return true;
    }
    return false;
  }

  #addSlab(sizeClass: SizeClass): Slab {
    const { classBytes } = sizeClass;
    const { budgetBytes, addressOf, onAllocate } = this.#options;
    const leastBytes = Slab.heldBytes(classBytes, 1);
    this.#makeRoom(leastBytes);
    // Near the budget, a slab gets fewer blocks, so that a rent fails only if its own block does not fit.
    const fitting = Math.floor((budgetBytes - this.#heldBytes - ALIGNMENT) / classBytes);
    // In a small budget slabs are small, too: an idle block in a slab in use serves no other size.
    const slabBytes = Math.min(SLAB_BYTES, budgetBytes / LEAST_SLABS);
    const sharing = Math.max(1, Math.floor((slabBytes - ALIGNMENT) / classBytes));
    const wanted = classBytes > LARGEST_SHARED_BYTES ? 1 : sharing;
    const slab = this.#allocate(classBytes, Math.min(wanted, fitting), addressOf);
    this.#slabs.add(slab);
    sizeClass.available.push(slab);
    sizeClass.blocks += slab.blocks;
    this.#blockBytes += slab.blocks * classBytes;
    this.#heldBytes += slab.sizeBytes;
    this.#peakHeldBytes = Math.max(this.#peakHeldBytes, this.#heldBytes);
    if (onAllocate !== undefined) forEachWindow(slab.range, onAllocate);
    return slab;
  }

  #allocate(blockBytes: number, blocks: number, addressOf: (bytes: Uint8Array) => number): Slab {
    try {
      return new Slab({ blockBytes, blocks, addressOf });
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      const message = `the system refused ${Slab.heldBytes(blockBytes, blocks)} bytes of shared memory`;
      throw new TesseraeError('ERR_BUDGET', message, { cause });
    }
  }

  /** Drops idle buffers, least recently used first, until `neededBytes` fit into the budget. @throws ERR_BUDGET */
  #makeRoom(neededBytes: number): void {
    const { budgetBytes } = this.#options;
    if (this.#heldBytes + neededBytes <= budgetBytes) return;
    const idle = [...this.#slabs].filter((slab) => slab.rented === 0).sort((a, b) => a.idleSince - b.idleSince);
    const droppableBytes = idle.reduce((sum, slab) => sum + slab.sizeBytes, 0);
    if (this.#heldBytes - droppableBytes + neededBytes > budgetBytes) {
      const idleBytes = this.#blockBytes - this.#rentedBytes;
      throw new TesseraeError(
        'ERR_BUDGET',
        `needs ${neededBytes} bytes of shared memory, but of the budget of ${budgetBytes} bytes ` +
          `${this.#rentedBytes} are rented and ${idleBytes} idle; trimming would free ${droppableBytes}`,
      );
    }
    for (const slab of idle) {
      if (this.#heldBytes + neededBytes <= budgetBytes) return;
      this.#drop(slab);
    }
  }

  #drop(slab: Slab): void {
    const sizeClass = this.#sizeClass(slab.blockBytes);
    sizeClass.available.splice(sizeClass.available.indexOf(slab), 1);
    sizeClass.blocks -= slab.blocks;
    this.#blockBytes -= slab.blocks * slab.blockBytes;
    this.#heldBytes -= slab.sizeBytes;
    this.#slabs.delete(slab);
    const { onTrim } = this.#options;
    if (onTrim !== undefined) forEachWindow(slab.range, onTrim);
    slab.free();
  }
}

function forEachWindow({ buffer, byteOffset, sizeBytes }: SharedRange, visit: (bytes: Uint8Array) => void): void {
  for (let start = 0; start < sizeBytes; start += WINDOW_BYTES) {
    visit(new Uint8Array(buffer, byteOffset + start, Math.min(WINDOW_BYTES, sizeBytes - start)));
  }
}
