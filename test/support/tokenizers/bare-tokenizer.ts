// A tokenizer that has what constraints use, and nothing else. Called by their tests.
import type { Tokenizer } from '../../../src/tokenizer/tokenizer.js';

/** @param ends the ids of the end tokens */
export function bareTokenizer(texts: readonly (string | Uint8Array)[], ends: readonly number[] = []): Tokenizer {
  return {
    vocabularySize: texts.length,
    endIds: new Set(ends),
    isControl: () => false,
    tokenBytes: (id: number) => Buffer.from(texts[id] as string),
  } as unknown as Tokenizer;
}
