// The step loop of one model: as long as there is work it takes a plan from the scheduler, has it computed, and hands each
// request what it waits for. The one place where the scheduler meets time and programs. Used by ServedDecoder.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { TesseraeError } from '../../base/errors.js';
import { TimeSlice } from '../../base/time-slice.js';
import type { SampledToken } from '../../forward/step-programs.js';
import type { PooledSlice } from '../../forward/text-pooling.js';
import type { ModelRecorder } from '../../metrics/model-recorder.js';
import type { PageSource } from '../scheduling/page-source.js';
import type { RequestSpec, ScheduledRequest } from '../scheduling/scheduled-request.js';
import type { Scheduler } from '../scheduling/scheduler.js';
import type { StepPlan, StepSlice } from '../scheduling/step-planner.js';
import type { DrainKind, ServingStats } from '../serving-options.js';
import { retryMs, type Shortage, Starvation } from './starvation.js';
import type { RowSampling, StepClient } from './step-client.js';
import type { Account, Turns } from './turns.js';

export type SetSampling = (slice: StepSlice) => RowSampling | undefined;

/** @param token throws where the logits allow none */
export type VisitSampled = (slice: StepSlice, token: () => SampledToken) => void;

/** Computes plans: writes keys and values, and gives what the slices ask for. */
export interface StepRunner {
  /**
   * @param set gives by what a token is chosen after a slice that reaches the end of its request; none where it gives nothing
   * @param signal fires when nobody waits for anything of the step any more
   * @param meanwhile called once, as soon as this thread has nothing to do for the step but wait
   * @throws TesseraeError, AbortError: nothing of the step counts then
   */
  run(plan: StepPlan, set: SetSampling, signal: AbortSignal, meanwhile: () => void): Promise<StepOutput>;
}

/** Valid until the next run. */
export interface StepOutput {
  /** Chooses the tokens, unless that is done, and visits each; to be read at once. */
  sample(visit: VisitSampled): Promise<void>;
  /** Pools hidden states. @param visit gets the vector of a text that ends with its slice */
  pool(texts: readonly PooledSlice[], visit: (slice: StepSlice, vector?: Float32Array) => void): Promise<void>;
  /** How long its programs have run so far. */
  computeMs(): number;
}

export interface StepLoopParts {
  readonly scheduler: Scheduler;
  /** Those of the scheduler. */
  readonly pages: PageSource;
  readonly runner: StepRunner;
  readonly turns: Turns;
  readonly recorder: ModelRecorder;
  readonly clock: () => number;
}

interface StepUnderWay {
  readonly plan: StepPlan;
  /** Requests whose token is chosen in it, or whose states are pooled. */
  readonly choosing: Set<ScheduledRequest>;
  /** Who hears of an end when the step is over. */
  readonly ended: (() => void)[];
}

