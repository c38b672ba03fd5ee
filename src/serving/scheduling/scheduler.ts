// The scheduler: decides which rows are computed next, of which requests, and in which pages. Pure: it is given the clock
// and the pages, computes nothing and awaits nothing. A runner takes a plan, runs it as one step, and reports the end
// (step-loop.ts). The rules are in README.md.
import { TesseraeError } from '../../base/errors.js';
import { bucketBelow, mostRows } from '../../forward/row-buckets.js';
import type { Page, PageSource } from './page-source.js';
import type { PrefixTree } from './prefix-tree.js';
import { type RequestSpec, ScheduledRequest } from './scheduled-request.js';
import { SharedPrefixes } from './shared-prefixes.js';
import { type StepPlan, StepPlanner } from './step-planner.js';
import { StepRate } from './step-rate.js';
import { WaitingQueue } from './waiting-queue.js';

export interface SchedulerOptions {
  /** Milliseconds from any origin. */
  readonly clock: () => number;
  readonly pages: PageSource;
  /** How long a step may take while several requests are served. */
  readonly stepMs: number;
  /** Requests that wait at most; see ERR_QUEUE_FULL. */
  readonly maxQueued: number;
  /** Requests that are computed at the same time, at most. */
  readonly maxRunning: number;
  /** Called when the memory of a request was given to others. */
  readonly onPreempt?: ((request: ScheduledRequest) => void) | undefined;
}

export interface SchedulerStats {
  readonly queued: number;
  readonly running: number;
  readonly pagesUsed: number;
  readonly pagesCached: number;
  readonly pagesFree: number;
  readonly prefixTokens: number;
  readonly preemptions: number;
  readonly recomputedTokens: number;
}

/** Where memory for a step is short, steps get fewer rows down to this many, and then fewer requests are served at once. */
const rowsToKeep = 16;
/** After so long the others are admitted with the next steps: new pages can take a millisecond each, and hundreds may wait. */
const mostAdmissionMs = 5;
/** After so many steps a larger one is tried again. */
const stepsToForget = 64;

