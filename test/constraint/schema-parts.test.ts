// JSON schemas that consist of others: what several schemas ask of one value. By all the texts that a
// schema takes, or by what it is refused for.
import { describe, expect, test } from 'vitest';
import { allTexts, schemaOf, takenOf } from '../support/constraint-texts.js';

const one = (value: unknown) => ({ const: value });
const object = (properties: object, ...required: string[]) => ({ type: 'object', properties, required });
const refusal = (problem: string) =>
  expect.objectContaining({ code: 'ERR_FORMAT', message: expect.stringContaining(problem) });

describe('a schema', () => {
  test('true allows all, and false nothing', () => {
    const sample = ['1', '"a"', 'null', '[true,{}]'];
    expect(takenOf(schemaOf(true), sample)).toEqual(sample);
    expect(() => schemaOf(false)).toThrow(refusal('is matched by no finite value'));
    expect(allTexts(schemaOf({ anyOf: [false, one(1)] }))).toEqual(['1']);
    expect(allTexts(schemaOf({ enum: [1, 2], allOf: [true, { maximum: 1 }] }))).toEqual(['1']);
  });

  test.each([[5], ['x'], [null], [[]]])('%j is none', (schema) => {
    for (const all of [schema, { anyOf: [schema] }, { minimum: 1, allOf: [schema] }, { properties: { a: schema } }]) {
      expect(() => schemaOf(all)).toThrow(refusal('is neither an object nor a boolean'));
    }
  });

  test.each([
    'not',
    'if',
    'then',
    'else',
    'contains',
    'minContains',
    'maxContains',
    'propertyNames',
    'dependencies',
    'dependentRequired',
    'dependentSchemas',
    'unevaluatedItems',
    'prefixItems',
    'additionalItems',
    '$dynamicRef',
    '$recursiveRef',
  ])('with %s is refused, also beside a reference', (keyword) => {
    const problem = refusal(`uses ${keyword}, which is not supported`);
    expect(() =>
      schemaOf({ type: 'null', [keyword]: {}, ...(keyword === 'propertyNames' && { propertyNames: 5 }) }),
    ).toThrow(problem);
    expect(() => schemaOf({ $ref: '#/$defs/x', [keyword]: 5, $defs: { x: {} } })).toThrow(problem);
  });

  test.each([
    [true, true],
    [{}, true],
    [{ type: 'string', title: 't' }, true],
    [false, false],
    [5, false],
    [{ type: 'integer' }, false],
    [{ type: 'string', minLength: 2 }, false],
    [{ title: 't', anyOf: [{}] }, false],
    [{ not: {} }, false],
  ])('with the propertyNames %j is taken: %j', (propertyNames, isTaken) => {
    const compile = () => allTexts(schemaOf({ ...object({ a: one(1) }, 'a'), propertyNames }));
    if (isTaken) expect(compile()).toEqual(['{"a":1}']);
    else expect(compile).toThrow(refusal('uses propertyNames'));
  });

  test('is as large with annotations as without', () => {
    const annotations = { title: 't', 'x-vendor': { any: 'thing' }, default: 1 };
    expect(schemaOf(annotations).terms.size).toBe(schemaOf({}).terms.size);
  });

  test('may nest 100 deep', () => {
    const nested = (depth: number) => {
      let schema: object = { type: 'null' };
      for (let i = 0; i < depth; i++) schema = { allOf: [schema], title: 't' };
      return schema;
    };
    expect(allTexts(schemaOf(nested(100)))).toEqual(['null']);
    expect(() => schemaOf(nested(101))).toThrow(refusal('nests deeper than 100'));
    expect(allTexts(schemaOf({ minimum: 0, anyOf: [one(1), nested(99)] }))).toEqual(['1', 'null']);
    expect(() => schemaOf({ minimum: 0, anyOf: [one(1), nested(100)] })).toThrow(refusal('nests deeper than 100'));
  });

  test.each(['allOf', 'anyOf', 'oneOf'])('must have a non-empty list as %s', (word) => {
    for (const list of [[], {}, 5, 'x']) {
      for (const beside of [{}, { type: 'null' }]) {
        expect(() => schemaOf({ ...beside, [word]: list })).toThrow(refusal(`must have a non-empty list as ${word}`));
      }
    }
  });
});

