// What requests share of their beginnings: takes pages from the prefix tree for a request, has a page that matches in part
// copied for it, publishes those that it has computed, and says when it is worth waiting for another one's. Pure; used by
// the scheduler.
import type { Page, PageSource } from './page-source.js';
import { type PartlyMatching, PrefixTree } from './prefix-tree.js';
import type { ScheduledRequest } from './scheduled-request.js';

export class SharedPrefixes {
  readonly tree: PrefixTree;
  readonly #positions: number;
  readonly #source: PageSource;
  #foundTokens = 0;

  constructor(source: PageSource) {
    this.#source = source;
    this.#positions = source.positions;
    this.tree = new PrefixTree(source.positions);
  }

  /** Tokens that requests did not compute, since the tree had them. */
  get foundTokens(): number {
    return this.#foundTokens;
  }

  /**
   * Uses what the tree has of a request that has computed nothing; at least one token is left to compute.
   * @returns a page that begins as the next one of the request; to be given to {@link admit} or {@link giveBack}
   */
  take(request: ScheduledRequest): PartlyMatching | undefined {
    const { salt, ids } = request;
    if (salt === undefined || request.computed > 0) return undefined;
    const { pages, partly } = this.tree.take(salt, ids, ids.length - 1);
    request.pages.push(...pages);
    request.computed = pages.length * this.#positions;
    request.cachedTokens = request.computed;
    request.published = pages.length;
    return partly;
  }

  /**
   * The request has pages for its whole prompt. Of a page that begins as its next one, a copy is made into that, once: the
   * request is held until it is there, and then computes the rest. The page itself is full, and so never written again.
   */
  admit(request: ScheduledRequest, partly: PartlyMatching | undefined): void {
    this.#foundTokens += request.cachedTokens;
    if (partly === undefined) return;
    const copying = {};
    request.copying = copying;
    request.holds++;
    const own = request.pages[request.computed / this.#positions] as Page;
    this.#source.copy(partly.page, own, (isCopied) => {
      partly.page.release();
      request.holds--;
      // It may have ended.
      if (request.copying !== copying) return;
      request.copying = undefined;
      if (!isCopied) return;
      request.computed += partly.tokens;
      request.cachedTokens += partly.tokens;
      this.#foundTokens += partly.tokens;
    });
  }

  /** Gives back what was taken, and whatever else the request has. */
  giveBack(request: ScheduledRequest, partly: PartlyMatching | undefined): void {
    partly?.page.release();
    if (request.cachedTokens === 0) return;
    request.cachedTokens = 0;
    request.releasePages();
  }

  /** Publishes the full pages that a request has computed. */
  publish(request: ScheduledRequest): void {
    const { salt, ids, pages, computed } = request;
    if (salt === undefined) return;
    while ((request.published + 1) * this.#positions <= computed) {
      const page = pages[request.published] as Page;
      if (!this.tree.publish(salt, ids, request.published * this.#positions, page)) return;
      request.published++;
    }
  }

  /** Whether a running request is computing a page of the same prefix now, which the tree will have then. */
  isWorthWaiting({ salt, ids, computed }: ScheduledRequest, running: readonly ScheduledRequest[]): boolean {
    if (salt === undefined || computed > 0) return false;
    let found: number | undefined;
    for (const other of running) {
      const goesOn = other.isReady || other.copying !== undefined;
      if (other.salt !== salt || other.pending <= 1 || !goesOn) continue;
      const common = this.#commonLength(ids, other.ids);
      if (common <= other.published * this.#positions) continue;
      found ??= this.tree.lookUp(salt, ids, ids.length - 1);
      if (common > found) return true;
    }
    return false;
  }

  /** Of whole pages that leave a token of the first to compute. */
  #commonLength(ids: readonly number[], others: readonly number[]): number {
    const most = Math.min(others.length, ids.length - 1);
    let common = 0;
    while (common < most && others[common] === ids[common]) common++;
    return common - (common % this.#positions);
  }
}
