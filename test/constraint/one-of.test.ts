// The keywords anyOf and oneOf: alternatives are combined, and the branches of oneOf are taken where it is known that no
// value of one matches another.
import { describe, expect, test } from 'vitest';
import { allTexts, schemaOf } from '../support/constraint-texts.js';

const one = (value: unknown) => ({ const: value });
const object = (properties: object, ...required: string[]) => ({ type: 'object', properties, required });
const refusal = (problem: string) =>
  expect.objectContaining({ code: 'ERR_FORMAT', message: expect.stringContaining(problem) });

describe('alternatives', () => {
  test.each<[object, string[]]>([
    [{ maximum: 2, anyOf: [{ enum: [1, 3] }, { enum: [2, 4] }] }, ['1', '2']],
    [{ maximum: 2, anyOf: [{ enum: [1, 2] }, { enum: [2, 4] }] }, ['1', '2']],
    [{ maximum: 3, anyOf: [{ enum: [1, 2, 3, 4] }], oneOf: [{ enum: [2, 3] }, { enum: [1, 5] }] }, ['1', '2', '3']],
    [{ allOf: [{ anyOf: [one(1), one(2)] }, { anyOf: [one(2), one(3)] }] }, ['2']],
  ])('%j', (schema, texts) => {
    expect(allTexts(schemaOf(schema))).toEqual(texts);
  });

  test('are combined while there are at most 64, or no more than before', () => {
    const anyOf = (count: number) => ({ anyOf: Array.from({ length: count }, (_, i) => one(i)) });
    const count = (...allOf: object[]) => allTexts(schemaOf({ allOf })).length;
    expect([count(anyOf(8), anyOf(8)), count(anyOf(16), anyOf(4))]).toEqual([8, 4]);
    expect(count(anyOf(100), { minimum: 0 })).toBe(100);
    expect(count({ minimum: 0 }, anyOf(100))).toBe(100);
    const problem = refusal('combines more than 64 alternatives');
    expect(() => count(anyOf(8), anyOf(9))).toThrow(problem);
    expect(() => count(anyOf(5), anyOf(13))).toThrow(problem);
  });
});

