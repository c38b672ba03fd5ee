// The scheduler's rules one by one: who is admitted, what it reports, and what the end of a request leaves.
import { describe, expect, test } from 'vitest';
import type { Page } from '../../../src/serving/scheduling/page-source.js';
import type { ScheduledRequest } from '../../../src/serving/scheduling/scheduled-request.js';
import type { StepPlan } from '../../../src/serving/scheduling/step-planner.js';
import { schedulerOf } from './arranged-scheduler.js';

describe('admission', () => {
  test('rents the pages of the whole prompt, and leaves one for each request that runs, and one more', () => {
    const { scheduler, pages, submit, step } = schedulerOf(7);
    const first = submit(12);
    const second = submit(8);
    expect(step()).toEqual([first, second]);
    expect([first.pages.length, second.pages.length, pages.free]).toEqual([3, 2, 2]);
    const small = schedulerOf(6);
    const [old, late] = [small.submit(12), small.submit(8)];
    expect(small.step()).toEqual([old]);
    expect([late.state, late.pages.length, small.scheduler.stats().pagesFree]).toEqual(['waiting', 0, 3]);
    expect(scheduler.stats()).toMatchObject({ running: 2, queued: 0, pagesUsed: 5, pagesFree: 2 });
  });

  test('of the first alone may take all pages', () => {
    const { submit, step } = schedulerOf(3);
    const first = submit(12);
    expect(step()).toEqual([first]);
  });

  test('is at most of maxRunning, in the order of arrival, none overtaking one that does not fit', () => {
    const { submit, step, scheduler } = schedulerOf(100, { maxRunning: 2 });
    const all = [submit(4), submit(4), submit(4)];
    expect(step()).toEqual(all.slice(0, 2));
    scheduler.end(all[0] as ScheduledRequest);
    expect(new Set(step())).toEqual(new Set(all.slice(1)));
    const small = schedulerOf(6);
    small.submit(12);
    const large = small.submit(16);
    const tiny = small.submit(1);
    expect(small.step()).toHaveLength(1);
    expect([large.state, tiny.state]).toEqual(['waiting', 'waiting']);
  });

  test('gives up cached pages for the room', () => {
    const { scheduler, submit, step, pages } = schedulerOf(4);
    const first = submit(12, { salt: '' });
    step();
    scheduler.end(first);
    expect(scheduler.stats()).toMatchObject({ pagesCached: 3, pagesUsed: 0, pagesFree: 1 });
    const second = submit(16);
    expect(step()).toEqual([second]);
    expect(scheduler.stats()).toMatchObject({ pagesCached: 0, pagesUsed: 4 });
    expect(pages.free).toBe(0);
  });

  test('happens when it is admitted first, not again after a preemption', () => {
    const { scheduler, submit, step, time } = schedulerOf(100);
    time.now = 5;
    const request = submit(4);
    expect([request.arrivedAt, request.admittedAt]).toEqual([5, undefined]);
    time.now = 7;
    step();
    expect(request.admittedAt).toBe(7);
    scheduler.preempt();
    time.now = 9;
    step();
    expect(request.admittedAt).toBe(7);
  });
});

