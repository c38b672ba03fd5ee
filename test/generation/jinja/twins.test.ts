// Twins: each character that may begin a control token has one of its own length, which no text holds, and gets it back.
import { describe, expect, test, vi } from 'vitest';
import { collectPrivateUse, Twins } from '../../../src/generation/jinja/twins.js';

const twins = (firsts: string, taken: Iterable<string> = []) => new Twins(new Set(firsts), new Set(taken));
const letters = 'abcdefghi';
/** More than the code units that are replaced at once. */
const step = 1 << 16;

describe('a guarded text', () => {
  test.each([
    ['<', 'a<b<<c'],
    ['<[', '<s>[INST]'],
    [letters, 'the quick brown fox jumps over a lazy dog'],
    ['<😀', '😀<😀😀 \ud83d'],
    [`${letters}😀`, 'a😀b'],
  ])('of %s has the length of the text, none of its characters, and becomes the text again', (firsts, text) => {
    const some = twins(firsts);
    const guarded = some.guard(text);
    expect(guarded.length).toBe(text.length);
    expect([...guarded].filter((one) => [...firsts].includes(one))).toEqual([]);
    expect(some.plain(guarded)).toBe(text);
    const places = [...text.matchAll(/./gsu)].filter(([one]) => [...firsts].includes(one)).map(({ index }) => index);
    expect([...some.placesIn(guarded)]).toEqual(places);
  });

  test('is the text where nothing has a twin', () => {
    const none = twins('');
    expect(none.guard('<a>\ue000')).toBe('<a>\ue000');
    expect(none.plain('<a>\ue000')).toBe('<a>\ue000');
    expect([...none.placesIn('<a>\ue000')]).toEqual([]);
  });

  test('has the first characters for private use that are free', () => {
    expect(twins('ab').guard('ab')).toBe('\ue000\ue001');
    expect(twins('ab', '\ue000\ue002').guard('ab')).toBe('\ue001\ue003');
    expect(twins('a😀😁', ['\u{f0000}']).guard('😁a😀')).toBe('\u{f0002}\ue000\u{f0001}');
  });

  test('may have the last of them', () => {
    const all = Array.from({ length: 0xf8ff - 0xe000 }, (_, i) => String.fromCodePoint(0xe000 + i));
    expect(twins('a', all).guard('a')).toBe('\uf8ff');
    expect(() => twins('ab', all)).toThrow('too many private-use characters');
    expect(() => twins('a', [...all, '\uf8ff'])).toThrow('too many private-use characters');
  });

  test.each([
    ['<', 'b'],
    [letters, 'z'],
    ['<😀', '😀'],
    [`${letters}😀`, '😀'],
  ])('of %s may be long, with a pair of surrogates at any place', (firsts, filler) => {
    const some = twins(firsts);
    for (const before of [step - 2, step - 1, step, step + 1, 2 * step]) {
      const text = `${filler.repeat(before / filler.length)}${before % 2 === 1 ? 'z' : ''}<😀a😀`;
      const guarded = some.guard(text);
      expect(guarded.length).toBe(text.length);
      expect([...firsts].filter((one) => guarded.includes(one))).toEqual([]);
      expect(some.plain(guarded) === text).toBe(true);
    }
  });
});

test.each([
  ['<[', true],
  ['', true],
  ['<a', false],
  ['A<', false],
  ['ß', false],
])('whether case changes a character of "%s"', (firsts, areCaseless) => {
  expect(twins(firsts).areCaseless).toBe(areCaseless);
});

test('the private-use characters of a text are those of both areas', () => {
  const found = new Set<string>();
  collectPrivateUse('a\udfff\ue000\uf8ff\uf900\u{effff}\u{f0000}\u{ffffd}\u{ffffe}\u{100000}<\ue000', found);
  expect([...found]).toEqual(['\ue000', '\uf8ff', '\u{f0000}', '\u{ffffd}']);
});

test('up to eight characters are replaced one after the other, which is faster, and more of them at once', () => {
  const split = vi.spyOn(String.prototype, 'split');
  const splitsFor = (firsts: string) => {
    const some = twins(firsts);
    split.mockClear();
    some.guard('text');
    return split.mock.calls.length;
  };
  const counts = ['a', letters.slice(0, 8), letters].map(splitsFor);
  split.mockRestore();
  expect(counts).toEqual([1, 8, 0]);
});
