// Changes logits before a token is chosen: adds the caller's bias, and applies penalties to recent tokens. Called by
// sampler.ts; each sampler owns one instance.
import { checkPenalties, type PenaltyOptions, usesWindow } from '../../../src/sampling/sampling-options.js';

export class Penalties {
  /** Whether {@link apply} changes logits at all. */
  readonly active: boolean;
  readonly #repetition: number;
  readonly #presence: number;
  readonly #frequency: number;
  readonly #biased: Int32Array;
  readonly #biases: Float64Array;
  readonly #window: number;
  readonly #usesWindow: boolean;
  /** The last tokens: a ring buffer once it has the size of the window. */
  #recent = new Int32Array(0);
  #seen = 0;
  /** How often each token is in the window, by id. Negated during {@link apply} for tokens that are done. */
  #counts = new Int32Array(0);

  /** @throws TesseraeError ERR_ARGUMENT for an option out of its range */
  constructor(options: PenaltyOptions, vocabulary: number) {
    const settings = checkPenalties(options, vocabulary);
    const { biases } = settings;
    this.#repetition = settings.repetitionPenalty;
    this.#presence = settings.presencePenalty;
    this.#frequency = settings.frequencyPenalty;
    this.#window = settings.repetitionWindow;
    this.#usesWindow = usesWindow(settings);
    this.#biased = Int32Array.from(biases, ([id]) => id);
    this.#biases = Float64Array.from(biases, ([, bias]) => bias);
    this.active = this.#usesWindow || biases.length > 0;
  }

  /** Adds a token of the prompt or of the text to the window. */
  accept(id: number): void {
    if (!this.#usesWindow) return;
    if (this.#seen >= this.#recent.length && this.#recent.length < this.#window) this.#grow();
    if (id >= this.#counts.length) this.#growCounts(id + 1);
    const counts = this.#counts;
    const at = this.#seen % this.#recent.length;
    if (this.#seen >= this.#window) counts[this.#recent[at] as number]! -= 1;
    this.#recent[at] = id;
    counts[id]! += 1;
    this.#seen += 1;
  }

  /** Changes the logits in place. */
  apply(logits: Float32Array): void {
    for (let i = 0; i < this.#biased.length; i++) {
      const id = this.#biased[i] as number;
      logits[id] = (logits[id] as number) + (this.#biases[i] as number);
    }
    const used = Math.min(this.#seen, this.#window);
    const counts = this.#counts;
    // A token that is in the window several times is changed once: then its count is negative until the end.
    for (let i = 0; i < used; i++) {
      const id = this.#recent[i] as number;
      const count = counts[id] as number;
      if (count < 0) continue;
      const logit = logits[id] as number;
      const repeated = logit > 0 ? logit / this.#repetition : logit * this.#repetition;
      logits[id] = repeated - count * this.#frequency - this.#presence;
      counts[id] = -count;
    }
    for (let i = 0; i < used; i++) {
      const id = this.#recent[i] as number;
      counts[id] = Math.abs(counts[id] as number);
    }
  }

  #grow(): void {
    const grown = new Int32Array(Math.min(this.#window, Math.max(64, 2 * this.#recent.length)));
    grown.set(this.#recent);
    this.#recent = grown;
  }

  #growCounts(least: number): void {
    const grown = new Int32Array(Math.max(least, 2 * this.#counts.length));
    grown.set(this.#counts);
    this.#counts = grown;
  }
}