describe('tokens of a tenant', () => {
  const states = (requests: readonly ScheduledRequest[]) => requests.map(({ state }) => state === 'running');

  test('count when a prompt is admitted: places that are free at once go to tenants in turn', () => {
    const { submit, step } = schedulerOf(1000, { maxRunning: 6 });
    const a = [1, 2, 3, 4, 5, 6].map(() => submit(8, { tenant: 'a' }));
    const b = [1, 2, 3, 4, 5, 6].map(() => submit(8, { tenant: 'b' }));
    step();
    expect([states(a), states(b)]).toEqual(Array(2).fill([true, true, true, false, false, false]));
  });

  test('count once, however often they are computed', () => {
    const { scheduler, submit, step } = schedulerOf(1000, { maxRunning: 2 });
    const long = submit(16, { tenant: 'a' });
    const preempted = submit(8, { tenant: 'b' });
    for (let i = 0; i < 3; i++) {
      step();
      // The youngest one.
      scheduler.preempt();
      expect(preempted.state).toBe('waiting');
    }
    const next = [submit(8, { tenant: 'a' }), submit(8, { tenant: 'b' })];
    step();
    scheduler.end(long);
    step();
    expect([preempted.recomputedTokens, ...states(next)]).toEqual([27, false, true]);
  });

  test('count as they are generated', () => {
    const { scheduler, submit, step } = schedulerOf(1000, { maxRunning: 3 });
    submit(4, { tenant: 'a' });
    const held = submit(4, { tenant: 'b' });
    step();
    scheduler.hold(held);
    step();
    const next = [submit(8, { tenant: 'a' }), submit(8, { tenant: 'b' })];
    step();
    expect(states(next)).toEqual([false, true]);
  });

  test('do not count where a page that matches in part is copied', () => {
    const { scheduler, pages, submit, step } = schedulerOf(1000, { maxRunning: 3 });
    const ids = Array.from({ length: 12 }, (_, i) => i);
    const caching = submit(0, { ids: [...ids], salt: '' });
    step();
    scheduler.end(caching);
    submit(4, { tenant: 'a' });
    const copied = submit(0, { ids: [...ids.slice(0, 10), 99, 98], salt: '', tenant: 'b' });
    scheduler.plan();
    pages.endCopies();
    expect(copied.computed).toBe(10);
    const next = [submit(8, { tenant: 'a' }), submit(8, { tenant: 'b' })];
    scheduler.plan();
    expect(states(next)).toEqual([false, true]);
  });

  test('count neither where they were found in the cache nor where they were never computed', () => {
    const { scheduler, submit, step } = schedulerOf(1000, { maxRunning: 3 });
    const ids = Array.from({ length: 41 }, (_, i) => i);
    const caching = submit(0, { ids: ids.slice(0, 40), salt: '' });
    step();
    scheduler.end(caching);
    const own = submit(20, { tenant: 'a' });
    const found = submit(0, { ids, salt: '', tenant: 'b' });
    const never = submit(50, { tenant: 'b' });
    scheduler.plan();
    expect([found.cachedTokens, ...states([own, found, never])]).toEqual([40, true, true, true]);
    scheduler.end(never);
    const next = [submit(8, { tenant: 'a' }), submit(8, { tenant: 'b' })];
    scheduler.plan();
    expect(states(next)).toEqual([false, true]);
  });
});

describe('what is reported', () => {
  test('counts pages that are shared once, and tokens that were found', () => {
    const { scheduler, submit, step } = schedulerOf(100);
    const ids = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    const first = submit(0, { ids: [...ids], salt: '' });
    step();
    const second = submit(0, { ids: [...ids], salt: '' });
    step();
    expect([first.cachedTokens, second.cachedTokens]).toEqual([0, 8]);
    expect(scheduler.stats()).toMatchObject({
      queued: 0,
      running: 2,
      pagesUsed: 4,
      pagesCached: 0,
      prefixTokens: 8,
      preemptions: 0,
      recomputedTokens: 0,
    });
    scheduler.end(first);
    scheduler.end(second);
    expect(scheduler.stats()).toMatchObject({ running: 0, pagesUsed: 0, pagesCached: 2 });
  });

  test('is what is to be computed, and whether time alone changes anything', () => {
    const { scheduler, submit, step } = schedulerOf(5);
    expect([scheduler.isIdle, scheduler.needsTime, scheduler.awaitsAdmission]).toEqual([true, false, false]);
    const first = submit(12);
    const second = submit(8, { isPatient: true });
    expect([scheduler.isIdle, scheduler.needsTime, scheduler.awaitsAdmission]).toEqual([false, true, true]);
    expect([scheduler.queued, scheduler.patientQueued, scheduler.queuedTokens]).toEqual([2, 1, 20]);
    step();
    expect([scheduler.queued, scheduler.running, scheduler.queuedTokens]).toEqual([1, 1, 8]);
    scheduler.end(second);
    expect([scheduler.awaitsAdmission, scheduler.needsTime, scheduler.isIdle]).toEqual([false, true, false]);
    scheduler.hold(first);
    // It waits for its owner.
    expect(scheduler.needsTime).toBe(false);
    expect([scheduler.isProgressing([]), scheduler.isProgressing([first])]).toEqual([true, false]);
    scheduler.park(first);
    expect(scheduler.isProgressing([])).toBe(false);
    scheduler.end(first);
    expect([scheduler.isIdle, scheduler.isProgressing([])]).toEqual([true, false]);
  });

  test('is a deadline, until the request has ended', () => {
    const { scheduler, submit, time, step } = schedulerOf(100);
    const urgent = submit(4, { deadlineAt: 50 });
    submit(4, { deadlineAt: 60 });
    step();
    expect(scheduler.overdue()).toEqual([]);
    time.now = 49;
    expect(scheduler.overdue()).toEqual([]);
    time.now = 50;
    expect(scheduler.overdue()).toEqual([urgent]);
    scheduler.hold(urgent);
    scheduler.end(urgent);
    expect(scheduler.overdue()).toEqual([]);
    expect(scheduler.needsTime).toBe(true);
  });

  test('are the requests that the next one to be admitted keeps out', () => {
    const { scheduler, submit, step } = schedulerOf(6);
    expect(scheduler.misfits()).toEqual([]);
    submit(12);
    step();
    const next = submit(16);
    const equal = submit(13);
    const larger = submit(20);
    const smaller = submit(12);
    expect(new Set(scheduler.misfits())).toEqual(new Set([next, equal, larger]));
    expect(scheduler.misfits()).not.toContain(smaller);
  });

  test('is why a request can never go on: all pages are too few for it', () => {
    const { scheduler, submit } = schedulerOf(2);
    const request = submit(8);
    expect(scheduler.hopeless(request)).toBeUndefined();
    request.computed = 8;
    const error = { code: 'ERR_BUDGET', message: /^9 tokens take 300 bytes, 3 pages; .*for 2$/, neverFits: true };
    expect(scheduler.hopeless(request)).toMatchObject({ ...error, message: expect.stringMatching(error.message) });
    expect(() => submit(9)).toThrow(/9 tokens/);
  });
});

