// Generations of a model with nearly random output, each with a format: every complete text matches, and formats that
// are not supported are refused.
import { describe, expect, test } from 'vitest';
import type { ErrorCode } from '../../src/base/errors.js';
import { ConstraintState } from '../../src/constraint/constraint.js';
import { ConstraintCompiler } from '../../src/constraint/constraint-compiler.js';
import type { Format, TagsFormat } from '../../src/constraint/format.js';
import { bundledModelPath } from '../support/models/bundled-model.js';
import { expectRejection } from '../support/rejections.js';
import { sharedEngines } from '../support/running/engines.js';
import { generate } from '../support/running/generations.js';
import { smallTokenizer } from '../support/tokenizers/small-tokenizer.js';

const engines = sharedEngines();
const bundled = async () => (await engines({ threads: 2 })).loadModel(bundledModelPath);

describe('a regular expression', () => {
  test.each([
    '[0-9]{4}-[0-9]{2}',
    '(yes|no|maybe)( indeed)?',
    '^[α-ω€😀]{2,5}$',
    '[^a-z]{3}x+?',
    '(\\w+ ){2}\\d',
    '"(\\\\.|[^"\\\\]){1,20}"',
  ])('%s holds', async (regex) => {
    using model = await bundled();
    for (let seed = 0; seed < 3; seed++) {
      const options = { temperature: 2, seed, maxTokens: 80, format: { regex } };
      const { text, stopReason, formatComplete } = await generate(model, 'Once', options);
      const matches = new RegExp(`^(?:${regex})$`, 'u').test(text);
      expect(formatComplete).toBe(matches);
      if (stopReason === 'eos') expect(matches).toBe(true);
    }
  });

  test.each([
    ['(?=a)', /lookaround/],
    ['(a)\\1', /backreferences/],
    ['\\bx', /word boundaries/],
    ['\\p{L}', /\\p/],
    ['(a', /without its \)/],
    ['a**', /quantifier/],
    ['[b-a]', /out of order/],
    ['a$b', /not at the end/],
    ['[]', /no text matches/],
  ])('%s is refused', async (regex, message) => {
    using model = await bundled();
    await expectRejection(model.generate('Once', { format: { regex } }).next(), 'ERR_FORMAT', message);
  });
});

test('JSON parses whenever it is complete', async () => {
  using model = await bundled();
  let complete = 0;
  for (let seed = 0; seed < 12; seed++) {
    const result = await generate(model, 'Once', { temperature: 2, seed, maxTokens: 60, format: { json: true } });
    if (result.stopReason === 'eos') expect(result.formatComplete).toBe(true);
    if (result.formatComplete !== true) continue;
    complete += 1;
    JSON.parse(result.text);
  }
  expect(complete).toBeGreaterThan(0);
});

test('options that exclude each other are refused', async () => {
  using model = await bundled();
  for (const options of [
    { format: { regex: 'a' }, stop: ['b'] },
    { format: { regex: 'a' }, ignoreEos: true },
    { format: { tags: [], triggers: [] }, ignoreEos: true },
    { format: 'json' },
  ]) {
    await expectRejection(model.generate('Once', options as never).next(), 'ERR_ARGUMENT', /format/);
  }
});

