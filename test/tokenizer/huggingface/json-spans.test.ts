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

test('a part is found by a key of at most 62 bytes, at the first two depths alone, and named in messages', async () => {
  const keys = ['k'.repeat(62), 'k'.repeat(63)];
  const text = JSON.stringify({
    [keys[0] as string]: [1],
    [keys[1] as string]: [2],
    deep: { list: [3], er: { list: [4] } },
  });
  const given = [...keys, 'list', 'deep.list', 'deep.er'];
  const { spans } = await parseAround(Buffer.from(text), 'a.json', given, new TimeSlice());
  expect([...spans.keys()]).toEqual([keys[0], 'deep.list', 'deep.er']);
  expect(spans.get('deep.list')?.place).toBe('a.json: deep: list');
  // A list has no keys: what is in it is not taken for an entry of the object before it.
  const { spans: inList } = await around('{"model":{"x":1},"other":["model",{"vocab":[1]}],"model2":[{"vocab":{}}]}');
  expect(inList.size).toBe(0);
});

test('a document may have 16 MiB beside its parts', async () => {
  const document = (bytes: number) => `{"list":[${'1,'.repeat(100)}1],"a":"${'x'.repeat(bytes - 20)}"}`;
  const { root } = await around(document(16 << 20));
  expect(Buffer.byteLength(JSON.stringify(root.value))).toBe(16 << 20);
  const error = {
    code: 'ERR_MODEL_FILE',
    message: `a.json: has ${(16 << 20) + 1} bytes besides its vocabulary, more than ${16 << 20}`,
  };
  await expect(around(document((16 << 20) + 1))).rejects.toMatchObject(error);
});

test('a long document is looked through in slices', async () => {
  const bytes = Buffer.from(`{"list":[${'1,'.repeat(50_000)}1]}`);
  let [looks, yields] = [0, 0];
  const timeSlice = { isOver: () => looks++ % 2 === 0, yield: async () => void yields++ } as unknown as TimeSlice;
  const { spans } = await parseAround(bytes, 'a.json', paths, timeSlice);
  expect([spans.size, looks, yields]).toEqual([1, 3, 2]);
  const reason = new Error('enough');
  const controller = new AbortController();
  const aborted = new TimeSlice(controller.signal, 0);
  controller.abort(reason);
  await expect(parseAround(bytes, 'a.json', paths, aborted)).rejects.toMatchObject({
    code: 'ABORT_ERR',
    cause: reason,
  });
});

test('invalid JSON and UTF-8 are named, with the reason of the parser', async () => {
  const message = 'a.json: is not valid JSON';
  await expect(around('{')).rejects.toMatchObject({ message, cause: expect.any(SyntaxError) });
  const invalid = parseAround(Buffer.from([0xff]), 'a.json', paths, new TimeSlice());
  await expect(invalid).rejects.toMatchObject({ message });
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

  test('reads lists and objects within each other, up to the end of its part', () => {
    const text = 'xx[ [ "a" , {} ] , 7 , {"b":[ ]}, [] ]9]';
    const walker = new JsonWalker({ ...spanOf(text), start: 2, end: text.length - 2 });
    const bytes = new ByteList(1);
    walker.open('[');
    expect([walker.next(), walker.isAtList]).toEqual([true, true]);
    walker.open('[');
    expect([walker.next(), walker.isAtList]).toEqual([true, false]);
    walker.string(bytes);
    expect(walker.next()).toBe(true);
    walker.open('{');
    expect([walker.next(), walker.next()]).toEqual([false, false]);
    expect([walker.next(), walker.number(), walker.next()]).toEqual([true, 7, true]);
    walker.open('{');
    expect(walker.next()).toBe(true);
    walker.string(bytes);
    walker.colon();
    walker.open('[');
    expect([walker.next(), walker.next(), walker.next()]).toEqual([false, false, true]);
    walker.open('[');
    expect([walker.next(), walker.next()]).toEqual([false, false]);
    expect(Buffer.from(bytes.bytes.subarray(0, bytes.length)).toString()).toBe('ab');
    expect(() => walker.number()).toThrow(refusal);
  });

  test.each([
    '0',
    '7',
    '123456789012345',
    '1234567890123456',
    '90071992547409931234',
    '91253604931701007',
    '922541613464501350',
    '1.5e-3',
  ])(
    'reads the number %s as JSON.parse does, and refuses it where its part ends within a string or an object',
    (number) => {
      for (const blank of ['', ' ', '\n', '\r', '\t'])
        expect(walk(`{"a":${number}${blank}}`)).toEqual([['a', Number(number)]]);
      const text = `[${number},${number}]`;
      const walker = new JsonWalker(spanOf(text));
      walker.open('[');
      expect([walker.next(), walker.number(), walker.next(), walker.number(), walker.next()]).toEqual([
        true,
        Number(number),
        true,
        Number(number),
        false,
      ]);
    },
  );

  test('says what is wrong, and where', () => {
    const messageOf = (text: string) => {
      try {
        walk(text);
      } catch (error) {
        return (error as Error).message;
      }
      return undefined;
    };
    expect(messageOf('[]')).toBe('a: must be an object');
    expect(() => new JsonWalker(spanOf('{}')).open('[')).toThrow('a: must be a list');
    expect(messageOf('{"a":1 "b":2}')).toBe('a: has no comma between two entries');
    expect(messageOf('{"a"}')).toBe('a: has a key without a value');
    expect(messageOf('{1:1}')).toBe('a: has a token that is not a string');
    expect(messageOf('{"a":"1"}')).toBe('a: has a value that is not valid JSON');
    const cut = { ...spanOf('["abc"]'), end: 4 };
    const walker = new JsonWalker(cut);
    walker.open('[');
    walker.next();
    expect(() => walker.string(new ByteList(1))).toThrow('a: ends within a string');
  });

  test('wants a comma behind a list in a list, too', () => {
    const walker = new JsonWalker(spanOf('[[] []]'));
    walker.open('[');
    walker.next();
    walker.open('[');
    expect(walker.next()).toBe(false);
    expect(() => walker.next()).toThrow('a: has no comma between two entries');
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
