// The search for tokens by their first bytes, on fixed vocabularies: few and many tokens, with short and long common
// beginnings, in slices.
import { describe, expect, test } from 'vitest';
import { TimeSlice } from '../../../src/base/time-slice.js';
import { StringList } from '../../../src/metadata/string-list.js';
import { PrefixWalk, TokenPrefixes } from '../../../src/tokenizer/vocabulary/token-prefixes.js';
import type { Vocabulary } from '../../../src/tokenizer/vocabulary/vocabulary.js';
import { CountedSlice } from '../../support/tokenizers/plain-metadata.js';

const vocabularyOf = (texts: readonly string[]) => ({ texts: StringList.from(texts) }) as unknown as Vocabulary;
const prefixesOf = (texts: readonly string[], isWanted: (id: number) => boolean = () => true) =>
  TokenPrefixes.of(vocabularyOf(texts), isWanted, new TimeSlice());

/** The tokens that a text begins with, and how many bytes were read until no token begins with them. */
function walk(prefixes: TokenPrefixes, text: string): { found: string; read: number } {
  const steps = new PrefixWalk(prefixes);
  const bytes = Buffer.from(text);
  const found: number[] = [];
  steps.begin();
  for (const byte of bytes) {
    if (!steps.step(byte)) break;
    if (steps.id >= 0) found.push(steps.id);
  }
  return { found: found.join(' '), read: steps.depth };
}

/** The same by a look at all tokens. */
function naive(texts: readonly string[], text: string): { found: string; read: number } {
  const bytes = Buffer.from(text).toString('latin1');
  const all = texts.map((token) => Buffer.from(token).toString('latin1'));
  const found: number[] = [];
  let read = 0;
  while (read < bytes.length) {
    read += 1;
    const begun = bytes.slice(0, read);
    if (!all.some((token) => token.startsWith(begun))) break;
    const id = all.indexOf(begun);
    if (id >= 0) found.push(id);
  }
  return { found: found.join(' '), read };
}

/** Each of the texts, what is one byte shorter or longer, beginnings of one with ends of others, and others. */
const asked = (texts: readonly string[]) =>
  texts.flatMap((text, at) => [
    ...[text, text.slice(0, -1), `${text}a`, `${text}~`, `${text.slice(0, -1)}~`, `~${text}`],
    ...[1, 2, 3, 5, 7].map((more) => text.slice(0, 1) + texts[(at + more) % texts.length]?.slice(1)),
  ]);

const pairs = [...'abcdefgh'].flatMap((a) => [...'abcxyz'].map((b) => a + b));
const vocabularies: [string, string[]][] = [
  ['no tokens', ['']],
  ['one token', ['ab']],
  ['few tokens', ['b', 'abc', 'a', 'ab', 'abd', 'é', 'è', '']],
  ['tokens that go on where others end', ['aa', 'ab', 'bc', 'bd', 'de', 'df']],
  ['sixteen tokens', [...'ponmlkjihgfedcba']],
  ['seventeen tokens', [...'qponmlkjihgfedcba']],
  ['many tokens of one beginning', pairs.map((text) => `aa${text}`)],
  ['many tokens that begin each other', Array.from({ length: 60 }, (_, id) => 'a'.repeat(60 - id))],
  ['pairs and triples', [...pairs, ...pairs.map((text) => `${text}${text[1]}`), 'a', 'h', 'x']],
  [
    'many tokens that begin with 0',
    pairs
      .map((text) => `\u0000${text}`)
      .reverse()
      .concat('b', 'a'),
  ],
  ['bytes of all kinds', ['\u0000', '\u0001', '\u0000\u0000', ...'ÿþ漢字😀😁€', '😀😀', '\u007f', '\u0080']],
  [
    'long tokens that differ late',
    [63, 64, 65, 66, 130].flatMap((length) => ['b', 'a', 'c', ''].map((end) => `${'x'.repeat(length)}${end}`)),
  ],
];

