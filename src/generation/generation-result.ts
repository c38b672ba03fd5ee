// What a generation gives its caller: pieces of text as they become certain, and a result at the end.
import type { TokenLogprobs } from '../sampling/logprobs.js';

/**
 * One generated token. The texts of all pieces, joined, are the generated text; so where the model ends the sequence
 * within a character, or within what may have become a stop sequence, one more piece has the end token's id and the rest
 * of the text.
 */
export interface Piece {
  readonly id: number;
  /** What became certain with this token: empty while a character is incomplete, or a stop sequence may begin. */
  readonly text: string;
  /** Of this token, where `logprobs` asks for it; not in the one more piece. */
  readonly logprobs?: TokenLogprobs;
}

/** Why a generation ended: an end token (or a format that allows nothing more), a stop sequence, `maxTokens`, or no room left in the context. */
export type StopReason = 'eos' | 'stop' | 'maxTokens' | 'context';

export interface Timings {
  /** Loading of the model, once for all of its results. */
  readonly loadMs: number;
  /** Computing the prompt's tokens. */
  readonly prefillMs: number;
  /** From there to the end, with the time that the consumer of the pieces took. */
  readonly decodeMs: number;
  /** From the call to the first token: the prompt's encoding, waiting, and prefill. */
  readonly timeToFirstTokenMs: number;
}

export interface GenerationResult {
  readonly text: string;
  /** The ids of the generated tokens, those of a stop sequence included, an end token not. */
  readonly tokens: readonly number[];
  readonly promptTokens: number;
  readonly stopReason: StopReason;
  /** The stop sequence that ended it. */
  readonly stopSequence?: string;
  /** Whether the text has the format that was asked for, as a whole. */
  readonly formatComplete?: boolean;
  /** The seed that was used, also when none was given. */
  readonly seed: number;
  /** Of each token, where `logprobs` asks for it. */
  readonly logprobs?: readonly TokenLogprobs[];
  readonly timings: Timings;
  /** Tokens a second; decode is null where a single token or none leaves nothing to measure. */
  readonly tokensPerSecond: { readonly prefill: number; readonly decode: number | null };
}
