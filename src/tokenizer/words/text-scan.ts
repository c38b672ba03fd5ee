// Reads a text by code points and finds the ends of runs of characters of a class, a bounded number of characters at a
// time: a run of a million letters must not block the event loop. Called by word-rules.ts and word-walker.ts; the
// functions for code points also by the other tokenizers.
import { TesseraeError } from '../../base/errors.js';
import { classOf } from './character-classes.js';

/** How many code units of a run are read before a pause. */
const STEP = 4096;
/** Runs of more code units are cached: rules may ask for them again, also from a place within them. */
const LONG_RUN = 64;
const CACHED_RUNS = 8;

export type CodePointTest = (codePoint: number) => boolean;

interface Run {
  readonly key: number | CodePointTest;
  readonly from: number;
  readonly limit: number;
  /** Where the run ends if it is done, else how far it was read. */
  to: number;
  done: boolean;
}

export class TextScan {
  readonly text: string;
  /** Set when a run was too long for one step: the rule's result is then invalid, and the rule must be called again. */
  paused = false;
  readonly #runs: Run[] = [];

  constructor(text: string) {
    this.text = text;
  }

  /** The code point at a code unit. @throws TesseraeError ERR_TOKENIZER at a lone surrogate */
  codePoint(at: number): number {
    const unit = this.text.charCodeAt(at);
    return unit < 0xd800 || unit > 0xdfff ? unit : codePointIn(this.text, at, this.text.length);
  }

  /** The class of the character at a code unit; 0, as of characters without a class, at `end` or after it. */
  classAt(at: number, end: number): number {
    return at < end ? classOf(this.codePoint(at)) : 0;
  }

  /** The end of the run from `at` of characters of the classes in `mask`; at most `end`. */
  run(at: number, end: number, mask: number): number {
    return this.#run(at, end, mask);
  }

  /** As {@link run}, for characters of none of the classes in `mask`. */
  runOutside(at: number, end: number, mask: number): number {
    return this.#run(at, end, ~mask);
  }

  /** As {@link run}, for characters that pass a test. Runs are cached by this function's identity. */
  runWhile(at: number, end: number, test: CodePointTest): number {
    return this.#run(at, end, test);
  }

  #run(from: number, end: number, key: number | CodePointTest): number {
    const known = this.#find(from, end, key);
    if (known?.done) return known.to;
    const start = known?.to ?? from;
    const stop = Math.min(end, start + STEP);
    let at = start;
    // A negative key is the complement of a mask, and includes characters without a class.
    if (typeof key === 'function') while (at < stop && key(this.codePoint(at))) at += this.#width(at);
    else if (key < 0) while (at < stop && (classOf(this.codePoint(at)) & ~key) === 0) at += this.#width(at);
    else while (at < stop && (classOf(this.codePoint(at)) & key) !== 0) at += this.#width(at);
    const done = at < stop || at >= end;
    if (!done) this.paused = true;
    if (known !== undefined) {
      known.to = at;
      known.done = done;
    } else if (at - from > LONG_RUN) {
      if (this.#runs.length === CACHED_RUNS) this.#runs.shift();
      this.#runs.push({ key, from, limit: end, to: at, done });
    }
    return at;
  }

  #width(at: number): number {
    return isHighSurrogate(this.text.charCodeAt(at)) ? 2 : 1;
  }

  #find(at: number, end: number, key: number | CodePointTest): Run | undefined {
    if (this.#runs.length === 0) return undefined;
    return this.#runs.find((run) => run.key === key && run.limit === end && at >= run.from && at < run.to);
  }
}

/** How many code units a code point takes. */
export function widthOf(codePoint: number): number {
  return codePoint > 0xffff ? 2 : 1;
}

export function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit < 0xdc00;
}

/** The code point at a code unit. @throws TesseraeError ERR_TOKENIZER at a lone surrogate */
export function codePointIn(text: string, at: number, end: number): number {
  const unit = text.charCodeAt(at);
  if (unit < 0xd800 || unit > 0xdfff) return unit;
  const low = unit < 0xdc00 && at + 1 < end ? text.charCodeAt(at + 1) : 0;
  if (low >= 0xdc00 && low <= 0xdfff) return (unit - 0xd800) * 0x400 + (low - 0xdc00) + 0x10000;
  throw new TesseraeError(
    'ERR_TOKENIZER',
    `the text contains a lone surrogate, U+${unit.toString(16).toUpperCase()}, at index ${at}: it is not valid Unicode`,
  );
}

/** How many code units are checked for surrogates at once. */
const CHECKED = 1 << 14;

/**
 * Checks a text from `start` to at least `end`, at most to `limit`; more than that, so that it is called rarely.
 * @returns how far the text is checked
 * @throws TesseraeError ERR_TOKENIZER at a lone surrogate
 */
export function checkWellFormedFrom(text: string, start: number, end: number, limit: number): number {
  let to = Math.min(limit, Math.max(end, start + CHECKED));
  if (to < limit && isHighSurrogate(text.charCodeAt(to - 1))) to += 1;
  checkWellFormed(text, start, to);
  return to;
}

/** @throws TesseraeError ERR_TOKENIZER when text[start, end) contains a lone surrogate */
export function checkWellFormed(text: string, start: number, end: number): void {
  const at = text.slice(start, end).search(/\p{Surrogate}/u);
  if (at >= 0) codePointIn(text, start + at, text.length);
}
