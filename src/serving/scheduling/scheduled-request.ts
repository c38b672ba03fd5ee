// A request as the scheduler sees it: ids of which a part has keys and values in pages, and what decides its turn. It
// computes nothing and has no text; its owner chooses the tokens. Pure.
import type { Page } from './page-source.js';

export interface RequestSpec {
  /** Prompt, and later the tokens that were accepted. Becomes the scheduler's to append to. */
  readonly ids: number[];
  /** −100 to 100, higher first. */
  readonly priority: number;
  readonly tenant: string;
  /** By the scheduler's clock; undefined for none. */
  readonly deadlineAt: number | undefined;
  /** Requests share cached prefixes only with those of the same salt; undefined shares nothing. */
  readonly salt: string | undefined;
  /** Pages that hold the first of `ids` already: a session's, which become the request's. */
  readonly pages?: Page[];
  readonly computed?: number;
  /** It waited for room among its like before it came, and is not refused. */
  readonly isPatient?: boolean | undefined;
  /** Takes the pages when the request has ended and is in no step, in place of their being released. */
  readonly onRelease?: ((request: ScheduledRequest) => void) | undefined;
  /** What is wanted of its rows: a token sampled from the last, or the hidden states of all, once. */
  readonly output: 'sample' | 'hidden';
}

/**
 * waiting: in the queue, or put aside while it is parked; without pages of its own · running: admitted, takes part in steps
 * unless it is held · ended: nothing is left of it.
 */
export type RequestState = 'waiting' | 'running' | 'ended';

export class ScheduledRequest {
  readonly ids: number[];
  readonly priority: number;
  readonly tenant: string;
  readonly deadlineAt: number | undefined;
  readonly salt: string | undefined;
  readonly output: 'sample' | 'hidden';
  readonly isPatient: boolean;
  /** The order of arrival. */
  readonly number: number;
  readonly arrivedAt: number;
  readonly #onRelease: ((request: ScheduledRequest) => void) | undefined;
  state: RequestState = 'waiting';
  /** When it was admitted first. */
  admittedAt: number | undefined;
  /** The pages of its keys and values, in order; each is used by this request, perhaps among others. */
  readonly pages: Page[];
  /** How many of `ids` have their keys and values in the pages. */
  computed: number;
  /** How many of its full pages are in the prefix tree already. */
  published = 0;
  /** How many of `computed` were found in the prefix tree, and computed a second time after a preemption. */
  cachedTokens = 0;
  recomputedTokens = 0;
  /** Identifies the copy of a page of the prefix tree that is being made for it, if there is one. */
  copying: object | undefined;
  /** The highest `computed` that it ever had. */
  reached = 0;
  /** Positions that were counted for its tenant, or found, from the beginning: those of the prompt before they are computed. */
  charged: number;
  /** For how many reasons it takes part in no step for a while: something is prepared for it. */
  holds = 0;
  /** Its consumer does not keep up: it takes part in no step, and its memory is for whoever needs it. */
  isParked = false;
  /** It takes part in the step under way. */
  inStep = false;

  constructor(spec: RequestSpec, number: number, arrivedAt: number) {
    this.ids = spec.ids;
    this.priority = spec.priority;
    this.tenant = spec.tenant;
    this.deadlineAt = spec.deadlineAt;
    this.salt = spec.salt;
    this.output = spec.output;
    this.isPatient = spec.isPatient === true;
    this.number = number;
    this.arrivedAt = arrivedAt;
    this.#onRelease = spec.onRelease;
    this.pages = spec.pages ?? [];
    this.computed = spec.computed ?? 0;
    this.charged = this.computed;
  }

  /** Tokens that are to be computed before there is a next one. */
  get pending(): number {
    return this.ids.length - this.computed;
  }

  /** Whether it takes part in the next step. */
  get isReady(): boolean {
    return this.state === 'running' && this.holds === 0 && !this.isParked && this.pending > 0;
  }

  /** Whether it computes one token a step. */
  get decodes(): boolean {
    return this.pending === 1 && this.computed > 0;
  }

  /** Whether its pages are being written: by the step under way, or by a copy. To take them from it would free nothing yet. */
  get isWritten(): boolean {
    return this.inStep || this.copying !== undefined;
  }

  /** Whether its owner takes its pages back at the end. */
  get isLent(): boolean {
    return this.#onRelease !== undefined;
  }

  /** It has ended, and is in no step: nothing is left of it. */
  leave(): void {
    if (this.#onRelease === undefined) this.releasePages();
    else this.#onRelease(this);
  }

  releasePages(): void {
    for (const page of this.pages.splice(0)) page.release();
    this.computed = 0;
    this.published = 0;
    this.copying = undefined;
  }
}
