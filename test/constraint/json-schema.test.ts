// JSON schemas of objects, lists and choices: by all the texts that a schema takes, or by what it is refused for.
import { describe, expect, test } from 'vitest';
import { anyJsonValue } from '../../src/constraint/compile/json-value.js';
import { writeTerms } from '../../src/constraint/compiled-terms.js';
import { Terms } from '../../src/constraint/term.js';
import { allTexts, schemaOf, takenOf, takes } from '../support/constraint-texts.js';

const one = (value: unknown) => ({ const: value });
const refusal = (problem: string) =>
  expect.objectContaining({ code: 'ERR_FORMAT', message: expect.stringContaining(problem) });

describe('each type', () => {
  test.each<[object, string[]]>([
    [{ type: 'null' }, ['null']],
    [{ type: 'boolean' }, ['false', 'true']],
    [{ type: ['null', 'boolean'] }, ['false', 'null', 'true']],
    [{ type: 'integer', minimum: 1, maximum: 2 }, ['1', '2']],
    [{ type: 'string', maxLength: 0 }, ['""']],
    [{ type: 'array', maxItems: 0 }, ['[]']],
    [{ type: 'object', additionalProperties: false }, ['{}']],
  ])('%j', (schema, texts) => {
    expect(allTexts(schemaOf(schema))).toEqual(texts);
  });

  test('a number may have a fraction, and an integer has none', () => {
    const samples = ['1', '-3', '0.5', '"a"'];
    expect(takenOf(schemaOf({ type: 'number' }), samples)).toEqual(['1', '-3', '0.5']);
    expect(takenOf(schemaOf({ type: 'integer' }), samples)).toEqual(['1', '-3']);
  });

  test('that is unknown is refused', () => {
    expect(() => schemaOf({ type: 'strin' })).toThrow(refusal('# has the unknown type strin'));
    expect(() => schemaOf({ type: ['null', 5] })).toThrow(refusal('# has the unknown type 5'));
  });

  test('a schema that asks nothing has the terms of any value, and no more', () => {
    const terms = new Terms();
    anyJsonValue(terms);
    const compiled = schemaOf({});
    // And the reference to the schema itself.
    expect(compiled.terms.size).toBe(terms.size + 1);
    const samples = ['{}', '[1,{"a":null}]', '"a"', '-1.5e3', 'true'];
    expect(takenOf(compiled, [...samples, '', '{', '[1,]', '01'])).toEqual(samples);
  });
});

describe('a choice', () => {
  test.each<[object, string[]]>([
    [{ enum: [1, 'a', null, { a: [1] }] }, ['"a"', '1', 'null', '{"a":[1]}']],
    [{ enum: [1, 'a'], type: 'string' }, ['"a"']],
    [{ enum: [1, 'a', null], type: ['string', 'null'] }, ['"a"', 'null']],
    [{ enum: ['a', 'bc'], minLength: 2 }, ['"bc"']],
    [{ enum: ['a', [1]], properties: { a: {} } }, ['"a"', '[1]']],
    [{ enum: [1, { a: 1 }], minItems: 3 }, ['1', '{"a":1}']],
    [{ enum: [1, [1]], format: 'date' }, ['1', '[1]']],
    [{ anyOf: [{ enum: ['a'], minLength: 2 }, one(1)] }, ['1']],
  ])('%j', (schema, texts) => {
    expect(allTexts(schemaOf(schema))).toEqual(texts);
  });

  test.each<[object, string]>([
    [{ enum: [1], type: 'string' }, 'has no value of its type'],
    [{ enum: [] }, 'has no value of its type'],
    [{ enum: 'a' }, 'must have a list as enum'],
    [{ enum: 'a', const: 'a' }, 'must have a list as enum'],
    [{ enum: [1, { a: 1 }], required: ['b'] }, 'uses required beside enum or const, which is not supported'],
    [{ const: [1], minItems: 2 }, 'uses minItems beside enum or const, which is not supported'],
    [{ const: 'a', format: 'date' }, 'uses format beside enum or const, which is not supported'],
    [{ const: 'a', minLength: 2 }, 'is matched by no finite value'],
  ])('%j is refused', (schema, problem) => {
    expect(() => schemaOf(schema)).toThrow(refusal(problem));
  });
});

