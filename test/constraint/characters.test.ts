// Sets of characters: their complements, numbers as ranges of digits, and characters as UTF-8 and in JSON strings.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type CharacterSet,
  complement,
  digitRanges,
  everyCharacter,
  jsonString,
  utf8,
} from '../../src/constraint/compile/characters.js';
import { type Term, Terms } from '../../src/constraint/term.js';
import { allTexts } from '../support/constraint-texts.js';

function matches(terms: Terms, term: Term, bytes: Iterable<number>): boolean {
  let at = term;
  for (const byte of bytes) at = terms.derive(at, byte);
  return at.nullable;
}

const has = (set: CharacterSet, code: number) => set.some(([from, to]) => code >= from && code <= to);

test('a complement has all other characters, in ranges that do not touch', () => {
  expect(complement([])).toEqual([[0, 0x10ffff]]);
  expect(complement(everyCharacter)).toEqual([]);
  expect(
    complement([
      [5, 9],
      [0, 2],
      [7, 12],
    ]),
  ).toEqual([
    [3, 4],
    [13, 0x10ffff],
  ]);
  expect(complement([[3, 0x10ffff]])).toEqual([[0, 2]]);
  expect(complement([[0, 0x10fffe]])).toEqual([[0x10ffff, 0x10ffff]]);
  expect(
    complement([
      [4, 4],
      [5, 6],
    ]),
  ).toEqual([
    [0, 3],
    [7, 0x10ffff],
  ]);
});

describe('ranges of digits', () => {
  test('have exactly the numbers from the least to the most, each once', () => {
    const bounds = fc.tuple(fc.nat({ max: 239 }), fc.nat({ max: 239 }));
    fc.assert(
      fc.property(bounds, fc.constantFrom([4, 6, 10], [10, 10, 10], [240], [2, 120]), ([a, b], radices) => {
        const [from, to] = [Math.min(a, b), Math.max(a, b)];
        const all: number[] = [];
        for (const ranges of digitRanges(from, to, radices)) {
          expect(ranges.map(([low, high], at) => low <= high && high < (radices[at] as number))).toEqual(
            radices.map(() => true),
          );
          let numbers = [0];
          for (const [at, [low, high]] of ranges.entries()) {
            const digits = Array.from({ length: high - low + 1 }, (_, i) => low + i);
            numbers = numbers.flatMap((n) => digits.map((digit) => n * (radices[at] as number) + digit));
          }
          all.push(...numbers);
        }
        expect(all).toEqual(Array.from({ length: to - from + 1 }, (_, i) => from + i));
      }),
    );
  });

  test('are few: a whole range is one alternative', () => {
    expect(digitRanges(0, 999, [10, 10, 10])).toEqual([
      [
        [0, 9],
        [0, 9],
        [0, 9],
      ],
    ]);
    expect(digitRanges(100, 299, [10, 10, 10])).toHaveLength(1);
    expect(digitRanges(5, 5, [10])).toEqual([[[5, 5]]]);
    expect(digitRanges(95, 105, [10, 10, 10])).toHaveLength(2);
  });
});

/** Where the lengths in UTF-8 and the escapes change, and beside it. */
const edges = [0, 0x1f, 0x20, 0x22, 0x2f, 0x5c, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xffff, 0x10000, 0x10ffff];
const codes = fc
  .oneof(
    fc.constantFrom(...edges),
    fc.constantFrom(...edges).map((code) => Math.min(code + 1, 0x10ffff)),
    fc.nat({ max: 0x10ffff }),
  )
  .filter((code) => code < 0xd800 || code > 0xdfff);
const sets = fc.array(
  fc.tuple(codes, codes).map(([a, b]): [number, number] => [Math.min(a, b), Math.max(a, b)]),
  { minLength: 1, maxLength: 3 },
);

