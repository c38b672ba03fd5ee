// The vocabulary of a model: texts and types of its tokens, and the special ids, read from the `tokenizer.ggml.*` keys
// and checked. It does not split text. Shared by all kinds of tokenizers.
import { describe } from '../../base/describe.js';
import { TesseraeError } from '../../base/errors.js';
import { quote } from '../../base/quote.js';
import type { TimeSlice } from '../../base/time-slice.js';
import type { ModelMetadata } from '../../metadata/model-metadata.js';
import type { StringList } from '../../metadata/string-list.js';
import {
  BYTE,
  CONTROL,
  type DefaultIds,
  NORMAL,
  readSpecialIds,
  type SpecialIds,
  UNKNOWN,
  USER_DEFINED,
} from './special-ids.js';
import { TokenTable } from './token-table.js';

const LAST_TYPE = BYTE;
const TOKENS_PER_LOOK = 512;
const tokensKey = 'tokenizer.ggml.tokens';

export interface Vocabulary extends SpecialIds {
  readonly texts: StringList;
  readonly types: Uint8Array;
  /** Ids by text. Empty tokens, which some files have as padding, are left out. */
  readonly ids: TokenTable;
  readonly addsBos: boolean;
  /** Whether texts end with {@link endId}. */
  readonly addsEos: boolean;
  /** The token that ends a text: EOS, or the separator of an encoder. */
  readonly endId: number | undefined;
  /** Special tokens that remove the white space before them, or after them, from the text. */
  readonly stripsLeft: ReadonlySet<number>;
  readonly stripsRight: ReadonlySet<number>;
  /** Whether spaces in front of punctuation are removed when a text is decoded. */
  readonly cleansUp: boolean;
  /** An error about a token of the file. */
  readonly errorAt: (id: number, problem: string) => TesseraeError;
}

/** The defaults of a kind of tokenizer, where the file has no key. */
export interface VocabularyDefaults extends DefaultIds {
  readonly addsBos?: boolean | undefined;
  readonly addsEos?: boolean;
  /** Whether a text ends with the separator instead of EOS. */
  readonly endsWithSeparator?: boolean;
}

/** @throws TesseraeError ERR_MODEL_FILE when keys are missing or inconsistent, or when two tokens have the same text */
export async function readVocabulary(
  metadata: ModelMetadata,
  timeSlice: TimeSlice,
  defaults: VocabularyDefaults = {},
): Promise<Vocabulary> {
  const texts = metadata.strings(tokensKey);
  if (texts.length === 0) throw metadata.error(tokensKey, 'is empty');
  const ids = new TokenTable(texts);
  for (let id = 0; id < texts.length; id++) {
    const twin = texts.offsets[id] === texts.offsets[id + 1] ? -1 : ids.add(id);
    if (twin >= 0) throw metadata.error(tokensKey, `has ${quote(texts.at(id))} twice, at ${twin} and ${id}`);
    if (id % TOKENS_PER_LOOK === 0 && timeSlice.isOver()) await timeSlice.yield();
  }
  const types = readTypes(metadata, texts.length);
  const special = readSpecialIds(metadata, { texts, types, ids }, defaults);
  const endId = defaults.endsWithSeparator === true ? special.separatorId : special.eosId;
  const adds = (name: string, id: number | undefined, fallback = false): boolean => {
    const key = `tokenizer.ggml.add_${name}_token`;
    const given = metadata.has(key) ? metadata.boolean(key) : undefined;
    if (given === true && id === undefined)
      throw metadata.error(key, `is true, but there is no ${name.toUpperCase()} token`);
    return given ?? (fallback && id !== undefined);
  };
  return {
    texts,
    types,
    ids,
    ...special,
    endId,
    addsBos: adds('bos', special.bosId, defaults.addsBos),
    addsEos: adds(defaults.endsWithSeparator === true ? 'sep' : 'eos', endId, defaults.addsEos),
    ...readStrips(metadata, types, ids),
    cleansUp: metadata.boolean('tesserae.tokenizer.clean_up_spaces', false),
    errorAt: (id, problem) => metadata.error(tokensKey, `at ${id} ${problem}`),
  };
}

