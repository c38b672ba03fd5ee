// The parts of a vocabulary alone: special tokens in a text, tokens by their bytes, and the bytes of each token.
import { describe, expect, test } from 'vitest';
import { TesseraeError } from '../../../src/base/errors.js';
import { TimeSlice } from '../../../src/base/time-slice.js';
import { StringList } from '../../../src/metadata/string-list.js';
import { BYTE, CONTROL, NORMAL, UNKNOWN, UNUSED, USER_DEFINED } from '../../../src/tokenizer/vocabulary/special-ids.js';
import { SpecialTokens } from '../../../src/tokenizer/vocabulary/special-tokens.js';
import { isSpaceMark, type Spelling, spellSpaces, spellTokens } from '../../../src/tokenizer/vocabulary/token-bytes.js';
import { TokenTable } from '../../../src/tokenizer/vocabulary/token-table.js';
import type { Vocabulary } from '../../../src/tokenizer/vocabulary/vocabulary.js';

describe('special tokens', () => {
  const texts = ['<a>', '<', '<ab>', '', 'é', '<c>', '<a>'];
  const special = new SpecialTokens(texts.entries());

  test('are found where they begin: the longest one, of equal ones the last', () => {
    const text = 'x<ab>é<a><cé';
    expect(special.find(text, 0, text.length)).toBe(1);
    const found: [number, number, number][] = [];
    for (let at = 0; at < text.length; at++) {
      at = special.find(text, at, text.length);
      const id = special.match(text, at);
      if (id < 0) break;
      found.push([at, id, special.matchedLength]);
      at += special.matchedLength - 1;
    }
    expect(found).toEqual([
      [1, 2, 4],
      [5, 4, 1],
      [6, 6, 3],
      [9, 1, 1],
      [11, 4, 1],
    ]);
  });

  test('are sought before an end alone, beyond which they may reach', () => {
    expect(special.find('ab<ab>', 0, 2)).toBe(2);
    expect(special.find('ab<ab>', 0, 3)).toBe(2);
    expect(special.match('ab<ab>', 2)).toBe(2);
    expect(special.find('<x', 1, 2)).toBe(2);
    // Not beyond the text.
    expect([special.match('<ab', 0), special.matchedLength]).toEqual([1, 1]);
    expect([special.match('x<a>', 1), special.matchedLength]).toEqual([6, 3]);
    expect(special.match('x', 0)).toBe(-1);
    expect(special.match('', 0)).toBe(-1);
  });

  test('may begin with any code unit, and a unit that begins none is passed', () => {
    for (const unit of [0, 7, 8, 0x3c, 0xff, 0x2581, 0xffff]) {
      const character = String.fromCharCode(unit);
      const one = new SpecialTokens([[5, `${character}x`]]);
      const others = [unit ^ 1, unit ^ 8, unit ^ 0x100].map((other) => String.fromCharCode(other)).join('');
      expect(one.find(`${others}${character}${character}x`, 0, 6)).toBe(4);
    }
    expect(new SpecialTokens([[0, 'xy']]).find('xxzxy', 0, 5)).toBe(3);
  });

  test('may be none', () => {
    expect([special.isEmpty, new SpecialTokens([]).isEmpty, new SpecialTokens([[3, '']]).isEmpty]).toEqual([
      false,
      true,
      true,
    ]);
    expect(new SpecialTokens([]).find('abc', 0, 3)).toBe(3);
  });
});

describe('a table of tokens', () => {
  test.each([0, 1, 2, 3, 64, 1000])('finds each of %i tokens by its bytes, and no other text', (count) => {
    const textOf = (id: number) => `${id % 7}-${id}é`.slice(id % 3);
    const texts = [...new Set(Array.from({ length: count }, (_, id) => textOf(id)))];
    const table = new TokenTable(StringList.from(texts));
    expect(texts.map((_, id) => table.add(id))).toEqual(texts.map(() => -1));
    for (const [id, text] of texts.entries()) {
      const bytes = Buffer.from(`xx${text}yy`);
      const [start, end] = [2, bytes.length - 2];
      expect(table.find(bytes, start, end)).toBe(id);
      // A byte in between that does not count.
      for (let gap = start; gap <= end; gap++) {
        const spaced = Buffer.concat([bytes.subarray(0, gap), Buffer.from(' '), bytes.subarray(gap)]);
        expect(table.find(spaced, start, end + 1, gap)).toBe(id);
      }
    }
    for (const text of ['', 'none', '0', '-', 'é', '6-6é ']) {
      const bytes = Buffer.from(text);
      expect(table.find(bytes, 0, bytes.length)).toBe(texts.indexOf(text));
    }
  });

  test('keeps the first of two tokens of one text', () => {
    const table = new TokenTable(StringList.from(['a', 'b', 'a']));
    expect([table.add(0), table.add(1), table.add(2), table.add(1)]).toEqual([-1, -1, 0, 1]);
    expect(table.find(Buffer.from('a'), 0, 1)).toBe(0);
  });
});

