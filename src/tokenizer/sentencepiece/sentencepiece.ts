// SentencePiece's byte-pair encoding (`tokenizer.ggml.model` = llama): spaces are written as U+2581, characters merge
// by the scores of the tokens that they form, and characters without a token are encoded as bytes. Made by
// create-tokenizer.ts.
import { quote } from '../../base/quote.js';
import type { TimeSlice } from '../../base/time-slice.js';
import type { ModelMetadata } from '../../metadata/model-metadata.js';
import { BaseTokenizer, STEP } from '../base-tokenizer.js';
import type { TokenBuffer, TokenSink } from '../token-buffer.js';
import type { Tokenizer } from '../tokenizer.js';
import { BYTE } from '../vocabulary/special-ids.js';
import {
  isSpaceMark,
  SPACE_MARK,
  spellSpaces,
  spellTokens,
  type TokenBytes,
  withoutSpaces,
} from '../vocabulary/token-bytes.js';
import { isNeverFormed, readScores, readVocabulary, type Vocabulary } from '../vocabulary/vocabulary.js';
import { checkWellFormedFrom } from '../words/text-scan.js';
import { WordCache } from '../words/word-cache.js';
import { type ScoredTokens, ScoreMerger } from './score-merger.js';

/** Words up to this many code units are merged in one go, longer ones in steps. */
const LONG_WORD = 512;
const MOST_BYTES_PER_UNIT = 3;
const TOKENS_PER_LOOK = 512;
const BLANK = 0x20;

/**
 * Where a space is added: always in front of plain text; or, like Hugging Face's Metaspace, unless a space is already
 * there, and in the last case only at the beginning of the whole text.
 */
const prefixRules = ['always', 'unless-there', 'first-unless-there'] as const;
type PrefixRule = (typeof prefixRules)[number] | 'never';

export async function createSentencePiece(metadata: ModelMetadata, timeSlice: TimeSlice): Promise<Tokenizer> {
  const vocabulary = await readVocabulary(metadata, timeSlice, { bos: 1, eos: 2, unknown: 0, addsBos: true });
  const scores = readScores(metadata, vocabulary.texts.length);
  const spelled = await spellTokens(vocabulary, spellSpaces, timeSlice);
  return new SentencePiece(
    vocabulary,
    spelled,
    await inspectTokens(vocabulary, scores, timeSlice),
    readPrefix(metadata),
  );
}

function readPrefix(metadata: ModelMetadata): PrefixRule {
  if (!metadata.boolean('tokenizer.ggml.add_space_prefix', true)) return 'never';
  const key = 'tesserae.tokenizer.space_prefix';
  const given = metadata.string(key, 'always');
  const rule = prefixRules.find((known) => known === given);
  if (rule === undefined) throw metadata.error(key, `is ${quote(given)}, which is not supported`, 'ERR_UNSUPPORTED');
  return rule;
}

interface InspectedTokens extends ScoredTokens {
  /** Whether no token has a space after another character, so that a text can be split where spaces begin. */
  readonly endsAtSpaces: boolean;
  /** The token of each byte, or -1. */
  readonly byteIds: Int32Array;
}

async function inspectTokens(
  vocabulary: Vocabulary,
  scores: Float32Array,
  timeSlice: TimeSlice,
): Promise<InspectedTokens> {
  const { texts, types, ids } = vocabulary;
  const isText = new Uint8Array(texts.length);
  const byteIds = new Int32Array(256).fill(-1);
  let longest = 0;
  let endsAtSpaces = true;
  for (let id = 0; id < texts.length; id++) {
    const type = types[id];
    const [start, end] = [texts.offsets[id] as number, texts.offsets[id + 1] as number];
    if (type === BYTE) byteIds[Number.parseInt(texts.at(id).slice(3, 5), 16)] = id;
    if (type === BYTE || isNeverFormed(vocabulary, id, withoutSpaces)) {
      scores[id] = Number.NaN;
      continue;
    }
    if (scores[id] === Number.NEGATIVE_INFINITY) scores[id] = Number.NaN;
    isText[id] = 1;
    longest = Math.max(longest, end - start);
    endsAtSpaces &&= !hasInnerSpace(texts.bytes, start, end);
    if (id % TOKENS_PER_LOOK === 0 && timeSlice.isOver()) await timeSlice.yield();
  }
  return { ids, scores, isText, longest, endsAtSpaces, byteIds };
}

