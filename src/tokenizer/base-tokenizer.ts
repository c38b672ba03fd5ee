// The base class of all kinds of tokenizers: special tokens in raw text, BOS and EOS, time slices, and decoding from
// the bytes of tokens. A kind implements encodePlain, which encodes the text between special tokens.
import { TesseraeError } from '../base/errors.js';
import { checkPositive } from '../base/options.js';
import { runInTurns } from '../base/text-turns.js';
import { runAtOnce } from '../base/time-slice.js';
import { ByteDecoder, decodeBytes, withoutFirstSpace } from './byte-decoder.js';
import { TextCleanup } from './text-cleanup.js';
import { TokenBuffer } from './token-buffer.js';
import type { DecodeOptions, EncodeOptions, PlainPlaces, TokenDecoder, Tokenizer } from './tokenizer.js';
import { USER_DEFINED } from './vocabulary/special-ids.js';
import { SpecialTokens } from './vocabulary/special-tokens.js';
import type { TokenBytes } from './vocabulary/token-bytes.js';
import { checkTokenId, isControlType, type Vocabulary } from './vocabulary/vocabulary.js';

/** The amount of work between two yields, in code units or merge steps. */
export const STEP = 2048;

export abstract class BaseTokenizer implements Tokenizer {
  readonly kind: string;
  readonly vocabularySize: number;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly endIds: ReadonlySet<number>;
  readonly addsBos: boolean;
  readonly addsEos: boolean;
  readonly userTexts: readonly string[];
  readonly controlBeginnings: ReadonlySet<string>;
  protected readonly vocabulary: Vocabulary;
  readonly #spelled: TokenBytes;
  /** Whether encoding adds a space in front of a text, which decoding then removes. */
  readonly #hasSpaceInFront: boolean;
  /** The user-defined tokens, which are matched in every text. */
  readonly #userTokens: SpecialTokens;
  /** The user-defined and the control tokens, which are matched with the option `special`. */
  readonly #specialTokens: SpecialTokens;

  constructor(kind: string, vocabulary: Vocabulary, spelled: TokenBytes, hasSpaceInFront: boolean) {
    const { texts, types } = vocabulary;
    this.kind = kind;
    this.vocabularySize = texts.length;
    this.bosId = vocabulary.bosId;
    this.eosId = vocabulary.eosId;
    this.endIds = vocabulary.endIds;
    this.addsBos = vocabulary.addsBos;
    this.addsEos = vocabulary.addsEos;
    this.vocabulary = vocabulary;
    this.#spelled = spelled;
    this.#hasSpaceInFront = hasSpaceInFront;
    const user: [number, string][] = [];
    const control: [number, string][] = [];
    for (let id = 0; id < texts.length; id++) {
      if (types[id] === USER_DEFINED) user.push([id, texts.at(id)]);
      else if (isControlType(types[id])) control.push([id, texts.at(id)]);
    }
    this.userTexts = user.map(([, text]) => text);
    this.#userTokens = new SpecialTokens(user);
    this.#specialTokens = new SpecialTokens([...user, ...control]);
    this.controlBeginnings = new Set(control.map(([, text]) => beginningOf(text)).filter((one) => one !== ''));
  }

  /**
   * Encodes text[start, end), which contains no special token and is at the beginning of the text or after a special
   * token. May stop when `ids` is full. Yields about every {@link STEP} of work.
   */
  protected abstract encodePlain(text: string, start: number, end: number, ids: TokenBuffer): Generator<void>;

