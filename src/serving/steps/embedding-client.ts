// Drives the embedding of one text in the steps of a decoder: pools the hidden states of its tokens as they are computed.
// Made by ServedDecoder.
import type { Pooling } from '../../ops/rowwise/pool-rows.js';
import { PooledStates } from '../pooling.js';
import type { StepSlice } from '../scheduling/step-planner.js';
import type { StepClient } from './step-loop.js';

export interface EmbeddingClientParts {
  readonly dim: number;
  readonly tokens: number;
  readonly pooling: Pooling;
  /** Called once, with the vector or with why there is none. */
  readonly onEnd: (error: unknown, vector: Float32Array) => void;
}

export class EmbeddingClient implements StepClient {
  readonly #parts: EmbeddingClientParts;
  #pooled: PooledStates;
  /** Tokens that were pooled; after a preemption those before are computed again, and not pooled again. */
  #length = 0;

  constructor(parts: EmbeddingClientParts) {
    this.#parts = parts;
    this.#pooled = new PooledStates(parts.dim, parts.tokens, parts.pooling);
  }

  visitHidden(rows: Float32Array, { from, count, reachesEnd }: StepSlice): boolean {
    const known = Math.min(count, Math.max(0, this.#length - from));
    this.#pooled.add(rows.subarray(known * this.#parts.dim));
    this.#length = Math.max(this.#length, from + count);
    return reachesEnd;
  }

  end(error?: unknown): void {
    this.#parts.onEnd(error, error === undefined ? this.#pooled.vector() : new Float32Array(0));
  }
}
