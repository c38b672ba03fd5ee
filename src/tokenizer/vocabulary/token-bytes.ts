// The bytes of text of each token of a vocabulary, in one buffer. Called by the kinds of tokenizers.
import { quote } from '../../base/quote.js';
import type { TimeSlice } from '../../base/time-slice.js';
import { BYTE, CONTROL, NORMAL, UNKNOWN, USER_DEFINED } from './special-ids.js';
import type { Vocabulary } from './vocabulary.js';

const TOKENS_PER_LOOK = 128;
/** How SentencePiece writes a space, and GGUF files the beginning of a word of BERT. */
export const SPACE_MARK = '\u2581';
/** The texts of tokens in which no space is written as another character. */
export const withoutSpaces = /^[^\u2581]*$/;
export const spaceMarkBytes: Uint8Array = Buffer.from(SPACE_MARK);

/** The bytes of token i are bytes[offsets[i], offsets[i + 1]). */
export interface TokenBytes {
  readonly bytes: Uint8Array;
  readonly offsets: Uint32Array;
}

/**
 * Decodes a token's spelling, source[start, end), and writes its bytes to `target` from `at` on: never more bytes than
 * the spelling has.
 * @returns the end in `target`
 */
export type Spelling = (source: Uint8Array, start: number, end: number, target: Uint8Array, at: number) => number;

/**
 * The bytes of all tokens: normal ones are decoded by `spelling`, a byte token is its byte, and control, unknown and
 * user-defined ones are their text. Unused tokens have no bytes.
 * @throws TesseraeError ERR_MODEL_FILE when a byte token is not spelled `<0x00>`
 */
export async function spellTokens(
  { texts, types, errorAt }: Vocabulary,
  spelling: Spelling,
  timeSlice: TimeSlice,
): Promise<TokenBytes> {
  const bytes = new Uint8Array(texts.bytes.length);
  const offsets = new Uint32Array(texts.length + 1);
  let at = 0;
  for (let id = 0; id < texts.length; id++) {
    const [start, end] = [texts.offsets[id] as number, texts.offsets[id + 1] as number];
    const type = types[id];
    if (type === NORMAL) {
      at = spelling(texts.bytes, start, end, bytes, at);
    } else if (type === BYTE) {
      const byte = byteOf(texts.at(id));
      if (byte < 0) throw errorAt(id, `is a byte token, but its text is ${quote(texts.at(id))}`);
      bytes[at++] = byte;
    } else if (type === CONTROL || type === UNKNOWN || type === USER_DEFINED) {
      bytes.set(texts.bytes.subarray(start, end), at);
      at += end - start;
    }
    offsets[id + 1] = at;
    if (id % TOKENS_PER_LOOK === 0 && timeSlice.isOver()) await timeSlice.yield();
  }
  return { bytes, offsets };
}

/** The byte of a text such as `<0x0A>`, or -1. */
function byteOf(text: string): number {
  return /^<0x[0-9A-Fa-f]{2}>$/.test(text) ? Number.parseInt(text.slice(3, 5), 16) : -1;
}

/** The spelling of SentencePiece: U+2581 is a space. */
export const spellSpaces: Spelling = (source, start, end, target, from) => {
  let at = from;
  for (let i = start; i < end; i++) {
    if (isSpaceMark(source, i, end)) {
      target[at++] = 0x20;
      i += 2;
    } else {
      target[at++] = source[i] as number;
    }
  }
  return at;
};

/** Whether bytes[at, end) begins with the UTF-8 of U+2581. */
export function isSpaceMark(bytes: Uint8Array, at: number, end: number): boolean {
  return bytes[at] === 0xe2 && at + 2 < end && bytes[at + 1] === 0x96 && bytes[at + 2] === 0x81;
}
