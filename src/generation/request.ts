// A request to generate, as a state machine: it takes the tokens that were chosen, and turns them into pieces of text until
// something ends it. It computes nothing and has no tensors and no sequence. Driven by serving/steps/generation-client.ts.
import { type Constraint, ConstraintState } from '../constraint/constraint.js';
import { type LogprobNumbers, type TokenLogprobs, withTexts } from '../sampling/logprobs.js';
import type { SamplingState } from '../sampling/sampling-state.js';
import type { TokenDecoder, Tokenizer } from '../tokenizer/tokenizer.js';
import type { GenerateSettings } from './generate-options.js';
import type { GenerationResult, Piece, StopReason, Timings } from './generation-result.js';
import { StopMatcher } from './stop-matcher.js';

export interface RequestParts {
  readonly tokenizer: Tokenizer;
  readonly promptIds: readonly number[];
  readonly settings: GenerateSettings;
  /** Compiled from `settings.format`. */
  readonly constraint: Constraint | undefined;
  /** How many tokens a sequence can hold, prompt and generated ones together. */
  readonly capacity: number;
}

/**
 * While {@link ending} is undefined, the driver repeats: {@link prepare}, have the token chosen that follows the prompt and
 * the accepted tokens, {@link choose}, {@link accept}. Then it takes the {@link result}.
 */
export class GenerationRequest {
  readonly promptIds: readonly number[];
  readonly signal: AbortSignal | undefined;
  readonly #tokenizer: Tokenizer;
  readonly #settings: GenerateSettings;
  readonly #constraint: ConstraintState | undefined;
  readonly #capacity: number;
  readonly #decoder: TokenDecoder;
  readonly #stops: StopMatcher;
  readonly #tokens: number[] = [];
  readonly #logprobs: TokenLogprobs[] = [];
  #allowed: Uint32Array | undefined;
  #text = '';
  #chosen = -1;
  #chosenLogprobs: TokenLogprobs | undefined;
  #ending: StopReason | undefined;

  constructor({ tokenizer, promptIds, settings, constraint, capacity }: RequestParts) {
    this.promptIds = promptIds;
    this.signal = settings.signal;
    this.#tokenizer = tokenizer;
    this.#settings = settings;
    this.#constraint = constraint === undefined ? undefined : new ConstraintState(constraint);
    this.#capacity = capacity;
    this.#decoder = tokenizer.decoder({ continues: true });
    this.#stops = new StopMatcher(settings.stop);
    settings.sampling.acceptPrompt(promptIds);
    if (settings.maxTokens === 0) this.#ending = 'maxTokens';
  }

  /** Why the generation ended; undefined while it goes on. */
  get ending(): StopReason | undefined {
    return this.#ending;
  }

  /** The tokens that were accepted, an end token left out. */
  get tokens(): readonly number[] {
    return this.#tokens;
  }

  /** The token that was chosen last. */
  get chosen(): number {
    return this.#chosen;
  }

  /** Computes which tokens the constraint allows next. Undefined where there is no constraint, and so nothing to await. */
  prepare(): Promise<void> | undefined {
    return this.#constraint?.mask(this.signal).then((allowed) => {
      this.#allowed = allowed;
    });
  }

  /** By what the next token is to be chosen: the state of its sampling, and what {@link prepare} has computed. */
  get sampling(): SamplingState {
    return this.#settings.sampling;
  }

  get rowOptions(): { readonly allowed: Uint32Array | undefined; readonly logprobs: number | undefined } {
    return { allowed: this.#allowed, logprobs: this.#settings.logprobs };
  }

  /** Takes the token that was chosen, with its log probabilities where they were asked for. */
  choose(id: number, logprobs?: LogprobNumbers): void {
    this.#chosen = id;
    this.#chosenLogprobs = logprobs && withTexts(logprobs, this.#tokenizer);
  }

  /**
   * Accepts the chosen token, and sets {@link ending} if it is the last one.
   * @returns its piece; undefined for an end token after which no text is left to give
   */
  accept(): Piece | undefined {
    const id = this.#chosen;
    const isEnd = !this.#settings.ignoreEos && this.#tokenizer.endIds.has(id);
    return isEnd ? this.#acceptEnd(id) : this.#acceptToken(id);
  }

  result(timings: Timings): GenerationResult {
    const { found } = this.#stops;
    const tokens = this.#tokens;
    const { prefillMs, decodeMs } = timings;
    return {
      text: this.#text,
      tokens,
      promptTokens: this.promptIds.length,
      stopReason: this.#ending as StopReason,
      ...(found === undefined ? {} : { stopSequence: found }),
      ...(this.#constraint === undefined ? {} : { formatComplete: this.#constraint.isComplete }),
      seed: this.#settings.sampling.settings.seed,
      ...(this.#settings.logprobs === undefined ? {} : { logprobs: this.#logprobs }),
      timings,
      tokensPerSecond: {
        prefill: (this.promptIds.length / prefillMs) * 1000,
        decode: tokens.length > 1 ? ((tokens.length - 1) / decodeMs) * 1000 : null,
      },
    };
  }

  /** Releases the text that was held back for an incomplete character or a possible stop sequence. */
  #acceptEnd(id: number): Piece | undefined {
    const stops = this.#stops;
    const rest = stops.push(this.#decoder.end());
    this.#ending = stops.found === undefined ? 'eos' : 'stop';
    const text = stops.found === undefined ? rest + stops.end() : rest;
    this.#text += text;
    return text === '' ? undefined : { id, text };
  }

  #acceptToken(id: number): Piece {
    const stops = this.#stops;
    this.#tokens.push(id);
    this.#settings.sampling.acceptChosen(id);
    this.#constraint?.accept(id);
    const logprobs = this.#chosenLogprobs;
    if (logprobs !== undefined) this.#logprobs.push(logprobs);
    this.#ending = this.#endingAfterToken();
    let text = stops.push(this.#decoder.push(id) + (this.#ending === undefined ? '' : this.#decoder.end()));
    if (stops.found !== undefined) this.#ending = 'stop';
    else if (this.#ending !== undefined) text += stops.end();
    this.#text += text;
    return logprobs === undefined ? { id, text } : { id, text, logprobs };
  }

  #endingAfterToken(): StopReason | undefined {
    if (this.#constraint?.isFinal) return 'eos';
    if (this.#tokens.length === this.#settings.maxTokens) return 'maxTokens';
    // To compute the next logits, the sequence must hold the token that was just accepted.
    return this.promptIds.length + this.#tokens.length > this.#capacity ? 'context' : undefined;
  }
}