export class Scheduler {
  readonly rate = new StepRate();
  readonly #options: SchedulerOptions;
  readonly #queue: WaitingQueue;
  readonly #prefixes: SharedPrefixes;
  readonly #tree: PrefixTree;
  readonly #planner: StepPlanner;
  /** Admitted, in this order; held ones among them. */
  readonly #running: ScheduledRequest[] = [];
  /** Those that are parked, and whose memory went to others. They come back into the queue when they go on. */
  readonly #aside = new Set<ScheduledRequest>();
  /** All of them that have a deadline, looked at before each step. */
  readonly #withDeadline = new Set<ScheduledRequest>();
  /** Memory for a step was short: until a request has ended, no other one is admitted beside those that run. */
  #isClosed = false;
  /** Steps since then. */
  #stepsSinceRetreat = 0;
  #arrivals = 0;
  #preemptions = 0;
  #recomputedTokens = 0;

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#queue = new WaitingQueue(options.maxQueued);
    this.#prefixes = new SharedPrefixes(options.pages);
    this.#tree = this.#prefixes.tree;
    this.#planner = new StepPlanner(this.rate, options.stepMs);
  }

  get queued(): number {
    return this.#queue.size + this.#aside.size;
  }

  /** Those among them that waited for room: see {@link RequestSpec.isPatient}. */
  get patientQueued(): number {
    return this.#queue.patient;
  }

  get running(): number {
    return this.#running.length;
  }

  get isIdle(): boolean {
    return this.queued === 0 && this.#running.length === 0;
  }

  /** Whether something happens with time alone: memory may become free for those that wait, or a deadline pass. */
  get needsTime(): boolean {
    if (this.#queue.size > 0 || this.#running.some(({ isReady }) => isReady)) return true;
    return this.#withDeadline.size > 0;
  }

  /** Whether requests are admitted that go on without anybody's doing, those that lack memory left out. */
  isProgressing(lacking: readonly ScheduledRequest[]): boolean {
    return this.#running.some((request) => !request.isParked && !lacking.includes(request));
  }

  get awaitsAdmission(): boolean {
    return this.#queue.size > 0;
  }

  /** Tokens that are to be computed for those that wait. */
  get queuedTokens(): number {
    let tokens = 0;
    for (const { pending } of this.#queue.values()) tokens += pending;
    return tokens;
  }

  stats(): SchedulerStats {
    const used = new Set<Page>();
    for (const { pages } of this.#running) for (const page of pages) used.add(page);
    return {
      queued: this.queued,
      running: this.running,
      pagesUsed: used.size,
      pagesCached: this.#tree.evictable,
      pagesFree: this.#options.pages.free,
      prefixTokens: this.#prefixes.foundTokens,
      preemptions: this.#preemptions,
      recomputedTokens: this.#recomputedTokens,
    };
  }

  /**
   * @throws TesseraeError ERR_QUEUE_FULL; ERR_BUDGET for what does not fit even alone. The request's pages, if it came with
   * some, are then still its owner's.
   */
  submit(spec: RequestSpec): ScheduledRequest {
    const problem = this.#neverFits(spec.ids.length);
    if (problem !== undefined) throw problem;
    const request = new ScheduledRequest(spec, this.#arrivals, this.#options.clock());
    this.#queue.push(request);
    this.#arrivals++;
    if (request.deadlineAt !== undefined) this.#withDeadline.add(request);
    return request;
  }

  /** Those whose deadline has passed. They stay until {@link end}. */
  overdue(): ScheduledRequest[] {
    const now = this.#options.clock();
    return [...this.#withDeadline].filter(({ deadlineAt }) => (deadlineAt as number) <= now);
  }

  /**
   * The rows of the next step; undefined when there is nothing to compute, or no memory to compute it in. Requests of the
   * plan are in it until {@link finish} or {@link fail}.
   */
  plan(): StepPlan | undefined {
    if (this.#running.length === 0) this.#reopen();
    if (!this.#isClosed) this.#admit();
    const ready = this.#running.filter((request) => request.isReady);
    return this.#planner.plan(ready, this.awaitsAdmission, (request, end) => this.#makeRoom(request, end));
  }

  /** The plan was computed: its rows have their keys and values. */
  finish(plan: StepPlan): void {
    this.#stepsSinceRetreat++;
    for (const { request, count } of plan.slices) {
      request.inStep = false;
      this.#queue.charge(request, request.computed + count);
      if (request.state === 'ended') {
        request.leave();
        continue;
      }
      const again = Math.max(0, Math.min(request.computed + count, request.reached) - request.computed);
      request.recomputedTokens += again;
      this.#recomputedTokens += again;
      request.computed += count;
      request.reached = Math.max(request.reached, request.computed);
      this.#prefixes.publish(request);
    }
  }

  /** The plan failed: nothing of it counts, and nothing of it is published. */
  fail(plan: StepPlan): void {
    for (const { request } of plan.slices) {
      request.inStep = false;
      if (request.state === 'ended') request.leave();
    }
  }

  /**
   * The plan failed because there was no memory for a step of its rows. Nothing of it counts; the next plans have fewer rows,
   * or fewer requests.
   * @returns false when there is nothing less to try
   */
  retreat(plan: StepPlan): boolean {
    this.fail(plan);
    this.#isClosed = true;
    this.#stepsSinceRetreat = 0;
    if (this.#running.length === 0 || this.preemptParked()) return true;
    if (plan.rows <= rowsToKeep && this.#preemptYoungest(this.#running[0])) return true;
    if (plan.rows === 1) return false;
    this.#planner.mostRows = bucketBelow(plan.rows / 2);
    return true;
  }

  /** The request that is next and does not fit into the memory that is free now, and all that need as much. */
  misfits(): ScheduledRequest[] {
    const { positions } = this.#options.pages;
    const [next] = this.#queue.candidates(this.#options.clock());
    if (next === undefined) return [];
    const missing = ({ ids, pages }: ScheduledRequest) => Math.ceil(ids.length / positions) - pages.length;
    const least = missing(next);
    return [...this.#queue.values()].filter((request) => missing(request) >= least);
  }

  /** Why a request that has no memory to go on never will have; undefined when it may. */
  hopeless({ ids, computed }: ScheduledRequest): TesseraeError | undefined {
    return this.#neverFits(Math.max(ids.length, computed + 1));
  }

  /** The token that was chosen after a request's last one: it is computed next. */
  accept(request: ScheduledRequest, id: number): void {
    request.ids.push(id);
  }

  /** Its consumer does not keep up: it takes part in no step until {@link unpark}, and others may take its memory. */
  park(request: ScheduledRequest): void {
    request.isParked = true;
  }

  unpark(request: ScheduledRequest): void {
    request.isParked = false;
    if (this.#aside.delete(request)) this.#queue.push(request);
  }

  /** The request takes part in no step until {@link resume} is called as often. It keeps its pages unless it is preempted. */
  hold(request: ScheduledRequest): void {
    request.holds++;
  }

  resume(request: ScheduledRequest): void {
    request.holds--;
  }

  /**
   * Takes a request out, done or not. Its pages go back, at the end of a step that is under way where it is in that.
   */
  end(request: ScheduledRequest): void {
    if (request.state === 'ended') return;
    if (request.state === 'running') {
      this.#running.splice(this.#running.indexOf(request), 1);
      this.#reopen();
    } else if (!this.#aside.delete(request)) this.#queue.remove(request);
    request.state = 'ended';
    this.#queue.refund(request);
    this.#withDeadline.delete(request);
    if (!this.#running.some(({ tenant }) => tenant === request.tenant)) this.#queue.forget(request.tenant);
    if (!request.inStep) request.leave();
  }

  /** Gives up what was published under a salt. */
  forget(salt: string): void {
    this.#tree.forget(salt);
  }

  /** Gives up a cached page, for whoever needs memory. @returns whether there was one */
  evict(): boolean {
    return this.#tree.evict();
  }

  /** Preempts the youngest request that is in no step, for whoever needs memory. @returns whether there was one */
  preempt(): boolean {
    return this.#preemptYoungest(undefined);
  }

  /** Takes the memory of the parked request admitted last, for whoever needs it. @returns whether there was one */
  preemptParked(): boolean {
    const parked = this.#running.findLast(({ isParked, isWritten }) => isParked && !isWritten);
    if (parked !== undefined) this.#preempt(parked);
    return parked !== undefined;
  }

  /** Frees what is only cached. */
  clearCache(): void {
    this.#tree.clear();
  }

  #neverFits(tokens: number): TesseraeError | undefined {
    const { positions, pageBytes, most } = this.#options.pages;
    const needed = Math.ceil(tokens / positions);
    if (needed <= most) return undefined;
    const message =
      `${tokens} tokens take ${needed * pageBytes} bytes, ${needed} pages; ` +
      `beside its weights the memory budget has room for ${most}`;
    return new TesseraeError('ERR_BUDGET', message, { neverFits: true });
  }

  /** A request has ended, and its memory is free: others may be admitted, and steps be larger again. */
  #reopen(): void {
    const planner = this.#planner;
    this.#isClosed = false;
    if (this.#running.length === 0) planner.mostRows = mostRows;
    else if (this.#stepsSinceRetreat > stepsToForget) planner.mostRows = bucketBelow(2 * planner.mostRows);
  }

  #admit(): void {
    const { clock, maxRunning } = this.#options;
    const now = clock();
    while (this.#queue.size > 0 && (this.#running.length < maxRunning || this.preemptParked())) {
      let admitted = false;
      for (const request of this.#queue.candidates(now)) {
        if (this.#prefixes.isWorthWaiting(request, this.#running)) continue;
        // A request that does not fit is not overtaken: it would starve.
        admitted = this.#admitOne(request);
        break;
      }
      if (!admitted || clock() - now >= mostAdmissionMs) return;
    }
  }

  /** Rents all pages of the prompt, beside one in hand for each request that runs. */
  #admitOne(request: ScheduledRequest): boolean {
    const { pages, clock } = this.#options;
    const partly = this.#prefixes.take(request);
    const missing = Math.ceil(request.ids.length / pages.positions) - request.pages.length;
    const fits = () => {
      const needed = missing + (this.#running.length === 0 ? 0 : this.#running.length + 1);
      return needed <= pages.free || needed <= pages.free + this.#tree.evictable;
    };
    const isAdmitted = () => fits() && this.#rentFor(request, request.ids.length);
    if (!isAdmitted() && !this.#untilParkedAreGone(isAdmitted)) {
      if (request.pages.length > request.computed / pages.positions) this.#shrink(request);
      this.#prefixes.giveBack(request, partly);
      return false;
    }
    this.#queue.remove(request);
    request.state = 'running';
    request.admittedAt ??= clock();
    this.#running.push(request);
    request.charged = Math.max(request.charged, request.computed + (partly?.tokens ?? 0));
    this.#queue.charge(request, request.ids.length);
    this.#prefixes.admit(request, partly);
    return true;
  }

  /** Gives back the pages of a request that hold nothing yet. */
  #shrink(request: ScheduledRequest): void {
    const held = Math.ceil(request.computed / this.#options.pages.positions);
    for (const page of request.pages.splice(held)) page.release();
  }

  /** Pages for the positions before `end`, at the cost of cached pages and, where it may, of parked and younger requests. */
  #makeRoom(request: ScheduledRequest, end: number): boolean {
    const isMade = () => this.#rentFor(request, end);
    if (isMade() || this.#untilParkedAreGone(isMade)) return true;
    while (this.#preemptYoungest(request)) if (isMade()) return true;
    return false;
  }

  /** Takes the memory of parked requests, one after the other, until there is enough. */
  #untilParkedAreGone(isEnough: () => boolean): boolean {
    while (this.preemptParked()) if (isEnough()) return true;
    return false;
  }

  #rentFor(request: ScheduledRequest, end: number): boolean {
    const { pages } = this.#options;
    const needed = Math.ceil(end / pages.positions);
    while (request.pages.length < needed) {
      const page = pages.rent();
      if (page !== undefined) request.pages.push(page);
      else if (!this.#tree.evict()) return false;
    }
    return true;
  }

  /**
   * Takes the pages of the youngest request that is in no step, which then waits to be computed anew. Its full pages stay in
   * the tree for as long as there is memory.
   * @param except is not preempted, nor is any that was admitted before it
   */
  #preemptYoungest(except: ScheduledRequest | undefined): boolean {
    for (let index = this.#running.length - 1; index >= 0; index--) {
      const request = this.#running[index] as ScheduledRequest;
      if (request === except) return false;
      if (request.isWritten || request.pages.length === 0) continue;
      this.#preempt(request);
      return true;
    }
    return false;
  }

  #preempt(request: ScheduledRequest): void {
    this.#running.splice(this.#running.indexOf(request), 1);
    request.releasePages();
    request.cachedTokens = 0;
    request.state = 'waiting';
    if (request.isParked) this.#aside.add(request);
    else this.#queue.push(request);
    this.#preemptions++;
    this.#options.onPreempt?.(request);
  }
}
