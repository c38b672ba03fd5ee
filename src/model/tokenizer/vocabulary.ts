// The vocabulary of a model: texts and types of its tokens, and the special ids, from the `tokenizer.ggml.*` keys.
// Checks them; does not know how text is split. Shared by all kinds of tokenizers.
import { TesseraeError } from '../../errors.js';
import type { GgufMetadata } from '../gguf/metadata.js';
import { quote } from '../gguf/quote.js';
import type { StringList } from '../gguf/string-list.js';
import type { Pace } from '../pace.js';
import { TokenTable } from './token-table.js';

/** Token types as llama.cpp numbers them in `tokenizer.ggml.token_type`. */
export const UNKNOWN = 2;
export const CONTROL = 3;
export const USER_DEFINED = 4;
const NORMAL = 1;
const LAST_TYPE = 6;

const TOKENS_PER_LOOK = 512;

export interface Vocabulary {
  readonly texts: StringList;
  readonly types: ArrayLike<number>;
  /** Ids by text. Empty tokens, as some files have for padding, are left out. */
  readonly ids: TokenTable;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly addsBos: boolean;
}

/** @throws TesseraeError ERR_MODEL_FILE when keys are missing or inconsistent, or when a token stands twice */
export async function readVocabulary(metadata: GgufMetadata, pace: Pace): Promise<Vocabulary> {
  const tokensKey = 'tokenizer.ggml.tokens';
  const texts = metadata.strings(tokensKey);
  if (texts.length === 0) throw metadata.error(tokensKey, 'is empty');
  const ids = new TokenTable(texts);
  for (let id = 0; id < texts.length; id++) {
    const twin = texts.offsets[id] === texts.offsets[id + 1] ? -1 : ids.add(id);
    if (twin >= 0) throw metadata.error(tokensKey, `holds ${quote(texts.at(id))} twice, at ${twin} and ${id}`);
    if (id % TOKENS_PER_LOOK === 0 && pace.due()) await pace.rest();
  }
  const bosId = readId(metadata, 'tokenizer.ggml.bos_token_id', texts.length);
  const addsBosKey = 'tokenizer.ggml.add_bos_token';
  const addsBos = metadata.boolean(addsBosKey, false);
  if (addsBos && bosId === undefined) throw metadata.error(addsBosKey, 'is true, but there is no BOS token');
  const eosId = readId(metadata, 'tokenizer.ggml.eos_token_id', texts.length);
  return { texts, types: readTypes(metadata, texts.length), ids, bosId, eosId, addsBos };
}

function readId(metadata: GgufMetadata, key: string, vocabularySize: number): number | undefined {
  if (!metadata.has(key)) return undefined;
  const id = metadata.count(key);
  if (id >= vocabularySize) throw metadata.error(key, `is ${id}, but the vocabulary has ${vocabularySize} tokens`);
  return id;
}

/** Absent types mean that all tokens are normal ones. */
function readTypes(metadata: GgufMetadata, vocabularySize: number): ArrayLike<number> {
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
  return types;
}

/** @throws TesseraeError ERR_TOKENIZER when `id` is not in the vocabulary */
export function checkTokenId(id: number, vocabularySize: number): number {
  if (Number.isInteger(id) && id >= 0 && id < vocabularySize) return id;
  throw new TesseraeError(
    'ERR_TOKENIZER',
    `token id ${String(id)} is not in the vocabulary of ${vocabularySize} tokens`,
  );
}
