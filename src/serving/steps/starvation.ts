// What to do with requests for which there is no memory: wait as long as anything of the engine may free some, give way to
// another model that is in the same plight, or give up. Pure; used by the step loop.
import { TesseraeError } from '../../base/errors.js';
import type { PageSource } from '../scheduling/page-source.js';
import type { ScheduledRequest } from '../scheduling/scheduled-request.js';
import type { Scheduler } from '../scheduling/scheduler.js';
import type { Account, Turns } from './turns.js';

/** Nothing could be computed. */
export interface Shortage {
  /** Admitted requests that lack memory to go on; none where all wait to be admitted. */
  readonly lacking: readonly ScheduledRequest[];
  /** What was thrown where memory was taken for the step; without it, pages were lacking. */
  readonly error?: TesseraeError;
}

export interface StarvationParts {
  readonly scheduler: Scheduler;
  readonly pages: PageSource;
  readonly turns: Turns;
  readonly account: Account;
  /** Milliseconds from any origin. */
  readonly clock: () => number;
}

/** For so long the memory that callers hold may be given back: tensors, sessions. */
export const patienceMs = 1000;
/** How long to wait, when nothing can be computed, before memory and deadlines are looked at again. */
export const retryMs = 20;

export class Starvation {
  readonly #parts: StarvationParts;
  #since: number | undefined;
  #free = 0;

  constructor(parts: StarvationParts) {
    this.#parts = parts;
  }

  /** Something was computed. */
  end(): void {
    const { account } = this.#parts;
    this.#since = undefined;
    account.activity = 'working';
  }

  /** There is nothing to do. */
  idle(): void {
    const { account } = this.#parts;
    this.#since = undefined;
    account.activity = 'idle';
    account.holdsMemory = false;
  }

  /** Looks at requests that find no memory. @returns those that are to end, each with its error */
  look({ lacking, error }: Shortage): readonly (readonly [ScheduledRequest, TesseraeError])[] {
    const { scheduler, turns, account } = this.#parts;
    const hopeless = lacking.flatMap((request) => {
      const problem = scheduler.hopeless(request);
      return problem === undefined ? [] : [[request, problem] as const];
    });
    if (hopeless.length > 0) return hopeless;
    account.holdsMemory = scheduler.running > 0;
    if (scheduler.isProgressing(lacking) || (lacking.length === 0 && !scheduler.awaitsAdmission)) {
      this.#since = undefined;
      account.activity = scheduler.isProgressing(lacking) ? 'working' : 'idle';
      return [];
    }
    account.activity = 'starved';
    const others = turns.others(account);
    if (others.work || others.starveWithMemory) {
      this.#since = undefined;
      // One of the two must go on. The other one is computed anew.
      if (!others.work && lacking.length > 0) while (scheduler.preempt());
      return [];
    }
    return this.#isPatienceOver() ? this.#giveUp(lacking, error) : [];
  }

  #isPatienceOver(): boolean {
    const { pages, clock } = this.#parts;
    const now = clock();
    const { free } = pages;
    if (this.#since === undefined || free !== this.#free) {
      this.#since = now;
      this.#free = free;
    }
    if (now - this.#since < patienceMs) return false;
    this.#since = undefined;
    return true;
  }

  #giveUp(lacking: readonly ScheduledRequest[], error: TesseraeError | undefined) {
    const { scheduler, pages } = this.#parts;
    const victims = lacking.length > 0 ? lacking : scheduler.misfits();
    return victims.map((request) => {
      const tokens = Math.max(request.ids.length, request.computed + 1);
      const needed = Math.ceil(tokens / pages.positions);
      const message =
        `${tokens} tokens take ${needed * pages.pageBytes} bytes, ${needed} pages; there is memory for ` +
        `${pages.free + request.pages.length}, and nothing that the engine computes will free more`;
      return [request, error ?? new TesseraeError('ERR_BUDGET', message)] as const;
    });
  }
}