describe.each(vocabularies)('in a vocabulary of %s', (_, texts) => {
  test('a text begins with the tokens that a look at all of them finds', async () => {
    const unique = [...new Set(texts)];
    const prefixes = await prefixesOf(unique);
    expect(prefixes.size).toBe(unique.filter((text) => text !== '').length);
    // Twice, since steps are kept.
    for (const text of [...asked(unique), ...asked(unique)]) {
      expect([text, walk(prefixes, text)]).toEqual([text, naive(unique, text)]);
    }
    const backwards = [...unique].reverse();
    const other = await prefixesOf(backwards);
    for (const text of asked(unique)) expect(walk(other, text)).toEqual(naive(backwards, text));
  });
});

test('only tokens that are wanted are found', async () => {
  const texts = ['a', 'ab', 'abc', 'b'];
  const prefixes = await prefixesOf(texts, (id) => id !== 1 && id !== 3);
  expect(prefixes.size).toBe(2);
  expect([walk(prefixes, 'abcd'), walk(prefixes, 'b')]).toEqual([
    { found: '0 2', read: 4 },
    { found: '', read: 1 },
  ]);
});

test('a walk begins anew, and knows its tokens by their place and length', async () => {
  const prefixes = await prefixesOf(['ab', 'a', 'b']);
  const steps = new PrefixWalk(prefixes);
  expect([steps.from, steps.to, steps.depth]).toEqual([0, 0, 0]);
  for (let round = 0; round < 2; round++) {
    steps.begin();
    expect([steps.from, steps.to, steps.depth, steps.id]).toEqual([0, 3, 0, -1]);
    expect([steps.step(0x61), steps.id, steps.depth]).toEqual([true, 1, 1]);
    expect([steps.step(0x62), steps.id, steps.depth]).toEqual([true, 0, 2]);
    expect([steps.step(0x62), steps.depth]).toEqual([false, 3]);
  }
  expect([prefixes.idOf(0, 1), prefixes.idOf(0, 2), prefixes.idOf(1, 2), prefixes.idOf(2, 1)]).toEqual([1, -1, 0, 2]);
});

test('steps that are kept at one place are told apart', async () => {
  const long = 'x'.repeat(60);
  const prefixes = await prefixesOf([...'abcdefghij'].map((end) => long + end));
  const steps = new PrefixWalk(prefixes);
  const wrong: [number, number][] = [];
  for (let depth = 0; depth < 60; depth++) {
    for (let byte = 0; byte < 128; byte++) {
      steps.begin();
      for (let at = 0; at < depth; at++) steps.step(0x78);
      if (steps.step(byte) !== (byte === 0x78)) wrong.push([depth, byte]);
    }
  }
  expect(wrong).toEqual([]);
});

test('tokens are sorted in slices', async () => {
  const looks = async (count: number) => {
    const slice = new CountedSlice();
    const texts = Array.from({ length: count }, (_, id) => String.fromCharCode(0x100 + id));
    await TokenPrefixes.of(vocabularyOf(texts), () => true, slice.asTimeSlice);
    expect(slice.yields).toBe(Math.floor(slice.looks / 2));
    return slice.looks;
  };
  // One for the tokens, one for the range; each of more than 16 is looked at twice more, and has two bytes.
  expect([await looks(1), await looks(16), await looks(17)]).toEqual([2, 2, 1 + 3 + 3]);
  const slice = new CountedSlice();
  const ends = Array.from({ length: 64 }, (_, at) => String.fromCharCode(0x30 + at));
  const texts = ends.flatMap((first) => ends.map((second) => first + second));
  await TokenPrefixes.of(vocabularyOf(texts), () => true, slice.asTimeSlice);
  // 4096 tokens; the range of all, and the 64 ranges of those with one first byte.
  expect(slice.looks).toBe(2 + (1 + 4) + (64 + 4));
});
