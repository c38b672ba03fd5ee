// What a step's programs are asked for: the slices of a plan, and the tokens of those that reach the end of their request.
import { expect, test } from 'vitest';
import type { StepPrograms } from '../../../src/forward/step-programs.js';
import type { StepPlan, StepSlice } from '../../../src/serving/scheduling/step-planner.js';
import type { RowSampling } from '../../../src/serving/steps/step-client.js';
import { ProgramRunner } from '../../../src/serving/steps/step-runner.js';

function sliceOf(name: string, reachesEnd: boolean, output: 'sample' | 'hidden' = 'sample'): StepSlice {
  const request = { ids: [name], pages: [`pages of ${name}`], output };
  return { request, from: 3, count: 2, reachesEnd } as unknown as StepSlice;
}

test('a plan is computed by the programs of its rows, and what they give is that of its slices', async () => {
  const calls: unknown[][] = [];
  const programs = {
    computeMs: 5,
    run: async (...given: unknown[]) => void calls.push(given),
    pool: async (texts: unknown, visit: (slice: number, vector?: Float32Array) => void) => {
      calls.push([texts]);
      visit(1, undefined);
      visit(0, Float32Array.of(8));
    },
    sample: async (picked: unknown, visit: (slice: number, token: () => object) => void) => {
      calls.push([picked]);
      visit(2, () => ({ id: 7 }));
    },
  };
  const runner = new ProgramRunner(programs as unknown as StepPrograms);
  const slices = [
    sliceOf('half', false),
    sliceOf('text', true, 'hidden'),
    sliceOf('whole', true),
    sliceOf('without a choice', true),
  ];
  const asked: StepSlice[] = [];
  const set = (slice: StepSlice) => {
    asked.push(slice);
    return slice === slices[2] ? ({ state: 'state', options: 'options' } as unknown as RowSampling) : undefined;
  };
  const { signal } = new AbortController();
  const meanwhile = () => {};
  const output = await runner.run({ slices, rows: 8 } as unknown as StepPlan, set, signal, meanwhile);
  expect(asked).toEqual([slices[2], slices[3]]);
  const inputs = ['half', 'text', 'whole', 'without a choice'].map((name) => {
    return { ids: [name], from: 3, count: 2, pages: [`pages of ${name}`] };
  });
  const picked = [{ slice: 2, count: 2, state: 'state', options: 'options' }];
  expect(calls.splice(0)).toEqual([[inputs, 8, picked, signal, meanwhile]]);
  expect(output.computeMs()).toBe(5);
  programs.computeMs = 9;
  expect(output.computeMs()).toBe(9);
  const pooled: unknown[] = [];
  const texts = [{ slice: 1 }] as never;
  await output.pool(texts, (slice, vector) => pooled.push([slice, vector]));
  expect(pooled).toEqual([
    [slices[1], undefined],
    [slices[0], Float32Array.of(8)],
  ]);
  const sampled: unknown[] = [];
  await output.sample((slice, token) => sampled.push([slice, token()]));
  expect(sampled).toEqual([[slices[2], { id: 7 }]]);
  expect(calls).toEqual([[texts], [picked]]);
});
