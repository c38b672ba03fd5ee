// Sorts code points into the classes that pre-tokenizers split by: letters, numbers, white space, all else. The
// classes are Unicode's \p{L}, \p{N} and \p{White_Space} as this Node.js knows them; characters that were assigned
// after a model was trained may therefore split otherwise than they did in its training.

export const LETTER = 1;
export const NUMBER = 2;
export const SPACE = 3;
export const OTHER = 4;

const PAGE_BITS = 8;
/** A class per code point; 0 in pages that were not asked for yet. 1.1 MiB, of which the used pages are touched. */
let classes: Uint8Array | undefined;

/** The class of a code point. */
export function characterClass(codePoint: number): number {
  classes ??= new Uint8Array(0x110000);
  return classes[codePoint] || classifyPage(classes, codePoint);
}

function classifyPage(table: Uint8Array, codePoint: number): number {
  const start = (codePoint >> PAGE_BITS) << PAGE_BITS;
  for (let c = start; c < start + (1 << PAGE_BITS); c++) table[c] = classify(String.fromCodePoint(c));
  return table[codePoint] as number;
}

function classify(character: string): number {
  if (/\p{L}/u.test(character)) return LETTER;
  if (/\p{N}/u.test(character)) return NUMBER;
  return /\p{White_Space}/u.test(character) ? SPACE : OTHER;
}
