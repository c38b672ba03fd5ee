// What requests share of their beginnings: takes pages from the prefix tree for a request, publishes those that it has
// computed, and says when it is worth waiting for another one's. Pure; used by the scheduler.
import type { Page } from './page-source.js';
import { PrefixTree } from './prefix-tree.js';
import type { ScheduledRequest } from './scheduled-request.js';

export class SharedPrefixes {
  readonly tree: PrefixTree;
  readonly #positions: number;

  /** @param positions of a page */
  constructor(positions: number) {
    this.#positions = positions;
    this.tree = new PrefixTree(positions);
  }

  /** Uses what the tree has of a request that has computed nothing; at least one token is left to compute. */
  take(request: ScheduledRequest): void {
    const { salt, ids } = request;
    if (salt === undefined || request.computed > 0) return;
    const found = this.tree.take(salt, ids, ids.length - 1);
    request.pages.push(...found);
    request.computed = found.length * this.#positions;
    request.cachedTokens = request.computed;
    request.published = found.length;
  }

  /** Gives back what was taken, and whatever else the request has. */
  giveBack(request: ScheduledRequest): void {
    if (request.salt === undefined || request.cachedTokens === 0) return;
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
      if (other.salt !== salt || other.pending <= 1 || !other.isReady) continue;
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
