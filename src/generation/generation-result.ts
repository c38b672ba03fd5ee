// What a generation gives its caller: pieces of text as they become certain, and the result at the end.
import type { TokenLogprobs } from '../sampling/logprobs.js';

/**
 * One generated token. The texts of all pieces, joined, are the generated text. If the model ends the sequence within a
 * character, or within the beginning of a stop sequence, one extra piece has the end token's id and the rest of the
 * text.
 */
export interface Piece {
  readonly id: number;
  /**
   * The text that became certain with this token. Empty while a character or a possible stop sequence is incomplete.
   */
  readonly text: string;
  /** Of this token, if the option `logprobs` is set; not in the extra piece of an end token. */
  readonly logprobs?: TokenLogprobs;
}

/**
 * Why a generation ended: `eos` at an end token, or where its format allows nothing more; `stop` at a stop sequence;
 * `maxTokens`; or `context`, which is full.
 */
export type StopReason = 'eos' | 'stop' | 'maxTokens' | 'context';

export interface Timings {
  /** Loading the model: the same in all of its results. */
  readonly loadMs: number;
  /** Computing the prompt's tokens. */
  readonly prefillMs: number;
  /** From there to the end, including the time that the consumer of the pieces took. */
  readonly decodeMs: number;
  /** From the call to the first token: encoding the prompt, waiting, and prefill. */
  readonly timeToFirstTokenMs: number;
}

export interface GenerationResult {
  readonly text: string;
  /** The ids of the generated tokens: with those of a stop sequence, without an end token. */
  readonly tokens: readonly number[];
  readonly promptTokens: number;
  readonly stopReason: StopReason;
  /** The stop sequence that ended the generation. */
  readonly stopSequence?: string;
  /** Whether the whole text matches the option `format`, if it is set. */
  readonly formatComplete?: boolean;
  /** The seed that was used: the given one, or a random one. */
  readonly seed: number;
  /** Of each token, if the option `logprobs` is set. */
  readonly logprobs?: readonly TokenLogprobs[];
  readonly timings: Timings;
  /** Tokens per second. `decode` is null with fewer than two tokens: there is nothing to measure. */
  readonly tokensPerSecond: { readonly prefill: number; readonly decode: number | null };
}
