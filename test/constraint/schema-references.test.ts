// References of JSON schemas: where they lead, and what is refused. By all the texts that a schema takes.
import { describe, expect, test } from 'vitest';
import { allTexts, schemaOf, takenOf } from '../support/constraint-texts.js';

const one = (value: unknown) => ({ const: value });
const object = (properties: object, ...required: string[]) => ({ type: 'object', properties, required });
const refusal = (problem: string) =>
  expect.objectContaining({ code: 'ERR_FORMAT', message: expect.stringContaining(problem) });

describe('a reference', () => {
  const x = one('x');
  test.each<[string, object, string[]]>([
    ['to a definition', { $ref: '#/$defs/x', $defs: { x } }, ['"x"']],
    ['with an annotation', { $ref: '#/$defs/x', title: 't', $defs: { x } }, ['"x"']],
    ['with encoded characters', { $ref: '#/$defs/a%20b', $defs: { 'a b': x } }, ['"x"']],
    ['with escaped characters', { $ref: '#/$defs/~0~1~01', $defs: { '~/~1': x } }, ['"x"']],
    ['into a list', { $ref: '#/anyOf/1', anyOf: [one('y'), x], $defs: { x } }, ['"x"']],
    ['to a reference', { $ref: '#/$defs/y', $defs: { y: { $ref: '#/$defs/x' }, x } }, ['"x"']],
    ['with keywords', { $ref: '#/$defs/x', enum: ['x', 'y'], $defs: { x: { enum: ['x', 'z'] } } }, ['"x"']],
    ['with a combination', { $ref: '#/$defs/x', allOf: [{ enum: ['y', 'x'] }], $defs: { x } }, ['"x"']],
    [
      'with a keyword and an annotation',
      { $ref: '#/$defs/x', maximum: 1, title: 't', $defs: { x: { enum: [1, 2] } } },
      ['1'],
    ],
    ['by the own $id', { $id: 'http://x/y#', $ref: 'http://x/y#/$defs/x', $defs: { x } }, ['"x"']],
  ])('%s', (_, schema, texts) => {
    expect(allTexts(schemaOf(schema))).toEqual(texts);
  });

  test('of a schema to itself stays one, with annotations and without', () => {
    const list = { type: 'array', maxItems: 1, items: { $ref: '#/$defs/list', title: 'inner' } };
    const schema = schemaOf({ $ref: '#/$defs/list', $defs: { list } });
    expect(takenOf(schema, ['[]', '[[[[]]]]', '[[]', '1'])).toEqual(['[]', '[[[[]]]]']);
    const tree = schemaOf(object({ next: { anyOf: [{ $ref: '#' }, { type: 'null' }] } }, 'next'));
    expect(takenOf(tree, ['{"next":{"next":null}}', '{"next":{}}'])).toEqual(['{"next":{"next":null}}']);
  });

  describe('leads into the innermost schema with an $id, or from the root', () => {
    const $defs = { x: one('outside'), y: one('outside') };
    const inner = { $defs: { x: one('inside') }, type: 'array', minItems: 1, maxItems: 1 };
    const taken = (schema: object) => allTexts(schemaOf({ $id: 'outer', $defs, anyOf: [schema] }))[0];
    const items = (reference: string) => ({ items: { $ref: reference } });

    test.each([
      ['#/$defs/x', '["inside"]'],
      ['inner#/$defs/x', '["inside"]'],
      ['outer#/$defs/x', '["outside"]'],
      ['#/$defs/y', '["outside"]'],
    ])('%s', (reference, text) => {
      expect(taken({ ...inner, $id: 'inner', ...items(reference) })).toBe(text);
    });

    test.each([['#fragment'], [''], [{ type: 'string' }], [undefined]])('the $id %j is none', ($id) => {
      expect(taken({ ...inner, $id, ...items('#/$defs/x') })).toBe('["outside"]');
    });

    test('a property of this name is no $id', () => {
      const properties = { $id: one(1), a: { $ref: '#/$defs/x' } };
      expect(taken({ type: 'object', properties, required: ['$id', 'a'] })).toBe('{"$id":1,"a":"outside"}');
    });

    test('also where what it asks is merged into a schema elsewhere', () => {
      const document = { $id: 'inner', $defs: { x: one('inside') }, ...object({ a: { $ref: '#/$defs/x' } }, 'a') };
      const all = { x: one('outside'), document };
      for (const schema of [
        { $ref: '#/$defs/document', minProperties: 1 },
        { allOf: [{ $ref: '#/$defs/document' }, object({ a: true })] },
        { allOf: [{ type: 'object' }, { anyOf: [{ $ref: '#/$defs/document' }], minProperties: 1 }] },
      ]) {
        expect(allTexts(schemaOf({ $id: 'outer', $defs: all, ...schema }))).toEqual(['{"a":"inside"}']);
      }
      const patterned = {
        $id: 'inner',
        $defs: { x: one('inside') },
        patternProperties: { '^~/$': { $ref: '#/$defs/x' } },
      };
      const schema = { $id: 'outer', $defs: { x: one('outside') }, allOf: [{ ...patterned, type: 'object' }] };
      expect(takenOf(schemaOf(schema), ['{"~/":"inside"}', '{"~/":"outside"}'])).toEqual(['{"~/":"inside"}']);
    });

    test('of several, into the innermost', () => {
      const deepest = { ...inner, $defs: { x: one('deepest') }, $id: 'deepest', ...items('#/$defs/x') };
      expect(taken({ ...inner, $id: 'inner', items: deepest })).toBe('[["deepest"]]');
      expect(taken({ ...inner, $id: 'inner', items: { ...deepest, $defs: {} } })).toBe('[["inside"]]');
    });
  });

  test.each<[unknown, string]>([
    [{ $ref: 5 }, '# has a $ref that is no text'],
    [{ $ref: '#/$defs/x' }, 'refers to #/$defs/x, which does not exist'],
    [{ $ref: '#/$defs/x', $defs: {} }, 'refers to #/$defs/x, which does not exist'],
    [{ $ref: '#/$defs/x', minimum: 1, $defs: {} }, 'refers to #/$defs/x, which does not exist'],
    [{ $ref: '#/title/0', title: 'abc' }, 'which does not exist'],
    [{ $ref: '#/default/x', default: null }, 'which does not exist'],
    [{ $ref: '#/__proto__' }, 'which does not exist'],
    [{ $ref: '#/anyOf/-1', anyOf: [{}] }, 'which does not exist'],
    [{ $ref: '#/default', default: 5 }, 'is neither an object nor a boolean'],
    [{ $ref: '#x', $anchor: 'x' }, 'refers to #x, which is not within the schema'],
    [{ $ref: 'other.json' }, 'refers to other.json, which is not within the schema'],
    [{ $id: 'a', $ref: 'b#/$defs/x', $defs: { x: {} } }, 'which is not within the schema'],
    [{ $id: 'a', $ref: 'a#x' }, 'which is not within the schema'],
    [{ $ref: '#/%' }, 'refers to #/%, which is not encoded correctly'],
    [{ $ref: '#' }, 'is matched by no finite value'],
    [{ $ref: '#', minimum: 1 }, 'nests deeper than 100'],
  ])('%j is refused', (schema, problem) => {
    expect(() => schemaOf(schema)).toThrow(refusal(problem));
  });
});
