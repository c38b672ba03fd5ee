// SentencePiece's unigram model (`tokenizer.ggml.model` = t5; T5 and XLM-RoBERTa use it): of all ways to split a text
// into tokens, it takes the one with the highest sum of scores. Made by create-tokenizer.ts.
import type { TimeSlice } from '../../base/time-slice.js';
import type { ModelMetadata } from '../../metadata/model-metadata.js';
import { BaseTokenizer, STEP } from '../base-tokenizer.js';
import { ByteList } from '../byte-list.js';
import type { TokenBuffer } from '../token-buffer.js';
import type { Tokenizer } from '../tokenizer.js';
import { NORMAL, UNUSED, USER_DEFINED } from '../vocabulary/special-ids.js';
import { spaceMarkBytes, spellSpaces, spellTokens, type TokenBytes, withoutSpaces } from '../vocabulary/token-bytes.js';
import { PrefixWalk, TokenPrefixes } from '../vocabulary/token-prefixes.js';
import { isNeverFormed, readScores, readVocabulary, type Vocabulary } from '../vocabulary/vocabulary.js';
import { checkWellFormed, isHighSurrogate } from '../words/text-scan.js';
import { CharactersMap } from './characters-map.js';
import { characterEnd } from './score-merger.js';

const BLANK = 0x20;
/** A character without a token scores this much below the worst token. */
const UNKNOWN_PENALTY = 10;
/** How much of a text is looked at first where only some of its tokens are wanted, in code units. */
const UNITS_PER_TOKEN = 8;
const LEAST_WINDOW = 1024;

export async function createUnigram(metadata: ModelMetadata, timeSlice: TimeSlice): Promise<Tokenizer> {
  const vocabulary = await readVocabulary(metadata, timeSlice, { eos: 1, unknown: 2, addsEos: true });
  if (vocabulary.unknownId === undefined) {
    throw metadata.error('tokenizer.ggml.unknown_token_id', 'is missing, but this tokenizer needs it');
  }
  const { types } = vocabulary;
  const scores = readScores(metadata, vocabulary.texts.length);
  const textTypes = new Set([NORMAL, USER_DEFINED, UNUSED]);
  const canBeText = (id: number) => textTypes.has(types[id] as number) && !isNeverFormed(vocabulary, id, withoutSpaces);
  const prefixes = await TokenPrefixes.of(vocabulary, canBeText, timeSlice);
  let least = Number.POSITIVE_INFINITY;
  for (let id = 0; id < types.length; id++) {
    if (types[id] === NORMAL) least = Math.min(least, scores[id] as number);
    // User-defined tokens score best, so they are taken wherever they fit.
    else if (types[id] === USER_DEFINED) scores[id] = 0;
  }
  return new Unigram(vocabulary, await spellTokens(vocabulary, spellSpaces, timeSlice), {
    prefixes,
    scores,
    unknownId: vocabulary.unknownId,
    longest: longestOf(vocabulary),
    unknownScore: Math.fround((Number.isFinite(least) ? least : 0) - UNKNOWN_PENALTY),
    addsSpace: metadata.boolean('tokenizer.ggml.add_space_prefix', false),
    joinsSpaces: metadata.boolean('tokenizer.ggml.remove_extra_whitespaces', false),
    charactersMap: CharactersMap.read(metadata),
  });
}

function longestOf({ texts }: Vocabulary): number {
  let longest = 0;
  for (let id = 0; id < texts.length; id++) {
    longest = Math.max(longest, (texts.offsets[id + 1] as number) - (texts.offsets[id] as number));
  }
  return longest;
}

interface UnigramModel {
  readonly prefixes: TokenPrefixes;
  readonly scores: Float32Array;
  readonly unknownId: number;
  readonly unknownScore: number;
  /** The length of the longest token in bytes. */
  readonly longest: number;
  readonly addsSpace: boolean;
  /** Whether a run of spaces becomes one, and spaces at the ends are removed. */
  readonly joinsSpaces: boolean;
  readonly charactersMap: CharactersMap | undefined;
}

class Unigram extends BaseTokenizer {
  readonly #model: UnigramModel;

  constructor(vocabulary: Vocabulary, spelled: TokenBytes, model: UnigramModel) {
    super('t5', vocabulary, spelled, model.addsSpace || model.joinsSpaces);
    this.#model = model;
  }

