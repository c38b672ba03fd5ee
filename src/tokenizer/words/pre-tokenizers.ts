// The pre-tokenizers that files name in `tokenizer.ggml.pre`: each is a chain of rules, with the other settings that
// llama.cpp derives from the name. A family is a line in one of the tables below. Called by byte-level-bpe.ts.
import { quote } from '../../base/quote.js';
import type { ModelMetadata } from '../../metadata/model-metadata.js';
import { classOf, LETTER, MARK, NUMBER, PUNCTUATION, patternTest } from './character-classes.js';
import { isKnownPattern, rulesOf } from './patterns.js';
import {
  asciiCases,
  deepseekWords,
  digits,
  gpt2Words,
  gpt4oWords,
  gpt4Words,
  lines,
  runOf,
  single,
  threeDigits,
  trailingSpaces,
  type WordRule,
} from './word-rules.js';

export interface PreTokenizer {
  readonly rules: readonly WordRule[];
  /** Whether a word that is a token becomes that token without merging. */
  readonly ignoresMerges?: boolean;
  /** Whether texts begin with BOS if the file has no key for it. */
  readonly addsBos?: boolean;
}

const is = (mask: number) => (c: number) => (classOf(c) & mask) !== 0;
const isNumber = is(NUMBER);
const isNewline = (c: number) => c === 0x0a || c === 0x0d;
const sentenceWords = runOf(
  patternTest(/[^(\p{White_Space}|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]/u),
  'blank',
);
const asiaticText = runOf(patternTest(/[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]/u));
// The cased letters that DeepSeek's first models list: code points in hexadecimal.
const deepseekLetterRanges =
  '41-5A 61-7A B5 C0-D6 D8-F6 F8-1BA 1BC-1BF 1C4-293 295-2AF 370-373 376-377 37B-37D 37F 386 388-38A 38C ' +
  '38E-3A1 3A3-3F5 3F7-481 48A-52F 531-556 10A0-10C5 13A0-13F5 13F8-13FD 1C90-1CBA 1CBD-1CBF 1D00-1D2B ' +
  '1D6B-1D77 1D79-1D9A 1E00-1F15 1F18-1F1D 1F20-1F45 1F48-1F4D 1F50-1F57 1F59 1F5B 1F5D 1F5F-1F7D 1F80-1FB4 ' +
  '1FB6-1FBC 1FBE 1FC2-1FC4 1FC6-1FCC 1FD0-1FD3 1FD6-1FDB 1FE0-1FEC 1FF2-1FF4 1FF6-1FFC 2102 2107 210A-2113 ' +
  '2115 2119-211D 2124 2126 2128 212A-212D 212F-2134 2139 213C-213F 2145-2149 214E 2183-2184 2C00-2C7B ' +
  '2C7E-2CE4 2CEB-2CEE 2CF2-2CF3 A640-A66D A680-A69B A722-A76F A771-A787 A78B-A78E AB70-ABBF FB00-FB06 ' +
  'FB13-FB17 FF21-FF3A FF41-FF5A 10400-1044F 104B0-104D3 104D8-104FB 10C80-10CB2 10CC0-10CF2 118A0-118DF ' +
  '1E900-1E943';
const deepseekLetters = patternTest(
  new RegExp(`[${deepseekLetterRanges.replace(/[0-9A-F]+/g, (hex) => `\\u{${hex}}`).replaceAll(' ', '')}]`, 'u'),
);
const any = Number.POSITIVE_INFINITY;

const gpt2: PreTokenizer = { rules: [gpt2Words] };
const starcoder: PreTokenizer = { rules: [single(isNumber), gpt2Words] };
const llama3: PreTokenizer = { rules: [gpt4Words({ digits: 3 })], ignoresMerges: true, addsBos: true };
const dbrx: PreTokenizer = { rules: [gpt4Words({ digits: 3 })] };
const qwen2: PreTokenizer = { rules: [gpt4Words({ digits: 1 })] };
const gpt4o: PreTokenizer = { rules: [gpt4oWords(asciiCases(LETTER), { digits: 3 })] };
const deepseek3: PreTokenizer = {
  rules: [digits(3), runOf(patternTest(/[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]/u)), deepseekWords],
};
const sentences: PreTokenizer = { rules: [sentenceWords] };

/** The pre-tokenizers by the names in llama.cpp's table. */
const preTokenizers: ReadonlyMap<string, PreTokenizer> = new Map([
  ...named(gpt2, 'gpt-2', 'phi-2', 'jina-es', 'jina-de', 'jina-v2-es', 'jina-v2-de', 'jina-v1-en', 'jina-v2-code'),
  ...named(gpt2, 'roberta-bpe', 'gigachat', 'a.x-4.0', 'mellum', 'modern-bert', 'mpt', 'olmo', 'jais', 'trillion'),
  ...named(gpt2, 'granite-docling', 'exaone4'),
  ...named(starcoder, 'starcoder', 'refact', 'command-r', 'smollm', 'codeshell', 'exaone', 'minerva-7b', 'mellum2'),
  ...named(llama3, 'llama-bpe', 'llama3', 'llama-v3', 'falcon3', 'falcon-h1', 'pixtral', 'midm-2.0', 'lfm2'),
  ...named(llama3, 'jina-v5-nano'),
  ...named(dbrx, 'dbrx', 'smaug-bpe', 'glm4', 'chatglm-bpe'),
  ...named(qwen2, 'qwen2', 'deepseek-r1-qwen', 'stablelm2', 'megrez', 'kormo', 'f2llmv2', 'hunyuan', 'solar-open'),
  ...named(qwen2, 'grok-2', 'bailingmoe', 'bailingmoe2', 'llada-moe'),
  ...named({ rules: [gpt4Words({ digits: 1, marks: true })] }, 'qwen35'),
  ...named({ rules: [gpt4Words({ digits: 1, contractions: false })] }, 'ufakzeka'),
  ...named({ rules: [gpt4Words({ digits: 1, newlinesApart: true })] }, 'seed-coder'),
  ...named({ rules: [digits(3), gpt4Words({ digits: any })], ignoresMerges: true }, 'minicpm5'),
  ...named({ rules: [lines, gpt4Words({ digits: 1 })] }, 'laguna'),
  ...named(gpt4o, 'gpt-4o', 'llama4', 'kanana2', 'talkie', 'minimax-m2'),
  ...named(
    { rules: [gpt4oWords(asciiCases(LETTER | MARK), { digits: 3 })], ignoresMerges: true },
    'granite-embed-multi-97m',
  ),
  ...named(
    {
      rules: [gpt4oWords(asciiCases(LETTER), { digits: 1, contractions: false })],
      ignoresMerges: true,
      addsBos: true,
    },
    'tekken',
  ),
  ...named(deepseek3, 'deepseek-v3', 'hunyuan-dense', 'hy_v4', 'joyai-llm'),
  ...named(
    {
      rules: [single(isNewline), runOf(is(LETTER), 'space'), runOf(is(PUNCTUATION), 'space'), asiaticText, digits(1)],
    },
    'deepseek-coder',
  ),
  ...named(
    {
      rules: [
        single(isNewline),
        runOf(deepseekLetters, 'space'),
        runOf(patternTest(/[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]/u), 'space'),
        trailingSpaces,
        asiaticText,
        runOf(isNumber),
      ],
    },
    'deepseek-llm',
  ),
  ...named({ rules: [runOf(patternTest(/[\p{P}$+<=>^~|`]/u)), gpt2Words, threeDigits] }, 'falcon'),
  ...named({ rules: [runOf(patternTest(/[\p{P}$+<=>^~|]/u)), gpt2Words, runOf(isNumber), threeDigits] }, 'default'),
  ...named(sentences, 'poro-chat', 'bloom', 'gpt3-finnish'),
  ...named({ rules: [sentenceWords, single(isNumber)] }, 'viking'),
]);

function named(preTokenizer: PreTokenizer, ...names: readonly string[]): [string, PreTokenizer][] {
  return names.map((name) => [name, preTokenizer]);
}

/** The pre-tokenizer of a name, or undefined. */
export function findPreTokenizer(name: string): PreTokenizer | undefined {
  return preTokenizers.get(name);
}

/**
 * The pre-tokenizer of a model: the one that its file names, or the exact patterns of its tokenizer.json.
 * @throws TesseraeError ERR_UNSUPPORTED for an unknown name, ERR_MODEL_FILE without a name
 */
export function readPreTokenizer(metadata: ModelMetadata): PreTokenizer {
  const patternsKey = 'tesserae.tokenizer.patterns';
  if (metadata.has(patternsKey)) {
    const patterns = [...metadata.strings(patternsKey)];
    const unknown = patterns.find((pattern) => !isKnownPattern(pattern));
    if (unknown === undefined) return { rules: rulesOf(patterns) };
    throw metadata.error(patternsKey, `has the pattern ${quote(unknown)}, which is not supported`, 'ERR_UNSUPPORTED');
  }
  const key = 'tokenizer.ggml.pre';
  const name = metadata.string(key);
  const preTokenizer = findPreTokenizer(name);
  if (preTokenizer !== undefined) return preTokenizer;
  throw metadata.error(key, `names the pre-tokenizer ${quote(name)}, which is not supported`, 'ERR_UNSUPPORTED');
}
