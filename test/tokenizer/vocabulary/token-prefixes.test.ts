// The search for tokens by their first bytes, against a plain map; for texts with common beginnings and for long ones.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TimeSlice } from '../../../src/base/time-slice.js';
import type { ModelMetadata } from '../../../src/metadata/model-metadata.js';
import { PrefixWalk, TokenPrefixes } from '../../../src/tokenizer/vocabulary/token-prefixes.js';
import { readVocabulary } from '../../../src/tokenizer/vocabulary/vocabulary.js';
import { AllocationWatch } from '../../support/running/allocations.js';
import { tokenizerMetadata } from '../../support/tokenizers/tokenizer-metadata.js';

async function vocabularyOf(texts: readonly string[]) {
  const metadata = tokenizerMetadata(
    'bert',
    texts.map((text) => ({ text })),
  );
  return readVocabulary(metadata satisfies ModelMetadata, new TimeSlice());
}

/** The tokens that a text begins with, by their lengths in bytes. */
function prefixesOf(text: string, prefixes: TokenPrefixes): [length: number, id: number][] {
  const walk = new PrefixWalk(prefixes);
  const found: [number, number][] = [];
  const bytes = Buffer.from(text);
  walk.begin();
  for (let at = 0; at < bytes.length && walk.step(bytes[at] as number); ) {
    at += 1;
    if (walk.id >= 0) found.push([at, walk.id]);
  }
  return found;
}

test('finds the tokens that a text begins with', async () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'é', '漢'), maxLength: 6 });
  const many = fc.uniqueArray(letters, { maxLength: 150 });
  await fc.assert(
    fc.asyncProperty(many, fc.array(letters, { minLength: 1, maxLength: 20 }), async (texts, asked) => {
      fc.pre(texts.length > 0);
      const prefixes = await TokenPrefixes.of(await vocabularyOf(texts), (id) => id % 7 !== 0, new TimeSlice());
      const ids = new Map(texts.map((text, id) => [text, id]));
      // Some twice, since steps are cached.
      for (const text of [...asked, ...texts, ...asked]) {
        const bytes = Buffer.from(text);
        const wanted: [number, number][] = [];
        for (let end = 1; end <= bytes.length; end++) {
          const id = ids.get(bytes.subarray(0, end).toString());
          if (id !== undefined && id % 7 !== 0) wanted.push([end, id]);
        }
        expect(prefixesOf(text, prefixes)).toEqual(wanted);
      }
    }),
    { numRuns: 200 },
  );
});

test('takes memory in proportion to the number of tokens, not to their lengths', async () => {
  const long = 'x'.repeat(100_000);
  const texts = Array.from({ length: 40 }, (_, index) => long.slice(index) + index);
  const vocabulary = await vocabularyOf(texts);
  const watch = new AllocationWatch();
  const prefixes = await TokenPrefixes.of(vocabulary, () => true, new TimeSlice());
  watch.end();
  expect(watch.total).toBeLessThan(1 << 20);
  expect(prefixesOf(`${texts[7]} and more`, prefixes)).toEqual([[99_994, 7]]);
});
