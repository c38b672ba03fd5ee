// Generation of text, one token after the other, and the results that it reports. Borrows a session from the model.
import { TesseraeError } from '../errors.js';
import { checkFlag, checkOptions, checkPositive } from './options.js';
import { Sampler, type SamplingOptions } from './sampler.js';
import type { Session } from './session.js';
import type { Tokenizer } from './tokenizer/tokenizer.js';

export interface GenerateOptions extends SamplingOptions {
  /** How many tokens to generate at most; 128 by default. */
  readonly maxTokens?: number | undefined;
  /** Go on after the model's end-of-sequence token; false by default. */
  readonly ignoreEos?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

const generateKeys = ['temperature', 'topK', 'topP', 'seed', 'maxTokens', 'ignoreEos', 'signal'] as const;
const defaultMaxTokens = 128;

/** Checked options, with a sampler of their own. */
export interface GenerateSettings {
  readonly maxTokens: number;
  readonly ignoreEos: boolean;
  readonly signal: AbortSignal | undefined;
  readonly sampler: Sampler;
}

/** @throws TesseraeError ERR_ARGUMENT for an unknown option or a value that is out of its range */
export function settingsOf(options: GenerateOptions, op: string): GenerateSettings {
  checkOptions(options, generateKeys, op);
  const { maxTokens = defaultMaxTokens } = options;
  return {
    maxTokens: checkPositive(maxTokens, 'maxTokens', op, 0),
    ignoreEos: checkFlag(options.ignoreEos, false, 'ignoreEos', op),
    signal: options.signal,
    sampler: new Sampler(options),
  };
}

/**
 * One generated token. The texts of all pieces, joined, are the generated text; so where the model ends the sequence
 * within a character, one more piece has the end token's id and what stands for that character.
 */
export interface Piece {
  readonly id: number;
  /** What became certain with this token: empty while a character is incomplete. */
  readonly text: string;
}

/** Why a generation ended: the end-of-sequence token, `maxTokens`, or no room left in the context. */
export type StopReason = 'eos' | 'maxTokens' | 'context';

export interface Timings {
  /** Until the prompt's last token was computed. */
  readonly prefillMs: number;
  /** From there to the end. */
  readonly decodeMs: number;
}

export interface GenerationResult {
  readonly text: string;
  /** The ids of the generated tokens. */
  readonly tokens: readonly number[];
  readonly promptTokens: number;
  readonly stopReason: StopReason;
  /** The seed that was used, also when none was given. */
  readonly seed: number;
  readonly timings: Timings;
}

/** Yields piece by piece; the generator's return value is the result as a whole. */
export async function* generateWith(
  session: Session,
  tokenizer: Tokenizer,
  promptIds: readonly number[],
  { maxTokens, ignoreEos, signal, sampler }: GenerateSettings,
): AsyncGenerator<Piece, GenerationResult, void> {
  const decoder = tokenizer.decoder();
  const tokens: number[] = [];
  let text = '';
  let next = -1;
  const sample = (logits: Float32Array) => {
    next = sampler.sample(logits);
  };
  const started = performance.now();
  await session.forward(promptIds, { output: 'lastLogits', signal }, sample);
  const prefilled = performance.now();
  let stopReason: StopReason = 'maxTokens';
  while (tokens.length < maxTokens) {
    if (next === tokenizer.eosId && !ignoreEos) {
      stopReason = 'eos';
      break;
    }
    const id = next;
    tokens.push(id);
    const last = tokens.length === maxTokens || session.length === session.capacity;
    const pieceText = decoder.push(id) + (last ? decoder.end() : '');
    text += pieceText;
    yield { id, text: pieceText };
    if (last) {
      if (tokens.length < maxTokens) stopReason = 'context';
      break;
    }
    await session.forward([id], { output: 'lastLogits', signal }, sample);
  }
  const unfinished = decoder.end();
  if (unfinished !== '') {
    text += unfinished;
    yield { id: next, text: unfinished };
  }
  return {
    text,
    tokens,
    promptTokens: promptIds.length,
    stopReason,
    seed: sampler.seed,
    timings: { prefillMs: prefilled - started, decodeMs: performance.now() - prefilled },
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
