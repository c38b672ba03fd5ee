// Drives a request to generate in the steps of its model: says by what tokens are chosen, streams the pieces, and tells the stream
// how it ended. Made by ServedDecoder.
import type { GenerationStream } from '../../generation/generation.js';
import type { GenerationRequest } from '../../generation/request.js';
import type { RequestRecord } from '../../metrics/request-record.js';
import type { SampledLogprobs } from '../../ops/sampling/sample-rows.js';
import type { StepSlice } from '../scheduling/step-planner.js';
import type { RowSampling, StepClient } from './step-client.js';

export interface GenerationClientParts {
  readonly request: GenerationRequest;
  readonly stream: GenerationStream;
  readonly record: RequestRecord;
  readonly loadMs: number;
  /** Called once at the end, before the stream hears of it. */
  readonly onEnd: () => void;
}

export class GenerationClient implements StepClient {
  readonly #parts: GenerationClientParts;
  /** Whether the text of the token that was accepted last has yet to be delivered. */
  #hasText = false;

  constructor(parts: GenerationClientParts) {
    this.#parts = parts;
  }

  begun({ request }: StepSlice): void {
    this.#parts.record.begun(request.cachedTokens);
  }

  preempted(): void {
    this.#parts.record.preempted();
  }

  sampled(): RowSampling {
    const { sampling, rowOptions } = this.#parts.request;
    return { state: sampling, options: rowOptions };
  }

  choose(id: number, logprobs: SampledLogprobs | undefined): number | undefined {
    const { request, record } = this.#parts;
    // With `maxTokens: 0` it ended before it began.
    if (request.ending !== undefined) return undefined;
    record.token();
    this.deliver();
    request.choose(id, logprobs);
    request.accept();
    this.#hasText = true;
    if (request.endsByText) this.deliver();
    return request.ending === undefined ? request.chosen : undefined;
  }

  deliver(): void {
    if (!this.#hasText) return;
    this.#hasText = false;
    const { request, stream } = this.#parts;
    const piece = request.piece();
    if (piece !== undefined) stream.push(piece);
  }

  prepare(): Promise<void> | undefined {
    return this.#parts.request.prepare();
  }

  end(error?: unknown): void {
    const { request, stream, record, loadMs, onEnd } = this.#parts;
    onEnd();
    this.deliver();
    const stopReason = error === undefined ? request.ending : undefined;
    record.end({ generatedTokens: request.tokens.length, stopReason, error });
    if (error !== undefined) {
      stream.fail(error);
      return;
    }
    const now = performance.now();
    const { askedAt, begunAt = askedAt, firstTokenAt: firstAt = now } = record;
    stream.finish(
      request.result({
        loadMs,
        prefillMs: firstAt - begunAt,
        decodeMs: now - firstAt,
        timeToFirstTokenMs: firstAt - askedAt,
      }),
    );
  }
}
