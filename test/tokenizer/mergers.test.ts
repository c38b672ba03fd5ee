// The merging of one word's symbols, by rank and by score, against naive loops; in parts of any size.
import { describe, expect, test } from 'vitest';
import { StringList } from '../../src/metadata/string-list.js';
import { BpeMerger } from '../../src/tokenizer/bpe/bpe-merger.js';
import { MergeTable } from '../../src/tokenizer/bpe/merge-table.js';
import { characterEnd, type ScoredTokens, ScoreMerger } from '../../src/tokenizer/sentencepiece/score-merger.js';
import { TokenTable } from '../../src/tokenizer/vocabulary/token-table.js';
import { Numbers } from '../support/numbers.js';

describe('by rank', () => {
  /** Merges of letters a to d, and of what they give. Ids: 0 to 3, then one for each merge. */
  const pairs = [
    [0, 1],
    [1, 1],
    [4, 2],
    [2, 3],
    [5, 4],
    [0, 0],
    [9, 9],
    [6, 7],
    [0, 7],
  ] as const;
  const table = new MergeTable(pairs.length);
  for (const [rank, [left, right]] of pairs.entries()) table.add(rank, left, right, 4 + rank);

  function naive(ids: readonly number[]): number[] {
    const at = [...ids];
    for (;;) {
      let best = -1;
      for (let i = 0; i + 1 < at.length; i++) {
        const rank = table.rankOf(at[i] as number, at[i + 1] as number);
        const bestRank = best < 0 ? Number.POSITIVE_INFINITY : table.rankOf(at[best] as number, at[best + 1] as number);
        if (rank >= 0 && rank < bestRank) best = i;
      }
      if (best < 0) return at;
      at.splice(best, 2, 4 + table.rankOf(at[best] as number, at[best + 1] as number));
    }
  }

  const merger = new BpeMerger(table, 40);
  function merge(ids: readonly number[], steps: number): number[] {
    merger.reset();
    for (const id of ids) merger.append(id);
    const merged: number[] = [];
    while (!merger.run(steps));
    expect(merger.run(steps)).toBe(true);
    while (!merger.collect(steps, merged));
    return merged;
  }

  test.each([
    [[0], [0]],
    [
      [3, 3],
      [3, 3],
    ],
    [[0, 1, 2], [6]],
    [[0, 1, 2, 2, 3], [11]],
    [
      [0, 0, 0],
      [9, 0],
    ],
    [[0, 0, 0, 0], [10]],
    [
      [1, 1, 1, 0, 1],
      [5, 1, 4],
    ],
    [[1, 1, 0, 1], [8]],
    [
      [3, 0, 2, 3],
      [3, 12],
    ],
  ])('%j becomes %j', (ids, expected) => {
    for (const steps of [1, 2, 100]) expect(merge(ids, steps)).toEqual(expected);
    expect(naive(ids)).toEqual(expected);
  });

  test('words of all kinds become what a naive loop makes of them', () => {
    const numbers = new Numbers(5);
    for (let word = 0; word < 300; word++) {
      const ids = Array.from({ length: numbers.integer(1, 40) }, () => numbers.integer(0, 3));
      expect(merge(ids, numbers.integer(1, 9))).toEqual(naive(ids));
    }
  });

  test('at most so many candidates are looked at, and so many tokens given, at once', () => {
    merger.reset();
    for (const id of [0, 1, 2, 0, 1]) merger.append(id);
    // The pairs of both places of a and b, and the pair that the first one gives.
    expect([merger.run(0), merger.run(2), merger.run(1)]).toEqual([false, false, true]);
    const ids: number[] = [];
    expect([merger.collect(0, ids), [...ids]]).toEqual([false, []]);
    expect([merger.collect(1, ids), [...ids]]).toEqual([false, [6]]);
    expect([merger.collect(1, ids), [...ids]]).toEqual([true, [6, 4]]);
  });
});

