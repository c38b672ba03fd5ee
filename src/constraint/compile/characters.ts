// Sets of characters, and terms of the bytes that encode them: as UTF-8, or within a JSON string. Called by regex.ts,
// json-value.ts and json-schema.ts.
import type { Term, Terms } from '../term.js';

/** Inclusive ranges of code points. */
export type CharacterSet = readonly (readonly [from: number, to: number])[];
/** Makes the term of the bytes that encode one character of a set. */
export type Encoding = (terms: Terms, set: CharacterSet) => Term;

const LAST = 0x10ffff;
export const everyCharacter: CharacterSet = [[0, LAST]];

/** All characters outside of a set. */
export function complement(set: CharacterSet): CharacterSet {
  const rest: [number, number][] = [];
  let from = 0;
  for (const [first, last] of [...set].sort((a, b) => a[0] - b[0])) {
    if (first > from) rest.push([from, first - 1]);
    from = Math.max(from, last + 1);
  }
  if (from <= LAST) rest.push([from, LAST]);
  return rest;
}

/** The part of a set within a range. */
function within(set: CharacterSet, least: number, most: number): [number, number][] {
  return set
    .map(([from, to]): [number, number] => [Math.max(from, least), Math.min(to, most)])
    .filter(([from, to]) => from <= to);
}

/**
 * The numbers from `from` to `to` as alternatives, each a sequence of ranges of digits, the highest digit first.
 * @param radices the radix of each digit
 */
export function digitRanges(from: number, to: number, radices: readonly number[]): [number, number][][] {
  const [, ...lower] = radices;
  if (radices.length === 0) return [[]];
  const size = lower.reduce((product, radix) => product * radix, 1);
  let first = Math.floor(from / size);
  let last = Math.floor(to / size);
  const under = (digit: number, low: number, high: number) =>
    digitRanges(low, high, lower).map((rest): [number, number][] => [[digit, digit], ...rest]);
  if (first === last) return under(first, from % size, to % size);
  const ranges: [number, number][][] = [];
  if (from % size !== 0) ranges.push(...under(first++, from % size, size - 1));
  const ending = to % size === size - 1 ? [] : under(last--, 0, to % size);
  if (first <= last) ranges.push([[first, last], ...lower.map((radix): [number, number] => [0, radix - 1])]);
  return [...ranges, ...ending];
}

/**
 * The lengths of UTF-8 by ranges of code points: the lead byte without its digit, and the radix of each byte's digit.
 */
const lengths = [
  { least: 0, most: 0x7f, lead: 0, radices: [128] },
  { least: 0x80, most: 0x7ff, lead: 0xc0, radices: [32, 64] },
  { least: 0x800, most: 0xd7ff, lead: 0xe0, radices: [16, 64, 64] },
  { least: 0xe000, most: 0xffff, lead: 0xe0, radices: [16, 64, 64] },
  { least: 0x10000, most: LAST, lead: 0xf0, radices: [8, 64, 64, 64] },
] as const;

/** UTF-8. Surrogates are not characters: they are left out. */
export const utf8: Encoding = (terms, set) => {
  const written = lengths.flatMap(({ least, most, lead, radices }) =>
    within(set, least, most).flatMap(([from, to]) =>
      digitRanges(from, to, radices).map((digits) =>
        terms.sequence(
          ...digits.map(([low, high], at) => {
            const mark = at === 0 ? lead : 0x80;
            return terms.bytes([mark | low, mark | high]);
          }),
        ),
      ),
    ),
  );
  return terms.either(...written);
};

const shortEscapes: readonly (readonly [number, string])[] = [
  [0x22, '"'],
  [0x5c, '\\'],
  [0x2f, '/'],
  [8, 'b'],
  [9, 't'],
  [10, 'n'],
  [12, 'f'],
  [13, 'r'],
];

/** Within a JSON string: the character itself where JSON allows it, and all of its escapes. */
export const jsonString: Encoding = (terms, set) => {
  const plain = [...within(set, 0x20, 0x21), ...within(set, 0x23, 0x5b), ...within(set, 0x5d, LAST)];
  const short = shortEscapes
    .filter(([code]) => within(set, code, code).length > 0)
    .map(([, letter]) => terms.literal(`\\${letter}`));
  const basic = [...within(set, 0, 0xd7ff), ...within(set, 0xe000, 0xffff)].flatMap(([from, to]) =>
    digitRanges(from, to, [16, 16, 16, 16]).map((digits) => hexEscape(terms, digits)),
  );
  const pairs = within(set, 0x10000, LAST).flatMap(([from, to]) =>
    // A surrogate pair: ten bits above 0xd800 and ten above 0xdc00. In each, the first hexadecimal digit is always d,
    // and the second has two variable bits.
    digitRanges(from - 0x10000, to - 0x10000, [4, 16, 16, 4, 16, 16]).map(([a, b, c, d, e, f]) => {
      const high = [[13, 13], [8 + a![0], 8 + a![1]], b!, c!] as [number, number][];
      const low = [[13, 13], [12 + d![0], 12 + d![1]], e!, f!] as [number, number][];
      return terms.sequence(hexEscape(terms, high), hexEscape(terms, low));
    }),
  );
  return terms.either(utf8(terms, plain), ...short, ...basic, ...pairs);
};

function hexEscape(terms: Terms, digits: readonly (readonly [number, number])[]): Term {
  const set = ([from, to]: readonly [number, number]) => {
    const codes: [number, number][] = [];
    for (let digit = from; digit <= to; digit++) {
      const text = digit.toString(16);
      for (const character of [text, text.toUpperCase()])
        codes.push([character.charCodeAt(0), character.charCodeAt(0)]);
    }
    return terms.bytes(...codes);
  };
  return terms.sequence(terms.literal('\\u'), ...digits.map(set));
}
