// Each pre-tokenizer against the regular expressions that it implements, on random and difficult text; in linear time.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { rulesOf } from '../../../src/tokenizer/words/patterns.js';
import { findPreTokenizer } from '../../../src/tokenizer/words/pre-tokenizers.js';
import { WordWalker } from '../../../src/tokenizer/words/word-walker.js';
import { difficultParts } from '../../support/tokenizers/difficult-text.js';

const gpt2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const contraction = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
const gpt4Rest = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const gpt4 = (number: string) => `${contraction}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${number}|${gpt4Rest}`;
const lead = '[^\\r\\n\\p{L}\\p{N}]?';
const cased = (upper: string, lower: string, suffix: string, number: string) =>
  `${lead}${upper}*${lower}+${suffix}|${lead}${upper}+${lower}*${suffix}|${number}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
const asciiUpper = '(?:(?=\\p{L})[^a-z])';
const asciiLower = '(?:(?=\\p{L})[^A-Z])';
const exactUpper = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
const exactLower = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';
const deepseek =
  '[!"#$%&\'()*+,\\-.\\/:;<=>?@\\[\\\\\\]^_`\\{\\|\\}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const sentence = ' ?[^(\\s|.,!?…。，、।۔،)]+';

const patterns: Readonly<Record<string, readonly string[]>> = {
  'gpt-2': [gpt2],
  smollm: ['\\p{N}', gpt2],
  'llama-bpe': [gpt4('\\p{N}{1,3}')],
  qwen2: [gpt4('\\p{N}')],
  qwen35: [
    `${contraction}|${lead}[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`,
  ],
  ufakzeka: [`${lead}\\p{L}+|\\p{N}|${gpt4Rest}`],
  'seed-coder': [`${contraction}|${lead}\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`],
  minicpm5: ['\\p{N}{1,3}', gpt4('\\p{N}+')],
  laguna: ['[^\\n]+|[\\n]+', gpt4('\\p{N}')],
  'gpt-4o': [cased(asciiUpper, asciiLower, `${contraction}?`, '\\p{N}{1,3}')],
  tekken: [cased(asciiUpper, asciiLower, '', '\\p{N}')],
  'exact gpt-4o': [cased(exactUpper, exactLower, `${contraction}?`, '\\p{N}{1,3}')],
  'exact tekken': [cased(exactUpper, exactLower, '', '\\p{N}')],
  'deepseek-v3': ['\\p{N}{1,3}', '[一-龥\u3040-ゟ゠-ヿ]+', deepseek],
  'deepseek-coder': ['[\\r\\n]', '\\s?\\p{L}+', '\\s?\\p{P}+', '[一-龥ࠀ-一가-\ud7ff]+', '\\p{N}'],
  falcon: ['[\\p{P}$+<=>^~|`]+', gpt2, '[0-9][0-9][0-9]'],
  default: ['[\\p{P}$+<=>^~|]+', gpt2, '\\p{N}+', '[0-9][0-9][0-9]'],
  bloom: [sentence],
  viking: [sentence, '\\p{N}'],
};

/** Oracle: splits by each pattern in turn; text between two matches is a part, too. */
function splitByPatterns(text: string, sources: readonly string[]): string[] {
  // JavaScript's \s is not Unicode's white space.
  const whiteSpace = (source: string) =>
    source
      .replace(/\[[^\]]*\\s/g, (set) => set.replaceAll('\\s', '\\p{White_Space}'))
      .replaceAll('\\s', '\\p{White_Space}')
      .replaceAll('\\S', '\\P{White_Space}');
  return sources.reduce<string[]>(
    (parts, source) =>
      parts.flatMap((part) => {
        const words: string[] = [];
        let at = 0;
        for (const match of part.matchAll(new RegExp(whiteSpace(source), 'gu'))) {
          if (match.index > at) words.push(part.slice(at, match.index));
          words.push(match[0]);
          at = match.index + match[0].length;
        }
        if (at < part.length) words.push(part.slice(at));
        return words;
      }),
    text === '' ? [] : [text],
  );
}

/**
 * The patterns in tokenizer.json files that split differently than the pre-tokenizer of the same name in GGUF files.
 */
const exactPatterns: Readonly<Record<string, readonly string[]>> = {
  'exact gpt-4o': [cased(exactUpper, exactLower, "(?i:'s|'t|'re|'ve|'m|'ll|'d)?", '\\p{N}{1,3}')],
  'exact tekken': [cased(exactUpper, exactLower, '', '\\p{N}')],
};

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

describe.each(Object.keys(patterns))('the pre-tokenizer %s', (name) => {
  test('splits like its patterns', () => {
    const sources = patterns[name] as readonly string[];
    fc.assert(
      fc.property(difficult, (parts) => {
        const text = parts.join('');
        expect(split(text, name)).toEqual(splitByPatterns(text, sources));
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
