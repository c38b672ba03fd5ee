// The scheduler where memory is short, rule by rule: whose memory is taken, and how it retreats where there is none for a step.
import { describe, expect, test, vi } from 'vitest';
import { mostRows } from '../../../src/forward/row-buckets.js';
import type { Page } from '../../../src/serving/scheduling/page-source.js';
import type { Scheduler } from '../../../src/serving/scheduling/scheduler.js';
import type { StepPlan } from '../../../src/serving/scheduling/step-planner.js';
import { schedulerOf } from './arranged-scheduler.js';

describe('a request that is parked', () => {
  test('takes part in no step, keeps its memory while nobody needs it, and goes on where it was', () => {
    const { scheduler, submit, step } = schedulerOf(100);
    const [slow, other] = [submit(4), submit(4)];
    step();
    scheduler.park(slow);
    expect(step()).toEqual([other]);
    expect([slow.pages.length, slow.computed, scheduler.running, scheduler.queued]).toEqual([1, 4, 2, 0]);
    scheduler.unpark(slow);
    expect(step()).toEqual([slow, other]);
  });

  test('gives its memory to whoever needs it, waits aside until it goes on, and then computes it again', () => {
    const { scheduler, submit, step, preempted } = schedulerOf(6);
    const slow = submit(12);
    step();
    scheduler.park(slow);
    const needy = submit(12);
    expect(step()).toEqual([needy]);
    expect(preempted).toEqual([slow]);
    expect([slow.state, slow.pages.length, slow.computed]).toEqual(['waiting', 0, 0]);
    // It is not in the queue: it would be admitted for nothing.
    expect([scheduler.queued, scheduler.awaitsAdmission, scheduler.queuedTokens]).toEqual([1, false, 0]);
    expect([scheduler.isIdle, scheduler.stats().preemptions]).toEqual([false, 1]);
    scheduler.end(needy);
    expect(scheduler.isIdle).toBe(false);
    scheduler.unpark(slow);
    expect(scheduler.awaitsAdmission).toBe(true);
    expect(step()).toEqual([slow]);
    expect([slow.recomputedTokens, scheduler.stats().recomputedTokens]).toEqual([12, 12]);
  });

  test('does not count as waiting while it is aside: a single prompt then has all rows of a step', () => {
    const { scheduler, submit, step } = schedulerOf(1000);
    scheduler.rate.observe(1, 1);
    scheduler.rate.observe(mostRows, 1000);
    const slow = submit(4);
    step();
    scheduler.park(slow);
    expect(scheduler.preemptParked()).toBe(true);
    submit(2 * mostRows);
    expect(scheduler.plan()).toMatchObject({ rows: mostRows, slices: [{ count: mostRows }] });
    expect(scheduler.queued).toBe(1);
  });

  test('may end while it waits aside', () => {
    const { scheduler, submit, step, preempted } = schedulerOf(100);
    const slow = submit(4);
    step();
    scheduler.park(slow);
    expect(scheduler.preemptParked()).toBe(true);
    expect(scheduler.preemptParked()).toBe(false);
    expect(preempted).toEqual([slow]);
    scheduler.end(slow);
    expect(scheduler.isIdle).toBe(true);
    scheduler.unpark(slow);
    expect(scheduler.isIdle).toBe(true);
  });

  test('makes room for another one where as many run as may', () => {
    const { scheduler, submit, step } = schedulerOf(100, { maxRunning: 2 });
    const [old, young, next] = [submit(4), submit(4), submit(4)];
    step();
    scheduler.park(old);
    scheduler.park(young);
    // The one that was admitted last.
    expect(step()).toEqual([next]);
    expect([old.state, young.state]).toEqual(['running', 'waiting']);
  });

  test('is not taken from while its pages are written', () => {
    const { scheduler, submit } = schedulerOf(100);
    const slow = submit(4);
    const plan = scheduler.plan() as StepPlan;
    scheduler.park(slow);
    expect([scheduler.preemptParked(), scheduler.preempt()]).toEqual([false, false]);
    scheduler.finish(plan);
    expect(scheduler.preemptParked()).toBe(true);
  });
});

