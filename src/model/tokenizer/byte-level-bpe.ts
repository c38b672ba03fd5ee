// Byte-level byte-pair encoding as GPT-2 has it (`tokenizer.ggml.model` = gpt2): text is split into words, each word
// into its UTF-8 bytes, and neighbouring tokens merge by rank. Called through tokenizer.ts.
import { TesseraeError } from '../../errors.js';
import type { GgufMetadata } from '../gguf/metadata.js';
import { quote } from '../gguf/quote.js';
import { Pace } from '../pace.js';
import { BpeMerger, MAX_MERGES, type TokenSink } from './bpe-merger.js';
import { byteCharacters, spellBytes } from './byte-alphabet.js';
import { ByteDecoder, decodeBytes } from './byte-decoder.js';
import { codePointIn, Gpt2Words } from './gpt2-words.js';
import { MergeTable } from './merge-table.js';
import { CONTROL, UNKNOWN, USER_DEFINED } from './special-ids.js';
import { SpecialTokens } from './special-tokens.js';
import { TokenBuffer } from './token-buffer.js';
import type { DecodeOptions, EncodeOptions, TokenDecoder, Tokenizer } from './tokenizer.js';
import { checkTokenId, readVocabulary, type Vocabulary } from './vocabulary.js';

/** Pre-tokenizers (`tokenizer.ggml.pre`) that split as GPT-2 does. */
const gpt2Splitters: ReadonlySet<string> = new Set(['gpt-2', 'phi-2']);

/** Work between two looks at the clock, in code units or merge steps. */
const STEP = 2048;
/** Words up to this many code units are merged in one go, longer ones in steps. */
const LONG_WORD = 512;
/** Words up to this many code units are remembered with their tokens. */
const CACHED_WORD = 32;
const CACHE_ENTRIES = 1 << 15;
const MERGES_PER_LOOK = 128;
const BLANK = 0x20;
const MOST_BYTES_PER_UNIT = 3;

/** Reads and checks the vocabulary and merges. Merges must name tokens of the vocabulary. */
export async function createByteLevelBpe(metadata: GgufMetadata, pace: Pace): Promise<Tokenizer> {
  const preKey = 'tokenizer.ggml.pre';
  const pre = metadata.string(preKey);
  if (!gpt2Splitters.has(pre)) {
    const supported = [...gpt2Splitters].join(', ');
    throw metadata.error(
      preKey,
      `names the pre-tokenizer ${quote(pre)}; supported are ${supported}`,
      'ERR_UNSUPPORTED',
    );
  }
  const vocabulary = await readVocabulary(metadata, pace);
  const merges = await readMerges(metadata, vocabulary, pace);
  return new ByteLevelBpe(vocabulary, merges, await spellTokens(vocabulary, pace));
}

async function readMerges(metadata: GgufMetadata, { ids }: Vocabulary, pace: Pace): Promise<MergeTable> {
  const key = 'tokenizer.ggml.merges';
  const lines = metadata.strings(key);
  if (lines.length > MAX_MERGES) throw metadata.error(key, `has ${lines.length} entries, more than ${MAX_MERGES}`);
  const { bytes, offsets } = lines;
  const merges = new MergeTable(lines.length);
  for (let rank = 0; rank < lines.length; rank++) {
    const [start, end] = [offsets[rank] as number, offsets[rank + 1] as number];
    // No token of the byte alphabet holds a blank; one at the beginning would be a token of its own.
    let blank = start + 1;
    while (blank < end && bytes[blank] !== BLANK) blank += 1;
    const left = ids.find(bytes, start, Math.min(blank, end));
    const right = ids.find(bytes, Math.min(blank + 1, end), end);
    const merged = ids.find(bytes, start, end, blank);
    if (left < 0 || right < 0 || merged < 0) {
      throw metadata.error(key, `holds ${quote(lines.at(rank))} at ${rank}, which is not two tokens that make a third`);
    }
    merges.add(rank, left, right, merged);
    if (rank % MERGES_PER_LOOK === 0 && pace.due()) await pace.rest();
  }
  return merges;
}

