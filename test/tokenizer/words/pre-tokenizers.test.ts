// Each pre-tokenizer against the regular expressions that it implements, on random and difficult text; in linear time.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { rulesOf } from '../../../src/tokenizer/words/patterns.js';
import { findPreTokenizer } from '../../../src/tokenizer/words/pre-tokenizers.js';
import { WordWalker } from '../../../src/tokenizer/words/word-walker.js';
import { difficultParts } from '../../support/tokenizers/difficult-text.js';
import { exactPatterns, splitterOf, wordPatterns } from '../../support/tokenizers/word-patterns.js';

function split(text: string, name: string): string[] {
  const rules = findPreTokenizer(name)?.rules ?? rulesOf(exactPatterns[name] ?? []);
  const words = new WordWalker(text, 0, text.length, rules);
  const found: string[] = [];
  while (words.next()) if (!words.paused) found.push(text.slice(words.start, words.end));
  return found;
}

const difficult = fc.array(fc.oneof(fc.constantFrom(...difficultParts), fc.string({ unit: 'binary', maxLength: 3 })), {
  maxLength: 30,
});

describe.each(Object.keys(wordPatterns))('the pre-tokenizer %s', (name) => {
  test('splits like its patterns', () => {
    const splitByPatterns = splitterOf(wordPatterns[name] as readonly string[]);
    fc.assert(
      fc.property(difficult, (parts) => {
        const text = parts.join('');
        expect(split(text, name)).toEqual(splitByPatterns(text));
      }),
      { numRuns: 400, examples: [[['\u0301', 'ǅ']], [[' ', '\u0301', 'ǅa']], [['.', 'ʰ', 'ABC']]] },
    );
  });

  test('loses no text and takes linear time, also in long runs', { retry: 2 }, () => {
    for (const unit of ['a', 'A', ' ', '\n', '7', '.', '😀', 'é', '漢', '\u0301', ' \n', 'Aa', "'", '٣', '\u0000']) {
      const text = unit.repeat(200_000 / unit.length);
      const started = performance.now();
      expect(split(text, name).join('') === text).toBe(true);
      expect(performance.now() - started).toBeLessThan(1500);
    }
  });
});

test('every name has rules', () => {
  for (const name of [
    'deepseek-llm',
    'command-r',
    'starcoder',
    'refact',
    'mpt',
    'olmo',
    'dbrx',
    'phi-2',
    'stablelm2',
  ]) {
    expect(split('Hello world, 123!', name).join('')).toBe('Hello world, 123!');
  }
  expect(findPreTokenizer('qwen9')).toBeUndefined();
});