export class StepLoop {
  readonly #scheduler: Scheduler;
  readonly #runner: StepRunner;
  readonly #recorder: ModelRecorder;
  readonly #turns: Turns;
  readonly #account: Account;
  readonly #starvation: Starvation;
  readonly #clients = new Map<ScheduledRequest, StepClient>();
  readonly #timeSlice = new TimeSlice();
  /** Whether the event loop has run since the step began. */
  #loopRan = false;
  readonly #onLoopRan = () => {
    this.#loopRan = true;
  };
  #running = false;
  #wake: (() => void) | undefined;
  #underWay: StepUnderWay | undefined;
  /** Stops a step. One for many steps, since each costs a listener. */
  #stop = new AbortController();
  /** Requests that have tokens whose text was not delivered yet. */
  readonly #undelivered = new Set<ScheduledRequest>();
  readonly #watchers: (() => void)[] = [];
  #failure: unknown;
  /** Why no requests are taken any more, though those that run are finished. */
  #refusal: Error | undefined;
  #steps = 0;
  #rowsPerStep = 0;
  #computeMs = 0;
  #overheadMs = 0;

  constructor({ scheduler, pages, runner, turns, recorder, clock }: StepLoopParts) {
    const account = turns.open();
    this.#scheduler = scheduler;
    this.#runner = runner;
    this.#recorder = recorder;
    this.#turns = turns;
    this.#account = account;
    this.#starvation = new Starvation({ scheduler, pages, turns, account, clock });
  }

  /** Whether a step is under way. */
  get isStepping(): boolean {
    return this.#underWay !== undefined;
  }

  /**
   * How many steps there were, and how many rows they had lately, on average. How long their programs have run, and the rest of
   * their time: planning, filling in, delivering.
   */
  get stats(): Pick<ServingStats, 'steps' | 'rowsPerStep' | 'computeMs' | 'overheadMs'> {
    return {
      steps: this.#steps,
      rowsPerStep: this.#rowsPerStep,
      computeMs: this.#computeMs,
      overheadMs: this.#overheadMs,
    };
  }

  /** @throws TesseraeError ERR_QUEUE_FULL, ERR_BUDGET; what ended the loop */
  submit(spec: RequestSpec, client: StepClient): ScheduledRequest {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#refusal !== undefined) throw this.#refusal;
    const request = this.#scheduler.submit(spec);
    this.#clients.set(request, client);
    this.wake();
    return request;
  }

  /** Ends a request early; its client's `end` gets the error. */
  cancel(request: ScheduledRequest, error: unknown): void {
    this.#end(request, error);
    this.wake();
  }

  /** The request's consumer does not keep up: it takes part in no step until {@link unpark}. */
  park(request: ScheduledRequest): void {
    this.#scheduler.park(request);
  }

  unpark(request: ScheduledRequest): void {
    this.#scheduler.unpark(request);
    this.wake();
  }

  /** The memory of the request was given to others. */
  preempted(request: ScheduledRequest): void {
    this.#clients.get(request)?.preempted?.();
  }

  /** Ends all requests, and refuses new ones. */
  close(error: unknown): void {
    this.#failure = error;
    for (const request of [...this.#clients.keys()]) this.#end(request, error);
    this.#turns.close(this.#account);
    this.wake();
  }

  /** Resolves when all requests are done; with `running`, those that wait end with the error, as those that come. */
  async drain(kind: DrainKind, error: Error): Promise<void> {
    if (kind === 'running') {
      this.#refusal = error;
      // One that was preempted has begun.
      for (const request of [...this.#clients.keys()]) if (request.admittedAt === undefined) this.#end(request, error);
    }
    while (this.#clients.size > 0) await this.change();
  }

  /** Resolves when the next step is over, or a request has ended. */
  change(): Promise<void> {
    return new Promise((resolve) => this.#watchers.push(resolve));
  }

  /** Something has changed: there may be work. */
  wake(): void {
    this.#wake?.();
    if (this.#running) return;
    this.#running = true;
    // Requests that are submitted side by side, as by Promise.all, are in the same first step.
    queueMicrotask(() => void this.#loop());
  }

  async #loop(): Promise<void> {
    try {
      while (!this.#scheduler.isIdle) {
        await this.#turn();
        for (const watcher of this.#watchers.splice(0)) watcher();
      }
    } catch (error) {
      // Not a failure of a step, which ends its requests alone.
      this.close(error);
    } finally {
      this.#deliverTexts();
      this.#running = false;
      this.#starvation.idle();
      for (const watcher of this.#watchers.splice(0)) watcher();
    }
    if (!this.#scheduler.isIdle && this.#failure === undefined) this.wake();
  }

  async #turn(): Promise<void> {
    this.#endOverdue();
    const turn = this.#turns.acquire(this.#account);
    if (turn !== undefined) {
      this.#deliverTexts();
      await turn;
    }
    const started = performance.now();
    const computed = this.#computeMs;
    let shortage: Shortage | undefined;
    try {
      const plan = this.#scheduler.plan();
      const isEmpty = plan === undefined || plan.slices.length === 0;
      if (isEmpty) this.#deliverTexts();
      shortage = isEmpty ? { lacking: plan?.outOfMemory ?? [] } : await this.#step(plan);
    } finally {
      const ms = performance.now() - started;
      this.#turns.release(this.#account, ms);
      this.#overheadMs += ms - (this.#computeMs - computed);
    }
    if (shortage === undefined) {
      this.#starvation.end();
      if (this.#timeSlice.isOver()) {
        this.#deliverTexts();
        // Does not wait behind other work that is sliced.
        await nextTurn();
        this.#timeSlice.restart();
      }
      return;
    }
    const victims = this.#starvation.look(shortage);
    for (const [request, error] of victims) this.#end(request, error);
    if (victims.length === 0) await this.#rest();
  }

  async #step(plan: StepPlan): Promise<Shortage | undefined> {
    const step: StepUnderWay = { plan, choosing: new Set(), ended: [] };
    if (this.#stop.signal.aborted) this.#stop = new AbortController();
    this.#underWay = step;
    for (const slice of plan.slices) this.#clients.get(slice.request)?.begun?.(slice);
    try {
      const output = await this.#compute(step);
      if (!('pool' in output)) return output.shortage;
      await this.#deliver(step, output);
      const computeMs = output.computeMs();
      this.#scheduler.rate.observe(plan.rows, computeMs);
      this.#computeMs += computeMs;
      this.#rowsPerStep += this.#steps === 0 ? plan.rows : 0.1 * (plan.rows - this.#rowsPerStep);
      this.#steps++;
      this.#recorder.step(plan.rows, computeMs);
      return undefined;
    } finally {
      this.#underWay = undefined;
      for (const tell of step.ended) tell();
    }
  }

  /** A failure is that of all requests of the plan; but where memory for it is short, a smaller one is tried next. */
  async #compute({ plan, choosing }: StepUnderWay): Promise<StepOutput | { shortage: Shortage | undefined }> {
    const set: SetSampling = ({ request }) => {
      let sampling: RowSampling | undefined;
      this.#guard(request, () => {
        sampling = this.#clients.get(request)?.sampled?.();
      });
      if (sampling !== undefined) choosing.add(request);
      return sampling;
    };
    try {
      const output = await this.#runner.run(plan, set, this.#stop.signal, () => {
        this.#deliverTexts();
        this.#loopRan = false;
        setImmediate(this.#onLoopRan);
      });
      // Time spent waiting for the workers does not count. A program that this thread computes ends without a wait.
      if (this.#loopRan) this.#timeSlice.restart();
      this.#scheduler.finish(plan);
      return output;
    } catch (error) {
      if (error instanceof TesseraeError && error.code === 'ERR_BUDGET') {
        if (this.#scheduler.retreat(plan)) return { shortage: undefined };
        return { shortage: { lacking: plan.slices.map(({ request }) => request), error } };
      }
      this.#scheduler.fail(plan);
      for (const { request } of plan.slices) this.#end(request, error);
      return { shortage: undefined };
    }
  }

  async #deliver({ plan: { slices }, choosing }: StepUnderWay, output: StepOutput): Promise<void> {
    const texts = slices.flatMap((slice, index) => {
      const rows = this.#clients.get(slice.request)?.pooled?.(slice);
      if (rows !== undefined) choosing.add(slice.request);
      return rows === undefined ? [] : [{ slice: index, ...rows }];
    });
    try {
      await output.pool(texts, ({ request }, vector) => {
        choosing.delete(request);
        if (vector === undefined) return;
        this.#clients.get(request)?.takeVector?.(vector);
        this.#end(request);
      });
      await output.sample(({ request }, token) => {
        choosing.delete(request);
        this.#choose(request, token);
      });
    } catch (error) {
      for (const request of choosing) this.#end(request, error);
    }
  }

  #choose(request: ScheduledRequest, token: () => SampledToken): void {
    const client = this.#clients.get(request);
    if (client === undefined) return;
    this.#guard(request, () => {
      const { id, logprobs } = token();
      const next = client.choose?.(id, logprobs);
      if (next === undefined) this.#end(request);
      else {
        this.#scheduler.accept(request, next);
        this.#undelivered.add(request);
        this.#prepare(request, client);
      }
    });
  }

  /** What nobody's next row depends on is done while the workers compute. */
  #deliverTexts(): void {
    for (const request of this.#undelivered) this.#guard(request, () => this.#clients.get(request)?.deliver?.());
    this.#undelivered.clear();
  }

  #prepare(request: ScheduledRequest, client: StepClient): void {
    const preparing = client.prepare?.();
    if (preparing === undefined) return;
    this.#scheduler.hold(request);
    const goOn = () => {
      this.#scheduler.resume(request);
      this.wake();
    };
    preparing.then(goOn, (error: unknown) => this.cancel(request, error));
  }

  #guard(request: ScheduledRequest, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#end(request, error);
    }
  }

  #end(request: ScheduledRequest, error?: unknown): void {
    const client = this.#clients.get(request);
    if (client === undefined) return;
    this.#clients.delete(request);
    this.#scheduler.end(request);
    const tell = () => {
      client.end(error);
      for (const watcher of this.#watchers.splice(0)) watcher();
    };
    const step = request.inStep ? this.#underWay : undefined;
    // Nobody waits for anything of the step any more. The last one hears of its end when the step has stopped: its memory is
    // free then, and the team.
    const isUnwanted = step?.plan.slices.every((slice) => slice.request.state === 'ended') === true;
    if (isUnwanted) this.#stop.abort();
    if (isUnwanted || (step !== undefined && request.isLent)) step.ended.push(tell);
    else tell();
  }

  #endOverdue(): void {
    for (const request of this.#scheduler.overdue()) {
      this.#end(request, new TesseraeError('ERR_DEADLINE', 'the request was not complete within its deadlineMs'));
    }
  }

  /** Until something changes: a request comes, goes on or ends. Looks again after a while where that may help. */
  async #rest(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      if (this.#scheduler.needsTime) timer = setTimeout(resolve, retryMs);
      this.#wake = resolve;
    });
    clearTimeout(timer);
    this.#wake = undefined;
  }
}
