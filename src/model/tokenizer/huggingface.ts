// Tokenizers of Hugging Face folders: translates tokenizer.json and tokenizer_config.json into the metadata that a GGUF
// file of the same model has, and refuses by name what has no translation. Called by the reader of such folders.
import { GgufMetadata } from '../gguf/metadata.js';
import { quote } from '../gguf/quote.js';
import { StringList } from '../gguf/string-list.js';
import type { MetadataValue } from '../gguf/value-types.js';
import { addEndings } from './huggingface-endings.js';
import { translateText } from './huggingface-text.js';
import { JsonView } from './json-view.js';
import { BYTE, CONTROL, NORMAL, UNKNOWN, UNUSED, USER_DEFINED } from './special-ids.js';
import { createTokenizer, type Tokenizer } from './tokenizer.js';

const SPACE_MARK = '\u2581';
/** Ids that stand for nothing: a file may skip a few, no more than it has, but not make a small vocabulary huge. */
const MOST_GAPS = 4096;

/** What is known of the tokens while a file is read. */
export interface TokenList {
  readonly texts: string[];
  readonly types: number[];
  readonly ids: ReadonlyMap<string, number>;
}

export type MetadataMap = Map<string, MetadataValue>;

/**
 * The `tokenizer.*` metadata of a model, from its parsed (or unparsed) tokenizer.json and tokenizer_config.json.
 * @throws TesseraeError ERR_MODEL_FILE for a file that is damaged, ERR_UNSUPPORTED for parts that are not known
 */
export function tokenizerMetadata(tokenizerJson: unknown, configJson: unknown = {}): MetadataMap {
  const file = JsonView.parse(tokenizerJson, 'tokenizer.json');
  const config = JsonView.parse(configJson, 'tokenizer_config.json');
  const model = file.at('model');
  const tokens = readTokens(file);
  const metadata: MetadataMap = new Map();
  const kind = translateText(file, metadata);
  metadata.set('tokenizer.ggml.model', { type: 'string', value: kind });
  if (kind === 'gpt2') addMerges(model, metadata);
  else if (kind === 'llama') addScores(metadata, scoresOfMerges(model, tokens));
  else if (kind === 't5') addScores(metadata, scoresOfPieces(model, tokens));
  else markWords(tokens);
  metadata.set('tokenizer.ggml.tokens', { type: 'array', element: 'string', value: StringList.from(tokens.texts) });
  metadata.set('tokenizer.ggml.token_type', { type: 'array', element: 'i32', value: Int32Array.from(tokens.types) });
  addEndings(file, config, tokens.ids, metadata);
  return metadata;
}

/**
 * Makes the tokenizer of a Hugging Face folder.
 * @throws as {@link tokenizerMetadata}; AbortError when the signal fires
 */
export async function createTokenizerFromJson(
  tokenizerJson: unknown,
  configJson: unknown = {},
  options: { signal?: AbortSignal } = {},
): Promise<Tokenizer> {
  return createTokenizer(new GgufMetadata(tokenizerMetadata(tokenizerJson, configJson), 'tokenizer.json'), options);
}