describe('oneOf', () => {
  test('is refused where properties beside it may be those of another branch', () => {
    const branches = { oneOf: [{ required: ['a'] }, { required: ['b'] }] };
    const both = { ...object({ a: one(1), b: one(2) }), ...branches };
    expect(() => allTexts(schemaOf(both))).toThrow(refusal('has a oneOf whose branches 0 and 1 may match the same'));
  });

  const problem = refusal('has a oneOf whose branches 0 and 1 may match the same value');

  test.each([{}, { title: 't', maximum: 9 }])('gives a value of one branch, beside %j', (beside) => {
    expect(allTexts(schemaOf({ ...beside, oneOf: [one(1), one(2), { type: 'null' }] }))).toEqual(['1', '2', 'null']);
    expect(() => schemaOf({ ...beside, oneOf: [{ enum: [1, 2] }, { enum: [2, 3] }] })).toThrow(problem);
    const third = { oneOf: [{ type: 'null' }, one(1), { type: 'integer' }] };
    expect(() => schemaOf({ ...beside, ...third })).toThrow(refusal('branches 1 and 2 may match'));
  });

  /**
   * Whether it is known that what is made for one schema never matches another one. Objects with `b` are one branch; what
   * is made for the other branch has no `b`, so that the property `a` alone decides.
   */
  function excludes(made: unknown, other: unknown): boolean {
    const branches = [object({ a: made, b: { type: 'null' } }, 'a', 'b'), object({ a: other }, 'a')];
    try {
      schemaOf({ oneOf: branches });
      return true;
    } catch (error) {
      expect(error).toEqual(refusal('may match the same value'));
      return false;
    }
  }

  const open = { type: 'object' };
  test.each<[unknown, unknown, boolean]>([
    // Values.
    [{ enum: [1, 2] }, { enum: [3, 4] }, true],
    [{ enum: [1, 2] }, { enum: [2, 3] }, false],
    [one(1), { enum: [2, 1] }, false],
    [{ enum: [2, 1] }, one(1), false],
    [one([1, 2]), one([1, 2]), false],
    [one([1, 2]), one([1, 3]), true],
    [one([1, 2]), one([1]), true],
    [one([1]), one([1, 2]), true],
    [one([1]), one({ 0: 1 }), true],
    [one([]), one({}), true],
    [one({ a: 1, b: [2] }), one({ b: [2], a: 1 }), false],
    [one({ a: 1, b: 2 }), one({ a: 1, b: 3 }), true],
    [one({ a: 1 }), one({ a: 1, b: 1 }), true],
    [one({ a: 1 }), one({ b: 1 }), true],
    [one(JSON.parse('{"__proto__":{}}')), one({ b: 1 }), true],
    [one(null), one({}), true],
    [one({}), one(null), true],
    [one('1'), one(1), true],
    // Values, and types.
    [one(5), { type: 'string' }, true],
    [{ enum: ['a', 5] }, { type: 'integer' }, false],
    [one(5), { type: ['string', 'integer'] }, false],
    [one('a'), { minLength: 2, type: 'string' }, false],
    [one(5), { minLength: 2 }, false],
    [{ type: 'string' }, one(5), true],
    [{ type: 'integer' }, { enum: ['a', 5] }, false],
    [{ type: ['string', 'integer'] }, one(5), false],
    [{ minLength: 2 }, one(5), true],
    [{ minLength: 2 }, one('a'), false],
    // Types.
    [{ type: 'string' }, { type: 'integer' }, true],
    [{ type: 'string' }, { type: 'string' }, false],
    [{ type: 'integer' }, { type: 'number' }, false],
    [{ type: 'number' }, { type: 'integer' }, false],
    [{ type: 'integer' }, { type: 'integer' }, false],
    [{ type: ['string', 'null'] }, { type: ['null', 'boolean'] }, false],
    [{ type: ['string', 'null'] }, { type: ['integer', 'boolean'] }, true],
    [{ minLength: 1 }, { minItems: 1 }, false],
    [{ minLength: 1 }, { type: 'array' }, true],
    [
      { type: ['string', 'object'], ...{ required: ['k'], properties: { k: one(1) } } },
      { type: ['string', 'object'], properties: { k: one(2) } },
      false,
    ],
    // Objects that must have what the other has not.
    [object({ k: {} }), object({}, 'r'), true],
    [{ type: 'object', properties: { k: {} } }, object({}, 'r'), true],
    [{ allOf: [object({ j: {} }), object({ k: {} })] }, object({}, 'r'), true],
    [object({ k: {} }), object({}, 'k', 'r'), true],
    [object({ k: {} }), object({}, 'k'), false],
    [open, object({}, 'r'), false],
    [object({}, 'q'), object({}, 'r'), true],
    [object({}, 'r'), object({}, 'r'), false],
    [{ type: 'object', required: ['q'] }, { type: 'object', required: ['r'] }, true],
    [{ ...object({ k: {} }), additionalProperties: { type: 'null' } }, object({}, 'r'), false],
    [{ ...object({ k: {} }), patternProperties: { '^r$': {} } }, object({}, 'r'), false],
    // Objects that have what the other must not have.
    [object({ k: {} }, 'k'), open, false],
    [object({ k: {} }, 'k'), { type: 'object', additionalProperties: false }, true],
    [object({ k: {} }), { type: 'object', additionalProperties: false }, false],
    [object({ k: {} }, 'k'), { type: 'object', additionalProperties: false, patternProperties: { '^k': {} } }, false],
    [object({ k: {} }, 'k'), { type: 'object', additionalProperties: { type: 'null' } }, false],
    // Objects with properties that differ.
    [object({ k: one(1) }, 'k'), object({ k: one(2) }), true],
    [object({ k: one(1) }), object({ k: one(2) }), false],
    [object({ k: one(1) }, 'k'), object({ k: one(1) }), false],
    [object({ j: {}, k: one(1) }, 'j', 'k'), object({ j: {}, k: one(2) }), true],
    [object({ k: { anyOf: [one(1), one(2)] } }, 'k'), object({ k: one(2) }), false],
    [object({ k: one(2) }, 'k'), object({ k: { anyOf: [one(1), one(2)] } }), false],
    [object({ k: { anyOf: [one(1), one(2)] } }, 'k'), object({ k: { anyOf: [one(3), one(4)] } }), true],
    [{ type: 'object', required: ['k'] }, object({ k: { type: 'string' } }), false],
    [{ type: 'object', required: ['k'] }, object({ k: false }), true],
  ])('of what is made for %j nothing matches %j: %j', (made, other, isKnown) => {
    expect(excludes(made, other)).toBe(isKnown);
  });

  test('knows the types that have no value in common', () => {
    const types = ['object', 'array', 'string', 'integer', 'number', 'boolean', 'null'];
    for (const a of types) {
      for (const b of types) {
        const isSame = a === b || [a, b].every((type) => type === 'integer' || type === 'number');
        expect({ a, b, excludes: excludes({ type: a }, { type: b }) }).toEqual({ a, b, excludes: !isSame });
      }
    }
  });

  test('looks into objects in objects, four deep', () => {
    const nested = (value: number, depth: number): object =>
      depth === 0 ? one(value) : object({ k: nested(value, depth - 1) }, 'k');
    // The object of the branch itself is the first.
    expect([excludes(nested(1, 3), nested(2, 3)), excludes(nested(1, 4), nested(2, 4))]).toEqual([true, false]);
  });

  test('compares all alternatives of a branch with all of the other one', () => {
    const [more, less] = [object({ a: {}, b: {} }, 'a', 'b'), object({ a: {} }, 'a')];
    for (const oneOf of [
      [{ anyOf: [{ type: 'string' }, more] }, less],
      [less, { anyOf: [{ type: 'string' }, more] }],
      [more, { anyOf: [{ type: 'string' }, less] }],
      [{ anyOf: [{ type: 'string' }, less] }, more],
    ]) {
      expect(() => schemaOf({ oneOf })).toThrow(refusal('may match the same value'));
    }
  });
});
