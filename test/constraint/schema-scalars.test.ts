// Texts and numbers of JSON schemas: their bounds, lengths, patterns and formats.
import { describe, expect, test } from 'vitest';
import { allTexts, schemaOf, takenOf } from '../support/constraint-texts.js';

const refusal = (problem: string) =>
  expect.objectContaining({ code: 'ERR_FORMAT', message: expect.stringContaining(problem) });

describe('integers', () => {
  const all = (schema: object) =>
    allTexts(schemaOf({ type: 'integer', ...schema }))
      .map(Number)
      .sort((a, b) => a - b);
  const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

  test.each<[object, number, number]>([
    [{ minimum: 3, maximum: 3 }, 3, 3],
    [{ minimum: 0, maximum: 0 }, 0, 0],
    [{ minimum: -1, maximum: 1 }, -1, 1],
    [{ minimum: -12, maximum: -9 }, -12, -9],
    [{ minimum: -105, maximum: 0 }, -105, 0],
    [{ minimum: 0, maximum: 205 }, 0, 205],
    [{ minimum: 95, maximum: 1002 }, 95, 1002],
    [{ exclusiveMinimum: 3, exclusiveMaximum: 6 }, 4, 5],
    [{ minimum: 2.5, maximum: 5.5 }, 3, 5],
    [{ exclusiveMinimum: 2.5, exclusiveMaximum: 5.5 }, 3, 5],
    [{ minimum: -2.5, maximum: -0.5 }, -2, -1],
    // The narrower one of two bounds.
    [{ minimum: 3, exclusiveMinimum: 3, maximum: 6, exclusiveMaximum: 6 }, 4, 5],
    [{ minimum: 3, exclusiveMinimum: 5, maximum: 9, exclusiveMaximum: 8 }, 6, 7],
    [{ minimum: 5, exclusiveMinimum: 3, maximum: 8, exclusiveMaximum: 20 }, 5, 8],
    // Draft 4.
    [{ minimum: 3, exclusiveMinimum: true, maximum: 6, exclusiveMaximum: true }, 4, 5],
    [{ minimum: 3, exclusiveMinimum: false, maximum: 6, exclusiveMaximum: false }, 3, 6],
    [{ minimum: 3, maximum: 4, multipleOf: 1 }, 3, 4],
  ])('%j', (schema, from, to) => {
    expect(all(schema)).toEqual(range(from, to));
  });

  test('have at most 15 digits', () => {
    const samples = [
      '999999999999999',
      '1000000000000000',
      '-999999999999999',
      '-1000000000000000',
      '0',
      '-0',
      '01',
      '1.0',
    ];
    const [most, , least, , zero] = samples;
    expect(takenOf(schemaOf({ type: 'integer' }), samples)).toEqual([most, least, zero]);
    expect(takenOf(schemaOf({ type: 'integer', minimum: 5 }), samples)).toEqual([most]);
    expect(takenOf(schemaOf({ type: 'integer', maximum: -5 }), samples)).toEqual([least]);
    expect(takenOf(schemaOf({ type: 'integer', minimum: -1e300, maximum: 1e300 }), samples)).toEqual([
      most,
      least,
      zero,
    ]);
    expect(takenOf(schemaOf({ type: 'integer', exclusiveMinimum: true, exclusiveMaximum: false }), samples)).toEqual([
      most,
      least,
      zero,
    ]);
  });

  test.each<[object, string]>([
    [{ minimum: 3, maximum: 2 }, 'is matched by no finite value'],
    [{ minimum: 3, exclusiveMaximum: 3 }, 'is matched by no finite value'],
    [{ exclusiveMinimum: 3, maximum: 3 }, 'is matched by no finite value'],
    [{ minimum: 1e20 }, 'is matched by no finite value'],
    [{ maximum: -1e20 }, 'is matched by no finite value'],
    [{ multipleOf: 2 }, 'uses multipleOf, which is not supported'],
    [{ minimum: '3' }, 'has a bound that is no number'],
    [{ exclusiveMaximum: null }, 'has a bound that is no number'],
  ])('with %j are refused', (schema, problem) => {
    expect(() => schemaOf({ type: 'integer', ...schema })).toThrow(refusal(problem));
  });
});

