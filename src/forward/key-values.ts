// The keys and values of one session: pages of the pool, as many as its tokens need, shared with the session's forks until
// one of them writes. Knows no tokens and runs no model. Used by sessions.

import { TimeSlice } from '../base/time-slice.js';
import type { Compute } from '../ops/calls/compute.js';
import { type PageLayout, positionsPerPage } from '../ops/paged/key-value-pages.js';
import { copy as copyOp } from '../ops/rowwise/copy.js';
import type { PageDirectory } from './page-directory.js';
import { Page, pagesFor } from './page-table.js';

/** What an append changed, to be undone when it fails. */
export interface Growth {
  /** Pages before. */
  readonly pages: number;
  /** The shared page that a copy of its own has replaced. */
  replaced?: { readonly index: number; readonly page: Page };
}

/** Of the model that the sequence belongs to. */
export interface KeyValueParts {
  readonly compute: Compute;
  readonly directory: PageDirectory;
}

export class KeyValues {
  readonly layout: PageLayout;
  readonly #parts: KeyValueParts;
  readonly #pages: Page[] = [];

  constructor(parts: KeyValueParts, layout: PageLayout) {
    this.#parts = parts;
    this.layout = layout;
  }

  /** In the order of their positions. */
  get pages(): readonly Page[] {
    return this.#pages;
  }

  /** Of all pages, those shared with others included. */
  get sizeBytes(): number {
    return this.#pages.length * this.layout.pageBytes;
  }

  /** Of pages that others use, too. */
  get sharedBytes(): number {
    return this.#pages.filter((page) => page.isShared).length * this.layout.pageBytes;
  }

  /** The same keys and values, to go on with independently. */
  fork(): KeyValues {
    const fork = new KeyValues(this.#parts, this.layout);
    for (const page of this.#pages) fork.#pages.push(page.share());
    return fork;
  }

  /**
   * Makes the positions `start` up to `end` writable: rents the pages that are missing, and copies the one that is
   * shared. To be followed by {@link keep}, or {@link undo}.
   * @throws TesseraeError ERR_BUDGET; AbortError. Nothing has changed then.
   */
  async grow(start: number, end: number, signal: AbortSignal | undefined): Promise<Growth> {
    const growth: Growth = { pages: this.#pages.length };
    try {
      // There is one only where `start` is within a page.
      const index = Math.floor(start / positionsPerPage);
      const page = this.#pages[index];
      if (page?.isShared === true) {
        this.#pages[index] = await this.#copyOf(page, signal);
        growth.replaced = { index, page };
      }
      const timeSlice = new TimeSlice(signal);
      while (this.#pages.length < pagesFor(end)) {
        this.addPage();
        if (timeSlice.isOver()) await timeSlice.yield();
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
    for (const page of this.#pages.splice(pages)) page.release();
    if (replaced === undefined) return;
    this.#pages[replaced.index]?.release();
    this.#pages[replaced.index] = replaced.page;
  }

  /** One page more at the end. @throws TesseraeError ERR_BUDGET */
  addPage(): Page {
    const page = this.#rent();
    this.#pages.push(page);
    return page;
  }

  /** The pages are the caller's from now on. */
  takePages(): Page[] {
    return this.#pages.splice(0);
  }

  /** The pages become its own. */
  givePages(pages: readonly Page[]): void {
    this.#pages.push(...pages);
  }

  /** Lets go of the pages that `length` positions do not need. */
  truncate(length: number): void {
    for (const page of this.#pages.splice(pagesFor(length))) page.release();
  }

  #rent(): Page {
    const { directory, compute } = this.#parts;
    return Page.rent(directory, compute.pool, this.layout.pageBytes);
  }

  async #copyOf(page: Page, signal: AbortSignal | undefined): Promise<Page> {
    const copy = this.#rent();
    try {
      await this.#parts.compute.call(copyOp, { x: page.bytes, out: copy.bytes, signal });
      return copy;
    } catch (error) {
      copy.release();
      throw error;
    }
  }
}
