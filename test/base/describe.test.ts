// src/base/describe.ts: text of any value for messages, and errors for arguments that throw when they are read.
import { expect, test } from 'vitest';
import { describe, messageOf, unreadable } from '../../src/base/describe.js';
import { AbortError, TesseraeError } from '../../src/base/errors.js';

test.each([
  ['a', '"a"'],
  [5n, '5n'],
  [-5n, '-5n'],
  [10n ** 40n - 1n, `${'9'.repeat(40)}n`],
  [10n ** 40n, 'a longn'],
  [1n - 10n ** 40n, `-${'9'.repeat(40)}n`],
  [-(10n ** 40n), 'a longn'],
  [Symbol('x'), 'a symbol'],
  [() => {}, 'a function'],
  [null, 'null'],
  [undefined, 'undefined'],
  [true, 'true'],
  [1.5, '1.5'],
  [[1, 2, 3, 4, 5, 6, 7, 8], '[1, 2, 3, 4, 5, 6, 7, 8]'],
  [[1, 2, 3, 4, 5, 6, 7, 8, 9], 'an array of 9'],
  [[1, '2'], 'an array of 2'],
  [[], '[]'],
  [{ a: 1 }, 'an object'],
  [Object.create(null), 'an object'],
  [new Map(), 'an object (Map)'],
  [{ [Symbol.toStringTag]: 'a"b' }, 'an object (a\\"b)'],
])('%#', (value, text) => {
  expect(describe(value)).toBe(text);
});

test('a value that throws when it is asked has a text, too', () => {
  const { proxy, revoke } = Proxy.revocable([], {});
  revoke();
  expect(describe(proxy)).toBe('an object');
  const error = Object.defineProperty(new Error('x'), 'message', {
    get: () => {
      throw new Error('trapped');
    },
  });
  expect(messageOf(error)).toBe('an error without a message');
});

test('what was thrown has a message', () => {
  expect(messageOf(new Error('m'))).toBe('m');
  expect(messageOf('m')).toBe('"m"');
});

test('an argument that throws when it is read gives ERR_ARGUMENT with its cause; errors of ours stay', () => {
  const own = [new TesseraeError('ERR_FILE', 'x'), new AbortError('x')];
  for (const one of own) expect(unreadable(one, 'it', 'op')).toBe(one);
  const cause = new RangeError('no');
  const error = unreadable(cause, 'the options', 'load') as TesseraeError;
  expect([error.code, error.message, error.op, error.cause]).toEqual([
    'ERR_ARGUMENT',
    'load: the options cannot be read: no',
    'load',
    cause,
  ]);
  const without = unreadable(cause, 'it', undefined);
  expect([without.message, without.cause]).toEqual(['it cannot be read: no', cause]);
});
