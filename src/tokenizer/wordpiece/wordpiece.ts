// WordPiece, as in BERT (`tokenizer.ggml.model` = bert): text is cleaned and split into words and punctuation, and each
// word from its beginning into the longest tokens that fit. Made by create-tokenizer.ts.
import { runAtOnce, type TimeSlice } from '../../base/time-slice.js';
import type { ModelMetadata } from '../../metadata/model-metadata.js';
import { StringList } from '../../metadata/string-list.js';
import { BaseTokenizer, STEP } from '../base-tokenizer.js';
import type { TokenBuffer } from '../token-buffer.js';
import type { Tokenizer } from '../tokenizer.js';
import { NORMAL } from '../vocabulary/special-ids.js';
import { isSpaceMark, SPACE_MARK, spellSpaces, spellTokens, type TokenBytes } from '../vocabulary/token-bytes.js';
import { PrefixWalk, TokenPrefixes } from '../vocabulary/token-prefixes.js';
import { isControlType, readVocabulary, type Vocabulary } from '../vocabulary/vocabulary.js';
import { classOf, MARK, PUNCTUATION, patternTest, SPACE, SYMBOL } from '../words/character-classes.js';
import { normalizedPieces } from '../words/text-normalizer.js';
import { codePointIn, widthOf } from '../words/text-scan.js';
import { CACHED_WORD, WordCache } from '../words/word-cache.js';

const tokensKey = 'tokenizer.ggml.tokens';
const typesKey = 'tokenizer.ggml.token_type';

export async function createWordPiece(metadata: ModelMetadata, timeSlice: TimeSlice): Promise<Tokenizer> {
  const vocabulary = await readVocabulary(markWords(metadata), timeSlice, {
    bos: 101,
    unknown: 100,
    separator: 102,
    addsBos: true,
    addsEos: true,
    endsWithSeparator: true,
  });
  if (vocabulary.unknownId === undefined) {
    throw metadata.error('tokenizer.ggml.unknown_token_id', 'is missing, but this tokenizer needs it');
  }
  const lowercase = metadata.boolean('tokenizer.ggml.normalizer.lowercase', true);
  const prefixes = await TokenPrefixes.of(vocabulary, (id) => !isControlType(vocabulary.types[id]), timeSlice);
  return new WordPiece(vocabulary, await spellTokens(vocabulary, spellSpaces, timeSlice), {
    prefixes,
    unknownId: vocabulary.unknownId,
    lowercase,
    stripAccents: metadata.boolean('tokenizer.ggml.normalizer.strip_accents', lowercase),
    decomposesFully: metadata.boolean('tesserae.tokenizer.full_decomposition', false),
    longestWord: metadata.count('tesserae.tokenizer.longest_word', Number.MAX_SAFE_INTEGER),
  });
}

/**
 * Most GGUF files write U+2581 in front of tokens that begin a word. Some keep BERT's own form, with ## in front of all
 * other tokens: these are converted to the first form.
 */
