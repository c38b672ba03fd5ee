// The small parts of tokenizers: growing lists of bytes and ids, and the decoder of a stream of tokens.
import { describe, expect, test } from 'vitest';
import { ByteDecoder, decodeBytes, withoutFirstSpace } from '../../src/tokenizer/byte-decoder.js';
import { ByteList } from '../../src/tokenizer/byte-list.js';
import { TextCleanup } from '../../src/tokenizer/text-cleanup.js';
import { TokenBuffer } from '../../src/tokenizer/token-buffer.js';

/** Tokens are texts, or bytes, in a list. */
const bytesOf = (tokens: readonly (string | readonly number[] | undefined)[]) => (id: number) => {
  const token = tokens[id];
  return token === undefined ? undefined : Buffer.from(token as string);
};

describe('decoding', () => {
  const tokens = bytesOf(['a', [0xc3], [0xa9], undefined, [0xef, 0xbb, 0xbf], ' .', '']);

  test('joins the bytes of tokens, keeps a byte order mark, and replaces what is no character', () => {
    expect(decodeBytes([4, 0, 1, 3, 2, 0], tokens)).toBe('\ufeffaéa');
    expect(decodeBytes([1, 0, 1], tokens)).toBe('\ufffda\ufffd');
    expect(decodeBytes([], tokens)).toBe('');
  });

  test('of a stream gives what is certain, and the rest at the end; then it begins anew', () => {
    let resets = 0;
    const decoder = new ByteDecoder(tokens, () => void resets++);
    const ids = [4, 0, 1, 3, 6, 2, 1];
    for (let round = 1; round < 3; round++) {
      expect(ids.map((id) => decoder.push(id))).toEqual(['\ufeff', 'a', '', '', '', 'é', '']);
      expect([decoder.end(), resets]).toEqual(['\ufffd', round]);
    }
  });

  test('of a stream removes spaces that tokenizing has left', () => {
    const decoder = new ByteDecoder(bytesOf([' ', '.', 'a', [0xc3]]), undefined, new TextCleanup());
    expect([2, 0, 1, 0].map((id) => decoder.push(id)).join('') + decoder.end()).toBe('a. ');
    expect([2, 0, 3].map((id) => decoder.push(id)).join('') + decoder.end()).toBe('a \ufffd');
  });

  test('without the first space leaves out one, of the first token that has bytes', () => {
    const first = withoutFirstSpace(bytesOf(['', undefined, '  a', ' b', 'c']));
    const decode = (...ids: number[]) => {
      const text = decodeBytes(ids, first.bytesOf);
      first.reset();
      return text;
    };
    expect(decode(0, 1, 2, 3)).toBe(' a b');
    expect(decode(3, 3)).toBe('b b');
    expect(decode(4, 3)).toBe('c b');
  });
});

test('a list of bytes grows as it is appended to', () => {
  const list = new ByteList(0);
  const expected: number[] = [];
  for (let i = 0; i < 100; i++) {
    list.push(i);
    list.append(Uint8Array.of(1, 2, 3, 4, 5), 1, 4);
    list.append(Uint8Array.of(9, 8));
    expected.push(i, 2, 3, 4, 9, 8);
  }
  expect(list.length).toBe(600);
  expect([...list.bytes.subarray(0, list.length)]).toEqual(expected);
  const long = new ByteList(4);
  long.append(new Uint8Array(1000).fill(7));
  expect([long.length, long.bytes[999]]).toEqual([1000, 7]);
  // It grows by as much as it has, and what fits is not copied.
  long.push(1);
  const { bytes } = long;
  expect(bytes.length).toBe(2000);
  while (long.length < bytes.length) long.push(1);
  expect(long.bytes).toBe(bytes);
});

describe('a buffer of tokens', () => {
  const arrayOf = (buffer: TokenBuffer) => {
    const steps = buffer.toArray();
    let yields = 0;
    for (;;) {
      const step = steps.next();
      if (step.done === true) return { array: step.value, yields };
      yields++;
    }
  };

  test.each([0, 1, 8191, 8192, 8193, 20_000])('has all of %i ids, in order', (count) => {
    const buffer = new TokenBuffer();
    for (let id = 0; id < count; id++) buffer.push(id);
    expect([buffer.length, buffer.isFull, buffer.room]).toEqual([count, false, Number.POSITIVE_INFINITY]);
    const { array, yields } = arrayOf(buffer);
    expect(array).toEqual(Array.from({ length: count }, (_, id) => id));
    expect(yields).toBe(Math.ceil(count / 8192));
  });

  test('is full at its limit, and gives no more than that', () => {
    const buffer = new TokenBuffer(3);
    for (const [id, room] of [3, 2, 1].entries()) {
      expect([buffer.room, buffer.isFull]).toEqual([room, false]);
      buffer.push(id);
    }
    expect([buffer.room, buffer.isFull]).toEqual([0, true]);
    buffer.push(3);
    expect([buffer.length, buffer.room, buffer.isFull]).toEqual([4, 0, true]);
    expect(arrayOf(buffer).array).toEqual([0, 1, 2]);
  });
});
