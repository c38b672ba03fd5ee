// The options of `tesserae generate` that say how tokens are chosen and when the generation ends, and their conversion
// to the library's options. The library checks which values may be combined.
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { GenerateOptions } from '../index.js';
import { numberBetween, wholeNumber } from './options.js';

export interface SamplingFlags {
  readonly maxTokens: number;
  readonly temperature: number;
  readonly seed?: number;
  readonly topK?: number;
  readonly typicalP?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  readonly repetitionWindow?: number;
  readonly presencePenalty?: number;
  readonly frequencyPenalty?: number;
  readonly logitBias?: Readonly<Record<string, number>>;
  readonly stop?: readonly string[];
  readonly logprobs?: number;
  readonly ignoreEos?: boolean;
  readonly regex?: string;
  readonly jsonValue?: boolean;
}

export function addSamplingFlags(command: Command): Command {
  const penalty = numberBetween(-1000, 1000);
  return command
    .option('--max-tokens <n>', 'tokens to generate at most', wholeNumber(1), 128)
    .option(
      '--temperature <t>',
      '0 takes the most likely token each time',
      numberBetween(0, Number.POSITIVE_INFINITY),
      0,
    )
    .option('--seed <n>', 'makes sampling repeatable', wholeNumber(0))
    .option('--top-k <n>', 'sample among the n most likely tokens', wholeNumber(1))
    .option('--typical-p <p>', 'sample among the most typical tokens that add up to p', numberBetween(0, 1))
    .option('--top-p <p>', 'sample among the most likely tokens that add up to p', numberBetween(0, 1))
    .option('--min-p <p>', 'sample among tokens at least p times as likely as the most likely one', numberBetween(0, 1))
    .option('--repetition-penalty <x>', 'above 1 makes recent tokens less likely', numberBetween(0, 1000))
    .option('--repetition-window <n>', 'how many recent tokens the penalties look at (default: 64)', wholeNumber(1))
    .option('--presence-penalty <x>', 'taken off the logits of recent tokens', penalty)
    .option('--frequency-penalty <x>', 'taken off for each time that a token is recent', penalty)
    .option('--logit-bias <id=x>', 'added to a token’s logit; -inf bans it; repeatable', addBias)
    .option('--stop <text>', 'end before this text; repeatable', (text, all: string[] = []) => [...all, text])
    .option('--logprobs <n>', 'report log probabilities of each token and n alternatives (with --json)', wholeNumber(0))
    .addOption(new Option('--regex <pattern>', 'hold the text to a regular expression').conflicts('jsonValue'))
    .option('--json-value', 'hold the text to one JSON value')
    .option('--ignore-eos', "go on after the model's end tokens");
}

/** The library's options of the same names; the command's other options are left out. */
export function generateOptionsOf(flags: SamplingFlags): GenerateOptions {
  const { maxTokens, temperature, seed, topK, typicalP, topP, minP } = flags;
  const { repetitionPenalty, repetitionWindow, presencePenalty, frequencyPenalty, logitBias } = flags;
  const { stop, logprobs, ignoreEos } = flags;
  const wanted = flags.jsonValue === true ? ({ json: true } as const) : undefined;
  const format = flags.regex === undefined ? wanted : { regex: flags.regex };
  const choosing = { temperature, seed, topK, typicalP, topP, minP };
  const penalties = { repetitionPenalty, repetitionWindow, presencePenalty, frequencyPenalty, logitBias };
  return { ...choosing, ...penalties, maxTokens, stop, logprobs, ignoreEos, format };
}

function addBias(text: string, all: Record<string, number> = {}): Record<string, number> {
  const [, id, bias] = /^([0-9]+)=(.+)$/.exec(text) ?? [];
  const value = bias === '-inf' ? Number.NEGATIVE_INFINITY : Number(bias);
  if (id === undefined || Number.isNaN(value)) throw new InvalidArgumentError('It must be like 42=-1.5 or 42=-inf.');
  return { ...all, [id]: value };
}
