// The words that pre-tokenizers make of texts: pairs of difficult parts, against regular expressions; fixed texts;
// the names and the patterns by which files give them.
import { describe, expect, test } from 'vitest';
import { ModelMetadata } from '../../../src/metadata/model-metadata.js';
import { StringList } from '../../../src/metadata/string-list.js';
import type { MetadataValue } from '../../../src/metadata/value-types.js';
import { gpt2Pattern, isKnownPattern, namePatterns, rulesOf } from '../../../src/tokenizer/words/patterns.js';
import { findPreTokenizer, readPreTokenizer } from '../../../src/tokenizer/words/pre-tokenizers.js';
import type { WordRule } from '../../../src/tokenizer/words/word-rules.js';
import { WordWalker } from '../../../src/tokenizer/words/word-walker.js';
import { difficultParts } from '../../support/tokenizers/difficult-text.js';
import { exactPatterns, splitterOf, wordPatterns } from '../../support/tokenizers/word-patterns.js';

function split(text: string, rules: readonly WordRule[], start = 0, end = text.length): string[] {
  return splitWithPauses(text, rules, start, end).found;
}

function splitWithPauses(text: string, rules: readonly WordRule[], start = 0, end = text.length) {
  const words = new WordWalker(text, start, end, rules);
  const found: string[] = [];
  let pauses = 0;
  while (words.next()) {
    if (words.paused) pauses += 1;
    else found.push(text.slice(words.start, words.end));
  }
  return { found, pauses };
}
const rulesNamed = (name: string) => findPreTokenizer(name)?.rules ?? rulesOf(exactPatterns[name] ?? []);

/** Each of the difficult parts before and after some of them, and all triples of fewer. */
const few = ['a', 'B', "'S", "'ll", '\u0301', 'ǅ', '漢', '1', ' ', '\n', '\u3000', '.', '/', '+'];
const fewer = ['a', 'B', "'s", '\u0301', '1', ' ', '\n', '.'];
const texts = [
  '',
  ...difficultParts.flatMap((part) => few.flatMap((other) => [part + other, other + part])),
  ...fewer.flatMap((first) => fewer.flatMap((second) => fewer.map((third) => first + second + third))),
  ...few.map((part) => `  x${part.repeat(9)} \n${part} `),
];

describe.each(Object.keys(wordPatterns))('the pre-tokenizer %s', (name) => {
  test('splits each of many short texts like its patterns', () => {
    const splitByPatterns = splitterOf(wordPatterns[name] as readonly string[]);
    const rules = rulesNamed(name);
    const of = (words: readonly string[]) => words.map((word) => JSON.stringify(word)).join(' ');
    const wrong = texts.flatMap((text) => {
      const [got, wanted] = [of(split(text, rules)), of(splitByPatterns(text))];
      return got === wanted ? [] : [{ text, got, wanted }];
    });
    expect(wrong.slice(0, 5)).toEqual([]);
  });

  test('pauses within each word of more than 4096 units, and finds its end', () => {
    const splitByPatterns = splitterOf(wordPatterns[name] as readonly string[]);
    for (const unit of ['a', 'A', 'Á', '漢', '\u0301', '7', '.', '😀', ' ', '\n', '\u3000']) {
      for (const text of [unit.repeat(9000), ` ${unit.repeat(9000)}x`]) {
        const { found, pauses } = splitWithPauses(text, rulesNamed(name));
        const wanted = splitByPatterns(text);
        expect(found.map((word) => word.length)).toEqual(wanted.map((word) => word.length));
        if (wanted.some((word) => word.length > 4097)) expect(pauses).toBeGreaterThanOrEqual(1);
      }
    }
  });

  test('splits a part of a text as if it were all of it', () => {
    for (const text of [
      "a 's'",
      'Ab cD',
      'a  \n ',
      '12345 1',
      '. \n\n',
      '😀a😀',
      'a\u0301\u0301',
      '漢漢',
      "A'S'll",
      '//\n//',
    ]) {
      for (let start = 0; start <= text.length; start++) {
        for (let end = start; end <= text.length; end++) {
          const part = text.slice(start, end);
          if (/\p{Surrogate}/u.test(part)) continue;
          expect(split(text, rulesNamed(name), start, end)).toEqual(split(part, rulesNamed(name)));
        }
      }
    }
  });
});

