// The memory of a model's weights: blocks that many of them divide, which are large enough for huge pages. On pages of 4 KiB,
// where each matrix would be by itself, products of several rows are slower by up to a fifth (native/TUNING.md). Used by
// weights.ts.
import { TesseraeError } from '../base/errors.js';
import { type DType, dtypes } from '../tensor/elements/dtype.js';
import { elementCount } from '../tensor/layout/layout.js';
import type { Tensor } from '../tensor/tensor.js';
import { partBytes, type TensorBlock } from '../tensor/tensor-block.js';
import { classBytesFor, type TensorPool } from '../tensor/tensor-pool.js';

/** The bytes of a block. Smaller weights have a buffer each, as do those that are half of a block, and more. */
const leastBlockBytes = 4 << 20;
const mostBlockBytes = 64 << 20;

/** Consecutive weights, in a block or each by itself. */
interface Group {
  bytes: number;
  readonly sizes: number[];
}

export class WeightMemory {
  readonly #pool: TensorPool;
  /** Those that are to come. */
  readonly #groups: Group[];
  #block: TensorBlock | undefined;
  #leftBytes = 0;

  /** @param sizes in bytes, of the weights in the order in which they will be asked for */
  constructor(pool: TensorPool, sizes: readonly number[]) {
    this.#pool = pool;
    this.#groups = groupsOf(sizes.filter(isShared));
  }

  /** What weights of these sizes take of a pool. */
  static bytesFor(sizes: readonly number[]): number {
    const alone = sizes.filter((sizeBytes) => !isShared(sizeBytes));
    return groupsOf(sizes.filter(isShared)).reduce(
      (held, group) => held + (isBlock(group) ? group.bytes : heldAlone(group.sizes)),
      heldAlone(alone),
    );
  }

  /** A tensor with undefined contents for the next weight. @throws TesseraeError ERR_BUDGET */
  empty<D extends DType>(shape: readonly number[], dtype: D): Tensor<D> {
    const sizeBytes = elementCount(shape) * dtypes[dtype].sizeBytes;
    if (!isShared(sizeBytes)) return this.#pool.empty(shape, dtype);
    if (this.#leftBytes === 0) this.#nextGroup();
    this.#leftBytes -= partBytes(sizeBytes);
    return this.#block?.empty(shape, dtype) ?? this.#pool.empty(shape, dtype);
  }

  /** All weights are made, or will never be. */
  end(): void {
    this.#block?.close();
  }

  #nextGroup(): void {
    this.end();
    const group = this.#groups.shift() as Group;
    this.#leftBytes = group.bytes;
    this.#block = isBlock(group) ? this.#rent(group.bytes) : undefined;
  }

  /** Undefined near the budget, where the single weights may fit. */
  #rent(sizeBytes: number): TensorBlock | undefined {
    try {
      return this.#pool.block(sizeBytes, 'caches');
    } catch (error) {
      if (error instanceof TesseraeError && error.code === 'ERR_BUDGET') return undefined;
      throw error;
    }
  }
}

function isShared(sizeBytes: number): boolean {
  return sizeBytes > 0 && sizeBytes < mostBlockBytes / 2;
}

function isBlock({ bytes }: Group): boolean {
  return bytes >= leastBlockBytes;
}

function groupsOf(sizes: readonly number[]): Group[] {
  const groups: Group[] = [];
  for (const sizeBytes of sizes) {
    const bytes = partBytes(sizeBytes);
    const last = groups.at(-1);
    if (last !== undefined && last.bytes + bytes <= mostBlockBytes) {
      last.bytes += bytes;
      last.sizes.push(sizeBytes);
    } else groups.push({ bytes, sizes: [sizeBytes] });
  }
  return groups;
}

/** What weights take that have a buffer each. */
function heldAlone(sizes: readonly number[]): number {
  return sizes.reduce((held, sizeBytes) => held + classBytesFor(sizeBytes), 0);
}
