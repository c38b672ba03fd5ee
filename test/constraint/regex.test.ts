// Regular expressions as terms: they match what JavaScript matches with the flag u, and others are refused by name.
import { describe, expect, test } from 'vitest';
import { jsonString, utf8 } from '../../src/constraint/compile/characters.js';
import { compileRegex } from '../../src/constraint/compile/regex.js';
import { Terms } from '../../src/constraint/term.js';
import { allTexts, type Compiled, takenOf, takes } from '../support/constraint-texts.js';

function regexOf(source: string, search = false): Compiled {
  const terms = new Terms();
  return { terms, term: compileRegex(source, terms, { encoding: utf8, search }) };
}

/** All texts of up to `most` of these letters. */
function textsOf(letters: string, most: number): string[] {
  const all = [''];
  for (let from = 0, length = 0; length < most; length++) {
    const end = all.length;
    for (; from < end; from++) for (const letter of letters) all.push(`${all[from]}${letter}`);
  }
  return all;
}

const refusal = (problem: string) =>
  expect.objectContaining({ code: 'ERR_FORMAT', message: expect.stringContaining(problem) });

describe('match the same texts as in JavaScript', () => {
  const short = textsOf('abc', 4);
  test.each([
    '',
    'a',
    'abc',
    'a|b',
    'ab|c|',
    'a*',
    'a+b?',
    'a*?b+?c??',
    '(?:ab)*',
    '(ab|c){2}',
    'a{0}',
    'a{2}?b',
    'a{1,3}',
    'a{2,}c',
    'a{0,1}b',
    'a{01,02}',
    '(?<name>a|b)c',
    '(?<a>b)(?<c>a)',
    '((a)|(b(c)))*',
    '^a|b$',
    '^ab$',
    '^',
    '$',
    '[ab]c',
    '[^a]b',
    '[a-b]+',
    '[c-]b*',
    '.b.',
    '(|a)b',
    '()',
  ])('/%s/', (source) => {
    const whole = new RegExp(`^(?:${source})$`, 'u');
    expect(takenOf(regexOf(source), short)).toEqual(short.filter((text) => whole.test(text)));
    const anywhere = new RegExp(source, 'u');
    expect(takenOf(regexOf(source, true), short)).toEqual(short.filter((text) => anywhere.test(text)));
  });

  test.each([
    '.',
    '\\d',
    '\\D',
    '\\w',
    '\\W',
    '\\s',
    '\\S',
    '\\t',
    '\\n',
    '\\v',
    '\\f',
    '\\r',
    '\\0',
    '\\cA',
    '\\cz',
    '\\cZ',
    '\\x4a',
    '\\x4A',
    '\\u00e9',
    '\\u{e9}',
    '\\u{1F600}',
    '\\u{10ffff}',
    '\\u{10FFFF}',
    '\\ud83d\\ude00',
    '\\uD83D\\uDE00',
    '\\ud800\\udc00',
    '\\udbff\\udfff',
    '\\ud83d',
    '\\udc00\\udc00',
    '\\ud7ff',
    '\\ue000',
    '[\\ud83d\\ude00-\\ud83d\\ude05]',
    '[\\ue000\\udc00]',
    '\\.',
    '\\\\',
    '\\/',
    '\\[',
    '\\{',
    '-',
    '😀',
    'é',
    '[]',
    '[^]',
    '[\\b]',
    '[^\\b]',
    '[\\d\\s]',
    '[^\\d\\s]',
    '[^\\W_]',
    '[a-f0-9]',
    '[-a]',
    '[a-]',
    '[a-\\x66]',
    '[\\x61-f]',
    '[+--]',
    '[.*+?^$()|{}[]',
    '[\\]\\\\^]',
    '[^^]',
    '[a^]',
    '[😀-😂é]',
    '[\\-x]',
  ])('/%s/, of one character', (source) => {
    const around = [0, 0x5f, 0x7f, 0xa0, 0xe9, 0x1680, 0x2000, 0x2028, 0x205f, 0x3000, 0xd7ff, 0xe000, 0xfeff, 0x10000];
    const codes = Array.from({ length: 0x80 }, (_, code) => code);
    for (const code of [...around, 0x1f600, 0x1f605, 0x10fc00, 0x10ffff]) {
      for (const near of [-1, 0, 1, 2, 5, 10, 11]) codes.push(code + near);
    }
    const isCharacter = (code: number) => code >= 0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
    const characters = [...new Set(codes)].filter(isCharacter).map((code) => String.fromCodePoint(code));
    const regex = new RegExp(`^(?:${source})$`, 'u');
    expect(takenOf(regexOf(source), characters)).toEqual(characters.filter((text) => regex.test(text)));
  });

  test('lone surrogates beside other characters match nothing', () => {
    for (const source of ['\\ud83dx', '\\ud83d\\u0041', '\\ud7ff\\udc00', '\\ue000\\udc00', '\\ud83dx\\ude00']) {
      expect(regexOf(source).term.kind).toBe('empty');
    }
    // A pair, and what follows it.
    expect(allTexts(regexOf('\\ud83d\\ude00\\ude00?'))).toEqual(['😀']);
    expect(allTexts(regexOf('\\u00e9\\ud83d\\ude00'))).toEqual(['é😀']);
  });

  test('within JSON strings, characters may be escaped', () => {
    const terms = new Terms();
    const compiled = { terms, term: compileRegex('^a"$', terms, { encoding: jsonString, search: true }) };
    expect(takenOf(compiled, ['a\\"', '\\u0061\\u0022', 'a"', 'a', 'xa\\"'])).toEqual(['a\\"', '\\u0061\\u0022']);
  });
});

