// Log probabilities of chosen tokens and of the most likely tokens at their place, under the model's own distribution:
// before bias, penalties, constraint and temperature. Called by generation/request.ts.
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import { portableExp } from './portable-exp.js';
import { portableLog } from './portable-log.js';
import { TopSelection } from './top-selection.js';

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
    text: tokenizer.decode([id], { special: true }),
    logprob: logprobs[rank] as number,
  }));
  return { logprob, top };
}

export class LogprobReader {
  readonly #tokenizer: Tokenizer;
  readonly #alternatives: number;
  readonly #top = new TopSelection();

  constructor(tokenizer: Tokenizer, alternatives: number) {
    this.#tokenizer = tokenizer;
    this.#alternatives = alternatives;
  }

  /** The log probabilities at a place where `id` was chosen. */
  read(logits: Float32Array, id: number): TokenLogprobs {
    let highest = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < logits.length; i++) if ((logits[i] as number) > highest) highest = logits[i] as number;
    let total = 0;
    for (let i = 0; i < logits.length; i++) total += portableExp((logits[i] as number) - highest);
    const logTotal = portableLog(total);
    const logprobOf = (token: number) => (logits[token] as number) - highest - logTotal;
    const count = this.#top.select(logits, this.#alternatives);
    const ids = this.#top.ids.subarray(0, count);
    return withTexts({ logprob: logprobOf(id), ids, logprobs: Float64Array.from(ids, logprobOf) }, this.#tokenizer);
  }
}
