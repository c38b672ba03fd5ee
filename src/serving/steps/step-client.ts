// What the step loop asks of the owner of a request: what to compute for it, and what to do with what was computed. Types alone;
// implemented by generation-client.ts and embedding-client.ts.
import type { PooledSlice } from '../../forward/text-pooling.js';
import type { RowOptions, SampledLogprobs, SampleState } from '../../ops/sampling/sample-rows.js';
import type { StepSlice } from '../scheduling/step-planner.js';

/** What the owner of a request does in its steps. Whatever it throws fails its own request. */
export interface StepClient {
  /** By what the token after the request's last one is to be chosen. */
  sampled?(): RowSampling;
  /** Takes the token that was chosen: the one to compute next, or undefined when the request is complete. */
  choose?(id: number, logprobs: SampledLogprobs | undefined): number | undefined;
  /** Makes text of the chosen tokens and hands it on; called when the next step is under way, or there is none. */
  deliver?(): void;
  /** Something that the next choice needs, computed between steps; the request takes no part in steps meanwhile. */
  prepare?(): Promise<void> | undefined;
  /** Which hidden states of the slice's tokens are to be pooled, and how; undefined: none of them. */
  pooled?(slice: StepSlice): Omit<PooledSlice, 'slice'> | undefined;
  /** They have been pooled. @param vector given at the end of the text: the request is complete */
  takeVector?(vector: Float32Array): void;
  /** The request takes part in the step that begins. */
  begun?(slice: StepSlice): void;
  /** Its memory was given to others: it is computed again later. */
  preempted?(): void;
  /** Called once, at the end: without an error when the request was complete. */
  end(error?: unknown): void;
}

/** By what a token is chosen. */
export interface RowSampling {
  readonly state: SampleState;
  readonly options: RowOptions;
}
