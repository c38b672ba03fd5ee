// Prompts and stop sequences as callers give them: checked, copied, and encoded to token ids. Called by
// generate-options.ts, and by the model for prompts and for texts to embed.
import { describe, unreadable } from '../base/describe.js';
import { TesseraeError } from '../base/errors.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';

const MOST_STOPS = 64;

/** A text, or token ids, which are used as given: no BOS is added. */
export type Prompt = string | ArrayLike<number>;

/** A checked copy of the option `stop`: texts that are not empty and have no lone surrogate. */
export function checkStops(value: unknown, op: string): readonly string[] {
  if (value === undefined) return [];
  const fail = (problem: string) => new TesseraeError('ERR_ARGUMENT', `stop ${problem}`, { op });
  if (!Array.isArray(value)) throw fail(`must be an array of texts, got ${describe(value)}`);
  if (value.length > MOST_STOPS) throw fail(`has ${value.length} sequences, more than ${MOST_STOPS}`);
  for (const stop of value) {
    if (typeof stop !== 'string' || stop === '') throw fail('must be an array of texts that are not empty');
    if (/\p{Surrogate}/u.test(stop)) throw fail('contains a lone surrogate, which is half a character');
  }
  return [...value];
}

/**
 * The token ids of a prompt. A text is encoded, by default with BOS in front if the model expects it; ids are checked
 * and copied.
 * @throws TesseraeError ERR_ARGUMENT, ERR_TOKENIZER
 */
export async function tokensOf(
  prompt: Prompt,
  tokenizer: Tokenizer,
  vocabulary: number,
  options: {
    op: string;
    addBos?: boolean;
    addEos?: boolean;
    signal?: AbortSignal | undefined;
    most?: number | undefined;
    /** How many of a text's tokens are wanted. */
    limit?: number | undefined;
  },
): Promise<number[]> {
  const { op, addBos = tokenizer.addsBos, addEos = false, signal, most, limit } = options;
  if (typeof prompt === 'string') {
    return tokenizer.encodeAsync(prompt, { addBos, addEos, ...(signal && { signal }), ...(limit && { limit }) });
  }
  return checkIds(prompt, vocabulary, { op, most });
}

/** Whether a value is an array of numbers, which are ids; an empty one is none. */
export function isArrayOfIds(value: unknown): value is ArrayLike<number> {
  if (ArrayBuffer.isView(value) && 'length' in value) return true;
  return Array.isArray(value) && typeof value[0] === 'number';
}

/** Ids of an array, at most: it is copied at once. */
const MOST_IDS = 1 << 22;

/**
 * A checked copy of token ids. How many there are is looked at first: an array may have billions of holes.
 * @param options `most`: how many fit into the context; `cutAt`: how many are copied
 * @throws TesseraeError ERR_ARGUMENT for a value that is no array, ERR_TOKENIZER for an id that is not in the
 * vocabulary, ERR_CONTEXT for more than `most`
 */
export function checkIds(
  ids: ArrayLike<number>,
  vocabulary: number,
  options: { readonly op: string; readonly most?: number | undefined; readonly cutAt?: number },
): number[] {
  try {
    return copyIds(ids, vocabulary, options);
  } catch (cause) {
    throw unreadable(cause, 'the token ids', options.op);
  }
}

function copyIds(
  ids: ArrayLike<number>,
  vocabulary: number,
  options: { readonly op: string; readonly most?: number | undefined; readonly cutAt?: number },
): number[] {
  const { op, most = MOST_IDS, cutAt = most } = options;
  if (!Array.isArray(ids) && !(ArrayBuffer.isView(ids) && 'length' in ids)) {
    throw new TesseraeError('ERR_ARGUMENT', 'expected a string or an array of token ids', { op });
  }
  const count = Math.min(ids.length, cutAt);
  if (options.cutAt === undefined && ids.length > most) {
    const message = `a prompt of ${ids.length} tokens does not fit into a context of ${most}`;
    if (options.most !== undefined) throw new TesseraeError('ERR_CONTEXT', message, { op });
    throw new TesseraeError('ERR_ARGUMENT', `an array of ${ids.length} ids is longer than ${most}`, { op });
  }
  const copy = new Array<number>(count);
  for (let index = 0; index < count; index++) {
    const id = ids[index] as number;
    if (!(Number.isSafeInteger(id) && id >= 0 && id < vocabulary)) {
      throw new TesseraeError('ERR_TOKENIZER', `${describe(id)} is not a token of this vocabulary`, { op });
    }
    copy[index] = id;
  }
  return copy;
}

/** @throws TesseraeError ERR_CONTEXT when the prompt is longer than `capacity`, ERR_ARGUMENT when it is empty */
export function checkPromptFits(ids: readonly number[], capacity: number, op: string): void {
  if (ids.length === 0) throw new TesseraeError('ERR_ARGUMENT', 'the prompt has no tokens', { op });
  if (ids.length <= capacity) return;
  throw new TesseraeError(
    'ERR_CONTEXT',
    `a prompt of ${ids.length} tokens does not fit into a context of ${capacity}`,
    { op },
  );
}
