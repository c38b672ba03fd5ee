// A scheduler for tests of single rules: without a simulated model, with a clock that is set by hand. Used by
// scheduler-rules.test.ts and scheduler-memory.test.ts.
import type { RequestSpec, ScheduledRequest } from '../../../src/serving/scheduling/scheduled-request.js';
import { Scheduler, type SchedulerOptions } from '../../../src/serving/scheduling/scheduler.js';
import type { StepPlan } from '../../../src/serving/scheduling/step-planner.js';
import { FakePages } from './simulator.js';

const positions = 4;

/** A scheduler with so many pages of 4 positions, whose clock is set by hand. */
export function schedulerOf(most: number, options: Partial<SchedulerOptions> = {}) {
  const pages = new FakePages(positions, most);
  const time = { now: 0 };
  const preempted: ScheduledRequest[] = [];
  const scheduler = new Scheduler({
    clock: () => time.now,
    pages,
    stepMs: 40,
    maxQueued: 100,
    maxRunning: 100,
    onPreempt: (request) => void preempted.push(request),
    ...options,
  });
  let seed = 0;
  /** A request of so many tokens, like no other one. */
  const submit = (tokens: number, more: Partial<RequestSpec> = {}) => {
    const ids = Array.from({ length: tokens }, (_, i) => (i === 0 ? 1000 + seed++ : i));
    const spec = { ids, priority: 0, tenant: '', deadlineAt: undefined, salt: undefined, output: 'sample' } as const;
    return scheduler.submit({ ...spec, ...more });
  };
  /** One step; each request whose tokens are all computed gets another one. */
  const step = () => {
    const plan = scheduler.plan() as StepPlan;
    scheduler.finish(plan);
    for (const { request, reachesEnd } of plan.slices) if (reachesEnd) scheduler.accept(request, 7);
    return plan.slices.map(({ request }) => request);
  };
  return { scheduler, pages, time, submit, step, preempted };
}
