// The keys and values of one session: pages of the pool in a table, as many as its tokens need, shared with the session's
// forks until one of them writes. Knows no tokens and runs no model. Used by sessions.
import { type KeyValueType, PagedKeyValues, type PageLayout, positionsPerPage } from '../ops/paged-key-values.js';
import { Page, PageTable } from '../tensor/page-table.js';
import type { ModelHost } from './host.js';
import { Pace } from './pace.js';

/** What an append changed, to be undone when it fails. */
export interface Growth {
  /** Pages before. */
  readonly pages: number;
  /** The shared page that a copy of its own has replaced. */
  replaced?: { readonly index: number; readonly page: Page };
}

export class KeyValues {
  readonly #host: ModelHost;
  readonly #layout: PageLayout;
  readonly #table: PageTable;
  /** By layer. */
  readonly layers: readonly PagedKeyValues[];

  /** @throws TesseraeError ERR_BUDGET */
  constructor(host: ModelHost, layout: PageLayout, capacity: number) {
    this.#host = host;
    this.#layout = layout;
    this.#table = new PageTable(host.empty([pagesFor(capacity), 2], 'i32'));
    const { tensor } = this.#table;
    this.layers = Array.from({ length: layout.layers }, (_, layer) => new PagedKeyValues(tensor, layout, layer));
  }

  get type(): KeyValueType {
    return this.#layout.type;
  }

  /** Of all pages, those shared with others included. */
  get sizeBytes(): number {
    return this.#table.pages.length * this.#layout.pageBytes;
  }

  /** Of pages that others use, too. */
  get sharedBytes(): number {
    return this.#table.pages.filter((page) => page.isShared).length * this.#layout.pageBytes;
  }

  /**
   * Makes the positions `start` up to `end` writable: rents the pages that are missing, and copies the one that is
   * shared. To be followed by {@link keep}, or {@link undo}.
   * @throws TesseraeError ERR_BUDGET; AbortError. Nothing has changed then.
   */
  async grow(start: number, end: number, signal: AbortSignal | undefined): Promise<Growth> {
    const growth: Growth = { pages: this.#table.pages.length };
    try {
      // There is one only where `start` is within a page.
      const index = Math.floor(start / positionsPerPage);
      const page = this.#table.pages[index];
      if (page?.isShared === true) {
        await this.#replaceByCopy(index, page, signal);
        growth.replaced = { index, page };
      }
      const pace = new Pace(signal);
      while (this.#table.pages.length < pagesFor(end)) {
        this.#table.put(this.#table.pages.length, this.#newPage());
        if (pace.due()) await pace.rest();
      }
      return growth;
    } catch (error) {
      this.undo(growth);
      throw error;
    }
  }

  /** The append has succeeded. */
  keep({ replaced }: Growth): void {
    replaced?.page.release();
  }

  /** The append has failed: as it was before {@link grow}. */
  undo({ pages, replaced }: Growth): void {
    this.#table.truncate(pages);
    if (replaced === undefined) return;
    this.#table.put(replaced.index, replaced.page)?.release();
  }

  /** Lets go of the pages that `length` positions do not need. */
  truncate(length: number): void {
    this.#table.truncate(pagesFor(length));
  }

  dispose(): void {
    this.#table.dispose();
  }

  #newPage(): Page {
    return new Page(this.#host.empty([this.#layout.pageBytes], 'i8'));
  }

  async #replaceByCopy(index: number, page: Page, signal: AbortSignal | undefined): Promise<void> {
    const copy = this.#newPage();
    try {
      await this.#host.copy(page.bytes, { out: copy.bytes, signal });
      this.#table.put(index, copy);
    } catch (error) {
      copy.release();
      throw error;
    }
  }
}

function pagesFor(positions: number): number {
  return Math.ceil(positions / positionsPerPage);
}
