// The rules by which pre-tokenizers split text into words. Each does what one regular expression does, without
// backtracking: it takes linear time for any text. Called by word-walker.ts; chosen by pre-tokenizers.ts and
// patterns.ts.
import {
  CASELESS,
  classOf,
  LETTER,
  LOWER,
  MARK,
  NUMBER,
  PUNCTUATION,
  SPACE,
  SYMBOL,
  UPPER,
} from './character-classes.js';
import { type CodePointTest, type TextScan, widthOf } from './text-scan.js';

/**
 * The end of the word that begins at a place of a text, at most `end`; or -1 if none begins there. Text between two
 * words becomes a word, too. When `scan.paused` is set, the result is invalid.
 */
export type WordRule = (scan: TextScan, at: number, end: number) => number;

const BLANK = 0x20;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SLASH = 0x2f;
const APOSTROPHE = 0x27;

const isNewline = (c: number) => c === LINE_FEED || c === CARRIAGE_RETURN;

/** `'s|'t|'re|'ve|'m|'ll|'d` at a place: the length, or 0. */
function contractionLength(scan: TextScan, at: number, end: number, ignoreCase: boolean): number {
  if (scan.text.charCodeAt(at) !== APOSTROPHE || at + 1 >= end) return 0;
  const given = scan.text.slice(at + 1, Math.min(at + 3, end));
  const suffix = ignoreCase ? given.replace(/[A-Z]/g, (letter) => letter.toLowerCase()) : given;
  if ('stmd'.includes(suffix.charAt(0))) return 2;
  return suffix === 're' || suffix === 've' || suffix === 'll' ? 3 : 0;
}

/** `\s+(?!\S)|\s+`: white space without its last character if other text follows. */
function spaces(scan: TextScan, at: number, end: number): number {
  const stop = scan.run(at, end, SPACE);
  return stop === end || stop - at === 1 ? stop : stop - 1;
}

/** `\s*[\r\n]+|\s+(?!\S)|\s+`: as {@link spaces}, but up to the last line break if there is one. */
function spacesOrLines(scan: TextScan, at: number, end: number): number {
  const stop = scan.run(at, end, SPACE);
  if (scan.paused) return stop;
  for (let last = stop - 1; last >= at; last--) if (isNewline(scan.text.charCodeAt(last))) return last + 1;
  return stop === end || stop - at === 1 ? stop : stop - 1;
}

/** `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+` */
export const gpt2Words: WordRule = (scan, at, end) => {
  const contraction = contractionLength(scan, at, end, false);
  if (contraction > 0) return at + contraction;
  const first = scan.text.charCodeAt(at) === BLANK ? at + 1 : at;
  const kind = scan.classAt(first, end);
  if ((kind & LETTER) !== 0) return scan.run(first, end, LETTER);
  if (kind === NUMBER) return scan.run(first, end, NUMBER);
  return kind === SPACE ? spaces(scan, at, end) : scan.runOutside(first, end, LETTER | NUMBER | SPACE);
};

/** `\p{N}{1,most}` */
export function digits(most: number): WordRule {
  return (scan, at, end) => {
    let stop = at;
    for (let count = 0; count < most && scan.classAt(stop, end) === NUMBER; count++) {
      stop += widthOf(scan.codePoint(stop));
    }
    return stop > at ? stop : -1;
  };
}

/** `X+`, for characters that pass a test; with `space`, `\s?X+`; with `blank`, ` ?X+`. */
export function runOf(test: CodePointTest, before: 'nothing' | 'space' | 'blank' = 'nothing'): WordRule {
  return (scan, at, end) => {
    const c = scan.codePoint(at);
    const mayLead = before === 'space' ? classOf(c) === SPACE : before === 'blank' && c === BLANK;
    const next = at + widthOf(c);
    if (mayLead && next < end && test(scan.codePoint(next))) return scan.runWhile(next, end, test);
    return test(c) ? scan.runWhile(at, end, test) : -1;
  };
}

