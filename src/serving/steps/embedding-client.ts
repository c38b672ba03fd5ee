// Drives the embedding of one text in the steps of a decoder: says which of its tokens' states are to be pooled, and keeps
// their sums between two steps. Made by ServedDecoder.
import type { PooledSlice } from '../../forward/text-pooling.js';
import type { RequestRecord } from '../../metrics/request-record.js';
import type { Pooling } from '../../ops/rowwise/pool-rows.js';
import type { StepSlice } from '../scheduling/step-planner.js';
import type { StepClient } from './step-client.js';

export interface EmbeddingClientParts {
  readonly dim: number;
  readonly tokens: number;
  readonly pooling: Pooling;
  readonly record: RequestRecord;
  /** Called once, with the vector or with why there is none. */
  readonly onEnd: (error: unknown, vector: Float32Array) => void;
}

export class EmbeddingClient implements StepClient {
  readonly #parts: EmbeddingClientParts;
  readonly #sums: Float64Array;
  /** Tokens that were pooled; after a preemption those before are computed again, and not pooled again. */
  #length = 0;
  #vector: Float32Array = new Float32Array(0);

  constructor(parts: EmbeddingClientParts) {
    this.#parts = parts;
    this.#sums = new Float64Array(parts.dim);
  }

  begun(): void {
    this.#parts.record.begun(0);
  }

  preempted(): void {
    this.#parts.record.preempted();
  }

  pooled({ from, count }: StepSlice): Omit<PooledSlice, 'slice'> | undefined {
    const skipped = Math.min(count, Math.max(0, this.#length - from));
    if (skipped === count) return undefined;
    this.#length = from + count;
    const { tokens: total, pooling } = this.#parts;
    return { skipped, rows: count - skipped, from: from + skipped, total, sums: this.#sums, ...pooling };
  }

  takeVector(vector: Float32Array): void {
    this.#vector = vector;
  }

  end(error?: unknown): void {
    this.#parts.record.end({ error });
    this.#parts.onEnd(error, this.#vector);
  }
}