  /** Where not all tokens are wanted, looks at twice as much of the text until it is certain of as many. */
  protected override *encodePlain(text: string, start: number, end: number, ids: TokenBuffer): Generator<void> {
    for (let units = Math.max(LEAST_WINDOW, UNITS_PER_TOKEN * ids.room); ; units *= 2) {
      let stop = Math.min(end, start + units);
      if (stop < end && isHighSurrogate(text.charCodeAt(stop - 1))) stop += 1;
      const found = yield* this.#encodeWindow(text, start, stop, stop === end);
      if (found.length < ids.room && stop < end) continue;
      for (let i = found.length - 1; i >= 0; i--) ids.push(found[i] as number);
      return;
    }
  }

  /** The tokens of text[start, end), the last one first; of those, if more text follows, only what no such text changes. */
  *#encodeWindow(text: string, start: number, end: number, isAll: boolean): Generator<void, number[]> {
    checkWellFormed(text, start, end);
    const bytes = yield* this.#normalize(Buffer.from(text.slice(start, end)), isAll);
    const { unknownId } = this.#model;
    const { tokens, origins, certain } = yield* this.#search(bytes);
    const found: number[] = [];
    for (let at = isAll ? bytes.length : certain; at > 0; at = origins[at] as number) {
      const id = tokens[at] as number;
      if (id !== unknownId || found.at(-1) !== unknownId) found.push(id);
      if (found.length % STEP === 0) yield;
    }
    return found;
  }

  /**
   * For each place in the text: the last token of the best split up to there, and where that token begins (Viterbi). No
   * token spans the place `certain`, whatever follows the text: every split has an end there, and the best split of what is
   * before it is a part of the best split of the whole.
   */
  *#search(bytes: Uint8Array): Generator<void, { tokens: Int32Array; origins: Int32Array; certain: number }> {
    const { prefixes, scores, unknownId, unknownScore, longest } = this.#model;
    const best = new Float64Array(bytes.length + 1).fill(Number.NEGATIVE_INFINITY);
    const tokens = new Int32Array(bytes.length + 1);
    const origins = new Int32Array(bytes.length + 1);
    best[0] = 0;
    const walk = new PrefixWalk(prefixes);
    let work = 0;
    let certain = 0;
    /** The end of the longest token so far. */
    let reached = 0;
    const offer = (id: number, score: number, start: number, end: number) => {
      const total = (best[start] as number) + score;
      reached = Math.max(reached, end);
      if (total <= (best[end] as number)) return;
      best[end] = total;
      tokens[end] = id;
      origins[end] = start;
    };
    for (let start = 0; start < bytes.length; ) {
      if (reached <= start && start + longest <= bytes.length) certain = start;
      const next = characterEnd(bytes, start);
      let hasCharacter = false;
      walk.begin();
      for (let end = start; end < bytes.length && walk.step(bytes[end] as number); ) {
        end += 1;
        work += 1;
        const { id } = walk;
        if (id < 0) continue;
        hasCharacter ||= end === next;
        offer(id, scores[id] as number, start, end);
      }
      if (!hasCharacter) offer(unknownId, unknownScore, start, next);
      start = next;
      work += 1;
      if (work < STEP) continue;
      work = 0;
      yield;
    }
    return { tokens, origins, certain };
  }

  /**
   * Replaces characters according to the map, and writes spaces as U+2581 according to the model's options.
   * @param isAll whether no more text follows; otherwise it ends before what may be replaced together with that
   */
  *#normalize(source: Uint8Array, isAll: boolean): Generator<void, Uint8Array> {
    const { addsSpace, joinsSpaces, charactersMap } = this.#model;
    const target = new ByteList(3 * source.length + spaceMarkBytes.length);
    let hasPrefix = false;
    let inWord = false;
    const take = (bytes: Uint8Array, start: number, end: number) => {
      for (let at = start; at < end; at++) {
        const byte = bytes[at] as number;
        if (byte === BLANK) {
          inWord = false;
          if (!joinsSpaces) target.append(spaceMarkBytes);
          continue;
        }
        if (!inWord && ((addsSpace && !hasPrefix) || joinsSpaces)) {
          target.append(spaceMarkBytes);
          hasPrefix = true;
        }
        inWord = true;
        target.push(byte);
      }
    };
    let step = 0;
    for (let at = 0; at < source.length; ) {
      const isReplaced = charactersMap?.match(source, at) === true;
      if (!isAll && charactersMap?.reachedEnd === true) break;
      if (charactersMap !== undefined && isReplaced) {
        take(charactersMap.replacements, charactersMap.start, charactersMap.end);
        at += charactersMap.length;
      } else {
        const end = characterEnd(source, at);
        take(source, at, end);
        at = end;
      }
      step += 1;
      if (step % STEP === 0) yield;
    }
    return target.bytes.subarray(0, target.length);
  }
}
