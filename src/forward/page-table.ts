// Pages of pooled memory that several users share, and tables of them that kernels read: a table is a list of addresses
// in shared memory. Knows nothing of what lies in the pages. Used by sessions for their keys and values.
import { TesseraeError } from '../base/errors.js';
import type { Storage } from '../tensor/memory/storage.js';
import { Tensor } from '../tensor/tensor.js';

/** One page and how many users it has; the memory goes back to its pool with the last of them. */
export class Page {
  readonly bytes: Tensor<'i8'>;
  #users = 1;

  /** @param bytes becomes the page's own */
  constructor(bytes: Tensor<'i8'>) {
    this.bytes = bytes;
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
    if (this.#users === 0) this.bytes.dispose();
  }
}

/**
 * The addresses of pages in order, 64 bits each, 0 where there is none. As the storage of {@link tensor} it makes a
 * program that reads the table keep the pages in place while it runs.
 */
export class PageTable implements Storage {
  /** i32 [capacity, 2]: low and high half of each address. What programs read and write pages through. */
  readonly tensor: Tensor<'i32'>;
  readonly #words: Tensor<'i32'>;
  #pages: readonly Page[] = [];
  #pins = 0;
  #pinned: readonly Storage[] = [];

  /** @param words i32 [capacity, 2], which becomes the table's own */
  constructor(words: Tensor<'i32'>) {
    this.#words = words;
    words.data.fill(0);
    this.tensor = new Tensor({ dtype: 'i32', shape: words.shape, storage: this });
  }

  /**
   * Lists these pages in place of those before. They stay their users': who loads them keeps them until the next load,
   * or until the programs that it starts are running.
   * @throws TesseraeError ERR_BUSY while a program runs on the table
   */
  load(pages: readonly Page[]): void {
    if (this.#pins > 0) throw new TesseraeError('ERR_BUSY', 'a program is running on these pages');
    const { data } = this.#words;
    for (let index = 0; index < pages.length; index++) {
      const { address } = (pages[index] as Page).bytes;
      data[2 * index] = address | 0;
      data[2 * index + 1] = Math.floor(address / 2 ** 32);
    }
    if (pages.length < this.#pages.length) data.fill(0, 2 * pages.length, 2 * this.#pages.length);
    this.#pages = [...pages];
  }

  dispose(): void {
    this.#pages = [];
    this.#words.dispose();
  }

  get sizeBytes(): number {
    return this.#words.storage.sizeBytes;
  }

  get address(): number {
    return this.#words.storage.address;
  }

  get disposed(): boolean {
    return this.#words.disposed;
  }

  get owner(): object | undefined {
    return this.#words.storage.owner;
  }

  get buffer(): SharedArrayBuffer | undefined {
    return this.#words.storage.buffer;
  }

  get byteOffset(): number {
    return this.#words.storage.byteOffset;
  }

  pin(): void {
    this.#words.storage.pin();
    if (this.#pins++ > 0) return;
    this.#pinned = this.#pages.map((page) => page.bytes.storage);
    for (const storage of this.#pinned) storage.pin();
  }

  unpin(): void {
    this.#words.storage.unpin();
    if (--this.#pins > 0) return;
    for (const storage of this.#pinned) storage.unpin();
    this.#pinned = [];
  }
}
