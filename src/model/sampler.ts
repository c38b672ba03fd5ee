// Chooses the next token from logits: greedily, or by seeded sampling with temperature, top-k and top-p. Knows no
// model and no text. One sampler serves one generation; called by the sessions.
import { TesseraeError } from '../errors.js';
import { CandidateHeap } from './candidate-heap.js';
import { portableExp } from './portable-exp.js';
import { MAX_SEED, RandomSource } from './random.js';

export interface SamplingOptions {
  /** 0, the default, takes the most likely token always; then topK, topP and seed have nothing to choose. */
  temperature?: number;
  /** Choose among this many most likely tokens. 0, the default, sets no limit. */
  topK?: number;
  /** Choose among the fewest most likely tokens whose probabilities sum up to at least this. 1, the default: all. */
  topP?: number;
  /** An integer from 0 to 2^53 - 1. The same seed and logits give the same tokens on every machine. Default: random. */
  seed?: number;
}

/**
 * Draws tokens. Its working memory, 12 bytes for each logit, is allocated at the first draw and kept.
 *
 * Probabilities are softmax(logits / temperature); top-k comes first, and top-p counts the probabilities that are left
 * by it, scaled to sum up to 1. Of equal logits, the lower id counts as the more likely one.
 */
export class Sampler {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly seed: number;
  readonly #random: RandomSource;
  readonly #heap = new CandidateHeap();
  #weights = new Float64Array(0);

  /** @throws TesseraeError ERR_ARGUMENT for an option out of its range */
  constructor(options: SamplingOptions = {}) {
    const { temperature = 0, topK = 0, topP = 1, seed = randomSeed() } = options;
    checkOption('temperature', temperature, Number.isFinite(temperature) && temperature >= 0, 'a number of at least 0');
    checkOption('topK', topK, Number.isSafeInteger(topK) && topK >= 0, 'an integer of at least 0');
    checkOption('topP', topP, typeof topP === 'number' && topP > 0 && topP <= 1, 'a number above 0, up to 1');
    checkOption('seed', seed, Number.isSafeInteger(seed) && seed >= 0, `an integer from 0 to ${MAX_SEED}`);
    this.temperature = temperature;
    this.topK = topK;
    this.topP = topP;
    this.seed = seed;
    this.#random = new RandomSource(seed);
  }

  /**
   * The id of the chosen token. A logit of -Infinity is never chosen.
   * @throws TesseraeError ERR_ARGUMENT when a logit is NaN or Infinity, or when all of them are -Infinity
   */
  sample(logits: Float32Array): number {
    const best = mostLikely(logits);
    if (this.temperature === 0) return best;
    const count = logits.length;
    if (this.#weights.length < count) this.#weights = new Float64Array(count);
    const highest = logits[best] as number;
    if (this.topK > 0 && this.topK < count) return this.#sampleTopK(logits, highest);
    return this.topP < 1 ? this.#sampleTopP(logits, highest) : this.#sampleAll(logits, highest);
  }

  #sampleAll(logits: Float32Array, highest: number): number {
    const total = this.#weigh(logits, highest);
    return this.#draw(logits.length, total);
  }

  #sampleTopP(logits: Float32Array, highest: number): number {
    const bound = this.#weigh(logits, highest) * this.topP;
    const heap = this.#heap.fill(logits);
    const weights = this.#weights;
    let taken = 0;
    let sum = 0;
    while (sum < bound && heap.size > 0) {
      const weight = this.#weight(logits[heap.take()] as number, highest);
      weights[taken++] = weight;
      sum += weight;
    }
    return heap.taken(this.#draw(taken, sum));
  }

  #sampleTopK(logits: Float32Array, highest: number): number {
    const heap = this.#heap.fill(logits);
    const weights = this.#weights;
    let total = 0;
    for (let i = 0; i < this.topK; i++) {
      const weight = this.#weight(logits[heap.take()] as number, highest);
      weights[i] = weight;
      total += weight;
    }
    if (this.topP === 1) return heap.taken(this.#draw(this.topK, total));
    const bound = total * this.topP;
    let taken = 0;
    let sum = 0;
    while (sum < bound && taken < this.topK) sum += weights[taken++] as number;
    return heap.taken(this.#draw(taken, sum));
  }

  /** Unscaled probabilities of all tokens, by id. @returns their sum */
  #weigh(logits: Float32Array, highest: number): number {
    const weights = this.#weights;
    let total = 0;
    for (let id = 0; id < logits.length; id++) {
      const weight = this.#weight(logits[id] as number, highest);
      weights[id] = weight;
      total += weight;
    }
    return total;
  }

  #weight(logit: number, highest: number): number {
    return portableExp((logit - highest) / this.temperature);
  }

  /** An index below `count`, by the weights, whose sum is `total`. */
  #draw(count: number, total: number): number {
    const weights = this.#weights;
    const target = this.#random.next() * total;
    let sum = 0;
    for (let i = 0; i < count; i++) {
      sum += weights[i] as number;
      if (sum > target) return i;
    }
    // Only by rounding does the target reach the sum: then the last that can be chosen is.
    let last = count - 1;
    while (weights[last] === 0) last -= 1;
    return last;
  }
}

function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] as number;
}

function checkOption(name: string, value: unknown, isValid: boolean, expected: string): void {
  if (isValid) return;
  throw new TesseraeError('ERR_ARGUMENT', `${name} must be ${expected}, got ${String(value)}`);
}

/** The first of the highest logits. Checks all of them. */
function mostLikely(logits: Float32Array): number {
  let best = -1;
  let highest = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id] as number;
    if (logit > highest) {
      best = id;
      highest = logit;
    } else if (Number.isNaN(logit)) {
      throw new TesseraeError('ERR_ARGUMENT', `the logit of token ${id} is NaN`);
    }
  }
  if (highest === Number.POSITIVE_INFINITY)
    throw new TesseraeError('ERR_ARGUMENT', `the logit of token ${best} is Infinity`);
  if (best < 0) throw new TesseraeError('ERR_ARGUMENT', `none of ${logits.length} logits is above -Infinity`);
  return best;
}
