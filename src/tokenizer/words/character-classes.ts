// The classes of code points by which pre-tokenizers split: Unicode's general categories and White_Space, in the
// Unicode version of this Node.js. So characters assigned after a model was trained may split differently than in its
// training. Called by the rules of pre-tokenizers and by wordpiece.ts.

/** Flags of {@link classOf}: one for each code point, none for control and unassigned characters. */
export const UPPER = 1;
export const LOWER = 2;
export const CASELESS = 4;
export const MARK = 8;
export const NUMBER = 16;
export const SPACE = 32;
export const PUNCTUATION = 64;
export const SYMBOL = 128;
export const LETTER = UPPER | LOWER | CASELESS;

const PAGE_BITS = 8;
const CODE_POINTS = 0x110000;

const classes: readonly (readonly [RegExp, number])[] = [
  [/[\p{Lu}\p{Lt}]/u, UPPER],
  [/\p{Ll}/u, LOWER],
  [/[\p{Lm}\p{Lo}]/u, CASELESS],
  [/\p{M}/u, MARK],
  [/\p{N}/u, NUMBER],
  [/\p{White_Space}/u, SPACE],
  [/\p{P}/u, PUNCTUATION],
  [/\p{S}/u, SYMBOL],
];

/** A byte for each code point. A page of code points is computed when the first of them is needed. */
class CodePointTable {
  readonly #table = new Uint8Array(CODE_POINTS);
  readonly #known = new Uint8Array(CODE_POINTS >> PAGE_BITS);
  readonly #classify: (character: string) => number;

  constructor(classify: (character: string) => number) {
    this.#classify = classify;
  }

  get(codePoint: number): number {
    if (this.#known[codePoint >> PAGE_BITS] === 0) this.#fill(codePoint >> PAGE_BITS);
    return this.#table[codePoint] as number;
  }

  #fill(page: number): void {
    const start = page << PAGE_BITS;
    for (let c = start; c < start + (1 << PAGE_BITS); c++) this.#table[c] = this.#classify(String.fromCodePoint(c));
    this.#known[page] = 1;
  }
}

let table: CodePointTable | undefined;

/** The flag of a code point, or 0. */
export function classOf(codePoint: number): number {
  table ??= new CodePointTable((character) => classes.find(([pattern]) => pattern.test(character))?.[1] ?? 0);
  return table.get(codePoint);
}

/** A test of code points by a pattern. Results are cached. */
export function patternTest(pattern: RegExp): (codePoint: number) => boolean {
  let matches: CodePointTable | undefined;
  return (codePoint) => {
    matches ??= new CodePointTable((character) => (pattern.test(character) ? 1 : 0));
    return matches.get(codePoint) === 1;
  };
}