describe('types', () => {
  const values = [null, true, 0, 1.5, 'a', [], {}];
  test.each<[unknown, string[]]>([
    ['null', ['null']],
    ['boolean', ['true']],
    ['integer', ['0']],
    ['number', ['0', '1.5']],
    ['string', ['"a"']],
    ['array', ['[]']],
    ['object', ['{}']],
    [
      ['array', 'null'],
      ['[]', 'null'],
    ],
    [undefined, ['"a"', '0', '1.5', '[]', 'null', 'true', '{}']],
  ])('%j are those of their values', (type, texts) => {
    expect(allTexts(schemaOf(type === undefined ? { enum: values } : { enum: values, type }))).toEqual(texts);
  });

  test.each<[object, string[]]>([
    [{ minProperties: 0 }, ['{}']],
    [{ required: [] }, ['{}']],
    [{ maxItems: 1 }, ['[]']],
    [{ maxLength: 1 }, ['"a"']],
    [{ minimum: 0 }, ['0', '1.5']],
    [{ minimum: 0, maxLength: 1 }, ['0', '1.5', '"a"']],
    [{ title: 't' }, ['null', 'true', '0', '1.5', '"a"', '[]', '{}']],
  ])('without one, those are made of which the keywords speak: %j', (schema, texts) => {
    const samples = ['null', 'true', '0', '1.5', '"a"', '[]', '{}'];
    expect(takenOf(schemaOf(schema), samples).sort()).toEqual([...texts].sort());
  });
});

describe('enum and const', () => {
  test.each<[object, string[]]>([
    [{ const: null }, ['null']],
    [{ const: 1, enum: [1, 2] }, ['1']],
    [{ enum: [1, 2, { a: 1 }], allOf: [{ enum: [2, 3, { a: 1 }] }] }, ['2', '{"a":1}']],
    [{ allOf: [one(1), { enum: [1, 2] }] }, ['1']],
    [{ allOf: [{ enum: [1, 2] }, one(1)] }, ['1']],
    [{ allOf: [{ enum: [2, 1] }, { type: 'integer' }] }, ['1', '2']],
    [{ anyOf: [{ allOf: [one(1), one(2)] }, one(3)] }, ['3']],
    [{ anyOf: [{ allOf: [{ type: 'string', const: 'a' }, { type: 'integer' }] }, one(3)] }, ['3']],
  ])('%j', (schema, texts) => {
    expect(allTexts(schemaOf(schema))).toEqual(texts);
  });

  test('that have no value in common are refused', () => {
    expect(() => schemaOf({ const: 3, enum: [1, 2] })).toThrow(refusal('has no value of its type'));
    expect(() => schemaOf({ enum: 5 })).toThrow(refusal('must have a list as enum'));
  });
});

