// The pages of a model's keys and values as its scheduler rents them: from the pool, at the cost of idle programs and of
// cached prefixes, but never of running requests, which the scheduler decides about itself.
import { TesseraeError } from '../../base/errors.js';
import type { DecoderParts } from '../../forward/decoder-programs.js';
import { Page } from '../../forward/page-table.js';
import { imageOf } from '../../ops/matrix-image.js';
import { type PageLayout, positionsPerPage } from '../../ops/paged/key-value-pages.js';
import { copy } from '../../ops/rowwise/copy.js';
import { storageOf, Tensor } from '../../tensor/tensor.js';
import type { TensorPool } from '../../tensor/tensor-pool.js';
import type { PageSource } from '../scheduling/page-source.js';

export class PooledPages implements PageSource {
  readonly positions = positionsPerPage;
  readonly pageBytes: number;
  readonly #parts: DecoderParts;
  readonly #onCopied: () => void;

  /** @param onCopied called after each copy */
  constructor(parts: DecoderParts, layout: PageLayout, onCopied: () => void) {
    this.#parts = parts;
    this.#onCopied = onCopied;
    this.pageBytes = layout.pageBytes;
  }

  get free(): number {
    return Math.max(0, Math.floor(this.#parts.compute.pool.freeBytes / this.pageBytes));
  }

  /** All of the budget that the weights leave. */
  get most(): number {
    const { compute, weights, constants, directory } = this.#parts;
    let weightBytes = 0;
    for (const weight of [...weights.values(), ...constants.values()]) {
      const storage = storageOf(weight instanceof Tensor ? weight : imageOf(weight));
      if (storage.owner === compute.pool && storage.buffer !== undefined) weightBytes += storage.sizeBytes;
    }
    const fitting = Math.floor((compute.pool.budgetBytes - weightBytes) / this.pageBytes);
    return Math.max(0, Math.min(fitting, directory.capacity));
  }

  /** By the workers: a page holds all layers, and may have megabytes. */
  copy(from: Page, to: Page, done: (isCopied: boolean) => void): void {
    const pages = [from.share(), to.share()];
    const end = (isCopied: boolean) => {
      for (const page of pages) page.release();
      done(isCopied);
      this.#onCopied();
    };
    this.#parts.compute.call(copy, { x: from.bytes, out: to.bytes }).then(
      () => end(true),
      () => end(false),
    );
  }

  rent(): Page | undefined {
    try {
      const { directory, compute } = this.#parts;
      const empty: TensorPool['empty'] = (shape, dtype) => compute.pool.empty(shape, dtype, 'caches');
      return Page.rent(directory, { empty }, this.pageBytes);
    } catch (error) {
      if (error instanceof TesseraeError && error.code === 'ERR_BUDGET') return undefined;
      throw error;
    }
  }
}
