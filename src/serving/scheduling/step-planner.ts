// Cuts a step: which requests take part in it, with how many rows each. Decoding rows first, then slices of prompts within
// the time of a step. Pure; used by the scheduler, which admits and preempts.

import { bucketFor, mostRows } from '../../forward/row-buckets.js';
import type { ScheduledRequest } from './scheduled-request.js';
import type { StepRate } from './step-rate.js';

/** Consecutive tokens of one request. */
export interface StepSlice {
  readonly request: ScheduledRequest;
  /** Position of the first of them. */
  readonly from: number;
  readonly count: number;
  /** Whether they end with the request's last token, after which the next one is chosen. */
  readonly reachesEnd: boolean;
}

export interface StepPlan {
  readonly slices: readonly StepSlice[];
  /** Rows of the program that computes them; those that no slice takes are padding. */
  readonly rows: number;
  /** Requests that are not served for want of memory: they do not fit, even though no younger one is left to preempt. */
  readonly outOfMemory: readonly ScheduledRequest[];
}

/** Prompts get at least this share of a step's rows, so that decoding never starves them. */
const leastPromptShare = 1 / 4;
/** While others decode or wait, one prompt gets at most this share of a step. */
const mostShareOfOnePrompt = 1 / 2;
/** Of the rows for prompts, the prompt that was admitted first gets at least this share. */
const shareOfOldest = 1 / 4;

export class StepPlanner {
  readonly #rate: StepRate;
  readonly #stepMs: number;
  /** Rows of a step, at most: fewer where memory is short. */
  mostRows = mostRows;
  /** Where decoding goes on when there are more requests than rows. */
  #next = 0;

  constructor(rate: StepRate, stepMs: number) {
    this.#rate = rate;
    this.#stepMs = stepMs;
  }

  /**
   * @param ready admitted requests with tokens to compute, in the order of admission
   * @param othersWait whether more requests wait to be admitted
   * @param makeRoom rents the pages of a request for the positions before an end; may preempt younger ones
   */
  plan(
    ready: readonly ScheduledRequest[],
    othersWait: boolean,
    makeRoom: (request: ScheduledRequest, end: number) => boolean,
  ): StepPlan | undefined {
    const slices: StepSlice[] = [];
    const outOfMemory: ScheduledRequest[] = [];
    let rows = 0;
    const add = (request: ScheduledRequest, count: number): void => {
      const from = request.computed;
      if (!makeRoom(request, from + count)) outOfMemory.push(request);
      else {
        request.inStep = true;
        slices.push({ request, from, count, reachesEnd: from + count === request.ids.length });
        rows += count;
      }
    };
    const decoding = ready.filter((request) => request.decodes);
    const prompts = ready.filter((request) => !request.decodes);
    const { mostRows: most } = this;
    const within = Math.min(most, this.#rate.rowsWithin(this.#stepMs));
    const forPrompts = prompts.length === 0 ? 0 : Math.max(1, Math.ceil(within * leastPromptShare));
    const mostDecoding = most - forPrompts;
    const first = decoding.length > mostDecoding ? this.#next : 0;
    for (let i = 0; i < decoding.length && rows < mostDecoding; i++) {
      const request = decoding[(first + i) % decoding.length] as ScheduledRequest;
      // It may have been preempted for the room of an older one.
      if (request.state === 'running') add(request, 1);
    }
    this.#next = decoding.length > mostDecoding ? (first + mostDecoding) % decoding.length : 0;

    const isAlone = ready.length === 1 && !othersWait;
    const budget = isAlone ? most : Math.max(forPrompts, within - rows);
    const share = isAlone ? most : Math.max(1, Math.floor(within * mostShareOfOnePrompt));
    const lengths = divide(prompts, budget, share);
    let planned = rows;
    for (const count of lengths.values()) planned += count;
    // The rows that the program has anyway are given to prompts, as long as there are tokens.
    let left = planned === 0 ? 0 : Math.min(most, bucketFor(planned)) - planned;
    for (const [request, count] of lengths) {
      const more = Math.min(left, request.pending - count);
      lengths.set(request, count + more);
      left -= more;
    }
    for (const [request, count] of lengths) if (request.state === 'running') add(request, count);
    if (slices.length === 0 && outOfMemory.length === 0) return undefined;
    return { slices, rows: rows === 0 ? 0 : bucketFor(rows), outOfMemory };
  }
}

/**
 * How many rows of a step each prompt gets, in the order of admission. The oldest has a quarter for certain; of the rest, what is
 * computed soonest comes first: a short prompt does not wait for a long one, and no prompt waits for ever.
 */
function divide(prompts: readonly ScheduledRequest[], budget: number, share: number): Map<ScheduledRequest, number> {
  const [oldest] = prompts;
  const counts = new Map<ScheduledRequest, number>();
  if (oldest === undefined) return counts;
  const certain = Math.min(oldest.pending, share, Math.ceil(budget * shareOfOldest));
  let left = budget - certain;
  const soonest = [...prompts].sort((a, b) => b.priority - a.priority || a.pending - b.pending);
  for (const request of soonest) {
    const own = request === oldest ? certain : 0;
    const more = Math.min(request.pending - own, share - own, left);
    counts.set(request, own + more);
    left -= more;
  }
  const isServed = (request: ScheduledRequest) => (counts.get(request) ?? 0) > 0;
  return new Map(prompts.filter(isServed).map((request) => [request, counts.get(request) as number]));
}
