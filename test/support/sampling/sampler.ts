// Chooses the next token from logits: the most likely one, or by seeded sampling. The oracle of the kernel `sample`, which
// gives the same tokens from the same random numbers, to the bit.
import { TesseraeError } from '../../../src/base/errors.js';
import { RandomSource } from '../../../src/sampling/random.js';
import { checkSampling, type SamplingOptions } from '../../../src/sampling/sampling-options.js';
import { CandidateHeap } from './candidate-heap.js';
import { Penalties } from './penalties.js';
import { portableExp } from './portable-exp.js';
import { portableLog } from './portable-log.js';
import { TopSelection } from './top-selection.js';

export interface SampleOptions {
  /** The ids that may be chosen, a bit each, from the lowest bit of each word up; all by default. */
  readonly allowed?: Uint32Array | undefined;
  /** What {@link firstHighest} finds, if the caller already has it. */
  readonly mostLikely?: number | undefined;
}

/**
 * Draws tokens. Its working memory, 12 to 36 bytes for each logit, is allocated at the first draw and kept.
 *
 * The order of the steps is fixed, as in llama.cpp's default chain: logitBias, penalties, the tokens that a constraint
 * allows, topK, typicalP, topP, minP, temperature. So typicalP, topP and minP use probabilities at temperature 1,
 * scaled to sum up to 1 over the tokens that the step before left. Of equal logits, the lower id counts as more likely.
 */
export class Sampler {
  readonly temperature: number;
  readonly topK: number;
  readonly typicalP: number;
  readonly topP: number;
  readonly minP: number;
  readonly seed: number;
  readonly #random: RandomSource;
  readonly #penalties: Penalties;
  readonly #heap = new CandidateHeap();
  readonly #top = new TopSelection();
  #adjusted = new Float32Array(0);
  /** The ids of the candidates, and values computed for each. */
  #ids = new Int32Array(0);
  #weights = new Float64Array(0);
  #keys = new Float64Array(0);
  #order = new Int32Array(0);

  /**
   * @param vocabulary the number of logits: ids in logitBias are smaller
   * @throws TesseraeError ERR_ARGUMENT for an option out of range
   */
  constructor(options: SamplingOptions = {}, vocabulary = Number.POSITIVE_INFINITY) {
    const { temperature, topK, typicalP, topP, minP, seed } = checkSampling(options, vocabulary);
    this.temperature = temperature;
    this.topK = topK;
    this.typicalP = typicalP;
    this.topP = topP;
    this.minP = minP;
    this.seed = seed;
    this.#random = new RandomSource(seed);
    this.#penalties = new Penalties(options, vocabulary);
  }

  /** Adds a token of the prompt or of the text to the window of the penalties. */
  accept(id: number): void {
    this.#penalties.accept(id);
  }