describe('anyOf and oneOf alone', () => {
  test('keep references, so that a schema may contain itself', () => {
    for (const word of ['anyOf', 'oneOf']) {
      const $defs = { list: { type: 'array', maxItems: 1, items: { $ref: '#' } } };
      const schema = schemaOf({ [word]: [one(1), { $ref: '#/$defs/list' }, { type: 'null' }], title: 't', $defs });
      expect(takenOf(schema, ['1', '[]', '[[1]]', '[null]', '[2]', '[1,1]'])).toEqual(['1', '[]', '[[1]]', '[null]']);
    }
  });

  test('are refused where branches of oneOf may match the same value', () => {
    const overlapping = [{ minimum: 3 }, { maximum: 4 }];
    expect(() => schemaOf({ oneOf: overlapping })).toThrow(refusal('may match the same value'));
    expect(takes(schemaOf({ anyOf: overlapping }), '3')).toBe(true);
  });

  test('are combined where there are both', () => {
    const schema = { anyOf: [{ enum: [1, 2] }, { enum: [3] }], oneOf: [one(2), { enum: [3, 4] }] };
    expect(allTexts(schemaOf(schema))).toEqual(['2', '3']);
    expect(allTexts(schemaOf({ $ref: '#/$defs/x', anyOf: [one(1), one(2)], $defs: { x: { maximum: 1 } } }))).toEqual([
      '1',
    ]);
  });
});

describe('a list', () => {
  test.each<[object, string[]]>([
    [{ minItems: 2, maxItems: 3 }, ['[1,1,1]', '[1,1]']],
    [{ maxItems: 2 }, ['[1,1]', '[1]', '[]']],
    [{ minItems: 1, maxItems: 1 }, ['[1]']],
    [{ maxItems: 0 }, ['[]']],
    [{ maxItems: 1, uniqueItems: true }, ['[1]', '[]']],
    [{ maxItems: 2, uniqueItems: false }, ['[1,1]', '[1]', '[]']],
  ])('%j', (limits, texts) => {
    expect(allTexts(schemaOf({ type: 'array', items: one(1), ...limits }))).toEqual(texts);
  });

  test('may have any items, or none', () => {
    const samples = ['[]', '[1]', '[1,"a",{}]', '[1,]', '[,1]', '1'];
    expect(takenOf(schemaOf({ type: 'array' }), samples)).toEqual(['[]', '[1]', '[1,"a",{}]']);
    expect(takenOf(schemaOf({ type: 'array', minItems: 2 }), samples)).toEqual(['[1,"a",{}]']);
    expect(allTexts(schemaOf({ type: 'array', items: false }))).toEqual(['[]']);
  });

  test.each<[object, string]>([
    [{ type: 'array', items: [{}] }, 'uses a list as items, which is not supported'],
    [{ type: 'array', uniqueItems: true }, 'uses uniqueItems, which is not supported'],
    [{ type: 'array', uniqueItems: true, maxItems: 2 }, 'uses uniqueItems, which is not supported'],
    [{ type: 'array', minItems: 3, maxItems: 2 }, 'is matched by no finite value'],
    [{ type: 'array', minItems: 1, maxItems: 0 }, 'is matched by no finite value'],
    [{ type: 'array', minItems: 1, items: false }, 'is matched by no finite value'],
  ])('%j is refused', (schema, problem) => {
    expect(() => schemaOf(schema)).toThrow(refusal(problem));
  });
});

