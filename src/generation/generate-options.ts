// The options of a generation, checked, with a sampler of their own. Called by the model.
import { TesseraeError } from '../base/errors.js';
import { checkFlag, checkOptions, checkPositive, checkRange } from '../base/options.js';
import { checkFormat, type Format } from '../constraint/format.js';
import { Sampler, type SamplingOptions, samplingKeys } from '../sampling/sampler.js';
import { checkStops } from './prompt.js';

export interface GenerateOptions extends SamplingOptions {
  /** How many tokens to generate at most; 128 by default. */
  readonly maxTokens?: number | undefined;
  /** Go on after the model's end-of-generation tokens; false by default. */
  readonly ignoreEos?: boolean | undefined;
  /** Texts that end the generation, wherever tokens cut them; they are no part of its text. */
  readonly stop?: readonly string[] | undefined;
  /** Report each token's log probability, and those of this many most likely alternatives, 0 to 100. */
  readonly logprobs?: number | undefined;
  /**
   * Hold the text to a format: each token is chosen among those that can lead to a text of the format. A text that
   * `maxTokens` or the context cuts may be incomplete. Goes neither with `stop` nor with `ignoreEos`.
   */
  readonly format?: Format | undefined;
  readonly signal?: AbortSignal | undefined;
}

const generateKeys = [...samplingKeys, 'maxTokens', 'ignoreEos', 'stop', 'logprobs', 'format', 'signal'] as const;
const defaultMaxTokens = 128;
const MOST_ALTERNATIVES = 100;

/** Checked options, with a sampler of their own. */
export interface GenerateSettings {
  readonly maxTokens: number;
  readonly ignoreEos: boolean;
  readonly stop: readonly string[];
  readonly logprobs: number | undefined;
  readonly format: Format | undefined;
  readonly signal: AbortSignal | undefined;
  readonly sampler: Sampler;
}

/** @throws TesseraeError ERR_ARGUMENT for an unknown option or a value that is out of its range */
export function settingsOf(options: GenerateOptions, op: string, vocabulary: number): GenerateSettings {
  checkOptions(options, generateKeys, op);
  const { maxTokens = defaultMaxTokens, format, stop, ignoreEos } = options;
  if (format !== undefined && (stop !== undefined || ignoreEos === true)) {
    throw new TesseraeError('ERR_ARGUMENT', 'format goes neither with stop nor with ignoreEos', { op });
  }
  return {
    format: checkFormat(format, op),
    maxTokens: checkPositive(maxTokens, 'maxTokens', op, 0),
    ignoreEos: checkFlag(options.ignoreEos, false, 'ignoreEos', op),
    stop: checkStops(options.stop, op),
    logprobs: checkRange(options.logprobs, 'logprobs', op, 0, MOST_ALTERNATIVES),
    signal: options.signal,
    sampler: new Sampler(options, vocabulary),
  };
}
