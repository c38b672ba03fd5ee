// The tokens of a tokenizer.json: texts and types by id, from the vocabulary and the added tokens, read in time slices.
// Called by huggingface.ts.
import type { JsonView } from '../../base/json-view.js';
import { quote } from '../../base/quote.js';
import type { TimeSlice } from '../../base/time-slice.js';
import { StringList } from '../../metadata/string-list.js';
import { ByteList } from '../byte-list.js';
import { BYTE, CONTROL, NORMAL, UNKNOWN, UNUSED, USER_DEFINED } from '../vocabulary/special-ids.js';
import { spaceMarkBytes } from '../vocabulary/token-bytes.js';
import { TokenTable } from '../vocabulary/token-table.js';
import { type DocumentAround, type JsonSpan, JsonWalker } from './json-spans.js';

/**
 * How many ids a file may skip; and never more than it has tokens, so that a small file cannot make a huge vocabulary.
 */
const MOST_GAPS = 4096;
const MOST_ID = 2 ** 24 - 1;
/** The shortest entry of a vocabulary is `"":0,`. */
const ENTRY_BYTES = 5;
export const ENTRIES_PER_LOOK = 256;

export const vocabPath = 'model.vocab';
export const mergesPath = 'model.merges';

/** The tokens of a file. */
export interface TokenList {
  readonly texts: StringList;
  readonly types: Int32Array;
  readonly table: TokenTable;
  /** The scores by id, if the vocabulary is a list of tokens with scores. */
  readonly scores: Float32Array | undefined;
}

/** The id of a token, or undefined. */
export function idOf({ table }: TokenList, text: string): number | undefined {
  const utf8 = Buffer.from(text);
  const id = table.find(utf8, 0, utf8.length);
  return id < 0 ? undefined : id;
}

/** Tokens in the order in which they were read. */
class Entries {
  readonly texts: ByteList;
  /** The text of entry i is texts[ends[i], ends[i + 1]). */
  readonly ends: Uint32Array;
  readonly ids: Int32Array;
  readonly scores: Float32Array;
  length = 0;
  largestId = -1;

  constructor(capacity: number, textBytes: number) {
    this.texts = new ByteList(textBytes);
    this.ends = new Uint32Array(capacity + 1);
    this.ids = new Int32Array(capacity);
    this.scores = new Float32Array(capacity);
  }

  /** Adds an entry for the text that was appended to {@link texts} since the last one. */
  add(id: number, score = 0): void {
    this.ids[this.length] = id;
    this.scores[this.length] = score;
    this.length += 1;
    this.ends[this.length] = this.texts.length;
    this.largestId = Math.max(this.largestId, id);
  }

  text(entry: number): string {
    return Buffer.from(this.texts.bytes.subarray(this.ends[entry], this.ends[entry + 1])).toString();
  }

  isText(entry: number, other: number): boolean {
    const of = (index: number) => this.texts.bytes.subarray(this.ends[index], this.ends[index + 1]);
    return Buffer.compare(of(entry), of(other)) === 0;
  }
}

export async function readTokens({ root, spans }: DocumentAround, timeSlice: TimeSlice): Promise<TokenList> {
  const model = root.at('model');
  const vocab = spans.get(vocabPath);
  if (vocab === undefined) throw model.at('vocab').error('must be an object or a list');
  const added = root.at('added_tokens').list();
  const entries = await readEntries(vocab, added.length, timeSlice);
  const vocabularyLength = entries.length;
  const isList = vocab.bytes[vocab.start] === '['.charCodeAt(0);
  for (const [index, token] of added.entries()) {
    const text = Buffer.from(token.at('content').string());
    entries.texts.append(text);
    entries.add(token.at('id').id());
    if (index % ENTRIES_PER_LOOK === 0 && timeSlice.isOver()) await timeSlice.yield();
  }
  const entryOf = await placeEntries(entries, model.at('vocab'), timeSlice);
  const texts = await textsOf(entries, entryOf, timeSlice);
  const table = new TokenTable(texts);
  const types = new Int32Array(texts.length).fill(UNUSED);
  const hasBytes = model.at('byte_fallback').boolean(false);
  for (let id = 0; id < texts.length; id++) {
    if (id % ENTRIES_PER_LOOK === 0 && timeSlice.isOver()) await timeSlice.yield();
    if ((entryOf[id] as number) < 0) continue;
    table.add(id);
    types[id] = hasBytes && isByte(texts, id) ? BYTE : NORMAL;
  }
  for (const token of added) {
    if (token.at('single_word').boolean(false)) throw token.unsupported('single_word');
    types[token.at('id').id()] = token.at('special').boolean(false) ? CONTROL : USER_DEFINED;
  }
  const scores = isList ? new Float32Array(texts.length) : undefined;
  for (let entry = 0; entry < vocabularyLength && scores !== undefined; entry++) {
    scores[entries.ids[entry] as number] = entries.scores[entry] as number;
  }
  const tokens = { texts, types, table, scores };
  const unknownId = unknownOf(model, tokens);
  if (unknownId !== undefined) types[unknownId] = UNKNOWN;
  return tokens;
}

