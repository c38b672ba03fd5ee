// Ways to generate that the tests of serving compare: every option of sampling, formats, log probabilities. And disturbances
// that must not change what they give: slices of any length, preemptions, lost workers.
import { vi } from 'vitest';
import { TesseraeError } from '../../../src/base/errors.js';
import { StepPrograms } from '../../../src/forward/step-programs.js';
import type { GenerateOptions } from '../../../src/generation/generate-options.js';
import type { GenerationResult } from '../../../src/generation/generation-result.js';
import type { Prompt } from '../../../src/generation/prompt.js';
import type { Model } from '../../../src/model/model.js';
import { type ProgramRun, Runner } from '../../../src/program/runner.js';
import { Scheduler } from '../../../src/serving/scheduling/scheduler.js';
import { StepRate } from '../../../src/serving/scheduling/step-rate.js';
import { someIds } from '../models/model-files.js';
import { Numbers } from '../numbers.js';

export interface Way {
  readonly name: string;
  readonly prompt: Prompt;
  readonly options: GenerateOptions;
}

/** Every way to choose tokens; prompts of all lengths around a page, some with a common beginning. */
export function everyWay(vocabulary: number, maxTokens = 24): Way[] {
  const common = someIds(70, vocabulary);
  const lengths = [1, 2, 31, 32, 33, 63, 64, 65, 70];
  const chosen: [string, GenerateOptions][] = [
    ['greedy', {}],
    ['temperature', { temperature: 1.2 }],
    ['topK', { temperature: 1, topK: 20 }],
    ['topP', { temperature: 1.5, topP: 0.8 }],
    ['minP', { temperature: 1.5, minP: 0.05 }],
    ['typicalP', { temperature: 1.3, typicalP: 0.7 }],
    ['all filters', { temperature: 0.9, topK: 60, typicalP: 0.95, topP: 0.95, minP: 0.01 }],
    ['repetitionPenalty', { temperature: 0.8, repetitionPenalty: 1.3, repetitionWindow: 20 }],
    ['presencePenalty', { temperature: 0.8, presencePenalty: 0.7 }],
    ['frequencyPenalty', { temperature: 0, frequencyPenalty: 0.9, repetitionWindow: 100 }],
    ['logitBias', { temperature: 1, logitBias: { 5: 4, 7: Number.NEGATIVE_INFINITY, 40: 3 } }],
    ['logprobs, greedy', { logprobs: 3 }],
    ['logprobs, sampled', { temperature: 1.1, topP: 0.9, logprobs: 5, repetitionPenalty: 1.1 }],
    ['regex', { temperature: 1, format: { regex: '[a-f]{3,40}' } }],
    ['schema', { temperature: 1.4, format: { jsonSchema: { type: 'array', items: { enum: ['a', 'bc', true] } } } }],
    ['stop', { temperature: 1, stop: ['e', 'th'] }],
    ['end token', { temperature: 1.6, logitBias: { 0: 5 } }],
  ];
  return chosen.map(([name, options], index) => {
    const endless = options.format === undefined && options.stop === undefined && name !== 'end token';
    const length = lengths[index % lengths.length] as number;
    const prompt = index % 3 === 0 ? common.slice(0, length) : someIds(length, vocabulary);
    const more = { maxTokens, seed: 1000 + index, ...(endless ? { ignoreEos: true } : {}) };
    return { name, prompt: index % 5 === 4 ? 'once upon a time' : prompt, options: { ...options, ...more } };
  });
}

/** What must be equal of two results. */
export function essence({ timings, tokensPerSecond, ...rest }: GenerationResult): object {
  return rest;
}

export async function oneByOne(model: Model, ways: readonly Way[]): Promise<object[]> {
  const results: object[] = [];
  for (const { prompt, options } of ways) results.push(essence(await model.generate(prompt, options).result));
  return results;
}

export async function atOnce(model: Model, ways: readonly Way[]): Promise<object[]> {
  const results = await Promise.all(ways.map(({ prompt, options }) => model.generate(prompt, options).result));
  return results.map(essence);
}

/** What the steps since have computed: rows of the program, and the slices in them. */
export interface ObservedStep {
  readonly rows: number;
  readonly slices: readonly { readonly from: number; readonly count: number }[];
}

/** Notes every step of all models until the mocks are restored. */
export function observeSteps(): ObservedStep[] {
  const steps: ObservedStep[] = [];
  const run = StepPrograms.prototype.run;
  vi.spyOn(StepPrograms.prototype, 'run').mockImplementation(function (this: StepPrograms, slices, rows, ...others) {
    steps.push({ rows, slices: slices.map(({ from, count }) => ({ from, count })) });
    return run.call(this, slices, rows, ...others);
  });
  return steps;
}

/** Lets steps have any number of rows, drawn anew for each. */
export function cutAnywhere(seed: number, most = 40): void {
  const numbers = new Numbers(seed);
  vi.spyOn(StepRate.prototype, 'rowsWithin').mockImplementation(() => numbers.integer(1, most));
}

/** Preempts the youngest request before one of so many steps. @returns counts the preemptions */
export function preemptOften(seed: number, oneOf: number): { count: number } {
  const numbers = new Numbers(seed);
  const made = { count: 0 };
  const plan = Scheduler.prototype.plan;
  vi.spyOn(Scheduler.prototype, 'plan').mockImplementation(function (this: Scheduler) {
    if (numbers.integer(1, oneOf) === 1 && this.preempt()) made.count++;
    return plan.call(this);
  });
  return made;
}

/**
 * Has one of so many runs of programs end as at the death of a worker: the program has run, wholly or in part, and fails.
 * The run after it succeeds. @returns counts the failures
 */
export function loseWorkers(seed: number, oneOf: number): { count: number } {
  const numbers = new Numbers(seed);
  const made = { count: 0 };
  let spared = false;
  const run = Runner.prototype.run as (run: ProgramRun, signal: unknown, result: unknown) => Promise<unknown>;
  const mocked = async function (this: Runner, program: ProgramRun, signal: unknown, result: unknown) {
    // Calls of single ops give a result; programs do not.
    if (result !== undefined) return run.call(this, program, signal, result);
    if (spared || numbers.integer(1, oneOf) > 1) {
      spared = false;
      return run.call(this, program, signal, result);
    }
    spared = true;
    made.count++;
    const running = run.call(this, program, signal, result);
    if (numbers.integer(0, 1) === 1) this.stop(program, new Error('stopped'));
    await running.catch(() => {});
    throw new TesseraeError('ERR_WORKER_LOST', 'a worker thread died: as the test wants it');
  };
  vi.spyOn(Runner.prototype, 'run').mockImplementation(mocked as Runner['run']);
  return made;
}