function hasInnerSpace(bytes: Uint8Array, start: number, end: number): boolean {
  let inWord = false;
  for (let at = start; at < end; at++) {
    if (!isSpaceMark(bytes, at, end)) {
      inWord = true;
      continue;
    }
    if (inWord) return true;
    at += 2;
  }
  return false;
}

class SentencePiece extends BaseTokenizer {
  readonly #tokens: InspectedTokens;
  readonly #prefix: PrefixRule;
  readonly #shortWords: ScoreMerger;
  readonly #cache = new WordCache();

  constructor(vocabulary: Vocabulary, spelled: TokenBytes, tokens: InspectedTokens, prefix: PrefixRule) {
    super('llama', vocabulary, spelled, prefix !== 'never');
    this.#tokens = tokens;
    this.#prefix = prefix;
    this.#shortWords = new ScoreMerger(tokens, LONG_WORD * MOST_BYTES_PER_UNIT);
  }

  protected override *encodePlain(text: string, from: number, to: number, ids: TokenBuffer): Generator<void> {
    let prefix = this.#hasPrefix(text, from) ? ' ' : '';
    let checkedTo = from;
    for (let start = from; start < to && !ids.isFull; ) {
      let end = this.#tokens.endsAtSpaces ? start + 1 : to;
      while (end < to && !(isSpace(text, end) && !isSpace(text, end - 1))) {
        end += 1;
        if (end % STEP === 0) yield;
      }
      if (end > checkedTo) checkedTo = checkWellFormedFrom(text, checkedTo, end, to);
      const word = prefix + text.slice(start, end);
      prefix = '';
      if (word.length > LONG_WORD) yield* this.#encodeLongWord(word, ids);
      else this.#cache.append(word, ids, this.#mergeWord);
      if (Math.floor(start / STEP) !== Math.floor(end / STEP)) yield;
      start = end;
    }
  }

  #hasPrefix(text: string, at: number): boolean {
    if (this.#prefix === 'never' || this.#prefix === 'always') return this.#prefix === 'always';
    return !isSpace(text, at) && (this.#prefix === 'unless-there' || at === 0);
  }

  readonly #mergeWord = (word: string, ids: TokenSink): void => {
    const bytes = utf8Of(word);
    this.#shortWords.begin(bytes);
    this.#shortWords.append(0, bytes.length);
    this.#shortWords.run(Number.POSITIVE_INFINITY);
    this.#shortWords.collect(bytes.length, ids, this.#speller(ids));
  };

  *#encodeLongWord(word: string, ids: TokenBuffer): Generator<void> {
    const bytes = utf8Of(word);
    yield;
    const merger = new ScoreMerger(this.#tokens, bytes.length);
    merger.begin(bytes);
    for (let at = 0; at < bytes.length; ) {
      at = merger.append(at, STEP);
      yield;
    }
    while (!merger.run(STEP)) yield;
    const spell = this.#speller(ids);
    while (!merger.collect(STEP, ids, spell) && !ids.isFull) yield;
  }

  /** Encodes a character without a token as byte tokens, or as the unknown token if one of these is missing. */
  #speller(ids: TokenSink): (bytes: Uint8Array, start: number, end: number) => void {
    const { byteIds } = this.#tokens;
    const { unknownId } = this.vocabulary;
    return (bytes, start, end) => {
      const spelled = bytes.subarray(start, end);
      if (spelled.every((byte) => (byteIds[byte] as number) >= 0)) {
        for (const byte of spelled) ids.push(byteIds[byte] as number);
      } else {
        // There always is one: the first token, where the file names no other.
        ids.push(unknownId as number);
      }
    };
  }
}

function isSpace(text: string, at: number): boolean {
  const unit = text.charCodeAt(at);
  return unit === BLANK || unit === 0x2581;
}

function utf8Of(word: string): Uint8Array {
  return Buffer.from(word.replaceAll(' ', SPACE_MARK));
}