/** The bytes of every token: control and user-defined tokens are spelled as plain text, others in the byte alphabet. */
async function spellTokens({ texts, types }: Vocabulary, pace: Pace): Promise<TokenBytes> {
  const bytes = new Uint8Array(texts.bytes.length);
  const offsets = new Uint32Array(texts.length + 1);
  let at = 0;
  for (let id = 0; id < texts.length; id++) {
    const [start, end] = [texts.offsets[id] as number, texts.offsets[id + 1] as number];
    if (types[id] === CONTROL || types[id] === UNKNOWN || types[id] === USER_DEFINED) {
      bytes.set(texts.bytes.subarray(start, end), at);
      at += end - start;
    } else {
      at = spellBytes(texts.bytes, start, end, bytes, at);
    }
    offsets[id + 1] = at;
    if (id % MERGES_PER_LOOK === 0 && pace.due()) await pace.rest();
  }
  return { bytes, offsets };
}

/** The bytes that tokens stand for: those of token i are bytes[offsets[i], offsets[i + 1]). */
interface TokenBytes {
  readonly bytes: Uint8Array;
  readonly offsets: Uint32Array;
}

class ByteLevelBpe implements Tokenizer {
  readonly kind = 'gpt2';
  readonly vocabularySize: number;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly endIds: ReadonlySet<number>;
  readonly addsBos: boolean;
  readonly #vocabulary: Vocabulary;
  readonly #merges: MergeTable;
  readonly #spelled: TokenBytes;
  /** The token of each byte, or -1. */
  readonly #byteIds: Int32Array;
  /** Matched in every text: user-defined tokens. */
  readonly #userTokens: SpecialTokens;
  /** Matched when the caller asks for it: these and the control tokens. */
  readonly #specialTokens: SpecialTokens;
  readonly #shortWords: BpeMerger;
  readonly #cache = new Map<string, readonly number[]>();

