// Stop sequences against a naive search, for every way to cut the text.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StopMatcher } from '../../src/generation/stop-matcher.js';

/** The text before the stop sequence that ends first, and that sequence; of several the longest. */
function naive(text: string, stops: readonly string[]): { text: string; found: string | undefined } {
  for (let end = 1; end <= text.length; end++) {
    const ending = stops.filter((stop) => text.slice(0, end).endsWith(stop)).sort((a, b) => b.length - a.length);
    if (ending[0] !== undefined) return { text: text.slice(0, end - ending[0].length), found: ending[0] };
  }
  return { text, found: undefined };
}

/** The pieces that a matcher gives for each character of a text, up to the stop sequence. */
function pieceByPiece(text: string, stops: readonly string[]) {
  const matcher = new StopMatcher(stops);
  const pieces: string[] = [];
  for (const unit of text) {
    pieces.push(matcher.push(unit));
    if (matcher.found !== undefined) return { pieces, found: matcher.found };
  }
  return { pieces: [...pieces, matcher.end()], found: undefined };
}

// Each needs more than one step back: after a mismatch, the next shorter prefix may not go on with the character
// either.
test.each([
  ['aaabb', 'aaabaabb', ['', '', '', '', 'aaab', '', 'aab', 'b'], undefined],
  ['aaabb', 'aaabaaabb', ['', '', '', '', 'aaab', '', '', '', ''], 'aaabb'],
  ['abababc', 'ababababc', ['', '', '', '', '', '', 'ab', '', ''], 'abababc'],
  ['aabaaab', 'aabaabaaab', ['', '', '', '', '', 'aab', '', '', '', ''], 'aabaaab'],
  ['aaab', 'aaac', ['', '', '', 'aaac'], undefined],
  ['ababac', 'ababab', ['', '', '', '', '', 'ab'], undefined],
] as const)('%s in %s', (stop, text, pieces, found) => {
  const given = pieceByPiece(text, [stop]);
  expect(given.found).toBe(found);
  expect(given.pieces.slice(0, text.length)).toEqual(pieces);
  expect(given.pieces.join('')).toBe(naive(text, [stop]).text);
});

test('finds what a naive search finds, however the text is cut, and holds back no more than it must', () => {
  const word = (maxLength: number, minLength = 0) =>
    fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength, maxLength });
  fc.assert(
    fc.property(fc.array(word(4), { maxLength: 12 }), fc.array(word(5, 1), { maxLength: 4 }), (pieces, stops) => {
      const matcher = new StopMatcher(stops);
      let given = '';
      let all = '';
      for (const piece of pieces) {
        all += piece;
        given += matcher.push(piece);
        if (matcher.found !== undefined) break;
        const held = all.slice(given.length);
        expect(all.startsWith(given)).toBe(true);
        // The longest end of the text that a stop sequence begins with is what is held back.
        const longest = Array.from({ length: all.length + 1 }, (_, at) => all.slice(at)).find(
          (end) => end === '' || stops.some((stop) => stop.startsWith(end)),
        );
        expect(held).toBe(longest);
      }
      const found = matcher.found;
      if (found === undefined) given += matcher.end();
      expect({ text: given, found }).toEqual(naive(pieces.join(''), stops));
    }),
    { numRuns: 2000 },
  );
});