describe('preemption', () => {
  test('takes the youngest that has pages, and computes it again', () => {
    const { scheduler, submit, step, preempted, pages } = schedulerOf(100);
    const [old, young] = [submit(4), submit(8)];
    step();
    expect(scheduler.preempt()).toBe(true);
    expect(preempted).toEqual([young]);
    expect([pages.live, young.state, scheduler.queued, scheduler.running]).toEqual([1, 'waiting', 1, 1]);
    // It comes back before anything that came later.
    const late = submit(4);
    expect(step()).toEqual([old, young, late]);
    expect([young.recomputedTokens, old.recomputedTokens]).toEqual([8, 0]);
    expect(scheduler.stats()).toMatchObject({ preemptions: 1, recomputedTokens: 8 });
    for (const request of [old, young, late]) scheduler.end(request);
    expect(scheduler.preempt()).toBe(false);
  });

  test('for an older one that grows takes no older one than itself', () => {
    const { scheduler, submit, step, preempted } = schedulerOf(4);
    const old = submit(4);
    const young = submit(4);
    step();
    expect(scheduler.stats().pagesFree).toBe(2);
    step();
    expect(scheduler.stats().pagesFree).toBe(0);
    for (let i = 0; i < 3; i++) step();
    // Both have two pages, and now the older one needs a third.
    expect(step()).toEqual([old]);
    expect(preempted).toEqual([young]);
    expect([old.pages.length, young.pages.length]).toEqual([3, 0]);
  });

  test('for a younger one that grows takes itself at the most: it is left out until there is memory', () => {
    const { scheduler, submit, step, preempted } = schedulerOf(5);
    const old = submit(8);
    const young = submit(3);
    step();
    // The older one has three pages, and the younger one its second, which is the last.
    for (let i = 0; i < 4; i++) expect(step()).toEqual([old, young]);
    expect(scheduler.stats().pagesFree).toBe(0);
    scheduler.hold(old);
    expect(step()).toEqual([young]);
    const plan = scheduler.plan() as StepPlan;
    expect([plan.slices, plan.outOfMemory, preempted]).toEqual([[], [young], []]);
    expect([old.state, old.pages.length, young.pages.length]).toEqual(['running', 3, 2]);
  });
});

describe('a step without memory', () => {
  /** Makes a plan, for which there is no memory. */
  const retreat = (scheduler: Scheduler) => {
    const plan = scheduler.plan() as StepPlan;
    return { rows: plan.rows, goesOn: scheduler.retreat(plan) };
  };

  test('is tried again with half of its rows, and nobody is admitted until a request has ended', () => {
    const { scheduler, submit } = schedulerOf(1000);
    const long = submit(600);
    expect(retreat(scheduler)).toEqual({ rows: mostRows, goesOn: true });
    expect([long.inStep, long.computed]).toEqual([false, 0]);
    expect(retreat(scheduler)).toEqual({ rows: 128, goesOn: true });
    expect(retreat(scheduler)).toEqual({ rows: 64, goesOn: true });
    const other = submit(4);
    const plan = scheduler.plan() as StepPlan;
    // Half of a step of 32 rows, since another one waits.
    expect(plan.rows).toBe(16);
    scheduler.finish(plan);
    expect(other.state).toBe('waiting');
    scheduler.end(long);
    // It was the only one: steps have all rows again.
    const next = submit(600);
    const again = scheduler.plan() as StepPlan;
    expect(other.state).toBe('running');
    expect(again.slices.map(({ request }) => request)).toEqual([other, next]);
    scheduler.finish(again);
    scheduler.end(other);
    expect((scheduler.plan() as StepPlan).rows).toBe(mostRows);
  });

  test('of 16 rows or fewer is tried with fewer requests, then with fewer rows, until there is nothing less', () => {
    const { scheduler, submit, preempted } = schedulerOf(1000);
    const requests = Array.from({ length: 3 }, () => submit(4));
    expect(retreat(scheduler)).toEqual({ rows: 12, goesOn: true });
    expect(preempted).toEqual([requests[2]]);
    expect(retreat(scheduler)).toEqual({ rows: 8, goesOn: true });
    expect(preempted).toEqual([requests[2], requests[1]]);
    expect(retreat(scheduler)).toEqual({ rows: 4, goesOn: true });
    expect(retreat(scheduler)).toEqual({ rows: 1, goesOn: false });
    expect(preempted).toHaveLength(2);
  });

  test('lets others in again once nobody runs, since all that ran are parked', () => {
    const { scheduler, submit, step } = schedulerOf(1000);
    const slow = submit(4);
    const plan = scheduler.plan() as StepPlan;
    scheduler.park(slow);
    expect(scheduler.retreat(plan)).toBe(true);
    expect([slow.state, scheduler.running]).toEqual(['waiting', 0]);
    const next = submit(4);
    expect(step()).toEqual([next]);
  });

  test.each([
    [4, 16, 1],
    [5, 20, 0],
  ])('of 4 prompts of %i tokens, %i rows, takes the memory of %i of them', (tokens, rows, taken) => {
    const { scheduler, submit, preempted } = schedulerOf(1000);
    const requests = Array.from({ length: 4 }, () => submit(tokens));
    expect(retreat(scheduler)).toEqual({ rows, goesOn: true });
    expect(preempted).toEqual(requests.slice(4 - taken));
  });

  test('takes the memory of requests that are parked first, the youngest before others, and keeps its rows', () => {
    const { scheduler, submit, step, preempted } = schedulerOf(1000);
    const slow = [submit(4), submit(4)];
    step();
    for (const request of slow) scheduler.park(request);
    submit(600);
    expect(retreat(scheduler)).toEqual({ rows: mostRows, goesOn: true });
    expect(retreat(scheduler).goesOn).toBe(true);
    expect(preempted).toEqual(slow.reverse());
    // The prompt is alone: those that are parked do not wait.
    expect(retreat(scheduler)).toEqual({ rows: mostRows, goesOn: true });
    expect(retreat(scheduler)).toEqual({ rows: 128, goesOn: true });
  });

  test('of a request that ended meanwhile leaves nothing to retreat from', () => {
    const { scheduler, submit, pages } = schedulerOf(1000);
    // One row, less than which there is nothing to try.
    const request = submit(1);
    const plan = scheduler.plan() as StepPlan;
    scheduler.end(request);
    expect(pages.live).toBe(1);
    expect(scheduler.retreat(plan)).toBe(true);
    expect(pages.live).toBe(0);
  });

  test.each([
    [64, 20],
    [65, 40],
  ])('is forgotten after 64 steps: when a request ends after %i, steps have at most %i rows', (steps, rows) => {
    const { scheduler, submit, step } = schedulerOf(10_000);
    submit(10_000);
    const short = submit(4);
    expect(retreat(scheduler)).toEqual({ rows: 40, goesOn: true });
    for (let i = 0; i < steps; i++) step();
    scheduler.end(short);
    expect((scheduler.plan() as StepPlan).rows).toBe(rows);
  });
});

