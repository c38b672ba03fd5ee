// The regular expressions that pre-tokenizers implement, and an oracle that splits text by them. Called by the tests of
// pre-tokenizers.

const gpt2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const contraction = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
const gpt4Rest = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const gpt4 = (number: string) => `${contraction}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${number}|${gpt4Rest}`;
const lead = '[^\\r\\n\\p{L}\\p{N}]?';
const cased = (upper: string, lower: string, suffix: string, number: string) =>
  `${lead}${upper}*${lower}+${suffix}|${lead}${upper}+${lower}*${suffix}|${number}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
const asciiUpper = '(?:(?=\\p{L})[^a-z])';
const asciiLower = '(?:(?=\\p{L})[^A-Z])';
const markedUpper = '(?:(?=[\\p{L}\\p{M}])[^a-z])';
const markedLower = '(?:(?=[\\p{L}\\p{M}])[^A-Z])';
const exactUpper = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
const exactLower = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';
const deepseek =
  '[!"#$%&\'()*+,\\-.\\/:;<=>?@\\[\\\\\\]^_`\\{\\|\\}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const sentence = ' ?[^(\\s|.,!?…。，、।۔،)]+';

/** By the names of pre-tokenizers. Those that begin with `exact` are in tokenizer.json files alone. */
export const wordPatterns: Readonly<Record<string, readonly string[]>> = {
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
  'granite-embed-multi-97m': [cased(markedUpper, markedLower, `${contraction}?`, '\\p{N}{1,3}')],
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

/** The patterns of tokenizer.json files that split differently than the pre-tokenizer of their name in GGUF files. */
export const exactPatterns: Readonly<Record<string, readonly string[]>> = {
  'exact gpt-4o': [cased(exactUpper, exactLower, "(?i:'s|'t|'re|'ve|'m|'ll|'d)?", '\\p{N}{1,3}')],
  'exact tekken': [cased(exactUpper, exactLower, '', '\\p{N}')],
};

/** Splits by each pattern in turn; text between two matches is a part, too. */
export function splitterOf(sources: readonly string[]): (text: string) => string[] {
  const patterns = sources.map(unicodePattern);
  return (text) =>
    patterns.reduce<string[]>(
      (parts, pattern) => parts.flatMap((part) => splitBy(part, pattern)),
      text === '' ? [] : [text],
    );
}

/** JavaScript's \s is not Unicode's white space. */
function unicodePattern(source: string): RegExp {
  const whiteSpace = source
    .replace(/\[[^\]]*\\s/g, (set) => set.replaceAll('\\s', '\\p{White_Space}'))
    .replaceAll('\\s', '\\p{White_Space}')
    .replaceAll('\\S', '\\P{White_Space}');
  return new RegExp(whiteSpace, 'gu');
}

function splitBy(part: string, pattern: RegExp): string[] {
  const words: string[] = [];
  let at = 0;
  for (const match of part.matchAll(pattern)) {
    if (match.index > at) words.push(part.slice(at, match.index));
    words.push(match[0]);
    at = match.index + match[0].length;
  }
  if (at < part.length) words.push(part.slice(at));
  return words;
}