  /**
   * The id of the chosen token. A token with a logit of -Infinity is never chosen.
   * @throws TesseraeError ERR_ARGUMENT when a logit is NaN or Infinity, or when all of them are -Infinity
   */
  sample(logits: Float32Array, { allowed, mostLikely }: SampleOptions = {}): number {
    let best = checkedBest(logits, mostLikely ?? firstHighest(logits));
    let values = logits;
    if (this.#penalties.active || allowed !== undefined) {
      values = this.#adjust(logits, allowed);
      best = checkedBest(values, firstHighest(values));
    }
    if (this.temperature === 0) return best;
    this.#reserve(values.length);
    const isTopK = this.topK > 0 && this.topK < values.length;
    if (!isTopK && this.typicalP === 1 && this.topP === 1 && this.minP === 0) {
      return this.#draw(values.length, this.#weigh(values, undefined, values.length, this.temperature));
    }
    const ids = this.#ids;
    let count = isTopK ? this.#top.select(values, this.topK) : values.length;
    for (let i = 0; i < count; i++) ids[i] = isTopK ? (this.#top.ids[i] as number) : i;
    if (this.typicalP < 1) count = this.#keepTypical(values, count);
    if (this.topP < 1) count = this.#keepNucleus(values, count, isTopK);
    if (this.minP > 0) count = this.#keepAboveMinP(values, count);
    return ids[this.#draw(count, this.#weigh(values, ids, count, this.temperature))] as number;
  }

  #reserve(count: number): void {
    if (this.#weights.length >= count) return;
    this.#weights = new Float64Array(count);
    this.#ids = new Int32Array(count);
    this.#keys = new Float64Array(this.topP < 1 || this.typicalP < 1 ? count : 0);
  }

  /** A copy of the logits with bias and penalties applied, and -Infinity for tokens that are not allowed. */
  #adjust(logits: Float32Array, allowed: Uint32Array | undefined): Float32Array {
    if (this.#adjusted.length !== logits.length) this.#adjusted = new Float32Array(logits.length);
    const adjusted = this.#adjusted;
    adjusted.set(logits);
    this.#penalties.apply(adjusted);
    if (allowed === undefined) return adjusted;
    for (let from = 0; from < adjusted.length; from += 32) {
      const bits = allowed[from >>> 5] as number;
      if (bits === 0xffffffff) continue;
      const end = Math.min(from + 32, adjusted.length);
      for (let id = from; id < end; id++) if (((bits >>> (id & 31)) & 1) === 0) adjusted[id] = Number.NEGATIVE_INFINITY;
    }
    return adjusted;
  }

  /** Keeps the candidates nearest to the expected surprise, in their present order. @returns how many */
  #keepTypical(values: Float32Array, count: number): number {
    const [ids, weights, keys] = [this.#ids, this.#weights, this.#keys];
    const total = this.#weigh(values, ids, count, 1);
    const highest = highestOf(values, ids, count);
    // Surprises are relative to that of the most likely token: a common offset does not matter.
    let expected = 0;
    for (let i = 0; i < count; i++) {
      const weight = weights[i] as number;
      if (weight > 0) expected += (weight / total) * (highest - (values[ids[i] as number] as number));
    }
    for (let i = 0; i < count; i++) {
      keys[i] = weights[i] === 0 ? Number.NEGATIVE_INFINITY : -Math.abs(highest - values[ids[i]!]! - expected);
    }
    const heap = this.#heap.fill(keys, count);
    const bound = total * this.typicalP;
    for (let sum = 0; sum < bound && heap.size > 0; ) {
      const position = heap.take();
      sum += weights[position] as number;
      // Marks a kept candidate: a weight is never negative.
      weights[position] = -1;
    }
    let kept = 0;
    for (let i = 0; i < count; i++) if (weights[i] === -1) ids[kept++] = ids[i] as number;
    return kept;
  }

  /** Keeps the most likely candidates that sum up to topP, the most likely first. @returns how many */
  #keepNucleus(values: Float32Array, count: number, isSorted: boolean): number {
    const [ids, weights, keys] = [this.#ids, this.#weights, this.#keys];
    const bound = this.#weigh(values, ids, count, 1) * this.topP;
    let kept = 0;
    let sum = 0;
    if (isSorted) {
      while (sum < bound && kept < count) sum += weights[kept++] as number;
      return kept;
    }
    for (let i = 0; i < count; i++) keys[i] = values[ids[i] as number] as number;
    const heap = this.#heap.fill(keys, count);
    while (sum < bound && heap.size > 0) {
      sum += weights[heap.take()] as number;
      kept += 1;
    }
    const order = this.#order.length < kept ? new Int32Array(2 * kept) : this.#order;
    this.#order = order;
    for (let rank = 0; rank < kept; rank++) order[rank] = ids[heap.taken(rank)] as number;
    for (let rank = 0; rank < kept; rank++) ids[rank] = order[rank] as number;
    return kept;
  }

  /** Keeps the candidates that pass minP, in their present order. @returns how many */
  #keepAboveMinP(values: Float32Array, count: number): number {
    const ids = this.#ids;
    const least = highestOf(values, ids, count) + portableLog(this.minP);
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const id = ids[i] as number;
      if ((values[id] as number) >= least) ids[kept++] = id;
    }
    return kept;
  }

  /** Computes unscaled probabilities of the candidates, or of all tokens if `ids` is undefined. @returns their sum */
  #weigh(values: Float32Array, ids: Int32Array | undefined, count: number, temperature: number): number {
    const weights = this.#weights;
    const highest = highestOf(values, ids, count);
    let total = 0;
    for (let i = 0; i < count; i++) {
      const value = values[ids === undefined ? i : (ids[i] as number)] as number;
      const weight = portableExp((value - highest) / temperature);
      weights[i] = weight;
      total += weight;
    }
    return total;
  }

  /** Draws an index below `count` with the probabilities weights / total. */
  #draw(count: number, total: number): number {
    const weights = this.#weights;
    const target = this.#random.next() * total;
    let sum = 0;
    for (let i = 0; i < count; i++) {
      sum += weights[i] as number;
      if (sum > target) return i;
    }
    // Only rounding makes the target reach the sum: then the last candidate that has a weight is drawn.
    let last = count - 1;
    while (weights[last] === 0) last -= 1;
    return last;
  }
}

function highestOf(values: Float32Array, ids: Int32Array | undefined, count: number): number {
  let highest = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < count; i++) {
    const value = values[ids === undefined ? i : (ids[i] as number)] as number;
    if (value > highest) highest = value;
  }
  return highest;
}

/** The id of the first of the highest logits, or of the first NaN; -1 if there are no logits. */
function firstHighest(logits: Float32Array): number {
  if (logits.length === 0) return -1;
  let best = 0;
  let highest = logits[0] as number;
  for (let id = 1; id < logits.length; id++) {
    const logit = logits[id] as number;
    // One comparison for each logit; it is also false if one of the two is NaN.
    if (logit <= highest) continue;
    if (Number.isNaN(highest)) break;
    best = id;
    highest = logit;
  }
  return best;
}

/** `best`, the first of the highest. @throws TesseraeError ERR_ARGUMENT when its logit is not finite */
function checkedBest(logits: Float32Array, best: number): number {
  const highest = best < 0 ? Number.NEGATIVE_INFINITY : (logits[best] as number);
  if (highest === Number.NEGATIVE_INFINITY) {
    throw new TesseraeError('ERR_ARGUMENT', `none of ${logits.length} logits is above -Infinity`);
  }
  if (Number.isFinite(highest)) return best;
  throw new TesseraeError('ERR_ARGUMENT', `the logit of token ${best} is ${highest}`);
}
