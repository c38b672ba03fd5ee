// What is recorded of one request, from its call to its end. Made by ModelRecorder; called by what drives the request in the
// steps of its model. A token costs a look at the clock and two additions.
import { AbortError } from '../base/errors.js';
import { channels, type ObservedRequest } from './channels.js';
import type { RequestOutcome, ServingCounts } from './serving-counts.js';

/** What a request reports at its end. */
export interface RequestEnd {
  readonly generatedTokens?: number;
  readonly stopReason?: string | undefined;
  readonly error?: unknown;
}

export class RequestRecord {
  readonly #counts: ServingCounts;
  readonly #request: ObservedRequest;
  /** By performance.now(), as all times here. */
  readonly askedAt: number;
  #begunAt: number | undefined;
  #firstTokenAt: number | undefined;
  #lastTokenAt = 0;
  #cachedTokens = 0;

  constructor(counts: ServingCounts, request: ObservedRequest, askedAt: number) {
    this.#counts = counts;
    this.#request = request;
    this.askedAt = askedAt;
  }

  /** When it took part in a step first. */
  get begunAt(): number | undefined {
    return this.#begunAt;
  }

  get firstTokenAt(): number | undefined {
    return this.#firstTokenAt;
  }

  /** It is in the queue. {@link end} is called once after this. */
  queued(): void {
    if (channels.begin.hasSubscribers) channels.begin.publish({ request: this.#request });
  }

  /** It takes part in a step. @param cachedTokens those that it did not compute, at the first call */
  begun(cachedTokens: number): void {
    if (this.#begunAt !== undefined) return;
    const now = performance.now();
    const { kind, promptTokens } = this.#request;
    const counts = this.#counts;
    this.#begunAt = now;
    this.#cachedTokens = cachedTokens;
    counts.queueWait[kind].observe((now - this.askedAt) / 1000);
    if (kind === 'embed') counts.tokens.embedded += promptTokens;
    else counts.tokens.prompt += promptTokens;
    if (cachedTokens > 0) counts.prefixHits++;
  }

  /** Its next token was chosen. */
  token(): void {
    const now = performance.now();
    const counts = this.#counts;
    if (this.#firstTokenAt === undefined) this.#firstToken(now);
    else counts.timeBetweenTokens.observe((now - this.#lastTokenAt) / 1000);
    this.#lastTokenAt = now;
    counts.tokens.generated++;
  }

  /** Its memory went to others; it is computed again later. */
  preempted(): void {
    if (channels.preempt.hasSubscribers) channels.preempt.publish({ request: this.#request });
  }

  end({ generatedTokens = 0, stopReason, error }: RequestEnd): void {
    const durationMs = performance.now() - this.askedAt;
    const outcome = outcomeOf(error);
    const { kind } = this.#request;
    this.#counts.requests[kind][outcome]++;
    this.#counts.duration[kind].observe(durationMs / 1000);
    const channel = outcome === 'aborted' ? channels.abort : channels.end;
    if (!channel.hasSubscribers) return;
    const cachedTokens = this.#cachedTokens;
    channel.publish({ request: this.#request, durationMs, generatedTokens, cachedTokens, stopReason, error });
  }

  #firstToken(now: number): void {
    this.#firstTokenAt = now;
    const timeToFirstTokenMs = now - this.askedAt;
    this.#counts.timeToFirstToken.observe(timeToFirstTokenMs / 1000);
    if (!channels.firstToken.hasSubscribers) return;
    const queueWaitMs = (this.#begunAt ?? now) - this.askedAt;
    channels.firstToken.publish({ request: this.#request, queueWaitMs, timeToFirstTokenMs });
  }
}

function outcomeOf(error: unknown): RequestOutcome {
  if (error === undefined) return 'completed';
  return error instanceof AbortError ? 'aborted' : 'failed';
}