describe('fixed texts', () => {
  test.each<[string, string, string[]]>([
    ['gpt-2', "It's 12 o'clock!  ok\n", ['It', "'s", ' 12', ' o', "'", 'clock', '!', ' ', ' ok', '\n']],
    ['llama-bpe', "IT'S 1234 o'clock!\n\n x", ['IT', "'S", ' ', '123', '4', ' o', "'clock", '!\n\n', ' x']],
    ['gpt-2', "you're I've we'll", ['you', "'re", ' I', "'ve", ' we', "'ll"]],
    ['llama-bpe', "You'RE I'vE", ['You', "'RE", ' I', "'vE"]],
    ['qwen2', 'a12 b', ['a', '1', '2', ' b']],
    ['gpt-4o', 'zAb aZ', ['z', 'Ab', ' a', 'Z']],
    // Capital letters that are no small ones, of one and of two code units, behind one that counts as both.
    ['exact gpt-4o', '漢Ａ', ['漢', 'Ａ']],
    ['exact gpt-4o', '漢\u{10400}\u{10400}', ['漢', '\u{10400}\u{10400}']],
    ['gpt-4o', "helloWorld's ABCdef 1//\n", ['hello', "World's", ' ABCdef', ' ', '1', '//\n']],
    ['deepseek-v3', 'a1234 漢字 .b', ['a', '123', '4', ' ', '漢字', ' .', 'b']],
    ['deepseek-v3', '.Z.z', ['.Z', '.z']],
    ['deepseek-llm', '\u0000 \u0000  ', ['\u0000 \u0000', '  ']],
    ['deepseek-llm', 'ab, 12 \u00e9\n漢字  ', ['ab', ',', ' ', '12', ' \u00e9', '\n', '漢字', '  ']],
    ['deepseek-llm', 'a1\u01bbb ª! x', ['a', '1', '\u01bb', 'b', ' ª', '!', ' x']],
    ['deepseek-coder', 'ab, 12\n漢字', ['ab', ',', ' ', '1', '2', '\n', '漢字']],
    ['falcon', 'a`b+12345', ['a', '`', 'b', '+', '123', '45']],
    ['default', 'a`b+12345', ['a', '`', 'b', '+', '123', '45']],
    ['bloom', 'one two, three(4)', ['one', ' two', ',', ' three', '(', '4', ')']],
    ['viking', 'one 12', ['one', ' ', '1', '2']],
  ])('%s splits %j', (name, text, words) => {
    expect(split(text, rulesNamed(name))).toEqual(words);
  });
});

describe('names', () => {
  const families: Readonly<Record<string, readonly string[]>> = {
    'gpt-2':
      'phi-2 jina-es jina-de jina-v2-es jina-v2-de jina-v1-en jina-v2-code roberta-bpe gigachat a.x-4.0 mellum modern-bert mpt olmo jais trillion granite-docling exaone4'.split(
        ' ',
      ),
    smollm: 'starcoder refact command-r codeshell exaone minerva-7b mellum2'.split(' '),
    'llama-bpe': 'llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano'.split(' '),
    dbrx: 'smaug-bpe glm4 chatglm-bpe'.split(' '),
    qwen2:
      'deepseek-r1-qwen stablelm2 megrez kormo f2llmv2 hunyuan solar-open grok-2 bailingmoe bailingmoe2 llada-moe'.split(
        ' ',
      ),
    'gpt-4o': 'llama4 kanana2 talkie minimax-m2'.split(' '),
    'deepseek-v3': 'hunyuan-dense hy_v4 joyai-llm'.split(' '),
    bloom: 'poro-chat gpt3-finnish'.split(' '),
  };

  test.each(Object.entries(families))('of the family of %s are the same', (name, others) => {
    expect(findPreTokenizer(name)).toBeDefined();
    for (const other of others) expect(findPreTokenizer(other)).toBe(findPreTokenizer(name));
  });

  test('tell whether whole words are tokens, and whether texts begin with BOS', () => {
    const names = [...Object.keys(wordPatterns), 'dbrx', 'deepseek-llm'];
    const having = (option: 'ignoresMerges' | 'addsBos') =>
      names.filter((name) => findPreTokenizer(name)?.[option] === true);
    expect(having('ignoresMerges')).toEqual(['llama-bpe', 'minicpm5', 'granite-embed-multi-97m', 'tekken']);
    expect(having('addsBos')).toEqual(['llama-bpe', 'tekken']);
    expect(split("It's 1234!", rulesNamed('dbrx'))).toEqual(split("It's 1234!", rulesNamed('llama-bpe')));
  });

  test('or patterns are in the metadata; others are refused', () => {
    const word = (value: string): MetadataValue => ({ type: 'string', value });
    const strings = (...value: string[]): MetadataValue => ({
      type: 'array',
      element: 'string',
      value: StringList.from(value),
    });
    const [name, patterns] = ['tokenizer.ggml.pre', 'tesserae.tokenizer.patterns'];
    const read = (...values: [string, MetadataValue][]) => readPreTokenizer(new ModelMetadata(values, 'a.gguf'));
    expect(read([name, word('olmo')])).toBe(findPreTokenizer('gpt-2'));
    // The patterns are more exact than the name.
    const exact = read([name, word('olmo')], [patterns, strings('\\p{N}', '[0-9][0-9][0-9]')]);
    expect(split('ab1234', exact.rules)).toEqual(['ab', '1', '2', '3', '4']);
    expect(exact).not.toHaveProperty('ignoresMerges');
    expect(split('a b', read([patterns, strings()]).rules)).toEqual(['a b']);
    const refused = (message: string, code = 'ERR_UNSUPPORTED') =>
      expect.objectContaining({ code, message: `a.gguf: metadata key ${message}` });
    const unknown = () => read([patterns, strings('\\p{N}', 'x+', 'y+')]);
    expect(unknown).toThrow(refused(`"${patterns}" has the pattern "x+", which is not supported`));
    expect(() => read([name, word('qwen9')])).toThrow(
      refused(`"${name}" names the pre-tokenizer "qwen9", which is not supported`),
    );
    expect(() => read()).toThrow(refused(`"${name}" is missing`, 'ERR_MODEL_FILE'));
  });
});

