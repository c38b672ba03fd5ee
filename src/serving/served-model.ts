// What serves a loaded model, whether decoder or encoder: one of the two files beside this one. Model calls it with ids.
import type { DecoderParts } from '../forward/decoder-programs.js';
import type { Sequence } from '../forward/sequence.js';
import type { GenerationResult, Piece } from '../generation/generation-result.js';
import type { BatchProgress } from './batch.js';
import type { Pooling } from './pooling.js';
import type { RequestRun } from './run-request.js';

export interface EmbedRun<Text> {
  /** The ids of a text, checked to fit. */
  readonly encode: (text: Text, signal: AbortSignal) => Promise<readonly number[]>;
  readonly pooling: Pooling;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: BatchProgress) => void) | undefined;
}

/** What only decoders do. */
export interface DecoderService {
  readonly parts: DecoderParts;
  /** Lends an empty sequence for the length of some work. */
  withSequence<T>(use: (sequence: Sequence) => Promise<T>): Promise<T>;
  /** Runs a request on a sequence of its own. */
  generate(run: Omit<RequestRun, 'sequence'>): AsyncGenerator<Piece, GenerationResult, void>;
}

export interface ServedModel {
  /** How many items of a batch are worked on at the same time. */
  readonly lanes: number;
  /** @throws TesseraeError ERR_UNSUPPORTED where the model is an encoder */
  decoder(op: string): DecoderService;
  /** One vector for each text, in order. */
  embed<Text>(texts: readonly Text[], run: EmbedRun<Text>): Promise<Float32Array[]>;
  /** Frees programs, weights and what is in use. What is running fails with ERR_DISPOSED. */
  dispose(): void;
}
