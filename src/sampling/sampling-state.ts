// The state of a request that the kernel `sample` needs to choose its next token: options, random number generator and
// recent tokens. The kernel reads it through SampleRows (src/ops/sampling/sample-rows.ts).

import { sharedArray } from '../base/memory/shared-memory.js';
import { RandomSource } from './random.js';
import { checkSampling, type SamplingOptions, type SamplingSettings, usesWindow } from './sampling-options.js';
import { TokenWindow } from './token-window.js';

export class SamplingState {
  readonly settings: SamplingSettings;
  /** Pairs of an id and its bias, sorted by id, in shared memory. Several biases of one id keep their order. */
  readonly biases: Float64Array | undefined;
  /** The recent tokens, if there are penalties. */
  readonly window: TokenWindow | undefined;
  readonly #source: RandomSource;
  #drawn: number | undefined;

  /**
   * @param vocabulary the number of logits: ids in logitBias are smaller
   * @throws TesseraeError ERR_ARGUMENT for an option out of range
   */
  constructor(options: SamplingOptions = {}, vocabulary = Number.POSITIVE_INFINITY) {
    const settings = checkSampling(options, vocabulary);
    this.settings = settings;
    this.biases = sharedBiases(settings.biases);
    this.window = usesWindow(settings) ? new TokenWindow(settings.repetitionWindow) : undefined;
    this.#source = new RandomSource(settings.seed);
  }

  /**
   * The random number in [0, 1) for the next token. It stays the same until {@link acceptChosen}, so that a step that
   * failed can be run again with it. At temperature 0, which needs none, it is 0.
   */
  get random(): number {
    if (this.settings.temperature === 0) return 0;
    this.#drawn ??= this.#source.next();
    return this.#drawn;
  }

  /** Adds the tokens of a prompt to the window. */
  acceptPrompt(ids: readonly number[]): void {
    this.window?.acceptAll(ids);
  }

  /** Adds a chosen token to the window, and ends the use of its {@link random} number. */
  acceptChosen(id: number): void {
    this.#drawn = undefined;
    this.window?.accept(id);
  }
}

function sharedBiases(biases: SamplingSettings['biases']): Float64Array | undefined {
  if (biases.length === 0) return undefined;
  const pairs = sharedArray(Float64Array, 2 * biases.length);
  const sorted = [...biases].sort(([a], [b]) => a - b);
  for (const [index, pair] of sorted.entries()) pairs.set(pair, 2 * index);
  return pairs;
}
