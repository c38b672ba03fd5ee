// src/base/json-view.ts: what each getter takes, to the ends of its range, and how a wrong value is described.
import { expect, test } from 'vitest';
import { describeJson, isObject, JsonView } from '../../src/base/json-view.js';

const view = (value: unknown) => new JsonView(value, 'f');
const refusal = (message: string) =>
  expect.objectContaining({ code: 'ERR_MODEL_FILE', message: expect.stringContaining(message) });

test('getters take values of their type', () => {
  expect([view('a').string(), view('a').string('b'), view(null).string('b')]).toEqual(['a', 'a', 'b']);
  expect([view(false).boolean(true), view(true).boolean(false), view(undefined).boolean(true)]).toEqual([
    false,
    true,
    true,
  ]);
  expect([view(-1.5).number(), view(Number.POSITIVE_INFINITY).number()]).toEqual([-1.5, Number.POSITIVE_INFINITY]);
  expect([view(0).id(), view(2 ** 24 - 1).id()]).toEqual([0, 2 ** 24 - 1]);
  expect(
    view([1, 'a'])
      .list()
      .map((one) => [one.value, one.place]),
  ).toEqual([
    [1, 'f[0]'],
    ['a', 'f[1]'],
  ]);
  expect([view(null).list(), view(undefined).list()]).toEqual([[], []]);
  const object = { a: 1 };
  expect(view(object).rawObject()).toBe(object);
  expect([view(null).isAbsent, view(undefined).isAbsent, view(0).isAbsent, view('').isAbsent]).toEqual([
    true,
    true,
    false,
    false,
  ]);
});

test('getters refuse all other values', () => {
  expect(() => view(null).string()).toThrow(refusal('f: must be a string, got null'));
  expect(() => view(1).string('b')).toThrow(refusal('f: must be a string, got 1'));
  expect(() => view(0).boolean(true)).toThrow(refusal('must be true or false'));
  for (const one of [Number.NaN, '1', null]) expect(() => view(one).number()).toThrow(refusal('must be a number'));
  for (const one of [-1, 1.5, 2 ** 24, '1', null]) expect(() => view(one).id()).toThrow(refusal('must be a token id'));
  expect(() => view({}).list()).toThrow(refusal('must be a list, got an object'));
  for (const one of [[], null, 'a']) expect(() => view(one).rawObject()).toThrow(refusal('must be an object'));
  expect(view(1).unsupported('it')).toMatchObject({ code: 'ERR_UNSUPPORTED', message: 'f: it is not supported' });
});

test('members are those of objects, with a readable place', () => {
  expect(view({ a: 1 }).at('a')).toMatchObject({ value: 1, place: 'f: a' });
  expect(view([1]).at('0').isAbsent).toBe(true);
  expect(view('a').at('length').isAbsent).toBe(true);
  expect(view({}).at('constructor').isAbsent).toBe(true);
  const places = ['a.b/c-d_1', 'a b', '', 'x'.repeat(60), 'x'.repeat(61)].map((key) => view({}).at(key).place);
  expect(places).toEqual(['f: a.b/c-d_1', 'f: "a b"', 'f: ""', `f: ${'x'.repeat(60)}`, `f: "${'x'.repeat(60)}…"`]);
});

test('values are described shortly', () => {
  const values = [undefined, 'a', [1, 2], { a: 1 }, null, 1, true];
  expect(values.map(describeJson)).toEqual(['nothing', '"a"', 'a list of 2', 'an object', 'null', '1', 'true']);
  expect(values.map(isObject)).toEqual([false, false, false, true, false, false, false]);
});
