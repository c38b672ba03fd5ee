// Generations of a model with nearly random output, each with a format: every complete text matches, and formats that
// are not supported are refused.
import { describe, expect, test } from 'vitest';
import { bundledModelPath } from '../support/models/bundled-model.js';
import { expectRejection } from '../support/rejections.js';
import { sharedEngines } from '../support/running/engines.js';
import { generate } from '../support/running/generations.js';

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
