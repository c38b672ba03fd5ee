// The shape of the option `format`: what is taken as it is, and what is refused.
import { expect, test } from 'vitest';
import { checkFormat } from '../../src/constraint/format.js';

const tag = { begin: '<a>', jsonSchema: {}, end: '</a>' };

test.each<[object]>([
  [{ regex: '' }],
  [{ json: true }],
  [{ jsonSchema: {} }],
  [{ tags: [tag, { begin: '', jsonSchema: {} }], triggers: ['<'], opening: 'x' }],
  [{ tags: [], triggers: [] }],
])('%j is a format', (format) => {
  expect(checkFormat(format, 'generate')).toBe(format);
});

test('none is none', () => {
  expect(checkFormat(undefined, 'generate')).toBeUndefined();
});

test.each<[unknown, RegExp]>([
  [null, /format must be \{ regex/],
  ['json', /format must be/],
  [{}, /format must be/],
  [{ regex: 3 }, /format must be/],
  [{ json: false }, /format must be/],
  [{ jsonSchema: null }, /format must be/],
  [{ jsonSchema: 'x' }, /format must be/],
  [{ regex: 'a', json: true }, /format must be/],
  [Object.assign(() => {}, { regex: 'a' }), /format must be/],
  [{ regexp: 'a' }, /format must be/],
  [{ tags: [], triggers: [], more: 1 }, /no option more/],
  [{ tags: [] }, /format\.triggers must be texts/],
  [{ tags: [], triggers: ['a', 3] }, /format\.triggers/],
  [{ tags: [], triggers: ['a', ''] }, /format\.triggers/],
  [{ tags: [], triggers: [], opening: '' }, /format\.opening/],
  [{ tags: [], triggers: [], opening: 3 }, /format\.opening/],
  [{ tags: {}, triggers: [] }, /format\.tags must be an array/],
  [{ tags: [tag, null], triggers: [] }, /format\.tags\[1\] must be/],
  [{ tags: ['a'], triggers: [] }, /format\.tags\[0\] must be/],
  [{ tags: [{ ...tag, more: 1 }], triggers: [] }, /no option more/],
  [{ tags: [{ jsonSchema: {} }], triggers: [] }, /tags\[0\]\.begin/],
  [{ tags: [{ begin: 'a' }], triggers: [] }, /tags\[0\]\.jsonSchema/],
  [{ tags: [{ begin: 'a', jsonSchema: null }], triggers: [] }, /tags\[0\]\.jsonSchema/],
  [{ tags: [{ ...tag, end: 3 }], triggers: [] }, /tags\[0\]\.end/],
])('%j is refused', (value, message) => {
  const error = { code: 'ERR_ARGUMENT', op: 'generate', message: expect.stringMatching(message) };
  expect(() => checkFormat(value, 'generate')).toThrow(expect.objectContaining(error));
});
