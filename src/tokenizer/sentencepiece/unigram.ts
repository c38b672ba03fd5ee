// SentencePiece's unigram model (`tokenizer.ggml.model` = t5; T5 and XLM-RoBERTa use it): of all ways to split a text
// into tokens, it takes the one with the highest sum of scores. Made by create-tokenizer.ts.
import type { TimeSlice } from '../../base/time-slice.js';
import type { ModelMetadata } from '../../metadata/model-metadata.js';
import { BaseTokenizer, STEP } from '../base-tokenizer.js';
import { ByteList } from '../byte-list.js';
import type { TokenBuffer } from '../token-buffer.js';
import type { Tokenizer } from '../tokenizer.js';
import { NORMAL, UNUSED, USER_DEFINED } from '../vocabulary/special-ids.js';
import { spaceMarkBytes, spellSpaces, spellTokens, type TokenBytes } from '../vocabulary/token-bytes.js';
import { PrefixWalk, TokenPrefixes } from '../vocabulary/token-prefixes.js';
import { readScores, readVocabulary, type Vocabulary } from '../vocabulary/vocabulary.js';
import { checkWellFormed } from '../words/text-scan.js';
import { CharactersMap } from './characters-map.js';
import { characterEnd } from './score-merger.js';

const BLANK = 0x20;
/** A character without a token scores this much below the worst token. */
const UNKNOWN_PENALTY = 10;

export async function createUnigram(metadata: ModelMetadata, timeSlice: TimeSlice): Promise<Tokenizer> {
  const vocabulary = await readVocabulary(metadata, timeSlice, { eos: 1, unknown: 2, addsEos: true });
  if (vocabulary.unknownId === undefined) {
    throw metadata.error('tokenizer.ggml.unknown_token_id', 'is missing, but this tokenizer needs it');
  }
  const { types } = vocabulary;
  const scores = readScores(metadata, vocabulary.texts.length);
  const canBeText = (id: number) => types[id] === NORMAL || types[id] === USER_DEFINED || types[id] === UNUSED;
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
    unknownScore: Math.fround((Number.isFinite(least) ? least : 0) - UNKNOWN_PENALTY),
    addsSpace: metadata.boolean('tokenizer.ggml.add_space_prefix', false),
    joinsSpaces: metadata.boolean('tokenizer.ggml.remove_extra_whitespaces', false),
    charactersMap: CharactersMap.read(metadata),
  });
}

interface UnigramModel {
  readonly prefixes: TokenPrefixes;
  readonly scores: Float32Array;
  readonly unknownId: number;
  readonly unknownScore: number;
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

  protected override *encodePlain(text: string, start: number, end: number, ids: TokenBuffer): Generator<void> {
    checkWellFormed(text, start, end);
    const bytes = yield* this.#normalize(Buffer.from(text.slice(start, end)));
    if (bytes.length === 0) return;
    const { unknownId } = this.#model;
    const { tokens, origins } = yield* this.#search(bytes);
    const found: number[] = [];
    for (let at = bytes.length; at > 0; at = origins[at] as number) {
      const id = tokens[at] as number;
      if (id !== unknownId || found.at(-1) !== unknownId) found.push(id);
      if (found.length % STEP === 0) yield;
    }
    for (let i = found.length - 1; i >= 0; i--) ids.push(found[i] as number);
  }

  /**
   * For each place in the text: the last token of the best split up to there, and where that token begins (Viterbi).
   */
  *#search(bytes: Uint8Array): Generator<void, { tokens: Int32Array; origins: Int32Array }> {
    const { prefixes, scores, unknownId, unknownScore } = this.#model;
    const best = new Float64Array(bytes.length + 1).fill(Number.NEGATIVE_INFINITY);
    const tokens = new Int32Array(bytes.length + 1);
    const origins = new Int32Array(bytes.length + 1);
    best[0] = 0;
    const walk = new PrefixWalk(prefixes);
    let work = 0;
    const offer = (id: number, score: number, start: number, end: number) => {
      const total = (best[start] as number) + score;
      if (total <= (best[end] as number)) return;
      best[end] = total;
      tokens[end] = id;
      origins[end] = start;
    };
    for (let start = 0; start < bytes.length; ) {
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
    return { tokens, origins };
  }

  /** Replaces characters according to the map, and writes spaces as U+2581 according to the model's options. */
  *#normalize(source: Uint8Array): Generator<void, Uint8Array> {
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
      if (charactersMap?.match(source, at) === true) {
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