  constructor(vocabulary: Vocabulary, merges: MergeTable, spelled: TokenBytes) {
    const { texts, types, ids } = vocabulary;
    this.vocabularySize = texts.length;
    this.bosId = vocabulary.bosId;
    this.eosId = vocabulary.eosId;
    this.endIds = vocabulary.endIds;
    this.addsBos = vocabulary.addsBos;
    this.#vocabulary = vocabulary;
    this.#merges = merges;
    this.#spelled = spelled;
    this.#byteIds = Int32Array.from(byteCharacters, (character) => {
      const utf8 = Buffer.from(character);
      return ids.find(utf8, 0, utf8.length);
    });
    const user: [number, string][] = [];
    const control: [number, string][] = [];
    for (let id = 0; id < texts.length; id++) {
      if (types[id] === USER_DEFINED) user.push([id, texts.at(id)]);
      else if (types[id] === CONTROL || types[id] === UNKNOWN) control.push([id, texts.at(id)]);
    }
    this.#userTokens = new SpecialTokens(user);
    this.#specialTokens = new SpecialTokens([...user, ...control]);
    this.#shortWords = new BpeMerger(merges, LONG_WORD * MOST_BYTES_PER_UNIT);
  }

  encode(text: string, options: EncodeOptions = {}): number[] {
    const steps = this.#encode(text, options);
    for (;;) {
      const { done, value } = steps.next();
      if (done) return value;
    }
  }

  async encodeAsync(text: string, options: EncodeOptions & { signal?: AbortSignal } = {}): Promise<number[]> {
    const pace = new Pace(options.signal);
    const steps = this.#encode(text, options);
    for (;;) {
      const { done, value } = steps.next();
      if (done) return value;
      if (pace.due()) await pace.rest();
    }
  }

  decode(ids: Iterable<number>, options: DecodeOptions = {}): string {
    return decodeBytes(ids, (id) => this.#bytesOf(id, options));
  }

  decoder(options: DecodeOptions = {}): TokenDecoder {
    return new ByteDecoder((id) => this.#bytesOf(id, options));
  }

  tokenText(id: number): string {
    return this.#vocabulary.texts.at(checkTokenId(id, this.vocabularySize));
  }

  tokenBytes(id: number): Uint8Array {
    return this.#bytesOf(id, {}) ?? new Uint8Array(0);
  }

  isControl(id: number): boolean {
    const type = this.#vocabulary.types[checkTokenId(id, this.vocabularySize)];
    return type === CONTROL || type === UNKNOWN;
  }

  #bytesOf(id: number, { special = false }: DecodeOptions): Uint8Array | undefined {
    if (this.isControl(id) && !special) return undefined;
    return this.#spelled.bytes.subarray(this.#spelled.offsets[id], this.#spelled.offsets[id + 1]);
  }

  /** Encodes, pausing after every STEP of work or so. */
  *#encode(text: string, { addBos = false, special = false }: EncodeOptions): Generator<undefined, number[]> {
    if (typeof text !== 'string') throw new TesseraeError('ERR_ARGUMENT', `expected a text, got ${typeof text}`);
    const ids = new TokenBuffer();
    if (addBos) {
      if (this.bosId === undefined) throw new TesseraeError('ERR_TOKENIZER', 'the vocabulary has no BOS token');
      ids.push(this.bosId);
    }
    const tokens = special ? this.#specialTokens : this.#userTokens;
    for (let start = 0; start < text.length; ) {
      let end = tokens.isEmpty ? text.length : start;
      while (end < text.length) {
        const stop = Math.min(end + STEP, text.length);
        end = tokens.find(text, end, stop);
        if (end < stop) break;
        yield;
      }
      yield* this.#encodePlain(text, start, end, ids);
      if (end === text.length) break;
      ids.push(tokens.match(text, end));
      start = end + tokens.matchedLength;
    }
    const array = new Array<number>(ids.length);
    yield* ids.copyTo(array);
    return array;
  }

  /** Encodes text[start, end), which holds no special token. */
  *#encodePlain(text: string, start: number, end: number, ids: TokenBuffer): Generator<undefined> {
    const words = new Gpt2Words(text, start, end);
    let pauseAt = start + STEP;
    while (words.begin()) {
      while (!words.extend(STEP)) yield;
      const { wordStart, wordEnd } = words;
      if (wordEnd - wordStart > LONG_WORD) yield* this.#encodeLongWord(text, wordStart, wordEnd, ids);
      else this.#encodeWord(text, wordStart, wordEnd, ids);
      if (wordEnd < pauseAt) continue;
      pauseAt = wordEnd + STEP;
      yield;
    }
  }

  #encodeWord(text: string, start: number, end: number, ids: TokenBuffer): void {
    if (end - start > CACHED_WORD) {
      this.#mergeWord(text, start, end, ids);
      return;
    }
    const word = text.slice(start, end);
    let tokens = this.#cache.get(word);
    if (tokens === undefined) {
      const merged: number[] = [];
      this.#mergeWord(text, start, end, merged);
      if (this.#cache.size === CACHE_ENTRIES) this.#cache.clear();
      this.#cache.set(word, merged);
      tokens = merged;
    }
    for (let i = 0; i < tokens.length; i++) ids.push(tokens[i] as number);
  }

  #mergeWord(text: string, start: number, end: number, ids: TokenSink): void {
    const merger = this.#shortWords;
    merger.reset();
    this.#appendBytes(text, start, end, merger);
    merger.run(Number.POSITIVE_INFINITY);
    merger.collect(Number.POSITIVE_INFINITY, ids);
  }

  *#encodeLongWord(text: string, start: number, end: number, ids: TokenBuffer): Generator<undefined> {
    let sizeBytes = 0;
    for (let at = start; at < end; at += STEP) {
      // A surrogate pair that the cut divides counts 6 instead of 4.
      sizeBytes += Buffer.byteLength(text.slice(at, Math.min(at + STEP, end)));
      yield;
    }
    const merger = new BpeMerger(this.#merges, sizeBytes);
    for (let at = start; at < end; ) {
      at = this.#appendBytes(text, at, Math.min(at + STEP, end), merger);
      yield;
    }
    while (!merger.run(STEP)) yield;
    while (!merger.collect(STEP, ids)) yield;
  }

  /** Appends the tokens of the UTF-8 bytes of text[start, end). @returns where it stopped: not within a character */
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