describe('numbers', () => {
  test.each<[object, string[], string[]]>([
    [
      {},
      ['0', '-0', '1.5', '-1.5e3', '2E+10', '1e-99', '999999999999999.123456789012345'],
      ['.5', '1.', '00', '1e100', '1000000000000000', '+1'],
    ],
    [
      { minimum: 0, maximum: 1 },
      ['0', '1', '0.5', '0.99999'],
      ['1.5', '-0.5', '1.0', '-0.0', '0.999999', '0.', '0./', '0.:', '2', '-1', '1e0'],
    ],
    [{ minimum: 3 }, ['3', '3.5', '999999999.5', '999999999999999'], ['2.5', '-3', '1000000000.5', '2']],
    [{ maximum: -3 }, ['-3', '-3.5', '-999999999.5', '-999999999999999'], ['-2.5', '3', '-1000000000.5', '-2', '0.5']],
    [{ minimum: -1.5, maximum: 1.5 }, ['-1', '0', '1', '0.5', '-0.5'], ['1.6', '-1.6', '2', '-2']],
    [{ minimum: -3, maximum: -1 }, ['-3', '-1', '-1.5', '-2.9'], ['-3.1', '-0.5', '0', '-4', '1.5']],
    [{ exclusiveMinimum: 0, exclusiveMaximum: 2 }, ['1', '1.5'], ['0', '2', '0.0', '-0.5', '2.5']],
    [{ exclusiveMinimum: -2, exclusiveMaximum: 0 }, ['-1', '-1.5'], ['0', '-2', '-2.0', '0.5', '-2.5']],
    [{ exclusiveMinimum: -1, maximum: 4 }, ['0', '4', '-0.5', '3.5'], ['-1', '-1.0', '-1.5', '4.5']],
    [
      { minimum: 2, exclusiveMinimum: 2, maximum: 4, exclusiveMaximum: 4 },
      ['3', '3.5'],
      ['2', '4', '4.0', '2.0', '4.5'],
    ],
    [
      { minimum: 1, exclusiveMinimum: true, maximum: 3, exclusiveMaximum: true },
      ['2', '2.5'],
      ['1', '3', '1.0', '3.0'],
    ],
  ])('%j', (schema, good, bad) => {
    expect(takenOf(schemaOf({ type: 'number', ...schema }), [...good, ...bad])).toEqual(good);
  });

  test.each<[object, string]>([
    [{ multipleOf: 1 }, 'uses multipleOf, which is not supported'],
    [{ multipleOf: 0.5 }, 'uses multipleOf, which is not supported'],
    [{ minimum: 3, maximum: 2 }, 'is matched by no finite value'],
    [{ minimum: 0.5, maximum: 0.75 }, 'is matched by no finite value'],
  ])('with %j are refused', (schema, problem) => {
    expect(() => schemaOf({ type: 'number', ...schema })).toThrow(refusal(problem));
  });
});

