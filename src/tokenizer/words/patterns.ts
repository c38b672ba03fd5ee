// The regular expressions in tokenizer.json files, by their text, each with the rule that splits in the same way
// without backtracking. Called by the reader of such files and by pre-tokenizers.ts.
import { classOf, NUMBER, patternTest } from './character-classes.js';
import {
  deepseekWords,
  digits,
  exactCases,
  gpt2Words,
  gpt4oWords,
  gpt4Words,
  runOf,
  threeDigits,
  type WordRule,
} from './word-rules.js';

const any = Number.POSITIVE_INFINITY;
const isNumber = (c: number) => classOf(c) === NUMBER;

/** The pattern of the pre-tokenizer ByteLevel. */
export const gpt2Pattern = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const gpt4 = (number: string, letters = '\\p{L}', start = `${contractions}|`) => {
  const others = letters === '\\p{L}' ? '\\p{L}\\p{N}' : '\\p{L}\\p{M}\\p{N}';
  return `${start}[^\\r\\n\\p{L}\\p{N}]?${letters}+|${number}| ?[^\\s${others}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
};
const upper = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
const lower = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';
const gpt4o = (suffix: string, number: string) => {
  const lead = '[^\\r\\n\\p{L}\\p{N}]?';
  const rest = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
  return `${lead}${upper}*${lower}+${suffix}|${lead}${upper}+${lower}*${suffix}|${number}|${rest}`;
};
const deepseekPattern =
  '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+';
const japanesePattern = '[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+';

const rules: ReadonlyMap<string, WordRule> = new Map([
  [gpt2Pattern, gpt2Words],
  [gpt4('\\p{N}{1,3}'), gpt4Words({ digits: 3 })],
  [gpt4('\\p{N}'), gpt4Words({ digits: 1 })],
  [gpt4('\\p{N}+'), gpt4Words({ digits: any })],
  [gpt4('\\p{N}', '\\p{L}', ''), gpt4Words({ digits: 1, contractions: false })],
  [gpt4('\\p{N}', '[\\p{L}\\p{M}]'), gpt4Words({ digits: 1, marks: true })],
  [gpt4o(`${contractions}?`, '\\p{N}{1,3}'), gpt4oWords(exactCases, { digits: 3 })],
  [gpt4o('', '\\p{N}'), gpt4oWords(exactCases, { digits: 1, contractions: false })],
  [deepseekPattern, deepseekWords],
  [japanesePattern, runOf(patternTest(/[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]/u))],
  ['\\p{N}', digits(1)],
  ['\\p{N}{1,3}', digits(3)],
  ['\\p{N}+', runOf(isNumber)],
  ['[0-9][0-9][0-9]', threeDigits],
]);

/** Chains of patterns for which llama.cpp has a name and splits in the same way. */
const names: ReadonlyMap<string, string> = new Map([
  [gpt2Pattern, 'gpt-2'],
  [['\\p{N}', gpt2Pattern].join('\n'), 'smollm'],
  [gpt4('\\p{N}{1,3}'), 'llama-bpe'],
  [gpt4('\\p{N}'), 'qwen2'],
  [gpt4('\\p{N}', '[\\p{L}\\p{M}]'), 'qwen35'],
  [gpt4o(`${contractions}?`, '\\p{N}{1,3}'), 'gpt-4o'],
  [gpt4o('', '\\p{N}'), 'tekken'],
  [['\\p{N}{1,3}', japanesePattern, deepseekPattern].join('\n'), 'deepseek-v3'],
]);

/** The name of a chain of patterns in GGUF files; for others, a name that only this library writes. */
export function namePatterns(patterns: readonly string[]): string {
  return names.get(patterns.join('\n')) ?? 'tesserae-patterns';
}

export function isKnownPattern(pattern: string): boolean {
  return rules.has(pattern);
}

/** The rules of a chain of known patterns. Without patterns, the whole text is one word. */
export function rulesOf(patterns: readonly string[]): WordRule[] {
  const chain = patterns.flatMap((pattern) => rules.get(pattern) ?? []);
  return chain.length > 0 ? chain : [(_scan, _at, end) => end];
}
