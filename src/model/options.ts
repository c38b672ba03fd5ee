// Checks of what callers pass to a model's methods.
import { TesseraeError } from '../errors.js';
import { checkSignal } from '../program/program.js';
import type { ModelConfig } from './architectures/architecture.js';
import type { Tokenizer } from './tokenizer/tokenizer.js';

const MOST_STOPS = 64;

/** A text, or the ids of tokens, which are taken as they stand. */
export type Prompt = string | ArrayLike<number>;

/** @throws TesseraeError ERR_ARGUMENT for a key that is not in the list, and for a wrong `signal` or `onProgress` */
export function checkOptions(options: object, allowed: readonly string[], op: string): void {
  if (typeof options !== 'object' || options === null) {
    throw new TesseraeError('ERR_ARGUMENT', `the options must be an object, got ${String(options)}`, { op });
  }
  for (const key of Object.keys(options)) {
    if (!allowed.includes(key)) throw new TesseraeError('ERR_ARGUMENT', `there is no option ${key}`, { op });
  }
  const { signal, onProgress } = options as { signal?: unknown; onProgress?: unknown };
  checkSignal(signal, op);
  if (onProgress !== undefined && typeof onProgress !== 'function') {
    throw new TesseraeError('ERR_ARGUMENT', 'onProgress must be a function', { op });
  }
}

export function checkPositive(value: unknown, name: string, op: string, least = 1): number {
  if (Number.isSafeInteger(value) && (value as number) >= least) return value as number;
  throw new TesseraeError('ERR_ARGUMENT', `${name} must be an integer of at least ${least}, got ${String(value)}`, {
    op,
  });
}

/** An integer in a range; undefined stays. */
export function checkRange(value: unknown, name: string, op: string, least: number, most: number): number | undefined {
  if (value === undefined) return undefined;
  if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
  const message = `${name} must be an integer from ${least} to ${most}, got ${String(value)}`;
  throw new TesseraeError('ERR_ARGUMENT', message, { op });
}

/** Texts that end a generation: none is empty or cuts a character. A copy. */
export function checkStops(value: unknown, op: string): readonly string[] {
  if (value === undefined) return [];
  const fail = (problem: string) => new TesseraeError('ERR_ARGUMENT', `stop ${problem}`, { op });
  if (!Array.isArray(value)) throw fail(`must be an array of texts, got ${String(value)}`);
  if (value.length > MOST_STOPS) throw fail(`has ${value.length} sequences, more than ${MOST_STOPS}`);
  for (const stop of value) {
    if (typeof stop !== 'string' || stop === '') throw fail('must be an array of texts that are not empty');
    if (/\p{Surrogate}/u.test(stop)) throw fail('holds half a character, a lone surrogate');
  }
  return [...value];
}

/** A flag; undefined gives the fallback. */
export function checkFlag(value: unknown, fallback: boolean, name: string, op: string): boolean {
  if (value === undefined) return fallback;
  if (typeof value === 'boolean') return value;
  throw new TesseraeError('ERR_ARGUMENT', `${name} must be true or false, got ${String(value)}`, { op });
}

/** One of the given words; undefined gives the first. */
export function checkWord<T extends string>(value: unknown, words: readonly T[], name: string, op: string): T {
  if (value === undefined) return words[0] as T;
  if (words.includes(value as T)) return value as T;
  throw new TesseraeError('ERR_ARGUMENT', `${name} must be one of ${words.join(', ')}, got ${String(value)}`, { op });
}

/**
 * The tokens of a prompt: a text is encoded, with BOS in front where the model expects it; ids are checked and copied.
 * @throws TesseraeError ERR_ARGUMENT, ERR_TOKENIZER
 */
export async function tokensOf(
  prompt: Prompt,
  tokenizer: Tokenizer,
  config: ModelConfig,
  options: { op: string; addBos?: boolean; addEos?: boolean; signal?: AbortSignal | undefined },
): Promise<number[]> {
  const { op, addBos = tokenizer.addsBos, addEos = false, signal } = options;
  if (typeof prompt === 'string') {
    return tokenizer.encodeAsync(prompt, { addBos, addEos, ...(signal === undefined ? {} : { signal }) });
  }
  return checkIds(prompt, config.vocabulary, op);
}

/**
 * A copy of token ids.
 * @throws TesseraeError ERR_ARGUMENT for anything else than an array, ERR_TOKENIZER for an id that is no token
 */
export function checkIds(ids: ArrayLike<number>, vocabulary: number, op: string): number[] {
  if (!Array.isArray(ids) && !(ArrayBuffer.isView(ids) && 'length' in ids)) {
    throw new TesseraeError('ERR_ARGUMENT', 'expected a string or an array of token ids', { op });
  }
  const copy = Array.from(ids);
  for (const id of copy) {
    if (Number.isSafeInteger(id) && id >= 0 && id < vocabulary) continue;
    throw new TesseraeError('ERR_TOKENIZER', `${String(id)} is not a token of this vocabulary`, { op });
  }
  return copy;
}
