// Templates, formats and texts from outside leave the event loop free, with one caller and with fifty.
import { beforeAll, describe, expect, test } from 'vitest';
import { ConstraintCompiler } from '../../src/constraint/constraint-compiler.js';
import { Chat, type ChatMessage, encodeChat } from '../../src/generation/chat/chat.js';
import type { Tokenizer } from '../../src/tokenizer/tokenizer.js';
import { measureLoopDelay } from '../support/running/event-loop.js';
import { smallTokenizer } from '../support/tokenizers/small-tokenizer.js';

let tokenizer: Tokenizer;
beforeAll(async () => {
  tokenizer = await smallTokenizer([], [{ text: '<s>', type: 3 }], {});
  // The threads are started before anything is measured.
  await render([user('a')], '{{ messages[0].content }}');
});

const user = (content: unknown): ChatMessage => ({ role: 'user', content });
const render = (messages: readonly ChatMessage[], template: string, timeoutMs = 250) =>
  new Chat(new Map(), tokenizer, timeoutMs).render(messages, { template }, { op: 'chat' });

async function expectFreeLoop(work: () => Promise<unknown>): Promise<void> {
  const { p99, bound } = await measureLoopDelay(work);
  expect(p99).toBeLessThan(bound);
}

describe('a hostile template fails in time, and blocks nothing', () => {
  test.each([
    ['blanks', `{{ 1${' '.repeat(260_000)} `],
    ['blanks before a tag', `${' '.repeat(250_000)}x{% generation %}`],
    [
      'nested tojson',
      '{% set ns = namespace(x="\\\\") %}{% for i in range(90) %}{% set ns.x = ns.x|tojson %}{% endfor %}',
    ],
    ['doubling', '{% set ns = namespace(x="a") %}{% for i in range(90) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}'],
    ['long loops', '{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}'],
    [
      'much memory',
      '{% set ns = namespace(x=[]) %}{% for a in range(90000) %}{% set ns.x = [ns.x, range(900)|list] %}{% endfor %}',
    ],
  ])('%s', async (_, template) => {
    const started = performance.now();
    await expectFreeLoop(async () => {
      await expect(render([user('a')], template)).rejects.toMatchObject({ code: 'ERR_CHAT_TEMPLATE' });
    });
    expect(performance.now() - started).toBeLessThan(5000);
  });
});

test('messages of 5 MB', async () => {
  const messages = [user('word <s> '.repeat(580_000))];
  await expectFreeLoop(async () => {
    const prompt = await render(messages, '{{ messages[0].content }}', 20_000);
    const ids = await encodeChat(prompt, tokenizer);
    expect(ids.some((id) => tokenizer.isControl(id))).toBe(false);
  });
});

test('references that are shared 40 deep', async () => {
  let content: unknown = 'a';
  for (let depth = 0; depth < 40; depth++) content = [content, content];
  await expectFreeLoop(async () => {
    // Once takes too short for a percentile.
    for (let i = 0; i < 10; i++) {
      await expect(render([user(content)], '{{ messages }}')).rejects.toMatchObject({ code: 'ERR_ARGUMENT' });
    }
  });
});

test('a schema of 3,000 properties', async () => {
  const names = Array.from({ length: 3000 }, (_, i) => `property ${i}`);
  const properties = Object.fromEntries(names.map((name) => [name, { type: 'string' }]));
  const compiler = new ConstraintCompiler(tokenizer, tokenizer.vocabularySize, 20_000);
  await expectFreeLoop(async () => {
    await compiler.compile({ jsonSchema: { type: 'object', properties } }, undefined);
  });
});

test('fifty callers at once', async () => {
  const text = 'some words, and <s>more of them. '.repeat(1000);
  await expectFreeLoop(async () => {
    const call = async () => {
      const prompt = await render([user(text)], '{{ messages[0].content }}', 20_000);
      return encodeChat(prompt, tokenizer);
    };
    // Once takes too short for a percentile.
    for (let i = 0; i < 4; i++) await Promise.all(Array.from({ length: 50 }, call));
  });
});
