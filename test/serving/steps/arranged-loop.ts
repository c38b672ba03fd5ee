// A step loop with a scheduler of its own, whose steps end when a test tells them to. Used by step-loop.test.ts and
// step-loop-ends.test.ts.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, vi } from 'vitest';
import { TimeSlice } from '../../../src/base/time-slice.js';
import type { ModelRecorder } from '../../../src/metrics/model-recorder.js';
import type { RequestSpec, ScheduledRequest } from '../../../src/serving/scheduling/scheduled-request.js';
import type { SchedulerOptions } from '../../../src/serving/scheduling/scheduler.js';
import type { StepPlan, StepSlice } from '../../../src/serving/scheduling/step-planner.js';
import type { RowSampling, StepClient } from '../../../src/serving/steps/step-client.js';
import { StepLoop, type StepOutput, type StepRunner } from '../../../src/serving/steps/step-loop.js';
import { Turns } from '../../../src/serving/steps/turns.js';
import { schedulerOf } from '../scheduling/arranged-scheduler.js';

/** No slice of time is over in the tests of a file, unless one says so. */
export function stopTimeSlices(): void {
  beforeEach(() => {
    vi.spyOn(TimeSlice.prototype, 'isOver').mockReturnValue(false);
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });
}

export const isError = (code: string) => expect.objectContaining({ code });

export interface Step {
  readonly plan: StepPlan;
  readonly signal: AbortSignal;
  end(output?: Partial<StepOutput>): void;
  fail(error: unknown): void;
}

/** A loop whose steps are ended by the test. Each slice that reaches its end gets the token 7. */
export function arrangedLoop(most = 100, options: Partial<SchedulerOptions> = {}) {
  const log: unknown[] = [];
  const steps: Step[] = [];
  let loop: StepLoop;
  const onPreempt = (request: ScheduledRequest) => loop.preempted(request);
  const { scheduler, pages, time } = schedulerOf(most, { onPreempt, ...options });
  const run: StepRunner['run'] = (plan, set, signal, meanwhile) =>
    new Promise((resolve, reject) => {
      const ending = plan.slices.filter(({ reachesEnd, request }) => reachesEnd && request.output === 'sample');
      const picked = ending.filter((slice) => set(slice) !== undefined);
      meanwhile();
      const vectorOf = (slice: StepSlice) => (slice.reachesEnd ? Float32Array.of(slice.count) : undefined);
      const output: StepOutput = {
        computeMs: () => 5,
        pool: async (texts, visit) => {
          for (const { slice } of texts)
            visit(plan.slices[slice] as StepSlice, vectorOf(plan.slices[slice] as StepSlice));
        },
        sample: async (visit) => {
          for (const slice of picked) visit(slice, () => ({ id: 7, logprobs: undefined }));
        },
      };
      steps.push({ plan, signal, end: (more) => resolve({ ...output, ...more }), fail: reject });
    });
  const turns = new Turns();
  const recorder = { step: (rows: number, ms: number) => log.push(['step', rows, ms]) } as unknown as ModelRecorder;
  loop = new StepLoop({ scheduler, pages, runner: { run }, turns, recorder, clock: () => time.now });
  let seed = 0;
  /** A request of so many tokens that ends after so many more. What the client does more is written by hand. */
  const submit = (
    name: string,
    tokens: number,
    more = 1,
    client: StepClient | object = {},
    spec: Partial<RequestSpec> = {},
  ) => {
    let left = more;
    const own: StepClient = {
      sampled: () => {
        log.push([name, 'sampled']);
        return {} as RowSampling;
      },
      choose: (id) => {
        log.push([name, 'choose', id]);
        left -= 1;
        return left > 0 ? id : undefined;
      },
      deliver: () => log.push([name, 'deliver']),
      begun: ({ from, count }) => log.push([name, 'begun', from, count]),
      preempted: () => log.push([name, 'preempted']),
      end: (error) => log.push([name, 'end', error]),
    };
    const ids = Array.from({ length: tokens }, (_, i) => (i === 0 ? 1000 + seed++ : i));
    const given = { ids, priority: 0, tenant: '', deadlineAt: undefined, salt: undefined, output: 'sample' } as const;
    return loop.submit({ ...given, ...spec }, { ...own, ...client });
  };
  const taken = () => log.splice(0);
  /** The next step that is under way. */
  const next = async () => {
    for (let turn = 0; steps.length === 0; turn++) {
      if (turn > 100) throw new Error('no step begins');
      await nextTurn();
    }
    // The event loop has run since it began.
    await nextTurn();
    return steps.shift() as Step;
  };
  const names = (plan: StepPlan) => plan.slices.map(({ request }) => request.number);
  return { loop, scheduler, pages, time, turns, submit, taken, next, steps, log, names };
}
