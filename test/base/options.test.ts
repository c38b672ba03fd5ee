// src/base/options.ts, quote.ts and json-view.ts: which values are accepted, and the messages for all others.
import { expect, test } from 'vitest';
import { JsonView } from '../../src/base/json-view.js';
import {
  checkFlag,
  checkKeys,
  checkOptions,
  checkPositive,
  checkRange,
  checkSignal,
  checkSignalAndProgress,
  checkWord,
} from '../../src/base/options.js';
import { quote } from '../../src/base/quote.js';
import { expectRejection } from '../support/rejections.js';

function trap(): never {
  throw new Error('trapped');
}

test('accepted values are returned, and fallbacks replace undefined', () => {
  checkKeys({ a: 1 }, ['a', 'b'], 'op');
  checkOptions({}, [], 'op');
  checkOptions({ signal: new AbortController().signal, onProgress: () => {} }, ['signal', 'onProgress'], 'op');
  expect(checkPositive(3, 'n', 'op')).toBe(3);
  expect(checkPositive(0, 'n', 'op', 0)).toBe(0);
  expect(checkRange(undefined, 'n', 'op', 1, 5)).toBeUndefined();
  expect([checkRange(1, 'n', 'op', 1, 5), checkRange(5, 'n', 'op', 1, 5)]).toEqual([1, 5]);
  expect(checkFlag(undefined, true, 'f', 'op')).toBe(true);
  expect(checkFlag(false, true, 'f', 'op')).toBe(false);
  expect(checkWord(undefined, ['x', 'y'], 'w', 'op')).toBe('x');
  expect(checkWord('y', ['x', 'y'], 'w', 'op')).toBe('y');
});

test.each<[string, () => unknown, string]>([
  ['an unknown key', () => checkKeys({ c: 1 }, ['a', 'b'], 'op'), 'op: there is no option c'],
  ['options that are null', () => checkKeys(null, [], 'op'), 'op: the options must be an object, got null'],
  ['a wrong signal', () => checkSignal({}, 'op'), 'op: signal must be an AbortSignal'],
  [
    'a wrong onProgress',
    () => checkOptions({ onProgress: 1 }, ['onProgress'], 'op'),
    'op: onProgress must be a function',
  ],
  ['zero', () => checkPositive(0, 'n', 'op'), 'op: n must be a positive integer, got 0'],
  ['less than the least', () => checkPositive(1, 'n', 'op', 2), 'op: n must be an integer of at least 2, got 1'],
  ['a number as a string', () => checkPositive('3', 'n', 'op'), 'op: n must be a positive integer, got "3"'],
  ['out of range', () => checkRange(6, 'n', 'op', 1, 5), 'op: n must be an integer from 1 to 5, got 6'],
  ['below the range', () => checkRange(0, 'n', 'op', 1, 5), 'op: n must be an integer from 1 to 5, got 0'],
  ['between two integers', () => checkRange(1.5, 'n', 'op', 1, 5), 'op: n must be an integer from 1 to 5, got 1.5'],
  ['a digit', () => checkRange('3', 'n', 'op', 1, 5), 'op: n must be an integer from 1 to 5, got "3"'],
  ['options that are a number', () => checkKeys(5, [], 'op'), 'op: the options must be an object, got 5'],
  [
    'an option that throws',
    () => checkSignalAndProgress(Object.defineProperty({}, 'a', { enumerable: true, get: trap }), 'op'),
    'op: the options cannot be read: trapped',
  ],
  ['no boolean', () => checkFlag(1, true, 'f', 'op'), 'op: f must be true or false, got 1'],
  ['another word', () => checkWord('z', ['x', 'y'], 'w', 'op'), 'op: w must be one of x, y, got "z"'],
])('%s is refused', async (_what, check, message) => {
  const error = await expectRejection(check, 'ERR_ARGUMENT');
  expect(error.message).toBe(message);
});

test('quote keeps untrusted text on one line, and short', () => {
  expect(quote('a"b\nc')).toBe('"a\\"b\\nc"');
  expect(quote('x'.repeat(60))).toBe(`"${'x'.repeat(60)}"`);
  expect(quote('x'.repeat(61))).toBe(`"${'x'.repeat(60)}…"`);
});

test('a JsonView names the place of a wrong value', async () => {
  const view = new JsonView({ list: [{ name: 7 }], 'odd\nkey': 1 }, 'file.json');
  expect(view.at('absent').isAbsent).toBe(true);
  expect(view.at('absent').list()).toEqual([]);
  expect(view.at('absent').string('fallback')).toBe('fallback');
  const [first] = view.at('list').list();
  const error = await expectRejection(() => first?.at('name').string(), 'ERR_MODEL_FILE');
  expect(error.message).toBe('file.json: list[0]: name: must be a string, got 7');
  await expectRejection(() => view.at('odd\nkey').list(), 'ERR_MODEL_FILE', /^file\.json: "odd\\nkey": must be a list/);
  // A key of Object.prototype is not a member.
  expect(view.at('toString').isAbsent).toBe(true);
});
