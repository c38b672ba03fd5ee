// What a request keeps from token to token for choosing the next one: its options, its random generator, the tokens
// seen last. It chooses nothing: the kernel `sample` reads this through SampleRows (src/ops/sampling/sample-rows.ts).
import { RandomSource } from './random.js';
import { checkSampling, type SamplingOptions, type SamplingSettings, usesWindow } from './sampling-options.js';
import { TokenWindow } from './token-window.js';

export class SamplingState {
  readonly settings: SamplingSettings;
  /**
   * Pairs of an id and what is added to its logit, by id, in shared memory; of several for one id the first is added
   * first.
   */
  readonly biases: Float64Array | undefined;
  /** The tokens that the penalties look at, if there are penalties. */
  readonly window: TokenWindow | undefined;
  readonly #source: RandomSource;
  #drawn: number | undefined;

  /**
   * @param vocabulary ids in logitBias are below it
   * @throws TesseraeError ERR_ARGUMENT for an option out of its range
   */
  constructor(options: SamplingOptions = {}, vocabulary = Number.POSITIVE_INFINITY) {
    const settings = checkSampling(options, vocabulary);
    this.settings = settings;
    this.biases = sharedBiases(settings.biases);
    this.window = usesWindow(settings) ? new TokenWindow(settings.repetitionWindow) : undefined;
    this.#source = new RandomSource(settings.seed);
  }

  /**
   * The number in [0, 1) by which the next token is chosen. It stays the same until {@link acceptChosen}: a step that
   * failed is run again with it. None is drawn at temperature 0, which needs none.
   */
  get random(): number {
    if (this.settings.temperature === 0) return 0;
    this.#drawn ??= this.#source.next();
    return this.#drawn;
  }

  /** Takes note of the tokens of a prompt. */
  acceptPrompt(ids: readonly number[]): void {
    this.window?.acceptAll(ids);
  }

  /** Takes note of a token that was chosen by {@link random}, which is used up with it. */
  acceptChosen(id: number): void {
    this.#drawn = undefined;
    this.window?.accept(id);
  }
}

function sharedBiases(biases: SamplingSettings['biases']): Float64Array | undefined {
  if (biases.length === 0) return undefined;
  const pairs = new Float64Array(new SharedArrayBuffer(2 * biases.length * Float64Array.BYTES_PER_ELEMENT));
  const sorted = [...biases].sort(([a], [b]) => a - b);
  for (const [index, pair] of sorted.entries()) pairs.set(pair, 2 * index);
  return pairs;
}
