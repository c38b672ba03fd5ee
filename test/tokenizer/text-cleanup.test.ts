// Spaces that tokenizing has left are removed as transformers removes them, in a whole text and in a stream.
import { expect, test } from 'vitest';
import { TextCleanup } from '../../src/tokenizer/text-cleanup.js';

/** As transformers writes it: one replacement after the other. */
function expected(text: string): string {
  const pairs = [' .', ' ?', ' !', ' ,'].map((from) => [from, from.slice(1)] as const);
  const more = [
    [" ' ", "'"],
    [" n't", "n't"],
    [" 'm", "'m"],
    [" 's", "'s"],
    [" 've", "'ve"],
    [" 're", "'re"],
  ] as const;
  return [...pairs, ...more].reduce((at, [from, to]) => at.replaceAll(from, to), text);
}

function streamed(parts: readonly string[]): string {
  const cleanup = new TextCleanup();
  return parts.map((part) => cleanup.push(part)).join('') + cleanup.end();
}

test.each([
  ['it is a test . is it ? yes , it is !', 'it is a test. is it? yes, it is!'],
  ["do n't ; i 'm ; he 's ; we 've ; they 're ; rock ' n ' roll", "don't ; i'm ; he's ; we've ; they're ; rock'n'roll"],
  ["a ' . b", "a '. b"],
  [' . .', '..'],
])('%s', (text, result) => {
  expect(streamed([text])).toBe(result);
  expect(streamed([...text])).toBe(result);
});

test('what is no part of a replacement is given at once', () => {
  const cleanup = new TextCleanup();
  const given = ['ab', 'c ', "n'", 'x', ' .'].map((part) => cleanup.push(part));
  expect([...given, cleanup.end()]).toEqual(['ab', 'c', '', " n'x", '.', '']);
});

test('a stream gives what the whole text gives', () => {
  const letters = [' ', ' ', "'", '.', ',', 'n', 't', 's', 'm', 'v', 'e', 'r', 'x'];
  let state = 7;
  const random = (most: number) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >> 8) % most;
  };
  for (let i = 0; i < 20_000; i++) {
    const parts = Array.from({ length: 1 + random(8) }, () =>
      Array.from({ length: random(4) }, () => letters[random(letters.length)]).join(''),
    );
    const text = parts.join('');
    expect({ text, cleaned: streamed(parts) }).toEqual({ text, cleaned: expected(text) });
  }
});
