// Walking the words of a text by a chain of rules, with pauses.
import { expect, test } from 'vitest';
import type { WordRule } from '../../../src/tokenizer/words/word-rules.js';
import { WordWalker } from '../../../src/tokenizer/words/word-walker.js';

/** Each run of a letter. */
const runs =
  (letter: string): WordRule =>
  ({ text }, at, end) => {
    let stop = at;
    while (stop < end && text[stop] === letter) stop += 1;
    return stop > at ? stop : -1;
  };

/** The words, with `-` for each pause. */
function walk(words: WordWalker, text: string): string[] {
  const found: string[] = [];
  while (words.next()) found.push(words.paused ? '-' : text.slice(words.start, words.end));
  return found;
}

test('what is between two words is a word, too', () => {
  const text = 'xxaabyya';
  expect(walk(new WordWalker(text, 0, text.length, [runs('a')]), text)).toEqual(['xx', 'aa', 'byy', 'a']);
  expect(walk(new WordWalker(text, 1, 6, [runs('a')]), text)).toEqual(['x', 'aa', 'by']);
  expect(walk(new WordWalker(text, 3, 3, [runs('a')]), text)).toEqual([]);
  const words = new WordWalker(text, 2, 5, [runs('a')]);
  expect([words.start, words.end, words.paused]).toEqual([2, 2, false]);
  expect([words.next(), words.start, words.end]).toEqual([true, 2, 4]);
});

test('each rule splits the parts that the one before it has made', () => {
  const text = 'xaabbxabay';
  const walker = (...letters: string[]) => walk(new WordWalker(text, 0, text.length, letters.map(runs)), text);
  expect(walker('b', 'a')).toEqual(['x', 'aa', 'bb', 'x', 'a', 'b', 'a', 'y']);
  expect(walker('b', 'a', 'x')).toEqual(['x', 'aa', 'bb', 'x', 'a', 'b', 'a', 'y']);
  expect(walker('x', 'b')).toEqual(['x', 'aa', 'bb', 'x', 'a', 'b', 'ay']);
});

test('a rule is tried at 2048 places before a pause, and goes on where it was', () => {
  for (const [length, pauses] of [
    [2047, 0],
    [2048, 1],
    [2049, 1],
    [4095, 1],
    [4096, 2],
  ] as const) {
    let tries = 0;
    const counted: WordRule = (scan, at, end) => {
      tries += 1;
      return runs('a')(scan, at, end);
    };
    const gap = 'x'.repeat(length);
    const found = walk(new WordWalker(`${gap}a`, 0, length + 1, [counted]), `${gap}a`);
    expect(found).toEqual([...new Array(pauses).fill('-'), gap, 'a']);
    // At each place once, and at that of each pause again; the word at the end is asked for twice.
    expect(tries).toBe(length + pauses + 2);
    // The same within a part.
    const inner = walk(new WordWalker(`b${gap}a`, 0, length + 2, [runs('b'), runs('a')]), `b${gap}a`);
    expect(inner.filter((word) => word !== '-')).toEqual(['b', gap, 'a']);
  }
  const characters = '😀'.repeat(2048);
  expect(walk(new WordWalker(characters, 0, characters.length, [runs('a')]), characters)).toEqual([characters]);
});

test('a rule that pauses is asked again', () => {
  let asked = 0;
  const rule: WordRule = (scan, at, end) => {
    asked += 1;
    if (asked % 3 !== 0) scan.paused = true;
    return Math.min(at + 2, end);
  };
  const words = new WordWalker('abcde', 0, 5, [rule]);
  expect(walk(words, 'abcde')).toEqual(['-', '-', 'ab', '-', '-', 'cd', '-', '-', 'e']);
  expect([words.next(), words.paused]).toEqual([false, false]);
});