/** The tokens' types. Without the key, all tokens are normal. */
function readTypes(metadata: ModelMetadata, vocabularySize: number): Uint8Array {
  const key = 'tokenizer.ggml.token_type';
  if (!metadata.has(key)) return new Uint8Array(vocabularySize).fill(NORMAL);
  const types = metadata.integers(key);
  if (types.length !== vocabularySize) {
    throw metadata.error(key, `has ${types.length} entries, but the vocabulary has ${vocabularySize} tokens`);
  }
  for (let id = 0; id < types.length; id++) {
    const type = types[id] as number;
    if (type < 0 || type > LAST_TYPE) throw metadata.error(key, `has the unknown type ${type} at ${id}`);
  }
  return Uint8Array.from(types);
}

/**
 * The scores of all tokens.
 * @throws TesseraeError ERR_MODEL_FILE when they are missing or too few, or when one is NaN or Infinity
 */
export function readScores(metadata: ModelMetadata, vocabularySize: number): Float32Array {
  const key = 'tokenizer.ggml.scores';
  const entry = metadata.get(key);
  if (entry === undefined) throw metadata.error(key, 'is missing');
  const isArray = entry.type === 'array' && (entry.element === 'f32' || entry.element === 'i32');
  if (!isArray) throw metadata.error(key, 'must be an array of f32 or i32');
  const scores = Float32Array.from(entry.value as ArrayLike<number>);
  if (scores.length < vocabularySize) {
    throw metadata.error(key, `has ${scores.length} entries, but the vocabulary has ${vocabularySize} tokens`);
  }
  const wrong = scores.findIndex((score) => Number.isNaN(score) || score === Number.POSITIVE_INFINITY);
  if (wrong >= 0) throw metadata.error(key, `is ${scores[wrong]} at ${wrong}`);
  return scores;
}

/**
 * The tokens that remove the white space around them. GGUF files have no key for this: like llama.cpp, it is derived
 * from the names of pre-tokenizer, architecture and model.
 */
function readStrips(
  metadata: ModelMetadata,
  types: Uint8Array,
  ids: TokenTable,
): Pick<Vocabulary, 'stripsLeft' | 'stripsRight'> {
  const listed = (side: string): number[] => {
    const key = `tesserae.tokenizer.strips_${side}`;
    return metadata.has(key) ? Array.from(metadata.integers(key)) : [];
  };
  const stripsLeft = new Set(listed('left'));
  const stripsRight = new Set(listed('right'));
  const stringOf = (key: string) => {
    const entry = metadata.get(key);
    return entry?.type === 'string' ? entry.value : '';
  };
  const find = (text: string): number => {
    const utf8 = Buffer.from(text);
    return ids.find(utf8, 0, utf8.length);
  };
  const name = stringOf('general.name').toLowerCase();
  const architecture = stringOf('general.architecture');
  if (/jina-v2-(de|es|code)/.test(stringOf('tokenizer.ggml.pre')) || /nomic-bert-moe|jina-bert-v3/.test(architecture)) {
    stripsLeft.add(find('<mask>'));
  } else if (/phi-?3/.test(name)) {
    types.forEach((type, id) => {
      if (type !== NORMAL && type !== BYTE) stripsRight.add(id);
    });
    stripsRight.add(find('</s>'));
    for (const text of ['<unk>', '<s>', '<|endoftext|>']) stripsRight.delete(find(text));
  } else if (name.includes('modern-bert')) {
    stripsLeft.add(find('[MASK]'));
  }
  return { stripsLeft, stripsRight };
}

/** Whether a token of this type is a mark for the model and not text. */
export function isControlType(type: number | undefined): boolean {
  return type === CONTROL || type === UNKNOWN;
}

/**
 * Whether splitting a text must never form this token. Control tokens are such, and user-defined ones: these are found before a text
 * is split, and what is left of them afterwards is a message that spells a mark of its template.
 * @param isRaw matches the tokens whose text is written in the vocabulary as in a text, so that they are found there
 */
export function isNeverFormed({ types, texts }: Vocabulary, id: number, isRaw: RegExp): boolean {
  return isControlType(types[id]) || (types[id] === USER_DEFINED && isRaw.test(texts.at(id)));
}

/** @throws TesseraeError ERR_TOKENIZER when `id` is not in the vocabulary */
export function checkTokenId(id: number, vocabularySize: number): number {
  if (Number.isInteger(id) && id >= 0 && id < vocabularySize) return id;
  throw new TesseraeError(
    'ERR_TOKENIZER',
    `token id ${describe(id)} is not in the vocabulary of ${vocabularySize} tokens`,
  );
}