describe('memory that is not there in the end', () => {
  test('is given back by a request that was to be admitted, but for what a session lent', () => {
    const { scheduler, pages, submit, step } = schedulerOf(100);
    const own = pages.rent() as Page;
    const rent = pages.rent.bind(pages);
    pages.rent = () => (pages.live < 3 ? rent() : undefined);
    const request = submit(16, { pages: [own], computed: 4 });
    expect(scheduler.plan()).toBeUndefined();
    expect([request.state, request.pages, request.computed, pages.live]).toEqual(['waiting', [own], 4, 1]);
    pages.rent = rent;
    expect(step()).toEqual([request]);
    expect(pages.live).toBe(4);
  });

  test('is taken of as many parked requests as it takes', () => {
    const { scheduler, submit, step, preempted } = schedulerOf(7);
    const slow = [submit(4), submit(4), submit(4)];
    step();
    for (const request of slow) scheduler.park(request);
    // Beside it one page for each that still runs, and one more.
    const needy = submit(16);
    expect(step()).toEqual([needy]);
    expect(preempted).toEqual([slow[2], slow[1]]);
    expect(needy.pages).toHaveLength(4);
  });
});

describe('a request that is preempted for others', () => {
  test('may be the only one, or the youngest that is in no step', () => {
    const { scheduler, submit, preempted } = schedulerOf(100, { onPreempt: undefined });
    const [old, young] = [submit(4), submit(4)];
    const plan = scheduler.plan() as StepPlan;
    expect(scheduler.preempt()).toBe(false);
    scheduler.finish(plan);
    young.inStep = true;
    expect([scheduler.preempt(), old.state, young.state]).toEqual([true, 'waiting', 'running']);
    young.inStep = false;
    expect([scheduler.preempt(), young.state, scheduler.preempt()]).toEqual([true, 'waiting', false]);
    expect(preempted).toEqual([]);
  });
});

test('of many requests a step admits those whose pages are there within 5 ms, and one at least', () => {
  const slow = (ms: number) => {
    const { scheduler, pages, submit, step, time } = schedulerOf(1000);
    const rent = pages.rent.bind(pages);
    vi.spyOn(pages, 'rent').mockImplementation(() => {
      time.now += ms;
      return rent();
    });
    const all = Array.from({ length: 8 }, () => submit(4));
    const admitted: number[] = [];
    for (let steps = 0; steps < 9 && scheduler.awaitsAdmission; steps++) {
      step();
      admitted.push(all.filter(({ state }) => state === 'running').length);
    }
    return admitted;
  };
  expect(slow(0)).toEqual([8]);
  expect(slow(1)).toEqual([5, 8]);
  expect(slow(2.5)).toEqual([2, 4, 6, 8]);
  expect(slow(50)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
});
