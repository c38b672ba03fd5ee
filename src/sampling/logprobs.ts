// Log probabilities of chosen tokens and of the most likely tokens at their place, under the model's own distribution:
// before bias, penalties, constraint and temperature. Called by generation/request.ts.
import type { Tokenizer } from '../tokenizer/tokenizer.js';

export interface Alternative {
  readonly id: number;
  /** The token's text, control tokens included. */
  readonly text: string;
  readonly logprob: number;
}

/** Natural logarithms of probabilities under the softmax of the model's logits. */
export interface TokenLogprobs {
  readonly logprob: number;
  /** The most likely tokens, best first; they may include the chosen one. */
  readonly top: readonly Alternative[];
}

/** The same without texts. */
export interface LogprobNumbers {
  readonly logprob: number;
  /** The most likely tokens, best first, and theirs. */
  readonly ids: Int32Array;
  readonly logprobs: Float64Array;
}

export function withTexts({ logprob, ids, logprobs }: LogprobNumbers, tokenizer: Tokenizer): TokenLogprobs {
  const top = Array.from(ids, (id, rank) => ({
    id,
    text: tokenizer.decode([id], { special: true, cleanUp: false }),
    logprob: logprobs[rank] as number,
  }));
  return { logprob, top };
}