describe('by score', () => {
  const texts = ['ab', 'b', 'é', '😀', 'a', 'ba', 'abé', 'bb', 'éa', 'aa', 'aaaa', 'é😀', 'x', 'bx', 'abab'];
  const scoreOf = (id: number) => [5, 0, 0, 0, 0, 5, 3, 4, 3, 2, 1, 6, 0, Number.NaN, -2][id] as number;
  const table = new TokenTable(StringList.from(texts));
  for (const id of texts.keys()) table.add(id);
  const tokens: ScoredTokens = {
    ids: table,
    scores: Float32Array.from(texts, (_, id) => scoreOf(id)),
    isText: Uint8Array.from(texts, (text) => (text === 'x' ? 0 : 1)),
    longest: Math.max(...texts.map((text) => Buffer.byteLength(text))),
  };

  function naive(word: string): string[] {
    const at = [...word];
    for (;;) {
      let best = -1;
      let bestScore = Number.NEGATIVE_INFINITY;
      for (let i = 0; i + 1 < at.length; i++) {
        const id = texts.indexOf(`${at[i]}${at[i + 1]}`);
        if (id < 0 || !(scoreOf(id) > bestScore)) continue;
        best = i;
        bestScore = scoreOf(id);
      }
      if (best < 0) return at;
      at.splice(best, 2, `${at[best]}${at[best + 1]}`);
    }
  }

  const merger = new ScoreMerger(tokens, 200);
  function merge(word: string, steps: number): string[] {
    const bytes = Buffer.from(word);
    merger.begin(bytes);
    for (let at = 0; at < bytes.length; ) {
      const next = merger.append(at, steps);
      expect(next).toBeGreaterThan(at);
      at = next;
    }
    while (!merger.run(steps));
    expect(merger.run(steps)).toBe(true);
    const merged: string[] = [];
    const sink = { push: (id: number) => void merged.push(texts[id] as string) };
    const spell = (of: Uint8Array, start: number, end: number) => {
      merged.push(`(${Buffer.from(of.subarray(start, end)).toString()})`);
    };
    while (!merger.collect(steps, sink, spell));
    return merged;
  }
  const spelled = (parts: readonly string[]) =>
    parts.map((part) => (texts.includes(part) && part !== 'x' ? part : `(${part})`));

  test.each([
    ['a', ['a']],
    ['q', ['(q)']],
    // Text never becomes this token.
    ['x', ['(x)']],
    // No pair may form this one.
    ['bx', ['b', '(x)']],
    ['aba', ['ab', 'a']],
    ['bab', ['ba', 'b']],
    ['abé', ['abé']],
    ['aaaaa', ['aaaa', 'a']],
    ['é😀', ['é😀']],
    ['aéa', ['a', 'éa']],
    ['abab', ['abab']],
  ])('%s becomes %j', (word, expected) => {
    for (const steps of [1, 2, 100]) expect(merge(word, steps)).toEqual(expected);
    expect(spelled(naive(word))).toEqual(expected);
  });

  test('words of all kinds become what a naive loop makes of them', () => {
    const numbers = new Numbers(6);
    const letters = ['a', 'a', 'b', 'b', 'é', '😀', 'x', 'q'];
    for (let word = 0; word < 300; word++) {
      const text = Array.from({ length: numbers.integer(1, 40) }, () => letters[numbers.integer(0, 7)]).join('');
      expect(merge(text, numbers.integer(1, 9))).toEqual(spelled(naive(text)));
    }
  });

  test('at most so many characters are added, candidates looked at, and tokens given, at once', () => {
    const bytes = Buffer.from('éabab');
    merger.begin(bytes);
    expect([merger.append(0, 0), merger.append(0, 2), merger.append(3, 9)]).toEqual([0, 3, 6]);
    const ids: number[] = [];
    const spell = () => expect.unreachable();
    // éa, ab, ba, ab; then the two of ab and ab, of which the first one is stale.
    const runs = Array.from({ length: 12 }, () => merger.run(1));
    expect(runs.indexOf(true)).toBeGreaterThan(2);
    expect([merger.collect(1, { push: (id) => void ids.push(id) }, spell), ids]).toEqual([false, [2]]);
    expect([merger.collect(1, { push: (id) => void ids.push(id) }, spell), ids]).toEqual([true, [2, 14]]);
  });

  test('a token that is longer than all is not looked for', () => {
    const sought: number[] = [];
    const counting = {
      ...tokens,
      longest: 1,
      ids: { find: (_: Uint8Array, a: number, b: number) => sought.push(b - a) },
    };
    const short = new ScoreMerger(counting as unknown as ScoredTokens, 10);
    short.begin(Buffer.from('ab'));
    short.append(0, 9);
    expect([short.run(1), sought]).toEqual([true, []]);
  });

  test('characters end where UTF-8 says, at most with the bytes', () => {
    const bytes = Buffer.from('aé€😀\u07ff\u0800');
    const ends: number[] = [];
    for (let at = 0; at < bytes.length; at = ends.at(-1) as number) ends.push(characterEnd(bytes, at));
    expect(ends).toEqual([1, 3, 6, 10, 12, 15]);
    expect([characterEnd(Buffer.from([0xe2, 0x82]), 0), characterEnd(Buffer.from([0xf0]), 0)]).toEqual([2, 1]);
  });
});