test('a JSON schema holds, and unsupported keywords are refused by name', async () => {
  using model = await bundled();
  const jsonSchema = {
    type: 'object',
    properties: {
      kind: { enum: ['whale', 'ship'] },
      name: { type: 'string', minLength: 2, maxLength: 5 },
      code: { type: 'string', pattern: '^[A-Z]{3}$' },
      sizes: { type: 'array', items: { type: 'boolean' }, minItems: 1, maxItems: 3 },
      next: { anyOf: [{ type: 'null' }, { $ref: '#/$defs/leaf' }] },
    },
    required: ['kind', 'code', 'sizes', 'next'],
    $defs: { leaf: { type: 'array', items: { $ref: '#/$defs/leaf' }, maxItems: 1 } },
  };
  for (let seed = 0; seed < 10; seed++) {
    const options = { temperature: 2, seed, maxTokens: 200, format: { jsonSchema } };
    const { text, formatComplete } = await generate(model, 'Once', options);
    if (formatComplete !== true) continue;
    const value = JSON.parse(text);
    expect(['whale', 'ship']).toContain(value.kind);
    expect(value.code).toMatch(/^[A-Z]{3}$/);
    if ('name' in value) expect([...value.name].length).toSatisfy((length: number) => length >= 2 && length <= 5);
    expect(value.sizes.length).toSatisfy((length: number) => length >= 1 && length <= 3);
    expect(Array.isArray(value.next) || value.next === null).toBe(true);
  }
  const self = { type: 'object', properties: { a: { $ref: '#' } }, required: ['a'] };
  for (const [schema, message] of [
    [{ type: 'string', not: { const: 'a' } }, /uses not/],
    [{ type: 'integer', multipleOf: 3 }, /uses multipleOf/],
    [{ oneOf: [] }, /non-empty list as oneOf/],
    [self, /no finite value/],
    [{ $ref: '#/$defs/x' }, /not exist/],
  ] as const) {
    const format = { jsonSchema: schema };
    await expectRejection(model.generate('Once', { format }).next(), 'ERR_FORMAT', message);
  }
});

test('references lead into the innermost schema with an $id, or from the root', async () => {
  using model = await bundled();
  const inner = {
    $id: 'inner',
    type: 'array',
    minItems: 1,
    maxItems: 1,
    $defs: { x: { const: 'inside' }, 'a/b%': { const: 2 } },
  };
  const within = (reference: string) => ({
    jsonSchema: { $id: 'outer', $defs, anyOf: [{ ...inner, items: { $ref: reference } }] },
  });
  const $defs = { x: { const: 'outside' }, y: { const: 1 } };
  for (const [reference, text] of [
    ['#/$defs/x', '["inside"]'],
    ['inner#/$defs/x', '["inside"]'],
    ['outer#/$defs/x', '["outside"]'],
    ['#/$defs/y', '[1]'],
    ['#/$defs/a~1b%25', '[2]'],
  ] as const) {
    const result = await generate(model, 'Once', { maxTokens: 30, format: within(reference) });
    expect({ reference, text: result.text }).toEqual({ reference, text });
  }
  for (const reference of ['#/$defs/z', 'elsewhere#/x', '#/%']) {
    await expectRejection(model.generate('Once', { format: within(reference) }).next(), 'ERR_FORMAT', /refers to/);
  }
});

