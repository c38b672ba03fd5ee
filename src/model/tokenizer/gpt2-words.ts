// The pre-tokenizer of GPT-2: splits text into the words that byte-pair merges never cross. It gives what this
// pattern gives, without the backtracking of a regular expression, and can pause inside a word of any length:
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// Called by byte-level-bpe.ts.
import { TesseraeError } from '../../errors.js';
import { characterClass, SPACE } from './character-classes.js';

const APOSTROPHE = 0x27;
const BLANK = 0x20;

/** Walks the words of text[start, end): `while (words.begin()) { while (!words.extend(n)) pause(); … }`. */
export class Gpt2Words {
  readonly #text: string;
  readonly #end: number;
  /** The class that the current word consists of; 0 when the word is already whole. */
  #class = 0;
  /** Code units of the current word: text[wordStart, wordEnd). */
  wordStart: number;
  wordEnd: number;

  constructor(text: string, start: number, end: number) {
    this.#text = text;
    this.#end = end;
    this.wordStart = start;
    this.wordEnd = start;
  }

  /** Begins the next word; false at the end of the text. */
  begin(): boolean {
    const start = this.wordEnd;
    if (start >= this.#end) return false;
    this.wordStart = start;
    const unit = this.#text.charCodeAt(start);
    const suffixLength = unit === APOSTROPHE ? this.#contractionLength(start) : 0;
    if (suffixLength > 0) {
      this.#class = 0;
      this.wordEnd = start + suffixLength;
      return true;
    }
    let first = start;
    let codePoint = codePointIn(this.#text, start, this.#end);
    if (unit === BLANK && start + 1 < this.#end) {
      const following = codePointIn(this.#text, start + 1, this.#end);
      if (characterClass(following) !== SPACE) {
        first = start + 1;
        codePoint = following;
      }
    }
    this.#class = characterClass(codePoint);
    this.wordEnd = first + (codePoint > 0xffff ? 2 : 1);
    return true;
  }

  /**
   * Extends the current word by at most about `units` code units.
   * @returns whether the word is whole
   * @throws TesseraeError ERR_TOKENIZER at a lone surrogate
   */
  extend(units: number): boolean {
    if (this.#class === 0) return true;
    const stop = Math.min(this.#end, this.wordEnd + units);
    let at = this.wordEnd;
    while (at < stop) {
      const codePoint = codePointIn(this.#text, at, this.#end);
      if (characterClass(codePoint) !== this.#class) {
        this.wordEnd = at;
        this.#finish();
        return true;
      }
      at += codePoint > 0xffff ? 2 : 1;
    }
    this.wordEnd = at;
    return at >= this.#end;
  }

  /** White space before something else leaves its last character to that (all white space is one code unit long). */
  #finish(): void {
    if (this.#class === SPACE && this.wordEnd - this.wordStart > 1) this.wordEnd -= 1;
  }

  /** Length of one of 's 't 'm 'd 're 've 'll at an apostrophe, or 0. */
  #contractionLength(start: number): number {
    const left = this.#end - start;
    const first = left > 1 ? this.#text[start + 1] : '';
    if (first === 's' || first === 't' || first === 'm' || first === 'd') return 2;
    const second = left > 2 ? this.#text[start + 2] : '';
    if ((first === 'r' || first === 'v') && second === 'e') return 3;
    return first === 'l' && second === 'l' ? 3 : 0;
  }
}

/** The code point at a code unit. @throws TesseraeError ERR_TOKENIZER at a lone surrogate */
export function codePointIn(text: string, at: number, end: number): number {
  const unit = text.charCodeAt(at);
  if (unit < 0xd800 || unit > 0xdfff) return unit;
  const low = unit < 0xdc00 && at + 1 < end ? text.charCodeAt(at + 1) : 0;
  if (low >= 0xdc00 && low <= 0xdfff) return (unit - 0xd800) * 0x400 + (low - 0xdc00) + 0x10000;
  throw new TesseraeError(
    'ERR_TOKENIZER',
    `the text holds a lone surrogate, U+${unit.toString(16).toUpperCase()}, at index ${at}: it is not valid Unicode`,
  );
}
