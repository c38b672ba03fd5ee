// What serves a loaded model, whether decoder or encoder: one of the two files beside this one. Model calls it with ids.
import type { DecoderParts } from '../forward/decoder-programs.js';
import type { Sequence } from '../forward/sequence.js';
import type { ModelRecorder } from '../metrics/model-recorder.js';
import type { ProgramProfile } from '../program/profile.js';
import type { ProfileOptions } from '../program/program.js';
import type { EmbeddingJob, GenerationJob } from './jobs.js';
import type { DrainKind, ServingStats } from './serving-options.js';
import type { Turns } from './steps/turns.js';

/** What the server of a model is given of its engine. */
export interface Shared {
  readonly turns: Turns;
  readonly recorder: ModelRecorder;
}

/** What only decoders do. */
export interface DecoderService {
  readonly parts: DecoderParts;
  /** Lends an empty sequence for the length of some work, which is computed beside the steps. */
  withSequence<T>(use: (sequence: Sequence) => Promise<T>): Promise<T>;
  /**
   * Submits a request; all else is told to its stream. A patient one waits for room in the queue first.
   * @throws TesseraeError ERR_QUEUE_FULL, ERR_BUDGET; AbortError
   */
  generate(job: GenerationJob): Promise<void>;
  /** Gives up what was cached under a salt of one call. */
  forget(salt: string): void;
}

export interface ServedModel {
  /** How many items of a batch are worked on at the same time. */
  readonly lanes: number;
  /** @throws TesseraeError ERR_UNSUPPORTED where the model is an encoder */
  decoder(op: string): DecoderService;
  /** The vector of a text. A patient one waits for room in the queue first. */
  embed(job: EmbeddingJob): Promise<Float32Array>;
  /** What computing the vectors of some texts, by their ids, spends its time on. @throws TesseraeError ERR_UNSUPPORTED by a decoder */
  profileTexts(texts: readonly (readonly number[])[], options: ProfileOptions): Promise<ProgramProfile>;
  stats(): ServingStats;
  /** Takes no new requests, and resolves when those are done that are to be finished; the others end with the error. */
  drain(kind: DrainKind, error: Error): Promise<void>;
  /** Ends all requests with an error, and refuses new ones with it. */
  end(error: Error): void;
  /** Gives up what is only cached. */
  clearCache(): void;
  /** Records the programs of all steps, so that no request waits for it. */
  warmup(): Promise<void>;
  /** Frees programs, weights and what is in use. What is running fails with ERR_DISPOSED. */
  dispose(): void;
}
