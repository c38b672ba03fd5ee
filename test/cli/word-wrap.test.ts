// src/cli/word-wrap.ts: the lines do not depend on how the text is cut into pieces, and are not wider than asked.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { WordWrap } from '../../src/cli/word-wrap.js';

function wrap(pieces: readonly string[], width: number, indent = '  '): string {
  const words = new WordWrap(width, indent);
  return pieces.map((piece) => words.push(piece)).join('') + words.end();
}

test('breaks before the word that does not fit, and keeps the line breaks of the text', () => {
  expect(wrap(['one two three\nfour'], 10)).toBe('  one two\n  three\n  four\n');
  expect(wrap(['a-very-long-word fits'], 8)).toBe('  a-very-long-word\n  fits\n');
  expect(wrap(['\n\nx'], 8)).toBe('\n\n  x\n');
  expect(wrap([], 8)).toBe('\n');
});

test('does not depend on where the pieces are cut, and loses no word', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', ' ', '\n'), maxLength: 60 });
  fc.assert(
    fc.property(text, fc.integer({ min: 1, max: 10 }), fc.integer({ min: 6, max: 20 }), (whole, length, width) => {
      const pieces = whole.match(new RegExp(`[^]{1,${length}}`, 'g')) ?? [];
      const wrapped = wrap(pieces, width);
      expect(wrapped).toBe(wrap([whole], width));
      expect(wrapped.split(/\s+/).filter(Boolean)).toEqual(whole.split(/\s+/).filter(Boolean));
      for (const line of wrapped.split('\n')) {
        expect(line).toBe(line.trimEnd());
        if (line.length > width) expect(line.trim()).not.toContain(' ');
      }
    }),
  );
});
