// Byte-level byte-pair encoding, as in GPT-2 (`tokenizer.ggml.model` = gpt2): text is split into words, each word into
// its UTF-8 bytes, and neighbouring tokens merge by rank. Made by create-tokenizer.ts.
import { TesseraeError } from '../../base/errors.js';
import { quote } from '../../base/quote.js';
import type { TimeSlice } from '../../base/time-slice.js';
import type { ModelMetadata } from '../../metadata/model-metadata.js';
import { BaseTokenizer, STEP } from '../base-tokenizer.js';
import type { TokenBuffer, TokenSink } from '../token-buffer.js';
import type { Tokenizer } from '../tokenizer.js';
import { spellTokens, type TokenBytes } from '../vocabulary/token-bytes.js';
import { isNeverFormed, readVocabulary, type Vocabulary } from '../vocabulary/vocabulary.js';
import { type PreTokenizer, readPreTokenizer } from '../words/pre-tokenizers.js';
import { normalizedInPieces, normalizerOf, type TextNormalizer } from '../words/text-normalizer.js';
import { codePointIn } from '../words/text-scan.js';
import { WordCache } from '../words/word-cache.js';
import { WordWalker } from '../words/word-walker.js';
import { BpeMerger } from './bpe-merger.js';
import { byteCharacters, spellBytes } from './byte-alphabet.js';
import { MergeTable } from './merge-table.js';

/** Words up to this many code units are merged at once, longer ones in steps. */
const LONG_WORD = 512;
const MERGES_PER_LOOK = 128;
const BLANK = 0x20;
const MOST_BYTES_PER_UNIT = 3;
/** Texts that the byte alphabet leaves as they are. */
const printableAscii = /^[!-~]*$/;

/** Reads and checks the vocabulary and the merges, which must name tokens of the vocabulary. */
export async function createByteLevelBpe(metadata: ModelMetadata, timeSlice: TimeSlice): Promise<Tokenizer> {
  const preTokenizer = readPreTokenizer(metadata);
  const vocabulary = await readVocabulary(metadata, timeSlice, { addsBos: preTokenizer.addsBos });
  const merges = await readMerges(metadata, vocabulary, timeSlice);
  const ignoresMerges = metadata.boolean('tesserae.tokenizer.ignore_merges', preTokenizer.ignoresMerges ?? false);
  const spelled = await spellTokens(vocabulary, spellBytes, timeSlice);
  const normalizer = normalizerOf(metadata);
  return new ByteLevelBpe(vocabulary, spelled, { merges, rules: preTokenizer.rules, ignoresMerges, normalizer });
}

async function readMerges(metadata: ModelMetadata, vocabulary: Vocabulary, timeSlice: TimeSlice): Promise<MergeTable> {
  const key = 'tokenizer.ggml.merges';
  const { ids } = vocabulary;
  const lines = metadata.strings(key);
  const { bytes, offsets } = lines;
  const merges = new MergeTable(lines.length);
  for (let rank = 0; rank < lines.length; rank++) {
    const [start, end] = [offsets[rank] as number, offsets[rank + 1] as number];
    // The byte alphabet has no blank, so a blank separates the two tokens. At the very beginning it is part of the left
    // one.
    let blank = start + 1;
    while (blank < end && bytes[blank] !== BLANK) blank += 1;
    const left = ids.find(bytes, start, Math.min(blank, end));
    const right = ids.find(bytes, Math.min(blank + 1, end), end);
    const merged = ids.find(bytes, start, end, blank);
    if (left < 0 || right < 0 || merged < 0) {
      throw metadata.error(key, `has ${quote(lines.at(rank))} at ${rank}, which does not merge two tokens to a third`);
    }
    if (!isNeverFormed(vocabulary, merged, printableAscii)) merges.add(rank, left, right, merged);
    if (rank % MERGES_PER_LOOK === 0 && timeSlice.isOver()) await timeSlice.yield();
  }
  return merges;
}

interface Encoding {
  readonly merges: MergeTable;
  readonly rules: PreTokenizer['rules'];
  readonly ignoresMerges: boolean;
  readonly normalizer: TextNormalizer | undefined;
}

class ByteLevelBpe extends BaseTokenizer {
  readonly #encoding: Encoding;
  /** The token of each byte, or -1. */
  readonly #byteIds: Int32Array;
  /** An upper bound of the longest token's length in code units: its length in UTF-8. */
  readonly #longest: number;
  readonly #shortWords: BpeMerger;
  readonly #cache = new WordCache();

