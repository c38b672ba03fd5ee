// The options of a generation and their check. Called by model/model.ts.
import { TesseraeError } from '../base/errors.js';
import { checkFlag, checkOptions, checkPositive, checkRange } from '../base/options.js';
import { checkFormat, type Format } from '../constraint/format.js';
import { type SamplingOptions, samplingKeys } from '../sampling/sampling-options.js';
import { SamplingState } from '../sampling/sampling-state.js';
import { checkStops } from './prompt.js';
import { type TurnOptions, turnKeys } from './turn-options.js';

export interface GenerateOptions extends SamplingOptions, TurnOptions {
  /** How many tokens to generate at most; 128 by default. */
  readonly maxTokens?: number | undefined;
  /** Go on after the model's end-of-generation tokens; false by default. */
  readonly ignoreEos?: boolean | undefined;
  /** Texts that end the generation, also across tokens. The text ends before the stop sequence. */
  readonly stop?: readonly string[] | undefined;
  /** Report the log probability of each token, and of this many most likely tokens, 0 to 100, at its place. */
  readonly logprobs?: number | undefined;
  /**
   * The text must match this format: each token is chosen among those after which it still can. A text that `maxTokens`
   * or the context cuts off may be incomplete. Cannot be combined with `stop` or `ignoreEos`.
   */
  readonly format?: Format | undefined;
  readonly signal?: AbortSignal | undefined;
}

const ownKeys = ['maxTokens', 'ignoreEos', 'stop', 'logprobs', 'format', 'signal'] as const;
const generateKeys = [...samplingKeys, ...turnKeys, ...ownKeys];
const defaultMaxTokens = 128;
const MOST_ALTERNATIVES = 100;

/** Checked options, with the state of one generation's sampling. */
export interface GenerateSettings {
  readonly maxTokens: number;
  readonly ignoreEos: boolean;
  readonly stop: readonly string[];
  readonly logprobs: number | undefined;
  readonly format: Format | undefined;
  readonly signal: AbortSignal | undefined;
  /** The state of its sampling: one generation's own. */
  readonly sampling: SamplingState;
}

/**
 * @param vocabulary the number of logits
 * @throws TesseraeError ERR_ARGUMENT for an unknown option or a value out of range
 */
export function settingsOf(options: GenerateOptions, op: string, vocabulary: number): GenerateSettings {
  checkOptions(options, generateKeys, op);
  const { maxTokens = defaultMaxTokens, stop, ignoreEos } = options;
  const format = checkFormat(options.format, op);
  // Free text may be stopped as any other.
  const mayStop = format === undefined || 'tags' in format;
  if (format !== undefined && ((stop !== undefined && !mayStop) || ignoreEos === true)) {
    throw new TesseraeError('ERR_ARGUMENT', 'format cannot be combined with stop or ignoreEos', { op });
  }
  return {
    format,
    maxTokens: checkPositive(maxTokens, 'maxTokens', op, 0),
    ignoreEos: checkFlag(options.ignoreEos, false, 'ignoreEos', op),
    stop: checkStops(options.stop, op),
    logprobs: checkRange(options.logprobs, 'logprobs', op, 0, MOST_ALTERNATIVES),
    signal: options.signal,
    sampling: new SamplingState(options, vocabulary),
  };
}
