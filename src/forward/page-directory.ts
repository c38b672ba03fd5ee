// The directory of a model's pages: the address of each page by a number, which page tables use in its place. Kernels look
// numbers up here, so a wrong number finds another page or none, never other memory. Owned by the model.
import { TesseraeError } from '../base/errors.js';
import type { Compute } from '../ops/calls/compute.js';
import { type PageLayout, positionsPerPage } from '../ops/paged/key-value-pages.js';
import type { Tensor } from '../tensor/tensor.js';

/** Numbers of a directory, at most: four million tokens. It is a megabyte, which each loaded model has. */
const mostPages = 2 ** 17;

export class PageDirectory {
  /** i32 [pages, 2]: low and high half of each address; 0 where there is no page. Internal memory. */
  readonly tensor: Tensor<'i32'>;
  readonly #free: number[] = [];
  #next = 0;

  /** @param tensor i32 [pages, 2], zeros; becomes the directory's own */
  constructor(tensor: Tensor<'i32'>) {
    this.tensor = tensor;
  }

  /** How many pages there can be at the same time. */
  get capacity(): number {
    return this.tensor.shape[0] as number;
  }

  /** With room for as many pages as fit into the budget, whatever the type of their keys and values. */
  static forModel(compute: Compute, { layers, kvHeads, headDim, vDim }: PageLayout): PageDirectory {
    // No type takes less than a byte an element.
    const leastBytes = layers * kvHeads * (headDim + vDim) * positionsPerPage;
    const { budgetBytes } = compute.pool.stats();
    const pages = Math.min(mostPages, Math.floor(budgetBytes / leastBytes) + 1);
    return new PageDirectory(compute.privateTensor([pages, 2]));
  }

  /**
   * A number for the page at this address, until it is given back with {@link remove}.
   * @throws TesseraeError ERR_BUDGET when all numbers are in use
   */
  add(address: number): number {
    if (this.#free.length === 0 && this.#next === this.capacity) {
      throw new TesseraeError('ERR_BUDGET', `a model has no more than ${this.capacity} pages of keys and values`);
    }
    const number = this.#free.pop() ?? this.#next++;
    this.#write(number, address);
    return number;
  }

  /** The page is gone. Not while a program runs whose table lists it. */
  remove(number: number): void {
    this.#write(number, 0);
    this.#free.push(number);
  }

  #write(number: number, address: number): void {
    const { data } = this.tensor;
    data[2 * number] = address | 0;
    data[2 * number + 1] = Math.floor(address / 2 ** 32);
  }
}