/** The id of the unknown token, which a file gives as id or as text. */
export function unknownOf(model: JsonView, tokens: TokenList): number | undefined {
  if (!model.at('unk_id').isAbsent) return model.at('unk_id').id();
  return model.at('unk_token').isAbsent ? undefined : idOf(tokens, model.at('unk_token').string());
}

/** `{"text": id, …}`, or `[["text", score], …]` in the order of ids. */
async function readEntries(span: JsonSpan, more: number, timeSlice: TimeSlice): Promise<Entries> {
  const sizeBytes = span.end - span.start;
  const entries = new Entries(Math.ceil(sizeBytes / ENTRY_BYTES) + more, Math.ceil(sizeBytes / 2));
  const walker = new JsonWalker(span);
  const isList = walker.isAtList;
  walker.open(isList ? '[' : '{');
  while (walker.next()) {
    if (entries.length % ENTRIES_PER_LOOK === 0 && timeSlice.isOver()) await timeSlice.yield();
    if (isList) {
      walker.open('[');
      if (!walker.next()) throw walker.error(`has no token at ${entries.length}`);
      walker.string(entries.texts);
      if (!walker.next()) throw walker.error(`has no score at ${entries.length}`);
      entries.add(entries.length, walker.number());
      if (walker.next()) throw walker.error(`has more than a token and a score at ${entries.length - 1}`);
      continue;
    }
    walker.string(entries.texts);
    walker.colon();
    const id = walker.number();
    if (!Number.isInteger(id) || id < 0 || id > MOST_ID) throw walker.error(`has the invalid id ${id}`);
    entries.add(id);
  }
  return entries;
}

/** The entry of each id, or -1. Entries with the same id must have the same text. */
async function placeEntries(entries: Entries, vocab: JsonView, timeSlice: TimeSlice): Promise<Int32Array> {
  const size = entries.largestId + 1;
  // Checked before an array of this size is allocated: there may be at most as many gaps as entries.
  const tooMany = () => vocab.error(`has ${entries.length} tokens, but ids up to ${size - 1}`);
  if (size > 2 * entries.length) throw tooMany();
  const entryOf = new Int32Array(size).fill(-1);
  let placed = 0;
  for (let entry = 0; entry < entries.length; entry++) {
    const id = entries.ids[entry] as number;
    const other = entryOf[id] as number;
    if (other < 0) placed += 1;
    else if (!entries.isText(entry, other)) {
      const texts = `${quote(entries.text(entry))} and to ${quote(entries.text(other))}`;
      throw vocab.error(`gives the id ${id} to ${texts}`);
    }
    entryOf[id] = entry;
    if (entry % ENTRIES_PER_LOOK === 0 && timeSlice.isOver()) await timeSlice.yield();
  }
  if (size - placed > Math.min(MOST_GAPS, placed)) throw tooMany();
  return entryOf;
}

async function textsOf({ texts, ends }: Entries, entryOf: Int32Array, timeSlice: TimeSlice): Promise<StringList> {
  const bytes = new ByteList(texts.length);
  const offsets = new Uint32Array(entryOf.length + 1);
  for (let id = 0; id < entryOf.length; id++) {
    const entry = entryOf[id] as number;
    if (entry >= 0) bytes.append(texts.bytes, ends[entry] as number, ends[entry + 1] as number);
    offsets[id + 1] = bytes.length;
    if (id % ENTRIES_PER_LOOK === 0 && timeSlice.isOver()) await timeSlice.yield();
  }
  return new StringList(bytes.bytes, offsets);
}

/** Whether a token is spelled like `<0x0A>`. */
function isByte({ bytes, offsets }: StringList, id: number): boolean {
  const start = offsets[id] as number;
  if ((offsets[id + 1] as number) - start !== 6 || bytes[start] !== 0x3c) return false;
  return /^<0x[0-9A-F]{2}>$/.test(Buffer.from(bytes.subarray(start, start + 6)).toString());
}

/**
 * The texts of a BERT vocabulary as GGUF files write them: U+2581 before the beginning of a word, instead of ## within.
 */
export async function markWords({ texts, types }: TokenList, timeSlice: TimeSlice): Promise<StringList> {
  const bytes = new ByteList(texts.bytes.length + 4);
  const offsets = new Uint32Array(texts.length + 1);
  for (let id = 0; id < texts.length; id++) {
    let start = texts.offsets[id] as number;
    const end = texts.offsets[id + 1] as number;
    if (types[id] === NORMAL) {
      const isInner = end - start > 2 && texts.bytes[start] === 0x23 && texts.bytes[start + 1] === 0x23;
      if (isInner) start += 2;
      else bytes.append(spaceMarkBytes);
    }
    bytes.append(texts.bytes, start, end);
    offsets[id + 1] = bytes.length;
    if (id % ENTRIES_PER_LOOK === 0 && timeSlice.isOver()) await timeSlice.yield();
  }
  return new StringList(bytes.bytes, offsets);
}
