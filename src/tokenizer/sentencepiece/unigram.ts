// SentencePiece's unigram model (`tokenizer.ggml.model` = t5, also of XLM-RoBERTa): of all ways to cut a text into
// tokens, the one whose scores add up highest. Called through tokenizer.ts.

import type { TimeSlice } from '../../base/time-slice.js';
import type { ModelMetadata } from '../../metadata/model-metadata.js';
import { BaseTokenizer, STEP } from '../base-tokenizer.js';
import type { TokenBuffer } from '../token-buffer.js';
import type { Tokenizer } from '../tokenizer.js';
import { NORMAL, UNUSED, USER_DEFINED } from '../vocabulary/special-ids.js';
import { spellSpaces, spellTokens, type TokenBytes } from '../vocabulary/token-bytes.js';
import { TokenTrie, TrieWalk } from '../vocabulary/token-prefixes.js';
import { readScores, readVocabulary, type Vocabulary } from '../vocabulary/vocabulary.js';
import { checkWellFormed } from '../words/text-scan.js';
import { CharactersMap } from './characters-map.js';
import { characterEnd } from './score-merger.js';

const BLANK = 0x20;
const SPACE_MARK = Uint8Array.of(0xe2, 0x96, 0x81);
/** How much worse than the worst token a character without a token scores. */
const UNKNOWN_PENALTY = 10;

export async function createUnigram(metadata: ModelMetadata, timeSlice: TimeSlice): Promise<Tokenizer> {
  const vocabulary = await readVocabulary(metadata, timeSlice, { eos: 1, unknown: 2, addsEos: true });
  if (vocabulary.unknownId === undefined) {
    throw metadata.error('tokenizer.ggml.unknown_token_id', 'is missing, but this tokenizer needs it');
  }
  const { types } = vocabulary;
  const scores = readScores(metadata, vocabulary.texts.length);
  const isPiece = (id: number) => types[id] === NORMAL || types[id] === USER_DEFINED || types[id] === UNUSED;
  const trie = await TokenTrie.of(vocabulary, isPiece, timeSlice);
  let least = Number.POSITIVE_INFINITY;
  for (let id = 0; id < types.length; id++) {
    if (types[id] === NORMAL) least = Math.min(least, scores[id] as number);
    // Tokens that the user defined are taken wherever they fit.
    else if (types[id] === USER_DEFINED) scores[id] = 0;
  }
  return new Unigram(vocabulary, await spellTokens(vocabulary, spellSpaces, timeSlice), {
    trie,
    scores,
    unknownId: vocabulary.unknownId,
    unknownScore: Math.fround((Number.isFinite(least) ? least : 0) - UNKNOWN_PENALTY),
    addsSpace: metadata.boolean('tokenizer.ggml.add_space_prefix', false),
    joinsSpaces: metadata.boolean('tokenizer.ggml.remove_extra_whitespaces', false),
    charactersMap: CharactersMap.read(metadata),
  });
}

interface UnigramModel {
  readonly trie: TokenTrie;
  readonly scores: Float32Array;
  readonly unknownId: number;
  readonly unknownScore: number;
  readonly addsSpace: boolean;
  /** Whether a run of spaces counts as one, and none stand at the ends. */
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

  /** For each end of a token on the best way there: that token, and where it begins. */
  *#search(bytes: Uint8Array): Generator<void, { tokens: Int32Array; origins: Int32Array }> {
    const { trie, scores, unknownId, unknownScore } = this.#model;
    const best = new Float64Array(bytes.length + 1).fill(Number.NEGATIVE_INFINITY);
    const tokens = new Int32Array(bytes.length + 1);
    const origins = new Int32Array(bytes.length + 1);
    best[0] = 0;
    const walk = new TrieWalk(trie);
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

  /** Replaces characters by the map, and writes spaces as U+2581, as the model asks for. */
  *#normalize(source: Uint8Array): Generator<void, Uint8Array> {
    const { addsSpace, joinsSpaces, charactersMap } = this.#model;
    const target = new GrowingBytes(3 * source.length + SPACE_MARK.length);
    let hasPrefix = false;
    let inWord = false;
    const take = (bytes: Uint8Array, start: number, end: number) => {
      for (let at = start; at < end; at++) {
        const byte = bytes[at] as number;
        if (byte === BLANK) {
          inWord = false;
          if (!joinsSpaces) target.pushAll(SPACE_MARK);
          continue;
        }
        if (!inWord && ((addsSpace && !hasPrefix) || joinsSpaces)) {
          target.pushAll(SPACE_MARK);
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
    return target.bytes();
  }
}

class GrowingBytes {
  #bytes: Uint8Array;
  #length = 0;

  constructor(capacity: number) {
    this.#bytes = new Uint8Array(capacity);
  }

  push(byte: number): void {
    if (this.#length === this.#bytes.length) {
      const larger = new Uint8Array(2 * this.#bytes.length);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes[this.#length++] = byte;
  }

  pushAll(bytes: Uint8Array): void {
    for (const byte of bytes) this.push(byte);
  }

  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}
