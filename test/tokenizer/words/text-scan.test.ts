// Reading a text by code points and in runs, and the parts of tokenizers that words pass through: classes, normal forms in
// pieces, cached words.
import { describe, expect, test } from 'vitest';
import { ModelMetadata } from '../../../src/metadata/model-metadata.js';
import {
  CASELESS,
  classOf,
  LETTER,
  LOWER,
  MARK,
  NUMBER,
  PUNCTUATION,
  patternTest,
  SPACE,
  SYMBOL,
  UPPER,
} from '../../../src/tokenizer/words/character-classes.js';
import {
  isNormalForm,
  normalizedInPieces,
  normalizedPieces,
  normalizerOf,
} from '../../../src/tokenizer/words/text-normalizer.js';
import {
  checkWellFormed,
  checkWellFormedFrom,
  codePointIn,
  isHighSurrogate,
  TextScan,
  widthOf,
} from '../../../src/tokenizer/words/text-scan.js';
import { WordCache } from '../../../src/tokenizer/words/word-cache.js';

const lone = (unit: string, at: number) =>
  expect.objectContaining({
    code: 'ERR_TOKENIZER',
    message: `the text contains a lone surrogate, U+${unit}, at index ${at}: it is not valid Unicode`,
  });

test('a character has one class, by its code point', () => {
  const classes = [...'Aǅaʰ漢\u03017½ \u2028.$+\u0000\u{10ffff}😀\u{1d7d8}'].map((character) =>
    classOf(character.codePointAt(0) as number),
  );
  expect(classes).toEqual([
    UPPER,
    UPPER,
    LOWER,
    CASELESS,
    CASELESS,
    MARK,
    NUMBER,
    NUMBER,
    SPACE,
    SPACE,
    PUNCTUATION,
    SYMBOL,
    SYMBOL,
    0,
    0,
    SYMBOL,
    NUMBER,
  ]);
  expect([UPPER, LOWER, CASELESS, MARK, NUMBER, SPACE, PUNCTUATION, SYMBOL]).toEqual([1, 2, 4, 8, 16, 32, 64, 128]);
  expect(LETTER).toBe(7);
  const isVowel = patternTest(/[aeiou\u{1f600}]/u);
  expect([...'hello😀\u{1f601}'].map((character) => isVowel(character.codePointAt(0) as number))).toEqual([
    false,
    true,
    false,
    false,
    true,
    true,
    false,
  ]);
});

describe('code points', () => {
  test('are read with both of their units', () => {
    const scan = new TextScan('a😀\uffff\ud7ff\ue000');
    expect([0, 1, 3, 4, 5].map((at) => scan.codePoint(at))).toEqual([0x61, 0x1f600, 0xffff, 0xd7ff, 0xe000]);
    expect([scan.classAt(1, 3), scan.classAt(0, 0), scan.classAt(1, 1)]).toEqual([SYMBOL, 0, 0]);
    expect([0xffff, 0x10000].map(widthOf)).toEqual([1, 2]);
    expect([0xd7ff, 0xd800, 0xdbff, 0xdc00].map(isHighSurrogate)).toEqual([false, true, true, false]);
    expect(['\ud800\udc00', '\udbff\udfff', '\ud83d\ude00'].map((text) => codePointIn(text, 0, 2))).toEqual([
      0x10000, 0x10ffff, 0x1f600,
    ]);
  });

  test('are refused where a surrogate is alone', () => {
    for (const [text, at, unit] of [
      ['a\ud83d', 1, 'D83D'],
      ['\udc00\ud800', 0, 'DC00'],
      ['\udc00\udc00', 0, 'DC00'],
      ['\ud800\ud800\udc00', 0, 'D800'],
      ['\udfff', 0, 'DFFF'],
      ['\ud800\udbff', 0, 'D800'],
      ['\ud800\ue000', 0, 'D800'],
    ] as const) {
      expect(() => new TextScan(text).codePoint(at)).toThrow(lone(unit, at));
      expect(() => checkWellFormed(text, 0, text.length)).toThrow(lone(unit, at));
    }
    const alone = ['a', '\ud7ff', '\ue000', '\ue000\udc00'];
    expect(alone.map((text) => codePointIn(text, 0, text.length))).toEqual([0x61, 0xd7ff, 0xe000, 0xe000]);
    expect(() => codePointIn('😀', 0, 1)).toThrow(lone('D83D', 0));
    const text = 'ab\ud800cd';
    checkWellFormed(text, 0, 2);
    checkWellFormed(text, 3, 5);
    expect(() => checkWellFormed(text, 1, 3)).toThrow(lone('D800', 2));
    checkWellFormed('😀', 0, 2);
  });

  test('are checked many at once, and pairs whole', () => {
    const most = 1 << 14;
    const text = `${'a'.repeat(most - 1)}😀${'b'.repeat(most)}\ud800`;
    expect(checkWellFormedFrom(text, 0, 1, text.length)).toBe(most + 1);
    expect(checkWellFormedFrom(text, 1, 2, text.length - 1)).toBe(most + 1);
    expect(checkWellFormedFrom(text, 0, most + 5, text.length)).toBe(most + 5);
    expect(checkWellFormedFrom(text, 0, 1, 100)).toBe(100);
    // A pair that the limit cuts in two is no error: its other half is not part of what is checked.
    expect(checkWellFormedFrom(text, 0, 1, most)).toBe(most);
    const end = text.length;
    expect(() => checkWellFormedFrom(text, most + 1, end, end)).toThrow(lone('D800', end - 1));
  });
});

