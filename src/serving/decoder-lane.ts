// The steps of a decoder for one way to keep keys and values, which is a part of its programs: scheduler, programs and loop.
// ServedDecoder has one for the model's own type, and one for each other type that sessions ask for.
import type { DecoderParts } from '../forward/decoder-programs.js';
import { StepPrograms } from '../forward/step-programs.js';
import type { PageLayout } from '../ops/paged/key-value-pages.js';
import type { ScheduledRequest } from './scheduling/scheduled-request.js';
import { Scheduler } from './scheduling/scheduler.js';
import type { Shared } from './served-model.js';
import type { ServingOptions } from './serving-options.js';
import { PooledPages } from './steps/pooled-pages.js';
import { StepLoop } from './steps/step-loop.js';
import { ProgramRunner } from './steps/step-runner.js';

/** Requests that are computed at the same time, at most: the slots of the page table. */
export const maxRunning = 256;

export class DecoderLane {
  readonly scheduler: Scheduler;
  readonly programs: StepPrograms;
  readonly loop: StepLoop;
  readonly #unregister: readonly (() => void)[];

  constructor(parts: DecoderParts, layout: PageLayout, { stepMs, maxQueued }: ServingOptions, shared: Shared) {
    const { turns, recorder } = shared;
    const pages = new PooledPages(parts, layout, () => this.loop.wake());
    const clock = () => performance.now();
    const onPreempt = (request: ScheduledRequest) => this.loop.preempted(request);
    const scheduler = new Scheduler({ clock, pages, stepMs, maxQueued, maxRunning, onPreempt });
    const programs = new StepPrograms(parts, layout, maxRunning);
    this.scheduler = scheduler;
    this.programs = programs;
    this.loop = new StepLoop({ scheduler, pages, runner: new ProgramRunner(programs), turns, recorder, clock });
    const { pool } = parts.compute;
    this.#unregister = [
      // While requests are served, what the next step needs is not idle.
      pool.onShortage('programs', () => scheduler.running === 0 && !this.loop.isStepping && programs.freeMemory()),
      pool.onShortage('caches', () => scheduler.evict()),
      pool.onShortage('caches', () => scheduler.preemptParked()),
      pool.onShortage('requests', () => scheduler.preempt()),
    ];
  }

  /** Ends all requests with an error, and frees the memory of all. */
  dispose(error: Error): void {
    this.loop.close(error);
    for (const unregister of this.#unregister) unregister();
    this.scheduler.clearCache();
    this.programs.dispose();
  }
}
