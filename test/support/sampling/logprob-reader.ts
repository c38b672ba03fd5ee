// Log probabilities from logits, by loops over all of them: the oracle of what the kernel `sample` computes.
import { type TokenLogprobs, withTexts } from '../../../src/sampling/logprobs.js';
import type { Tokenizer } from '../../../src/tokenizer/tokenizer.js';
import { portableExp } from './portable-exp.js';
import { portableLog } from './portable-log.js';
import { TopSelection } from './top-selection.js';

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
