// A simulator of serving: a fake clock, fake pages that remember what was written to them, and a fake model whose next token
// is a hash of the tokens before. Checks in every step what the scheduler promises. Used by scheduler.test.ts.

import { mostRows, rowBuckets } from '../../../src/forward/row-buckets.js';
import type { Page, PageSource } from '../../../src/serving/scheduling/page-source.js';
import type { RequestSpec, ScheduledRequest } from '../../../src/serving/scheduling/scheduled-request.js';
import { Scheduler, type SchedulerOptions } from '../../../src/serving/scheduling/scheduler.js';
import type { StepPlan } from '../../../src/serving/scheduling/step-planner.js';

type Done = (isCopied: boolean) => void;

class FakePage implements Page {
  /** For each position the hash of the tokens up to there. */
  readonly cells: number[] = [];
  readonly #source: FakePages;
  users = 1;

  constructor(source: FakePages) {
    this.#source = source;
  }

  get isShared(): boolean {
    return this.users > 1;
  }

  share(): this {
    if (this.users < 1) throw new Error('a page is shared that was given back');
    this.users++;
    return this;
  }

  release(): void {
    this.users--;
    if (this.users < 0) throw new Error('a page was given back twice');
    if (this.users === 0) this.#source.live--;
  }
}

export class FakePages implements PageSource {
  readonly positions: number;
  readonly pageBytes = 100;
  readonly most: number;
  live = 0;
  peak = 0;
  copies = 0;
  #copying: { readonly from: FakePage; readonly to: FakePage; readonly cells: number[]; readonly done: Done }[] = [];

  constructor(positions: number, most: number) {
    this.positions = positions;
    this.most = most;
  }

  get free(): number {
    return this.most - this.live;
  }

  rent(): Page | undefined {
    if (this.free === 0) return undefined;
    this.live++;
    this.peak = Math.max(this.peak, this.live);
    return new FakePage(this);
  }

  copy(from: Page, to: Page, done: Done): void {
    const [source, target] = [from.share() as FakePage, to.share() as FakePage];
    this.#copying.push({ from: source, to: target, cells: [...source.cells], done });
  }

  /** Ends the copies that were begun. */
  endCopies(areCopied = true): void {
    for (const { from, to, cells, done } of this.#copying.splice(0)) {
      if (String(from.cells) !== String(cells)) throw new Error('a page was written while it was copied');
      if (areCopied) to.cells.splice(0, Number.POSITIVE_INFINITY, ...cells);
      from.release();
      to.release();
      this.copies++;
      done(areCopied);
    }
  }
}

/** The hash of the tokens up to and with each position. */
function hashes(ids: readonly number[]): number[] {
  let hash = 17;
  return ids.map((id) => {
    hash = (Math.imul(hash, 31) + id + 7) >>> 0;
    return hash;
  });
}

export function nextToken(ids: readonly number[]): number {
  return (hashes(ids).at(-1) as number) % 50;
}

export interface SimulatedRequest {
  readonly request: ScheduledRequest;
  readonly promptLength: number;
  readonly newTokens: number;
  readonly submittedAt: number;
  readonly firstTokenAt?: number;
  outcome?: 'complete' | 'aborted' | 'overdue' | 'out of memory';
  endedAt?: number;
}

export interface SimulatorOptions extends Partial<SchedulerOptions> {
  readonly pages: FakePages;
  /** How long a step of so many rows takes. */
  readonly stepTime?: (rows: number) => number;
}

export interface SimulatedStep {
  readonly fails?: boolean;
  readonly during?: () => void;
  /** What becomes of the copies that were begun in earlier steps. */
  readonly copies?: 'end' | 'fail' | 'go on';
}

export class Simulator {
  now = 0;
  readonly pages: FakePages;
  readonly scheduler: Scheduler;
  readonly open = new Map<ScheduledRequest, SimulatedRequest>();
  readonly ended: SimulatedRequest[] = [];
  /** Rows that were computed, padding left out. */
  rows = 0;
  steps = 0;
  readonly #stepTime: (rows: number) => number;

  constructor({ pages, stepTime = (rows) => 5 + rows * 0.3, ...options }: SimulatorOptions) {
    this.pages = pages;
    this.#stepTime = stepTime;
    this.scheduler = new Scheduler({
      clock: () => this.now,
      pages,
      stepMs: 40,
      maxQueued: 10_000,
      maxRunning: 256,
      ...options,
    });
  }