/** `X`: single characters that pass a test. */
export function single(test: CodePointTest): WordRule {
  return (scan, at) => {
    const c = scan.codePoint(at);
    return test(c) ? at + widthOf(c) : -1;
  };
}

/** `[0-9][0-9][0-9]` */
export const threeDigits: WordRule = (scan, at, end) => {
  for (let i = at; i < at + 3; i++) {
    const unit = i < end ? scan.text.charCodeAt(i) : 0;
    if (unit < 0x30 || unit > 0x39) return -1;
  }
  return at + 3;
};

/** `\s+$` */
export const trailingSpaces: WordRule = (scan, at, end) => {
  const stop = scan.run(at, end, SPACE);
  return stop === end ? stop : -1;
};

/** `[^\n]+|[\n]+` */
export const lines: WordRule = (scan, at, end) =>
  scan.runWhile(at, end, scan.text.charCodeAt(at) === LINE_FEED ? isLineFeed : isNoLineFeed);
const isLineFeed = (c: number) => c === LINE_FEED;
const isNoLineFeed = (c: number) => c !== LINE_FEED;

const isNewlineOrSlash = (c: number) => isNewline(c) || c === SLASH;

export interface Gpt4WordsOptions {
  /** How many digits a word may have. */
  readonly digits: number;
  /** Whether English contractions are words. */
  readonly contractions?: boolean;
  /** Whether combining marks count as letters. */
  readonly marks?: boolean;
  /** Whether line breaks end punctuation, instead of belonging to it. */
  readonly newlinesApart?: boolean;
}

/**
 * `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
 * as in GPT-4, with the variants of its relatives.
 */
export function gpt4Words(options: Gpt4WordsOptions): WordRule {
  const { digits: most, contractions = true, marks = false, newlinesApart = false } = options;
  const letters = marks ? LETTER | MARK : LETTER;
  const number = digits(most);
  return (scan, at, end) => {
    const contraction = contractions ? contractionLength(scan, at, end, true) : 0;
    if (contraction > 0) return at + contraction;
    const c = scan.codePoint(at);
    const kind = classOf(c);
    if ((kind & letters) !== 0) return scan.run(at, end, letters);
    if (kind === NUMBER) return most === Number.POSITIVE_INFINITY ? scan.run(at, end, NUMBER) : number(scan, at, end);
    const next = at + widthOf(c);
    const following = scan.classAt(next, end);
    if ((following & letters) !== 0 && !isNewline(c)) return scan.run(next, end, letters);
    const leads = c === BLANK && (following & (SPACE | NUMBER | letters)) === 0;
    if (kind === SPACE && !leads) return spacesOrLines(scan, at, end);
    const stop = scan.runOutside(next, end, SPACE | NUMBER | letters);
    return scan.paused || newlinesApart ? stop : scan.runWhile(stop, end, isNewline);
  };
}

/** Which characters count as upper and as lower case, for words that end between the two. */
export interface Cases {
  readonly upper: CodePointTest;
  readonly lower: CodePointTest;
}

/** As in the pattern: letters without case, and marks, count as both. */
export const exactCases: Cases = {
  upper: (c) => (classOf(c) & (UPPER | CASELESS | MARK)) !== 0,
  lower: (c) => (classOf(c) & (LOWER | CASELESS | MARK)) !== 0,
};

/** As in llama.cpp, which distinguishes the case of ASCII letters only. */
export function asciiCases(mask: number): Cases {
  return {
    upper: (c) => (classOf(c) & mask) !== 0 && !(c >= 0x61 && c <= 0x7a),
    lower: (c) => (classOf(c) & mask) !== 0 && !(c >= 0x41 && c <= 0x5a),
  };
}

/**
 * `[^\r\n\p{L}\p{N}]?U*V+(?i:'s|…)?|[^\r\n\p{L}\p{N}]?U+V*(?i:'s|…)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|
 * \s+(?!\S)|\s+` as in GPT-4o, where U is upper and V lower case.
 */