function markWords(metadata: ModelMetadata): ModelMetadata {
  const tokens = metadata.strings(tokensKey);
  const types = metadata.has(typesKey) ? metadata.integers(typesKey) : undefined;
  let hasHashes = false;
  for (let id = 0; id < tokens.length; id++) {
    const start = tokens.offsets[id] as number;
    if (isSpaceMark(tokens.bytes, start, tokens.offsets[id + 1] as number)) return metadata;
    hasHashes ||= tokens.bytes[start] === 0x23 && tokens.bytes[start + 1] === 0x23;
  }
  if (!hasHashes) return metadata;
  const marked = [...tokens].map((text, id) => {
    if (/^##./u.test(text)) return text.slice(2);
    const isPlain = text !== '' && (types === undefined || types[id] === NORMAL) && !/^\[[A-Z]+\]$/.test(text);
    return isPlain ? `${SPACE_MARK}${text}` : text;
  });
  const value = { type: 'array', element: 'string', value: StringList.from(marked) } as const;
  return metadata.with(tokensKey, value);
}

interface WordPieceModel {
  readonly prefixes: TokenPrefixes;
  readonly unknownId: number;
  readonly lowercase: boolean;
  readonly stripAccents: boolean;
  /**
   * True: like BERT, characters are decomposed as in Unicode, and control characters are dropped. False: like
   * llama.cpp, only the first code point of a decomposition is kept, and U+000B, U+000C and U+0085 are white space.
   */
  readonly decomposesFully: boolean;
  /** Longer words, in characters, become the unknown token. */
  readonly longestWord: number;
}

const isControl = patternTest(/[\p{Cc}\p{Cf}\p{Co}]/u);
const decompose = (text: string) => text.normalize('NFD');
const isPlainSpace = (c: number) => c === 0x09 || c === 0x0a || c === 0x0d;
const isNonspacing = patternTest(/\p{Mn}/u);

class WordPiece extends BaseTokenizer {
  readonly #model: WordPieceModel;
  readonly #cache = new WordCache();

  constructor(vocabulary: Vocabulary, spelled: TokenBytes, model: WordPieceModel) {
    super('bert', vocabulary, spelled, true);
    this.#model = model;
  }

  protected override *encodePlain(text: string, start: number, end: number, ids: TokenBuffer): Generator<void> {
    const { stripAccents, decomposesFully } = this.#model;
    let word = '';
    if (stripAccents && decomposesFully) {
      for (const piece of normalizedPieces(text, start, end, decompose)) {
        word = yield* this.#encodeWords(word, piece, 0, piece.length, ids);
        if (ids.isFull) return;
      }
    } else word = yield* this.#encodeWords(word, text, start, end, ids);
    yield* this.#encodeWord(word, ids);
  }

  /**
   * Encodes the words of text[start, end), of which the first begins with `begun`.
   * @returns the last word, which may go on behind `end`
   */
  *#encodeWords(begun: string, text: string, start: number, end: number, ids: TokenBuffer): Generator<void, string> {
    let word = begun;
    let pauseAt = start + STEP;
    for (let at = start; at < end; ) {
      const c = codePointIn(text, at, end);
      at += widthOf(c);
      const kept = this.#clean(c);
      if (kept === undefined || kept.splits) {
        yield* this.#encodeWord(word, ids);
        word = '';
        if (kept !== undefined) yield* this.#encodeWord(kept.text, ids);
        if (ids.isFull) break;
      } else {
        word += kept.text;
      }
      if (at < pauseAt) continue;
      pauseAt = at + STEP;
      yield;
    }
    return word;
  }

  /** The text that a character becomes, and whether it is a word of its own; undefined for white space. */
  #clean(given: number): { text: string; splits: boolean } | undefined {
    const { lowercase, stripAccents, decomposesFully } = this.#model;
    let c = given;
    if (stripAccents && !decomposesFully && c >= 0x80)
      c = String.fromCodePoint(c).normalize('NFD').codePointAt(0) as number;
    const kind = classOf(c);
    // BERT drops control characters first, except three that it counts as white space.
    if (kind === SPACE && (!decomposesFully || !isControl(c) || isPlainSpace(c))) return undefined;
    if (c === 0xfffd || isControl(c)) return { text: '', splits: false };
    const isAccent = stripAccents && (decomposesFully ? isNonspacing(c) : kind === MARK);
    if (isAccent) return { text: '', splits: false };
    const character = String.fromCodePoint(c);
    const splits = kind === PUNCTUATION || (kind === SYMBOL && c < 0x7f) || isChinese(c);
    return { text: lowercase ? this.#lower(character) : character, splits };
  }

  #lower(character: string): string {
    const lower = character.toLowerCase();
    return this.#model.decomposesFully ? lower : String.fromCodePoint(lower.codePointAt(0) as number);
  }

  *#encodeWord(word: string, ids: TokenBuffer): Generator<void> {
    if (word === '') return;
    if (word.length <= CACHED_WORD) {
      for (const id of this.#cache.get(word, this.#cutShortWord)) ids.push(id);
    } else {
      const found = yield* this.#cutWord(word);
      for (const id of found) ids.push(id);
    }
  }

  readonly #cutShortWord = (word: string, found: number[]): void => {
    found.push(...runAtOnce(this.#cutWord(word)));
  };

  /** The longest tokens that fit, from the beginning on; the unknown token if the word cannot be split completely. */
  *#cutWord(word: string): Generator<void, readonly number[]> {
    const { prefixes, unknownId, longestWord } = this.#model;
    if (word.length > longestWord && [...word].length > longestWord) return [unknownId];
    const bytes = Buffer.from(SPACE_MARK + word);
    const found: number[] = [];
    const walk = new PrefixWalk(prefixes);
    for (let start = 0; start < bytes.length; ) {
      let id = -1;
      let idEnd = start;
      walk.begin();
      for (let end = start; end < bytes.length && walk.step(bytes[end] as number); ) {
        end += 1;
        if (walk.id < 0) continue;
        id = walk.id;
        idEnd = end;
      }
      if (id < 0) return [unknownId];
      found.push(id);
      start = idEnd;
      if (found.length % STEP === 0) yield;
    }
    return found;
  }
}

/** The blocks of Chinese characters in BERT's list, with the mistake of Hugging Face and llama.cpp: 2b920 for 2b820. */
function isChinese(c: number): boolean {
  return (
    (c >= 0x4e00 && c <= 0x9fff) ||
    (c >= 0x3400 && c <= 0x4dbf) ||
    (c >= 0x20000 && c <= 0x2a6df) ||
    (c >= 0x2a700 && c <= 0x2b73f) ||
    (c >= 0x2b740 && c <= 0x2b81f) ||
    (c >= 0x2b920 && c <= 0x2ceaf) ||
    (c >= 0xf900 && c <= 0xfaff) ||
    (c >= 0x2f800 && c <= 0x2fa1f)
  );
}