describe('patterns of tokenizer.json files', () => {
  const ignoringCase = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
  const rest = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
  const gpt4 = (number: string) => `${ignoringCase}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${number}|${rest}`;
  const marked =
    `${ignoringCase}|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|` +
    '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
  const bare = `[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|${rest}`;
  const [gpt4o, tekken] = ['exact gpt-4o', 'exact tekken'].map((name) => (exactPatterns[name] ?? [])[0] as string);
  const japanese = '[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+';
  const deepseek =
    '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+';

  const names: readonly [name: string, ...chain: string[]][] = [
    ['gpt-2', gpt2Pattern],
    ['smollm', '\\p{N}', gpt2Pattern],
    ['llama-bpe', gpt4('\\p{N}{1,3}')],
    ['qwen2', gpt4('\\p{N}')],
    ['qwen35', marked],
    ['gpt-4o', gpt4o as string],
    ['tekken', tekken as string],
    ['deepseek-v3', '\\p{N}{1,3}', japanese, deepseek],
  ];

  test.each(names)('that have the name %s are known, and split alike', (name, ...chain) => {
    expect(namePatterns(chain)).toBe(name);
    expect(chain.every(isKnownPattern)).toBe(true);
    const exact = splitterOf(wordPatterns[`exact ${name}`] ?? wordPatterns[name] ?? []);
    const rules = rulesOf(chain);
    const wrong = texts.filter((text) => split(text, rules).join('|') !== exact(text).join('|'));
    expect(wrong).toEqual([]);
  });

  test.each([
    ['all digits', gpt4('\\p{N}+'), "a1234'S", ['a', '1234', "'S"]],
    ['no contractions', bare, "a12'sa", ['a', '1', '2', "'sa"]],
    ['runs of numbers', '\\p{N}+', 'a12345b', ['a', '12345', 'b']],
    ['a number', '\\p{N}', 'a12b', ['a', '1', '2', 'b']],
    ['three digits', '[0-9][0-9][0-9]', 'a12345', ['a', '123', '45']],
    ['three digits between letters', '[0-9][0-9][0-9]', 'a123b09', ['a', '123', 'b09']],
    ['the first and the last digit', '[0-9][0-9][0-9]', 'a099', ['a', '099']],
    ['Japanese', japanese, 'a漢かカb', ['a', '漢かカ', 'b']],
  ])('that have none are known: %s', (_, pattern, text, words) => {
    expect(isKnownPattern(pattern)).toBe(true);
    expect(namePatterns([pattern])).toBe('tesserae-patterns');
    expect(split(text, rulesOf([pattern]))).toEqual(words);
  });

  test('find the end of any number of digits, with pauses', () => {
    for (const pattern of [gpt4('\\p{N}+'), '\\p{N}+']) {
      const { found, pauses } = splitWithPauses(`a${'7'.repeat(9000)}b`, rulesOf([pattern]));
      expect(found.map((word) => word.length)).toEqual([1, 9000, 1]);
      expect(pauses).toBe(2);
    }
  });

  test('that are others are not; without any, a text is one word', () => {
    expect([isKnownPattern('x+'), isKnownPattern(''), isKnownPattern('\\p{N}{1,4}')]).toEqual([false, false, false]);
    expect(namePatterns([])).toBe('tesserae-patterns');
    expect([split('a 1', rulesOf([])), split('a 1', rulesOf(['x+']))]).toEqual([['a 1'], ['a 1']]);
  });
});