test('UTF-8 has the bytes of the characters of a set, and of no other', () => {
  fc.assert(
    fc.property(sets, fc.array(codes, { maxLength: 6 }), (set, others) => {
      const terms = new Terms();
      const term = utf8(terms, set);
      const near = [...others, ...set.flat(), ...set.flatMap(([a, b]) => [a - 1, b + 1])];
      const samples = near.filter((code) => code >= 0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff));
      const isIn = (code: number) => matches(terms, term, Buffer.from(String.fromCodePoint(code)));
      expect(samples.filter(isIn)).toEqual(samples.filter((code) => has(set, code)));
    }),
  );
});

test('no bytes are UTF-8 that decoders refuse', () => {
  const terms = new Terms();
  const any = utf8(terms, everyCharacter);
  for (const bytes of [
    [0x80],
    [0xc0, 0x80],
    [0xc3],
    [0xe0, 0x80, 0x80],
    [0xed, 0xa0, 0x80],
    [0xf4, 0x90, 0x80, 0x80],
    [0xff],
  ]) {
    expect(matches(terms, any, bytes)).toBe(false);
  }
  expect(matches(terms, utf8(terms, []), [])).toBe(false);
});

describe('in a JSON string', () => {
  /** All ways to write a character, or most of them. */
  function writings(code: number): string[] {
    const character = String.fromCodePoint(code);
    const units = Array.from(character.split(''), (unit) => unit.charCodeAt(0).toString(16).padStart(4, '0'));
    const short = Object.entries({ '"': '"', '\\': '\\', '/': '/', b: '\b', t: '\t', n: '\n', f: '\f', r: '\r' });
    return [
      character,
      units.map((unit) => `\\u${unit}`).join(''),
      units.map((unit) => `\\u${unit.toUpperCase()}`).join(''),
      ...short.filter(([, value]) => value === character).map(([letter]) => `\\${letter}`),
    ];
  }

  const isJson = (text: string) => {
    try {
      return typeof JSON.parse(`"${text}"`) === 'string';
    } catch {
      return false;
    }
  };

  test('a character is written as itself or escaped, wherever JSON allows it', () => {
    fc.assert(
      fc.property(sets, fc.array(codes, { maxLength: 3 }), (set, others) => {
        const terms = new Terms();
        const term = jsonString(terms, set);
        const samples = [...others, ...set.flat()].flatMap((code) => writings(code).map((text) => ({ code, text })));
        const written = samples.filter(({ text }) => matches(terms, term, Buffer.from(text)));
        expect(written).toEqual(samples.filter(({ code, text }) => has(set, code) && isJson(text)));
      }),
      { numRuns: 30 },
    );
  });

  test('a character of two units has both of them in each of its escapes', () => {
    for (const code of [0x10000, 0x1f600, 0x10ffff]) {
      const terms = new Terms();
      const texts = allTexts({ terms, term: jsonString(terms, [[code, code]]) });
      expect([...new Set(texts.map((text) => JSON.parse(`"${text}"`)))]).toEqual([String.fromCodePoint(code)]);
      // All digits that are letters, large or small, and the character itself.
      const letters = texts[0]?.replace(/\\u/g, '').replace(/[^a-f]/gi, '').length as number;
      expect(texts).toHaveLength(2 ** letters + 1);
    }
  });

  test('each short escape is that of its character alone', () => {
    const terms = new Terms();
    for (const code of [0x22, 0x5c, 0x2f, 8, 9, 10, 12, 13]) {
      const term = jsonString(terms, [[code, code]]);
      for (const letter of '"\\/btnfr') {
        const text = `\\${letter}`;
        const isIt = JSON.parse(`"${text}"`) === String.fromCharCode(code);
        expect(matches(terms, term, Buffer.from(text)), text).toBe(isIt);
      }
    }
  });

  test('half a surrogate pair is no character, nor one in the wrong order', () => {
    const terms = new Terms();
    const any = jsonString(terms, everyCharacter);
    for (const text of ['\\ud83d', '\\ude00', '\\ude00\\ud83d', '\\u12', '\\u123g', '\\x', '"', '\\']) {
      expect(matches(terms, any, Buffer.from(text)), text).toBe(false);
    }
    expect(matches(terms, any, Buffer.from('\\uD83d\\uDe00'))).toBe(true);
  });
});
