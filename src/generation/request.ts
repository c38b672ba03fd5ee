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
 * the accepted tokens, {@link choose}, {@link accept}, {@link piece}. Then it takes the {@link result}.
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
  #chosenLogprobs: LogprobNumbers | undefined;
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

  /** Whether a stop sequence in the text of a token may end it: then {@link piece} may set {@link ending}. */
  get endsByText(): boolean {
    return this.#settings.stop.length > 0;
  }

  /** Takes the token that was chosen, with its log probabilities where they were asked for. */
  choose(id: number, logprobs?: LogprobNumbers): void {
    this.#chosen = id;
    this.#chosenLogprobs = logprobs;
  }

  /** Accepts the chosen token, and sets {@link ending} if it is the last one. Its text is made by {@link piece}. */
  accept(): void {
    const id = this.#chosen;
    if (this.#isEnd) {
      this.#ending = 'eos';
      return;
    }
    this.#tokens.push(id);
    this.#settings.sampling.acceptChosen(id);
    this.#constraint?.accept(id);
    this.#ending = this.#endingAfterToken();
  }

  /**
   * The piece of the token that was accepted last, to be called once for each before the next one is chosen; {@link ending}
   * may be a stop sequence after it. Undefined for an end token after which no text is left to give.
   */
  piece(): Piece | undefined {
    const id = this.#chosen;
    return this.#isEnd ? this.#pieceOfEnd(id) : this.#pieceOfToken(id);
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

  get #isEnd(): boolean {
    return !this.#settings.ignoreEos && this.#tokenizer.endIds.has(this.#chosen);
  }

  /** Releases the text that was held back for an incomplete character or a possible stop sequence. */
  #pieceOfEnd(id: number): Piece | undefined {
    const stops = this.#stops;
    const rest = stops.push(this.#decoder.end());
    if (stops.found !== undefined) this.#ending = 'stop';
    const text = rest + stops.end();
    this.#text += text;
    return text === '' ? undefined : { id, text };
  }

  #pieceOfToken(id: number): Piece {
    const stops = this.#stops;
    const logprobs = this.#chosenLogprobs && withTexts(this.#chosenLogprobs, this.#tokenizer);
    if (logprobs !== undefined) this.#logprobs.push(logprobs);
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
