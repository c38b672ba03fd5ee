// src/base/json-text.ts: the JSON of plain data, its limits to the last value, and what is no plain data.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { jsonText } from '../../src/base/json-text.js';

const limits = { op: 'op', name: 'messages', mostUnits: 1 << 20, mostValues: 1000, deepest: 8 };
const json = (data: unknown, more = {}) => jsonText(data, { ...limits, ...more }, undefined);
const refusal = (message: string) =>
  expect.objectContaining({ code: 'ERR_ARGUMENT', message: `op: the messages ${message}` });

test('is read back as what it was', async () => {
  const values = fc.jsonValue({ maxDepth: 4 });
  await fc.assert(
    fc.asyncProperty(values, async (value) => {
      expect(await json(value)).toBe(JSON.stringify(value));
    }),
  );
  for (const length of [1023, 1024, 1025, 65_535, 65_536, 65_537, 200_000]) {
    const text = '😀"\n'.repeat(length / 4 + 1).slice(1, length + 1);
    expect(JSON.parse(await json([text, { [text]: text }]))).toEqual([text, { [text]: text }]);
  }
});

test('undefined members are left out; numbers that JSON lacks are read as themselves, or as null', async () => {
  expect(await json({ a: undefined, b: 1, c: undefined, d: [undefined] })).toBe('{"b":1,"d":[null]}');
  expect(await json([{}, [], undefined])).toBe('[{},[],null]');
  const numbers = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN, -1.5];
  expect(JSON.parse(await json(numbers))).toEqual([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, null, -1.5]);
});

test('limits are exact', async () => {
  expect(await json(['abc', { d: 'e' }], { mostUnits: 5 })).toBe('["abc",{"d":"e"}]');
  await expect(json(['abc', { d: 'e' }], { mostUnits: 4 })).rejects.toEqual(refusal('hold more than 4 characters'));
  const long = 'x'.repeat(5000);
  expect((await json(long, { mostUnits: 5000 })).length).toBe(5002);
  await expect(json(long, { mostUnits: 4999 })).rejects.toEqual(refusal('hold more than 4999 characters'));
  expect(await json([1, 2], { mostValues: 3 })).toBe('[1,2]');
  await expect(json([1, 2], { mostValues: 2 })).rejects.toEqual(refusal('hold more than 2 values'));
  expect(await json([[[]]], { deepest: 2 })).toBe('[[[]]]');
  expect(await json({ a: { b: {} } }, { deepest: 2 })).toBe('{"a":{"b":{}}}');
  await expect(json({ a: { b: {} } }, { deepest: 1 })).rejects.toEqual(refusal('are nested more than 1 deep'));
  await expect(json([[[]]], { deepest: 1 })).rejects.toEqual(refusal('are nested more than 1 deep'));
});

test('what is no plain data is refused', async () => {
  await expect(json([() => {}])).rejects.toEqual(refusal('hold a function, which is no plain data'));
  await expect(json([1n])).rejects.toEqual(refusal('hold a bigint, which is no plain data'));
  const circle: unknown[] = [];
  circle.push(circle);
  await expect(json(circle)).rejects.toEqual(refusal('are nested more than 8 deep'));
  const cause = new Error('trapped');
  const trapped = Object.defineProperty({}, 'a', {
    enumerable: true,
    get: () => {
      throw cause;
    },
  });
  await expect(json(trapped)).rejects.toMatchObject({
    code: 'ERR_ARGUMENT',
    message: 'op: the messages cannot be read',
    cause,
  });
  const withoutOp = jsonText(1n, { ...limits, op: undefined }, undefined);
  await expect(withoutOp).rejects.toMatchObject({ message: 'the messages hold a bigint, which is no plain data' });
});

test('a signal ends it', async () => {
  const controller = new AbortController();
  controller.abort();
  await expect(jsonText([1], limits, controller.signal)).rejects.toMatchObject({ name: 'AbortError' });
});