export function gpt4oWords(cases: Cases, { digits: most, contractions = true }: Gpt4WordsOptions): WordRule {
  const number = digits(most);
  return (scan, at, end) => {
    const c = scan.codePoint(at);
    const kind = classOf(c);
    const next = at + widthOf(c);
    const mayLead = (kind & (LETTER | NUMBER)) === 0 && !isNewline(c);
    // The alternatives in their order. A mark before a title-case letter is a word: marks also count as lower case.
    let stop = -1;
    for (const wordEnd of [endOfLower, endOfUpper]) {
      if (stop < 0 && mayLead) stop = wordEnd(scan, next, end, cases);
      if (stop < 0 && !scan.paused) stop = wordEnd(scan, at, end, cases);
      if (scan.paused) return at;
    }
    if (stop >= 0) return contractions ? stop + contractionLength(scan, stop, end, true) : stop;
    if (kind === NUMBER) return number(scan, at, end);
    const following = scan.classAt(next, end);
    const leads = c === BLANK && (following & (SPACE | NUMBER | LETTER)) === 0;
    if (kind === SPACE && !leads) return spacesOrLines(scan, at, end);
    stop = scan.runOutside(next, end, SPACE | NUMBER | LETTER);
    return scan.paused ? stop : scan.runWhile(stop, end, isNewlineOrSlash);
  };
}

/** The end of `U*V+`, or -1. */
function endOfLower(scan: TextScan, at: number, end: number, { upper, lower }: Cases): number {
  const upperEnd = scan.runWhile(at, end, upper);
  if (scan.paused) return -1;
  if (upperEnd < end && lower(scan.codePoint(upperEnd))) return scan.runWhile(upperEnd, end, lower);
  // Backtracking: V+ needs at least one character, the last one of U* that is also in V.
  for (let stop = upperEnd; stop > at; ) {
    const low = scan.text.charCodeAt(stop - 1);
    const start = low >= 0xdc00 && low <= 0xdfff ? stop - 2 : stop - 1;
    if (lower(scan.codePoint(start))) return stop;
    stop = start;
  }
  return -1;
}

/** The end of `U+V*`; or -1. Called where `U*V+` does not match, so no V follows. */
function endOfUpper(scan: TextScan, at: number, end: number, { upper }: Cases): number {
  const upperEnd = scan.runWhile(at, end, upper);
  return !scan.paused && upperEnd > at ? upperEnd : -1;
}

const isAsciiLetter = (c: number) => (c >= 0x41 && c <= 0x5a) || (c >= 0x61 && c <= 0x7a);

/**
 * `[!-/:-@\[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+` as
 * in DeepSeek V3.
 */
export const deepseekWords: WordRule = (scan, at, end) => {
  const c = scan.codePoint(at);
  const kind = classOf(c);
  const next = at + widthOf(c);
  const isPunctuation = (kind & (PUNCTUATION | SYMBOL)) !== 0;
  if (isPunctuation && c < 0x7f && next < end && isAsciiLetter(scan.codePoint(next))) {
    return scan.runWhile(next, end, isAsciiLetter);
  }
  if ((kind & (LETTER | MARK)) !== 0) return scan.run(at, end, LETTER | MARK);
  const following = scan.classAt(next, end);
  if (!isPunctuation && !isNewline(c) && (following & (LETTER | MARK)) !== 0) return scan.run(next, end, LETTER | MARK);
  if (isPunctuation || (c === BLANK && (following & (PUNCTUATION | SYMBOL)) !== 0)) {
    const stop = scan.run(next, end, PUNCTUATION | SYMBOL);
    return scan.paused ? stop : scan.runWhile(stop, end, isNewline);
  }
  return kind === SPACE ? spacesOrLines(scan, at, end) : -1;
};
