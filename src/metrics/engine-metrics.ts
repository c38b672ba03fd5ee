// The metrics of one engine: the counts of its models, those included that were disposed, and the delay of the event loop. Owned
// by the engine.
import { LoopDelay } from './loop-delay.js';
import { type EngineState, metricsText, type ServedSoFar } from './metrics-text.js';
import { ModelRecorder } from './model-recorder.js';
import { ServingCounts } from './serving-counts.js';

/** The state of an engine, with what each of its models has done. */
export interface EngineNow extends Omit<EngineState, 'models'> {
  readonly models: readonly { readonly label: string; readonly served: ServedSoFar }[];
}

/** What all models of one label have counted, and what those of them had done that were disposed. */
interface Series {
  readonly counts: ServingCounts;
  retired: ServedSoFar;
}

/** An engine that loads models of ever new names has one series for all that come after so many. */
const mostLabels = 64;
const labelOfOthers = 'other';
const mostLabelCharacters = 128;
const nothing: ServedSoFar = { prefixTokens: 0, preemptions: 0, recomputedTokens: 0, overheadMs: 0 };

export class EngineMetrics {
  /** By the label of models. */
  readonly #series = new Map<string, Series>();
  readonly #loopDelay = new LoopDelay();

  /** What the server of a model records with. @param model its name */
  recorder(model: string): ModelRecorder {
    const wanted = model.slice(0, mostLabelCharacters);
    const label = this.#series.has(wanted) || this.#series.size < mostLabels ? wanted : labelOfOthers;
    const series = this.#series.get(label) ?? { counts: new ServingCounts(), retired: nothing };
    this.#series.set(label, series);
    return new ModelRecorder(series.counts, model, label);
  }

  /** A model is disposed: what it has done still counts. */
  retire(label: string, served: ServedSoFar): void {
    const series = this.#series.get(label);
    if (series !== undefined) series.retired = add(series.retired, served);
  }

  /** The text for Prometheus. From the first call on, the delay of the event loop is measured. */
  text({ models, ...state }: EngineNow): string {
    this.#loopDelay.start();
    const series = [...this.#series].map(([model, { counts, retired }]) => {
      const served = models.filter(({ label }) => label === model).map((one) => one.served);
      return { labels: { model }, counts, served: served.reduce(add, retired) };
    });
    return metricsText(series, { ...state, models: models.length }, this.#loopDelay.values);
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
