// Walks the words of a text: the first rule splits the text, the next rule splits each of the parts, and so on. It can
// pause within a word of any length. Called by byte-level-bpe.ts.
import { TextScan, widthOf } from './text-scan.js';
import type { WordRule } from './word-rules.js';

/** How many places where no word begins are tried before a pause. */
const STEP = 2048;

/** Walks text[start, end): `while (words.next()) { if (words.paused) yield; else use(words.start, words.end); }`. */
export class WordWalker {
  readonly #scan: TextScan;
  readonly #rules: readonly WordRule[];
  /** For each rule, the rest of the part that it is splitting. */
  readonly #from: number[];
  readonly #to: number[];
  /** For each rule, the place before which no word begins in its part. */
  readonly #gapEnd: number[];
  /** Set when the word's end was not found yet: let the event loop run, then call `next` again. */
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
      const end = this.#partEnd(level, from, this.#to[level] as number);
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

  /** The end of the word that begins at `from`, or of the text before the next word. */
  #partEnd(level: number, from: number, to: number): number {
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
