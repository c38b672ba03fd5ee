// The scheduler: decides which rows are computed next, of which requests, and in which pages. Pure: it is given the clock
// and the pages, computes nothing and awaits nothing. A runner takes a plan, runs it as one step, and reports the end
// (step-loop.ts). The rules are in README.md.
import { TesseraeError } from '../../base/errors.js';
import type { Page, PageSource } from './page-source.js';
import { PrefixTree } from './prefix-tree.js';
import { type RequestSpec, ScheduledRequest } from './scheduled-request.js';
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

export class Scheduler {
  readonly rate = new StepRate();
  readonly #options: SchedulerOptions;
  readonly #queue: WaitingQueue;
  readonly #tree: PrefixTree;
  readonly #planner: StepPlanner;
  /** Admitted, in this order; held ones among them. */
  readonly #running: ScheduledRequest[] = [];
  #arrivals = 0;
  #prefixTokens = 0;
  #preemptions = 0;
  #recomputedTokens = 0;

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#queue = new WaitingQueue(options.maxQueued);
    this.#tree = new PrefixTree(options.pages.positions);
    this.#planner = new StepPlanner(this.rate, options.stepMs);
  }

  get queued(): number {
    return this.#queue.size;
  }

  get running(): number {
    return this.#running.length;
  }

  get isIdle(): boolean {
    return this.#queue.size === 0 && this.#running.length === 0;
  }

  /** Whether something happens with time alone: memory may become free for those that wait, or a deadline pass. */
  get needsTime(): boolean {
    return this.#queue.size > 0 || this.#running.some(({ deadlineAt, isReady }) => isReady || deadlineAt !== undefined);
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
      prefixTokens: this.#prefixTokens,
      preemptions: this.#preemptions,
      recomputedTokens: this.#recomputedTokens,
    };
  }

  /**
   * @throws TesseraeError ERR_QUEUE_FULL; ERR_BUDGET for what does not fit even alone. The request's pages, if it came with
   * some, are then still its owner's.
   */
  submit(spec: RequestSpec): ScheduledRequest {
    const { pages, clock } = this.#options;
    const needed = Math.ceil(spec.ids.length / pages.positions);
    if (needed > pages.most) {
      const message = `${spec.ids.length} tokens take ${needed} pages, the memory budget has room for ${pages.most}`;
      throw new TesseraeError('ERR_BUDGET', message);
    }
    const request = new ScheduledRequest(spec, this.#arrivals, clock());
    this.#queue.push(request, spec.isPatient);
    this.#arrivals++;
    return request;
  }

  /** Those whose deadline has passed. They stay until {@link end}. */
  overdue(): ScheduledRequest[] {
    const now = this.#options.clock();
    const isOver = ({ deadlineAt }: ScheduledRequest) => deadlineAt !== undefined && deadlineAt <= now;
    return [...this.#running.filter(isOver), ...[...this.#queue.values()].filter(isOver)];
  }

  /**
   * The rows of the next step; undefined when there is nothing to compute, or no memory to compute it in. Requests of the
   * plan are in it until {@link finish} or {@link fail}.
   */
  plan(): StepPlan | undefined {
    this.#admit();
    const ready = this.#running.filter((request) => request.isReady);
    return this.#planner.plan(ready, this.queued > 0, (request, end) => this.#makeRoom(request, end));
  }

  /** The plan was computed: its rows have their keys and values. */
  finish(plan: StepPlan): void {
    for (const { request, count } of plan.slices) {
      request.inStep = false;
      this.#queue.serve(request.tenant, count);
      if (request.state === 'ended') {
        request.leave();
        continue;
      }
      const again = Math.max(0, Math.min(request.computed + count, request.reached) - request.computed);
      request.recomputedTokens += again;
      this.#recomputedTokens += again;
      request.computed += count;
      request.reached = Math.max(request.reached, request.computed);
      this.#publish(request);
    }
  }

  /** The plan failed: nothing of it counts, and nothing of it is published. */
  fail(plan: StepPlan): void {
    for (const { request } of plan.slices) {
      request.inStep = false;
      if (request.state === 'ended') request.leave();
    }
  }

  /** Why a request that has no memory to go on never will have; undefined when it may. */
  hopeless(request: ScheduledRequest): TesseraeError | undefined {
    const { positions, most } = this.#options.pages;
    const needed = Math.floor(request.computed / positions) + 1;
    if (needed <= most) return undefined;
    const message = `${request.computed + 1} tokens take ${needed} pages, the memory budget has room for ${most}`;
    return new TesseraeError('ERR_BUDGET', message);
  }

  /** The token that was chosen after a request's last one: it is computed next. */
  accept(request: ScheduledRequest, id: number): void {
    request.ids.push(id);
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
    if (request.state === 'waiting') this.#queue.remove(request);
    else this.#running.splice(this.#running.indexOf(request), 1);
    request.state = 'ended';
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

  /** Frees what is only cached. */
  clearCache(): void {
    this.#tree.clear();
  }

  #admit(): void {
    const { clock, maxRunning } = this.#options;
    const now = clock();
    let admitted = true;
    while (admitted && this.#running.length < maxRunning && this.#queue.size > 0) {
      admitted = false;
      for (const request of this.#queue.candidates(now)) {
        if (this.#waitsForPrefix(request)) continue;
        // A request that does not fit is not overtaken: it would starve.
        admitted = this.#admitOne(request);
        break;
      }
    }
  }

  /** Rents all pages of the prompt, beside one in hand for each request that runs. */
  #admitOne(request: ScheduledRequest): boolean {
    const { pages, clock } = this.#options;
    if (request.salt !== undefined && request.computed === 0) this.#takePrefix(request);
    const missing = Math.ceil(request.ids.length / pages.positions) - request.pages.length;
    const inHand = this.#running.length === 0 ? 0 : this.#running.length + 1;
    const fits = missing + inHand <= pages.free || missing + inHand <= pages.free + this.#tree.evictable;
    if (!fits || !this.#rentFor(request, request.ids.length)) {
      if (request.pages.length > request.computed / pages.positions) this.#shrink(request);
      if (request.cachedTokens > 0 && request.salt !== undefined) this.#returnPrefix(request);
      return false;
    }
    this.#queue.remove(request);
    request.state = 'running';
    request.admittedAt ??= clock();
    this.#prefixTokens += request.cachedTokens;
    this.#running.push(request);
    return true;
  }

  /** Uses what the tree has of a prompt; at least one token is left to compute. */
  #takePrefix(request: ScheduledRequest): void {
    const found = this.#tree.take(request.salt as string, request.ids, request.ids.length - 1);
    request.pages.push(...found);
    request.computed = found.length * this.#options.pages.positions;
    request.cachedTokens = request.computed;
    request.published = found.length;
  }

  #returnPrefix(request: ScheduledRequest): void {
    request.cachedTokens = 0;
    request.releasePages();
  }

  /** Gives back the pages of a request that hold nothing yet. */
  #shrink(request: ScheduledRequest): void {
    const held = Math.ceil(request.computed / this.#options.pages.positions);
    for (const page of request.pages.splice(held)) page.release();
  }

  /** Whether another request is computing a page of the same prefix now, which the tree will have then. */
  #waitsForPrefix(request: ScheduledRequest): boolean {
    const { salt, ids } = request;
    if (salt === undefined || request.computed > 0) return false;
    const { positions } = this.#options.pages;
    let found: number | undefined;
    for (const other of this.#running) {
      if (other.salt !== salt || other.pending <= 1 || !other.isReady) continue;
      const most = Math.floor(Math.min(other.ids.length, ids.length - 1) / positions) * positions;
      let common = 0;
      while (common < most && other.ids[common] === ids[common]) common++;
      common -= common % positions;
      if (common <= other.published * positions) continue;
      found ??= this.#tree.lookUp(salt, ids, ids.length - 1);
      if (common > found) return true;
    }
    return false;
  }

  /** Pages for the positions before `end`, at the cost of cached pages and, where it may, of younger requests. */
  #makeRoom(request: ScheduledRequest, end: number): boolean {
    if (this.#rentFor(request, end)) return true;
    while (this.#preemptYoungest(request)) if (this.#rentFor(request, end)) return true;
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
      if (request.inStep || request.pages.length === 0) continue;
      this.#running.splice(index, 1);
      request.releasePages();
      request.cachedTokens = 0;
      request.state = 'waiting';
      this.#queue.push(request, true);
      this.#preemptions++;
      return true;
    }
    return false;
  }

  #publish(request: ScheduledRequest): void {
    const { salt, ids, pages, computed } = request;
    if (salt === undefined) return;
    const { positions } = this.#options.pages;
    while ((request.published + 1) * positions <= computed) {
      const page = pages[request.published] as Page;
      if (!this.#tree.publish(salt, ids, request.published * positions, page)) return;
      request.published++;
    }
  }
}
