// JSON schemas: no text that a schema's constraint allows is invalid under the schema, checked against an independent
// validator with random schemas; and what is supported is not refused.
import { describe, expect, test } from 'vitest';
import type { Automaton } from '../../src/constraint/automaton.js';
import { compileFormat } from '../../src/constraint/compile/job.js';
import { isValid } from './schema-oracle.js';
import { automatonOf, randomFrom, randomText } from './schema-texts.js';

function accepts(automaton: Automaton, text: string): boolean {
  let state = automaton.stateOf(automaton.startTerm);
  for (const byte of Buffer.from(text)) state = automaton.table(state)[byte] as number;
  return automaton.termOf(state)?.nullable === true;
}

/** A random schema. */
function randomSchema(random: () => number, depth = 0): unknown {
  const one = <T>(...all: readonly T[]): T => all[Math.floor(random() * all.length)] as T;
  const some = () => random() < 0.35;
  const inner = () => randomSchema(random, depth + 1);
  if (depth > 2)
    return one<unknown>({ type: 'boolean' }, { type: 'null' }, { const: one<unknown>(1, 'a', null) }, true, {});
  const schema: Record<string, unknown> = {};
  const add = (key: string, value: unknown) => {
    if (some()) schema[key] = value;
  };
  if (random() < 0.7)
    schema.type = one<unknown>(
      'object',
      'array',
      'string',
      'integer',
      'number',
      'boolean',
      'null',
      ['string', 'null'],
      ['object', 'integer'],
    );
  const kind = String([schema.type].flat()[0] ?? one('object', 'array', 'string', 'number', 'any'));
  const names = ['a', 'b', 'ab', 'c'];
  if (kind === 'object') {
    add('properties', Object.fromEntries(names.filter(() => random() < 0.5).map((name) => [name, inner()])));
    add(
      'required',
      names.filter(() => random() < 0.3),
    );
    add('additionalProperties', one<unknown>(false, true, inner()));
    if (random() < 0.15) schema.patternProperties = { [one('^a', 'b$', '^x-[0-9]+$')]: inner() };
    if (random() < 0.1) schema.minProperties = 1;
  }
  if (kind === 'array') {
    add('items', inner());
    add('minItems', one(0, 1, 2));
    add('maxItems', one(0, 1, 3));
    if (random() < 0.1) schema.uniqueItems = true;
  }
  if (kind === 'string') {
    add('minLength', one(0, 1, 2));
    add('maxLength', one(1, 3));
    if (random() < 0.3) schema.pattern = one('^[a-c]+$', 'x', '^(a|bc)?$');
    if (random() < 0.3)
      schema.format = one('date', 'time', 'date-time', 'uuid', 'email', 'ipv4', 'ipv6', 'uri', 'hostname', 'other');
  }
  if (['integer', 'number'].includes(kind)) {
    add('minimum', one(-120, -3, 0, 0.5, 2, 99, 1234));
    add('maximum', one(-3.5, 0, 7, 10, 1000, 99_999));
    add('exclusiveMinimum', one(-10, 0, 3.5));
    add('exclusiveMaximum', one(1, 5, 100.5));
  }
  if (random() < 0.1) schema.enum = [1, 'a', 'abc', null, { a: 1 }, 2.5, [1]].filter(() => random() < 0.6);
  if (random() < 0.05) schema.const = one<unknown>('a', 5, null);
  if (random() < 0.12) schema.allOf = [inner(), inner()];
  if (random() < 0.1) schema.anyOf = [inner(), inner()];
  if (random() < 0.12) schema.oneOf = [inner(), inner()];
  if (random() < 0.05) schema.not = inner();
  add('title', 'a title');
  add('x-vendor', { any: 'thing' });
  return schema;
}

test('no text that a constraint allows is invalid under its schema', { timeout: 60_000 }, () => {
  let taken = 0;
  let checked = 0;
  for (let seed = 1; seed <= 600; seed++) {
    const random = randomFrom(seed);
    const schema = randomSchema(random);
    let automaton: Automaton;
    try {
      automaton = automatonOf(schema);
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_FORMAT' });
      continue;
    }
    taken += 1;
    for (let i = 0; i < 6; i++) {
      const text = randomText(automaton, random);
      if (text === undefined) continue;
      checked += 1;
      expect({ schema, text, valid: isValid(JSON.parse(text), schema, schema) }).toMatchObject({ valid: true });
    }
  }
  expect(taken).toBeGreaterThan(270);
  expect(checked).toBeGreaterThan(1000);
});

const person = { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] };