describe('the end of a request', () => {
  test('in a step gives its pages back when the step is over', () => {
    for (const how of ['finish', 'fail'] as const) {
      const { scheduler, submit, pages } = schedulerOf(100);
      const request = submit(8, { salt: '' });
      const plan = scheduler.plan() as StepPlan;
      scheduler.end(request);
      scheduler.end(request);
      expect([request.state, pages.live, scheduler.isIdle]).toEqual(['ended', 2, true]);
      scheduler[how](plan);
      expect([pages.live, request.computed, request.inStep]).toEqual([0, 0, false]);
      // What it computed was not published.
      expect(scheduler.stats().pagesCached).toBe(0);
    }
  });

  test('gives a session the pages that it lent, with those that were added', () => {
    const { scheduler, submit, step, pages } = schedulerOf(100);
    const own = pages.rent() as Page;
    const returned: ScheduledRequest[] = [];
    const given = { pages: [own], computed: 4, onRelease: (request: ScheduledRequest) => void returned.push(request) };
    const request = submit(8, given);
    expect([request.isLent, request.pending]).toEqual([true, 4]);
    step();
    scheduler.end(request);
    expect(returned).toEqual([request]);
    expect([request.pages.length, request.computed, pages.live]).toEqual([2, 8, 2]);
    expect(request.pages[0]).toBe(own);
    expect(submit(4).isLent).toBe(false);
  });

  test('in the queue lets the next one pass, and its tenant begin anew', () => {
    const { scheduler, submit, step } = schedulerOf(100, { maxRunning: 1 });
    const first = submit(8, { tenant: 'a' });
    const second = submit(4, { tenant: 'a' });
    const other = submit(4, { tenant: 'b' });
    expect(step()).toEqual([first]);
    scheduler.end(second);
    scheduler.end(first);
    const again = submit(4, { tenant: 'a' });
    // Nothing is left of tenant a: it has had no more than tenant b, and came later.
    expect(step()).toEqual([other]);
    scheduler.end(other);
    expect(step()).toEqual([again]);
  });

  test('while others of its tenant run keeps what it has had', () => {
    const { scheduler, submit, step } = schedulerOf(100, { maxRunning: 2 });
    const [long, short] = [submit(8, { tenant: 'a' }), submit(8, { tenant: 'a' })];
    step();
    const again = submit(4, { tenant: 'a' });
    const other = submit(4, { tenant: 'b' });
    // Tenant b begins with what tenant a has had, which computes two more tokens.
    step();
    scheduler.end(short);
    expect(step()).toContain(other);
    expect([long.state, again.state]).toEqual(['running', 'waiting']);
  });

  test('lets its tenant begin anew where none of it runs any more, with what the tenant has had that has had least', () => {
    const { scheduler, submit, step } = schedulerOf(100, { maxRunning: 2 });
    const long = submit(40, { tenant: 'a' });
    submit(4, { tenant: 'c' });
    step();
    step();
    scheduler.end(long);
    const [again, other] = [submit(4, { tenant: 'a' }), submit(4, { tenant: 'c' })];
    step();
    expect([again.state, other.state]).toEqual(['running', 'waiting']);
  });

  test('changes nothing about what its tenant has had where another one of it runs', () => {
    const { scheduler, submit, step } = schedulerOf(100, { maxRunning: 3 });
    const long = submit(40, { tenant: 'a' });
    submit(4, { tenant: 'a' });
    submit(4, { tenant: 'c' });
    step();
    step();
    scheduler.end(long);
    const [again, other] = [submit(4, { tenant: 'a' }), submit(4, { tenant: 'c' })];
    step();
    expect([again.state, other.state]).toEqual(['waiting', 'running']);
  });

  test('is one: a second end gives nothing back', () => {
    const { scheduler, submit, step } = schedulerOf(100);
    let returned = 0;
    const request = submit(8, { onRelease: () => void returned++ });
    step();
    scheduler.end(request);
    scheduler.end(request);
    expect(returned).toBe(1);
  });
});