describe('an object', () => {
  const properties = { a: one(1), b: one(2), c: one(3) };
  const object = (given: object) => ({ type: 'object', properties, ...given });

  test.each<[object, string[]]>([
    [{ required: ['a', 'b', 'c'] }, ['{"a":1,"b":2,"c":3}']],
    [{ required: ['b'] }, ['{"a":1,"b":2,"c":3}', '{"a":1,"b":2}', '{"b":2,"c":3}', '{"b":2}']],
    [{ required: ['c', 'a'] }, ['{"a":1,"b":2,"c":3}', '{"a":1,"c":3}']],
    [
      {},
      ['{"a":1,"b":2,"c":3}', '{"a":1,"b":2}', '{"a":1,"c":3}', '{"a":1}', '{"b":2,"c":3}', '{"b":2}', '{"c":3}', '{}'],
    ],
    [{ properties: {}, additionalProperties: false }, ['{}']],
    [{ properties: { a: false, b: one(2) }, required: ['b'] }, ['{"b":2}']],
    [{ properties: { 'a"\\': one(1) }, required: ['a"\\'] }, ['{"a\\"\\\\":1}']],
    [{ properties: { a: one(1) }, required: ['a'], minProperties: 1, maxProperties: 1 }, ['{"a":1}']],
    [{ properties: { a: one(1), b: one(2) }, maxProperties: 2, required: ['a'] }, ['{"a":1,"b":2}', '{"a":1}']],
  ])('%j', (given, texts) => {
    expect(allTexts(schemaOf(object(given)))).toEqual(texts);
  });

  test('that requires a name without a property has any value there, or one of additionalProperties', () => {
    const samples = ['{"d":5}', '{"d":"x"}', '{}'];
    expect(takenOf(schemaOf({ type: 'object', required: ['d'] }), samples)).toEqual(['{"d":5}', '{"d":"x"}']);
    const numbers = { type: 'object', required: ['d'], additionalProperties: { type: 'integer' } };
    expect(takenOf(schemaOf(numbers), samples)).toEqual(['{"d":5}']);
  });

  test('of anything has any members', () => {
    const samples = ['{}', '{"x":[1]}', '{"x":1,"":null}', '{"x":1,}', '{x:1}', '[]'];
    for (const more of [{}, { additionalProperties: true }, { properties: {} }]) {
      expect(takenOf(schemaOf({ type: 'object', ...more }), samples)).toEqual(samples.slice(0, 3));
    }
    expect(takenOf(schemaOf({ type: 'object', additionalProperties: one(1) }), ['{"x":1,"y":1}', '{"x":2}'])).toEqual([
      '{"x":1,"y":1}',
    ]);
  });

  test('with properties has no others, unless a schema of them is given', () => {
    const listed = { type: 'object', properties: { a: one(1) } };
    const samples = ['{}', '{"a":1}', '{"b":2}', '{"a":1,"b":2,"c":2}', '{"b":2,"a":1}', '{"b":3}'];
    for (const additionalProperties of [true, false, undefined]) {
      expect(takenOf(schemaOf({ ...listed, additionalProperties }), samples)).toEqual(['{}', '{"a":1}']);
    }
    expect(takenOf(schemaOf({ ...listed, additionalProperties: one(2) }), samples)).toEqual(samples.slice(0, 4));
  });

  test('has other names than those that are listed, however they are written', () => {
    const names = ['', 'ab', 'ac', 'abc', 'é', '😀x'];
    const listed = Object.fromEntries(names.map((name) => [name, one(1)]));
    const schema = schemaOf({ type: 'object', properties: listed, additionalProperties: one(2) });
    const isOther = (written: string) => takes(schema, `{"${written}":2}`);
    for (const name of ['', 'ab', 'ac', 'abc', 'é', '😀x', '\\u0061b', 'a\\u0063', '\\u00e9', '\\ud83d\\ude00x']) {
      expect({ name, isOther: isOther(name) }).toEqual({ name, isOther: false });
    }
    for (const name of [
      'a',
      'b',
      'ad',
      'abd',
      'abcd',
      'acb',
      'bab',
      '😀',
      '😀xx',
      '😁x',
      'éx',
      '\\n',
      '\\u0061',
      'e',
    ]) {
      expect({ name, isOther: isOther(name) }).toEqual({ name, isOther: true });
    }
    expect(takes(schemaOf({ type: 'object', properties: { a: one(1) }, additionalProperties: one(2) }), '{"":2}')).toBe(
      true,
    );
  });

  test('may have names of up to 100 characters beside additionalProperties', () => {
    const named = (length: number) => ({
      type: 'object',
      properties: { ['😀'.repeat(length)]: one(1) },
      additionalProperties: one(2),
    });
    const [long, longer] = ['😀'.repeat(100), '😀'.repeat(101)];
    const schema = schemaOf(named(100));
    const samples = [`{"${long}":1}`, `{"${long}":2}`, `{"${longer}":2}`];
    expect(takenOf(schema, samples)).toEqual([samples[0], samples[2]]);
    expect(() => schemaOf(named(101))).toThrow(refusal('has names of more than 100 characters'));
  });

  test.each<[object, string]>([
    [{ required: 'a' }, 'must have a list as required'],
    [{ required: ['a'], properties: { a: false } }, 'requires a, for which no value is valid'],
    [{ required: ['d'], additionalProperties: false }, 'requires d, for which no value is valid'],
    [{ properties: [] }, 'must have an object as properties'],
    [{ patternProperties: 5 }, 'must have an object as patternProperties'],
    [{ minProperties: 1 }, 'uses minProperties beyond what is required'],
    [{ minProperties: 2, required: ['a'] }, 'uses minProperties beyond what is required'],
    [{ maxProperties: 2 }, 'uses maxProperties below what may be made'],
    [{ maxProperties: 3, additionalProperties: one(2) }, 'uses maxProperties below what may be made'],
    [{ maxProperties: -1 }, 'has an invalid minProperties or maxProperties'],
  ])('%j is refused', (given, problem) => {
    expect(() => schemaOf(object(given))).toThrow(refusal(problem));
  });

  test('of many optional properties has terms whose size grows with their number', () => {
    const optional = (count: number) => {
      const many = Object.fromEntries(Array.from({ length: count }, (_, i) => [`p${i}`, one(i)]));
      return schemaOf({ type: 'object', properties: many });
    };
    const size = (count: number) => writeTerms(optional(count).term).words.length;
    expect(size(640)).toBeLessThan(2.5 * size(320));
    const samples = ['{}', '{"p0":0,"p199":199}', '{"p64":64,"p65":65,"p128":128}', '{"p65":65,"p64":64}'];
    expect(takenOf(optional(200), samples)).toEqual(samples.slice(0, 3));
  });
});

