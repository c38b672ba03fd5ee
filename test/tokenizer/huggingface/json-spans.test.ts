// Documents parsed except for large parts, and these parts walked value by value: with the results of JSON.parse, or
// refused.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TimeSlice } from '../../../src/base/time-slice.js';
import { ByteList } from '../../../src/tokenizer/byte-list.js';
import { type JsonSpan, JsonWalker, parseAround } from '../../../src/tokenizer/huggingface/json-spans.js';

const paths = ['model.vocab', 'list'];
const around = (text: string) => parseAround(Buffer.from(text), 'a.json', paths, new TimeSlice());
const textOf = ({ bytes, start, end }: JsonSpan) => Buffer.from(bytes.subarray(start, end)).toString();
const spanOf = (text: string): JsonSpan => ({
  bytes: Buffer.from(text),
  start: 0,
  end: Buffer.byteLength(text),
  place: 'a',
});
const refusal = expect.objectContaining({ code: 'ERR_MODEL_FILE' });

const key = fc.oneof(fc.constantFrom('model', 'vocab', 'list', 'other'), fc.string({ unit: 'binary', maxLength: 4 }));
const value = fc.jsonValue({ maxDepth: 3 });
const dictionary = fc.dictionary(key, fc.oneof(value, fc.dictionary(key, value)), { maxKeys: 6 });

/** Oracle: removes the parts from a parsed document. */
function expected(root: Record<string, unknown>) {
  const parts = new Map<string, unknown>();
  const isLarge = (part: unknown) => typeof part === 'object' && part !== null;
  const { model } = root;
  if (isLarge(root.list)) {
    parts.set('list', root.list);
    root.list = null;
  }
  if (isLarge(model) && !Array.isArray(model)) {
    const inner = model as Record<string, unknown>;
    if (isLarge(inner.vocab)) {
      parts.set('model.vocab', inner.vocab);
      inner.vocab = null;
    }
  }
  return { root, parts };
}

test('the parts and the rest are those of the document', async () => {
  await fc.assert(
    fc.asyncProperty(dictionary, fc.constantFrom(0, 1, '\t'), async (root, indent) => {
      // Through bytes and back: UTF-8 has no lone surrogates.
      const text = Buffer.from(JSON.stringify(root, undefined, indent)).toString();
      const { root: rest, spans } = await around(text);
      const wanted = expected(JSON.parse(text));
      expect(rest.value).toEqual(wanted.root);
      expect(new Map([...spans].map(([path, span]) => [path, JSON.parse(textOf(span))]))).toEqual(wanted.parts);
    }),
    { numRuns: 500 },
  );
});

test.each(['', '{', '{"list":[1', '{"list":[1]]}', '[}', '{"a":"', '{"model":{"vocab":{}', '"\\', '{"list":[1}'])(
  'invalid JSON is refused: %s',
  async (text) => {
    await expect(around(text)).rejects.toEqual(refusal);
  },
);

test('invalid UTF-8 is refused', async () => {
  await expect(parseAround(Buffer.from([0x22, 0xff, 0x22]), 'a.json', paths, new TimeSlice())).rejects.toEqual(refusal);
});

describe('a walker', () => {
  /** The entries of a vocabulary, read by a walker. */
  function walk(text: string): [string, number][] {
    const walker = new JsonWalker(spanOf(text));
    const entries: [string, number][] = [];
    walker.open('{');
    while (walker.next()) {
      const bytes = new ByteList(1);
      walker.string(bytes);
      walker.colon();
      entries.push([Buffer.from(bytes.bytes.subarray(0, bytes.length)).toString(), walker.number()]);
    }
    return entries;
  }

  test('reads strings and numbers like JSON.parse', () => {
    const number = fc.oneof(fc.nat(), fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }));
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: 'binary' }), number), fc.constantFrom(0, 2), (root, indent) => {
        const text = JSON.stringify(root, undefined, indent);
        const wanted = Object.entries(JSON.parse(text) as Record<string, number>);
        expect(new Map(walk(text))).toEqual(new Map(wanted));
      }),
      { numRuns: 500 },
    );
  });

  test('reads escapes', () => {
    expect(walk('{"\\u0041\\n\\"\\\\":0, "é\\ud83d\\ude00" : 1e2}')).toEqual([
      ['A\n"\\', 0],
      ['é😀', 100],
    ]);
  });

  test.each([
    '[]',
    '{"a"}',
    '{"a":}',
    '{"a":1',
    '{"a":1]',
    '{"a":1,}',
    '{,"a":1}',
    '{"a":1 "b":2}',
    '{"a":01}',
    '{"a":-}',
    '{"a":1.}',
    '{"a":"1"}',
    '{"a":null}',
    '{1:1}',
    '{"\\x":1}',
    '{"a\n":1}',
    '{"a',
  ])('refuses %s', (text) => {
    expect(() => walk(text)).toThrow(refusal);
  });
});
