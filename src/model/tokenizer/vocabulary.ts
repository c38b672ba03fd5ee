// The vocabulary of a model: texts and types of its tokens, and the special ids, from the `tokenizer.ggml.*` keys.
// Checks them; does not know how text is split. Shared by all kinds of tokenizers.
import { TesseraeError } from '../../errors.js';
import type { GgufMetadata } from '../gguf/metadata.js';
import { quote } from '../gguf/quote.js';
import type { StringList } from '../gguf/string-list.js';
import type { Pace } from '../pace.js';
import { BYTE, type DefaultIds, NORMAL, readSpecialIds, type SpecialIds } from './special-ids.js';
import { TokenTable } from './token-table.js';

const LAST_TYPE = BYTE;

const TOKENS_PER_LOOK = 512;

export interface Vocabulary extends SpecialIds {
  readonly texts: StringList;
  readonly types: Uint8Array;
  /** Ids by text. Empty tokens, as some files have for padding, are left out. */
  readonly ids: TokenTable;
  readonly addsBos: boolean;
}

/** @throws TesseraeError ERR_MODEL_FILE when keys are missing or inconsistent, or when a token stands twice */
export async function readVocabulary(
  metadata: GgufMetadata,
  pace: Pace,
  defaults: DefaultIds = {},
): Promise<Vocabulary> {
  const tokensKey = 'tokenizer.ggml.tokens';
  const texts = metadata.strings(tokensKey);
  if (texts.length === 0) throw metadata.error(tokensKey, 'is empty');
  const ids = new TokenTable(texts);
  for (let id = 0; id < texts.length; id++) {
    const twin = texts.offsets[id] === texts.offsets[id + 1] ? -1 : ids.add(id);
    if (twin >= 0) throw metadata.error(tokensKey, `holds ${quote(texts.at(id))} twice, at ${twin} and ${id}`);
    if (id % TOKENS_PER_LOOK === 0 && pace.due()) await pace.rest();
  }
  const types = readTypes(metadata, texts.length);
  const special = readSpecialIds(metadata, { texts, types, ids }, defaults);
  const addsBosKey = 'tokenizer.ggml.add_bos_token';
  const addsBos = metadata.boolean(addsBosKey, false);
  if (addsBos && special.bosId === undefined) throw metadata.error(addsBosKey, 'is true, but there is no BOS token');
  return { texts, types, ids, ...special, addsBos };
}

/** Absent types mean that all tokens are normal ones. */
function readTypes(metadata: GgufMetadata, vocabularySize: number): Uint8Array {
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

/** @throws TesseraeError ERR_TOKENIZER when `id` is not in the vocabulary */
export function checkTokenId(id: number, vocabularySize: number): number {
  if (Number.isInteger(id) && id >= 0 && id < vocabularySize) return id;
  throw new TesseraeError(
    'ERR_TOKENIZER',
    `token id ${String(id)} is not in the vocabulary of ${vocabularySize} tokens`,
  );
}