describe('tags in free text', () => {
  const schema = { enum: ['Oslo', 'Rome', 7] };
  const value = '("Oslo"|"Rome"|7)';
  const triggers = ['e', ' t'];
  const given: [string, TagsFormat, string][] = [
    ['that go on', { tags: [{ begin: 'e', jsonSchema: schema, end: '.' }], triggers }, `(?:e${value}\\.|(?! t)[^e])*`],
    ['that end the text', { tags: [{ begin: 'e<', jsonSchema: schema }], triggers: ['e'] }, `[^e]*(?:e<${value})?`],
    [
      'of several beginnings',
      { tags: tagsOf('e', 'e:', ' the'), triggers },
      `(?:e:?${value}| the${value}|(?! t)[^e])*`,
    ],
    ['none: a trigger is never written', { tags: [], triggers }, '(?:(?! t)[^e])*'],
  ];

  function tagsOf(...beginnings: string[]) {
    return beginnings.map((begin) => ({ begin, jsonSchema: schema, end: '' }));
  }

  test.each(given)('%s', async (_name, format, regex) => {
    using model = await bundled();
    let tags = 0;
    for (let seed = 0; seed < 6; seed++) {
      const result = await generate(model, 'Once', { temperature: 1, seed, maxTokens: 60, format });
      if (result.formatComplete) expect(result.text).toMatch(new RegExp(`^${regex}$`, 'su'));
      tags += [...result.text.matchAll(new RegExp(value, 'g'))].length;
    }
    expect(tags > 0).toBe(format.tags.length > 0);
  });

  test('an opening is one only where the text begins', async () => {
    using model = await bundled();
    const format = { tags: [{ begin: '', jsonSchema: { enum: ['a', 'b'] } }], triggers: [], opening: '"' };
    const quote = model.tokenizer.encode('"').at(-1) as number;
    const options = { temperature: 1, seed: 1, maxTokens: 20, format };
    const forced = await generate(model, 'Once', { ...options, logitBias: { [quote]: 100 } });
    expect(forced).toMatchObject({ text: expect.stringMatching(/^"[ab]"$/), stopReason: 'eos' });
    for (let seed = 0; seed < 8; seed++) {
      const { text, formatComplete } = await generate(model, 'Once', { ...options, seed });
      if (formatComplete && text.startsWith('"')) expect(text).toMatch(/^"[ab]"$/);
    }
  });

  test('a stop sequence ends the free text', async () => {
    using model = await bundled();
    const format = { tags: [{ begin: 'e', jsonSchema: schema, end: '.' }], triggers: ['e'] };
    const options = { temperature: 1, seed: 2, maxTokens: 60, format };
    const { text } = await generate(model, 'Once', options);
    const stop = text.slice(4, 7);
    const stopped = await generate(model, 'Once', { ...options, stop: [stop] });
    expect(stopped).toMatchObject({ text: text.split(stop)[0], stopReason: 'stop' });
  });

  test('a trigger may be a control token, and only free text has others', async () => {
    const tokenizer = await smallTokenizer(
      [],
      [
        { text: '<|begin|>', type: 3 },
        { text: '<|other|>', type: 3 },
        { text: '<|end|>', type: 3 },
      ],
      { 'tokenizer.ggml.eos_token_id': { type: 'u32', value: 258 } },
    );
    const [call, other, end] = [256, 257, 258];
    const compiler = new ConstraintCompiler(tokenizer, tokenizer.vocabularySize, 5000);
    const allowedAfter = async (format: Format, ids: readonly number[]) => {
      const state = new ConstraintState(await compiler.compile(format, undefined));
      for (const id of ids) state.accept(id);
      const mask = await state.mask(undefined);
      return [call, other, end].filter((id) => ((mask[id >>> 5] as number) >>> (id & 31)) & 1);
    };
    const text = (value: string) => tokenizer.encode(value);
    const tags = [{ begin: '<|begin|>', jsonSchema: { type: 'string' } as const, end: '' }];
    const format = { tags, triggers: ['<|begin|>'] };
    expect(await allowedAfter(format, [])).toEqual([call, other, end]);
    expect(await allowedAfter(format, [...text('a'), other])).toEqual([call, other, end]);
    for (const begun of [[call], [...'<|begin|>'].flatMap(text)]) {
      expect(await allowedAfter(format, begun)).toEqual([]);
      expect(await allowedAfter(format, [...begun, ...text('"a')])).toEqual([]);
      expect(await allowedAfter(format, [...begun, ...text('"a"')])).toEqual([call, other, end]);
    }
    expect(await allowedAfter({ tags: [], triggers: ['<|begin|>'] }, [])).toEqual([other, end]);
    expect(await allowedAfter({ json: true }, text('"a'))).toEqual([]);
  });

  const refused: [object, ErrorCode, RegExp][] = [
    [{ tags: [], triggers: ['a', 'ba'] }, 'ERR_FORMAT', /part of another/],
    [{ tags: [], triggers: ['a'], opening: 'ba' }, 'ERR_FORMAT', /opening/],
    [{ tags: [], triggers: ['x'.repeat(5000)] }, 'ERR_FORMAT', /too long/],
    [{ tags: [], triggers: [''] }, 'ERR_ARGUMENT', /triggers/],
    [{ tags: [{ begin: 5 }], triggers: [] }, 'ERR_ARGUMENT', /begin/],
    [{ tags: [{ begin: 'a', jsonSchema: {}, ends: '' }], triggers: [] }, 'ERR_ARGUMENT', /ends/],
  ];
  test.each(refused)('%j is refused', async (format, code, message) => {
    using model = await bundled();
    await expectRejection(() => model.generate('Once', { format: format as TagsFormat }).result, code, message);
  });
});