describe('a run', () => {
  test('ends at the first character of another class, or at the end that is given', () => {
    const scan = new TextScan('ab😀😀 7\u0000x');
    expect([scan.run(0, 9, LETTER), scan.run(1, 9, LETTER), scan.run(2, 9, LETTER)]).toEqual([2, 2, 2]);
    expect([scan.run(0, 1, LETTER), scan.run(2, 9, SYMBOL), scan.run(2, 4, SYMBOL)]).toEqual([1, 6, 4]);
    expect(scan.run(2, 9, SYMBOL | SPACE | NUMBER)).toBe(8);
    expect([scan.runOutside(0, 9, SPACE), scan.runOutside(6, 9, SPACE), scan.runOutside(7, 9, SPACE)]).toEqual([
      6, 6, 9,
    ]);
    expect(scan.runWhile(0, 9, (c) => c !== 0x37)).toBe(7);
    // No character is of no class, also one that has none.
    expect([scan.run(0, 9, 0), scan.run(8, 9, 0)]).toEqual([0, 8]);
    expect([scan.runWhile(9, 9, () => true), scan.paused]).toEqual([9, false]);
  });

  test.each<[string, (scan: TextScan, at: number, end: number) => number]>([
    ['of a class', (scan, at, end) => scan.run(at, end, LOWER)],
    ['outside of a class', (scan, at, end) => scan.runOutside(at, end, SPACE)],
  ])('%s that is long pauses after 4096 units, and goes on where it was', (_what, run) => {
    const scan = new TextScan(`${'a'.repeat(10_000)} `);
    const ends: number[] = [];
    for (;;) {
      scan.paused = false;
      ends.push(run(scan, 5, 10_001));
      if (!scan.paused) break;
    }
    expect(ends).toEqual([4101, 8197, 10_000]);
    // It is known from then on, also within.
    expect([run(scan, 5, 10_001), run(scan, 9000, 10_001), scan.paused]).toEqual([10_000, 10_000, false]);
    const whole = new TextScan('a'.repeat(4096));
    expect([run(whole, 0, 4096), whole.paused]).toEqual([4096, false]);
  });

  test('of more than 64 units is read once, for the same end and the same test', () => {
    const scan = new TextScan(`${'a'.repeat(65)} ${'a'.repeat(64)} `);
    let reads = 0;
    const isLetter = (c: number) => {
      reads++;
      return c !== 0x20;
    };
    const readsOf = (at: number, end: number, test: (c: number) => boolean = isLetter) => {
      reads = 0;
      const to = scan.runWhile(at, end, test);
      return [to, reads];
    };
    expect(readsOf(0, 131)).toEqual([65, 66]);
    expect([readsOf(0, 131), readsOf(64, 131)]).toEqual([
      [65, 0],
      [65, 0],
    ]);
    // At its end another one begins.
    expect(readsOf(65, 131)).toEqual([65, 1]);
    expect(readsOf(0, 130)).toEqual([65, 66]);
    expect(readsOf(0, 131, (c) => isLetter(c))).toEqual([65, 66]);
    expect([readsOf(66, 131), readsOf(66, 131)]).toEqual([
      [130, 65],
      [130, 65],
    ]);
    // Before its beginning nothing is known.
    const late = new TextScan('a'.repeat(100));
    expect(late.runWhile(10, 100, isLetter)).toBe(100);
    reads = 0;
    expect([late.runWhile(9, 100, isLetter), reads]).toEqual([100, 91]);
  });

  test('is forgotten after eight others', () => {
    const scan = new TextScan(`${'a'.repeat(70)} `.repeat(9));
    let reads = 0;
    const isLetter = (c: number) => {
      reads++;
      return c !== 0x20;
    };
    const read = (word: number) => {
      reads = 0;
      scan.runWhile(71 * word, 639, isLetter);
      return reads > 0;
    };
    expect([0, 1, 2, 3, 4, 5, 6, 7].map(read)).toEqual(new Array(8).fill(true));
    expect([0, 7].map(read)).toEqual([false, false]);
    expect(read(8)).toBe(true);
    expect([1, 7, 8, 0].map(read)).toEqual([false, false, false, true]);
    expect([1, 2].map(read)).toEqual([true, true]);
  });
});

