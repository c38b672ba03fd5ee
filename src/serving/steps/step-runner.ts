// Computes the scheduler's plans by the programs of a step. Used by the step loop.
import type { Page } from '../../forward/page-table.js';
import type { StepPrograms, VisitLogits } from '../../forward/step-programs.js';
import type { StepPlan, StepSlice } from '../scheduling/step-planner.js';
import type { StepOutput, StepRunner } from './step-loop.js';

export class ProgramRunner implements StepRunner {
  readonly #programs: StepPrograms;

  constructor(programs: StepPrograms) {
    this.#programs = programs;
  }

  async run({ slices, rows }: StepPlan, signal: AbortSignal): Promise<StepOutput> {
    const programs = this.#programs;
    const inputs = slices.map(({ request, from, count }) => {
      return { ids: request.ids, from, count, pages: request.pages as Page[] };
    });
    await programs.run(inputs, rows, signal);
    return {
      computeMs: () => programs.computeMs,
      hidden: (index) => programs.hidden(index, (slices[index] as StepSlice).count),
      logits: async (visit) => {
        const picked: { slice: number; count: number }[] = [];
        for (const [slice, { request, count, reachesEnd }] of slices.entries()) {
          if (reachesEnd && request.output === 'sample' && request.state === 'running') picked.push({ slice, count });
        }
        const visitSlice: VisitLogits = (slice, logits, mostLikely) =>
          visit(slices[slice] as StepSlice, logits, mostLikely);
        await programs.logits(picked, visitSlice, signal);
      },
    };
  }
}