function readTokens(file: JsonView): TokenList {
  const model = file.at('model');
  const pieces = model.at('vocab');
  const byId = new Map<number, string>();
  const place = (id: number, text: string, where: JsonView) => {
    const other = byId.get(id);
    if (other !== undefined && other !== text) {
      throw where.error(`gives the id ${id} to ${quote(text)} and to ${quote(other)}`);
    }
    byId.set(id, text);
  };
  if (Array.isArray(pieces.value)) {
    pieces.value.forEach((entry: unknown, id) => {
      const text: unknown = Array.isArray(entry) ? entry[0] : undefined;
      if (typeof text !== 'string') throw pieces.error(`has no token at ${id}`);
      place(id, text, pieces);
    });
  } else {
    for (const [text, id] of Object.entries(pieces.rawObject()))
      place(new JsonView(id, pieces.place).id(), text, pieces);
  }
  const added = file.at('added_tokens').list();
  for (const token of added) place(token.at('id').id(), token.at('content').string(), token);
  let size = 0;
  for (const id of byId.keys()) size = Math.max(size, id + 1);
  if (size - byId.size > Math.min(MOST_GAPS, byId.size))
    throw pieces.error(`has ${byId.size} tokens, but ids up to ${size - 1}`);
  const texts = new Array<string>(size).fill('');
  const types = new Array<number>(size).fill(UNUSED);
  const hasBytes = model.at('byte_fallback').boolean(false);
  for (const [id, text] of byId) {
    texts[id] = text;
    types[id] = hasBytes && /^<0x[0-9A-F]{2}>$/.test(text) ? BYTE : NORMAL;
  }
  for (const token of added) {
    if (token.at('single_word').boolean(false)) throw token.unsupported('single_word');
    types[token.at('id').id()] = token.at('special').boolean(false) ? CONTROL : USER_DEFINED;
  }
  const ids = new Map([...byId].map(([id, text]) => [text, id]));
  const unknown = model.at('unk_token').isAbsent ? undefined : ids.get(model.at('unk_token').string());
  const unknownId = model.at('unk_id').isAbsent ? unknown : model.at('unk_id').id();
  if (unknownId !== undefined && unknownId < size) types[unknownId] = UNKNOWN;
  return { texts, types, ids };
}

/** Merges as pairs: of each, the left and the right token. */
function* mergesOf(model: JsonView): Generator<readonly [string, string]> {
  const merges = model.at('merges');
  for (const [i, merge] of merges.rawList().entries()) {
    const pair: readonly unknown[] = typeof merge === 'string' ? merge.split(' ') : Array.isArray(merge) ? merge : [];
    const [left, right] = pair;
    if (pair.length !== 2 || typeof left !== 'string' || typeof right !== 'string') {
      throw merges.error(`has no pair of tokens at ${i}`);
    }
    yield [left, right];
  }
}

function addMerges(model: JsonView, metadata: MetadataMap): void {
  const lines = Array.from(mergesOf(model), ([left, right]) => {
    if (left.includes(' ') || right.includes(' ')) throw model.at('merges').error('has a token with a space');
    return `${left} ${right}`;
  });
  metadata.set('tokenizer.ggml.merges', { type: 'array', element: 'string', value: StringList.from(lines) });
}

/** The scores with which SentencePiece merges as these merges do: the earlier a token is made, the better. */
function scoresOfMerges(model: JsonView, { texts, ids }: TokenList): Float32Array {
  // A token that no merge makes is never made.
  const scores = new Float32Array(texts.length).fill(Number.NEGATIVE_INFINITY);
  let rank = 0;
  for (const [left, right] of mergesOf(model)) {
    const id = ids.get(left + right);
    if (id === undefined) throw model.at('merges').error(`makes ${quote(left + right)}, which is no token`);
    if (scores[id] === Number.NEGATIVE_INFINITY) scores[id] = -rank;
    rank += 1;
  }
  return scores;
}

function scoresOfPieces(model: JsonView, { texts }: TokenList): Float32Array {
  const vocabulary = model.at('vocab');
  const scores = new Float32Array(texts.length);
  vocabulary.rawList().forEach((entry, id) => {
    const score: unknown = Array.isArray(entry) ? entry[1] : undefined;
    if (typeof score !== 'number' || !Number.isFinite(score)) throw vocabulary.error(`has no score at ${id}`);
    scores[id] = score;
  });
  return scores;
}

function addScores(metadata: MetadataMap, scores: Float32Array): void {
  metadata.set('tokenizer.ggml.scores', { type: 'array', element: 'f32', value: scores });
}

/** GGUF files write tokens that begin a word with U+2581 in front, and those within a word bare. */
function markWords({ texts, types }: TokenList): void {
  texts.forEach((text, id) => {
    if (types[id] !== NORMAL) return;
    texts[id] = /^##./u.test(text) ? text.slice(2) : `${SPACE_MARK}${text}`;
  });
}