describe('what several schemas ask of one value', () => {
  const values = [0, 1, 2, 3, 4, 5, 'a', 'bb', 'ccc', 'dddd', 'eeeee'];
  test.each<[string, object, object, string[]]>([
    ['types', { type: ['string', 'integer'] }, { type: ['integer', 'null'] }, ['0', '1', '2', '3', '4', '5']],
    ['minimum', { minimum: 3 }, { minimum: 4 }, ['4', '5']],
    ['maximum', { maximum: 2 }, { maximum: 1 }, ['0', '1']],
    ['exclusiveMinimum', { exclusiveMinimum: 2 }, { exclusiveMinimum: 3 }, ['4', '5']],
    ['exclusiveMaximum', { exclusiveMaximum: 3 }, { exclusiveMaximum: 2 }, ['0', '1']],
    ['minLength', { minLength: 3 }, { minLength: 4 }, ['"dddd"', '"eeeee"']],
    ['maxLength', { maxLength: 2 }, { maxLength: 1 }, ['"a"']],
    ['different bounds', { minimum: 2, minLength: 4 }, { maximum: 3 }, ['"dddd"', '"eeeee"', '2', '3']],
    ['a pattern', { pattern: '^[ab]+$' }, { maximum: 1 }, ['"a"', '"bb"', '0', '1']],
    ['the same pattern', { pattern: '^[ab]+$' }, { pattern: '^[ab]+$', maximum: 0 }, ['"a"', '"bb"', '0']],
  ])('%s', (_, a, b, texts) => {
    const kinds = new Set(texts.map((text) => text.startsWith('"')));
    const some = values.filter((value) => kinds.has(typeof value === 'string'));
    for (const allOf of [
      [a, b, { enum: some }],
      [b, a, { enum: some }],
    ]) {
      expect(allTexts(schemaOf({ allOf }))).toEqual(texts);
    }
    expect(allTexts(schemaOf({ ...a, allOf: [b, { enum: some }] }))).toEqual(texts);
  });

  test('of a list', () => {
    const [a, b] = [
      { type: 'array', minItems: 1, maxItems: 3, items: { enum: [1, 2] } },
      { minItems: 2, maxItems: 2, items: { enum: [2, 3] } },
    ];
    for (const allOf of [
      [a, b],
      [b, a],
    ]) {
      expect(allTexts(schemaOf({ allOf }))).toEqual(['[2,2]']);
    }
    expect(allTexts(schemaOf({ ...a, maxItems: 1, allOf: [{ uniqueItems: true }] }))).toEqual(['[1]', '[2]']);
  });

  test('of two types is nothing', () => {
    const types = ['object', 'array', 'string', 'integer', 'boolean', 'null'];
    for (const [a, b] of types.flatMap((one) => types.map((other) => [one, other] as const))) {
      if (a !== b) expect(() => schemaOf({ allOf: [{ type: a }, { type: b }] })).toThrow(refusal('no finite value'));
    }
  });

  test('integers are numbers', () => {
    for (const types of [
      ['integer', 'number'],
      ['number', 'integer'],
      ['integer', 'integer'],
    ]) {
      const allOf = types.map((type) => ({ type, minimum: 0, maximum: 2 }));
      expect(allTexts(schemaOf({ allOf }))).toEqual(['0', '1', '2']);
    }
  });

  test.each<[object, object, string]>([
    [{ pattern: 'a' }, { pattern: 'b' }, 'combines two of pattern'],
    [{ format: 'date' }, { format: 'time' }, 'combines two of format'],
    [{ multipleOf: 1 }, { multipleOf: 2 }, 'combines two of multipleOf'],
    [{ uniqueItems: true }, { uniqueItems: false }, 'combines two of uniqueItems'],
    [{ minimum: 1, exclusiveMinimum: true }, {}, 'exclusive by a boolean'],
    [{ maximum: 1, exclusiveMaximum: true }, {}, 'exclusive by a boolean'],
    [{ patternProperties: {} }, { properties: {} }, 'combines patternProperties'],
    [{ patternProperties: {} }, { additionalProperties: false }, 'combines patternProperties'],
    [
      { patternProperties: { a: { type: 'integer' } } },
      { patternProperties: { b: { type: 'null' } } },
      'combines patternProperties',
    ],
    [
      { properties: {}, patternProperties: { a: { type: 'integer' } } },
      { patternProperties: { b: { type: 'null' } } },
      'combines patternProperties',
    ],
    [{ properties: {}, patternProperties: {} }, { properties: {} }, 'combines patternProperties'],
    [{ properties: {} }, { properties: 5 }, 'must have an object as properties'],
    [{ properties: { a: {} } }, { properties: { b: null } }, 'is neither an object nor a boolean'],
  ])('%j and %j are refused', (a, b, problem) => {
    expect(() => schemaOf({ allOf: [a, b] })).toThrow(refusal(problem));
    expect(() => schemaOf({ allOf: [b, a] })).toThrow(refusal(problem));
  });

  test('a bound that is exclusive by a boolean is taken alone', () => {
    expect(allTexts(schemaOf({ type: 'integer', minimum: 3, exclusiveMinimum: true, maximum: 5 }))).toEqual(['4', '5']);
  });
});

