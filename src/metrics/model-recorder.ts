// Records what one model's server does. One for each loaded model; models of one label have the same counts.
import type { ObservedRequest } from './channels.js';
import { RequestRecord } from './request-record.js';
import type { ServingCounts } from './serving-counts.js';

/** Of all engines of the process. */
let requests = 0;

export class ModelRecorder {
  readonly #counts: ServingCounts;
  readonly #model: string;
  /** What its metrics have as `model`. */
  readonly label: string;

  constructor(counts: ServingCounts, model: string, label: string) {
    this.#counts = counts;
    this.#model = model;
    this.label = label;
  }

  /** @param askedAt when it was asked for, by performance.now() */
  request(request: Omit<ObservedRequest, 'id' | 'model'>, askedAt: number): RequestRecord {
    requests++;
    const { kind, promptTokens, priority, tenant } = request;
    const observed = { id: requests, kind, model: this.#model, promptTokens, priority, tenant };
    return new RequestRecord(this.#counts, observed, askedAt);
  }

  /** A step was computed. */
  step(rows: number, computeMs: number): void {
    this.#counts.stepRows.observe(rows);
    this.#counts.stepTime.observe(computeMs / 1000);
  }

  /** A call has failed, wherever. */
  failed(error: unknown): void {
    this.#counts.failed(error);
  }
}