describe('what a session lends', () => {
  test('counts as pages that the request has, for admission and where it does not fit', () => {
    const { submit, step, pages } = schedulerOf(4);
    const own = [pages.rent() as Page, pages.rent() as Page];
    const lent = submit(16, { pages: own, computed: 8 });
    expect(step()).toEqual([lent]);
    const small = schedulerOf(4);
    const lend = () => ({ pages: [small.pages.rent() as Page], computed: 4 });
    const all = [small.submit(16, lend()), small.submit(16, lend()), small.submit(12), small.submit(8)];
    // Three pages are missing of each of the first three, two of the last one; two are free.
    expect(small.scheduler.misfits()).toEqual(all.slice(0, 3));
  });
});

test('a request that is held takes part in no step until it is resumed as often', () => {
  const { scheduler, submit, step } = schedulerOf(100);
  const [held, other] = [submit(4), submit(4)];
  step();
  scheduler.hold(held);
  scheduler.hold(held);
  expect(step()).toEqual([other]);
  scheduler.resume(held);
  expect(step()).toEqual([other]);
  scheduler.resume(held);
  expect(step()).toEqual([held, other]);
});

test('a deadline needs time also where its request is parked', () => {
  const { scheduler, submit, step } = schedulerOf(100);
  const request = submit(4, { deadlineAt: 50 });
  step();
  scheduler.park(request);
  expect(scheduler.needsTime).toBe(true);
  scheduler.end(request);
  expect(scheduler.needsTime).toBe(false);
});

test('what is cached is given up page by page, by its salt, or all of it', () => {
  const { scheduler, submit, step } = schedulerOf(100);
  const cache = (salt: string) => {
    const request = submit(12, { salt });
    step();
    scheduler.end(request);
  };
  for (const salt of ['a', 'b']) cache(salt);
  const cached = () => scheduler.stats().pagesCached;
  expect(cached()).toBe(6);
  expect([scheduler.evict(), cached()]).toEqual([true, 5]);
  scheduler.forget('b');
  expect(cached()).toBe(2);
  scheduler.clearCache();
  expect([cached(), scheduler.evict()]).toEqual([0, false]);
});

test('a request waits for the prefix that another one is computing, and is then admitted', () => {
  const { scheduler, submit, step } = schedulerOf(1000);
  scheduler.rate.observe(1, 1);
  scheduler.rate.observe(64, 64);
  const ids = Array.from({ length: 200 }, (_, i) => i);
  const first = submit(0, { ids: [...ids], salt: '' });
  const second = submit(0, { ids: [...ids], salt: '' });
  expect(step()).toEqual([first]);
  expect(second.state).toBe('waiting');
  for (let steps = 0; steps < 20 && second.state === 'waiting'; steps++) step();
  expect([second.state, second.cachedTokens]).toEqual(['running', 196]);
});
