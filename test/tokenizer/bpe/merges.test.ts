// The parts of byte-pair encodings alone: the queue of places that may merge, the table of merges, and the byte alphabet.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { byteCharacters, spellBytes } from '../../../src/tokenizer/bpe/byte-alphabet.js';
import { MergeQueue } from '../../../src/tokenizer/bpe/merge-queue.js';
import { MergeTable } from '../../../src/tokenizer/bpe/merge-table.js';

test('the queue gives the lowest priority first, and of equal ones the leftmost place', () => {
  const steps = fc.array(fc.option(fc.tuple(fc.integer({ min: -3, max: 3 }), fc.nat({ max: 9 }))), { maxLength: 60 });
  fc.assert(
    fc.property(steps, (entries) => {
      const queue = new MergeQueue(60);
      const left: [number, number][] = [];
      const taken: [number, number][] = [];
      const expected: [number, number][] = [];
      const take = () => {
        queue.take();
        taken.push([queue.priority, queue.place]);
        expected.push(left.shift() as [number, number]);
      };
      for (const entry of entries) {
        if (entry !== null) {
          queue.put(...entry);
          left.push(entry);
          left.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
        } else if (!queue.isEmpty) take();
      }
      while (left.length > 0) take();
      expect(taken).toEqual(expected);
      expect(queue.isEmpty).toBe(true);
    }),
  );
  const queue = new MergeQueue(2);
  queue.put(1, 1);
  expect(queue.isEmpty).toBe(false);
  queue.clear();
  expect(queue.isEmpty).toBe(true);
});

describe('the table of merges', () => {
  test.each([0, 1, 2, 3, 64, 500])('finds the rank of each of %i pairs, and no other', (count) => {
    const table = new MergeTable(count);
    const pair = (rank: number) => [rank % 23, Math.floor(rank / 23)] as const;
    for (let rank = 0; rank < count; rank++) table.add(rank, ...pair(rank), 1000 + rank);
    for (let rank = 0; rank < count; rank++) {
      expect(table.rankOf(...pair(rank))).toBe(rank);
      expect([table.left[rank], table.right[rank], table.merged[rank]]).toEqual([...pair(rank), 1000 + rank]);
    }
    for (let rank = count; rank < count + 50; rank++) expect(table.rankOf(...pair(rank))).toBe(-1);
    expect(table.rankOf(22, 99)).toBe(-1);
  });

  test('has the first of two merges of one pair', () => {
    const table = new MergeTable(2);
    table.add(0, 5, 6, 7);
    table.add(1, 5, 6, 8);
    expect(table.rankOf(5, 6)).toBe(0);
    expect(table.rankOf(6, 5)).toBe(-1);
  });
});

describe('the byte alphabet', () => {
  const spelled = (bytes: Uint8Array, start = 0, end = bytes.length) => {
    const target = new Uint8Array(bytes.length + 3).fill(0xee);
    const last = spellBytes(bytes, start, end, target, 2);
    expect([target[0], target[1], ...target.subarray(last)].every((byte) => byte === 0xee)).toBe(true);
    return [...target.subarray(2, last)];
  };

  test("is GPT-2's: printable bytes are themselves, the others follow from U+0100 on", () => {
    expect(byteCharacters).toHaveLength(256);
    expect(new Set(byteCharacters).size).toBe(256);
    const codes = byteCharacters.map((character) => character.charCodeAt(0));
    expect([0, 0x20, 0x21, 0x7e, 0x7f, 0xa0, 0xa1, 0xac, 0xad, 0xae, 0xff].map((byte) => codes[byte])).toEqual([
      0x100, 0x120, 0x21, 0x7e, 0x121, 0x142, 0xa1, 0xac, 0x143, 0xae, 0xff,
    ]);
  });

  test('spells each byte', () => {
    expect(spelled(Buffer.from(byteCharacters.join('')))).toEqual(Array.from({ length: 256 }, (_, byte) => byte));
    expect(spelled(Buffer.from('xĠhĠx'), 1, 4)).toEqual([0x20, 0x68]);
  });

  test('leaves characters outside of it as they are', () => {
    const texts = [' ', '\u0144', '\u07ff', '▁', '😀', '\u00a0', '\u00ad', '\u0080', '\u0000', '\u007f'];
    // Of the last ones, the first two bytes alone would be a character of the alphabet.
    for (const text of [...texts, '\u0840', '\u1040', '\u4000', '一', '\u9fff']) {
      expect(spelled(Buffer.from(`a${text}b`))).toEqual([...Buffer.from(`a${text}b`)]);
    }
  });
});
