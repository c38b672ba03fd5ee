// Counts how often a tokenizer lets others run. Called by tests of tokenizers.
import { TokenBuffer } from '../../../src/tokenizer/token-buffer.js';
import type { Tokenizer } from '../../../src/tokenizer/tokenizer.js';

/**
 * How often the work on text[start, end), which has no special tokens, pauses; the ids that it gives; and how many it has
 * made, with those beyond the limit.
 */
export function workOn(
  tokenizer: Tokenizer,
  text: string,
  { start = 0, end = text.length, limit = Number.POSITIVE_INFINITY } = {},
): { pauses: number; ids: number[]; made: number } {
  const { encodePlain } = tokenizer as unknown as {
    encodePlain(text: string, start: number, end: number, ids: TokenBuffer): Generator<void>;
  };
  const buffer = new TokenBuffer(limit);
  let pauses = 0;
  for (const _ of encodePlain.call(tokenizer, text, start, end, buffer)) pauses += 1;
  const array = buffer.toArray();
  for (;;) {
    const step = array.next();
    if (step.done === true) return { pauses, ids: step.value, made: buffer.length };
  }
}
