// Walks the words of a text: the first rule cuts it into pieces, the next one cuts each of these, and so on. It can
// pause inside a word of any length. Called by the tokenizers that merge within words.
import { TextScan, widthOf } from './text-scan.js';
import type { WordRule } from './word-rules.js';

/** Places where no word begins that are looked at before a pause. */
const STEP = 2048;

/** Walks text[start, end): `while (words.next()) { if (words.paused) rest(); else use(words.start, words.end); }`. */
export class WordWalker {
  readonly #scan: TextScan;
  readonly #rules: readonly WordRule[];
  /** For each rule, the rest of the piece that it is cutting. */
  readonly #from: number[];
  readonly #to: number[];
  /** For each rule, up to where no word begins. */
  readonly #gapEnd: number[];
  /** Set when the word is not found yet: it is time for a rest, then call `next` again. */
  paused = false;
  /** Code units of the current word: text[start, end). */
  start: number;
  end: number;

  /** @param rules at least one */
  constructor(text: string, start: number, end: number, rules: readonly WordRule[]) {
    this.#scan = new TextScan(text);
    this.#rules = rules;
    this.#from = rules.map(() => start);
    this.#to = rules.map((_, level) => (level === 0 ? end : start));
    this.#gapEnd = rules.map(() => start);
    this.start = start;
    this.end = start;
  }

  /** Finds the next word; false at the end of the text. @throws TesseraeError ERR_TOKENIZER at a lone surrogate */
  next(): boolean {
    const last = this.#rules.length - 1;
    this.paused = false;
    this.#scan.paused = false;
    for (let level = last; level >= 0; ) {
      const from = this.#from[level] as number;
      if (from >= (this.#to[level] as number)) {
        level -= 1;
        continue;
      }
      const end = this.#pieceEnd(level, from, this.#to[level] as number);
      if (this.#scan.paused) {
        this.paused = true;
        return true;
      }
      this.#from[level] = end;
      if (level === last) {
        this.start = from;
        this.end = end;
        return true;
      }
      level += 1;
      this.#from[level] = from;
      this.#to[level] = end;
      this.#gapEnd[level] = from;
    }
    return false;
  }

  /** The end of the word that begins at `from`, or of what stands before the next one. */
  #pieceEnd(level: number, from: number, to: number): number {
    const scan = this.#scan;
    const rule = this.#rules[level] as WordRule;
    let at = Math.max(from, this.#gapEnd[level] as number);
    for (let step = 0; at < to; step++) {
      const end = rule(scan, at, to);
      if (scan.paused || step === STEP) {
        scan.paused = true;
        this.#gapEnd[level] = at;
        return at;
      }
      if (end >= 0) return at > from ? at : end;
      at += widthOf(scan.codePoint(at));
    }
    return to;
  }
}