describe('takes', () => {
  test.each<[string, unknown, string[], string[]]>([
    [
      'annotations',
      {
        type: 'string',
        $id: 'x',
        $comment: 'c',
        title: 't',
        deprecated: true,
        readOnly: true,
        examples: [1],
        default: 2,
        format: 'password',
        'x-y': 1,
      },
      ['"a"'],
      ['1'],
    ],
    ['properties without a type', { properties: { a: { type: 'null' } } }, ['{"a":null}', '{}'], ['1']],
    ['an array without items', { type: 'array' }, ['[1,"a",{}]', '[]'], ['1']],
    [
      'an empty schema, and true',
      { type: 'object', properties: { a: {}, b: true } },
      ['{"a":[1],"b":{"x":2}}'],
      ['[]'],
    ],
    ['an object of anything', { type: 'object' }, ['{}', '{"x":[1]}'], ['[]']],
    ['an encoded reference', { $ref: '#/$defs/a%20b', $defs: { 'a b': { type: 'null' } } }, ['null'], ['1']],
    [
      'a reference by the own $id',
      { $id: 'http://x/y', $ref: 'http://x/y#/$defs/a', $defs: { a: { type: 'null' } } },
      ['null'],
      ['1'],
    ],
    [
      'allOf',
      { allOf: [person, { properties: { age: { type: 'integer' } }, required: ['age'] }] },
      ['{"name":"a","age":3}'],
      ['{"name":"a"}'],
    ],
    [
      'keywords beside a reference',
      { $ref: '#/$defs/n', minimum: 3, $defs: { n: { type: 'integer', maximum: 5 } } },
      ['3', '5'],
      ['2', '6'],
    ],
    [
      'oneOf by a const',
      {
        oneOf: [
          { properties: { k: { const: 'a' }, v: { type: 'null' } }, required: ['k'], type: 'object' },
          { properties: { k: { const: 'b' } }, required: ['k'], type: 'object' },
        ],
      },
      ['{"k":"a","v":null}', '{"k":"b"}'],
      ['{"k":"c"}'],
    ],
    [
      'oneOf by type',
      { oneOf: [{ type: 'string' }, { type: 'integer' }, { type: 'null' }] },
      ['"a"', '1', 'null'],
      ['true'],
    ],
    [
      'oneOf by what is required',
      {
        oneOf: [
          { type: 'object', properties: { a: {} }, required: ['a'], additionalProperties: false },
          { type: 'object', properties: { b: {} }, required: ['b'], additionalProperties: false },
        ],
      },
      ['{"a":1}', '{"b":1}'],
      ['{}'],
    ],
    [
      'bounds of integers',
      { type: 'integer', minimum: -12, exclusiveMaximum: 105 },
      ['-12', '-9', '0', '99', '104'],
      ['-13', '105', '00', '-0', '1.0'],
    ],
    ['bounds of numbers', { type: 'number', minimum: 0, maximum: 1 }, ['0', '1', '0.5'], ['1.5', '-0.5']],
    [
      'additionalProperties',
      { properties: { a: { type: 'null' } }, additionalProperties: { type: 'integer' } },
      ['{"a":null,"ab":1,"":2}', '{"b":1}'],
      ['{"a":1}', '{"\\u0061":1}', '{"b":null}'],
    ],
    [
      'patternProperties',
      { type: 'object', patternProperties: { '^x-': { type: 'integer' } }, additionalProperties: false },
      ['{"x-a":1}', '{}'],
      ['{"a":1}', '{"x-a":null}'],
    ],
    ['date', { type: 'string', format: 'date' }, ['"2024-02-28"', '"2024-12-31"'], ['"2024-02-30"', '"2024-11-31"']],
    [
      'names of properties of which nothing is asked',
      { type: 'object', propertyNames: { type: 'string', title: 't' }, additionalProperties: { type: 'null' } },
      ['{"a":null}', '{}'],
      ['{"a":1}'],
    ],
    ['a required name without a property', { type: 'object', required: ['a'] }, ['{"a":5}'], ['{}']],
    ['an exclusive bound of draft 4', { type: 'integer', minimum: 3, exclusiveMinimum: true }, ['4'], ['3']],
  ])('%s', (_, schema, good, bad) => {
    const automaton = automatonOf(schema);
    for (const text of good) expect({ text, taken: accepts(automaton, text) }).toEqual({ text, taken: true });
    for (const text of bad) expect({ text, taken: accepts(automaton, text) }).toEqual({ text, taken: false });
  });
});

describe('refuses, and says what', () => {
  test.each<[unknown, string]>([
    [{ not: {} }, '# uses not, which is not supported'],
    [{ type: 'object', propertyNames: { minLength: 2 } }, '# uses propertyNames, which is not supported'],
    [{ type: 'object', propertyNames: { type: 'integer' } }, '# uses propertyNames, which is not supported'],
    [{ type: 'object', propertyNames: false }, '# uses propertyNames, which is not supported'],
    [{ type: 'string', pattern: 'a', minLength: 2 }, 'uses pattern together with minLength or maxLength'],
    [{ oneOf: [{ type: 'integer' }, { type: 'number' }] }, 'branches 0 and 1 may match the same value'],
    [{ type: 'array', items: {}, uniqueItems: true }, 'uses uniqueItems'],
    [{ type: 'number', multipleOf: 0.5 }, 'uses multipleOf'],
    [{ type: 'strin' }, 'has the unknown type strin'],
    [{ $ref: '#/$defs/x' }, 'refers to #/$defs/x, which does not exist'],
    [{ $ref: 'other.json' }, 'which is not within the schema'],
    [{ type: 'object', properties: { a: false }, required: ['a'] }, 'requires a, for which no value is valid'],
    [{ properties: { a: { $ref: '#' } }, required: ['a'] }, 'no finite value'],
    [{ properties: 5 }, 'must have an object as properties'],
    [5, 'is neither an object nor a boolean'],
  ])('%j', (schema, message) => {
    expect(() => automatonOf(schema)).toThrow(message);
  });

  test('a format that no text matches', () => {
    expect(() =>
      compileFormat({ kind: 'format', json: '{"jsonSchema":{"type":"integer","minimum":3,"maximum":2}}' }),
    ).toThrow(/no (text|finite value)/);
  });
});
