// The metrics of one engine: its counts, the delay of the event loop, and what models had done that were disposed. Owned by the
// engine.
import { LoopDelay } from './loop-delay.js';
import { type EngineState, metricsText, type ServedSoFar } from './metrics-text.js';
import { ModelRecorder } from './model-recorder.js';
import { ServingCounts } from './serving-counts.js';

/** The state of an engine, but for what its models have done: that of each. */
export interface EngineNow extends Omit<EngineState, 'served' | 'models'> {
  readonly models: readonly ServedSoFar[];
}

const nothing: ServedSoFar = { prefixTokens: 0, preemptions: 0, recomputedTokens: 0, overheadMs: 0 };

export class EngineMetrics {
  readonly #counts = new ServingCounts();
  readonly #loopDelay = new LoopDelay();
  #retired = nothing;

  /** What the server of a model records with. @param model its name */
  recorder(model: string): ModelRecorder {
    return new ModelRecorder(this.#counts, model);
  }

  /** A model is disposed: what it has done still counts. */
  retire(served: ServedSoFar): void {
    this.#retired = add(this.#retired, served);
  }

  /** The text for Prometheus. From the first call on, the delay of the event loop is measured. */
  text({ models, ...state }: EngineNow): string {
    this.#loopDelay.start();
    const served = models.reduce(add, this.#retired);
    return metricsText(this.#counts, { ...state, models: models.length, served }, this.#loopDelay.values);
  }

  close(): void {
    this.#loopDelay.stop();
  }
}

function add(a: ServedSoFar, b: ServedSoFar): ServedSoFar {
  return {
    prefixTokens: a.prefixTokens + b.prefixTokens,
    preemptions: a.preemptions + b.preemptions,
    recomputedTokens: a.recomputedTokens + b.recomputedTokens,
    overheadMs: a.overheadMs + b.overheadMs,
  };
}
