// What is counted of the requests and steps of the models of one label. Written by the recorders, read by metrics-text.ts. All
// times are in seconds.
import { AbortError, TesseraeError } from '../base/errors.js';
import { Histogram } from './histogram.js';

/** What a request is for: a prompt to continue, a conversation to answer, a text to embed. */
export const requestKinds = ['generate', 'chat', 'embed'] as const;
export type RequestKind = (typeof requestKinds)[number];

/** How a request ended: with its result, by its caller's will, or with an error. */
export const requestOutcomes = ['completed', 'aborted', 'failed'] as const;
export type RequestOutcome = (typeof requestOutcomes)[number];

/** From 1 ms to 80 s: waiting, and the first token. */
const waits = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80];
/** From half a millisecond; close to each other around the 40 ms that a step takes by default. */
const gaps = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5];
const durations = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640];
/** A decoder's step has 256 rows at most, an encoder's 512 and more for one long text. */
const rows = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

type ByKind<T> = Readonly<Record<RequestKind, T>>;

export class ServingCounts {
  readonly timeToFirstToken = new Histogram(waits);
  readonly timeBetweenTokens = new Histogram(gaps);
  readonly queueWait: ByKind<Histogram> = byKind(() => new Histogram(waits));
  readonly duration: ByKind<Histogram> = byKind(() => new Histogram(durations));
  readonly stepRows = new Histogram(rows);
  readonly stepTime = new Histogram(gaps);
  readonly requests: ByKind<Record<RequestOutcome, number>> = byKind(() => ({ completed: 0, aborted: 0, failed: 0 }));
  /** By code; `other` for what is not the library's. */
  readonly errors = new Map<string, number>();
  readonly tokens = { prompt: 0, generated: 0, embedded: 0 };
  prefixHits = 0;

  /** Counts the error of a call of a model. Who aborts has no error. */
  failed(error: unknown): void {
    if (error instanceof AbortError) return;
    const code = error instanceof TesseraeError ? error.code : 'other';
    this.errors.set(code, (this.errors.get(code) ?? 0) + 1);
  }
}

function byKind<T>(make: () => T): ByKind<T> {
  return { generate: make(), chat: make(), embed: make() };
}
