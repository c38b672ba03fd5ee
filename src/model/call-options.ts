// The options of a model's calls, as far as they are not those of one generation or one text. Types alone.
import type { GenerateOptions } from '../generation/generate-options.js';
import type { TurnOptions } from '../generation/turn-options.js';
import type { BatchProgress } from '../serving/batch.js';
import type { EmbedOptions } from './embed-options.js';
import type { SessionOptions } from './session.js';

export interface BatchOptions extends GenerateOptions {
  readonly onProgress?: ((progress: BatchProgress) => unknown) | undefined;
}

/** With `settle`, each result is a PromiseSettledResult: an item that fails harms no other. */
export interface SettleOptions {
  readonly settle: true;
}

export interface EachOptions extends GenerateOptions {
  /** Results in the order of the source, the default; otherwise as they are done. */
  readonly ordered?: boolean | undefined;
}

export interface EmbedEachOptions extends EmbedOptions, TurnOptions {
  readonly ordered?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface CompleteOptions extends BatchOptions {
  /** How many continuations, 1 to 1024; 1 by default. */
  readonly n?: number | undefined;
}

export interface EmbedBatchOptions extends EmbedOptions, TurnOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: BatchProgress) => unknown) | undefined;
}

export type LoadSessionOptions = Pick<SessionOptions, 'onFull' | 'keep'> & {
  readonly signal?: AbortSignal | undefined;
};