describe('a normal form', () => {
  test('is named by the model, or there is none', () => {
    const key = 'tesserae.tokenizer.normalizer';
    const metadataOf = (value: string) => new ModelMetadata([[key, { type: 'string', value }]], 'a.gguf');
    expect(normalizerOf(new ModelMetadata([], 'a.gguf'))).toBeUndefined();
    for (const form of ['NFC', 'NFD', 'NFKC', 'NFKD']) {
      expect(isNormalForm(form)).toBe(true);
      expect(normalizerOf(metadataOf(form))?.('ﬁé')).toBe('ﬁé'.normalize(form));
    }
    expect([isNormalForm('NFX'), isNormalForm('')]).toEqual([false, false]);
    const message = `a.gguf: metadata key "${key}" names the normalizer "NFX", which is not supported`;
    expect(() => normalizerOf(metadataOf('NFX'))).toThrow(
      expect.objectContaining({ code: 'ERR_UNSUPPORTED', message }),
    );
  });

  test('is made in pieces that no character joins: from 16,384 units on, before ASCII, Chinese or Korean', () => {
    const most = 1 << 14;
    for (const [between, begins] of [
      ['\u007f', true],
      ['a', true],
      ['\u0080', false],
      ['\u0301', false],
      ['\u4dff', false],
      ['\u4e00', true],
      ['\u9fff', true],
      ['\ua000', false],
      ['\uabff', false],
      ['\uac00', true],
      ['\ud7a3', true],
      ['\ud7a4', false],
    ] as const) {
      const text = `xx${'é'.repeat(most)}${between}ébé`;
      const pieces = [...normalizedPieces(text, 2, text.length - 1, (part) => part)];
      expect(pieces.map((piece) => piece.length)).toEqual(begins ? [most, 3] : [most + 2, 1]);
      expect(pieces.join('')).toBe(text.slice(2, -1));
    }
    const parts = [...normalizedPieces('a'.repeat(3 * most), 0, 3 * most, (part) => `${part.length} `)];
    expect(parts).toEqual(new Array(3).fill(`${most} `));
    expect([...normalizedPieces('abc', 1, 1, (part) => part)]).toEqual([]);
  });

  test('of all pieces is one text, with a pause after each', () => {
    const most = 1 << 14;
    const work = normalizedInPieces('a'.repeat(2 * most + 1), 0, 2 * most + 1, (part) => part.toUpperCase());
    expect([work.next(), work.next(), work.next()]).toEqual(new Array(3).fill({ done: false, value: undefined }));
    expect(work.next()).toEqual({ done: true, value: 'A'.repeat(2 * most + 1) });
  });
});

describe('words', () => {
  test('of up to 32 units are encoded once', () => {
    const cache = new WordCache();
    const encoded: string[] = [];
    const encode = (word: string, ids: { push(id: number): void }) => {
      encoded.push(word);
      ids.push(word.length);
      ids.push(7);
    };
    const append = (word: string) => {
      const ids: number[] = [];
      cache.append(word, ids, encode);
      return ids;
    };
    const [short, long] = ['a'.repeat(32), 'a'.repeat(33)];
    for (let time = 0; time < 2; time++) {
      expect([append('ab'), append(short), append(long)]).toEqual([
        [2, 7],
        [32, 7],
        [33, 7],
      ]);
    }
    expect(encoded).toEqual(['ab', short, long, long]);
    expect(cache.get('ab', encode)).toEqual([2, 7]);
    expect(encoded).toHaveLength(4);
  });

  test('are forgotten when there are more than 32,768', () => {
    const cache = new WordCache();
    let encoded = 0;
    const get = (word: string) => cache.get(word, () => void encoded++);
    for (let word = 0; word < 1 << 15; word++) get(`${word}`);
    get('0');
    expect(encoded).toBe(1 << 15);
    get('more');
    get('more');
    get('0');
    expect(encoded).toBe((1 << 15) + 2);
  });
});
