// The special tokens of a vocabulary: those that the metadata names, and those found by their text, because many files
// do not name or mark them. The texts and corrections are those of llama.cpp. Called by vocabulary.ts.
import type { ModelMetadata } from '../../metadata/model-metadata.js';
import type { StringList } from '../../metadata/string-list.js';
import type { TokenTable } from './token-table.js';

/** Token types as llama.cpp numbers them in `tokenizer.ggml.token_type`. */
export const NORMAL = 1;
export const UNKNOWN = 2;
export const CONTROL = 3;
export const USER_DEFINED = 4;
export const UNUSED = 5;
export const BYTE = 6;

/** Texts of tokens at which every chat and text model stops. */
const endTexts = [
  '<|eot_id|>',
  '<|im_end|>',
  '<|end|>',
  '<|return|>',
  '<|call|>',
  '<|flush|>',
  '<|calls|>',
  '<end_of_turn>',
  '<|endoftext|>',
  '</s>',
  '<|eom_id|>',
  '<EOT>',
  '_<EOT>',
  '[EOT]',
  '[EOS]',
  '<|end_of_text|>',
  '<end_of_utterance>',
  '<eos>',
  '<turn|>',
  '<|tool_response>',
  '<｜end▁of▁sentence｜>',
  '[e~[',
] as const;

/** Fill-in-the-middle tokens that end a completion: of each list, the first token that exists. */
const fillEndTexts = [
  ['<|fim_pad|>', '<fim-pad>', '<fim_pad>', '<PAD>', '[PAD]'],
  ['<|fim_repo|>', '<|repo_name|>', '<fim-repo>', '<REPO>', '<reponame>'],
  ['<|file_sep|>'],
] as const;
const fillEndKeys = ['fim_pad', 'fim_rep', 'fim_sep'] as const;

/** Fill-in-the-middle tokens that become control tokens, whatever type the file gives them; the first of each list. */
const fillTexts = [
  [
    '<|fim_prefix|>',
    '<fim-prefix>',
    '<fim_prefix>',
    '<｜fim▁begin｜>',
    '<PRE>',
    '▁<PRE>',
    '<|code_prefix|>',
    '<|prefix|>',
  ],
  [
    '<|fim_suffix|>',
    '<fim-suffix>',
    '<fim_suffix>',
    '<｜fim▁hole｜>',
    '<SUF>',
    '▁<SUF>',
    '<|code_suffix|>',
    '<|suffix|>',
  ],
  [
    '<|fim_middle|>',
    '<fim-middle>',
    '<fim_middle>',
    '<｜fim▁end｜>',
    '<MID>',
    '▁<MID>',
    '<|code_middle|>',
    '<|middle|>',
  ],
] as const;

/** Marks of the Harmony chat format, which stay visible in the text. */
const shownTexts = ['<|channel|>', '<|message|>', '<|start|>', '<|constrain|>'] as const;

/** The ids of special tokens; undefined where the model has none. */
export interface SpecialIds {
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly unknownId: number | undefined;
  readonly separatorId: number | undefined;
  /** All tokens that end a generation. */
  readonly endIds: ReadonlySet<number>;
}

/** The ids of a kind of tokenizer that apply where the file names none. */
export interface DefaultIds {
  readonly bos?: number;
  readonly eos?: number;
  readonly unknown?: number;
  readonly separator?: number;
}

interface TokenList {
  readonly texts: StringList;
  readonly types: Uint8Array;
  readonly ids: TokenTable;
}

/** Reads the ids that the metadata names, and finds others by their text. Corrects the tokens' types in place. */
export function readSpecialIds(metadata: ModelMetadata, tokens: TokenList, defaults: DefaultIds): SpecialIds {
  const { types, ids } = tokens;
  const size = tokens.texts.length;
  const named = (name: string, fallback?: number) => readId(metadata, name, size, fallback);
  const byText = (text: string): number => {
    const utf8 = Buffer.from(text);
    return ids.find(utf8, 0, utf8.length);
  };
  const endIds = new Set<number>();
  const addControl = (id: number, isEnd: boolean) => {
    if (id < 0) return;
    types[id] = CONTROL;
    if (isEnd) endIds.add(id);
  };
  const firstOf = (texts: readonly string[]) => texts.map(byText).find((id) => id >= 0) ?? -1;
  fillEndTexts.forEach((texts, i) => {
    const id = named(fillEndKeys[i] as string);
    if (id === undefined) addControl(firstOf(texts), true);
    else endIds.add(id);
  });
  for (const texts of fillTexts) addControl(firstOf(texts), false);
  for (const text of endTexts) addControl(byText(text), true);
  for (const text of shownTexts) {
    const id = byText(text);
    if (id >= 0) types[id] = USER_DEFINED;
  }
  const eosId = named('eos', defaults.eos);
  for (const id of [eosId, named('eot'), named('eom')]) if (id !== undefined) endIds.add(id);
  const has = (text: string) => endIds.has(byText(text));
  // In models with these tokens, <|end|> ends a message and not the turn.
  if ((has('<|return|>') && has('<|call|>')) || (has('<|flush|>') && (has('<|call|>') || has('<|calls|>')))) {
    demote('<|end|>', USER_DEFINED);
  }
  if (has('<|tool_response>')) demote('</s>', NORMAL);
  return {
    bosId: named('bos', defaults.bos),
    eosId,
    unknownId: named('unknown', defaults.unknown),
    separatorId: named('seperator', defaults.separator),
    endIds,
  };

  function demote(text: string, type: number): void {
    const id = byText(text);
    if (endIds.delete(id)) types[id] = type;
  }
}

function readId(metadata: ModelMetadata, name: string, size: number, fallback: number | undefined): number | undefined {
  const key = `tokenizer.ggml.${name}_token_id`;
  if (!metadata.has(key)) return (fallback ?? size) < size ? fallback : undefined;
  const id = metadata.count(key);
  if (id >= size) throw metadata.error(key, `is ${id}, but the vocabulary has ${size} tokens`);
  return id;
}
