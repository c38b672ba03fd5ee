// What a request says of itself: whether it takes part in a step, whether it decodes, and what becomes of its pages.
import { expect, test } from 'vitest';
import type { Page } from '../../../src/serving/scheduling/page-source.js';
import { type RequestSpec, ScheduledRequest } from '../../../src/serving/scheduling/scheduled-request.js';
import { FakePages } from './simulator.js';

function requestOf(tokens: number, more: Partial<RequestSpec> = {}): ScheduledRequest {
  const ids = Array.from({ length: tokens }, (_, i) => i);
  const spec = { ids, priority: 2, tenant: 'a', deadlineAt: 7, salt: 's', output: 'sample' } as const;
  return new ScheduledRequest({ ...spec, ...more }, 5, 100);
}

test('it has what it was made of, and has done nothing', () => {
  const request = requestOf(3);
  expect(request).toMatchObject({
    ids: [0, 1, 2],
    priority: 2,
    tenant: 'a',
    deadlineAt: 7,
    salt: 's',
    output: 'sample',
    isPatient: false,
    number: 5,
    arrivedAt: 100,
    state: 'waiting',
    pages: [],
    computed: 0,
    published: 0,
    cachedTokens: 0,
    recomputedTokens: 0,
    reached: 0,
    holds: 0,
    isParked: false,
    inStep: false,
    pending: 3,
    isLent: false,
  });
  expect([request.admittedAt, request.copying]).toEqual([undefined, undefined]);
  expect([requestOf(3, { isPatient: true }).isPatient, requestOf(3, { isPatient: false }).isPatient]).toEqual([
    true,
    false,
  ]);
});

test('it takes part in a step where it runs, is not held or parked, and has tokens to compute', () => {
  const request = requestOf(3);
  expect(request.isReady).toBe(false);
  request.state = 'running';
  expect(request.isReady).toBe(true);
  request.holds = 1;
  expect(request.isReady).toBe(false);
  request.holds = 0;
  request.isParked = true;
  expect(request.isReady).toBe(false);
  request.isParked = false;
  request.computed = 2;
  expect([request.isReady, request.pending]).toEqual([true, 1]);
  request.computed = 3;
  expect([request.isReady, request.pending]).toEqual([false, 0]);
  request.computed = 2;
  request.state = 'ended';
  expect(request.isReady).toBe(false);
});

test('it decodes where one token is left, and others are computed', () => {
  const decodes = (tokens: number, computed: number) => requestOf(tokens, { computed }).decodes;
  expect([decodes(1, 0), decodes(2, 1), decodes(9, 8), decodes(9, 7), decodes(9, 9), decodes(9, 0)]).toEqual([
    false,
    true,
    true,
    false,
    false,
    false,
  ]);
});

test('its pages are written in a step, and while one is copied', () => {
  const request = requestOf(3);
  expect(request.isWritten).toBe(false);
  request.inStep = true;
  expect(request.isWritten).toBe(true);
  request.inStep = false;
  request.copying = {};
  expect(request.isWritten).toBe(true);
});

test('at its end its pages are released, or given to whoever lent them', () => {
  const pages = new FakePages(4, 10);
  const own = [pages.rent() as Page, pages.rent() as Page];
  const request = requestOf(6, { pages: own, computed: 5 });
  request.published = 1;
  request.copying = {};
  request.leave();
  expect([pages.live, request.pages.length, request.computed, request.published, request.copying]).toEqual([
    0,
    0,
    0,
    0,
    undefined,
  ]);
  const given: ScheduledRequest[] = [];
  const lent = requestOf(6, { pages: [pages.rent() as Page], computed: 3, onRelease: (back) => void given.push(back) });
  expect([lent.isLent, lent.computed, lent.pages.length]).toEqual([true, 3, 1]);
  lent.leave();
  expect(given).toEqual([lent]);
  expect([pages.live, lent.computed, lent.pages.length]).toEqual([1, 3, 1]);
});
