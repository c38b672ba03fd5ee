// Pages of pooled memory that several sequences share, and the tables through which kernels find them: each sequence of a
// step has a slot, a line of page numbers. Knows nothing of what is in the pages. Used for keys and values.
import { TesseraeError } from '../base/errors.js';
import type { Compute } from '../ops/calls/compute.js';
import { type PageLayout, type PageTensors, positionsPerPage } from '../ops/paged/key-value-pages.js';
import type { BlockStorage } from '../program/block-storage.js';
import { storageOf, type Tensor } from '../tensor/tensor.js';
import type { TensorPool } from '../tensor/tensor-pool.js';
import type { PageDirectory } from './page-directory.js';

/** One page and how many users it has; the memory goes back to its pool with the last of them. */
export class Page {
  readonly bytes: Tensor<'i8'>;
  readonly directory: PageDirectory;
  /** In the directory. */
  readonly number: number;
  #users = 1;

  private constructor(directory: PageDirectory, bytes: Tensor<'i8'>) {
    this.directory = directory;
    this.bytes = bytes;
    this.number = directory.add(bytes.address);
  }

  /** @throws TesseraeError ERR_BUDGET */
  static rent(directory: PageDirectory, pool: Pick<TensorPool, 'empty'>, sizeBytes: number): Page {
    const bytes = pool.empty([sizeBytes], 'i8');
    try {
      return new Page(directory, bytes);
    } catch (error) {
      bytes.dispose();
      throw error;
    }
  }

  get isShared(): boolean {
    return this.#users > 1;
  }

  /** One user more. */
  share(): this {
    this.#users++;
    return this;
  }

  /** One user less. */
  release(): void {
    this.#users--;
    if (this.#users > 0) return;
    this.directory.remove(this.number);
    this.bytes.dispose();
  }
}

const noPage = -1;

export interface PageTableSizes {
  /** Sequences that a step can have. */
  readonly slots: number;
  /** Positions of a sequence. */
  readonly capacity: number;
}

/**
 * The pages of a step's sequences, by slot. All of one directory and one layout.
 *
 * A program does not pin the pages that its table lists: their owners keep them. Who has listed a page awaits the run
 * before releasing the page (Sequence.exclusively), and the promise of a run settles only after the last worker has left
 * the program. This holds for a run that fails or is aborted (the team settles it when its slot is drained), for a lost
 * worker (its seat is buried first), for engine.close (the team ends the workers and settles the runs; then the pool is
 * closed), and for model.dispose (a program that is lent is disposed when it is given back).
 */
export class PageTable implements PageTensors {
  /** i32 [slots, pages]. Internal memory. */
  readonly table: Tensor<'i32'>;
  readonly #compute: Pick<Compute, 'privateTensor' | 'giveBackPrivate'>;
  readonly #directory: PageDirectory;
  readonly #pageBytes: number;
  /** How many pages each slot lists. */
  readonly #counts: Int32Array;

  constructor(
    compute: Pick<Compute, 'privateTensor' | 'giveBackPrivate'>,
    directory: PageDirectory,
    layout: PageLayout,
    { slots, capacity }: PageTableSizes,
  ) {
    this.table = compute.privateTensor([slots, pagesFor(capacity)]);
    this.table.data.fill(noPage);
    this.#compute = compute;
    this.#directory = directory;
    this.#pageBytes = layout.pageBytes;
    this.#counts = new Int32Array(slots);
  }

  get directory(): Tensor<'i32'> {
    return this.#directory.tensor;
  }

  /**
   * Lists the pages of a sequence in a slot, in place of those before. They stay their owners', who keep them while a
   * program runs on the table.
   * @throws TesseraeError ERR_BUSY while a program runs on the table; ERR_ARGUMENT for pages of another cache
   */
  load(slot: number, pages: readonly Page[]): void {
    if ((storageOf(this.table) as BlockStorage).isPinned) {
      throw new TesseraeError('ERR_BUSY', 'a program is running on these pages');
    }
    const [slots, slotPages] = this.table.shape as [number, number];
    if (!(Number.isInteger(slot) && slot >= 0 && slot < slots) || pages.length > slotPages) {
      const got = `slot ${slot} with ${pages.length}`;
      throw new TesseraeError('ERR_ARGUMENT', `the table has ${slots} slots of ${slotPages} pages, not ${got}`);
    }
    const { data } = this.table;
    const first = slot * slotPages;
    for (let index = 0; index < pages.length; index++) {
      const { directory, bytes, number } = pages[index] as Page;
      if (directory !== this.#directory || bytes.size !== this.#pageBytes) {
        throw new TesseraeError('ERR_ARGUMENT', 'a page of another cache');
      }
      data[first + index] = number;
    }
    data.fill(noPage, first + pages.length, first + Math.max(pages.length, this.#counts[slot] as number));
    this.#counts[slot] = pages.length;
  }

  /** There are no more programs on it. */
  dispose(): void {
    this.#compute.giveBackPrivate(this.table);
  }

  /** Lists no pages in a slot. */
  clear(slot: number): void {
    this.load(slot, []);
  }
}

export function pagesFor(positions: number): number {
  return Math.ceil(positions / positionsPerPage);
}
