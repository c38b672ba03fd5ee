// Generation of text, one token after the other, and the results that it reports. Borrows a session from the model.
import { TesseraeError } from '../errors.js';
import type { Constraint } from './format/constraint.js';
import { checkFormat, type Format } from './format/format.js';
import { LogprobReader, type TokenLogprobs } from './logprobs.js';
import { checkFlag, checkOptions, checkPositive, checkRange, checkStops } from './options.js';
import { Sampler, type SamplingOptions, samplingKeys } from './sampler.js';
import type { Session } from './session.js';
import { StopMatcher } from './stop-matcher.js';
import type { Tokenizer } from './tokenizer/tokenizer.js';

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

/**
 * One generated token. The texts of all pieces, joined, are the generated text; so where the model ends the sequence
 * within a character, or within what may have become a stop sequence, one more piece has the end token's id and the rest
 * of the text.
 */
export interface Piece {
  readonly id: number;
  /** What became certain with this token: empty while a character is incomplete, or a stop sequence may begin. */
  readonly text: string;
  /** Of this token, where `logprobs` asks for it; not in the one more piece. */
  readonly logprobs?: TokenLogprobs;
}

/** Why a generation ended: an end token (or a format that allows nothing more), a stop sequence, `maxTokens`, or no room left in the context. */
export type StopReason = 'eos' | 'stop' | 'maxTokens' | 'context';

export interface Timings {
  /** Loading of the model, once for all of its results. */
  readonly loadMs: number;
  /** Computing the prompt's tokens. */
  readonly prefillMs: number;
  /** From there to the end, with the time that the consumer of the pieces took. */
  readonly decodeMs: number;
  /** From the call to the first token: the prompt's encoding, waiting, and prefill. */
  readonly timeToFirstTokenMs: number;
}

export interface GenerationResult {
  readonly text: string;
  /** The ids of the generated tokens, those of a stop sequence included, an end token not. */
  readonly tokens: readonly number[];
  readonly promptTokens: number;
  readonly stopReason: StopReason;
  /** The stop sequence that ended it. */
  readonly stopSequence?: string;
  /** Whether the text has the format that was asked for, as a whole. */
  readonly formatComplete?: boolean;
  /** The seed that was used, also when none was given. */
  readonly seed: number;
  /** Of each token, where `logprobs` asks for it. */
  readonly logprobs?: readonly TokenLogprobs[];
  readonly timings: Timings;
  /** Tokens a second; decode is null where a single token or none leaves nothing to measure. */
  readonly tokensPerSecond: { readonly prefill: number; readonly decode: number | null };
}

/** A generation's part of the model, and what it is to continue. */
export interface Continuation {
  readonly session: Session;
  readonly tokenizer: Tokenizer;
  readonly promptIds: readonly number[];
  readonly loadMs: number;
  /** When it was asked for, by performance.now(). */
  readonly askedAt: number;
  /** What the session has computed of the prompt already; without it, the session is empty. */
  readonly prefill?: Prefill | undefined;
  readonly constraint?: Constraint | undefined;
}

/** The logits after a prompt, to begin several continuations from. */
export interface Prefill {
  readonly logits: Float32Array;
  readonly ms: number;
}

/** Computes a prompt in an empty session. */
export async function prefillOf(
  session: Session,
  promptIds: readonly number[],
  signal: AbortSignal | undefined,
): Promise<Prefill> {
  const started = performance.now();
  let logits = new Float32Array(0);
  await session.forward(promptIds, { output: 'lastLogits', signal }, (rows) => {
    logits = Float32Array.from(rows);
  });
  return { logits, ms: performance.now() - started };
}

/** Yields piece by piece; the generator's return value is the result as a whole. */
export async function* generateWith(
  { session, tokenizer, promptIds, loadMs, askedAt, prefill, constraint }: Continuation,
  { maxTokens, ignoreEos, stop, logprobs, signal, sampler }: GenerateSettings,
): AsyncGenerator<Piece, GenerationResult, void> {
  const decoder = tokenizer.decoder({ continues: true });
  const stops = new StopMatcher(stop);
  const reader = logprobs === undefined ? undefined : new LogprobReader(tokenizer, logprobs);
  const tokens: number[] = [];
  const read: TokenLogprobs[] = [];
  let text = '';
  let next = -1;
  let nextLogprobs: TokenLogprobs | undefined;
  let mask = await constraint?.mask(signal);
  const sample = (logits: Float32Array, likeliest?: number) => {
    next = sampler.sample(logits, { allowed: mask, likeliest });
    nextLogprobs = reader?.read(logits, next);
  };
  for (const id of promptIds) sampler.accept(id);
  const started = performance.now();
  if (prefill === undefined) await session.forward(promptIds, { output: 'lastLogits', signal }, sample);
  else sample(prefill.logits);
  const prefilled = performance.now();
  let ending: StopReason | undefined = maxTokens === 0 ? 'maxTokens' : undefined;
  while (ending === undefined) {
    if (!ignoreEos && tokenizer.endIds.has(next)) {
      ending = 'eos';
      const rest = stops.push(decoder.end());
      const last = stops.found === undefined ? rest + stops.end() : rest;
      if (stops.found !== undefined) ending = 'stop';
      text += last;
      if (last !== '') yield { id: next, text: last };
      break;
    }
    const id = next;
    tokens.push(id);
    sampler.accept(id);
    constraint?.accept(id);
    if (nextLogprobs !== undefined) read.push(nextLogprobs);
    if (constraint?.isFinal) ending = 'eos';
    else if (tokens.length === maxTokens) ending = 'maxTokens';
    else if (session.length === session.capacity) ending = 'context';
    let piece = stops.push(decoder.push(id) + (ending === undefined ? '' : decoder.end()));
    if (stops.found !== undefined) ending = 'stop';
    else if (ending !== undefined) piece += stops.end();
    text += piece;
    yield nextLogprobs === undefined ? { id, text: piece } : { id, text: piece, logprobs: nextLogprobs };
    if (ending !== undefined) break;
    mask = await constraint?.mask(signal);
    await session.forward([id], { output: 'lastLogits', signal }, sample);
  }
  const decodeMs = performance.now() - prefilled;
  const prefillMs = prefill?.ms ?? prefilled - started;
  return {
    text,
    tokens,
    promptTokens: promptIds.length,
    stopReason: ending,
    ...(stops.found === undefined ? {} : { stopSequence: stops.found }),
    ...(constraint === undefined ? {} : { formatComplete: constraint.isComplete }),
    seed: sampler.seed,
    ...(reader === undefined ? {} : { logprobs: read }),
    timings: { loadMs, prefillMs, decodeMs, timeToFirstTokenMs: prefilled - askedAt },
    tokensPerSecond: {
      prefill: (promptIds.length / prefillMs) * 1000,
      decode: tokens.length > 1 ? ((tokens.length - 1) / decodeMs) * 1000 : null,
    },
  };
}

/** @throws TesseraeError ERR_CONTEXT when the prompt leaves no room, ERR_ARGUMENT when it is empty */
export function checkPromptFits(ids: readonly number[], capacity: number, op: string): void {
  if (ids.length === 0) throw new TesseraeError('ERR_ARGUMENT', 'the prompt has no tokens', { op });
  if (ids.length <= capacity) return;
  throw new TesseraeError(
    'ERR_CONTEXT',
    `a prompt of ${ids.length} tokens does not fit into a context of ${capacity}`,
    { op },
  );
}
