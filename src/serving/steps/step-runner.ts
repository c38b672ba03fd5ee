// Computes the scheduler's plans by the programs of a step. Used by the step loop.
import type { Page } from '../../forward/page-table.js';
import type { PickedRow, StepPrograms, VisitToken } from '../../forward/step-programs.js';
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
      sample: async (set, visit) => {
        const picked: PickedRow[] = [];
        for (const [index, slice] of slices.entries()) {
          const { request, count, reachesEnd } = slice;
          if (!reachesEnd || request.output !== 'sample' || request.state !== 'running') continue;
          const sampling = set(slice);
          if (sampling !== undefined) picked.push({ slice: index, count, ...sampling });
        }
        const visitSlice: VisitToken = (index, token) => visit(slices[index] as StepSlice, token);
        await programs.sample(picked, visitSlice, signal);
      },
    };
  }
}