describe('the properties that several schemas list', () => {
  test.each<[string, object, object, string[]]>([
    ['are all there', object({ a: one(1) }, 'a'), object({ b: one(2) }, 'b'), ['{"a":1,"b":2}']],
    ['are what both ask', object({ a: { enum: [1, 2] } }, 'a'), object({ a: { enum: [2, 3] } }, 'a'), ['{"a":2}']],
    ['may be anything in one of them', object({ a: true }, 'a'), object({ a: one(1) }), ['{"a":1}']],
    [
      'are required where one requires them',
      object({ a: one(1), b: one(2) }, 'a'),
      { required: ['b'] },
      ['{"a":1,"b":2}'],
    ],
    [
      'may not be others',
      { ...object({ a: one(1) }), additionalProperties: false },
      object({ b: one(2) }),
      ['{"a":1}', '{}'],
    ],
    [
      'are what the other asks of more',
      { ...object({ a: one(1) }, 'a'), additionalProperties: { enum: [2, 3] } },
      { ...object({ a: true, b: { enum: [3, 4] } }, 'b'), additionalProperties: false },
      ['{"a":1,"b":3}'],
    ],
  ])('%s', (_, a, b, texts) => {
    for (const allOf of [
      [a, b],
      [b, a],
    ]) {
      const sorted = allTexts(schemaOf({ allOf })).map((text) => JSON.parse(text));
      expect(sorted).toEqual(texts.map((text) => JSON.parse(text)));
    }
  });

  test('may be the schema itself', () => {
    const schema = schemaOf({ allOf: [object({ next: { $ref: '#' } }), object({ a: one(1) })] });
    expect(takenOf(schema, ['{"next":{"a":1}}', '{"next":{"next":1}}'])).toEqual(['{"next":{"a":1}}']);
  });

  test('may be anything in both', () => {
    const schema = schemaOf({ allOf: [object({ a: true }), object({ a: true, b: one(1) }, 'b')] });
    expect(takenOf(schema, ['{"a":[1],"b":1}', '{"b":1}', '{"a":[1]}'])).toEqual(['{"a":[1],"b":1}', '{"b":1}']);
  });

  test('more of them are what both ask', () => {
    const more = (additionalProperties: unknown) => ({ type: 'object', additionalProperties });
    const both = (...all: unknown[]) => schemaOf({ allOf: all.map(more), properties: { a: true } });
    const samples = ['{}', '{"b":1}', '{"b":2}', '{"b":3}'];
    expect(takenOf(both({ enum: [1, 2] }, { enum: [2, 3] }), samples)).toEqual(['{}', '{"b":2}']);
    expect(takenOf(both({ enum: [1, 2] }, true), samples)).toEqual(['{}', '{"b":1}', '{"b":2}']);
    expect(takenOf(both(true, { enum: [1, 2] }), samples)).toEqual(['{}', '{"b":1}', '{"b":2}']);
    expect(takenOf(both({ enum: [1, 2] }, false), samples)).toEqual(['{}']);
    expect(takenOf(both(false, { enum: [1, 2] }), samples)).toEqual(['{}']);
    expect(allTexts(schemaOf({ allOf: [more(false), more({ enum: [1, 2] })] }))).toEqual(['{}']);
  });

  test('patterns stay where the other schema asks nothing of properties', () => {
    const patterned = { type: 'object', patternProperties: { '^a+$': one(1) } };
    const samples = ['{}', '{"aa":1}', '{"aa":2}', '{"b":1}'];
    for (const allOf of [
      [patterned, { type: 'object' }],
      [{ type: 'object' }, patterned],
      [{ ...patterned, additionalProperties: false }, { type: 'object' }],
    ]) {
      expect(takenOf(schemaOf({ allOf }), samples)).toEqual(['{}', '{"aa":1}']);
    }
  });
});
