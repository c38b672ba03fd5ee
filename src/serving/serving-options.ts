// How a model serves its requests, and what it tells of it. Checked when the model is loaded.
import { checkFlag, checkKeys, checkPositive } from '../base/options.js';
import type { SchedulerStats } from './scheduling/scheduler.js';

export interface ServingOptions {
  /** Requests that may wait, those that run not counted; 4096 by default. One more fails with ERR_QUEUE_FULL. */
  readonly maxQueued: number;
  /**
   * How long a step may take while several requests are served, in ms; 40 by default. Shorter steps mean smoother streams,
   * longer ones more tokens a second.
   */
  readonly stepMs: number;
  /** Keep the keys and values of prompts for later prompts that begin alike, as long as there is memory; true by default. */
  readonly prefixCache: boolean;
}

/** @throws TesseraeError ERR_ARGUMENT */
export function servingOptionsOf(given: Partial<ServingOptions> = {}, op: string): ServingOptions {
  checkKeys(given, ['maxQueued', 'stepMs', 'prefixCache'], op);
  return {
    maxQueued: checkPositive(given.maxQueued ?? 4096, 'serving.maxQueued', op),
    stepMs: checkPositive(given.stepMs ?? 40, 'serving.stepMs', op),
    prefixCache: checkFlag(given.prefixCache, true, 'serving.prefixCache', op),
  };
}

export interface ServingStats extends SchedulerStats {
  /** Steps that were computed. */
  readonly steps: number;
  /** Rows that a step had lately, on average. */
  readonly rowsPerStep: number;
  /** How long the programs of all steps have run. */
  readonly computeMs: number;
  /** The time of all steps beside that, in which the event loop plans, fills in and delivers. Divide by `steps`. */
  readonly overheadMs: number;
  /** Tokens that were chosen by slower code, because rounding could have changed them otherwise. */
  readonly declinedTokens: number;
  /** How long a request that comes now is expected to wait. */
  readonly expectedWaitMs: number;
}

/** Of a server that has no pages and has done nothing. */
export const noServing: ServingStats = {
  queued: 0,
  running: 0,
  pagesUsed: 0,
  pagesCached: 0,
  pagesFree: Number.POSITIVE_INFINITY,
  prefixTokens: 0,
  preemptions: 0,
  recomputedTokens: 0,
  steps: 0,
  rowsPerStep: 0,
  computeMs: 0,
  overheadMs: 0,
  declinedTokens: 0,
  expectedWaitMs: 0,
};

/** Of two servers together. They share the free memory: it is that of the larger pages. */
export function addStats(a: ServingStats, b: ServingStats): ServingStats {
  const sums = Object.keys(a).map((key) => [key, a[key as keyof ServingStats] + b[key as keyof ServingStats]]);
  const rows = a.steps * a.rowsPerStep + b.steps * b.rowsPerStep;
  return {
    ...(Object.fromEntries(sums) as ServingStats),
    pagesFree: Math.min(a.pagesFree, b.pagesFree),
    rowsPerStep: rows === 0 ? 0 : rows / (a.steps + b.steps),
    expectedWaitMs: Math.max(a.expectedWaitMs, b.expectedWaitMs),
  };
}

/** Of all servers together. */
export function sumOfStats(all: readonly ServingStats[]): ServingStats {
  const sum = all.reduce(addStats, noServing);
  return { ...sum, pagesFree: Number.isFinite(sum.pagesFree) ? sum.pagesFree : 0 };
}

/** What is finished before a server ends: the requests that run, or all that were taken. */
export type DrainKind = 'running' | 'all';
