// What the suite serving gives: points of the curves over the number of concurrent requests, and rows, each with what is
// asked of it. Measures nothing.
import type { Origin } from '../../measuring/context.js';
import { median, quantile } from '../../measuring/statistics.js';

export interface Spread {
  readonly p50: number;
  readonly p99: number;
}

export const spreadOf = (samples: readonly number[]): Spread => ({
  p50: median(samples),
  p99: quantile(samples, 0.99),
});

/** llama.cpp with as many sequences at once. It chooses no tokens: its steps end when their logits are there. */
export interface PeerPoint {
  readonly tokensPerSecond: number;
  /** Until all prompts are computed. */
  readonly prefillMs: number;
  readonly betweenMs: Spread;
  /** The kind of attention that was faster. */
  readonly attention: 'plain' | 'flash';
  /** Median over the rounds of (its time / ours). */
  readonly ratio: number;
}

/** So many requests at once, from the first call to the last token of all. */
export interface ServingPoint extends Origin {
  /** Of the weights. */
  readonly type: string;
  readonly workers: number;
  readonly concurrency: number;
  readonly promptTokens: number;
  readonly newTokens: number;
  readonly rounds: number;
  /** Generated tokens; the time includes the prompts. */
  readonly tokensPerSecond: number;
  /** The same for such requests one after the other. */
  readonly oneByOne: number;
  /** Median over the rounds of one rate over the other. */
  readonly ratio: number;
  /** From the call to the first token, and between two tokens of a request. */
  readonly firstMs: Spread;
  readonly betweenMs: Spread;
  readonly peer: PeerPoint | null;
}

export type ServingUnit = '×' | 'ms' | 'µs' | 'steps';

export interface ServingTarget {
  readonly bound: 'at least' | 'at most';
  readonly value: number;
}

/** A figure, and what is asked of it. */
export interface ServingRow extends Origin {
  readonly name: string;
  readonly what: string;
  readonly workers: number;
  readonly unit: ServingUnit;
  readonly value: number;
  readonly samples: number;
  /** The figures behind it. */
  readonly detail: string;
  /** Null where nothing is asked, or where the workload is a smaller one than that of which it is asked. */
  readonly target: ServingTarget | null;
  readonly holds: boolean | null;
}

export type ServingFigure = Omit<ServingRow, keyof Origin | 'workers' | 'holds'>;

export interface ServingReport {
  readonly model: string;
  readonly parameters: number;
  readonly workers: number;
  readonly stepMs: number;
  /** Version and CPU features of llama.cpp, or in one line why it was not measured. */
  readonly peer: { readonly about: string } | { readonly missing: string };
  readonly points: readonly ServingPoint[];
  readonly rows: readonly ServingRow[];
}

export const atLeast = (value: number): ServingTarget => ({ bound: 'at least', value });
export const atMost = (value: number): ServingTarget => ({ bound: 'at most', value });

export function rowOf(figure: ServingFigure, where: Origin & { readonly workers: number }): ServingRow {
  const { target, value } = figure;
  const holds = target === null ? null : target.bound === 'at least' ? value >= target.value : value <= target.value;
  return { ...figure, holds, ...where };
}
