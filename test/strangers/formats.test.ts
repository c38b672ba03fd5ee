// Formats from outside: large ones are compiled without blocking the event loop, within limits, and can be cancelled.
import { getEventListeners } from 'node:events';
import { performance } from 'node:perf_hooks';
import { beforeAll, describe, expect, test } from 'vitest';
import { Constraint } from '../../src/constraint/constraint.js';
import { ConstraintCompiler } from '../../src/constraint/constraint-compiler.js';
import type { Format } from '../../src/constraint/format.js';
import type { Tokenizer } from '../../src/tokenizer/tokenizer.js';
import { smallTokenizer } from '../support/tokenizers/small-tokenizer.js';

let tokenizer: Tokenizer;
beforeAll(async () => {
  tokenizer = await smallTokenizer([], [], {});
});

const compilerOf = (timeoutMs = 20_000) => new ConstraintCompiler(tokenizer, tokenizer.vocabularySize, timeoutMs);
const words = (count: number) => Array.from({ length: count }, (_, i) => `word ${(i * 7919) % 1_000_003}`);
const properties = (count: number, type: string) => Object.fromEntries(words(count).map((name) => [name, { type }]));

describe('compiles', () => {
  test.each<[string, Format]>([
    [
      'an object of 3,000 optional properties',
      { jsonSchema: { type: 'object', properties: properties(3000, 'string') } },
    ],
    [
      'an object of 3,000 required properties',
      { jsonSchema: { type: 'object', properties: properties(3000, 'string'), required: words(3000) } },
    ],
    ['an enum of 20,000', { jsonSchema: { enum: words(20_000) } }],
  ])('%s', async (_, format) => {
    expect(await compilerOf().compile(format, undefined)).toBeInstanceOf(Constraint);
  });
});

test('a format that takes too long fails with a typed error, and the next one compiles', async () => {
  const compiler = compilerOf(1);
  const slow = { jsonSchema: { enum: words(20_000) } };
  await expect(compiler.compile(slow, undefined)).rejects.toMatchObject({
    code: 'ERR_FORMAT',
    message: expect.stringContaining('takes more than 1 ms'),
  });
  expect(await compilerOf().compile({ regex: 'a' }, undefined)).toBeInstanceOf(Constraint);
});

test('a regular expression of too many alternatives fails with a typed error', async () => {
  const format = { regex: words(20_000).join('|') };
  await expect(compilerOf().compile(format, undefined)).rejects.toMatchObject({
    code: 'ERR_FORMAT',
    message: expect.stringContaining('alternatives'),
  });
});

test('a signal ends compiling for its caller alone', async () => {
  const compiler = compilerOf();
  const format = { jsonSchema: { enum: words(20_000) } };
  const stop = new AbortController();
  const cancelled = compiler.compile(format, stop.signal);
  const other = compiler.compile(format, undefined);
  setTimeout(() => stop.abort(), 1);
  const started = performance.now();
  await expect(cancelled).rejects.toMatchObject({ code: 'ABORT_ERR' });
  expect(performance.now() - started).toBeLessThan(1000);
  expect(await other).toBeInstanceOf(Constraint);
});

test('many formats that wait on one signal listen to it once, and all end with it', async () => {
  const compiler = compilerOf();
  const stop = new AbortController();
  // Large enough to be compiled for a while.
  const formats = Array.from({ length: 20 }, (_, index) => ({ jsonSchema: { enum: words(2000 + index) } }));
  const compiling = formats.map((format) => compiler.compile(format, stop.signal));
  const outcomes = Promise.allSettled(compiling);
  let most = 0;
  const isListening = () => {
    most = Math.max(most, getEventListeners(stop.signal, 'abort').length);
    return most > 0;
  };
  await expect.poll(isListening, { interval: 1, timeout: 20_000 }).toBe(true);
  expect(most).toBe(1);
  stop.abort();
  for (const outcome of await outcomes) expect(outcome).toMatchObject({ reason: { code: 'ABORT_ERR' } });
  expect(getEventListeners(stop.signal, 'abort')).toHaveLength(0);
  expect(await compiler.compile({ regex: 'a' }, undefined)).toBeInstanceOf(Constraint);
});

test('equal formats share what is compiled', async () => {
  const compiler = compilerOf();
  const [a, b] = await Promise.all([
    compiler.compile({ regex: 'ab' }, undefined),
    compiler.compile({ regex: 'ab' }, undefined),
  ]);
  expect(a).toBe(b);
  expect(await compiler.compile({ regex: 'ab' }, undefined)).toBe(a);
});

test('a format that is no plain data fails with a typed error', async () => {
  const circle: Record<string, unknown> = { type: 'object' };
  circle.properties = { circle };
  const trap = new Proxy(
    {},
    {
      ownKeys: () => {
        throw new Error('trap');
      },
    },
  );
  for (const jsonSchema of [circle, { const: 1n }, { const: Symbol('s') }, trap, { enum: new Array(2 ** 32 - 1) }]) {
    await expect(compilerOf().compile({ jsonSchema }, undefined)).rejects.toMatchObject({ code: 'ERR_ARGUMENT' });
  }
});