describe('texts', () => {
  test.each<[object, string[], string[]]>([
    [{}, ['""', '"a"', '"\\n\\u0041é😀"'], ['a', '"', '"\n"', '"\\x"']],
    [{ minLength: 2, maxLength: 3 }, ['"ab"', '"a😀"', '"\\u0041\\n\\""', '"abc"'], ['""', '"a"', '"😀"', '"abcd"']],
    [{ maxLength: 0 }, ['""'], ['"a"']],
    [{ pattern: '^[ab]+$' }, ['"a"', '"ba"', '"\\u0061"'], ['""', '"c"', '"ac"']],
    [{ pattern: 'b' }, ['"b"', '"abc"'], ['""', '"ac"']],
    [{ pattern: '^"$', minLength: 0 }, ['"\\""', '"\\u0022"'], ['"""', '""']],
    [{ pattern: 'a', format: 'password' }, ['"a"'], ['"b"']],
    [{ format: 'toString' }, ['"a"', '""'], ['1']],
    [{ format: 5 }, ['"a"'], ['1']],
    [{ format: ['date'] }, ['"a"'], ['1']],
  ])('%j', (schema, good, bad) => {
    expect(takenOf(schemaOf({ type: 'string', ...schema }), [...good, ...bad])).toEqual(good);
  });

  test.each<[string, string[], string[]]>([
    [
      'date',
      ['2024-02-28', '1999-12-31', '2023-04-30'],
      ['2024-02-30', '2023-04-31', '2023-13-01', '2023-00-10', '2023-01-00'],
    ],
    [
      'time',
      ['23:59:59Z', '00:00:00.123456+14:59', '12:00:00-08:00'],
      ['24:00:00Z', '12:60:00Z', '12:00:60Z', '12:00:00'],
    ],
    ['date-time', ['2024-01-31T23:59:59Z'], ['2024-01-31', '2024-01-31 23:59:59Z', '2024-02-31T23:59:59Z']],
    ['uuid', ['01234567-89ab-cdef-0123-456789abcdef'], ['01234567-89ab-cdef-0123-456789abcdeg', '0123']],
    ['email', ['a.b-c_d@example-1.org', 'a@b.co'], ['a@b', '@b.co', 'a..b@c.de', 'a@-b.co']],
    ['hostname', ['a', 'example-1.org'], ['-a', 'a-', 'a..b', '']],
    ['ipv4', ['0.0.0.0', '255.199.20.3'], ['256.0.0.0', '1.2.3', '01.2.3.4']],
    ['ipv6', ['1:2:3:4:5:6:7:8', 'abcd:ef01:2345:6789:abcd:ef01:2345:6789'], ['1:2:3:4:5:6:7', '12345:2:3:4:5:6:7:8']],
    ['uri', ['https://a.b/c/d?e=f#g', 'http://a:80/'], ['ftp://a', 'https://', 'a.b']],
  ])('of the format %s', (format, good, bad) => {
    const quoted = [...good, ...bad].map((text) => `"${text}"`);
    expect(takenOf(schemaOf({ type: 'string', format }), quoted)).toEqual(quoted.slice(0, good.length));
  });

  test.each<[string, number, number]>([
    ['date', 10, 10],
    ['time', 9, 21],
    ['date-time', 20, 32],
    ['uuid', 36, 36],
    ['ipv4', 7, 15],
    ['ipv6', 15, 39],
  ])('of the format %s have from %i to %i characters', (format, shortest, longest) => {
    const problem = refusal(`uses the format ${format} together with minLength or maxLength, which is not supported`);
    schemaOf({ type: 'string', format, minLength: shortest, maxLength: longest });
    expect(() => schemaOf({ type: 'string', format, minLength: shortest + 1 })).toThrow(problem);
    expect(() => schemaOf({ type: 'string', format, maxLength: longest - 1 })).toThrow(problem);
  });

  test.each<[object, string]>([
    [{ format: 'email', minLength: 2 }, 'uses the format email together with minLength or maxLength'],
    [{ format: 'email', maxLength: 500 }, 'uses the format email together with minLength or maxLength'],
    [{ pattern: 'a', minLength: 1 }, 'uses pattern together with minLength or maxLength'],
    [{ pattern: 'a', maxLength: 9 }, 'uses pattern together with minLength or maxLength'],
    [{ pattern: 'a', format: 'date' }, 'uses pattern together with the format date'],
    [{ pattern: '(' }, 'the regular expression /(/'],
    [{ minLength: -1 }, 'has an invalid minLength or maxLength'],
    [{ minLength: 1.5 }, 'has an invalid minLength or maxLength'],
    [{ maxLength: '5' }, 'has an invalid minLength or maxLength'],
    [{ maxLength: -1 }, 'has an invalid minLength or maxLength'],
    [{ minLength: 3, maxLength: 2 }, 'is matched by no finite value'],
  ])('with %j are refused', (schema, problem) => {
    expect(() => schemaOf({ type: 'string', ...schema })).toThrow(refusal(problem));
  });

  test('of a known format may have a minimal length of one', () => {
    for (const format of ['email', 'hostname', 'uri']) schemaOf({ type: 'string', format, minLength: 1 });
  });
});

describe('values of a choice', () => {
  const values = [1, 2, 3, 4, 5, 'a', 'bb', '😀😀😀', true, null];
  test.each<[object, unknown[]]>([
    [{ minimum: 2, maximum: 4 }, [2, 3, 4, 'a', 'bb', '😀😀😀', true, null]],
    [{ exclusiveMinimum: 2, exclusiveMaximum: 4 }, [3, 'a', 'bb', '😀😀😀', true, null]],
    [{ minimum: 2, exclusiveMinimum: true, maximum: 4, exclusiveMaximum: true }, [3, 'a', 'bb', '😀😀😀', true, null]],
    [{ minimum: 2, exclusiveMinimum: 3, maximum: 4, exclusiveMaximum: 7 }, [4, 'a', 'bb', '😀😀😀', true, null]],
    [{ minLength: 2, maxLength: 3 }, [1, 2, 3, 4, 5, 'bb', '😀😀😀', true, null]],
    [{ minLength: 1, maxLength: 2 }, [1, 2, 3, 4, 5, 'a', 'bb', true, null]],
    [{ pattern: '^.{2,3}$' }, [1, 2, 3, 4, 5, 'bb', '😀😀😀', true, null]],
  ])('are what %j allows', (schema, valid) => {
    const texts = valid.map((value) => JSON.stringify(value)).sort();
    expect(allTexts(schemaOf({ enum: values, ...schema }))).toEqual(texts);
  });

  test.each<[object, string]>([
    [{ enum: [1], multipleOf: 1 }, 'uses multipleOf beside enum or const, which is not supported'],
    [{ enum: [1], maximum: 'x' }, 'has a bound that is no number'],
    [{ enum: ['a'], minLength: 'x' }, 'has an invalid minLength or maxLength'],
  ])('%j is refused', (schema, problem) => {
    expect(() => schemaOf(schema)).toThrow(refusal(problem));
  });

  test('that are no numbers may have a multipleOf beside them', () => {
    expect(allTexts(schemaOf({ enum: ['a', null], multipleOf: 2 }))).toEqual(['"a"', 'null']);
  });
});