  submit(ids: readonly number[], newTokens: number, more: Partial<RequestSpec> = {}): SimulatedRequest {
    const spec: RequestSpec = {
      ids: [...ids],
      priority: 0,
      tenant: '',
      deadlineAt: undefined,
      salt: '',
      output: 'sample',
      ...more,
    };
    const request = this.scheduler.submit(spec);
    const simulated = { request, promptLength: ids.length, newTokens, submittedAt: this.now };
    this.open.set(request, simulated);
    return simulated;
  }

  abort(request: ScheduledRequest): void {
    this.#end(request, 'aborted');
  }

  /** One step, or a while without one. @returns whether anything was computed */
  step({ fails = false, during = () => {}, copies = 'end' }: SimulatedStep = {}): boolean {
    if (copies !== 'go on') this.pages.endCopies(copies === 'end');
    for (const request of this.scheduler.overdue()) this.#end(request, 'overdue');
    const plan = this.scheduler.plan();
    if (plan === undefined || plan.slices.length === 0) {
      for (const request of plan?.outOfMemory ?? []) {
        if (this.scheduler.hopeless(request) !== undefined) this.#end(request, 'out of memory');
      }
      this.now += 10;
      return false;
    }
    this.#check(plan);
    const ms = this.#stepTime(plan.rows);
    during();
    this.now += ms;
    this.steps++;
    if (fails) {
      this.scheduler.fail(plan);
      return true;
    }
    this.#write(plan);
    this.scheduler.finish(plan);
    this.scheduler.rate.observe(plan.rows, ms);
    for (const { request, reachesEnd } of plan.slices) {
      const simulated = this.open.get(request);
      if (simulated === undefined || !reachesEnd) continue;
      const made = request.ids.length - simulated.promptLength;
      if (made + 1 >= simulated.newTokens) {
        request.ids.push(nextToken(request.ids));
        this.#end(request, 'complete');
      } else this.scheduler.accept(request, nextToken(request.ids));
    }
    return true;
  }

  /** Steps until nothing is left. */
  run(mostSteps = 100_000): void {
    for (let step = 0; !this.scheduler.isIdle; step++) {
      if (step > mostSteps) throw new Error(`${this.open.size} requests are not done after ${mostSteps} steps`);
      this.step();
    }
  }

  #end(request: ScheduledRequest, outcome: SimulatedRequest['outcome']): void {
    const simulated = this.open.get(request);
    if (simulated === undefined) return;
    this.open.delete(request);
    Object.assign(simulated, { outcome, endedAt: this.now });
    this.ended.push(simulated);
    this.scheduler.end(request);
  }

  #check(plan: StepPlan): void {
    const rows = plan.slices.reduce((sum, { count }) => sum + count, 0);
    if (rows > plan.rows || plan.rows > mostRows) throw new Error(`${rows} rows in a step of ${plan.rows}`);
    if (!rowBuckets.includes(plan.rows)) throw new Error(`there is no program of ${plan.rows} rows`);
    const seen = new Set<ScheduledRequest>();
    for (const { request, from, count, reachesEnd } of plan.slices) {
      if (seen.has(request)) throw new Error('a request is in a step twice');
      seen.add(request);
      if (!request.inStep || request.state !== 'running') throw new Error('a request is in a step without being in it');
      if (count < 1 || from !== request.computed || from + count > request.ids.length) throw new Error('a wrong slice');
      if (reachesEnd !== (from + count === request.ids.length)) throw new Error('a wrong end');
      if (request.pages.length * this.pages.positions < from + count) throw new Error('a slice without pages');
      const expected = hashes(request.ids);
      for (let at = 0; at < from; at++) {
        const page = request.pages[Math.floor(at / this.pages.positions)] as FakePage;
        if (page.cells[at % this.pages.positions] !== expected[at]) throw new Error(`position ${at} has other keys`);
      }
    }
  }

  #write(plan: StepPlan): void {
    for (const { request, from, count } of plan.slices) {
      const expected = hashes(request.ids);
      for (let at = from; at < from + count; at++) {
        const page = request.pages[Math.floor(at / this.pages.positions)] as FakePage;
        if (page.isShared) throw new Error('a shared page is written');
        page.cells[at % this.pages.positions] = expected[at] as number;
      }
    }
  }
}