  constructor(vocabulary: Vocabulary, spelled: TokenBytes, encoding: Encoding) {
    super('gpt2', vocabulary, spelled, false);
    const { texts, ids } = vocabulary;
    this.#encoding = encoding;
    this.#byteIds = Int32Array.from(byteCharacters, (character) => {
      const utf8 = Buffer.from(character);
      return ids.find(utf8, 0, utf8.length);
    });
    let longest = 0;
    for (let id = 0; id < texts.length; id++) {
      longest = Math.max(longest, (texts.offsets[id + 1] as number) - (texts.offsets[id] as number));
    }
    this.#longest = longest;
    this.#shortWords = new BpeMerger(encoding.merges, LONG_WORD * MOST_BYTES_PER_UNIT);
  }

  protected override *encodePlain(given: string, from: number, to: number, ids: TokenBuffer): Generator<void> {
    const { rules, normalizer } = this.#encoding;
    const text = normalizer === undefined ? given : yield* normalizedInPieces(given, from, to, normalizer);
    const [start, end] = normalizer === undefined ? [from, to] : [0, text.length];
    const words = new WordWalker(text, start, end, rules);
    let pauseAt = start + STEP;
    while (words.next()) {
      if (words.paused) {
        yield;
        continue;
      }
      if (words.end - words.start > LONG_WORD) yield* this.#encodeLongWord(text, words.start, words.end, ids);
      else this.#cache.append(text.slice(words.start, words.end), ids, this.#mergeWord);
      if (ids.isFull) return;
      if (words.end < pauseAt) continue;
      pauseAt = words.end + STEP;
      yield;
    }
  }

  readonly #mergeWord = (word: string, ids: TokenSink): void => {
    const whole = this.#encoding.ignoresMerges ? this.#wholeToken(word) : -1;
    if (whole >= 0) {
      ids.push(whole);
      return;
    }
    const merger = this.#shortWords;
    merger.reset();
    this.#appendBytes(word, 0, word.length, merger);
    merger.run(Number.POSITIVE_INFINITY);
    merger.collect(Number.POSITIVE_INFINITY, ids);
  };

  /** The token whose text is the whole word, or -1. */
  #wholeToken(word: string): number {
    if (word.length > this.#longest) return -1;
    let spelled = '';
    for (const byte of Buffer.from(word)) spelled += byteCharacters[byte];
    const utf8 = Buffer.from(spelled);
    const id = this.vocabulary.ids.find(utf8, 0, utf8.length);
    return id >= 0 && !isNeverFormed(this.vocabulary, id, printableAscii) ? id : -1;
  }

  *#encodeLongWord(text: string, start: number, end: number, ids: TokenBuffer): Generator<void> {
    if (this.#encoding.ignoresMerges) {
      // One unit more than the longest token has: a word that goes on is none.
      const whole = this.#wholeToken(text.slice(start, Math.min(end, start + this.#longest + 1)));
      if (whole >= 0) {
        ids.push(whole);
        return;
      }
    }
    let sizeBytes = 0;
    for (let at = start; at < end; at += STEP) {
      // A surrogate pair at the boundary counts 6 bytes instead of 4.
      sizeBytes += Buffer.byteLength(text.slice(at, Math.min(at + STEP, end)));
      yield;
    }
    const merger = new BpeMerger(this.#encoding.merges, sizeBytes);
    for (let at = start; at < end; ) {
      at = this.#appendBytes(text, at, Math.min(at + STEP, end), merger);
      yield;
    }
    while (!merger.run(STEP)) yield;
    while (!merger.collect(STEP, ids) && !ids.isFull) yield;
  }

  /** Appends the byte tokens of text[start, end). @returns its end, or after the surrogate pair that crosses its end */
  #appendBytes(text: string, start: number, end: number, merger: BpeMerger): number {
    let at = start;
    while (at < end) {
      const c = codePointIn(text, at, text.length);
      at += c > 0xffff ? 2 : 1;
      if (c < 0x80) {
        this.#appendByte(c, merger);
        continue;
      }
      if (c < 0x800) {
        this.#appendByte(0xc0 | (c >> 6), merger);
      } else {
        if (c < 0x10000) {
          this.#appendByte(0xe0 | (c >> 12), merger);
        } else {
          this.#appendByte(0xf0 | (c >> 18), merger);
          this.#appendByte(0x80 | ((c >> 12) & 0x3f), merger);
        }
        this.#appendByte(0x80 | ((c >> 6) & 0x3f), merger);
      }
      this.#appendByte(0x80 | (c & 0x3f), merger);
    }
    return at;
  }

  #appendByte(byte: number, merger: BpeMerger): void {
    const id = this.#byteIds[byte] as number;
    if (id < 0) {
      const hex = byte.toString(16).padStart(2, '0');
      throw new TesseraeError('ERR_TOKENIZER', `the vocabulary has no token for the byte 0x${hex}`);
    }
    merger.append(id);
  }
}