  encode(text: string, options: EncodeOptions = {}): number[] {
    return runAtOnce(this.#encode(text, options));
  }

  async encodeAsync(text: string, options: EncodeOptions & { signal?: AbortSignal } = {}): Promise<number[]> {
    return runInTurns(this.#encode(text, options), options.signal);
  }

  decode(ids: Iterable<number>, options: DecodeOptions = {}): string {
    const text = decodeBytes(ids, this.#source(options).bytesOf);
    const cleanup = this.#cleanup(options);
    return cleanup === undefined ? text : cleanup.push(text) + cleanup.end();
  }

  decoder(options: DecodeOptions = {}): TokenDecoder {
    const { bytesOf, reset } = this.#source(options);
    return new ByteDecoder(bytesOf, reset, this.#cleanup(options));
  }

  tokenText(id: number): string {
    return this.vocabulary.texts.at(checkTokenId(id, this.vocabularySize));
  }

  tokenBytes(id: number): Uint8Array {
    return this.#bytesOf(id, false) ?? new Uint8Array(0);
  }

  isControl(id: number): boolean {
    return isControlType(this.vocabulary.types[checkTokenId(id, this.vocabularySize)]);
  }

  #cleanup({ continues = false, cleanUp = this.vocabulary.cleansUp && !continues }: DecodeOptions) {
    return cleanUp ? new TextCleanup() : undefined;
  }

  #source({ special = false, continues = false }: DecodeOptions) {
    const bytesOf = (id: number) => this.#bytesOf(id, special);
    return this.#hasSpaceInFront && !continues ? withoutFirstSpace(bytesOf) : { bytesOf, reset: () => {} };
  }

  #bytesOf(id: number, special: boolean): Uint8Array | undefined {
    if (this.isControl(id) && !special) return undefined;
    return this.#spelled.bytes.subarray(this.#spelled.offsets[id], this.#spelled.offsets[id + 1]);
  }

  *#encode(text: string, options: EncodeOptions): Generator<void, number[]> {
    if (typeof text !== 'string') throw new TesseraeError('ERR_ARGUMENT', `expected a text, got ${typeof text}`);
    const { addBos = false, addEos = false, special = false, plain = nowhere, limit } = options;
    const { stripsLeft, stripsRight, endId } = this.vocabulary;
    const ids = new TokenBuffer(limit === undefined ? limit : checkPositive(limit, 'limit', 'encode'));
    if (addBos) ids.push(required(this.bosId, 'BOS'));
    const finder = new TokenFinder(special ? this.#specialTokens : this.#userTokens, this.#userTokens, plain);
    for (let start = 0; start < text.length && !ids.isFull; ) {
      let end = finder.isEmpty ? text.length : start;
      while (end < text.length) {
        const stop = Math.min(end + STEP, text.length);
        end = finder.find(text, end, stop);
        if (end < stop) break;
        yield;
      }
      const { id, length } = finder;
      const plainEnd = stripsLeft.has(id) ? spacesBefore(text, start, end) : end;
      if (plainEnd > start) yield* this.encodePlain(text, start, plainEnd, ids);
      if (end === text.length) break;
      ids.push(id);
      start = end + length;
      if (stripsRight.has(id)) start = spacesAfter(text, start);
    }
    if (addEos) ids.push(required(endId, 'EOS'));
    return yield* ids.toArray();
  }
}

const nowhere: PlainPlaces = { places: [], marks: new Set() };

/** The first character of a token's text; empty for a token without text. */
export function beginningOf(text: string): string {
  return text === '' ? '' : String.fromCodePoint(text.codePointAt(0) as number);
}

/** Finds special tokens in a text: at plain places only user-defined ones, but for marks. */
class TokenFinder {
  readonly #tokens: SpecialTokens;
  readonly #userTokens: SpecialTokens;
  readonly #plain: PlainPlaces;
  #nextPlace = 0;
  /** The token that {@link find} found last, or -1. */
  id = -1;
  /** The length of that token's text. */
  length = 0;

  constructor(tokens: SpecialTokens, userTokens: SpecialTokens, plain: PlainPlaces) {
    this.#tokens = tokens;
    this.#userTokens = userTokens;
    this.#plain = plain;
  }

  get isEmpty(): boolean {
    return this.#tokens.isEmpty;
  }

  /** The first place in text[from, to) where a token begins, or `to`. `from` must not decrease between calls. */
  find(text: string, from: number, to: number): number {
    for (let at = from; ; at++) {
      at = this.#tokens.find(text, at, to);
      if (at >= to) break;
      this.id = this.#tokens.match(text, at);
      this.length = this.#tokens.matchedLength;
      if (!this.#isPlain(at)) return at;
      this.id = this.#userTokens.match(text, at);
      this.length = this.#userTokens.matchedLength;
      if (this.id >= 0 && !this.#plain.marks.has(text.slice(at, at + this.length))) return at;
    }
    this.id = -1;
    return to;
  }

  #isPlain(at: number): boolean {
    const { places } = this.#plain;
    while (this.#nextPlace < places.length && (places[this.#nextPlace] as number) < at) this.#nextPlace += 1;
    return places[this.#nextPlace] === at;
  }
}

function required(id: number | undefined, name: string): number {
  if (id !== undefined) return id;
  throw new TesseraeError('ERR_TOKENIZER', `the vocabulary has no ${name} token`);
}

/** ASCII white space, like C's isspace. */
function isSpace(unit: number): boolean {
  return unit === 0x20 || (unit >= 0x09 && unit <= 0x0d);
}

function spacesBefore(text: string, start: number, end: number): number {
  let at = end;
  while (at > start && isSpace(text.charCodeAt(at - 1))) at -= 1;
  return at;
}

function spacesAfter(text: string, start: number): number {
  let at = start;
  while (at < text.length && isSpace(text.charCodeAt(at))) at += 1;
  return at;
}