describe('patterns of names', () => {
  const patterned = (given: object) => ({ type: 'object', patternProperties: { '^x': one(1) }, ...given });

  test.each<[object, string[], string[]]>([
    [patterned({}), ['{}', '{"x":1}', '{"xy":1,"x":1}'], ['{"x":2}', '{"y":1}']],
    [patterned({ additionalProperties: one(2) }), ['{}', '{"x":1}'], ['{"y":2}']],
    [patterned({ properties: { y: one(3) } }), ['{}', '{"y":3}', '{"y":3,"xy":1}'], ['{"y":1}', '{"xy":1,"y":3}']],
    // A listed name that matches the pattern is asked for both, and there are no other names.
    [patterned({ properties: { x: { enum: [1, 2] } } }), ['{}', '{"x":1}'], ['{"x":2}', '{"xy":1}']],
    [patterned({ required: ['xy'] }), ['{"xy":1}'], ['{}', '{"xy":2}', '{"xy":1,"x":1}']],
    [patterned({ required: ['xy'], additionalProperties: false }), ['{"xy":1}'], ['{"xy":2}']],
    [patterned({ required: ['y'], additionalProperties: one(2) }), ['{"y":2}', '{"y":2,"x":1}'], ['{"y":1}']],
    // With several patterns, only listed names.
    [
      { type: 'object', patternProperties: { a: { enum: [1, 2] }, b: { enum: [2, 3] } }, properties: { ab: true } },
      ['{}', '{"ab":2}'],
      ['{"ab":1}', '{"a":1}', '{"b":3}'],
    ],
    [
      { type: 'object', patternProperties: { a: { enum: [1, 2] }, b: { enum: [2, 3] } } },
      ['{}'],
      ['{"ab":1}', '{"ab":3}'],
    ],
  ])('%j', (schema, good, bad) => {
    expect(takenOf(schemaOf(schema), [...good, ...bad])).toEqual(good);
  });

  test('are refused where they are not supported, or with maxProperties', () => {
    expect(() => schemaOf(patterned({ patternProperties: { '(?=a)': {} } }))).toThrow(refusal('uses lookaround'));
    expect(() => schemaOf({ type: 'object', properties: { a: {} }, patternProperties: { '\\bx': {} } })).toThrow(
      refusal('uses word boundaries'),
    );
    expect(() => schemaOf(patterned({ maxProperties: 5 }))).toThrow(refusal('uses maxProperties'));
  });
});