test('by default, the whole text has to match', () => {
  const terms = new Terms();
  const compiled = { terms, term: compileRegex('b', terms, { encoding: utf8 }) };
  expect(takenOf(compiled, ['b', 'ab', 'bc', ''])).toEqual(['b']);
  expect(takenOf(regexOf('b', true), ['b', 'ab', 'bc', ''])).toEqual(['b', 'ab', 'bc']);
});

describe('is refused', () => {
  test.each<[string, string]>([
    ['a)', 'has a ) without its ('],
    ['(a', 'has a ( without its )'],
    ['(?:a', 'has a ( without its )'],
    ['(?<n', 'has a ( without its )'],
    ['(?<n>a', 'has a ( without its )'],
    ['a$b', 'has a $ that is not at the end'],
    ['a$$', 'has a $ that is not at the end'],
    ['a**', 'repeats a quantifier'],
    ['a*??', 'repeats a quantifier'],
    ['a{2}{3}', 'repeats a quantifier'],
    ['a+*', 'repeats a quantifier'],
    ['a{', 'has a { that does not begin a quantifier: write \\{'],
    ['a{}', 'has a { that does not begin a quantifier'],
    ['a{,3}', 'has a { that does not begin a quantifier'],
    ['a{b{2}', 'has a { that does not begin a quantifier'],
    ['a{2', 'has a { that does not begin a quantifier'],
    ['a{2,', 'has a { that does not begin a quantifier'],
    ['a{2,x}', 'has a { that does not begin a quantifier'],
    ['a{2,1}', 'has the limits {2,1} out of order'],
    ['a{1000001}', 'repeats more than 1000000 times'],
    ['a{1000001,}', 'repeats more than 1000000 times'],
    ['a{0,1000001}', 'repeats more than 1000000 times'],
    ['a^', 'has a ^ within'],
    ['(^a)', 'has a ^ within'],
    ['(a$)', 'has a $ within'],
    ['*', 'has a * out of place: write \\*'],
    ['a|+', 'has a + out of place'],
    ['(?', 'uses inline flags'],
    ['?', 'has a ? out of place'],
    ['{', 'has a { out of place'],
    ['}', 'has a } out of place'],
    ['a]', 'has a ] out of place'],
    ['(?=a)', 'uses lookaround, which is not supported'],
    ['(?!a)', 'uses lookaround, which is not supported'],
    ['(?<=a)', 'uses lookaround, which is not supported'],
    ['(?<!a)', 'uses lookaround, which is not supported'],
    ['(?i:a)', 'uses inline flags, which are not supported'],
    ['\\', 'ends with a backslash'],
    ['\\b', 'uses word boundaries, which are not supported'],
    ['\\B', 'uses word boundaries, which are not supported'],
    ['[\\B]', 'uses word boundaries, which are not supported'],
    ['\\p{L}', 'uses \\p, which is not supported'],
    ['\\P{L}', 'uses \\P, which is not supported'],
    ['(a)\\1', 'uses backreferences, which are not supported'],
    ['(a)\\9', 'uses backreferences, which are not supported'],
    ['(?<a>b)\\k<a>', 'uses backreferences, which are not supported'],
    ['\\c', 'has a \\c without a letter'],
    ['\\c1', 'has a \\c without a letter'],
    ['\\y', 'has the unknown escape \\y'],
    ['\\Y', 'has the unknown escape \\Y'],
    ['\\x', 'has a \\x without its digits'],
    ['\\x4', 'has a \\x without its digits'],
    ['\\x4g', 'has a \\x without its digits'],
    ['\\xg41', 'has a \\x without its digits'],
    ['\\u', 'has a \\u without its digits'],
    ['\\u004', 'has a \\u without its digits'],
    ['\\ug0041', 'has a \\u without its digits'],
    ['\\u{}', 'has a \\u without its digits'],
    ['\\u{110000}', 'has a \\u without its digits'],
    ['\\u{0000041}', 'has a \\u without its digits'],
    ['\\u{41', 'has a \\u without its digits'],
    ['[', 'has a [ without its ]'],
    ['[a', 'has a [ without its ]'],
    ['[a-', 'has a [ without its ]'],
    ['[^', 'has a [ without its ]'],
    ['[a\\', 'ends with a backslash'],
    ['[b-a]', 'has a range that is out of order, or that has a class as an end'],
    ['[\\d-z]', 'has a range that is out of order'],
    ['[a-\\d]', 'has a range that is out of order'],
    ['[\\s-z]', 'has a range that is out of order'],
    ['[\\0-\\s]', 'has a range that is out of order'],
  ])('/%s/', (source, problem) => {
    expect(() => regexOf(source)).toThrow(refusal(problem));
  });

  test('what nests deeper than 200', () => {
    const nested = (depth: number) => `${'('.repeat(depth)}a${')'.repeat(depth)}`;
    expect(takes(regexOf(nested(200)), 'a')).toBe(true);
    expect(() => regexOf(nested(201))).toThrow(refusal('nests deeper than 200'));
  });

  test('but not what repeats a million times', () => {
    const aaa = { text: 'a'.repeat(1000) };
    for (const source of ['a{1000,1000000}', 'a{0,1000000}', 'a{1000,}', 'a{0000000000001,01000000}']) {
      expect(takes(regexOf(source), aaa.text)).toBe(true);
    }
    expect(takes(regexOf('a{1000000}'), aaa.text)).toBe(false);
    expect(regexOf('[a-a]{1000000,1000000}').term.kind).toBe('repeat');
  });

  test('with its first 60 characters in the message', () => {
    const source = (length: number) => `)${'a'.repeat(length - 1)}`;
    expect(() => regexOf(source(60))).toThrow(refusal(`/${source(60)}/ has a )`));
    expect(() => regexOf(source(61))).toThrow(refusal(`/${source(60)}…/ has a )`));
  });
});
