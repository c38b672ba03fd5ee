// Sorts code points into the classes that pre-tokenizers split by. The classes are Unicode's general categories and
// White_Space as this Node.js knows them; characters that were assigned after a model was trained may therefore split
// otherwise than they did in its training. Called by the rules of pre-tokenizers and by the normalizers.

/** Flags of {@link classOf}, one per code point; control and unassigned characters have none. */
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

/** A byte per code point, found page by page when first asked for. */
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

/** Tests code points for a pattern, each of which is looked at once. */
export function patternTest(pattern: RegExp): (codePoint: number) => boolean {
  let matches: CodePointTable | undefined;
  return (codePoint) => {
    matches ??= new CodePointTable((character) => (pattern.test(character) ? 1 : 0));
    return matches.get(codePoint) === 1;
  };
}