describe('the bytes of tokens', () => {
  const vocabularyOf = (tokens: readonly (readonly [string, number])[]) =>
    ({
      texts: StringList.from(tokens.map(([text]) => text)),
      types: Uint8Array.from(tokens, ([, type]) => type),
      errorAt: (id: number, problem: string) => new TesseraeError('ERR_MODEL_FILE', `${id} ${problem}`),
    }) as unknown as Vocabulary;
  const upper: Spelling = (source, start, end, target, at) => {
    for (let i = start; i < end; i++) target[at + i - start] = (source[i] as number) & 0xdf;
    return at + end - start;
  };

  test('are decoded for normal ones, one byte for byte tokens, text for special ones, none for unused ones', async () => {
    const tokens = [
      ['ab', NORMAL],
      ['<0x0a>', BYTE],
      ['<0xFF>', BYTE],
      ['<0x00>', BYTE],
      ['<s>', CONTROL],
      ['unk', UNKNOWN],
      ['gone', UNUSED],
      ['', NORMAL],
      ['user', USER_DEFINED],
      ['z', NORMAL],
    ] as const;
    const { bytes, offsets } = await spellTokens(vocabularyOf(tokens), upper, new TimeSlice());
    const spelled = tokens.map((_, id) => Buffer.from(bytes.subarray(offsets[id], offsets[id + 1])).toString('latin1'));
    expect(spelled).toEqual(['AB', '\n', '\xff', '\0', '<s>', 'unk', '', '', 'user', 'Z']);
  });

  test.each(['0x0A', '<0x0A', '<0x0A>>', 'x<0x0A>', '<0xA>', '<0x0G>', '<0x00A>'])(
    'of a byte token that is spelled %s are refused',
    async (text) => {
      const spelling = spellTokens(
        vocabularyOf([
          ['a', NORMAL],
          [text, BYTE],
        ]),
        upper,
        new TimeSlice(),
      );
      const message = `1 is a byte token, but its text is "${text}"`;
      await expect(spelling).rejects.toMatchObject({ code: 'ERR_MODEL_FILE', message });
    },
  );

  test('are made in slices', async () => {
    let [looks, yields] = [0, 0];
    const timeSlice = { isOver: () => looks++ % 2 === 1, yield: async () => void yields++ } as unknown as TimeSlice;
    const tokens = Array.from({ length: 300 }, (_, id) => [`${id}`, NORMAL] as const);
    await spellTokens(vocabularyOf(tokens), upper, timeSlice);
    expect([looks, yields]).toEqual([3, 1]);
  });

  test('of SentencePiece have a space for each mark, and nothing else is one', () => {
    const spelled = (text: string, cut = 0) => {
      const source = Buffer.from(`x${text}`);
      const target = new Uint8Array(source.length + 2).fill(0xee);
      const end = spellSpaces(source, 1, source.length - cut, target, 2);
      expect([...target.subarray(0, 2), ...target.subarray(end)].every((byte) => byte === 0xee)).toBe(true);
      return Buffer.from(target.subarray(2, end)).toString('latin1');
    };
    expect([spelled('▁a▁▁b▁'), spelled('')]).toEqual([' a  b ', '']);
    // A mark that is cut off, and characters that begin or end alike.
    expect(spelled('a▁', 1)).toBe('a\xe2\x96');
    for (const text of ['\u2580', '\u2501', '\u1581']) expect(spelled(text)).toBe(Buffer.from(text).toString('latin1'));
    const mark = Buffer.from('▁');
    expect([isSpaceMark(mark, 0, 3), isSpaceMark(mark, 0, 2), isSpaceMark(mark, 1, 3)]).toEqual([true, false, false]);
  });
});
