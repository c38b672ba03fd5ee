// When a request waits for a prefix that another one is computing, and what is taken, published and given back of prefixes.
import { describe, expect, test } from 'vitest';
import type { Page } from '../../../src/serving/scheduling/page-source.js';
import { ScheduledRequest } from '../../../src/serving/scheduling/scheduled-request.js';
import { SharedPrefixes } from '../../../src/serving/scheduling/shared-prefixes.js';
import { FakePages } from './simulator.js';

const positions = 4;
const idsOf = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

function arranged() {
  const pages = new FakePages(positions, 100);
  const prefixes = new SharedPrefixes(pages);
  let arrivals = 0;
  const requestOf = (ids: number[], more: { readonly salt?: string | undefined } = {}) => {
    const spec = { ids, salt: '', priority: 0, tenant: '', deadlineAt: undefined, output: 'sample' } as const;
    return new ScheduledRequest({ ...spec, ...more }, arrivals++, 0);
  };
  /** A request that runs, and has computed and published so many of its tokens. */
  const running = (ids: number[], computed: number, more: { readonly salt?: undefined } = {}) => {
    const request = requestOf(ids, more);
    request.state = 'running';
    while (request.pages.length * positions < ids.length) request.pages.push(pages.rent() as Page);
    request.computed = computed;
    prefixes.publish(request);
    return request;
  };
  return { pages, prefixes, requestOf, running };
}

describe('it is worth waiting', () => {
  test('for whole pages that another request is computing, and that leave a token to compute', () => {
    const { prefixes, requestOf, running } = arranged();
    const other = running(idsOf(20), 4);
    expect(other.published).toBe(1);
    expect(prefixes.isWorthWaiting(requestOf(idsOf(9)), [other])).toBe(true);
    expect(prefixes.isWorthWaiting(requestOf([...idsOf(8), 99]), [other])).toBe(true);
    for (const ids of [idsOf(8), [...idsOf(7), 99, 99], idsOf(4), [99]]) {
      expect(prefixes.isWorthWaiting(requestOf(ids), [other])).toBe(false);
    }
  });

  test('not for what is computed, nor for another salt or none, nor where something is computed already', () => {
    const { prefixes, requestOf, running } = arranged();
    const other = running(idsOf(20), 8);
    expect(prefixes.isWorthWaiting(requestOf([...idsOf(8), 99]), [other])).toBe(false);
    expect(prefixes.isWorthWaiting(requestOf(idsOf(20), { salt: 'another' }), [other])).toBe(false);
    const own = requestOf(idsOf(20));
    own.computed = 4;
    expect(prefixes.isWorthWaiting(own, [other])).toBe(false);
    const without = running(idsOf(20), 4, { salt: undefined });
    expect(without.published).toBe(0);
    expect(prefixes.isWorthWaiting(requestOf(idsOf(20), { salt: undefined }), [without])).toBe(false);
  });

  test('not for what the tree has of a third request', () => {
    const { prefixes, requestOf, running } = arranged();
    running(idsOf(13), 12);
    const slow = running(idsOf(20), 0);
    expect(slow.published).toBe(0);
    expect(prefixes.isWorthWaiting(requestOf(idsOf(13)), [slow])).toBe(false);
    expect(prefixes.isWorthWaiting(requestOf(idsOf(17)), [slow])).toBe(true);
  });

  test('not for what another request has computed, also where the tree has given that up', () => {
    const { prefixes, requestOf, running } = arranged();
    const other = running(idsOf(20), 4);
    prefixes.tree.forget('');
    expect(prefixes.tree.lookUp('', idsOf(5), 4)).toBe(0);
    expect(prefixes.isWorthWaiting(requestOf([...idsOf(4), 99]), [other])).toBe(false);
    expect(prefixes.isWorthWaiting(requestOf([...idsOf(8), 99]), [other])).toBe(true);
  });

  test('for a request that goes on, also once a page is copied for it; not for one that is held, parked or decodes', () => {
    const { prefixes, requestOf, running } = arranged();
    const other = running(idsOf(20), 0);
    const isWorthWaiting = () => prefixes.isWorthWaiting(requestOf(idsOf(20)), [other]);
    expect(isWorthWaiting()).toBe(true);
    other.holds++;
    expect(isWorthWaiting()).toBe(false);
    other.copying = {};
    expect(isWorthWaiting()).toBe(true);
    other.copying = undefined;
    other.holds--;
    other.isParked = true;
    expect(isWorthWaiting()).toBe(false);
    other.isParked = false;
    other.computed = 18;
    expect(isWorthWaiting()).toBe(true);
    other.computed = 19;
    expect(isWorthWaiting()).toBe(false);
  });
});

describe('what is taken of a prefix', () => {
  test('counts as computed and published, and is given back as a whole', () => {
    const { pages, prefixes, requestOf, running } = arranged();
    running(idsOf(13), 12);
    const before = pages.live;
    const request = requestOf(idsOf(11));
    const partly = prefixes.take(request);
    expect([request.computed, request.cachedTokens, request.published, request.pages.length]).toEqual([8, 8, 2, 2]);
    expect(partly?.tokens).toBe(2);
    prefixes.giveBack(request, partly);
    expect([request.computed, request.cachedTokens, request.published, request.pages.length]).toEqual([0, 0, 0, 0]);
    expect([pages.live, prefixes.foundTokens]).toEqual([before, 0]);
  });

  test('is nothing for a request that has computed something, or has no salt', () => {
    const { pages, prefixes, requestOf, running } = arranged();
    running(idsOf(13), 12);
    const lent = requestOf(idsOf(11));
    lent.computed = 4;
    lent.pages.push(pages.rent() as Page);
    expect(prefixes.take(lent)).toBeUndefined();
    expect(prefixes.take(requestOf(idsOf(11), { salt: undefined }))).toBeUndefined();
    expect(prefixes.foundTokens).toBe(0);
    // Its pages are a session's.
    prefixes.giveBack(lent, undefined);
    expect([lent.pages.length, lent.computed]).toEqual([1, 4]);
  });

  test('counts once the request is admitted, a page in part once its copy is there', () => {
    const { pages, prefixes, requestOf, running } = arranged();
    running(idsOf(13), 12);
    const request = requestOf(idsOf(11));
    const partly = prefixes.take(request);
    request.pages.push(pages.rent() as Page);
    prefixes.admit(request, partly);
    expect([prefixes.foundTokens, request.holds, request.isWritten]).toEqual([8, 1, true]);
    pages.endCopies();
    expect([prefixes.foundTokens, request.holds, request.isWritten]).toEqual([10, 0, false]);
    expect([request.computed, request.cachedTokens]).toEqual([10, 10]);
    const failing = requestOf(idsOf(11));
    const again = prefixes.take(failing);
    failing.pages.push(pages.rent() as Page);
    prefixes.admit(failing, again);
    pages.endCopies(false);
    expect([prefixes.foundTokens, failing.computed, failing.cachedTokens, failing.holds]).toEqual([18, 8, 8, 0]);
  });

  test('is nothing for a request that ended before the copy was there', () => {
    const { pages, prefixes, requestOf, running } = arranged();
    running(idsOf(13), 12);
    const before = pages.live;
    const request = requestOf(idsOf(11));
    const partly = prefixes.take(request);
    request.pages.push(pages.rent() as Page);
    prefixes.admit(request, partly);
    request.releasePages();
    pages.endCopies();
    expect([request.computed, request.holds, prefixes.foundTokens]).toEqual([0, 0, 8]);
    expect(pages.live).toBe(before);
  });
});
