// Computes the scheduler's plans by the programs of a step. Used by the step loop.
import type { Page } from '../../forward/page-table.js';
import type { PickedRow, StepPrograms, VisitToken } from '../../forward/step-programs.js';
import type { StepPlan, StepSlice } from '../scheduling/step-planner.js';
import type { SetSampling, StepOutput, StepRunner } from './step-loop.js';

export class ProgramRunner implements StepRunner {
  readonly #programs: StepPrograms;

  constructor(programs: StepPrograms) {
    this.#programs = programs;
  }

  async run(
    { slices, rows }: StepPlan,
    set: SetSampling,
    signal: AbortSignal,
    meanwhile: () => void,
  ): Promise<StepOutput> {
    const programs = this.#programs;
    const inputs = slices.map(({ request, from, count }) => {
      return { ids: request.ids, from, count, pages: request.pages as Page[] };
    });
    const picked: PickedRow[] = [];
    for (const [index, slice] of slices.entries()) {
      if (!slice.reachesEnd || slice.request.output !== 'sample') continue;
      const sampling = set(slice);
      if (sampling !== undefined) picked.push({ slice: index, count: slice.count, ...sampling });
    }
    await programs.run(inputs, rows, picked, signal, meanwhile);
    return {
      computeMs: () => programs.computeMs,
      pool: (texts, visit) => programs.pool(texts, (index, vector) => visit(slices[index] as StepSlice, vector)),
      sample: async (visit) => {
        const visitSlice: VisitToken = (index, token) => visit(slices[index] as StepSlice, token);
        await programs.sample(picked, visitSlice);
      },
    };
  }
}