describe('schemas that contain themselves', () => {
  test('through properties, items and additionalProperties', () => {
    const tree = {
      type: 'object',
      properties: { next: { $ref: '#' } },
      required: [],
      additionalProperties: { type: 'array', items: { $ref: '#' } },
    };
    const samples = ['{}', '{"next":{"next":{}}}', '{"x":[{},{"y":[]}]}', '{"next":1}', '{"x":{}}'];
    expect(takenOf(schemaOf(tree), samples)).toEqual(samples.slice(0, 3));
  });

  test('are taken where some finite value matches each of them, however they are chained', () => {
    const needs = (name: string) => ({
      type: 'object',
      properties: { n: { $ref: `#/$defs/${name}` } },
      required: ['n'],
    });
    const chain = {
      $ref: '#/$defs/a',
      $defs: { a: needs('b'), b: needs('c'), c: { type: 'array', items: {}, minItems: 2 } },
    };
    expect(takenOf(schemaOf(chain), ['{"n":{"n":[1,{}]}}', '{"n":{"n":[]}}'])).toEqual(['{"n":{"n":[1,{}]}}']);
    const more = { type: 'object', properties: { a: one(1) }, required: ['a'], additionalProperties: { $ref: '#' } };
    expect(takenOf(schemaOf(more), ['{"a":1,"b":{"a":1}}', '{"a":1,"b":{}}'])).toEqual(['{"a":1,"b":{"a":1}}']);
    const optional = {
      type: 'object',
      properties: { n: { anyOf: [{ $ref: '#' }, { type: 'null' }] } },
      required: ['n'],
    };
    expect(takenOf(schemaOf(optional), ['{"n":{"n":null}}', '{}'])).toEqual(['{"n":{"n":null}}']);
  });

  test.each<[object, string]>([
    [{ type: 'object', properties: { n: { $ref: '#' } }, required: ['n'] }, 'at # is matched by no finite value'],
    [{ type: 'array', items: { $ref: '#' }, minItems: 1 }, 'at # is matched by no finite value'],
    [{ anyOf: [{ $ref: '#' }, { type: 'array', items: { $ref: '#' }, minItems: 2 }] }, 'at # is matched by no finite'],
    [
      {
        properties: { a: { $ref: '#/$defs/b' } },
        $defs: { b: { type: 'array', minItems: 1, items: { $ref: '#/$defs/b' } } },
      },
      'at #/$defs/b is matched by no finite value',
    ],
  ])('%j is refused', (schema, problem) => {
    expect(() => schemaOf(schema)).toThrow(refusal(problem));
  });

  test('others may nest 100 deep', () => {
    const nested = (depth: number, wrap: (inner: unknown) => unknown) => {
      let schema: unknown = { type: 'null' };
      for (let i = 0; i < depth; i++) schema = wrap(schema);
      return schema;
    };
    const wraps = [
      (items: unknown) => ({ type: 'array', items }),
      (one: unknown) => ({ anyOf: [one] }),
      (a: unknown) => ({ type: 'object', properties: { a } }),
      (additionalProperties: unknown) => ({ type: 'object', additionalProperties }),
    ];
    for (const wrap of wraps) {
      schemaOf(nested(100, wrap));
      expect(() => schemaOf(nested(101, wrap))).toThrow(refusal('nests deeper than 100'));
    }
  });
});
